//! 1 / x by relaxed Goldschmidt iteration.
//!
//! With b_0 = x / high in [e_0, 1], a_0 = 1:
//!
//! ```text
//! k = 2 / (1 + e)      a <- k a (2 - k b)      b <- k b (2 - k b)      e <- k e (2 - k e)
//! ```
//!
//! keeps b in [e, 1] and a x / high = b; the least of b is multiplied by up to 4 in a round, where the plain iteration (k = 1)
//! doubles it. The result is a 2 / (high (1 + e)), relative error (1 - e) / (1 + e). A round is one level and two products; the first
//! one of a is a product with a constant.
//!
//! # Scales
//!
//! No level is spent on k. -k^2 b^2 + 2 k b is the product of b with -n b, n an integer, read at scale s^2 n / k^2 instead of s^2,
//! plus b times a constant; k is a rational of few bits, so that the scale stays exact. n is chosen to keep the scale within a bit
//! of the canonical one. a takes the same n: its scale stays in a fixed proportion to that of b, and the constants of the first
//! round are encoded so that it ends at the canonical scale exactly.

use super::Stage;
use crate::{
    arith::Complex,
    circuit::{
        Arithmetic, CircuitError, Interval, Result,
        scaled::{canonical, change_of_canonical, change_variable, rational},
    },
    ring::Scale,
    rlwe::Level,
};

/// Most rounds.
const MOST: usize = 40;

/// The iteration for an interval and a precision.
#[derive(Clone, Debug)]
pub struct Reciprocal {
    interval: Interval,
    /// [-high, high]: its half-width divides x.
    variable: Interval,
    /// k of each round, as they are.
    relaxation: Vec<f64>,
    /// The least of b in the end.
    end: f64,
}

/// One round's constants.
struct Round {
    /// k.
    k: f64,
    /// The integer that multiplies one factor.
    n: f64,
    /// n / k^2: what the product's scale is multiplied by.
    factor: Scale,
}

impl Reciprocal {
    /// For x in [low, high], low > 0, with a relative error below 2^-bits.
    ///
    /// # Errors
    /// [`CircuitError::Interval`] unless 0 < low < high; [`CircuitError::Approximation`] for more than 40 rounds.
    pub fn new(low: f64, high: f64, bits: f64) -> Result<Self> {
        let interval = Interval::new(low, high)?;
        if interval.low() <= 0.0 {
            return Err(CircuitError::Interval { low, high });
        }
        let variable = Interval::symmetric(interval.high())?;
        let (mut e, mut relaxation) = (interval.low() / variable.half(), Vec::new());
        let target = (-bits).exp2();
        while relaxation.is_empty() || target.is_nan() || (1.0 - e) / (1.0 + e) > target {
            if relaxation.len() == MOST {
                return Err(CircuitError::Approximation {
                    operation: "reciprocal",
                    what: format!("{bits} bits on {interval} take more than {MOST} rounds"),
                    remedy: "ask for less than 50 bits",
                });
            }
            // Rounded down, which keeps b below 1.
            let (k, _) = rational(2.0 / (1.0 + e) * (1.0 - 1.0 / f64::from(1 << 22)))?;
            relaxation.push(k);
            e = (k * e * (2.0 - k * e)).min(k * (2.0 - k));
        }
        Ok(Self {
            interval,
            variable,
            relaxation,
            end: e,
        })
    }

    /// Where it may be evaluated.
    pub fn interval(&self) -> Interval {
        self.interval
    }

    pub(super) fn variable(&self) -> Interval {
        self.variable
    }

    /// How far the scale of b may be from the canonical one, in bits.
    pub(super) const DRIFT: f64 = 0.5;

    /// Levels for an input at a canonical scale.
    pub(super) fn depth_of_canonical(&self) -> u32 {
        self.relaxation.len() as u32 + change_of_canonical(self.variable, Self::DRIFT)
    }

    /// Rounds, a level each.
    pub fn iterations(&self) -> usize {
        self.relaxation.len()
    }

    /// Bound on the relative error.
    pub fn error(&self) -> f64 {
        // b is in [e, 1]; 2^-40 for the rounding of constants.
        (1.0 - self.end) / (1.0 + self.end) + 1e-12
    }

    pub(super) fn stages(&self) -> Vec<Stage> {
        let round = |i| Stage {
            name: format!("round {}", i + 1),
            depth: 1,
        };
        (0..self.iterations()).map(round).collect()
    }

    /// What multiplies a.
    fn centring(&self) -> f64 {
        2.0 / (1.0 + self.end) / self.variable.half()
    }

    /// The approximation in the clear.
    pub fn value(&self, x: f64) -> f64 {
        let (mut a, mut b) = (self.centring(), x / self.variable.half());
        for k in &self.relaxation {
            let w = k * (2.0 - k * b);
            (a, b) = (a * w, b * w);
        }
        a
    }

