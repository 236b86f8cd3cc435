//! Batches of BFV ciphertexts, plaintexts and decryptions.

use zeroize::Zeroizing;

use super::{BfvError, PlainModulus, Result};
use crate::{
    backend::Backend,
    rlwe::{self, Context, Eval, Level, Params, Poly},
};

/// Some ciphertexts (the items) at one level. Cheap to clone and to slice.
pub struct Ciphertext<B: Backend> {
    pub(super) inner: rlwe::Ciphertext<B>,
    pub(super) plain: PlainModulus,
}

impl<B: Backend> Clone for Ciphertext<B> {
    fn clone(&self) -> Self {
        self.with(self.inner.clone())
    }
}

impl<B: Backend> Ciphertext<B> {
    /// Parts that were checked against one another.
    pub(crate) fn from_parts(inner: rlwe::Ciphertext<B>, plain: PlainModulus) -> Self {
        Self { inner, plain }
    }

    pub(super) fn with(&self, inner: rlwe::Ciphertext<B>) -> Self {
        let plain = self.plain;
        Self { inner, plain }
    }

    /// The ciphertexts without their scheme.
    pub fn rlwe(&self) -> &rlwe::Ciphertext<B> {
        &self.inner
    }

    /// The plaintext modulus.
    pub fn plain(&self) -> PlainModulus {
        self.plain
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

    /// The items from `first`, `items` of them and at least one, sharing memory.
    pub fn slice(&self, first: usize, items: usize) -> Result<Self> {
        Ok(self.with(self.inner.slice(first, items)?))
    }

    /// Every `step`-th item from `first`, `items` of them and at least one, sharing memory; step 0 repeats one item.
    pub fn every(&self, first: usize, step: usize, items: usize) -> Result<Self> {
        Ok(self.with(self.inner.every(first, step, items)?))
    }
}

/// Fresh ciphertexts as they travel: half the bytes.
pub struct SeededCiphertext<B: Backend> {
    pub(super) inner: rlwe::SeededCiphertext<B>,
    pub(super) plain: PlainModulus,
}

impl<B: Backend> SeededCiphertext<B> {
    /// Parts that were checked against one another.
    pub(crate) fn from_parts(inner: rlwe::SeededCiphertext<B>, plain: PlainModulus) -> Self {
        Self { inner, plain }
    }

    /// The ciphertexts without their scheme.
    pub fn rlwe(&self) -> &rlwe::SeededCiphertext<B> {
        &self.inner
    }

    /// The plaintext modulus.
    pub fn plain(&self) -> PlainModulus {
        self.plain
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
            plain: self.plain,
        })
    }
}

/// What encoded plaintexts have in common.
pub(super) struct Encoded<B: Backend> {
    pub(super) poly: Poly<B, Eval>,
    pub(super) params: Params,
    pub(super) plain: PlainModulus,
    pub(super) level: Level,
}

/// Plaintexts to add to ciphertexts: round(Q m / t) in the evaluation domain.
pub struct Addend<B: Backend>(pub(super) Encoded<B>);

/// Plaintexts to multiply ciphertexts by: m, centred modulo t, in the evaluation domain.
pub struct Factor<B: Backend>(pub(super) Encoded<B>);

impl<B: Backend> Addend<B> {
    /// Number of plaintexts.
    pub fn items(&self) -> usize {
        self.0.poly.items
    }

    /// The level.
    pub fn level(&self) -> Level {
        self.0.level
    }
}

impl<B: Backend> Factor<B> {
    /// Number of plaintexts.
    pub fn items(&self) -> usize {
        self.0.poly.items
    }

    /// The level.
    pub fn level(&self) -> Level {
        self.0.level
    }
}

/// Decrypted integers modulo t, equally many for each item. Not printable; cleared when dropped.
pub struct Decrypted {
    pub(super) values: Zeroizing<Vec<u64>>,
    pub(super) plain: PlainModulus,
}

impl std::fmt::Debug for Decrypted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decrypted(..)")
    }
}

impl Decrypted {
    /// How many integers there are, those of all items together.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The integers in [0, t), item after item. Exact integers carry no noise, so nothing is rounded away; see the module for
    /// when that is safe.
    pub fn release(self) -> Vec<u64> {
        self.values.to_vec()
    }

    /// The integers centred around 0, as [`PlainModulus::centred`].
    pub fn release_centred(self) -> Vec<i64> {
        self.values.iter().map(|v| self.plain.centred(*v)).collect()
    }
}

/// Demands one plaintext modulus.
pub(super) fn check_plain(
    operation: &'static str,
    what: &'static str,
    t: PlainModulus,
    theirs: PlainModulus,
) -> Result<()> {
    if t != theirs {
        let (theirs, t) = (theirs.value(), t.value());
        return Err(BfvError::Foreign {
            operation,
            what,
            theirs,
            t,
        });
    }
    Ok(())
}
