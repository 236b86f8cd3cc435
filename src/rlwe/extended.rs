//! Ciphertexts before their division by P: sums of many key switches that share one division (double hoisting; Bossuat,
//! Mouchet, Troncoso-Pastoriza, Hubaux, eprint 2020/1203).
//!
//! A rotation is sigma(P ct + key switch) divided by P. The division commutes with sums and with products by plaintexts up to its
//! rounding, so that a sum of plaintexts times rotations is formed modulo Q P and divided once. Such a ciphertext has the rows of the
//! level and the special ones, two components, and stands for 1/P of what it holds.

use smallvec::SmallVec;

use super::{Ciphertext, Context, Digits, Level, Result, SwitchKey, keys::prepared};
use crate::{
    backend::{Backend, Mut, Ref, Span},
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
        ct.check_context("extend", self)?;
        let mut result = self.extended(ct.level(), ct.items())?;
        let (backend, level) = (self.backend(), self.level("extend", ct.level())?);
        let (own, special) = level.extended.split_at(level.rows.len());
        let mut dst = result.view_mut(self)?;
        backend.zero(dst.part(|s| s.with_rows(special)))?;
        let own = dst.part(|s| s.with_rows(own));
        backend.mul_const(self.tables(), own, ct.view(), &level.special_product)?;
        Ok(result)
    }

    /// sigma(P ct + key switch), from the digits of c_1: one key and element for all items, or one an item.
    pub(crate) fn rotate_extended(
        &self,
        ct: &Ciphertext<B>,
        digits: &Digits<B>,
        keys: &[&SwitchKey<B>],
        elements: &[Galois],
    ) -> Result<Extended<B>> {
        self.check_keys("rotate_extended", ct, keys)?;
        let mut sums = self.switch_extended(ct.level(), digits, keys)?;
        let (backend, level) = (self.backend(), self.level("rotate_extended", ct.level())?);
        let own = level.extended.get(..level.rows.len()).unwrap_or_default();
        let mut dst = sums.view_mut(self)?;
        let first = dst.part(|s| s.slice_polys(0, 1).with_rows(own));
        let c0 = ct.view().map(|s| s.slice_polys(0, 1));
        backend.mul_const_add(self.tables(), first, c0, &level.special_product)?;
        let mut result = self.extended(ct.level(), ct.items())?;
        let to = result.view_mut(self)?;
        backend.permute(self.tables(), to, sums.view(self)?, elements)?;
        Ok(result)
    }

    /// The inner products of digits and keys alone.
    fn switch_extended(
        &self,
        level: Level,
        digits: &Digits<B>,
        keys: &[&SwitchKey<B>],
    ) -> Result<Extended<B>> {
        let of_level = self.level("key switch", level)?;
        let mut sums = self.extended(level, digits.items)?;
        let span = Span::dense(digits.items, of_level.digits.len(), &of_level.extended);
        let which: Vec<u32> = of_level.digits.iter().map(|d| d.digit).collect();
        let held = prepared(self, keys)?;
        let keys: SmallVec<[&B::Key; 16]> = held.iter().map(|key| &**key).collect();
        let from = Ref::new(&digits.buffer, span);
        self.backend()
            .key_inner_product(self.tables(), sums.view_mut(self)?, from, &which, &keys)?;
        Ok(sums)
    }

    /// total += sigma(x switched): c_1 of x is divided by P and switched, c_0 stays as it is. One division of one component.
    pub(crate) fn add_rotated(
        &self,
        total: &mut Extended<B>,
        x: &Extended<B>,
        keys: &[&SwitchKey<B>],
        elements: &[Galois],
    ) -> Result<()> {
        let (backend, tables) = (self.backend(), self.tables());
        let level = self.level("rotate_extended", x.level)?;
        let span = Span::dense(x.items, 1, &level.rows);
        let mut second = backend.alloc(self.log_n(), span.count())?;
        let c1 = x.view(self)?.map(|s| s.slice_polys(1, 1));
        backend.step(tables, Mut::new(&mut second, span), c1, &level.mod_down)?;
        let count = level.digits.len();
        let extended = Span::dense(x.items, count, &level.extended);
        let mut buffer = backend.alloc(self.log_n(), extended.count())?;
        backend.mod_up(
            tables,
            Mut::new(&mut buffer, extended),
            Ref::new(&second, span),
            &level.digits,
        )?;
        let digits = Digits {
            buffer,
            items: x.items,
            level: x.level,
        };
        let mut sums = self.switch_extended(x.level, &digits, keys)?;
        let mut dst = sums.view_mut(self)?;
        let c0 = x.view(self)?.map(|s| s.slice_polys(0, 1));
        backend.add(tables, dst.part(|s| s.slice_polys(0, 1)), c0)?;
        Ok(backend.permute_add(tables, total.view_mut(self)?, sums.view(self)?, elements)?)
    }

    /// The division by P.
    pub(crate) fn mod_down(&self, x: &Extended<B>) -> Result<Ciphertext<B>> {
        let step = &self.level("mod_down", x.level)?.mod_down;
        Ciphertext::build(self, "mod_down", x.level, x.items, 2, |dst| {
            Ok(self.backend().step(self.tables(), dst, x.view(self)?, step)?)
        })
    }
}