    /// The constants of each round, and the scale of b after all but the last, for a first scale at a level.
    fn rounds<A: Arithmetic>(
        &self,
        m: &A,
        mut level: Level,
        mut scale: Scale,
    ) -> Result<(Vec<Round>, Scale)> {
        let mut rounds = Vec::with_capacity(self.relaxation.len());
        for k in &self.relaxation {
            let below = level.below().unwrap_or(level);
            let before = m.before_rescale(below, &canonical(m, below)?)?;
            let square = scale.mul(&scale)?;
            let (k, exact) = rational(*k)?;
            let n = (before.div(&square)?.to_f64() * k * k).round().max(1.0);
            let (n, exact_n) = rational(n)?;
            let factor = exact_n.div(&exact.mul(&exact)?)?;
            let ratio = canonical(m, below)?.div(&before)?;
            scale = square.mul(&factor)?.mul(&ratio)?;
            level = below;
            rounds.push(Round { k, n, factor });
        }
        Ok((rounds, scale))
    }

    /// 1 / x at the canonical scale.
    pub(super) fn run_on<A: Arithmetic>(&self, m: &mut A, x: &A::Value) -> Result<A::Value> {
        let depth = self.iterations() as u32;
        let mut b = change_variable(m, x, self.variable, Self::DRIFT, depth)?;
        let (rounds, last) = self.rounds(m, m.level(&b), m.scale(&b))?;
        let end = Level(m.level(&b).0.saturating_sub(depth));
        // a and b keep the proportion of their scales from the first round on.
        let proportion = canonical(m, end)?.div(&last)?;
        let mut a: Option<A::Value> = None;
        for (i, round) in rounds.iter().enumerate() {
            let is_last = i + 1 == rounds.len();
            a = Some(match a {
                None => {
                    let c = self.centring();
                    let below = m.level(&b).below().unwrap_or(m.level(&b));
                    let square = m.scale(&b).mul(&m.scale(&b))?;
                    let before = square.mul(&round.factor)?.mul(&proportion)?;
                    let scale = before.div(&m.scale(&b))?;
                    let linear = m.mul_const(&b, -c * round.k * round.k, &scale)?;
                    let linear = m.relinearise_rescale(&linear)?;
                    debug_assert_eq!(m.level(&linear), below);
                    m.add_const(&linear, Complex::from(2.0 * c * round.k))?
                }
                Some(a) => self.round(m, round, &a, &b)?,
            });
            if !is_last {
                b = self.round(m, round, &b, &b)?;
            }
        }
        a.ok_or_else(|| CircuitError::mismatch("reciprocal", "rounds", 0, "at least 1", "ask for more bits"))
    }

    /// -k^2 a b + 2 k a.
    fn round<A: Arithmetic>(&self, m: &mut A, round: &Round, a: &A::Value, b: &A::Value) -> Result<A::Value> {
        let turned = m.mul_const(b, -round.n, &Scale::pow2(0))?;
        let product = m.mul(a, &turned)?;
        let scale = m.scale(&product).mul(&round.factor)?;
        let mut product = m.at_scale(&product, scale.clone())?;
        m.mul_const_add(&mut product, a, 2.0 * round.k, &scale.div(&m.scale(a))?)?;
        m.relinearise_rescale(&product)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_fewer_than_plain_ones() {
        for (log2, most) in [(6, 6), (10, 8), (12, 9), (16, 11), (18, 12), (20, 13)] {
            let r = Reciprocal::new((-f64::from(log2)).exp2(), 1.0, 10.0).unwrap();
            assert!(r.iterations() <= most, "2^-{log2}: {} rounds", r.iterations());
            assert!(r.error() <= 1.01 / 1024.0);
        }
    }

    #[test]
    fn bounds_hold_at_the_worst_points() {
        for (low, high, bits) in [
            (0.01, 1.0, 10.0),
            (0.5, 3.0, 20.0),
            (2.0, 1000.0, 5.0),
            (1e-3, 1.001, 8.0),
        ] {
            let r = Reciprocal::new(low, high, bits).unwrap();
            let worst = r
                .interval()
                .points(20_001)
                .map(|x| (r.value(x) * x - 1.0).abs())
                .fold(0.0, f64::max);
            assert!(
                worst <= r.error(),
                "[{low}, {high}]: {worst:e} above {:e}",
                r.error()
            );
            assert!(r.error() <= 1.01 * (-bits).exp2() && worst > r.error() / 4.0);
        }
    }

    #[test]
    fn faults_are_typed() {
        for (low, high) in [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0)] {
            let error = Reciprocal::new(low, high, 10.0).unwrap_err();
            assert!(matches!(error, CircuitError::Interval { .. }), "{error}");
        }
        let error = Reciprocal::new(1e-12, 1.0, 200.0).unwrap_err();
        assert!(matches!(error, CircuitError::Approximation { .. }), "{error}");
    }
}
