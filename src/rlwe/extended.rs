//! Ciphertexts before their division by P: sums of many key switches that share one division (double hoisting; Bossuat,
//! Mouchet, Troncoso-Pastoriza, Hubaux, eprint 2020/1203).
//!
//! A rotation is sigma(P ct + key switch) divided by P. The division commutes with sums and with products by plaintexts up to its
//! rounding, so that a sum of plaintexts times rotations is formed modulo Q P and divided once. Such a ciphertext has the rows of the
//! level and the special ones, two components, and stands for 1/P of what it holds.

use smallvec::{SmallVec, smallvec};

use super::{Ciphertext, Context, Digits, Level, LevelContext, Result, SwitchKey, keys::prepared};
use crate::{
    backend::{Backend, KeySwitch, Mut, Ref, Span},
    ring::Galois,
};

/// P times some ciphertexts, modulo Q P (E): `[item][2][level's rows, special rows]`.
pub struct Extended<B: Backend> {
    pub(super) buffer: B::Buffer,
    pub(super) items: usize,
    pub(super) level: Level,
}

impl<B: Backend> Extended<B> {
    /// Number of ciphertexts.
    pub fn items(&self) -> usize {
        self.items
    }

    /// The level.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The rows, to read; `ctx` is that which it was made by.
    pub(crate) fn view<'a>(&'a self, ctx: &'a Context<B>) -> Result<Ref<'a, B>> {
        let rows = &ctx.level("extended", self.level)?.extended;
        Ok(Ref::new(&self.buffer, Span::dense(self.items, 2, rows)))
    }

    /// The rows, to write.
    pub(crate) fn view_mut<'a>(&'a mut self, ctx: &'a Context<B>) -> Result<Mut<'a, B>> {
        let rows = &ctx.level("extended", self.level)?.extended;
        Ok(Mut::new(&mut self.buffer, Span::dense(self.items, 2, rows)))
    }
}

impl<B: Backend> Context<B> {
    /// Memory for `items` of them; the caller writes it before anything reads it.
    pub(crate) fn extended(&self, level: Level, items: usize) -> Result<Extended<B>> {
        let rows = &self.level("extended", level)?.extended;
        let buffer = self.backend().alloc(self.log_n(), items * 2 * rows.len())?;
        Ok(Extended { buffer, items, level })
    }

    /// P ct: no key switch.
    pub(crate) fn extend(&self, ct: &Ciphertext<B>) -> Result<Extended<B>> {
        let mut result = self.extended(ct.level(), ct.items())?;
        self.extend_into(result.view_mut(self)?, ct)?;
        Ok(result)
    }

    /// [`extend`](Self::extend), to extended rows of as many items.
    pub(crate) fn extend_into(&self, mut dst: Mut<B>, ct: &Ciphertext<B>) -> Result<()> {
        ct.check_context("extend", self)?;
        let (backend, level) = (self.backend(), self.level("extend", ct.level())?);
        let (own, special) = level.extended.split_at(level.rows.len());
        backend.zero(dst.part(|s| s.with_rows(special)))?;
        let own = dst.part(|s| s.with_rows(own));
        Ok(backend.mul_const(self.tables(), own, ct.view(), &level.special_product)?)
    }

    /// sigma(P ct + key switch), from the digits of c_1: one key and element for all items, or one an item.
    pub(crate) fn rotate_extended(
        &self,
        ct: &Ciphertext<B>,
        digits: &Digits<B>,
        keys: &[&SwitchKey<B>],
        elements: &[Galois],
    ) -> Result<Extended<B>> {
        let mut result = self.extended(ct.level(), ct.items())?;
        self.rotate_extended_into(result.view_mut(self)?, ct, digits, keys, elements)?;
        Ok(result)
    }

