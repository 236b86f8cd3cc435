//! The result of timing an encrypted product of matrices.

use serde::Serialize;

/// Times, bytes and errors of one product, with what the planner said.
#[derive(Clone, Debug, Serialize)]
pub struct MatmulReport {
    /// `ckks` or `bfv`.
    pub scheme: &'static str,
    /// The packing.
    pub packing: &'static str,
    /// Rows of a request.
    pub m: usize,
    /// Features in.
    pub k: usize,
    /// Features out.
    pub n: usize,
    /// Requests.
    pub batch: usize,
    /// The chain.
    pub chain: String,
    /// log2 of the ring degree.
    pub log_n: u32,
    /// Classical security in bits.
    pub security_bits: u32,
    /// The device.
    pub backend: &'static str,
    /// Threads of the CPU backend.
    pub threads: usize,
    /// Median microseconds of a product, weights encoded.
    pub median_us: f64,
    /// Median microseconds of encoding the weights.
    pub prepare_us: f64,
    /// `median_us` + `prepare_us` on the machine of reference, if a peer's transform was timed to tell.
    pub scaled_us: Option<f64>,
    /// Median microseconds of the plain product in single precision.
    pub plain_gemm_us: f64,
    /// `median_us` over `plain_gemm_us`.
    pub ratio: f64,
    /// Median microseconds of the bare product of matrices of residues, in packings that are one.
    pub residue_gemm_us: Option<f64>,
    /// Bytes of encrypted inputs, seeded.
    pub bytes_up: usize,
    /// Bytes of encrypted results.
    pub bytes_down: usize,
    /// Bytes of keys, seeded.
    pub key_bytes: usize,
    /// Largest difference from the plain product.
    pub max_error: f64,
    /// What the plan promises.
    pub error_bound: f64,
    /// Predicted `median_us`.
    pub predicted_us: f64,
    /// Predicted `prepare_us`.
    pub predicted_prepare_us: f64,
    /// Predicted `bytes_up`.
    pub predicted_bytes_up: usize,
    /// Predicted `bytes_down`.
    pub predicted_bytes_down: usize,
}
