//! Sums of products with constants and plaintexts, formed in place: one pass over memory a term, nothing allocated.

use super::{Ciphertext, Evaluator, Plaintext, Result, ciphertext::check_scales, ciphertext::check_slots};
use crate::{
    backend::Backend,
    ring::Scale,
    rlwe::{Level, RlweError},
};

impl<B: Backend> Evaluator<'_, B> {
    /// sum += c a for a real constant c, encoded at `scale`.
    ///
    /// `sum` has the level, the items and the slots of `a`, at least as many components, and the scale of `a` times `scale`.
    pub fn mul_const_add_assign(
        &self,
        sum: &mut Ciphertext<B>,
        a: &Ciphertext<B>,
        c: f64,
        scale: &Scale,
    ) -> Result<()> {
        let operation = "mul_const_add";
        self.check_term(operation, sum, a, scale)?;
        let integer = self.integer(operation, a.level(), c, scale)?;
        let residues = self.residues(a.level(), [integer])?;
        let ctx = self.ckks.context();
        let components = a.components();
        Ok(sum.inner.update(ctx, |mut dst| {
            let dst = dst.part(|s| s.slice_polys(0, components));
            Ok(ctx
                .backend()
                .mul_const_add(ctx.tables(), dst, a.inner.view(), &residues)?)
        })?)
    }

    /// sum += p a slotwise; operands as for `mul_const_add_assign`, one plaintext for all items or one an item.
    pub fn mul_plain_add_assign(
        &self,
        sum: &mut Ciphertext<B>,
        a: &Ciphertext<B>,
        p: &Plaintext<B>,
    ) -> Result<()> {
        let operation = "mul_plain_add";
        self.check_term(operation, sum, a, &p.scale)?;
        let components = a.components();
        let view = self
            .plain_view(operation, a, p)?
            .map(|s| s.repeat_polys(components));
        let ctx = self.ckks.context();
        Ok(sum.inner.update(ctx, |mut dst| {
            let dst = dst.part(|s| s.slice_polys(0, components));
            Ok(ctx.backend().mul_add(ctx.tables(), dst, a.inner.view(), view)?)
        })?)
    }

    /// Demands a sum that can take a term of `a` times something at `scale`.
    fn check_term(
        &self,
        operation: &'static str,
        sum: &Ciphertext<B>,
        a: &Ciphertext<B>,
        scale: &Scale,
    ) -> Result<()> {
        for c in [a, sum] {
            c.inner.check_context(operation, self.ctx())?;
        }
        let shape = |c: &Ciphertext<B>| -> (Level, usize) { (c.level(), c.items()) };
        if shape(sum) != shape(a) || sum.components() < a.components() {
            let words = |c: &Ciphertext<B>| {
                format!(
                    "{} items of {} components at {}",
                    c.items(),
                    c.components(),
                    c.level()
                )
            };
            let remedy = "the sum has the level and the items of the term, and at least its components";
            return Err(RlweError::mismatch(operation, "shapes", words(sum), words(a), remedy).into());
        }
        check_slots(operation, sum.slots, a.slots)?;
        check_scales(operation, a.level(), &sum.scale, &a.scale.mul(scale)?)
    }
}
