//! Weights as plaintext polynomials: kept as small integers, and expanded to residues when they are used or before.
//!
//! A *group* is what one sum of products needs: all blocks along k for a block of outputs, or all inputs and baby steps of a giant step.
//! Integers take 4 bytes a coefficient or less, residues 4 bytes for each prime (light plaintexts, as THOR has them).

use super::{Shape, blocks::Blocks, resident::Resident};
use crate::{
    backend::{Backend, Integers, Mut, Onto, Product, Ref, Row, Span},
    rlwe::{Context, Result},
};

/// Where the integers come from.
pub(super) enum Source {
    /// The matrix itself, `[k][n]`, of which a group is laid out when it is used.
    Blocks(Blocks, Shape, Vec<i16>),
    /// Coefficients, `[group][term][each]`.
    Coefficients(Vec<i32>),
    /// None: they are resident, or the backend looks at no values.
    Blank,
}

/// Groups of plaintext polynomials.
pub(super) struct Plaintexts<B: Backend> {
    pub(super) source: Source,
    /// Polynomials of a group.
    pub(super) terms: usize,
    /// Groups.
    pub(super) groups: usize,
    /// Integers of a polynomial: N, or fewer with gaps between them.
    pub(super) each: usize,
    /// The rows of residues.
    pub(super) rows: Vec<Row>,
    /// All integers in memory of the device, `[group][term]`.
    pub(super) resident: Option<Resident<B>>,
    /// All residues (E), if they are kept: `[group][term][row]`.
    pub(super) ready: Option<B::Buffer>,
}

/// Memory for the integers and the residues of one group.
pub(super) struct Scratch<B: Backend> {
    integers: Vec<i32>,
    residues: Option<B::Buffer>,
}

impl<B: Backend> Plaintexts<B> {
    /// Rows of a group.
    fn span(&self, groups: usize) -> Span<'_> {
        Span::dense(groups * self.terms, 1, &self.rows)
    }

    /// The residues of a group; `integers` is memory that is used again.
    pub(super) fn expand(
        &self,
        ctx: &Context<B>,
        group: usize,
        integers: &mut Vec<i32>,
        mut dst: Mut<B>,
    ) -> Result<()> {
        let (backend, tables) = (ctx.backend(), ctx.tables());
        if let Some(resident) = &self.resident {
            resident.expand(ctx, group * self.terms, dst.again())?;
            return Ok(backend.ntt(tables, dst)?);
        }
        let count = self.terms * self.each;
        let values = match &self.source {
            Source::Coefficients(all) => all.get(group * count..(group + 1) * count).unwrap_or_default(),
            Source::Blocks(blocks, shape, weights) => {
                integers.resize(count, 0);
                blocks.plaintexts(*shape, weights, group, self.each, integers);
                integers
            }
            Source::Blank => &[],
        };
        backend.lift(tables, dst.again(), Integers::I32(values))?;
        Ok(backend.ntt(tables, dst)?)
    }

    /// Moves coefficients up to `bound` in magnitude to memory of the device, which runs expand them from.
    pub(super) fn settle(&mut self, ctx: &Context<B>, bound: f64) -> Result<()> {
        let mut resident = Resident::new(ctx, self.groups * self.terms, &self.rows, bound)?;
        let count = self.terms * self.each;
        for group in 0..self.groups {
            let values = match &self.source {
                Source::Coefficients(all) => all.get(group * count..(group + 1) * count).unwrap_or_default(),
                Source::Blocks(..) | Source::Blank => &[],
            };
            resident.store(ctx, group * self.terms, self.terms, values)?;
        }
        self.source = Source::Blank;
        self.resident = Some(resident);
        Ok(())
    }

    /// Expands all of them, once and for all.
    pub(super) fn prepare(&mut self, ctx: &Context<B>) -> Result<()> {
        let mut buffer = ctx.backend().alloc(ctx.log_n(), self.span(self.groups).count())?;
        let mut integers = Vec::new();
        for group in 0..self.groups {
            let span = self.span(self.groups).slice_items(group * self.terms, self.terms);
            self.expand(ctx, group, &mut integers, Mut::new(&mut buffer, span))?;
        }
        self.ready = Some(buffer);
        Ok(())
    }

    /// What `group` needs.
    pub(super) fn scratch(&self, ctx: &Context<B>) -> Result<Scratch<B>> {
        let residues = match self.ready {
            Some(_) => None,
            None => Some(ctx.backend().alloc(ctx.log_n(), self.span(1).count())?),
        };
        Ok(Scratch {
            integers: Vec::new(),
            residues,
        })
    }

    /// The polynomials of a group, one an item (E).
    pub(super) fn group<'a>(
        &'a self,
        ctx: &Context<B>,
        group: usize,
        scratch: &'a mut Scratch<B>,
    ) -> Result<Ref<'a, B>> {
        let Scratch { integers, residues } = scratch;
        match (&self.ready, residues) {
            (Some(all), _) => {
                let span = self.span(self.groups).slice_items(group * self.terms, self.terms);
                Ok(Ref::new(all, span))
            }
            (None, Some(one)) => {
                self.expand(ctx, group, integers, Mut::new(one, self.span(1)))?;
                Ok(Ref::new(one, self.span(1)))
            }
            (None, None) => Err(crate::backend::BackendError::Unsupported {
                need: "plaintexts without memory to expand them to",
            }
            .into()),
        }
    }

    /// Bytes of integers, and of residues if they are kept.
    pub(super) fn bytes(&self, log_n: u32) -> usize {
        let integers = match &self.source {
            Source::Blocks(_, _, weights) => size_of_val(weights.as_slice()),
            Source::Coefficients(all) => size_of_val(all.as_slice()),
            Source::Blank => 0,
        };
        let rows = self.span(self.groups).count();
        let resident = self.resident.as_ref().map_or(0, |r| r.bytes(log_n));
        integers + resident + self.ready.as_ref().map_or(0, |_| rows * (4 << log_n))
    }
}

/// dst = sum over terms of x term times plaintext item (E); dst and every x have the same items and two polynomials.
pub(super) fn accumulate<B: Backend>(
    ctx: &Context<B>,
    dst: Mut<B>,
    x: &[Ref<B>],
    weights: Ref<B>,
) -> Result<()> {
    let terms: Vec<Product<B>> = x
        .iter()
        .enumerate()
        .map(|(term, x)| Product {
            a: *x,
            b: weights.map(|s| s.slice_items(term, 1).repeat_items(x.span.items).repeat_polys(2)),
        })
        .collect();
    Ok(ctx
        .backend()
        .mul_accumulate(ctx.tables(), dst, Onto::Zero, &terms)?)
}
