//! What circuits are written against, and its implementation on ciphertexts.

use super::{Interval, Result};
use crate::{
    arith::Complex,
    backend::{Backend, Entries, Matrix},
    ckks::{Ciphertext, Evaluator, step_ratio},
    ring::Scale,
    rlwe::{Level, Params, RlweError},
};

/// Batches of encrypted numbers, or a description of them: [`Encrypted`] computes, [`Forecast`](super::Forecast) foretells.
///
/// Operations are those of [`Evaluator`], honest as they are: scales and levels are compared, nothing is rescaled or relinearised
/// by itself. A value is cheap to clone.
pub trait Arithmetic {
    /// Some ciphertexts of one level and scale.
    type Value: Clone;

    /// The parameters.
    fn params(&self) -> &Params;
    /// The level.
    fn level(&self, a: &Self::Value) -> Level;
    /// The exact scale.
    fn scale(&self, a: &Self::Value) -> Scale;
    /// Number of ciphertexts.
    fn items(&self, a: &Self::Value) -> usize;
    /// Numbers in each.
    fn slots(&self, a: &Self::Value) -> usize;

    /// a + b.
    fn add(&mut self, a: &Self::Value, b: &Self::Value) -> Result<Self::Value>;
    /// a - b.
    fn sub(&mut self, a: &Self::Value, b: &Self::Value) -> Result<Self::Value>;
    /// -a.
    fn neg(&mut self, a: &Self::Value) -> Result<Self::Value>;
    /// i a.
    fn mul_i(&mut self, a: &Self::Value) -> Result<Self::Value>;
    /// a + c.
    fn add_const(&mut self, a: &Self::Value, c: Complex) -> Result<Self::Value>;
    /// a + c with one number a slot, for all items.
    fn add_slots(&mut self, a: &Self::Value, c: &[Complex]) -> Result<Self::Value>;
    /// c a for a constant at a scale; scales multiply.
    fn mul_const(&mut self, a: &Self::Value, c: f64, scale: &Scale) -> Result<Self::Value>;
    /// sum += c a; the sum has the product of the scales.
    fn mul_const_add(&mut self, sum: &mut Self::Value, a: &Self::Value, c: f64, scale: &Scale) -> Result<()>;
    /// c a with one number a slot, for all items; scales multiply.
    fn mul_slots(&mut self, a: &Self::Value, c: &[Complex], scale: &Scale) -> Result<Self::Value>;
    /// sum += c a with one number a slot.
    fn mul_slots_add(
        &mut self,
        sum: &mut Self::Value,
        a: &Self::Value,
        c: &[Complex],
        scale: &Scale,
    ) -> Result<()>;
    /// a b, of three components.
    fn mul(&mut self, a: &Self::Value, b: &Self::Value) -> Result<Self::Value>;
    /// To two components and the level below in one division.
    fn relinearise_rescale(&mut self, a: &Self::Value) -> Result<Self::Value>;
    /// At a lower level whose primes are all there: a selection of rows.
    fn drop_to(&mut self, a: &Self::Value, level: Level) -> Result<Self::Value>;
    /// To the level below, exactly at a scale: a product with an integer of 20 bits or more, and a rescale.
    fn adjust_below(&mut self, a: &Self::Value, scale: &Scale) -> Result<Self::Value>;
    /// The same residues read at another scale: values are divided by its ratio to the old one.
    fn at_scale(&mut self, a: &Self::Value, scale: Scale) -> Result<Self::Value>;

    /// Every `step`-th item from `first`, `items` of them; step 0 repeats one item.
    fn every(&mut self, a: &Self::Value, first: usize, step: usize, items: usize) -> Result<Self::Value>;
    /// All items one after the other.
    fn concat(&mut self, parts: &[Self::Value]) -> Result<Self::Value>;
    /// One item: the sum of all.
    fn sum_items(&mut self, a: &Self::Value) -> Result<Self::Value>;

    /// States that a function is about to be evaluated, which takes values of an interval. Ciphertexts cannot tell.
    fn expect(&mut self, function: &str, interval: Interval, a: &Self::Value) -> Result<()>;

    /// At a lower level: rows are selected where sets of primes nest; elsewhere `adjust_below` to canonical scales, level by level.
    fn lower(&mut self, a: &Self::Value, level: Level) -> Result<Self::Value> {
        if self.level(a) == level {
            return Ok(a.clone());
        }
        if nested(self.params(), self.level(a), level)? {
            return self.drop_to(a, level);
        }
        let above = self.lower(a, Level(level.0.saturating_add(1)))?;
        let canonical = self.params().level("lower", level)?.scale.clone();
        self.adjust_below(&above, &canonical)
    }

    /// The scale that a value of the level above must have for its rescale to end at `scale` on `level`.
    fn before_rescale(&self, level: Level, scale: &Scale) -> Result<Scale> {
        Ok(scale.div(step_ratio(self.params(), "rescale", level)?)?)
    }
}

/// Whether the primes of a lower level are all among those of a higher one.
pub(super) fn nested(params: &Params, from: Level, to: Level) -> Result<bool> {
    if to > from {
        let remedy = "levels only go down; encrypt at a higher level";
        return Err(RlweError::mismatch("lower", "levels", from, to, remedy).into());
    }
    let (high, low) = (params.level("lower", from)?, params.level("lower", to)?);
    Ok(low.primes.iter().all(|p| high.primes.contains(p)))
}

