//! What can go wrong in this layer.

use crate::{
    arith::ArithError,
    backend::BackendError,
    ring::{ChainError, CrtError, Galois},
    rlwe::Level,
    sample::SampleError,
};

/// Which key was missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingKey {
    /// The relinearisation key.
    Relinearisation,
    /// The key of an automorphism.
    Galois(Galois),
}

impl std::fmt::Display for MissingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Relinearisation => f.write_str("the relinearisation key"),
            Self::Galois(g) => write!(f, "the key of Galois element {}", g.element()),
        }
    }
}

/// Errors of parameters, keys, encryption and key switching.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RlweError {
    /// The chain does not hold together.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A prime or degree is unusable.
    #[error(transparent)]
    Arith(#[from] ArithError),
    /// Lifting residues failed.
    #[error(transparent)]
    Crt(#[from] CrtError),
    /// The device failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// No randomness from the operating system.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// No chain of that name is shipped.
    #[error("no chain is called {name:?}; there are {known}, and `ring::build` makes others")]
    UnknownChain {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A key was not generated or not loaded.
    #[error(
        "{operation} needs {key}, which this key set lacks{held}; name it in `KeyNeeds` when the client generates keys"
    )]
    MissingKey {
        /// Who asked.
        operation: String,
        /// What is missing.
        key: MissingKey,
        /// What the set holds instead.
        held: String,
    },
    /// A key was truncated below the level of the ciphertext.
    #[error(
        "{operation} at {wanted} needs {key}, which was generated up to {held} only; generate it for {wanted} or drop the \
         ciphertext to {held}"
    )]
    KeyLevel {
        /// Who asked.
        operation: String,
        /// The key.
        key: MissingKey,
        /// The level of the ciphertext.
        wanted: Level,
        /// The highest level of the key.
        held: Level,
    },
    /// Keys, or work beside them, that do not fit into their store.
    #[error(
        "{operation} takes {needed} bytes with what the store holds, and its budget is {budget}; use a larger budget, fewer keys or keys \
         of lower levels, expand them on use, or do less at a time"
    )]
    KeyBudget {
        /// Who asked.
        operation: &'static str,
        /// Bytes with what the store cannot give up.
        needed: usize,
        /// Bytes of the store.
        budget: usize,
    },
    /// No level to go to.
    #[error("{operation}: {level} does not exist; these parameters have levels 0 to {top}")]
    NoLevel {
        /// Who asked.
        operation: &'static str,
        /// What was asked for.
        level: Level,
        /// The highest level.
        top: u32,
    },
    /// Levels are used up.
    #[error(
        "{operation}: no level left at {level} (scale 2^{scale_log2:.1}, log2 Q = {log2_q:.1}); encrypt at a higher level or choose \
         parameters with more levels"
    )]
    LevelsExhausted {
        /// Who asked.
        operation: &'static str,
        /// The level of the ciphertext.
        level: Level,
        /// log2 of its scale.
        scale_log2: f64,
        /// log2 of the modulus that is left.
        log2_q: f64,
    },
    /// Made with other parameters.
    #[error(
        "{operation}: {what} was made with other parameters (N = 2^{theirs_log_n}, log2 QP = {theirs_log2_qp:.2}) than these \
         (N = 2^{log_n}, log2 QP = {log2_qp:.2}); use the context that it was made with"
    )]
    Foreign {
        /// Who asked.
        operation: String,
        /// The ciphertext, plaintext or key.
        what: &'static str,
        /// log2 of its ring degree.
        theirs_log_n: u32,
        /// log2 of the product of its primes.
        theirs_log2_qp: f64,
        /// log2 of the ring degree here.
        log_n: u32,
        /// log2 of the product of the primes here.
        log2_qp: f64,
    },
    /// The key to a sparse secret would exist under a modulus that is too large for it.
    #[error(
        "a secret of weight {weight} at N = 2^{log_n} is safe up to log2(q_0 p_0) = {limit:.1}, and these parameters have {log2_qp:.1}; \
         use a base of at most {:.0} bits, or N = 2^16", limit / 2.0
    )]
    SparseModulus {
        /// log2 of the ring degree.
        log_n: u32,
        /// Weight of the sparse secret.
        weight: u32,
        /// log2 of the modulus of the key.
        log2_qp: f64,
        /// What is allowed.
        limit: f64,
    },
    /// Two operands do not match in shape.
    #[error("{operation}: {what} differ: {left} and {right}; {remedy}")]
    Mismatch {
        /// Who asked.
        operation: &'static str,
        /// What differs.
        what: &'static str,
        /// Of the first operand.
        left: String,
        /// Of the second operand.
        right: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl RlweError {
    pub(crate) fn mismatch(
        operation: &'static str,
        what: &'static str,
        left: impl ToString,
        right: impl ToString,
        remedy: &'static str,
    ) -> Self {
        Self::Mismatch {
            operation,
            what,
            left: left.to_string(),
            right: right.to_string(),
            remedy,
        }
    }
}
