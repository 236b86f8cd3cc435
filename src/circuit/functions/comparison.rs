//! Comparisons of numbers a, b by half the sign of their difference, h = sign(a - b) / 2:
//!
//! ```text
//! max(a, b) = (a + b) / 2 + (a - b) h       a wins by 1/2 + h, b by 1/2 - h
//! ```

use super::{
    Stage,
    stages::{run_stages, stages_on},
};
use crate::{
    arith::Complex,
    circuit::{
        Arithmetic, Interval, Polynomial, Result,
        approximate::{Certificate, Composition},
        scaled::{change_cost, change_of_canonical, drift_for, product_with_free},
    },
    ring::Scale,
};

/// h for differences in an interval.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    difference: Interval,
    /// sign(x) / 2, the first of a difference.
    stages: Vec<Polynomial>,
    certificate: Certificate,
}

impl Comparison {
    /// By the polynomials of a sign, for |a|, |b| <= range.
    pub(super) fn new(s: &Composition, range: f64) -> Result<Self> {
        let (difference, stages) = stages_on(s, 2.0 * range, 0.5)?;
        Ok(Self {
            difference,
            stages,
            certificate: s.certificate,
        })
    }

    /// Where differences may be.
    pub(super) fn interval(&self) -> Interval {
        self.difference
    }

    /// How the bound of the sign was found.
    pub(super) fn certificate(&self) -> Certificate {
        self.certificate
    }

    /// The degrees of the sign.
    pub(super) fn degrees(&self) -> Vec<usize> {
        self.stages.iter().map(Polynomial::degree).collect()
    }

    /// The polynomials of the sign.
    pub(super) fn stages(&self) -> Vec<Stage> {
        self.stages.iter().map(Stage::of).collect()
    }

    /// How far the scale of a difference may be from the canonical one for its change of variable to be free, in bits.
    fn drift(&self) -> f64 {
        drift_for(self.stages.first().map_or(1, Polynomial::depth))
    }

    /// Levels of the change of variable for differences at a canonical scale.
    pub(super) fn change_of_canonical(&self) -> u32 {
        change_of_canonical(self.difference, self.drift())
    }

    /// Levels of the change of variable for differences at the scale of x.
    pub(super) fn change_cost<A: Arithmetic>(&self, m: &A, x: &A::Value) -> Result<u32> {
        change_cost(m, x, self.difference, self.drift())
    }

    /// h of a difference.
    pub(super) fn half_sign<A: Arithmetic>(&self, m: &mut A, difference: &A::Value) -> Result<A::Value> {
        run_stages(m, &self.stages, difference)
    }
}

/// By what a wins, and b: 1/2 + h and 1/2 - h.
pub(super) fn wins_and_losses<A: Arithmetic>(m: &mut A, half_sign: &A::Value) -> Result<[A::Value; 2]> {
    let half = Complex::from(0.5);
    let wins = m.add_const(half_sign, half)?;
    let losses = m.neg(half_sign)?;
    Ok([wins, m.add_const(&losses, half)?])
}

/// max(a, b) of h, a - b and a + b, a level below h at the canonical scale.
pub(super) fn larger<A: Arithmetic>(
    m: &mut A,
    half_sign: &A::Value,
    difference: &A::Value,
    sum: &A::Value,
) -> Result<A::Value> {
    let (mut product, scale) = product_with_free(m, half_sign, difference, &Scale::pow2(0))?;
    let sum = m.lower(sum, m.level(half_sign))?;
    m.mul_const_add(&mut product, &sum, 0.5, &scale.div(&m.scale(&sum))?)?;
    m.relinearise_rescale(&product)
}
