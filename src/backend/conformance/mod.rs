//! Conformance: what judges a backend.
//!
//! Every operation runs on the backend and on the [`Oracle`](super::oracle::Oracle), with fresh memory and guard rows
//! around the destination, and every word must agree.

mod opaque;

pub use opaque::{Handle, Opaque};
