//! Randomness: published uniform rows addressed by position, private streams, secrets and errors.
//!
//! What is published (the uniform halves of keys and ciphertexts) comes from a [`PublicSeed`], which is fresh
//! randomness of the operating system and never derived from, nor shared with, a [`PrivateSeed`]. Secrets and
//! errors come from streams of a private seed, one per purpose and index, and are sampled without branches or
//! rejection on their value. Noise that hides other noise is exact at any size.

mod chacha;
mod gaussian;
mod noise;
mod stream;

#[cfg(feature = "fallback")]
pub(crate) use chacha::{BLOCKS, ChaCha};
pub use gaussian::{MAX_GAUSSIAN_LOG2, discrete_gaussian};
pub use noise::{ERROR_STD_DEV, centred_binomial, sparse_ternary, ternary, uniform_bytes};
pub use stream::{PrivateSeed, PrivateStream, PublicSeed, uniform_row};

/// What can go wrong with randomness.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// The operating system gave no randomness.
    #[error(
        "{wanted_bytes} bytes of randomness from the operating system: {reason}; nothing was generated, try again later"
    )]
    Entropy {
        /// How many bytes were asked for.
        wanted_bytes: usize,
        /// What the system answered.
        reason: getrandom::Error,
    },
}
