//! a / b: the reciprocal of b, then one product.

use super::{Reciprocal, Stage};
use crate::{
    circuit::{
        Accuracy, Arithmetic, Circuit, CircuitError, Interval, Result,
        explain::inputs,
        scaled::{change_cost, product_with_free},
    },
    ring::Scale,
};

/// a / b for b in an interval of positive numbers; inputs a, b.
#[derive(Clone, Debug)]
pub struct Division {
    reciprocal: Reciprocal,
    numerator: Interval,
}

impl Division {
    /// For |a| <= `range` and b in [low, high], low > 0, with a relative error below 2^-bits. Errors as for [`Reciprocal::new`].
    pub fn new(range: f64, low: f64, high: f64, bits: f64) -> Result<Self> {
        Ok(Self {
            reciprocal: Reciprocal::new(low, high, bits)?,
            numerator: Interval::symmetric(range)?,
        })
    }

    /// Bound on the relative error of the approximation.
    pub fn error(&self) -> f64 {
        self.reciprocal.error()
    }

    /// Where the divisor may be.
    pub fn interval(&self) -> Interval {
        self.reciprocal.interval()
    }

    /// Its parts, the change of variable apart.
    pub fn stages(&self) -> Vec<Stage> {
        let last = Stage {
            name: String::from("product with the dividend"),
            depth: 1,
        };
        self.reciprocal.stages().into_iter().chain([last]).collect()
    }

    /// The degrees of the rounds of the reciprocal.
    pub fn degrees(&self) -> Vec<usize> {
        vec![2; self.reciprocal.iterations()]
    }

    /// Levels for inputs of the canonical scale.
    pub fn depth(&self) -> u32 {
        self.reciprocal.depth_of_canonical() + 1
    }
}

impl Circuit for Division {
    fn name(&self) -> String {
        String::from("division")
    }

    fn accuracy(&self) -> Vec<Accuracy> {
        vec![Accuracy {
            error: self.error(),
            relative: true,
        }]
    }

    fn run<A: Arithmetic>(&self, m: &mut A, all: &[A::Value]) -> Result<Vec<A::Value>> {
        let [a, b] = inputs("division", all)?;
        m.expect("dividend", self.numerator, &a)?;
        m.expect("divisor", self.interval(), &b)?;
        let rounds = self.reciprocal.iterations() as u32;
        let needed = rounds + 1 + change_cost(m, &b, self.reciprocal.variable(), Reciprocal::DRIFT)?;
        if m.level(&b).0 < needed {
            return Err(CircuitError::Levels {
                operation: self.name(),
                level: m.level(&b),
                needed,
                remedy: format!(
                    "refresh (bootstrap) the divisor at level {needed} or above, or between two of the {rounds} rounds"
                ),
            });
        }
        let inverse = self.reciprocal.run_on(m, &b)?;
        if m.level(&a) <= m.level(&inverse) {
            return Err(CircuitError::Levels {
                operation: String::from("the dividend's product"),
                level: m.level(&a),
                needed: m.level(&inverse).0 + 1,
                remedy: String::from("give the dividend a level above the one where the reciprocal ends"),
            });
        }
        let (product, _) = product_with_free(m, &inverse, &a, &Scale::pow2(0))?;
        Ok(vec![m.relinearise_rescale(&product)?])
    }
}
