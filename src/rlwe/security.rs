//! The security table, which lives one layer below because the chain builder judges every modulus by it.

pub use crate::ring::security::*;
