//! max(a, b) = (a + b) / 2 + (a - b) sign(a - b) / 2.

use super::{
    Stage,
    stages::{best_for_relu, run_stages, stages_on},
};
use crate::{
    circuit::{
        Accuracy, Arithmetic, Circuit, CircuitError, Interval, Polynomial, Result,
        approximate::Certificate,
        explain::inputs,
        scaled::{change_cost, change_of_canonical, drift_for, product_with_free},
    },
    ring::Scale,
};

/// max(a, b) slotwise for |a|, |b| <= range; inputs a, b.
#[derive(Clone, Debug)]
pub struct Maximum {
    range: Interval,
    difference: Interval,
    /// sign(x) / 2 of the difference.
    stages: Vec<Polynomial>,
    error: f64,
    certificate: Certificate,
}

impl Maximum {
    /// With a sign by polynomials of odd degrees.
    ///
    /// # Errors
    /// As [`minimax_sign`](crate::circuit::approximate::minimax_sign).
    pub fn new(range: f64, degrees: &[usize]) -> Result<Self> {
        let s = best_for_relu(degrees)?;
        let (difference, stages) = stages_on(&s, 2.0 * range, 0.5)?;
        Ok(Self {
            range: Interval::symmetric(range)?,
            difference,
            stages,
            certificate: s.certificate,
            // |d| (1 - |s|) / 2 = the error of max(d, 0), on [-2 range, 2 range].
            error: difference.half() * s.relu_error(),
        })
    }

    /// Bound on the error of the approximation.
    pub fn error(&self) -> f64 {
        self.error
    }

    /// The degrees of the sign.
    pub fn degrees(&self) -> Vec<usize> {
        self.stages.iter().map(Polynomial::degree).collect()
    }

    /// How the bound of the sign was found, from which the error follows.
    pub fn certificate(&self) -> Certificate {
        self.certificate
    }

    /// Where both inputs may be.
    pub fn interval(&self) -> Interval {
        self.range
    }

    /// Its parts, the change of variable apart.
    pub fn stages(&self) -> Vec<Stage> {
        let of = |p: &Polynomial| Stage {
            name: format!("polynomial of degree {}", p.degree()),
            depth: p.depth(),
        };
        let last = Stage {
            name: String::from("product with the difference"),
            depth: 1,
        };
        self.stages.iter().map(of).chain([last]).collect()
    }

    fn drift(&self) -> f64 {
        drift_for(self.stages.first().map_or(1, Polynomial::depth))
    }

    /// Levels for inputs of the canonical scale.
    pub fn depth(&self) -> u32 {
        let stages: u32 = self.stages().iter().map(|s| s.depth).sum();
        stages + change_of_canonical(self.difference, self.drift())
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
        let stages: u32 = self.stages().iter().map(|s| s.depth).sum();
        let needed = stages + change_cost(m, &difference, self.difference, self.drift())?;
        if m.level(&a).0 < needed {
            return Err(CircuitError::Levels {
                operation: self.name(),
                level: m.level(&a),
                needed,
                remedy: format!("refresh (bootstrap) the inputs at level {needed} or above"),
            });
        }
        let half_sign = run_stages(m, &self.stages, &difference)?;
        let (mut product, scale) = product_with_free(m, &half_sign, &difference, &Scale::pow2(0))?;
        let sum = m.lower(&sum, m.level(&half_sign))?;
        m.mul_const_add(&mut product, &sum, 0.5, &scale.div(&m.scale(&sum))?)?;
        Ok(vec![m.relinearise_rescale(&product)?])
    }
}
