//! What can go wrong in this layer; everything but a failure of a device is found before any work starts.

use crate::{backend::BackendError, ckks::CkksError, ring::ScaleError, rlwe::RlweError};

/// Errors of matrix products.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MatmulError {
    /// From CKKS.
    #[error(transparent)]
    Ckks(#[from] CkksError),
    /// Keys, levels, parameters.
    #[error(transparent)]
    Rlwe(#[from] RlweError),
    /// A scale beyond its range.
    #[error(transparent)]
    Scale(#[from] ScaleError),
    /// The device failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A product that no machine holds, or of nothing.
    #[error(
        "matmul: {batch} x ({m} x {k}) times {k} x {n}: {why}; dimensions are at least 1, and a matrix has at most 2^32 numbers, those of all requests counted"
    )]
    Shape {
        /// Rows of the left matrix.
        m: usize,
        /// Its columns.
        k: usize,
        /// Columns of the right matrix.
        n: usize,
        /// Requests.
        batch: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// More requests than a ciphertext has slots.
    #[error(
        "matmul: column packing puts one slot of every one of {batch} requests (padded to a power of two) into a ciphertext, which has \
         {slots}; split the batch, or use coefficient packings"
    )]
    Batch {
        /// Requests, padded.
        batch: usize,
        /// Slots of a ciphertext.
        slots: usize,
    },
    /// A number that is none, or beyond the bound that the plan was made for.
    #[error(
        "matmul: {what} {index} is {value}, and the plan is for finite values up to {bound} in magnitude; plan with a larger bound"
    )]
    Value {
        /// Weight or input.
        what: &'static str,
        /// Its index.
        index: usize,
        /// The value.
        value: f64,
        /// What is allowed.
        bound: f64,
    },
    /// A bound that is none.
    #[error("matmul: {value} as the bound of {what} is not a positive finite number")]
    Bound {
        /// Of what.
        what: &'static str,
        /// What was given.
        value: f64,
    },
    /// Too many or too few numbers.
    #[error("matmul: {given} {what} given, but the plan has {wanted}")]
    Length {
        /// Of what.
        what: &'static str,
        /// How many were given.
        given: usize,
        /// How many there should be.
        wanted: usize,
    },
    /// The result would wrap around the modulus.
    #[error(
        "matmul at {level}: inputs have scale 2^{scale_log2:.1} and results up to 2^{range_log2:.1}, which leaves {left:.1} bits of the \
         modulus of {log2_q:.1} for weights, and {least} are the least; use a higher level, a longer modulus or smaller bounds",
        left = log2_q - 1.0 - scale_log2 - range_log2
    )]
    Room {
        /// The level.
        level: crate::rlwe::Level,
        /// log2 of the scale of inputs.
        scale_log2: f64,
        /// log2 of the largest result.
        range_log2: f64,
        /// log2 of the modulus.
        log2_q: f64,
        /// Fractional bits that weights need at least.
        least: u32,
    },
    /// Encoded for another plan.
    #[error(
        "matmul: {what} belong to another plan ({theirs}) than this one ({ours}); encode them with this plan"
    )]
    Foreign {
        /// Weights, inputs or outputs.
        what: &'static str,
        /// Their plan.
        theirs: String,
        /// This plan.
        ours: String,
    },
    /// Nothing to compute with.
    #[error("matmul: inputs of no client; join those of at least one")]
    NoInputs,
    /// Keys for another number of clients.
    #[error(
        "matmul: inputs of {clients} clients with the keys of {keys}; pass one set of keys for each client, in their order"
    )]
    Keys {
        /// Clients whose inputs were joined.
        clients: usize,
        /// Sets of keys.
        keys: usize,
    },
    /// No plan fits the budget.
    #[error("matmul: no packing of {shape} fits: {why}; allow more bytes or choose other parameters")]
    NoPlan {
        /// The product.
        shape: String,
        /// Why each packing was left out.
        why: String,
    },
}

/// Result of an operation of this layer.
pub type Result<T> = std::result::Result<T, MatmulError>;
