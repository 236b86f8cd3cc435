//! CKKS: approximate arithmetic on vectors of complex numbers (Cheon, Kim, Kim, Song, eprint 2016/421; residue form
//! eprint 2018/931).
//!
//! Operations are honest: nothing rescales, relinearises or changes a level by itself. Scales are exact rationals and compared
//! exactly; operands that do not match are errors with the numbers in them.
//!
//! A decryption is a [`Decrypted`], which prints nothing; [`Decrypted::release`] decodes it for its owner, or under noise or rounding
//! for others.

mod accumulate;
mod ciphertext;
mod coefficients;
mod encode;
mod error;
mod evaluate;
mod level;
mod precision;
mod release;
mod rotate;

pub use ciphertext::{Ciphertext, Plaintext, SeededCiphertext};
pub use encode::Ckks;
pub use error::CkksError;
pub use evaluate::Evaluator;
pub(crate) use level::step_ratio;
pub use precision::*;
pub use release::{Decrypted, Guard, Release};

/// Result of an operation of this layer.
pub type Result<T> = std::result::Result<T, CkksError>;
