//! Sums of extended ciphertexts times plaintexts, modulo Q P, and the division that also rescales.

use super::{Ciphertext, Context, Extended, Level, Result, RlweError, SwitchKey};
use crate::backend::{Backend, Integers, Mut, Onto, Product, Ref, Span};

/// One polynomial modulo the extended rows of a level (E): what extended ciphertexts are multiplied by.
pub(crate) struct ExtendedPlain<B: Backend> {
    buffer: B::Buffer,
    bytes: usize,
}

impl<B: Backend> ExtendedPlain<B> {
    /// Bytes of the residues.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl<B: Backend> Context<B> {
    /// Zero.
    pub(crate) fn extended_zero(&self, level: Level, items: usize) -> Result<Extended<B>> {
        let mut result = self.extended(level, items)?;
        self.backend().zero(result.view_mut(self)?)?;
        Ok(result)
    }

    /// Integers as a polynomial modulo the extended rows of a level, N / gap of them.
    pub(crate) fn lift_extended(&self, level: Level, integers: &[i64]) -> Result<ExtendedPlain<B>> {
        let rows = &self.level("lift", level)?.extended;
        let mut buffer = self.backend().alloc(self.log_n(), rows.len())?;
        let span = Span::dense(1, 1, rows);
        let (backend, tables) = (self.backend(), self.tables());
        backend.lift(tables, Mut::new(&mut buffer, span), Integers::I64(integers))?;
        backend.ntt(tables, Mut::new(&mut buffer, span))?;
        let bytes = rows.len() * (4 << self.log_n());
        Ok(ExtendedPlain { buffer, bytes })
    }

    /// The sum of products, which are all of one level and number of items, and at least one.
    pub(crate) fn inner_product_extended(
        &self,
        terms: &[(&Extended<B>, &ExtendedPlain<B>)],
    ) -> Result<Extended<B>> {
        let Some((first, _)) = terms.first() else {
            let remedy = "pass at least one pair";
            return Err(RlweError::mismatch(
                "inner product",
                "counts",
                0,
                "at least 1",
                remedy,
            ));
        };
        let (items, level) = (first.items(), first.level());
        let plain = Span::dense(1, 1, &self.level("inner product", level)?.extended);
        let mut products: Vec<Product<B>> = Vec::with_capacity(terms.len());
        for (a, b) in terms {
            let b = b.buffer_ref(plain, items);
            products.push(Product { a: a.view(self)?, b });
        }
        let mut sum = self.extended(level, items)?;
        let dst = sum.view_mut(self)?;
        self.backend()
            .mul_accumulate(self.tables(), dst, Onto::Zero, &products)?;
        Ok(sum)
    }

    /// total += a.
    pub(crate) fn add_extended(&self, total: &mut Extended<B>, a: &Extended<B>) -> Result<()> {
        let dst = total.view_mut(self)?;
        Ok(self.backend().add(self.tables(), dst, a.view(self)?)?)
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

impl<B: Backend> ExtendedPlain<B> {
    /// The rows, for all items and both components.
    fn buffer_ref<'a>(&'a self, span: Span<'a>, items: usize) -> Ref<'a, B> {
        Ref::new(&self.buffer, span.repeat_items(items).repeat_polys(2))
    }
}
