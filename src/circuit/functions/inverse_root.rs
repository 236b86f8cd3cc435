//! 1 / sqrt(x) by a minimax polynomial and relaxed Newton steps.
//!
//! The polynomial y_0 has the least relative error E on [low, high]; it is divided by 1 + E, so that a = x y^2 is in [e, 1],
//! e = ((1 - E) / (1 + E))^2, whatever E < 1 is: Newton's iteration, which diverges from a >= 3, is safe for every ratio high / low.
//! Each step
//!
//! ```text
//! y <- sqrt(k) y (3 - k x y^2) / 2      a <- k a (3 - k a)^2 / 4
//! (1 - e^3) k^2 + (6 e^2 - 6) k + (9 - 9 e) = 0
//! ```
//!
//! has the k for which both ends of [e, 1] are mapped to the same number (k = 1 is Newton's own), multiplying a small e by up to
//! 27/4 instead of 9/4. The last step is centred, y 2 / (1 + sqrt(e)): relative error (1 - sqrt e) / (1 + sqrt e). A step takes two levels
//! and three products, (x y) and (y y) first; the constant k^(3/2) / 2 costs nothing, since x is brought to whatever scale makes the
//! product right.

use super::Stage;
use crate::circuit::{
    Arithmetic, CircuitError, Interval, Polynomial, Result,
    approximate::{Parity, Remez},
    scaled::{product_with_free, rational},
};

const MOST: usize = 30;
const DEGREES: [usize; 4] = [3, 7, 15, 31];
/// What noise may move the start by, relative.
const MARGIN: f64 = 1.0 / (1u64 << 20) as f64;

/// The start and the steps for an interval and a precision.
#[derive(Clone, Debug)]
pub struct InverseRoot {
    interval: Interval,
    start: Polynomial,
    /// (c_1, c_2) of each step: y <- c_1 y - c_2 x y^3, c_2 a rational of few bits.
    steps: Vec<(f64, f64)>,
    error: f64,
}

impl InverseRoot {
    /// For x in [low, high], low > 0, with a relative error below 2^-bits: of the degrees 3, 7, 15, 31 of the start the one with the
    /// least depth, and of those of equal depth the least work.
    ///
    /// # Errors
    /// [`CircuitError::Interval`] unless 0 < low < high; [`CircuitError::Approximation`] for more than 30 steps.
    pub fn new(low: f64, high: f64, bits: f64) -> Result<Self> {
        let mut best: Option<Self> = None;
        for degree in DEGREES {
            let candidate = Self::with_start(low, high, bits, degree)?;
            if best.as_ref().is_none_or(|b| candidate.depth() < b.depth()) {
                best = Some(candidate);
            }
        }
        best.ok_or(CircuitError::Interval { low, high })
    }

    /// With a start of a degree.
    ///
    /// # Errors
    /// As `new`; a degree outside 1..=4095.
    pub fn with_start(low: f64, high: f64, bits: f64, degree: usize) -> Result<Self> {
        let interval = Interval::new(low, high)?;
        if interval.low() <= 0.0 {
            return Err(CircuitError::Interval { low, high });
        }
        let start = Remez {
            f: |x: f64| 1.0 / x.sqrt(),
            weight: |x: f64| x.sqrt(),
            intervals: vec![interval],
            hull: interval,
            degree,
            parity: Parity::All,
        };
        let start = start.run()?;
        let (error, target) = (start.error, (-bits).exp2());
        let start = start.polynomial.scaled(1.0 / (1.0 + error + MARGIN))?;
        let mut e = ((1.0 - error) / (1.0 + error + 2.0 * MARGIN)).max(0.0).powi(2);
        let centred = |e: f64| (1.0 - e.sqrt()) / (1.0 + e.sqrt());
        let mut steps = Vec::new();
        while target.is_nan() || centred(e) > target {
            if steps.len() == MOST || e == 0.0 {
                return Err(CircuitError::Approximation {
                    operation: "inverse square root",
                    what: format!(
                        "{bits} bits on {interval} take more than {MOST} steps from degree {degree}"
                    ),
                    remedy: "ask for less than 40 bits, or start from a higher degree",
                });
            }
            let k = relaxation(e);
            let (c2, _) = rational(k.powf(1.5) / 2.0)?;
            steps.push((1.5 * k.sqrt(), c2));
            // f(1) and f(e) are equal but for rounding, and 1 is the largest value in between.
            e = (k * e * (3.0 - k * e).powi(2) / 4.0).min(k * (3.0 - k).powi(2) / 4.0) * (1.0 - 1e-6);
        }
        let mut root = Self {
            interval,
            start,
            steps,
            error: centred(e) + 1e-6,
        };
        let centring = 2.0 / (1.0 + e.sqrt());
        match root.steps.last_mut() {
            Some(last) => *last = (last.0 * centring, rational(last.1 * centring)?.0),
            None => root.start = root.start.scaled(centring)?,
        }
        Ok(root)
    }

