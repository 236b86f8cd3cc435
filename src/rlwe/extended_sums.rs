//! Sums of extended ciphertexts times plaintexts, modulo Q P, and the division that also rescales.

use super::{Ciphertext, Context, Extended, Level, Result, SwitchKey};
use crate::backend::{Backend, Integers, Ref, Span};

/// Polynomials in X^gap modulo the extended rows of a level (E): what extended ciphertexts are multiplied by, `[item]`.
pub(crate) struct ExtendedPlain<B: Backend> {
    buffer: B::Buffer,
    level: Level,
    items: usize,
}

impl<B: Backend> Context<B> {
    /// Zero.
    pub(crate) fn extended_zero(&self, level: Level, items: usize) -> Result<Extended<B>> {
        let mut result = self.extended(level, items)?;
        self.backend().zero(result.view_mut(self)?)?;
        Ok(result)
    }

    /// Integers as polynomials modulo the extended rows of a level, N / gap of them each, at least two.
    pub(crate) fn lift_extended(
        &self,
        level: Level,
        items: usize,
        integers: &[i64],
    ) -> Result<ExtendedPlain<B>> {
        let rows = &self.level("lift", level)?.extended;
        let values = Integers::I64(integers);
        let buffer = self.backend().sparse(self.tables(), rows, items, values)?;
        Ok(ExtendedPlain { buffer, level, items })
    }

    /// Bytes of [`lift_extended`](Self::lift_extended) for items of `length` integers.
    pub(crate) fn lifted_bytes(&self, level: Level, items: usize, length: usize) -> Result<usize> {
        let rows = self.level("lift", level)?.extended.len();
        let log_n = self.backend().sparse_log_n(self.tables(), length);
        Ok((items * rows) << (log_n + 2))
    }

    /// Sums of products, `[group of a][group of b]`: groups are `terms` neighbouring items of either, both of one level.
    pub(crate) fn products_extended(
        &self,
        a: &Extended<B>,
        b: &ExtendedPlain<B>,
        terms: usize,
    ) -> Result<Extended<B>> {
        let (groups, columns) = (a.items() / terms.max(1), b.items / terms.max(1));
        let rows = &self.level("inner product", b.level)?.extended;
        let mut sums = self.extended(a.level(), groups * columns)?;
        let (dst, plain) = (
            sums.view_mut(self)?,
            Ref::new(&b.buffer, Span::dense(b.items, 1, rows)),
        );
        (self.backend()).sparse_product(self.tables(), dst, a.view(self)?, plain, terms)?;
        Ok(sums)
    }

    /// total += x, a view of extended rows of as many items.
    pub(crate) fn add_extended(&self, total: &mut Extended<B>, x: Ref<B>) -> Result<()> {
        let dst = total.view_mut(self)?;
        Ok(self.backend().add(self.tables(), dst, x)?)
    }

    /// Divided by P and rescaled, with one rounding; `None` at the lowest level.
    pub(crate) fn reduce_rescale(&self, a: &Extended<B>) -> Result<Option<Ciphertext<B>>> {
        let operation = "rescale";
        let level = self.level(operation, a.level())?;
        let Some((step, below)) = level.mod_down_rescale.as_ref().zip(a.level().below()) else {
            return Ok(None);
        };
        Ciphertext::build(self, operation, below, a.items(), 2, |dst| {
            Ok(self.backend().step(self.tables(), dst, a.view(self)?, step)?)
        })
        .map(Some)
    }

    /// Demands a key of these parameters that reaches a level.
    pub(crate) fn check_key(&self, operation: &str, wanted: Level, key: &SwitchKey<B>) -> Result<()> {
        self.params().check(operation, "the key", key.params())?;
        key.check_level(operation, wanted)
    }
}
