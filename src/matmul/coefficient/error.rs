//! What can go wrong in coefficient packing.

use super::{Encrypted, Shape};
use crate::{
    backend::BackendError,
    bfv::BfvError,
    rlwe::{Level, RlweError},
};

/// Errors of plans and products in coefficient packing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoefficientError {
    /// From BFV.
    #[error(transparent)]
    Bfv(#[from] BfvError),
    /// From the layer below.
    #[error(transparent)]
    Rlwe(#[from] RlweError),
    /// The device failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A shape that no product has, or that is too large to be counted.
    #[error(
        "shape {shape}: every dimension is 1 to 2^{limit_log2}, and no matrix has more than 2^{entries_log2} entries; split the product"
    )]
    Shape {
        /// What was asked for.
        shape: Shape,
        /// log2 of the largest dimension.
        limit_log2: u32,
        /// log2 of the most entries.
        entries_log2: u32,
    },
    /// A number of requests that cannot be.
    #[error("{requests} requests: a plan is for 1 to {most}; run it several times for more")]
    Requests {
        /// What was asked for.
        requests: usize,
        /// The most.
        most: usize,
    },
    /// Blocks that do not fit a polynomial, or that results cannot be interleaved from.
    #[error(
        "block ({b}, {i}, {o}): {b} x {i} x {o} coefficients have to fit {n}, and i has to be a power of two for packed outputs; use smaller blocks"
    )]
    Block {
        /// Rows.
        b: usize,
        /// Inner dimension.
        i: usize,
        /// Columns.
        o: usize,
        /// The ring degree.
        n: usize,
    },
    /// A bound on weights that says nothing.
    #[error("the bound {bound} on weights is outside 1..={most} for t = {t}")]
    WeightBound {
        /// What was given.
        bound: u64,
        /// floor(t / 2).
        most: u64,
        /// The plaintext modulus.
        t: u128,
    },
    /// No level leaves decryption certain.
    #[error(
        "{shape} with weights up to 2^{weight_log2:.1}: the noise is bounded by 2^{bound_log2:.1} at the best level, and 2^-{wanted} is needed \
         for t = 2^{t_log2:.1} and log2 Q = {log2_q:.1}; use smaller weights or a smaller t, less headroom, or more primes"
    )]
    Noise {
        /// The product.
        shape: Shape,
        /// log2 of the bound on the plain operand.
        weight_log2: f64,
        /// log2 of the smallest bound on the noise.
        bound_log2: f64,
        /// Bits below 1 that are needed.
        wanted: u32,
        /// log2 of t.
        t_log2: f64,
        /// log2 of the largest modulus.
        log2_q: f64,
    },
    /// An entry beyond the bound of the plan.
    #[error(
        "entry {value} at row {row}, column {column} is beyond the {bound} that the plan allows; plan with a larger `weight_bound`"
    )]
    Weight {
        /// What was given.
        value: i64,
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
        /// The bound.
        bound: u64,
    },
    /// A weight that no integer stands for.
    #[error(
        "weight {value} at row {row}, column {column} times 2^{scale_bits} is no integer of 64 bits; round weights to integers, or          choose the scale that makes them so"
    )]
    NoInteger {
        /// What was given.
        value: f64,
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
        /// What it was multiplied by.
        scale_bits: u32,
    },
    /// A wrong number of values.
    #[error(
        "{what}: {given} values given, wanted {wanted} for {shape}; pass the whole matrix, row after row"
    )]
    Length {
        /// Which operand.
        what: &'static str,
        /// How many were given.
        given: usize,
        /// How many are wanted.
        wanted: usize,
        /// The product.
        shape: Shape,
    },
    /// An operand that is encrypted was passed as plain, or the other way round.
    #[error("{operation}: the plan encrypts {encrypted}; {remedy}")]
    Operand {
        /// Who asked.
        operation: &'static str,
        /// What the plan says.
        encrypted: Encrypted,
        /// What to do.
        remedy: &'static str,
    },
    /// Two things that do not belong together.
    #[error("{operation}: {what}: {have} here, {wanted} wanted; {remedy}")]
    Mismatch {
        /// Who asked.
        operation: &'static str,
        /// What differs.
        what: &'static str,
        /// What was given.
        have: String,
        /// What the plan has.
        wanted: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A ciphertext at another level than the plan's.
    #[error(
        "{operation}: ciphertexts at {have}, and the plan takes them at {wanted}; encrypt with `Plan::encrypt`"
    )]
    Level {
        /// Who asked.
        operation: &'static str,
        /// What was given.
        have: Level,
        /// What the plan has.
        wanted: Level,
    },
}
