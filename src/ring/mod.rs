//! Rings Z[X]/(X^N + 1) in residue form: prime tables, conversion constants, levels, exact scales, automorphisms.

mod basis;
mod galois;

pub use basis::{Basis, Conversion, Step};
pub use galois::Galois;
