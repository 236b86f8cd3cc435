//! What can go wrong in this layer.

use crate::{
    arith::EmbedError,
    backend::{BackendError, EncodeError},
    ring::{CrtError, ScaleError},
    rlwe::{Level, RlweError},
};

/// Errors of encoding and evaluation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CkksError {
    /// From the layer below.
    #[error(transparent)]
    Rlwe(#[from] RlweError),
    /// Values that cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Values that cannot be decoded.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// A scale beyond its range.
    #[error(transparent)]
    Scale(#[from] ScaleError),
    /// The device failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Lifting residues failed.
    #[error(transparent)]
    Crt(#[from] CrtError),
    /// Scales that must be equal are not.
    #[error(
        "{operation} at {level}: scales differ: 2^{left:.6} and 2^{right:.6}; bring one to the other's level and scale with `adjust`"
    )]
    ScaleMismatch {
        /// Who asked.
        operation: &'static str,
        /// The level of both.
        level: Level,
        /// log2 of the first scale.
        left: f64,
        /// log2 of the second scale.
        right: f64,
    },
    /// A constant that the scale cannot carry.
    #[error(
        "{operation} at {level}: the integer that stands for {value:?} at scale 2^{scale_log2:.1} has {bits:.1} bits, and {limit} are \
         allowed; {remedy}"
    )]
    Constant {
        /// Who asked.
        operation: &'static str,
        /// The level.
        level: Level,
        /// The constant.
        value: f64,
        /// log2 of the scale.
        scale_log2: f64,
        /// Bits of the integer.
        bits: f64,
        /// What is allowed.
        limit: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Values that would wrap around the modulus.
    #[error(
        "{operation} at {level}: coefficient {index} of item {item} has {bits:.1} bits at scale 2^{scale_log2:.1}, and the modulus of \
         {log2_q:.1} bits carries {:.1}; use smaller values, a smaller scale or a higher level", log2_q - 1.0
    )]
    Values {
        /// Who asked.
        operation: &'static str,
        /// The level.
        level: Level,
        /// Which item.
        item: usize,
        /// Which coefficient.
        index: usize,
        /// log2 of its magnitude.
        bits: f64,
        /// log2 of the scale.
        scale_log2: f64,
        /// log2 of the modulus.
        log2_q: f64,
    },
    /// A scale that the modulus cannot hold: even values below 1 would wrap around.
    #[error(
        "{operation} at {level}: the result would have scale 2^{scale_log2:.1}, which the modulus of {log2_q:.1} bits cannot hold; \
         rescale first or compute at a higher level"
    )]
    Room {
        /// Who asked.
        operation: &'static str,
        /// The level of the result.
        level: Level,
        /// log2 of its scale.
        scale_log2: f64,
        /// log2 of the modulus.
        log2_q: f64,
    },
    /// A policy of release that cannot be kept.
    #[error("release at {level}: {what}; {remedy}")]
    Release {
        /// The level.
        level: Level,
        /// What is wrong with it, in numbers.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Input of the wrong length.
    #[error("{operation}: {given} values given, but {wanted} wanted; {remedy}")]
    Length {
        /// Who asked.
        operation: &'static str,
        /// How many were given.
        given: usize,
        /// What was expected, in words.
        wanted: String,
        /// What to do.
        remedy: &'static str,
    },
}
