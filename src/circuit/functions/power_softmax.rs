//! PowerSoftmax (arXiv 2410.09457) over the items of a batch, in the form that does not depend on their number:
//!
//! ```text
//! w_j = (1 / L) y_j / (eps + mean y),   y_j = (x_j / R)^p,   p even, |x_j| <= R
//! ```
//!
//! x is divided by R L^(1/p) instead of R, which makes y_j / L of y_j: the sum over the items is then their mean, and 1 / L costs
//! nothing. The mean is in [0, 1], so that the divisor is in [eps, 1 + eps]; its reciprocal is one ciphertext a batch, and only the
//! last product is again as wide as the input.

use super::{Reciprocal, Stage, function::levels};
use crate::{
    arith::Complex,
    circuit::{
        Accuracy, Arithmetic, Circuit, CircuitError, Interval, Result,
        explain::input_of,
        powers::log2_ceil,
        scaled::{change_cost, change_of_canonical, change_variable, drift_for, power, product_with_free},
    },
    ring::Scale,
};

/// One input of L items, slots as they are; the result has as many.
#[derive(Clone, Debug)]
pub struct PowerSoftmax {
    items: usize,
    power: usize,
    range: Interval,
    /// [-R L^(1/p), R L^(1/p)].
    variable: Interval,
    eps: f64,
    reciprocal: Reciprocal,
}

impl PowerSoftmax {
    /// For L items of |x| <= range, a power that is 2, 4, 6 or 8, and a relative error of the division below 2^-bits.
    ///
    /// # Errors
    /// Another power, no items, an impossible range or eps.
    pub fn new(items: usize, range: f64, power: usize, eps: f64, bits: f64) -> Result<Self> {
        if !(2..=8).contains(&power) || !power.is_multiple_of(2) || items == 0 {
            let remedy = "use an even power from 2 to 8, and at least one item";
            return Err(CircuitError::Degree {
                operation: "PowerSoftmax",
                degree: if items == 0 { 0 } else { power },
                low: 2,
                high: 8,
                remedy,
            });
        }
        let width = range * (items as f64).powf(1.0 / power as f64);
        Ok(Self {
            items,
            power,
            range: Interval::symmetric(range)?,
            variable: Interval::symmetric(width)?,
            eps,
            // A little beyond the mean's range for noise.
            reciprocal: Reciprocal::new(eps * (1.0 - 1e-3), (1.0 + eps) * (1.0 + 1e-3), bits)?,
        })
    }

    /// Where inputs may be.
    pub fn interval(&self) -> Interval {
        self.range
    }

    /// p.
    pub fn power(&self) -> usize {
        self.power
    }

    /// What is added to the mean of the powers.
    pub fn eps(&self) -> f64 {
        self.eps
    }

    /// What x is divided by: an input that was divided by it beforehand saves a level, with [`of_unit`](Self::of_unit).
    pub fn width(&self) -> f64 {
        self.variable.half()
    }

    /// The same for x / width.
    pub fn of_unit(mut self) -> Result<Self> {
        self.range = Interval::symmetric(self.range.half() / self.variable.half())?;
        self.variable = Interval::UNIT;
        Ok(self)
    }

    /// Bound on the relative error of the approximation.
    pub fn error(&self) -> f64 {
        self.reciprocal.error()
    }

    /// The weights of one slot in the clear, exactly as defined.
    pub fn reference(&self, x: &[f64]) -> Vec<f64> {
        let y: Vec<f64> = (x.iter())
            .map(|x| (x / self.variable.half()).powi(self.power as i32))
            .collect();
        let total = self.eps + y.iter().sum::<f64>();
        y.iter().map(|y| y / total).collect()
    }

    /// The power, and the degrees of the rounds of the reciprocal.
    pub fn degrees(&self) -> Vec<usize> {
        let rounds = vec![2; self.reciprocal.iterations()];
        [vec![self.power], rounds].concat()
    }

    /// Its parts, the change of variable apart.
    pub fn stages(&self) -> Vec<Stage> {
        let stage = |name: String, depth| Stage { name, depth };
        let division = self.reciprocal.depth_of_canonical();
        vec![
            stage(format!("power {}", self.power), log2_ceil(self.power)),
            stage(
                String::from("reciprocal of the mean, on one ciphertext"),
                division,
            ),
            stage(String::from("product"), 1),
        ]
    }

