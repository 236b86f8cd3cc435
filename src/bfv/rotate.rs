//! Automorphisms of ciphertexts: rotations of columns, the swap of rows.

use smallvec::SmallVec;

use super::{Ciphertext, Evaluator, Result};
use crate::{backend::Backend, ring::Galois, rlwe};

impl<B: Backend> Evaluator<'_, B> {
    /// Both rows of slots rotated left by `k` columns (right for negative k); the key is `KeyNeeds::rotate(k)`.
    pub fn rotate_columns(&self, a: &Ciphertext<B>, k: i64) -> Result<Ciphertext<B>> {
        self.moved("rotate_columns", a, Galois::rotation(k, self.ctx().log_n()))
    }

    /// The same for several rotations, which share their digits: less work than one after the other.
    pub fn rotate_columns_many(&self, a: &Ciphertext<B>, steps: &[i64]) -> Result<Vec<Ciphertext<B>>> {
        let operation = "rotate_columns_many";
        self.bfv.check(operation, a)?;
        (a.inner).check_components(operation, 2, "relinearise first")?;
        let ctx = self.ctx();
        let elements: SmallVec<[Galois; 16]> = (steps.iter())
            .map(|k| Galois::rotation(*k, ctx.log_n()))
            .collect();
        let moving: SmallVec<[Galois; 16]> = (elements.iter().copied())
            .filter(|g| *g != Galois::IDENTITY)
            .collect();
        let keys = moving.iter().map(|g| self.keys.galois(operation, *g));
        let keys = keys.collect::<rlwe::Result<SmallVec<[_; 16]>>>()?;
        let mut moved = ctx
            .automorphisms(operation, &a.inner, &keys, &moving)?
            .into_iter();
        let one = |g: &Galois| match *g {
            Galois::IDENTITY => a.clone(),
            _ => moved.next().map_or_else(|| a.clone(), |inner| a.with(inner)),
        };
        Ok(elements.iter().map(one).collect())
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
