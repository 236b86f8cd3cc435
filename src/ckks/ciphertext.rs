//! Batches of CKKS ciphertexts and plaintexts.

use crate::{
    backend::Backend,
    ckks::{CkksError, Result},
    ring::Scale,
    rlwe::{self, Context, Eval, Level, Params, Poly, RlweError},
};

/// Some ciphertexts (the items) at one level and scale, each of `slots` complex numbers. Cheap to clone and to slice.
pub struct Ciphertext<B: Backend> {
    pub(super) inner: rlwe::Ciphertext<B>,
    pub(super) scale: Scale,
    pub(super) slots: usize,
}

impl<B: Backend> Clone for Ciphertext<B> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            scale: self.scale.clone(),
            slots: self.slots,
        }
    }
}

impl<B: Backend> Ciphertext<B> {
    /// Parts that were checked against one another.
    pub(crate) fn from_parts(inner: rlwe::Ciphertext<B>, scale: Scale, slots: usize) -> Self {
        Self { inner, scale, slots }
    }

    pub(super) fn with(&self, inner: rlwe::Ciphertext<B>) -> Self {
        Self {
            inner,
            scale: self.scale.clone(),
            slots: self.slots,
        }
    }

    /// The ciphertexts without their scheme.
    pub fn rlwe(&self) -> &rlwe::Ciphertext<B> {
        &self.inner
    }

    /// Number of ciphertexts.
    pub fn items(&self) -> usize {
        self.inner.items()
    }

    /// Polynomials of a ciphertext: 2, or 3 before relinearisation.
    pub fn components(&self) -> usize {
        self.inner.components()
    }

    /// The level.
    pub fn level(&self) -> Level {
        self.inner.level()
    }

    /// The exact scale.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }

    /// Complex numbers in each ciphertext.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// The items from `first`, `items` of them, sharing memory.
    pub fn slice(&self, first: usize, items: usize) -> Result<Self> {
        Ok(self.with(self.inner.slice(first, items)?))
    }

    /// Every `step`-th item from `first`, `items` of them, sharing memory.
    pub fn every(&self, first: usize, step: usize, items: usize) -> Result<Self> {
        Ok(self.with(self.inner.every(first, step, items)?))
    }

    /// The same residues read at `2^k` times the scale: every value divided by `2^k`, without any work.
    pub fn divided_by_pow2(mut self, k: u32) -> Result<Self> {
        self.scale = self.scale.times_pow2(i64::from(k))?;
        Ok(self)
    }
}

/// Demands exactly equal scales.
pub(super) fn check_scales(operation: &'static str, level: Level, left: &Scale, right: &Scale) -> Result<()> {
    if left != right {
        let (left, right) = (left.log2(), right.log2());
        return Err(CkksError::ScaleMismatch {
            operation,
            level,
            left,
            right,
        });
    }
    Ok(())
}

/// Demands as many slots.
pub(super) fn check_slots(operation: &'static str, left: usize, right: usize) -> Result<()> {
    if left != right {
        let remedy = "encode both operands with as many slots";
        return Err(RlweError::mismatch(operation, "slot counts", left, right, remedy).into());
    }
    Ok(())
}

/// Encoded values in the evaluation domain, ready for products and sums.
pub struct Plaintext<B: Backend> {
    pub(super) poly: Poly<B, Eval>,
    pub(super) params: Params,
    pub(super) level: Level,
    pub(super) scale: Scale,
    pub(super) slots: usize,
}

impl<B: Backend> Plaintext<B> {
    /// Number of plaintexts.
    pub fn items(&self) -> usize {
        self.poly.items
    }

    /// The level.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The exact scale.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }
}

/// Fresh ciphertexts as they travel: half the bytes.
pub struct SeededCiphertext<B: Backend> {
    pub(super) inner: rlwe::SeededCiphertext<B>,
    pub(super) scale: Scale,
    pub(super) slots: usize,
}

impl<B: Backend> SeededCiphertext<B> {
    /// Parts that were checked against one another.
    pub(crate) fn from_parts(inner: rlwe::SeededCiphertext<B>, scale: Scale, slots: usize) -> Self {
        Self { inner, scale, slots }
    }

    /// The ciphertexts without their scheme.
    pub fn rlwe(&self) -> &rlwe::SeededCiphertext<B> {
        &self.inner
    }

    /// The level.
    pub fn level(&self) -> Level {
        self.inner.level()
    }

    /// The exact scale.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }

    /// Complex numbers in each ciphertext.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Number of ciphertexts.
    pub fn items(&self) -> usize {
        self.inner.items()
    }

    /// Bytes of residues and seeds.
    pub fn bytes(&self, ctx: &Context<B>) -> usize {
        self.inner.bytes(ctx)
    }

    /// The ordinary ciphertexts.
    pub fn expand(&self, ctx: &Context<B>) -> Result<Ciphertext<B>> {
        Ok(Ciphertext {
            inner: self.inner.expand(ctx)?,
            scale: self.scale.clone(),
            slots: self.slots,
        })
    }
}
