//! What the modular reduction's own function does to a message, without any noise.
//!
//! S(x) = sin x, or its arcsine, instead of x: with r the message ratio, every coefficient c of the message becomes
//! c + f(c), f(c) = (r / 2 pi) S(2 pi c / r) - c. With the matrices first it is the two parts of every slot, divided by 2 pi before:
//! f(c) = r S(c / r) - c.

use super::{Bootstrapper, Order, vectors::mask};
use crate::{
    arith::{Complex, Double},
    backend::Backend,
    circuit::Result,
    ckks::CkksError,
};

/// log2 of the scale at which coefficients are formed.
const COEFFICIENT_BITS: i32 = 50;

/// Sizes are told apart in as many classes.
const CLASSES: usize = 64;

/// Errors of slots without noise.
pub(super) struct Distortion {
    /// Mean of their squares.
    pub(super) mean_square: f64,
    /// Sizes, each with the share of slots that have it; the largest as it is.
    pub(super) sizes: Vec<(f64, f64)>,
}

impl Distortion {
    /// All of them times a number.
    pub(super) fn times(mut self, factor: f64) -> Self {
        self.mean_square *= factor * factor;
        for (size, _) in &mut self.sizes {
            *size *= factor;
        }
        self
    }

    fn new(errors: &[Complex]) -> Self {
        let sizes: Vec<f64> = errors.iter().map(|z| z.abs()).collect();
        let count = sizes.len().max(1) as f64;
        let largest = sizes.iter().copied().fold(0.0, f64::max);
        let mut classes = vec![0usize; CLASSES + 1];
        for size in &sizes {
            // Rounded up: class k stands for the size k / CLASSES of the largest.
            let class = (size / largest * CLASSES as f64).ceil();
            if let Some(count) = classes.get_mut(class as usize) {
                *count += 1;
            }
        }
        let size = |class: usize| largest * class as f64 / CLASSES as f64;
        let used = classes.iter().enumerate().filter(|(_, n)| **n > 0);
        Self {
            mean_square: sizes.iter().map(|d| d * d).sum::<f64>() / count,
            sizes: used.map(|(k, n)| (size(k), *n as f64 / count)).collect(),
        }
    }
}

impl<B: Backend> Bootstrapper<B> {
    /// f.
    pub(super) fn distorting(&self) -> impl Fn(f64) -> f64 {
        let ratio = self.ratio_log2().exp2();
        let per_unit = match self.spec.order {
            Order::RaiseFirst => std::f64::consts::TAU / ratio,
            Order::CoefficientsFirst => 1.0 / ratio,
        };
        move |c| {
            let sine = (per_unit * c).sin();
            let reduced = self.arcsine.as_ref().map_or(sine, |p| p.value(sine));
            reduced / per_unit - c
        }
    }

    /// The signs that slots are multiplied by, twice.
    pub(super) fn signs(&self) -> Vec<Complex> {
        match self.spec.mask {
            true => mask(self.spec.slots),
            false => vec![1.0.into(); self.spec.slots],
        }
    }

    /// Coefficients of the polynomial with these slots, X^gap and all.
    pub(super) fn coefficients(&self, slots: &[Complex]) -> Result<Vec<f64>> {
        let mut whole = vec![0i64; 2 * self.ckks.max_slots()];
        let scale = Double {
            hi: 2f64.powi(COEFFICIENT_BITS),
            lo: 0.0,
        };
        (self.ckks.embedding().embed(slots, scale, &mut whole)).map_err(CkksError::from)?;
        let unit = 2f64.powi(-COEFFICIENT_BITS);
        Ok(whole.iter().map(|c| *c as f64 * unit).collect())
    }

    /// The slots of a polynomial with these coefficients.
    pub(super) fn slots_of(&self, coefficients: &[f64]) -> Result<Vec<Complex>> {
        let mut slots = vec![Complex::default(); self.spec.slots];
        (self.ckks.embedding().unembed(coefficients, &mut slots)).map_err(CkksError::from)?;
        Ok(slots)
    }

    /// Errors of the slots of a message without any noise.
    pub(super) fn distorted(&self, message: &[Complex]) -> Result<Vec<Complex>> {
        let f = self.distorting();
        if self.spec.order == Order::CoefficientsFirst {
            let of = |z: &Complex| Complex::new(f(z.re), f(z.im));
            return Ok(message.iter().map(of).collect());
        }
        let signs = self.signs();
        let masked =
            |z: &[Complex]| -> Vec<Complex> { z.iter().zip(&signs).map(|(z, sign)| *z * *sign).collect() };
        let errors: Vec<f64> = (self.coefficients(&masked(message))?.iter())
            .map(|c| f(*c))
            .collect();
        Ok(masked(&self.slots_of(&errors)?))
    }

    /// Their sizes.
    pub(super) fn distortion(&self, message: &[Complex]) -> Result<Distortion> {
        Ok(Distortion::new(&self.distorted(message)?))
    }
}
