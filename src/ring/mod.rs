//! Rings `Z[X]/(X^N + 1)` in residue form: prime tables, conversion constants, exact scales and lifting, modulus chains and
//! their security, automorphisms.

mod basis;
mod chain;
mod chain_assembly;
mod chain_primes;
mod chain_report;
mod chain_search;
mod chain_spec;
mod crt;
mod galois;
#[cfg(any(feature = "fallback", feature = "cuda"))]
pub(crate) mod mixed_radix;
mod scale;
pub mod security;
pub mod shipped;
#[rustfmt::skip]
mod tables;

pub use basis::{Basis, Conversion, Step};
pub use chain::{ChainError, ChainKind, ChainSpec, ChainTable, LevelTable, PAIR_BITS, build};
pub use chain_report::{ChainReport, LevelReport};
pub use crt::{Crt, CrtError, log2, log2_product};
pub use galois::Galois;
pub use scale::{Scale, ScaleError};
pub use shipped::{chain, chains, insecure_chain, insecure_chains};
