//! max(a, b) = (a + b) / 2 + (a - b) sign(a - b) / 2.

use super::{
    Stage,
    comparison::{Comparison, larger},
    function::levels,
    stages::best_for_relu,
};
use crate::circuit::{
    Accuracy, Arithmetic, Circuit, CircuitError, Interval, Result, approximate::Certificate, explain::inputs,
};

/// max(a, b) slotwise for |a|, |b| <= range; inputs a, b.
#[derive(Clone, Debug)]
pub struct Maximum {
    range: Interval,
    comparison: Comparison,
    error: f64,
}

impl Maximum {
    /// With a sign by polynomials of odd degrees.
    ///
    /// # Errors
    /// As [`minimax_sign`](crate::circuit::approximate::minimax_sign).
    pub fn new(range: f64, degrees: &[usize]) -> Result<Self> {
        let s = best_for_relu(degrees)?;
        let comparison = Comparison::new(&s, range)?;
        Ok(Self {
            range: Interval::symmetric(range)?,
            // |d| (1 - |s|) / 2 = the error of max(d, 0), on [-2 range, 2 range].
            error: comparison.interval().half() * s.relu_error(),
            comparison,
        })
    }

    /// Bound on the error of the approximation.
    pub fn error(&self) -> f64 {
        self.error
    }

    /// The degrees of the sign.
    pub fn degrees(&self) -> Vec<usize> {
        self.comparison.degrees()
    }

    /// How the bound of the sign was found, from which the error follows.
    pub fn certificate(&self) -> Certificate {
        self.comparison.certificate()
    }

    /// Where both inputs may be.
    pub fn interval(&self) -> Interval {
        self.range
    }

    /// Its parts, the change of variable apart.
    pub fn stages(&self) -> Vec<Stage> {
        let last = Stage {
            name: String::from("product with the difference"),
            depth: 1,
        };
        self.comparison.stages().into_iter().chain([last]).collect()
    }

    /// Levels for inputs of the canonical scale.
    pub fn depth(&self) -> u32 {
        levels(&self.stages()) + self.comparison.change_of_canonical()
    }
}

impl Circuit for Maximum {
    fn name(&self) -> String {
        String::from("max")
    }

    fn accuracy(&self) -> Vec<Accuracy> {
        vec![Accuracy {
            error: self.error(),
            relative: false,
        }]
    }

    fn run<A: Arithmetic>(&self, m: &mut A, all: &[A::Value]) -> Result<Vec<A::Value>> {
        let [a, b] = inputs("max", all)?;
        for x in [&a, &b] {
            m.expect("max", self.range, x)?;
        }
        let (difference, sum) = (m.sub(&a, &b)?, m.add(&a, &b)?);
        let needed = levels(&self.stages()) + self.comparison.change_cost(m, &difference)?;
        if m.level(&a).0 < needed {
            return Err(CircuitError::Levels {
                operation: self.name(),
                level: m.level(&a),
                needed,
                remedy: format!("refresh (bootstrap) the inputs at level {needed} or above"),
            });
        }
        let half_sign = self.comparison.half_sign(m, &difference)?;
        Ok(vec![larger(m, &half_sign, &difference, &sum)?])
    }
}
