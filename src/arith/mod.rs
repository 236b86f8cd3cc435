//! Word arithmetic: moduli below 2^30, prime search, roots of unity, the number-theoretic transform.

mod complex;
mod double;
mod eights;
mod embed;
mod modulus;
mod ntt;
mod prime;
mod root;

pub use complex::Complex;
#[cfg(feature = "cuda")]
pub(crate) use complex::Pair;
pub use double::Double;
#[cfg(feature = "fallback")]
pub(crate) use eights::Eights;
pub use embed::{EmbedError, Embedding};
pub use modulus::{MAX_MODULUS_BITS, Modulus};
pub use ntt::{NttTable, forward_by_definition, multiply_by_schoolbook};
pub use prime::{is_prime, ntt_primes};
pub use root::{bit_reverse, smallest_root};

/// What can be wrong with a modulus or a ring degree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArithError {
    /// Not an odd prime below 2^30.
    #[error("modulus {p} is not an odd prime below 2^30; take primes from `ntt_primes`")]
    Modulus {
        /// What was given.
        p: u32,
    },
    /// The prime has no primitive 2N-th root of unity.
    #[error("prime {p} is not 1 modulo 2^{}, so it has no root of unity of that order; take primes from `ntt_primes({log_n}, ..)`", log_n + 1)]
    NoRoot {
        /// The prime.
        p: u32,
        /// log2 of the ring degree.
        log_n: u32,
    },
    /// Unsupported ring degree.
    #[error("ring degree 2^{log_n} is outside 2^1..2^17")]
    Degree {
        /// log2 of the ring degree.
        log_n: u32,
    },
}
