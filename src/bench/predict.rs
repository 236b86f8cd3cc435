//! What an A100 would take: a prediction, not a measurement.
//!
//! time = max(bytes / 1.94 TB/s, launches x 2 us)
//!
//! Launches and bytes are those of the CUDA backend's own kernels, counted without a device
//! (`Cuda::counting`), tables included; 2 us a launch is an assumption. Caches make what is
//! small faster than its bytes, and arithmetic, which is not counted, may make it slower.

#[cfg(feature = "cuda")]
use super::traffic::A100_BYTES_PER_SECOND;
#[cfg(feature = "cuda")]
use crate::backend::cuda::Launch;

/// Microseconds of a launch.
#[cfg(feature = "cuda")]
const LAUNCH_US: f64 = 2.0;

/// A prediction for one run of something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Bytes that the kernels read and write.
    pub moved_bytes: u64,
    /// Launches.
    pub launches: usize,
    /// Microseconds on an A100.
    pub a100_us: f64,
}

#[cfg(feature = "cuda")]
impl Prediction {
    /// From what would be launched.
    pub fn new(launches: &[Launch]) -> Self {
        let moved_bytes = launches.iter().map(|l| l.moved_bytes() + l.table_bytes).sum();
        let by_bytes = 1e6 * moved_bytes as f64 / A100_BYTES_PER_SECOND;
        Self {
            moved_bytes,
            launches: launches.len(),
            a100_us: by_bytes.max(launches.len() as f64 * LAUNCH_US),
        }
    }
}

#[cfg(all(test, feature = "cuda"))]
mod tests {
    use super::*;
    use crate::bench::{Case, GROUPS};

    /// Kernels never move less than operands and results, once each, and bytes cost their time.
    #[test]
    fn what_is_moved_is_at_least_the_floor() {
        let group = GROUPS
            .iter()
            .find(|g| g.log_n == 14 && g.ops.contains(&"ckks/rotate"))
            .unwrap();
        let ops = ["ckks/rotate", "ckks/mul_plain"];
        let predictions = group.predict(&ops).unwrap();
        let cases: Vec<Case> = group.load(crate::backend::null::Null::new(), &ops).unwrap();
        assert_eq!(predictions.len(), cases.len());
        for (prediction, case) in predictions.iter().zip(&cases) {
            let Prediction {
                moved_bytes,
                launches,
                a100_us,
            } = prediction.unwrap();
            assert!(moved_bytes as f64 >= case.work.bytes, "{}", case.op);
            assert!(launches > 0 && a100_us >= 2.0 * launches as f64, "{}", case.op);
            assert!(a100_us * 1.94e6 >= moved_bytes as f64 * 0.999, "{}", case.op);
        }
    }

    #[test]
    fn nothing_takes_no_time() {
        assert_eq!(Prediction::new(&[]).a100_us, 0.0);
    }
}
