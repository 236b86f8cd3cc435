//! What can go wrong in this layer.

use crate::{
    arith::Complex,
    backend::BackendError,
    ckks::CkksError,
    ring::ScaleError,
    rlwe::{Level, RlweError},
};

/// Errors of approximation and of circuits.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CircuitError {
    /// From the layer below.
    #[error(transparent)]
    Ckks(#[from] CkksError),
    /// An interval that is empty, or without bounds.
    #[error("the interval [{low:e}, {high:e}] is no interval; give two finite ends, the lower one first")]
    Interval {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// A coefficient that is infinite or not a number.
    #[error("{operation}: coefficient {index} is {value:?}; coefficients are finite")]
    Coefficient {
        /// Who asked.
        operation: &'static str,
        /// Which coefficient.
        index: usize,
        /// What it is.
        value: Complex,
    },
    /// A degree that cannot be had.
    #[error("{operation}: degree {degree} is outside {low}..={high}; {remedy}")]
    Degree {
        /// Who asked.
        operation: &'static str,
        /// The degree.
        degree: usize,
        /// The least possible.
        low: usize,
        /// The largest possible.
        high: usize,
        /// What to do.
        remedy: &'static str,
    },
    /// Too few levels.
    #[error(
        "{operation} takes {needed} levels and its input is at {level}: {} missing; {remedy}",
        .needed.saturating_sub(level.0)
    )]
    Levels {
        /// Who asked.
        operation: String,
        /// The level of the input.
        level: Level,
        /// How many levels it takes.
        needed: u32,
        /// What to do, and where to refresh.
        remedy: String,
    },
    /// A value outside the interval of a function.
    #[error(
        "{function}: slot {slot} of item {item} holds {value:?}, outside [{low}, {high}] by {:e}; bound the input, or use a function of \
         a wider interval", excess(*value, *low, *high)
    )]
    Outside {
        /// The function.
        function: String,
        /// Which ciphertext.
        item: usize,
        /// Which slot.
        slot: usize,
        /// What it holds.
        value: Complex,
        /// The lower end of the interval.
        low: f64,
        /// The upper end of the interval.
        high: f64,
    },
    /// A value too large for what follows.
    #[error(
        "{operation}: slot {slot} of item {item} holds {value:?}, of magnitude {:.3} above {most}; read the input at a larger scale \
         (`divided_by_pow2`)", value.abs()
    )]
    Magnitude {
        /// Who asked.
        operation: &'static str,
        /// Which ciphertext.
        item: usize,
        /// Which slot.
        slot: usize,
        /// What it holds.
        value: Complex,
        /// The largest magnitude that is allowed.
        most: f64,
    },
    /// Values that would wrap around the modulus.
    #[error(
        "{operation} at {level}: values up to 2^{value_log2:.1} at scale 2^{scale_log2:.1} do not fit into half the modulus of {log2_q:.1} \
         bits; use a chain with a wider base or values of smaller magnitude"
    )]
    Overflow {
        /// Who asked.
        operation: &'static str,
        /// The level.
        level: Level,
        /// log2 of the largest magnitude.
        value_log2: f64,
        /// log2 of the scale.
        scale_log2: f64,
        /// log2 of the modulus.
        log2_q: f64,
    },
    /// More memory than was allowed.
    #[error(
        "{operation} takes {needed} bytes, {keys} of them keys, and the budget is {budget}; use fewer items, fewer slots or a larger budget"
    )]
    Memory {
        /// Who asked.
        operation: &'static str,
        /// Bytes needed.
        needed: usize,
        /// Bytes of keys among them.
        keys: usize,
        /// Bytes allowed.
        budget: usize,
    },
    /// Shapes that do not go together.
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
    /// An approximation that was not found.
    #[error("{operation}: {what}; {remedy}")]
    Approximation {
        /// Who asked.
        operation: &'static str,
        /// What happened, in numbers.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl CircuitError {
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

impl From<BackendError> for CircuitError {
    fn from(error: BackendError) -> Self {
        CkksError::from(error).into()
    }
}

impl From<RlweError> for CircuitError {
    fn from(error: RlweError) -> Self {
        Self::Ckks(error.into())
    }
}

impl From<ScaleError> for CircuitError {
    fn from(error: ScaleError) -> Self {
        Self::Ckks(error.into())
    }
}

/// How far a value is from an interval of real numbers.
fn excess(value: Complex, low: f64, high: f64) -> f64 {
    let beyond = (value.re - high).max(low - value.re).max(0.0);
    beyond.hypot(value.im)
}
