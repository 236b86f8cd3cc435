//! Batches of RLWE ciphertexts.

use std::sync::Arc;

use super::{Context, Level, Params, Poly, Result, RlweError, poly::Eval};
use crate::{
    backend::{Backend, Mut, Ref, Row, Shared, Span},
    sample::PublicSeed,
};

/// Some ciphertexts of equal shape (the items), each of `components` polynomials in the evaluation domain:
/// the phase is c_0 + c_1 s + c_2 s^2.
///
/// Cheap to clone and to slice along items; clones share memory, and no operation changes shared memory.
pub struct Ciphertext<B: Backend> {
    buffer: Shared<B::Buffer>,
    offset: usize,
    items: usize,
    item_stride: usize,
    components: usize,
    poly_stride: usize,
    rows: Arc<[Row]>,
    level: Level,
    /// The level whose rows lie in memory, of which the rows are a selection.
    stored: Level,
    params: Params,
}

impl<B: Backend> Clone for Ciphertext<B> {
    fn clone(&self) -> Self {
        Self {
            buffer: self.buffer.clone(),
            rows: Arc::clone(&self.rows),
            params: self.params.clone(),
            ..*self
        }
    }
}

impl<B: Backend> Ciphertext<B> {
    /// Fresh memory, written by `write` before anything reads it.
    pub(crate) fn build(
        ctx: &Context<B>,
        operation: &'static str,
        level: Level,
        items: usize,
        components: usize,
        write: impl FnOnce(Mut<B>) -> Result<()>,
    ) -> Result<Self> {
        let rows = Arc::clone(&ctx.level(operation, level)?.rows);
        let poly_stride = rows.len();
        let mut buffer = ctx
            .backend()
            .alloc(ctx.log_n(), items * components * poly_stride)?;
        write(Mut::new(&mut buffer, Span::dense(items, components, &rows)))?;
        let item_stride = components * poly_stride;
        Ok(Self {
            buffer: ctx.owners().share(buffer),
            offset: 0,
            items,
            item_stride,
            components,
            poly_stride,
            rows,
            level,
            stored: level,
            params: ctx.params().clone(),
        })
    }

    /// Zero, encrypted by nobody.
    pub(crate) fn zero(ctx: &Context<B>, level: Level, items: usize, components: usize) -> Result<Self> {
        Self::build(ctx, "zero", level, items, components, |dst| {
            Ok(ctx.backend().zero(dst)?)
        })
    }

    /// Demands that the ciphertexts are of this context.
    pub(crate) fn check_context(&self, operation: &str, ctx: &Context<B>) -> Result<()> {
        ctx.params().check(operation, "the ciphertext", &self.params)
    }

    /// Number of ciphertexts.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Polynomials of a ciphertext: 2, or 3 before relinearisation.
    pub fn components(&self) -> usize {
        self.components
    }

    /// The level.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Bytes of the residues.
    pub fn bytes(&self, ctx: &Context<B>) -> usize {
        self.items * self.components * self.rows.len() * (4 << ctx.log_n())
    }

    /// The first words of the first row, as a server sees them.
    pub fn first_words(&self, ctx: &Context<B>, words: usize) -> Result<Vec<u32>> {
        let mut row = vec![0; 1 << ctx.log_n()];
        let span = self.view().span;
        let first = Span {
            items: 1,
            polys: 1,
            rows: &span.rows[..1],
            ..span
        };
        ctx.backend().download(Ref::new(&*self.buffer, first), &mut row)?;
        row.truncate(words);
        Ok(row)
    }

