//! Automorphisms of ciphertexts: rotations of columns, the swap of rows.

use super::{Ciphertext, Evaluator, Result};
use crate::{backend::Backend, ring::Galois};

impl<B: Backend> Evaluator<'_, B> {
    /// Both rows of slots rotated left by `k` columns (right for negative k); the key is `KeyNeeds::rotate(k)`.
    pub fn rotate_columns(&self, a: &Ciphertext<B>, k: i64) -> Result<Ciphertext<B>> {
        self.moved("rotate_columns", a, Galois::rotation(k, self.ctx().log_n()))
    }

    /// The two rows of slots swapped; the key is `KeyNeeds::conjugate()`.
    pub fn swap_rows(&self, a: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        self.moved("swap_rows", a, Galois::conjugation(self.ctx().log_n()))
    }

    /// X -> X^g of every plaintext; the key is `KeyNeeds::automorphism(g)`.
    pub fn automorphism(&self, a: &Ciphertext<B>, g: Galois) -> Result<Ciphertext<B>> {
        self.moved("automorphism", a, g)
    }

    pub(super) fn moved(
        &self,
        operation: &'static str,
        a: &Ciphertext<B>,
        g: Galois,
    ) -> Result<Ciphertext<B>> {
        self.bfv.check(operation, a)?;
        a.inner.check_components(operation, 2, "relinearise first")?;
        if g == Galois::IDENTITY {
            return Ok(a.clone());
        }
        let (ctx, key) = (self.ctx(), self.keys.galois(operation, g)?);
        let inner = ctx.automorphism(operation, &a.inner, None, &[key], &[g])?;
        Ok(a.with(inner))
    }
}
