//! The results of the attention benchmark.

use serde::Serialize;

use super::DeviceReport;

/// One run of encrypted attention on random weights and inputs: what every kind of attention has.
#[derive(Clone, Debug, Serialize)]
pub struct AttentionRun {
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
    /// Seconds of Q K^T.
    pub qk_seconds: f64,
    /// Seconds of scores times values, and of quotients where there are any.
    pub pv_seconds: f64,
    /// Seconds of the projections Q, K, V, O; nothing where they are not computed.
    pub projections_seconds: Option<f64>,
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
    /// Bytes of the ciphertexts sent.
    pub ciphertext_bytes: usize,
    /// Bytes of the evaluation keys sent.
    pub key_bytes: usize,
    /// Largest difference from the plain computation, with exact division where there is one, all outputs.
    pub max_abs_error: f64,
    /// Largest output of the plain computation.
    pub max_abs_output: f64,
}

/// One run with a polynomial of the scores.
#[derive(Clone, Debug, Serialize)]
pub struct AttentionReport {
    /// What every kind has.
    #[serde(flatten)]
    pub run: AttentionRun,
    /// Seconds of the polynomial of the scores.
    pub sigma_seconds: f64,
    /// Seconds that this device needs at least, for the products that the computation has and for its input and output.
    pub floor_seconds: f64,
    /// Bytes of input and output, once each: what no implementation does without.
    pub floor_bytes: f64,
    /// Bytes that the kernels of the CUDA backend read and write, counted; nothing in a build without it.
    pub moved_bytes: Option<u64>,
    /// A prediction of the seconds on an A100, from these.
    pub a100_predicted_seconds: Option<f64>,
    /// Rotations and relinearisations.
    pub key_switches: usize,
}
