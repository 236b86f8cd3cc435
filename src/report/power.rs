//! The result of the benchmark of attention with PowerSoftmax.

use serde::Serialize;

use super::AttentionRun;

/// One run with PowerSoftmax.
#[derive(Clone, Debug, Serialize)]
pub struct PowerAttentionReport {
    /// How scores become weights: `power`.
    pub kind: &'static str,
    /// What every kind has.
    #[serde(flatten)]
    pub run: AttentionRun,
    /// p: weights are p-th powers of scores over eps and their mean.
    pub power: usize,
    /// Scores are at most this in magnitude.
    pub range: f64,
    /// What is added to the mean.
    pub eps: f64,
    /// Bound on the relative error of a weight by the approximation.
    pub weight_error: f64,
    /// Seconds of the powers, their sums and the reciprocals.
    pub softmax_seconds: f64,
    /// Those of the levels from the scores to the weights.
    pub softmax_levels: u32,
}
