//! What products of ciphertexts demand before any work: operands that fit together, a level to go down to, and every key.

use crate::{
    backend::Backend,
    ckks::{Ciphertext, CkksError, Evaluator, Result},
    ring::Galois,
    rlwe::{Level, RlweError},
};

/// Demands of one operation.
pub(super) struct Demands<'a, B: Backend> {
    ev: &'a Evaluator<'a, B>,
    operation: &'static str,
}

impl<'a, B: Backend> Demands<'a, B> {
    pub(super) fn new(ev: &'a Evaluator<'a, B>, operation: &'static str) -> Self {
        Self { ev, operation }
    }

    /// So many ciphertexts of so many slots and two components, of this context.
    pub(super) fn shape(&self, x: &Ciphertext<B>, items: usize, slots: usize) -> Result<()> {
        self.context(x)?;
        if (x.items(), x.slots()) == (items, slots) {
            return Ok(());
        }
        let left = format!("{} ciphertexts of {} slots", x.items(), x.slots());
        let right = format!("{items} of {slots}");
        let remedy = "pack the operand for this shape";
        Err(RlweError::mismatch(self.operation, "shapes", left, right, remedy).into())
    }

    /// Two components, of this context.
    pub(super) fn context(&self, x: &Ciphertext<B>) -> Result<()> {
        x.rlwe().check_context(self.operation, self.ev.ckks().context())?;
        Ok(x.rlwe()
            .check_components(self.operation, 2, "relinearise the operand first")?)
    }

    /// Equal scales.
    pub(super) fn scales(&self, a: &Ciphertext<B>, b: &Ciphertext<B>) -> Result<()> {
        if a.scale() == b.scale() {
            return Ok(());
        }
        Err(CkksError::ScaleMismatch {
            operation: self.operation,
            level: a.level(),
            left: a.scale().log2(),
            right: b.scale().log2(),
        })
    }

    /// A product that is relinearised and rescaled: operands of one level, room for the product of their scales, and the key. Gives the
    /// level of the result.
    pub(super) fn product(&self, a: &Ciphertext<B>, b: &Ciphertext<B>) -> Result<Level> {
        let level = a.level();
        if level != b.level() {
            let remedy = "bring the higher one down with `adjust` or `drop_to`";
            return Err(RlweError::mismatch(self.operation, "levels", level, b.level(), remedy).into());
        }
        (self.ev.ckks()).check_room(self.operation, level, &a.scale().mul(b.scale())?)?;
        let (below, _) = self.ev.below(self.operation, a)?;
        let key = self.ev.keys().relinearisation(self.operation)?;
        self.ev.ckks().context().check_key(self.operation, level, key)?;
        Ok(below)
    }

    /// The keys of rotations at a level; none is needed to stay in place.
    pub(super) fn rotations(&self, level: Level, steps: impl IntoIterator<Item = i64>) -> Result<()> {
        let log_n = self.ev.ckks().context().log_n();
        steps
            .into_iter()
            .try_for_each(|k| self.automorphism(level, Galois::rotation(k, log_n)))
    }

    /// The key of a conjugation at a level.
    pub(super) fn conjugation(&self, level: Level) -> Result<()> {
        self.automorphism(level, Galois::conjugation(self.ev.ckks().context().log_n()))
    }

    fn automorphism(&self, level: Level, g: Galois) -> Result<()> {
        if g == Galois::IDENTITY {
            return Ok(());
        }
        let key = self.ev.keys().galois(self.operation, g)?;
        Ok((self.ev.ckks().context()).check_key(self.operation, level, key)?)
    }
}
