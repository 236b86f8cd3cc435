//! Ciphertexts times P modulo Q P: sums of many rotations and plaintext products with one division at the end (double hoisting,
//! Bossuat, Mouchet, Troncoso-Pastoriza, Hubaux, eprint 2020/1203).

use super::{Ciphertext, Context, Digits, Level, Result, RlweError, SwitchKey};
use crate::{
    backend::{Backend, Integers, Moved, Mut, Onto, Product, Ref, Span},
    ring::Galois,
};

/// P times some ciphertexts of a level, modulo the level's primes and the special ones (E): `[item][2][level rows, special rows]`.
pub(crate) struct Extended<B: Backend> {
    buffer: B::Buffer,
    items: usize,
    level: Level,
}

/// One polynomial modulo the extended rows of a level (E): what extended ciphertexts are multiplied by.
pub(crate) struct ExtendedPlain<B: Backend> {
    buffer: B::Buffer,
    bytes: usize,
}

impl<B: Backend> ExtendedPlain<B> {
    /// Bytes of the residues.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl<B: Backend> Context<B> {
    fn extended(&self, items: usize, polys: usize, level: Level) -> Result<B::Buffer> {
        let rows = self.level("extend", level)?.extended.len();
        Ok(self.backend().alloc(self.log_n(), items * polys * rows)?)
    }

    /// Zero.
    pub(crate) fn extended_zero(&self, items: usize, level: Level) -> Result<Extended<B>> {
        let mut buffer = self.extended(items, 2, level)?;
        let span = Span::dense(items, 2, &self.level("zero", level)?.extended);
        self.backend().zero(Mut::new(&mut buffer, span))?;
        Ok(Extended { buffer, items, level })
    }

    /// P times the ciphertexts.
    pub(crate) fn extend(&self, ct: &Ciphertext<B>) -> Result<Extended<B>> {
        let level = self.level("extend", ct.level())?;
        let mut buffer = self.extended(ct.items(), 2, ct.level())?;
        let span = Span::dense(ct.items(), 2, &level.extended);
        let (own, special) = level.extended.split_at(level.rows.len());
        let (backend, tables) = (self.backend(), self.tables());
        backend.zero(Mut::new(&mut buffer, span.with_rows(special)))?;
        let dst = Mut::new(&mut buffer, span.with_rows(own));
        backend.mul_const(tables, dst, ct.view(), &level.special_product)?;
        Ok(Extended {
            buffer,
            items: ct.items(),
            level: ct.level(),
        })
    }

    /// P times sigma of the ciphertexts, not divided yet; `digits` are those of the second component.
    pub(crate) fn rotate_extended(
        &self,
        ct: &Ciphertext<B>,
        digits: &Digits<B>,
        key: &SwitchKey<B>,
        g: Galois,
    ) -> Result<Extended<B>> {
        let operation = "rotate";
        let level = self.level(operation, ct.level())?;
        self.check_key(operation, ct.level(), key)?;
        let (backend, tables) = (self.backend(), self.tables());
        let span = Span::dense(ct.items(), 2, &level.extended);
        let mut sums = self.extended(ct.items(), 2, ct.level())?;
        let which: Vec<u32> = level.digits.iter().map(|d| d.digit).collect();
        let from = digits.view(level);
        backend.key_inner_product(tables, Mut::new(&mut sums, span), from, &which, &[key.prepared()])?;
        let own = &level.extended[..level.rows.len()];
        let dst = Mut::new(&mut sums, span.slice_polys(0, 1).with_rows(own));
        let first = ct.view().map(|s| s.slice_polys(0, 1));
        backend.mul_const_add(tables, dst, first, &level.special_product)?;
        let mut buffer = self.extended(ct.items(), 2, ct.level())?;
        backend.permute(tables, Mut::new(&mut buffer, span), Ref::new(&sums, span), &[g])?;
        Ok(Extended {
            buffer,
            items: ct.items(),
            level: ct.level(),
        })
    }

    /// Integers as a polynomial modulo the extended rows of a level, N / gap of them.
    pub(crate) fn lift_extended(&self, level: Level, integers: &[i64]) -> Result<ExtendedPlain<B>> {
        let rows = &self.level("lift", level)?.extended;
        let mut buffer = self.extended(1, 1, level)?;
        let span = Span::dense(1, 1, rows);
        let (backend, tables) = (self.backend(), self.tables());
        backend.lift(tables, Mut::new(&mut buffer, span), Integers::I64(integers))?;
        backend.ntt(tables, Mut::new(&mut buffer, span))?;
        Ok(ExtendedPlain {
            buffer,
            bytes: rows.len() * (4 << self.log_n()),
        })
    }

