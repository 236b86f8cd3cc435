//! Rotations and conjugation of slots, one by one and hoisted.
//!
//! The digits of c_1 do not depend on the rotation, and a hoisted set of rotations shares them.

use smallvec::SmallVec;

use super::{Ciphertext, CkksError, Evaluator, Result};
use crate::{backend::Backend, ring::Galois, rlwe};

impl<B: Backend> Evaluator<'_, B> {
    fn rotation(&self, k: i64) -> Galois {
        Galois::rotation(k, self.ctx().log_n())
    }

    /// Slots rotated left by `k` (right for negative k), cyclically over all slots.
    pub fn rotate(&self, a: &Ciphertext<B>, k: i64) -> Result<Ciphertext<B>> {
        self.automorphism("rotate", a, self.rotation(k))
    }

    /// Slots conjugated.
    pub fn conjugate(&self, a: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        self.automorphism("conjugate", a, Galois::conjugation(self.ctx().log_n()))
    }

    /// Several rotations of the same ciphertexts, with one ModUp for all (hoisting).
    pub fn rotate_hoisted(&self, a: &Ciphertext<B>, steps: &[i64]) -> Result<Vec<Ciphertext<B>>> {
        a.inner.check_context("rotate_hoisted", self.ctx())?;
        a.inner
            .check_components("rotate_hoisted", 2, "relinearise first")?;
        let elements: SmallVec<[Galois; 16]> = steps.iter().map(|k| self.rotation(*k)).collect();
        let moving: SmallVec<[Galois; 16]> = (elements.iter().copied())
            .filter(|g| *g != Galois::IDENTITY)
            .collect();
        let keys = moving.iter().map(|g| self.keys.galois("rotate_hoisted", *g));
        let keys = keys.collect::<rlwe::Result<SmallVec<[_; 16]>>>()?;
        let moved = self
            .ctx()
            .automorphisms("rotate_hoisted", &a.inner, &keys, &moving)?;
        let mut moved = moved.into_iter();
        let one = |g: &Galois| match *g {
            Galois::IDENTITY => a.clone(),
            _ => moved.next().map_or_else(|| a.clone(), |inner| a.with(inner)),
        };
        Ok(elements.iter().map(one).collect())
    }

    /// Item i rotated left by `steps[i]`: one launch for a batch whose items need different rotations. An item that stays
    /// where it is needs no key.
    pub fn rotate_each(&self, a: &Ciphertext<B>, steps: &[i64]) -> Result<Ciphertext<B>> {
        a.inner.check_context("rotate_each", self.ctx())?;
        a.inner.check_components("rotate_each", 2, "relinearise first")?;
        if steps.len() != a.items() {
            let (wanted, remedy) = (
                format!("one for each of {} items", a.items()),
                "pass one rotation an item",
            );
            return Err(CkksError::Length {
                operation: "rotate_each",
                given: steps.len(),
                wanted,
                remedy,
            });
        }
        let elements: Vec<Galois> = steps.iter().map(|k| self.rotation(*k)).collect();
        let (moving, elements): (Vec<usize>, Vec<Galois>) = (0..)
            .zip(elements)
            .filter(|(_, g)| *g != Galois::IDENTITY)
            .unzip();
        if moving.is_empty() {
            return Ok(a.clone());
        }
        if moving.len() == a.items() {
            return self.switched("rotate_each", a, &elements);
        }
        // Items that stay need no key: only the others are switched.
        let parts = moving
            .iter()
            .map(|i| a.slice(*i, 1))
            .collect::<Result<Vec<_>>>()?;
        let parts = self.concat(&parts)?;
        let moved = self.switched("rotate_each", &parts, &elements)?;
        let item = |i: usize| match moving.binary_search(&i) {
            Ok(place) => moved.slice(place, 1),
            Err(_) => a.slice(i, 1),
        };
        let items = (0..a.items()).map(item).collect::<Result<Vec<_>>>()?;
        self.concat(&items)
    }

    fn automorphism(&self, operation: &'static str, a: &Ciphertext<B>, g: Galois) -> Result<Ciphertext<B>> {
        a.inner.check_context(operation, self.ctx())?;
        a.inner.check_components(operation, 2, "relinearise first")?;
        if g == Galois::IDENTITY {
            return Ok(a.clone());
        }
        self.switched(operation, a, &[g])
    }

    /// One Galois element for all items, or one an item: then none of them is the identity, for which there is no key.
    fn switched(
        &self,
        operation: &'static str,
        a: &Ciphertext<B>,
        elements: &[Galois],
    ) -> Result<Ciphertext<B>> {
        if elements.iter().all(|g| *g == Galois::IDENTITY) {
            return Ok(a.clone());
        }
        let ctx = self.ctx();
        let inner = if let [g] = elements {
            let key = self.keys.galois(operation, *g)?;
            ctx.automorphism(operation, &a.inner, None, &[key], elements)?
        } else {
            let keys = elements.iter().map(|g| self.keys.galois(operation, *g));
            let keys = keys.collect::<rlwe::Result<Vec<_>>>()?;
            ctx.automorphism(operation, &a.inner, None, &keys, elements)?
        };
        Ok(a.with(inner))
    }
}
