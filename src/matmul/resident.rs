//! Small integers in memory of the device: what light plaintexts are expanded from, without the host.
//!
//! A polynomial of integers below q/2 in magnitude is kept as its residues modulo one prime q, 4 bytes a coefficient (modulo two primes
//! where one is too short). Its residues modulo all others are their base conversion, which is exact for them: the centred lift.

use crate::{
    backend::{Backend, Integers, Mut, Ref, Row, Span, compact},
    ring::Conversion,
    rlwe::{Context, Result},
};

/// Polynomials modulo a few primes (C), and the conversion to the others.
pub(super) struct Resident<B: Backend> {
    buffer: B::Buffer,
    polynomials: usize,
    /// The rows of `buffer`.
    own: Vec<Row>,
    /// The same primes among the rows of expanded polynomials.
    kept: Vec<Row>,
    /// The others.
    converted: Vec<Row>,
    conversion: B::Conversion,
}

impl<B: Backend> Resident<B> {
    /// Room for polynomials of integers up to `bound`, to be expanded to `rows`.
    pub(super) fn new(ctx: &Context<B>, polynomials: usize, rows: &[Row], bound: f64) -> Result<Self> {
        let basis = ctx.params().basis();
        let value = |row: &Row| f64::from(basis.prime(row.prime).value());
        let mut longest = rows.to_vec();
        longest.sort_by(|a, b| value(b).total_cmp(&value(a)));
        // The product of the kept primes is above twice the bound, with room where conversions round: see docs/numerics.md.
        let (mut count, mut product) = (0, 1.0);
        while product < 2.001 * bound && count < longest.len() {
            product *= longest.get(count).map_or(1.0, value);
            count += 1;
        }
        let (kept, converted): (Vec<Row>, Vec<Row>) = {
            let kept = longest.get(..count).unwrap_or_default();
            rows.iter().partition(|row| kept.contains(row))
        };
        let primes = |rows: &[Row]| rows.iter().map(|r| r.prime).collect::<Vec<u32>>();
        let constants = Conversion::new(basis, &primes(&kept), &primes(&converted));
        Ok(Self {
            buffer: ctx.backend().alloc(ctx.log_n(), polynomials * count)?,
            polynomials,
            own: compact(&primes(&kept)),
            kept,
            converted,
            conversion: ctx.backend().conversion(ctx.tables(), &constants)?,
        })
    }

    fn span(&self, first: usize, polynomials: usize) -> Span<'_> {
        Span::dense(self.polynomials, 1, &self.own).slice_items(first, polynomials)
    }

    /// Takes some polynomials from the host.
    pub(super) fn store(
        &mut self,
        ctx: &Context<B>,
        first: usize,
        polynomials: usize,
        values: &[i32],
    ) -> Result<()> {
        let span = Span::dense(self.polynomials, 1, &self.own).slice_items(first, polynomials);
        let dst = Mut::new(&mut self.buffer, span);
        Ok((ctx.backend()).lift(ctx.tables(), dst, Integers::I32(values))?)
    }

    /// Residues (C) of as many polynomials as `dst` has items.
    pub(super) fn expand(&self, ctx: &Context<B>, first: usize, mut dst: Mut<B>) -> Result<()> {
        let src = Ref::new(&self.buffer, self.span(first, dst.span.items));
        let kept = |s| Span {
            rows: &self.kept,
            ..s
        };
        ctx.backend().copy(dst.part(kept), src)?;
        if self.converted.is_empty() {
            return Ok(());
        }
        let converted = |s| Span {
            rows: &self.converted,
            ..s
        };
        let dst = dst.part(converted);
        Ok((ctx.backend()).convert(ctx.tables(), dst, src, &self.conversion)?)
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self, log_n: u32) -> usize {
        self.polynomials * self.own.len() * (4 << log_n)
    }
}
