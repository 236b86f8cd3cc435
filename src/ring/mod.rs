//! Rings modulo products of primes: exact scales, exact lifting, moduli chains and their security.

pub mod crt;
mod scale;
pub mod security;

pub use crt::{Crt, CrtError};
pub use scale::{LOG2_FRACTION_BITS, MAX_EXPONENT, Scale, ScaleError, log2_fixed};
