//! Changing level and scale without a product of ciphertexts.

use super::{Ciphertext, CkksError, Evaluator, Result};
use crate::{
    backend::Backend,
    ring::Scale,
    rlwe::{Level, Params, RlweError},
};

/// The integer that stands for a ratio of scales must have this many bits, so that it is right to 2^-(bits + 1).
const RATIO_BITS: f64 = 20.0;

/// prod(A) / prod(R) of the step down to `below`: what a rescale multiplies the scale by.
pub(crate) fn step_ratio<'p>(params: &'p Params, operation: &'static str, below: Level) -> Result<&'p Scale> {
    Ok(&params.level(operation, below)?.step_ratio)
}

impl<B: Backend> Evaluator<'_, B> {
    /// At a lower level with the same scale: a selection of rows, without work or noise.
    ///
    /// Only where the lower level's primes are all among the ciphertext's; elsewhere `adjust` does it.
    pub fn drop_to(&self, a: &Ciphertext<B>, level: Level) -> Result<Ciphertext<B>> {
        a.inner.check_context("drop_to", self.ctx())?;
        let remedy = "use `adjust`, which multiplies and rescales";
        if level > a.level() {
            let remedy = "levels only go down; encrypt at a higher level";
            return Err(RlweError::mismatch("drop_to", "levels", a.level(), level, remedy).into());
        }
        match a.inner.select_level(self.ctx(), level)? {
            Some(inner) => {
                self.ckks.check_room("drop_to", level, &a.scale)?;
                Ok(a.with(inner))
            }
            None => Err(RlweError::mismatch("drop_to", "sets of primes", a.level(), level, remedy).into()),
        }
    }

    /// The same values at `level` and exactly at `scale`.
    ///
    /// At the ciphertext's own level the new scale must be 2^k times the old one, k >= 0. Below it, the ciphertext is multiplied by
    /// c = round(scale prod(R) / (old scale prod(A))) of the last step and rescaled once; the values change by at most
    /// 2^-(bits of c) relative, and by one rescale's noise. Levels in between are dropped where the sets nest, and taken one at a time
    /// at their canonical scales where they do not.
    pub fn adjust(&self, a: &Ciphertext<B>, level: Level, scale: &Scale) -> Result<Ciphertext<B>> {
        a.inner.check_context("adjust", self.ctx())?;
        if level == a.level() {
            return self.raise_scale(a, scale);
        }
        if level > a.level() {
            let remedy = "levels only go down; encrypt at a higher level";
            return Err(RlweError::mismatch("adjust", "levels", a.level(), level, remedy).into());
        }
        let above = Level(level.0 + 1);
        let a = match self.drop_to(a, above) {
            Ok(dropped) => dropped,
            Err(_) => self.adjust(a, above, &self.ckks.scale(above)?.clone())?,
        };
        self.ckks.check_room("adjust", level, scale)?;
        let ratio = scale.div(&a.scale.mul(self.step_ratio("adjust", level)?)?)?;
        let bits = ratio.log2();
        if !(RATIO_BITS..=120.0).contains(&bits) {
            let (value, scale_log2, limit) = (1.0, a.scale.log2(), format!("{RATIO_BITS} to 120"));
            let (operation, level) = ("adjust", a.level());
            let remedy = "choose a target scale nearer to the canonical scale of the level";
            return Err(CkksError::Constant {
                operation,
                level,
                value,
                scale_log2,
                bits,
                limit,
                remedy,
            });
        }
        let (hi, lo) = ratio.to_parts();
        let scaled = self.mul_integer(&a, hi.round() as i128 + (hi - hi.round() + lo).round() as i128)?;
        let mut result = self.rescale(&scaled)?;
        result.scale = scale.clone();
        Ok(result)
    }

    fn raise_scale(&self, a: &Ciphertext<B>, scale: &Scale) -> Result<Ciphertext<B>> {
        let ratio = scale.div(&a.scale)?;
        let k = ratio.two_exponent();
        if ratio.prime_exponents().next().is_some() || !(0..=100).contains(&k) {
            let remedy = "at its own level a scale can only grow, by a power of two up to 2^100; adjust to a level below";
            return Err(RlweError::mismatch("adjust", "scales", &a.scale, scale, remedy).into());
        }
        self.ckks.check_room("adjust", a.level(), scale)?;
        let mut result = if k == 0 {
            a.clone()
        } else {
            self.mul_integer(a, 1 << k)?
        };
        result.scale = scale.clone();
        Ok(result)
    }
}
