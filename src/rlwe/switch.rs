//! Hybrid key switching (Han, Ki, eprint 2019/688): ModUp, inner product with the key, ModDown.
//!
//! Noise added, in coefficients: Var = sum_j N sigma^2 Q_j^2 / (12 P^2) + (1 + hw)/12, with all conversions centred.

use super::{Ciphertext, Context, Level, Result, RlweError, SwitchKey};
use crate::{
    backend::{Backend, Mut, Ref, Span},
    ring::Galois,
};

/// The extended digits of one polynomial an item (E): made once, used by every rotation of a hoisted set.
pub struct Digits<B: Backend> {
    buffer: B::Buffer,
    items: usize,
    level: Level,
}

impl<B: Backend> Context<B> {
    /// ModUp of component `component` of every item.
    pub fn mod_up(&self, ct: &Ciphertext<B>, component: usize) -> Result<Digits<B>> {
        ct.check_context("mod_up", self)?;
        if component >= ct.components() {
            let (held, remedy) = (ct.components(), "components count from 0");
            let wanted = format!("component {component}");
            return Err(RlweError::mismatch("mod_up", "components", held, wanted, remedy));
        }
        let level = self.level("mod_up", ct.level())?;
        let (items, digits) = (ct.items(), level.digits.len());
        let mut buffer = self
            .backend()
            .alloc(self.log_n(), items * digits * level.extended.len())?;
        let dst = Mut::new(&mut buffer, Span::dense(items, digits, &level.extended));
        let src = ct.view().map(|s| s.slice_polys(component, 1));
        self.backend().mod_up(self.tables(), dst, src, &level.digits)?;
        Ok(Digits {
            buffer,
            items,
            level: ct.level(),
        })
    }

    /// The inner product of digits and key, modulo the level's primes and the special ones: `[items][2][extended]` (E).
    ///
    /// One key for all items, or one an item. Errors when a key is truncated below the level.
    pub fn key_inner_product(
        &self,
        operation: &str,
        digits: &Digits<B>,
        keys: &[&SwitchKey<B>],
    ) -> Result<B::Buffer> {
        let level = self.level("key_inner_product", digits.level)?;
        if keys.len() != 1 && keys.len() != digits.items {
            let remedy = "pass one key, or one for each ciphertext";
            let (items, held) = (format!("{} items", digits.items), format!("{} keys", keys.len()));
            return Err(RlweError::mismatch(
                "key_inner_product",
                "counts",
                items,
                held,
                remedy,
            ));
        }
        for key in keys {
            self.params().check(operation, "the key", key.params())?;
            if key.level() < digits.level {
                return Err(RlweError::KeyLevel {
                    operation: operation.to_owned(),
                    key: key.purpose(),
                    wanted: digits.level,
                    held: key.level(),
                });
            }
        }
        let keys: Vec<&B::Key> = keys.iter().map(|k| k.prepared()).collect();
        let which: Vec<u32> = level.digits.iter().map(|d| d.digit).collect();
        let mut sums = self
            .backend()
            .alloc(self.log_n(), digits.items * 2 * level.extended.len())?;
        let dst = Mut::new(&mut sums, Span::dense(digits.items, 2, &level.extended));
        let src = Ref::new(
            &digits.buffer,
            Span::dense(digits.items, which.len(), &level.extended),
        );
        self.backend()
            .key_inner_product(self.tables(), dst, src, &which, &keys)?;
        Ok(sums)
    }

    /// Key switch without the final addition: `dst` (2 components an item) = ModDown(digits key).
    pub fn key_switch(
        &self,
        operation: &str,
        digits: &Digits<B>,
        keys: &[&SwitchKey<B>],
        dst: Mut<B>,
    ) -> Result<()> {
        let level = self.level("key_switch", digits.level)?;
        let sums = self.key_inner_product(operation, digits, keys)?;
        let src = Ref::new(&sums, Span::dense(digits.items, 2, &level.extended));
        Ok(self.backend().step(self.tables(), dst, src, &level.mod_down)?)
    }

    /// From three components to two: (c_0, c_1) + the key switch of c_2 from s^2.
    pub(crate) fn relinearise(&self, ct: &Ciphertext<B>, key: &SwitchKey<B>) -> Result<Ciphertext<B>> {
        let digits = self.mod_up(ct, 2)?;
        Ciphertext::build(self, "relinearise", ct.level(), ct.items(), 2, |mut dst| {
            self.key_switch("relinearise", &digits, &[key], dst.again())?;
            Ok(self
                .backend()
                .add(self.tables(), dst, ct.view().map(|s| s.slice_polys(0, 2)))?)
        })
    }

    /// sigma_g of every item, with the digits of its second component: one element and key for all items, or one an item.
    ///
    /// The key of sigma switches from s to sigma^-1(s), so that sigma is applied once, to the result:
    /// sigma(c_0 + k_0) + sigma(k_1) s, with (k_0, k_1) = key switch of c_1.
    pub(crate) fn automorphism(
        &self,
        operation: &'static str,
        ct: &Ciphertext<B>,
        digits: &Digits<B>,
        keys: &[&SwitchKey<B>],
        elements: &[Galois],
    ) -> Result<Ciphertext<B>> {
        let span = Span::dense(ct.items(), 2, &self.level(operation, ct.level())?.rows);
        let mut switched = self.backend().alloc(self.log_n(), span.count())?;
        self.key_switch(operation, digits, keys, Mut::new(&mut switched, span))?;
        let first = Mut::new(&mut switched, span.slice_polys(0, 1));
        self.backend()
            .add(self.tables(), first, ct.view().map(|s| s.slice_polys(0, 1)))?;
        Ciphertext::build(self, operation, ct.level(), ct.items(), 2, |dst| {
            Ok(self
                .backend()
                .permute(self.tables(), dst, Ref::new(&switched, span), elements)?)
        })
    }
}