    /// Where it may be evaluated.
    pub fn interval(&self) -> Interval {
        self.interval
    }

    /// Bound on the relative error.
    pub fn error(&self) -> f64 {
        self.error
    }

    /// The degree of the start, then 3 a step.
    pub fn degrees(&self) -> Vec<usize> {
        let steps = vec![3; self.steps.len()];
        [vec![self.start.degree()], steps].concat()
    }

    pub(super) fn start_depth(&self) -> u32 {
        self.start.depth()
    }

    fn depth(&self) -> u32 {
        self.start.depth() + 2 * self.steps.len() as u32
    }

    pub(super) fn stages(&self) -> Vec<Stage> {
        let start = Stage {
            name: format!("start of degree {}", self.start.degree()),
            depth: self.start.depth(),
        };
        let step = |i| Stage {
            name: format!("step {}", i + 1),
            depth: 2,
        };
        [start]
            .into_iter()
            .chain((0..self.steps.len()).map(step))
            .collect()
    }

    /// The approximation in the clear.
    pub fn value(&self, x: f64) -> f64 {
        let start = self.start.value(x);
        self.steps
            .iter()
            .fold(start, |y, (c1, c2)| c1 * y - c2 * x * y * y * y)
    }

    /// 1 / sqrt(x) at the canonical scale.
    pub(super) fn run_on<A: Arithmetic>(&self, m: &mut A, x: &A::Value) -> Result<A::Value> {
        let mut y = self.start.evaluate_on(m, x)?;
        for (c1, c2) in &self.steps {
            // w = c_2 x y, at the canonical scale.
            let (_, exact) = rational(*c2)?;
            let (product, _) = product_with_free(m, &y, x, &exact)?;
            let w = m.relinearise_rescale(&product)?;
            let square = m.mul(&y, &y)?;
            let square = m.relinearise_rescale(&square)?;
            let square = m.neg(&square)?;
            let mut sum = m.mul(&w, &square)?;
            let low = m.lower(&y, m.level(&w))?;
            let scale = m.scale(&sum).div(&m.scale(&low))?;
            m.mul_const_add(&mut sum, &low, *c1, &scale)?;
            y = m.relinearise_rescale(&sum)?;
        }
        Ok(y)
    }
}

/// The smaller root k of (1 - e^3) k^2 + (6 e^2 - 6) k + (9 - 9 e) = 0, divided by 1 - e: (1 + e + e^2) k^2 - 6 (1 + e) k + 9 = 0.
fn relaxation(e: f64) -> f64 {
    let (a, b) = (1.0 + e + e * e, 6.0 * (1.0 + e));
    let root = (b * b - 36.0 * a).max(0.0).sqrt();
    (b - root) / (2.0 * a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_ratios_converge() {
        // 262.8 is where Newton's iteration diverges from the linear minimax start.
        for (low, high, bits, degree) in [
            (1.0, 100.0, 10.0, 7),
            (1.0, 300.0, 10.0, 15),
            (1.0, 2000.0, 10.0, 1),
            (0.75, 2500.0, 10.0, 31),
            (1e-3, 1e3, 12.0, 3),
            (0.9, 1.1, 20.0, 3),
        ] {
            let r = InverseRoot::with_start(low, high, bits, degree).unwrap();
            let points = r.interval().points(20_001);
            let worst = points
                .map(|x| (r.value(x) * x.sqrt() - 1.0).abs())
                .fold(0.0, f64::max);
            assert!(
                worst <= r.error(),
                "[{low}, {high}]: {worst:e} above {:e}",
                r.error()
            );
            assert!(r.error() <= (-bits).exp2() + 2e-6);
        }
    }

    #[test]
    fn relaxed_steps_are_fewer() {
        // From a start of degree 1 on [1, 10^6] Newton needs 20 steps to 10^-3 and more.
        let r = InverseRoot::with_start(1.0, 1e6, 10.0, 1).unwrap();
        assert!(r.steps.len() <= 10, "{}", r.steps.len());
        // Degree 15 and two steps are enough for a ratio of 300.
        let r = InverseRoot::with_start(1.0, 300.0, 10.0, 15).unwrap();
        assert!(r.steps.len() <= 2, "{}", r.steps.len());
    }

    #[test]
    fn faults_are_typed() {
        for (low, high) in [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0)] {
            let error = InverseRoot::new(low, high, 10.0).unwrap_err();
            assert!(matches!(error, CircuitError::Interval { .. }), "{error}");
        }
        let error = InverseRoot::new(1.0, 10.0, 100.0).unwrap_err();
        assert!(matches!(error, CircuitError::Approximation { .. }), "{error}");
    }
}
