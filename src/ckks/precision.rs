//! How precise decoded slots are: statistics of -log2 |have - want| over the slots, for the real part, the
//! imaginary part and the modulus of the complex error.
//!
//! Errors are absolute. An exact slot counts as [`MOST_BITS`] bits, the precision of the smallest positive
//! f64, so that every figure is finite. Log2 figures are approximate by nature and not part of the numerical
//! contract.

use std::fmt;

use serde::Serialize;

use crate::arith::Complex;

/// The bits of an exact slot: -log2 of 2^-1074, the smallest positive f64.
pub const MOST_BITS: f64 = 1074.0;

/// Why there is no report.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PrecisionError {
    /// The two vectors differ in length.
    #[error(
        "precision: {want} expected slots against {have} decoded ones; compare vectors of the same length"
    )]
    Length {
        /// Number of expected slots.
        want: usize,
        /// Number of decoded slots.
        have: usize,
    },
    /// There are no slots.
    #[error("precision: no slots to compare; pass at least one")]
    Empty,
    /// A value is infinite or not a number.
    #[error(
        "precision: slot {slot} is {} against {}, of which one is not finite; the decryption or the reference \
         failed there",
        Show(have),
        Show(want)
    )]
    NotFinite {
        /// Index of the slot.
        slot: usize,
        /// Expected value.
        want: Complex,
        /// Decoded value.
        have: Complex,
    },
}

struct Show<'a>(&'a Complex);

impl fmt::Display for Show<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:+} i", self.0.re, self.0.im)
    }
}

/// Statistics of one kind of error over the slots.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PrecisionPart {
    /// Bits of the worst slot.
    pub min_bits: f64,
    /// Mean of the bits.
    pub mean_bits: f64,
    /// Median of the bits (the mean of the middle two for an even number of slots).
    pub median_bits: f64,
    /// Bits of the best slot.
    pub max_bits: f64,
    /// log2 of the standard deviation of the signed error (of the modulus: of the distance), at least -1074.
    pub error_std_log2: f64,
}

/// Precision of decoded slots against expected ones.
///
/// `Display` prints a table: one line per statistic, one column per part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PrecisionReport {
    /// Number of slots compared.
    pub slots: usize,
    /// Errors of the real parts.
    pub real: PrecisionPart,
    /// Errors of the imaginary parts.
    pub imaginary: PrecisionPart,
    /// |have - want|.
    pub modulus: PrecisionPart,
    /// The largest |have - want|.
    pub max_abs_error: f64,
}

impl PrecisionReport {
    /// Compares slot by slot. Cost: O(n log n) and three scratch vectors of n numbers.
    ///
    /// Errors: different lengths, no slots, a value that is not finite.
    pub fn new(want: &[Complex], have: &[Complex]) -> Result<Self, PrecisionError> {
        if want.len() != have.len() {
            return Err(PrecisionError::Length {
                want: want.len(),
                have: have.len(),
            });
        }
        if want.is_empty() {
            return Err(PrecisionError::Empty);
        }
        let mut errors = Vec::with_capacity(want.len());
        for (slot, (&want, &have)) in want.iter().zip(have).enumerate() {
            if !(want.is_finite() && have.is_finite()) {
                return Err(PrecisionError::NotFinite { slot, want, have });
            }
            errors.push(have - want);
        }
        let modulus: Vec<f64> = errors.iter().map(|e| cap(e.abs())).collect();
        Ok(Self {
            slots: errors.len(),
            real: PrecisionPart::new(errors.iter().map(|e| cap(e.re)).collect()),
            imaginary: PrecisionPart::new(errors.iter().map(|e| cap(e.im)).collect()),
            max_abs_error: modulus.iter().copied().fold(0.0, f64::max),
            modulus: PrecisionPart::new(modulus),
        })
    }
}

/// A difference of finite numbers that overflowed counts as the largest finite one.
fn cap(error: f64) -> f64 {
    error.clamp(f64::MIN, f64::MAX)
}

/// -log2 |error| in \[-1024, MOST_BITS\].
fn bits(error: f64) -> f64 {
    (-error.abs().log2()).min(MOST_BITS)
}

impl PrecisionPart {
    /// The statistics of a non-empty vector of finite errors.
    fn new(errors: Vec<f64>) -> Self {
        let count = errors.len() as f64;
        // Relative to the largest, so that neither sums nor squares leave the range.
        let largest = errors.iter().fold(0.0, |a: f64, e| a.max(e.abs()));
        let unit = if largest > 0.0 { largest } else { 1.0 };
        let mean = errors.iter().map(|e| e / unit).sum::<f64>() / count;
        let variance = errors.iter().map(|e| (e / unit - mean).powi(2)).sum::<f64>() / count;
        let error_std_log2 = (variance.sqrt().log2() + unit.log2()).max(-MOST_BITS);

        let mut sorted: Vec<f64> = errors.into_iter().map(bits).collect();
        sorted.sort_by(f64::total_cmp);
        let (middle, last) = (sorted.len() / 2, sorted.len() - 1);
        Self {
            min_bits: sorted[0],
            mean_bits: sorted.iter().sum::<f64>() / count,
            median_bits: (sorted[middle] + sorted[last - middle]) / 2.0,
            max_bits: sorted[last],
            error_std_log2,
        }
    }
}

type Statistic = fn(&PrecisionPart) -> f64;