    fn drift(&self) -> f64 {
        drift_for(log2_ceil(self.power) + 1)
    }

    /// Levels for inputs of the canonical scale.
    pub fn depth(&self) -> u32 {
        levels(&self.stages()) + change_of_canonical(self.variable, self.drift())
    }

    /// The most levels for inputs whose scale is about the canonical one: off by half of what the powers bear.
    pub fn most_depth(&self) -> u32 {
        levels(&self.stages()) + change_of_canonical(self.variable, self.drift() / 2.0)
    }

    /// 1 / (eps + mean) of a sum of powers: for sums that are formed otherwise than over items. `sum` holds the mean.
    pub fn reciprocal_on<A: Arithmetic>(&self, m: &mut A, sum: &A::Value) -> Result<A::Value> {
        let total = m.add_const(sum, Complex::from(self.eps))?;
        m.expect("divisor of PowerSoftmax", self.reciprocal.interval(), &total)?;
        self.reciprocal.run_on(m, &total)
    }

    /// x, of any items, times the one reciprocal: a level below that, at the canonical scale. x is at a higher level.
    pub fn quotient_on<A: Arithmetic>(
        &self,
        m: &mut A,
        x: &A::Value,
        inverse: &A::Value,
    ) -> Result<A::Value> {
        let inverse = m.every(inverse, 0, 0, m.items(x))?;
        let (product, _) = product_with_free(m, &inverse, x, &Scale::pow2(0))?;
        m.relinearise_rescale(&product)
    }

    /// (x / R)^p / L.
    pub fn powers_on<A: Arithmetic>(&self, m: &mut A, x: &A::Value) -> Result<A::Value> {
        let u = change_variable(m, x, self.variable, self.drift(), log2_ceil(self.power))?;
        power(m, &u, self.power)
    }
}

impl Circuit for PowerSoftmax {
    fn name(&self) -> String {
        format!("PowerSoftmax of power {}", self.power)
    }

    fn accuracy(&self) -> Vec<Accuracy> {
        vec![Accuracy {
            error: self.error(),
            relative: true,
        }]
    }

    fn run<A: Arithmetic>(&self, m: &mut A, all: &[A::Value]) -> Result<Vec<A::Value>> {
        let x = input_of(m, "PowerSoftmax", self.items, self.range, all)?;
        let change = change_cost(m, &x, self.variable, self.drift())?;
        let needed = change + levels(&self.stages());
        if m.level(&x).0 < needed {
            let after = change + log2_ceil(self.power);
            return Err(CircuitError::Levels {
                operation: self.name(),
                level: m.level(&x),
                needed,
                remedy: format!(
                    "refresh (bootstrap) the input at level {needed} or above, or only the mean, {after} levels below the input"
                ),
            });
        }
        let y = self.powers_on(m, &x)?;
        let sum = m.sum_items(&y)?;
        let inverse = self.reciprocal_on(m, &sum)?;
        Ok(vec![self.quotient_on(m, &y, &inverse)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definition_has_the_length_agnostic_form() {
        let (l, range, p, eps) = (5usize, 3.0, 4, 1e-3);
        let softmax = PowerSoftmax::new(l, range, p, eps, 10.0).unwrap();
        let x = [0.5, -3.0, 2.0, 1.0, -0.1];
        let y: Vec<f64> = x.iter().map(|x: &f64| (x / range).powi(4)).collect();
        let mean = y.iter().sum::<f64>() / 5.0;
        for (have, y) in softmax.reference(&x).iter().zip(&y) {
            assert!((have - y / (5.0 * (eps + mean))).abs() < 1e-6);
        }
        assert!(softmax.reference(&x).iter().sum::<f64>() < 1.0);
    }

    #[test]
    fn faults_are_typed() {
        for (items, power) in [(0, 4), (4, 3), (4, 0), (4, 10)] {
            let error = PowerSoftmax::new(items, 1.0, power, 1e-3, 10.0).unwrap_err();
            assert!(matches!(error, CircuitError::Degree { .. }), "{error}");
        }
        assert!(PowerSoftmax::new(4, 1.0, 4, 0.0, 10.0).is_err());
        assert!(PowerSoftmax::new(4, 0.0, 4, 1e-3, 10.0).is_err());
    }
}
