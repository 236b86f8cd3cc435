//! The result of the benchmark of attention with PowerSoftmax.

use serde::Serialize;

use super::DeviceReport;

/// One run on random weights and inputs.
#[derive(Clone, Debug, Serialize)]
pub struct PowerAttentionReport {
    /// How scores become weights: `power`.
    pub kind: &'static str,
    /// Tokens of a request.
    pub tokens: usize,
    /// Heads.
    pub heads: usize,
    /// Features of the model.
    pub dim: usize,
    /// Requests computed together.
    pub batch: usize,
    /// The packing.
    pub packing: &'static str,
    /// What computed.
    #[serde(flatten)]
    pub device: DeviceReport,
    /// Threads of the CPU backend.
    pub threads: usize,
    /// Classical security in bits by the 2024 guideline table.
    pub security_bits: u32,
    /// log2 of the ring degree.
    pub log_n: u32,
    /// log2 of the product of all primes.
    pub log_qp: f64,
    /// p: weights are p-th powers of scores over eps and their mean.
    pub power: usize,
    /// Scores are at most this in magnitude.
    pub range: f64,
    /// What is added to the mean.
    pub eps: f64,
    /// Bound on the relative error of a weight by the approximation.
    pub weight_error: f64,
    /// Seconds of Q K^T.
    pub qk_seconds: f64,
    /// Seconds of the powers, their sums and the reciprocals.
    pub softmax_seconds: f64,
    /// Seconds of scores times values, and of the quotients.
    pub pv_seconds: f64,
    /// Seconds of the projections Q, K, V, O.
    pub projections_seconds: f64,
    /// Seconds of all of it.
    pub total_seconds: f64,
    /// Seconds for one request of the batch.
    pub seconds_per_request: f64,
    /// Rotations.
    pub rotations: usize,
    /// Relinearisations.
    pub relinearisations: usize,
    /// Levels used.
    pub levels: u32,
    /// Those of them from the scores to the weights.
    pub softmax_levels: u32,
    /// Bytes of the ciphertexts sent.
    pub ciphertext_bytes: usize,
    /// Bytes of the evaluation keys sent.
    pub key_bytes: usize,
    /// Largest difference from the plain computation with exact division, all outputs.
    pub max_abs_error: f64,
    /// Largest output of the plain computation.
    pub max_abs_output: f64,
}