impl fmt::Display for PrecisionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<22}{:>10}{:>10}{:>10}",
            "log2", "real", "imaginary", "modulus"
        )?;
        let rows: [(&str, Statistic); 5] = [
            ("minimum bits", |p| p.min_bits),
            ("mean bits", |p| p.mean_bits),
            ("median bits", |p| p.median_bits),
            ("maximum bits", |p| p.max_bits),
            ("log2 of error std dev", |p| p.error_std_log2),
        ];
        for (name, value) in rows {
            let [re, im, modulus] = [&self.real, &self.imaginary, &self.modulus].map(value);
            writeln!(f, "{name:<22}{re:>10.2}{im:>10.2}{modulus:>10.2}")?;
        }
        write!(
            f,
            "{} slots, largest error {:.3e}",
            self.slots, self.max_abs_error
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(re: f64, im: f64) -> Complex {
        Complex::new(re, im)
    }

    #[test]
    fn statistics_of_known_errors() {
        let want = [pair(1.0, -1.0); 4];
        let have = [2f64.powi(-10), -(2f64.powi(-20)), 2f64.powi(-30), 0.0].map(|e| pair(1.0 + e, -1.0));
        let report = PrecisionReport::new(&want, &have).unwrap();
        assert_eq!((report.slots, report.max_abs_error), (4, 2f64.powi(-10)));
        for part in [report.real, report.modulus] {
            assert_eq!(
                (part.min_bits, part.max_bits, part.median_bits),
                (10.0, MOST_BITS, 25.0)
            );
            assert_eq!(part.mean_bits, (10.0 + 20.0 + 30.0 + MOST_BITS) / 4.0);
        }
        let errors = [2f64.powi(-10), -(2f64.powi(-20)), 2f64.powi(-30), 0.0];
        let mean = errors.iter().sum::<f64>() / 4.0;
        let std = (errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / 4.0).sqrt();
        assert!((report.real.error_std_log2 - std.log2()).abs() < 1e-12);
        let exact = report.imaginary;
        assert_eq!(
            (exact.min_bits, exact.mean_bits, exact.median_bits),
            (MOST_BITS, MOST_BITS, MOST_BITS)
        );
        assert_eq!(exact.error_std_log2, -MOST_BITS);
    }

    #[test]
    fn median_of_an_odd_number_is_the_middle() {
        let have = [0.5, 0.25, 0.0625].map(|e| pair(0.0, e));
        let report = PrecisionReport::new(&[pair(0.0, 0.0); 3], &have).unwrap();
        assert_eq!(report.imaginary.median_bits, 2.0);
        assert_eq!(report.modulus.min_bits, 1.0);
    }

    #[test]
    fn extreme_errors_stay_finite() {
        let tiny = f64::from_bits(1);
        for (want, have) in [(f64::MAX, f64::MIN), (0.0, tiny), (0.0, 1e-200), (0.0, 1e200)] {
            let report = PrecisionReport::new(
                &[pair(want, want), pair(0.0, 0.0)],
                &[pair(have, have), pair(0.0, 0.0)],
            );
            let report = report.unwrap();
            for part in [report.real, report.imaginary, report.modulus] {
                let all = [
                    part.min_bits,
                    part.mean_bits,
                    part.median_bits,
                    part.max_bits,
                    part.error_std_log2,
                ];
                assert!(
                    all.iter().all(|x| x.is_finite() && x.abs() <= MOST_BITS),
                    "{part:?}"
                );
            }
            assert!(report.max_abs_error.is_finite());
        }
        let report = PrecisionReport::new(
            &[pair(0.0, 0.0), pair(0.0, 0.0)],
            &[pair(1e-200, 0.0), pair(-1e-200, 0.0)],
        );
        assert!((report.unwrap().real.error_std_log2 - 1e-200f64.log2()).abs() < 1e-9);
    }

    #[test]
    fn faults_are_typed() {
        let one = pair(1.0, 0.0);
        assert_eq!(
            PrecisionReport::new(&[one], &[]),
            Err(PrecisionError::Length { want: 1, have: 0 })
        );
        assert_eq!(PrecisionReport::new(&[], &[]), Err(PrecisionError::Empty));
        let fault = PrecisionReport::new(&[one, one], &[one, pair(0.0, f64::INFINITY)]).unwrap_err();
        assert!(
            fault.to_string().contains("slot 1 is 0 +inf i against 1 +0 i"),
            "{fault}"
        );
        assert!(PrecisionReport::new(&[pair(f64::NAN, 0.0)], &[one]).is_err());
    }

    #[test]
    fn table_and_serialised_form() {
        let report = PrecisionReport::new(&[pair(0.0, 0.0)], &[pair(0.5, 0.25)]).unwrap();
        let table = report.to_string();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(
            lines[0].split_whitespace().collect::<Vec<_>>(),
            ["log2", "real", "imaginary", "modulus"]
        );
        assert_eq!(
            lines[1].split_whitespace().collect::<Vec<_>>(),
            ["minimum", "bits", "1.00", "2.00", "0.84"]
        );
        assert!(lines.iter().take(6).all(|l| l.len() == lines[0].len()), "{table}");
        assert_eq!(lines[6], "1 slots, largest error 5.590e-1");
        let json = serde_json::to_value(report).unwrap();
        assert_eq!(json["real"]["min_bits"], 1.0);
        assert_eq!(json["slots"], 1);
    }
}
