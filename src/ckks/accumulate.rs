//! Sums of many products with plaintexts, with one reduction for all of them.

use smallvec::SmallVec;

use super::{Ciphertext, CkksError, Evaluator, Plaintext, Result, ciphertext::check_scales};
use crate::{
    backend::{Backend, Onto, Product},
    rlwe::{self, RlweError},
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
        let mut terms: SmallVec<[Product<B>; 16]> = SmallVec::new();
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
}
