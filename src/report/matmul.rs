//! The result of timing an encrypted product of matrices.

use serde::Serialize;

use super::DeviceReport;

/// Times, bytes and errors of one product, with what the planner said.
#[derive(Clone, Debug, Serialize)]
pub struct MatmulReport {
    /// `ckks` or `bfv`.
    pub scheme: &'static str,
    /// The packing.
    pub packing: &'static str,
    /// The encrypted operand: `left`, `right` or `both`.
    pub encrypted: &'static str,
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
    /// What computed.
    #[serde(flatten)]
    pub device: DeviceReport,
    /// Threads of the CPU backend.
    pub threads: usize,
    /// Median microseconds of a product, weights encoded.
    pub median_us: f64,
    /// Least microseconds of a product.
    pub min_us: f64,
    /// Least microseconds that a product had the processor, other programs' turns left out; null where that is not known: on a GPU, and
    /// with more than one thread.
    pub cpu_us: Option<f64>,
    /// Microseconds of encoding the weights, the lesser of least and processor time; 0 where both operands are encrypted.
    pub prepare_us: f64,
    /// What a product takes by itself (`own_us`) and `prepare_us` together, on the machine of reference, if a peer's transform was timed to tell.
    pub scaled_us: Option<f64>,
    /// Median microseconds of the plain product in single precision.
    pub plain_gemm_us: f64,
    /// `median_us` over `plain_gemm_us`.
    pub ratio: f64,
    /// Microseconds of the bare product of matrices of residues, likewise, in packings that are one.
    pub residue_gemm_us: Option<f64>,
    /// Bytes of encrypted inputs, seeded: residues of 4 bytes in CKKS, files in BFV.
    pub bytes_up: usize,
    /// Bytes of encrypted results, likewise.
    pub bytes_down: usize,
    /// Bytes of keys, seeded.
    pub key_bytes: usize,
    /// Largest difference from the plain product.
    pub max_error: f64,
    /// What the plan promises.
    pub error_bound: f64,
    /// Predicted time of a product, to be held against `min_us`, or `cpu_us` on a machine that others use.
    pub predicted_us: f64,
    /// Predicted `prepare_us`.
    pub predicted_prepare_us: f64,
    /// Predicted `bytes_up`.
    pub predicted_bytes_up: usize,
    /// Predicted `bytes_down`.
    pub predicted_bytes_down: usize,
}

impl MatmulReport {
    /// Microseconds of a product that owe nothing to other programs: processor time, or the least where that is less or all that is known.
    pub fn own_us(&self) -> f64 {
        self.cpu_us.map_or(self.min_us, |cpu| cpu.min(self.min_us))
    }

    /// Whether predicted bytes both ways are within `part` of what was sent.
    pub fn predicts_bytes(&self, part: f64) -> bool {
        let near = |a: usize, b: usize| (a as f64 / b as f64 - 1.0).abs() <= part;
        near(self.predicted_bytes_up, self.bytes_up) && near(self.predicted_bytes_down, self.bytes_down)
    }
}
