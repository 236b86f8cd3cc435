//! The result of timing an encrypted product of matrices.

use serde::Serialize;

use super::DeviceReport;
use crate::backend::clock::median;

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
    /// Whether weights are kept as small integers, which every run expands, and not as residues.
    pub light: bool,
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
    /// Median microseconds of a product by the lesser of both clocks.
    pub usual_us: f64,
    /// The same of encoding the weights; 0 where both operands are encrypted.
    pub prepare_us: f64,
    /// `median_us` and `prepare_us` together, on the machine of reference, if a peer's transform was timed to tell.
    pub scaled_us: Option<f64>,
    /// Median microseconds of the plain product in single precision.
    pub plain_gemm_us: f64,
    /// `median_us` over `plain_gemm_us`.
    pub ratio: f64,
    /// Microseconds of the bare product of matrices of residues, likewise, in packings that are one.
    pub residue_gemm_us: Option<f64>,
    /// Bytes of encoded weights in memory; 0 where both operands are encrypted.
    pub weight_bytes: usize,
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
    /// Predicted `usual_us`.
    pub predicted_us: f64,
    /// Predicted `prepare_us`.
    pub predicted_prepare_us: f64,
    /// Predicted `bytes_up`.
    pub predicted_bytes_up: usize,
    /// Predicted `bytes_down`.
    pub predicted_bytes_down: usize,
}

impl MatmulReport {
    /// Several measurements of one product: the least times, and the medians of predictions and of what they are held against.
    pub fn of_rounds(rounds: &[Self]) -> Option<Self> {
        let median = |of: fn(&Self) -> f64| median(&mut rounds.iter().map(of).collect::<Vec<f64>>());
        let (first, others) = rounds.split_first()?;
        Some(Self {
            usual_us: median(|r| r.usual_us),
            prepare_us: median(|r| r.prepare_us),
            predicted_us: median(|r| r.predicted_us),
            predicted_prepare_us: median(|r| r.predicted_prepare_us),
            ..others.iter().fold(first.clone(), Self::least)
        })
    }

    fn least(self, other: &Self) -> Self {
        let known = |a: Option<f64>, b: Option<f64>| Some(a?.min(b?));
        let median_us = self.median_us.min(other.median_us);
        let plain_gemm_us = self.plain_gemm_us.min(other.plain_gemm_us);
        Self {
            median_us,
            min_us: self.min_us.min(other.min_us),
            cpu_us: known(self.cpu_us, other.cpu_us),
            scaled_us: known(self.scaled_us, other.scaled_us),
            plain_gemm_us,
            ratio: median_us / plain_gemm_us,
            residue_gemm_us: known(self.residue_gemm_us, other.residue_gemm_us),
            max_error: self.max_error.max(other.max_error),
            ..self
        }
    }

    /// Whether predicted bytes both ways are within `part` of what was sent.
    pub fn predicts_bytes(&self, part: f64) -> bool {
        let near = |a: usize, b: usize| (a as f64 / b as f64 - 1.0).abs() <= part;
        near(self.predicted_bytes_up, self.bytes_up) && near(self.predicted_bytes_down, self.bytes_down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(time: f64, cpu_us: Option<f64>) -> MatmulReport {
        MatmulReport {
            scheme: "ckks",
            packing: "blocks",
            encrypted: "left",
            m: 1,
            k: 2,
            n: 3,
            batch: 1,
            chain: "chain".into(),
            log_n: 12,
            security_bits: 128,
            light: false,
            device: DeviceReport {
                backend: "cpu",
                device: "CPU".into(),
                emulated: false,
                why: "asked for".into(),
            },
            threads: 1,
            median_us: 2.0 * time,
            min_us: time,
            cpu_us,
            usual_us: 1.5 * time,
            prepare_us: 10.0 - time,
            scaled_us: None,
            plain_gemm_us: 2.0,
            ratio: time,
            residue_gemm_us: None,
            weight_bytes: 1,
            bytes_up: 100,
            bytes_down: 10,
            key_bytes: 0,
            max_error: time / 100.0,
            error_bound: 1.0,
            predicted_us: 3.0 * time,
            predicted_prepare_us: 1.0,
            predicted_bytes_up: 96,
            predicted_bytes_down: 10,
        }
    }

    #[test]
    fn of_rounds_the_least_times_the_largest_error_and_the_median_predictions_count() {
        let rounds = [
            report(4.0, Some(3.5)),
            report(3.0, Some(3.75)),
            report(9.0, Some(9.0)),
        ];
        let all = MatmulReport::of_rounds(&rounds).unwrap();
        assert_eq!((all.median_us, all.min_us, all.cpu_us), (6.0, 3.0, Some(3.5)));
        assert_eq!(
            (all.usual_us, all.prepare_us, all.predicted_us, all.ratio),
            (6.0, 6.0, 12.0, 3.0)
        );
        assert_eq!(all.max_error, 0.09);
        assert!(all.predicts_bytes(0.05) && !all.predicts_bytes(0.03));
        let unknown = [report(4.0, None), report(3.0, Some(1.0))];
        assert_eq!(MatmulReport::of_rounds(&unknown).unwrap().cpu_us, None);
        assert!(MatmulReport::of_rounds(&[]).is_none());
    }
}
