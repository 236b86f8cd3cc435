//! The result of timing one operation.

use serde::Serialize;

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
    /// The device.
    pub backend: &'static str,
    /// Instructions of the CPU backend's kernels.
    pub instructions: &'static str,
    /// Median microseconds of a run.
    pub median_us: f64,
    /// Least microseconds of a run.
    pub min_us: f64,
    /// Microseconds that this machine needs at least.
    pub floor_us: f64,
    /// The median on the machine of reference, if a peer's transform was timed to tell.
    pub scaled_us: Option<f64>,
    /// Products of a weight and a residue a second, for matrix products.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub products_per_second: Option<f64>,
}