/// Computes on ciphertexts.
pub struct Encrypted<'a, 'k, B: Backend> {
    ev: &'a Evaluator<'k, B>,
}

impl<'a, 'k, B: Backend> Encrypted<'a, 'k, B> {
    /// With the keys of an evaluator.
    pub fn new(ev: &'a Evaluator<'k, B>) -> Self {
        Self { ev }
    }

    /// The evaluator.
    pub fn evaluator(&self) -> &'a Evaluator<'k, B> {
        self.ev
    }
}

impl<B: Backend> Arithmetic for Encrypted<'_, '_, B> {
    type Value = Ciphertext<B>;

    fn params(&self) -> &Params {
        self.ev.ckks().context().params()
    }

    fn level(&self, a: &Ciphertext<B>) -> Level {
        a.level()
    }

    fn scale(&self, a: &Ciphertext<B>) -> Scale {
        a.scale().clone()
    }

    fn items(&self, a: &Ciphertext<B>) -> usize {
        a.items()
    }

    fn slots(&self, a: &Ciphertext<B>) -> usize {
        a.slots()
    }

    fn add(&mut self, a: &Ciphertext<B>, b: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        Ok(self.ev.add(a, b)?)
    }

    fn sub(&mut self, a: &Ciphertext<B>, b: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        Ok(self.ev.sub(a, b)?)
    }

    fn neg(&mut self, a: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        Ok(self.ev.neg(a)?)
    }

    fn mul_i(&mut self, a: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        Ok(self.ev.mul_i(a)?)
    }

    fn add_const(&mut self, a: &Ciphertext<B>, c: Complex) -> Result<Ciphertext<B>> {
        Ok(self.ev.add_const(a, c.re, c.im)?)
    }

    fn add_slots(&mut self, a: &Ciphertext<B>, c: &[Complex]) -> Result<Ciphertext<B>> {
        let plain = self.ev.ckks().encode(c, 1, a.level(), a.scale())?;
        Ok(self.ev.add_plain(a, &plain)?)
    }

    fn mul_const(&mut self, a: &Ciphertext<B>, c: f64, scale: &Scale) -> Result<Ciphertext<B>> {
        Ok(self.ev.mul_const(a, c, scale)?)
    }

    fn mul_const_add(
        &mut self,
        sum: &mut Ciphertext<B>,
        a: &Ciphertext<B>,
        c: f64,
        scale: &Scale,
    ) -> Result<()> {
        Ok(self.ev.mul_const_add_assign(sum, a, c, scale)?)
    }

    fn mul_slots(&mut self, a: &Ciphertext<B>, c: &[Complex], scale: &Scale) -> Result<Ciphertext<B>> {
        let plain = self.ev.ckks().encode(c, 1, a.level(), scale)?;
        Ok(self.ev.mul_plain(a, &plain)?)
    }

    fn mul_slots_add(
        &mut self,
        sum: &mut Ciphertext<B>,
        a: &Ciphertext<B>,
        c: &[Complex],
        scale: &Scale,
    ) -> Result<()> {
        let plain = self.ev.ckks().encode(c, 1, a.level(), scale)?;
        Ok(self.ev.mul_plain_add_assign(sum, a, &plain)?)
    }

    fn mul(&mut self, a: &Ciphertext<B>, b: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        Ok(self.ev.mul(a, b)?)
    }

    fn relinearise_rescale(&mut self, a: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        Ok(self.ev.relinearise_rescale(a)?)
    }

    fn drop_to(&mut self, a: &Ciphertext<B>, level: Level) -> Result<Ciphertext<B>> {
        Ok(self.ev.drop_to(a, level)?)
    }

    fn adjust_below(&mut self, a: &Ciphertext<B>, scale: &Scale) -> Result<Ciphertext<B>> {
        let exhausted = || RlweError::LevelsExhausted {
            operation: "adjust",
            level: a.level(),
            scale_log2: a.scale().log2(),
            log2_q: 0.0,
        };
        let below = a.level().below().ok_or_else(exhausted)?;
        Ok(self.ev.adjust(a, below, scale)?)
    }

    fn at_scale(&mut self, a: &Ciphertext<B>, scale: Scale) -> Result<Ciphertext<B>> {
        Ok(Ciphertext::from_parts(a.rlwe().clone(), scale, a.slots()))
    }

    fn every(&mut self, a: &Ciphertext<B>, first: usize, step: usize, items: usize) -> Result<Ciphertext<B>> {
        Ok(a.every(first, step, items)?)
    }

    fn concat(&mut self, parts: &[Ciphertext<B>]) -> Result<Ciphertext<B>> {
        Ok(self.ev.concat(parts)?)
    }

    fn sum_items(&mut self, a: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        let ones = vec![1i8; a.items()];
        let ones = Matrix {
            outputs: 1,
            inputs: a.items(),
            entries: Entries::I8(&ones),
        };
        Ok(self.ev.mul_matrix(a, ones, 0)?)
    }

    fn expect(&mut self, _: &str, _: Interval, _: &Ciphertext<B>) -> Result<()> {
        Ok(())
    }
}
