//! Weights as plaintext polynomials: kept as small integers, and expanded to residues when they are used or before.
//!
//! A *group* is what one sum of products needs: all blocks along k for a block of outputs, or all inputs and baby steps of a giant step.
//! Integers take 4 bytes a coefficient or less, residues 4 bytes for each prime (light plaintexts, as THOR has them).

use super::{Shape, blocks::Blocks};
use crate::{
    backend::{Backend, Integers, Light, Mut, Onto, Ref, Row, Span, derived::products},
    rlwe::{Context, Result},
};

/// Where the integers come from.
pub(super) enum Source {
    /// The matrix itself, `[k][n]`, of which a group is laid out when it is used.
    Blocks(Blocks, Shape, Vec<i16>),
    /// Coefficients, `[group][term][each]`.
    Coefficients(Vec<i32>),
    /// None: they are on the device, or the backend looks at no values.
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
    /// All integers in memory of the device, `[group][term][each]`.
    pub(super) light: Option<B::Buffer>,
    /// All residues (E), if they are kept: `[group][term][row]`.
    pub(super) ready: Option<B::Buffer>,
}

impl<B: Backend> Plaintexts<B> {
    /// The rows of some groups.
    pub(super) fn span(&self, groups: usize) -> Span<'_> {
        Span::dense(groups * self.terms, 1, &self.rows)
    }

    /// The integers of a group; `laid_out` is memory that is used again.
    fn integers<'a>(&'a self, group: usize, laid_out: &'a mut Vec<i32>) -> &'a [i32] {
        let count = self.terms * self.each;
        match &self.source {
            Source::Coefficients(all) => all.get(group * count..(group + 1) * count).unwrap_or_default(),
            Source::Blocks(blocks, shape, weights) => {
                laid_out.resize(count, 0);
                blocks.plaintexts(*shape, weights, group, self.each, laid_out);
                laid_out
            }
            Source::Blank => &[],
        }
    }

    /// The residues of a group.
    pub(super) fn expand(
        &self,
        ctx: &Context<B>,
        group: usize,
        laid_out: &mut Vec<i32>,
        mut dst: Mut<B>,
    ) -> Result<()> {
        let (backend, tables) = (ctx.backend(), ctx.tables());
        let values = Integers::I32(self.integers(group, laid_out));
        backend.lift(tables, dst.again(), values)?;
        Ok(backend.ntt(tables, dst)?)
    }

    /// Moves coefficients to memory of the device, which runs expand them from.
    pub(super) fn settle(&mut self, ctx: &Context<B>) -> Result<()> {
        let values: &[i32] = match &self.source {
            Source::Coefficients(all) => all,
            Source::Blocks(..) | Source::Blank => &[],
        };
        let light = (ctx.backend()).light(self.groups * self.terms, self.each, values)?;
        (self.source, self.light) = (Source::Blank, Some(light));
        Ok(())
    }

    /// Expands all of them, once and for all: the integers are needed no more.
    pub(super) fn prepare(&mut self, ctx: &Context<B>) -> Result<()> {
        let mut buffer = ctx.backend().alloc(ctx.log_n(), self.span(self.groups).count())?;
        let mut laid_out = Vec::new();
        for group in 0..self.groups {
            let span = self.span(self.groups).slice_items(group * self.terms, self.terms);
            self.expand(ctx, group, &mut laid_out, Mut::new(&mut buffer, span))?;
        }
        (self.source, self.ready) = (Source::Blank, Some(buffer));
        Ok(())
    }

    /// dst = sum over the terms of x times polynomials of a group (E), where every x has the items and polynomials of dst. `laid_out` is memory
    /// that is used again.
    pub(super) fn accumulate(
        &self,
        ctx: &Context<B>,
        dst: Mut<B>,
        x: &[Ref<B>],
        group: usize,
        laid_out: &mut Vec<i32>,
    ) -> Result<()> {
        let (backend, tables) = (ctx.backend(), ctx.tables());
        if let Some(all) = &self.ready {
            let own = self.span(self.groups).slice_items(group * self.terms, self.terms);
            let terms = products(x, Ref::new(all, own));
            return Ok(backend.mul_accumulate(tables, dst, Onto::Zero, &terms)?);
        }
        if let Some(all) = &self.light {
            let own = self.light_from(all, group * self.terms);
            return Ok(backend.light_product(tables, dst, x, own)?);
        }
        let own = backend.light(self.terms, self.each, self.integers(group, laid_out))?;
        Ok(backend.light_product(tables, dst, x, self.light_from(&own, 0))?)
    }

    fn light_from<'a>(&self, buffer: &'a B::Buffer, first: usize) -> Light<'a, B> {
        Light {
            buffer,
            first,
            length: self.each,
        }
    }

    /// Bytes of integers, and of residues if they are kept.
    pub(super) fn bytes(&self, log_n: u32) -> usize {
        let host = match &self.source {
            Source::Blocks(_, _, weights) => size_of_val(weights.as_slice()),
            Source::Coefficients(all) => size_of_val(all.as_slice()),
            Source::Blank => 0,
        };
        let polynomials = self.groups * self.terms;
        let light = self.light.as_ref().map_or(0, |_| 4 * self.each * polynomials);
        let ready = self
            .ready
            .as_ref()
            .map_or(0, |_| self.span(self.groups).count() * (4 << log_n));
        host + light + ready
    }
}