    /// The sum of products, which are all of one level and number of items, and at least one.
    pub(crate) fn inner_product_extended(
        &self,
        terms: &[(&Extended<B>, &ExtendedPlain<B>)],
    ) -> Result<Extended<B>> {
        let Some((first, _)) = terms.first() else {
            let remedy = "pass at least one pair";
            return Err(RlweError::mismatch(
                "inner product",
                "counts",
                0,
                "at least 1",
                remedy,
            ));
        };
        let (items, level) = (first.items, first.level);
        let rows = &self.level("inner product", level)?.extended;
        let (span, plain) = (Span::dense(items, 2, rows), Span::dense(1, 1, rows));
        let mut buffer = self.extended(items, 2, level)?;
        let products: Vec<Product<B>> = terms
            .iter()
            .map(|(a, b)| Product {
                a: Ref::new(&a.buffer, span),
                b: Ref::new(&b.buffer, plain.repeat_items(items).repeat_polys(2)),
            })
            .collect();
        let dst = Mut::new(&mut buffer, span);
        self.backend()
            .mul_accumulate(self.tables(), dst, Onto::Zero, &products)?;
        Ok(Extended { buffer, items, level })
    }

    /// total += a.
    pub(crate) fn add_extended(&self, total: &mut Extended<B>, a: &Extended<B>) -> Result<()> {
        let span = Span::dense(a.items, 2, &self.level("add", a.level)?.extended);
        let dst = Mut::new(&mut total.buffer, span);
        Ok(self
            .backend()
            .add(self.tables(), dst, Ref::new(&a.buffer, span))?)
    }

    /// total += sigma(a), switched back to the secret: the second component is divided by P and switched, the first is not.
    pub(crate) fn rotate_add_extended(
        &self,
        total: &mut Extended<B>,
        mut a: Extended<B>,
        key: &SwitchKey<B>,
        g: Galois,
    ) -> Result<()> {
        let operation = "rotate";
        let level = self.level(operation, a.level)?;
        self.check_key(operation, a.level, key)?;
        let (backend, tables, items) = (self.backend(), self.tables(), a.items);
        let span = Span::dense(items, 2, &level.extended);
        let low = Span::dense(items, 1, &level.rows);
        let mut second = backend.alloc(self.log_n(), low.count())?;
        let from = Ref::new(&a.buffer, span.slice_polys(1, 1));
        backend.step(tables, Mut::new(&mut second, low), from, &level.mod_down)?;
        let digits_span = Span::dense(items, level.digits.len(), &level.extended);
        let mut digits = self.extended(items, level.digits.len(), a.level)?;
        let dst = Mut::new(&mut digits, digits_span);
        backend.mod_up(tables, dst, Ref::new(&second, low), &level.digits)?;
        let which: Vec<u32> = level.digits.iter().map(|d| d.digit).collect();
        let mut sums = self.extended(items, 2, a.level)?;
        let from = Ref::new(&digits, digits_span);
        backend.key_inner_product(tables, Mut::new(&mut sums, span), from, &which, &[key.prepared()])?;
        backend.add(
            tables,
            Mut::new(&mut sums, span.slice_polys(0, 1)),
            Ref::new(&a.buffer, span.slice_polys(0, 1)),
        )?;
        // The memory of `a` is free again before the sum needs any.
        std::mem::swap(&mut a.buffer, &mut sums);
        drop(sums);
        let terms = [Moved {
            src: Ref::new(&a.buffer, span),
            element: g,
        }];
        let dst = Mut::new(&mut total.buffer, span);
        Ok(backend.permute_accumulate(tables, dst, Onto::Destination, &terms)?)
    }

    /// Divided by P and rescaled, with one rounding; `None` at the lowest level.
    pub(crate) fn reduce_rescale(&self, a: &Extended<B>) -> Result<Option<Ciphertext<B>>> {
        let operation = "rescale";
        let level = self.level(operation, a.level)?;
        let Some((step, below)) = level.mod_down_rescale.as_ref().zip(a.level.below()) else {
            return Ok(None);
        };
        let span = Span::dense(a.items, 2, &level.extended);
        Ciphertext::build(self, operation, below, a.items, 2, |dst| {
            Ok(self
                .backend()
                .step(self.tables(), dst, Ref::new(&a.buffer, span), step)?)
        })
        .map(Some)
    }

    pub(crate) fn check_key(&self, operation: &str, wanted: Level, key: &SwitchKey<B>) -> Result<()> {
        self.params().check(operation, "the key", key.params())?;
        if key.level() < wanted {
            return Err(RlweError::KeyLevel {
                operation: operation.to_owned(),
                key: key.purpose(),
                wanted,
                held: key.level(),
            });
        }
        Ok(())
    }
}
