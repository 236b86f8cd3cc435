//! The result of timing one operation.

use serde::Serialize;

use super::DeviceReport;

/// Times of one operation on one machine.
#[derive(Clone, Debug, Serialize)]
pub struct OperationReport {
    /// The operation.
    pub op: &'static str,
    /// log2 of the ring degree.
    pub log_n: u32,
    /// log2 of the product of all primes, special ones included.
    pub log_qp: f64,
    /// Rows of one polynomial of a ciphertext.
    pub limbs: usize,
    /// Digits of key switching; 0 where there is none.
    pub digits: usize,
    /// Ciphertexts, or polynomials, that one run works on.
    pub batch: usize,
    /// Threads of the CPU backend.
    pub threads: usize,
    /// What computed.
    #[serde(flatten)]
    pub device: DeviceReport,
    /// Instructions of the kernels, on the CPU backend.
    pub instructions: Option<&'static str>,
    /// Median microseconds of a run.
    pub median_us: f64,
    /// Least microseconds of a run.
    pub min_us: f64,
    /// Microseconds that this device needs at least.
    pub floor_us: f64,
    /// Bytes of operands and results, once each: what no implementation does without.
    pub floor_bytes: f64,
    /// Bytes of buffers that a run takes beside its operands, the result among them; nothing on a GPU.
    pub peak_bytes: Option<usize>,
    /// Bytes that the kernels of the CUDA backend read and write, counted; nothing in a build without it.
    pub moved_bytes: Option<u64>,
    /// A prediction of the microseconds on an A100, from these.
    pub a100_predicted_us: Option<f64>,
    /// How many times slower than the machine of reference this one is, just before or just after, whichever is less.
    pub slowness: Option<f64>,
    /// The median over that: on the machine of reference, if a peer's transform was timed to tell.
    pub scaled_us: Option<f64>,
    /// Products of a weight and a residue a second, for matrix products.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub products_per_second: Option<f64>,
}
