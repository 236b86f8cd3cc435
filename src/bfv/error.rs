//! What can go wrong in this layer.

use crate::{
    arith::{ArithError, EmbedError},
    backend::BackendError,
    ring::CrtError,
    rlwe::{Level, RlweError},
};

/// Errors of parameters, encoding and evaluation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BfvError {
    /// From the layer below.
    #[error(transparent)]
    Rlwe(#[from] RlweError),
    /// A prime or degree is unusable.
    #[error(transparent)]
    Arith(#[from] ArithError),
    /// The device failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Lifting residues failed.
    #[error(transparent)]
    Crt(#[from] CrtError),
    /// The plaintext modulus is out of range.
    #[error("plaintext modulus {t} is outside 2..=2^64")]
    Plain {
        /// What was given.
        t: u128,
    },
    /// A number of the specification is out of range.
    #[error("{what} = {value} is outside {low}..={high}; {remedy}")]
    Range {
        /// Which number.
        what: &'static str,
        /// What was given.
        value: usize,
        /// Smallest allowed.
        low: usize,
        /// Largest allowed.
        high: usize,
        /// What to do.
        remedy: &'static str,
    },
    /// The ring has too few primes.
    #[error(
        "N = 2^{log_n} has {held} primes of 30 bits that do not divide t, and {wanted} are needed; use fewer primes or a smaller t"
    )]
    Exhausted {
        /// log2 of the ring degree.
        log_n: u32,
        /// Primes there are.
        held: usize,
        /// Primes needed.
        wanted: usize,
    },
    /// The modulus is too small for t.
    #[error(
        "log2 Q = {log2_q:.1} of {primes} primes leaves less than {margin} bits above t of {t_log2:.1} bits; use more primes or a smaller t"
    )]
    Room {
        /// log2 of the largest modulus.
        log2_q: f64,
        /// Its primes.
        primes: usize,
        /// Bits needed above t.
        margin: u32,
        /// log2 of t.
        t_log2: f64,
    },
    /// No slots for this plaintext modulus.
    #[error(
        "{operation}: t = {t} is not a prime below 2^30 and 1 modulo 2^{}, so plaintexts have no slots; pack coefficients or take \
         such a prime from `ntt_primes({log_n}, ..)`", log_n + 1
    )]
    NoSlots {
        /// Who asked.
        operation: &'static str,
        /// The plaintext modulus.
        t: u128,
        /// log2 of the ring degree.
        log_n: u32,
    },
    /// No plaintext modulus with slots.
    #[error(
        "no prime below 2^{bits} and 2^30 is 1 modulo 2^{}, so none gives slots to a ring of degree 2^{log_n}; ask for more bits, up to 30",
        log_n + 1
    )]
    NoPrime {
        /// Bits asked for.
        bits: u32,
        /// log2 of the ring degree.
        log_n: u32,
    },
    /// A value outside [0, t).
    #[error(
        "{operation}: value {value} at {index} is not below t = {t}; reduce values with `PlainModulus::residue`"
    )]
    Value {
        /// Who asked.
        operation: &'static str,
        /// Where.
        index: usize,
        /// What was found.
        value: u64,
        /// The plaintext modulus.
        t: u128,
    },
    /// An integer outside of what t can tell apart.
    #[error(
        "{operation}: the integer {value} at {index} is not within +-t/2 for t = {t}; use smaller integers or a larger t"
    )]
    Integer {
        /// Who asked.
        operation: &'static str,
        /// Where.
        index: usize,
        /// What was found.
        value: i64,
        /// The plaintext modulus.
        t: u128,
    },
    /// A wrong number of values.
    #[error("{operation}: {given} values given, wanted {wanted}; {remedy}")]
    Length {
        /// Who asked.
        operation: &'static str,
        /// How many were given.
        given: usize,
        /// How many are wanted.
        wanted: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Made with another plaintext modulus.
    #[error(
        "{operation}: {what} is modulo t = {theirs}, and these parameters have t = {t}; use the scheme that it was made with"
    )]
    Foreign {
        /// Who asked.
        operation: &'static str,
        /// What it is.
        what: &'static str,
        /// Its plaintext modulus.
        theirs: u128,
        /// The plaintext modulus here.
        t: u128,
    },
    /// A result for others that might be wrong, and then reveal the key.
    #[error(
        "release at {level}: the noise is bounded by 2^{bound_log2:.1} only (expected 2^{sd_log2:.1}), and an exact result is certain \
         below 2^-1; compute with more primes, a smaller t or fewer products, or keep the result to the owner of the key"
    )]
    Withheld {
        /// The level.
        level: Level,
        /// log2 of the bound on the noise.
        bound_log2: f64,
        /// log2 of its expected standard deviation.
        sd_log2: f64,
    },
    /// The transform of a secret failed.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// A coefficient that does not exist.
    #[error("{operation} at {level}: coefficient {index} does not exist; polynomials have {n}")]
    Coefficient {
        /// Who asked.
        operation: &'static str,
        /// The level.
        level: Level,
        /// What was asked for.
        index: usize,
        /// The ring degree.
        n: usize,
    },
}