    /// The rows, to read.
    pub fn view(&self) -> Ref<'_, B> {
        let span = Span {
            offset: self.offset,
            items: self.items,
            item_stride: self.item_stride,
            polys: self.components,
            poly_stride: self.poly_stride,
            rows: &self.rows,
        };
        Ref::new(&*self.buffer, span)
    }

    /// The items from `first`, `items` of them and at least one, sharing memory.
    pub fn slice(&self, first: usize, items: usize) -> Result<Self> {
        if items == 0 || first.checked_add(items).is_none_or(|end| end > self.items) {
            let wanted = format!("items {first}..{}", first.saturating_add(items));
            return Err(RlweError::mismatch(
                "slice",
                "items",
                self.items,
                wanted,
                "take at least one item, within those there are",
            ));
        }
        Ok(Self {
            offset: self.offset + first * self.item_stride,
            items,
            ..self.clone()
        })
    }

    /// Every `step`-th item from `first`, `items` of them and at least one, sharing memory; step 0 repeats one item.
    pub fn every(&self, first: usize, step: usize, items: usize) -> Result<Self> {
        let last = items
            .checked_sub(1)
            .and_then(|n| n.checked_mul(step))
            .and_then(|n| n.checked_add(first));
        if last.is_none_or(|last| last >= self.items) {
            let wanted = format!("{items} items from {first} in steps of {step}");
            return Err(RlweError::mismatch(
                "every",
                "items",
                self.items,
                wanted,
                "take at least one item, within those there are",
            ));
        }
        // A single item has no step, and any number may have been given for it.
        let step = if items == 1 { 1 } else { step };
        let (offset, item_stride) = (self.offset + first * self.item_stride, self.item_stride * step);
        Ok(Self {
            offset,
            item_stride,
            items,
            ..self.clone()
        })
    }

    /// All items one after the other; all parts at the same level with the same number of components.
    pub fn concat(ctx: &Context<B>, parts: &[Self]) -> Result<Self> {
        let Some(first) = parts.first() else {
            return Err(RlweError::mismatch(
                "concat",
                "parts",
                0,
                "at least 1",
                "pass at least one ciphertext",
            ));
        };
        for part in parts {
            part.check_context("concat", ctx)?;
            if (part.level, part.components) != (first.level, first.components) {
                let shape = |c: &Self| format!("{} with {} components", c.level, c.components);
                let remedy = "bring all parts to one level and relinearise them first";
                return Err(RlweError::mismatch(
                    "concat",
                    "shapes",
                    shape(first),
                    shape(part),
                    remedy,
                ));
            }
        }
        let items = parts.iter().map(|p| p.items).sum();
        Self::build(ctx, "concat", first.level, items, first.components, |mut dst| {
            let mut at = 0;
            for part in parts {
                ctx.backend()
                    .copy(dst.part(|s| s.slice_items(at, part.items)), part.view())?;
                at += part.items;
            }
            Ok(())
        })
    }

    /// Whether the items are one, repeated.
    pub(super) fn repeats(&self) -> bool {
        self.items > 1 && self.item_stride == 0
    }

    /// A copy with its own memory.
    pub(crate) fn duplicate(&self, ctx: &Context<B>) -> Result<Self> {
        Self::build(ctx, "copy", self.level, self.items, self.components, |dst| {
            Ok(ctx.backend().copy(dst, self.view())?)
        })
    }

    /// Writes to own memory, copying it first if it is shared or if items share it with one another.
    pub(crate) fn update(
        &mut self,
        ctx: &Context<B>,
        write: impl FnOnce(Mut<B>) -> Result<()>,
    ) -> Result<()> {
        if self.repeats() || self.buffer.get_mut().is_none() {
            *self = self.duplicate(ctx)?;
        }
        let span = Span {
            offset: self.offset,
            items: self.items,
            item_stride: self.item_stride,
            polys: self.components,
            poly_stride: self.poly_stride,
            rows: &self.rows,
        };
        match self.buffer.get_mut() {
            Some(buffer) => write(Mut::new(buffer, span)),
            None => Ok(()),
        }
    }

    /// At a lower level whose primes are all here: a selection of rows, sharing memory. `None` when the sets do not nest.
    pub(crate) fn select_level(&self, ctx: &Context<B>, level: Level) -> Result<Option<Self>> {
        self.check_context("drop_to", ctx)?;
        ctx.level("drop_to", level)?;
        if level == self.level {
            return Ok(Some(self.clone()));
        }
        // Where this level is not all of what is stored, what it lacks may be what the lower one needs.
        let from = |stored: Level| -> Result<_> {
            let selections = &ctx.level("drop_to", stored)?.selections;
            Ok(selections.get(level.index()).and_then(Option::as_ref))
        };
        let rows = from(self.level)?.and(from(self.stored)?);
        Ok(rows.map(|rows| Self {
            rows: Arc::clone(rows),
            level,
            ..self.clone()
        }))
    }

    /// Whether both sets of primes and all counts agree.
    pub(crate) fn check_like(&self, operation: &'static str, other: &Self) -> Result<()> {
        self.params
            .check(operation, "the second ciphertext", &other.params)?;
        if self.level != other.level {
            let remedy = "bring the higher one down with `adjust` or `drop_to`";
            return Err(RlweError::mismatch(
                operation,
                "levels",
                self.level,
                other.level,
                remedy,
            ));
        }
        if self.items != other.items {
            let remedy = "slice or concatenate so that both hold as many ciphertexts";
            return Err(RlweError::mismatch(
                operation,
                "items",
                self.items,
                other.items,
                remedy,
            ));
        }
        Ok(())
    }

    /// Demands a number of components.
    pub(crate) fn check_components(
        &self,
        operation: &'static str,
        wanted: usize,
        remedy: &'static str,
    ) -> Result<()> {
        if self.components != wanted {
            return Err(RlweError::mismatch(
                operation,
                "components",
                self.components,
                wanted,
                remedy,
            ));
        }
        Ok(())
    }
}

/// Fresh ciphertexts whose second components are seeds: half the bytes. They compute nothing until expanded.
pub struct SeededCiphertext<B: Backend> {
    pub(crate) first: Poly<B, Eval>,
    pub(crate) seeds: Vec<PublicSeed>,
    pub(crate) level: Level,
    pub(crate) params: Params,
}

impl<B: Backend> SeededCiphertext<B> {
    /// Number of ciphertexts.
    pub fn items(&self) -> usize {
        self.seeds.len()
    }

    /// The level.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Bytes of residues and seeds.
    pub fn bytes(&self, ctx: &Context<B>) -> usize {
        self.items() * (self.first.rows.len() * (4 << ctx.log_n()) + 32)
    }

    /// The ordinary ciphertexts: c_1 from the seeds, on the device.
    pub fn expand(&self, ctx: &Context<B>) -> Result<Ciphertext<B>> {
        ctx.params()
            .check("expand", "the seeded ciphertext", &self.params)?;
        Ciphertext::build(ctx, "expand", self.level, self.items(), 2, |mut dst| {
            ctx.backend()
                .copy(dst.part(|s| s.slice_polys(0, 1)), self.first.view())?;
            Ok(ctx
                .backend()
                .expand(ctx.tables(), dst.part(|s| s.slice_polys(1, 1)), &self.seeds, 0)?)
        })
    }
}
