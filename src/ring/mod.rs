//! Rings modulo products of primes: exact scales, exact lifting, modulus chains and their security.

mod chain;
mod chain_assembly;
mod chain_primes;
mod chain_report;
mod chain_search;
mod chain_spec;
pub mod crt;
mod scale;
pub mod security;
pub mod shipped;
#[rustfmt::skip]
mod tables;

pub use chain::{ChainError, ChainKind, ChainSpec, ChainTable, LevelTable, build};
pub use chain_report::{ChainReport, LevelReport};
pub use crt::{Crt, CrtError};
pub use scale::{LOG2_FRACTION_BITS, MAX_EXPONENT, Scale, ScaleError, log2_fixed};
