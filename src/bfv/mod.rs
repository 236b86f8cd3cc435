//! BFV: exact arithmetic on integers modulo t (Brakerski, eprint 2012/078; Fan, Vercauteren, eprint 2012/144; residue form of
//! Halevi, Polyakov, Shoup, eprint 2018/117).
//!
//! A ciphertext at level l decrypts to its phase round(Q m / t) + e modulo Q = Q_l, for m a polynomial modulo t: not
//! floor(Q / t) m, so that sums which wrap around t add no noise. The invariant noise v is (t / Q) phase = m + v + t k;
//! decryption is exact as long as every coefficient of v is below 1/2.
//!
//! Two packings of N integers in m: as its coefficients, for every t from 2 to 2^64; or as N slots, for a prime t = 1 modulo 2N,
//! in two rows of N/2 columns.
//!
//! Operations are honest: nothing relinearises or changes a level by itself.
//!
//! # Releasing results
//!
//! A decryption is a [`Decrypted`], which prints nothing and is cleared when dropped; [`Decrypted::release`] gives the integers out
//! under a stated policy. They are exact and carry no noise, so that nothing is to be rounded away before others see them,
//! unlike in CKKS. That holds only while v stays below 1/2: a wrong decryption depends on the key, and whoever is shown several
//! finds it (eprint 2024/127). [`Noise`] follows a computation and bounds v, whatever its inputs; results for others than the owner
//! of the key are withheld where the bound does not hold ([`Release::Exact`]).

#[cfg(all(test, feature = "fallback"))]
mod behz;
mod ciphertext;
mod encode;
mod error;
mod evaluate;
mod interleave;
mod lwe;
mod matrix;
#[cfg(feature = "diagnostics")]
mod measure;
mod noise;
mod params;
mod plain;
mod product;
mod release;
mod rotate;
mod scheme;
mod slots;

pub use ciphertext::{Addend, Ciphertext, Factor, SeededCiphertext};
pub use error::BfvError;
pub use evaluate::Evaluator;
pub use interleave::{interleaved_place, interleaving_automorphisms};
pub use lwe::{Lwe, packing_automorphisms};
pub use matrix::{Matrix, sum_keys};
#[cfg(feature = "diagnostics")]
pub use measure::MeasuredNoise;
pub use noise::{FAILURE_LOG2, Noise};
pub use params::{Params, Spec};
pub use plain::PlainModulus;
pub use release::{Decrypted, Release};
pub use scheme::Bfv;
pub use slots::Packing;

/// Result of an operation of this layer.
pub type Result<T> = std::result::Result<T, BfvError>;
