//! Sums of products with constants and plaintexts: many terms with one reduction for all of them, or term by term in place.

use smallvec::SmallVec;

use super::{
    Ciphertext, CkksError, Evaluator, Plaintext, Result,
    ciphertext::{check_scales, check_slots},
};
use crate::{
    backend::{Backend, Onto, Product},
    ring::Scale,
    rlwe::{self, Level, RlweError},
};

impl<B: Backend> Evaluator<'_, B> {
    /// The sum over pairs of a p slotwise: what a row of a matrix, or a giant step of a linear transform, makes of its operands.
    ///
    /// All ciphertexts share level, items, slots and components, and all pairs share the product of scales, which is that of the sum;
    /// each plaintext is one for all items or one an item. Equal to the sum of [`mul_plain`](Evaluator::mul_plain) over the
    /// pairs, bit for bit, in one pass over the operands.
    pub fn inner_product_plain(&self, pairs: &[(&Ciphertext<B>, &Plaintext<B>)]) -> Result<Ciphertext<B>> {
        let operation = "inner_product_plain";
        let Some((first, plain)) = pairs.first() else {
            let wanted = String::from("at least one pair");
            return Err(CkksError::Length {
                operation,
                given: 0,
                wanted,
                remedy: "pass at least one pair",
            });
        };
        let scale = first.scale.mul(&plain.scale)?;
        self.ckks.check_room(operation, first.level(), &scale)?;
        let mut terms: SmallVec<[Product<B>; 32]> = SmallVec::new();
        for (a, p) in pairs {
            // Also checks the context, and the plaintext against the ciphertext.
            let b = self.plain_view(operation, a, p)?;
            first.inner.check_like(operation, &a.inner)?;
            let remedy = "relinearise all ciphertexts, or none";
            (a.inner).check_components(operation, first.components(), remedy)?;
            if a.slots != first.slots {
                let remedy = "encode all operands with as many slots";
                return Err(
                    RlweError::mismatch(operation, "slot counts", first.slots, a.slots, remedy).into(),
                );
            }
            check_scales(operation, first.level(), &scale, &a.scale.mul(&p.scale)?)?;
            terms.push(Product {
                a: a.inner.view(),
                b: b.map(|s| s.repeat_polys(first.components())),
            });
        }
        let (ctx, components) = (self.ctx(), first.components());
        let inner =
            rlwe::Ciphertext::build(ctx, operation, first.level(), first.items(), components, |dst| {
                Ok(ctx
                    .backend()
                    .mul_accumulate(ctx.tables(), dst, Onto::Zero, &terms)?)
            })?;
        Ok(Ciphertext {
            inner,
            scale,
            slots: first.slots,
        })
    }

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