    /// [`rotate_extended`](Self::rotate_extended), to extended rows of as many items; digits of one item are those of all.
    pub(crate) fn rotate_extended_into(
        &self,
        mut dst: Mut<B>,
        ct: &Ciphertext<B>,
        digits: &Digits<B>,
        keys: &[&SwitchKey<B>],
        elements: &[Galois],
    ) -> Result<()> {
        if digits.items == 1 && keys.len() > 1 && !keys.iter().all(|key| key.is_expanded()) {
            // Keys of a store are taken one after the other: it may have room for one.
            for (i, (key, g)) in keys.iter().zip(elements).enumerate() {
                let (dst, one) = (dst.part(|s| s.slice_items(i, 1)), ct.slice(i, 1)?);
                self.rotate_extended_into(dst, &one, digits, &[*key], &[*g])?;
            }
            return Ok(());
        }
        let operation = "rotate_extended";
        ct.check_context(operation, self)?;
        self.check_keys(operation, ct, keys)?;
        super::switch::check_digits(ct, digits)?;
        let level = self.level(operation, ct.level())?;
        let held = prepared(self, keys)?;
        let prepared: SmallVec<[&B::Key; 16]> = held.iter().map(|key| &**key).collect();
        let span = Span::dense(digits.items, level.digits.len(), &level.extended);
        let span = match digits.items {
            1 => span.repeat_items(ct.items()),
            _ => span,
        };
        let c0 = ct.view().map(|s| s.slice_polys(0, 1));
        let k = undivided(level, &prepared, &level.special_product, elements);
        let digits = Ref::new(&digits.buffer, span);
        Ok(self.backend().switch_digits(self.tables(), dst, digits, c0, &k)?)
    }

    /// total += sigma(x switched): c_1 of x is divided by P and switched, c_0 stays as it is. One division of one component.
    pub(crate) fn add_rotated(
        &self,
        total: &mut Extended<B>,
        x: &Extended<B>,
        keys: &[&SwitchKey<B>],
        elements: &[Galois],
    ) -> Result<()> {
        self.add_rotated_view(total, x.view(self)?, keys, elements)
    }

    /// [`add_rotated`](Self::add_rotated) of as many items of another batch, of the level of `total`.
    pub(crate) fn add_rotated_view(
        &self,
        total: &mut Extended<B>,
        x: Ref<B>,
        keys: &[&SwitchKey<B>],
        elements: &[Galois],
    ) -> Result<()> {
        let (backend, tables) = (self.backend(), self.tables());
        let level = self.level("rotate_extended", total.level)?;
        for key in keys {
            self.check_key("rotate_extended", total.level, key)?;
        }
        let span = Span::dense(total.items, 1, &level.rows);
        let mut second = backend.alloc(self.log_n(), span.count())?;
        let c1 = x.map(|s| s.slice_polys(1, 1));
        backend.step(tables, Mut::new(&mut second, span), c1, &level.mod_down)?;
        let held = prepared(self, keys)?;
        let prepared: SmallVec<[&B::Key; 16]> = held.iter().map(|key| &**key).collect();
        let ones: SmallVec<[u32; 64]> = smallvec![1; level.extended.len()];
        let k = undivided(level, &prepared, &ones, elements);
        let mut moved = self.extended(total.level, total.items)?;
        let (second, c0) = (Ref::new(&second, span), x.map(|s| s.slice_polys(0, 1)));
        backend.key_switch(tables, moved.view_mut(self)?, second, c0, &k)?;
        Ok(backend.add(tables, total.view_mut(self)?, moved.view(self)?)?)
    }

    /// The division by P.
    pub(crate) fn mod_down(&self, x: &Extended<B>) -> Result<Ciphertext<B>> {
        let step = &self.level("mod_down", x.level)?.mod_down;
        Ciphertext::build(self, "mod_down", x.level, x.items, 2, |dst| {
            Ok(self.backend().step(self.tables(), dst, x.view(self)?, step)?)
        })
    }
}

/// A key switch of a level that ends modulo Q P.
fn undivided<'a, B: Backend>(
    level: &'a LevelContext<B>,
    keys: &'a [&'a B::Key],
    factor: &'a [u32],
    elements: &'a [Galois],
) -> KeySwitch<'a, B> {
    KeySwitch {
        digits: &level.digits,
        extended: &level.extended,
        keys,
        factor,
        elements,
        step: None,
    }
}
