//! Bases on the device, and transforms. Kernels: `shaders/ntt.wgsl`.

use std::sync::Arc;

use super::{
    Wgpu,
    elementwise::{Constants, OverRows},
    memory::Buffer,
    operands::{NO_ROW, Operand, Prime},
};
use crate::{
    arith::Modulus,
    backend::{
        Kept, Mut, Ref, Result, Row, Span, compact,
        prime::{PrimeTables, montgomery},
        primes_of,
    },
};

/// log2 of the words of a tile.
pub(super) const LOG_TILE: u32 = 12;

/// The primes of a basis on the device, with their twiddles.
pub struct Tables {
    pub(super) log_n: u32,
    moduli: Vec<Modulus>,
    primes: Buffer,
    forward: Buffer,
    inverse: Buffer,
    /// Those of polynomials in X^gap, by log2 of N / gap.
    sparse: Kept<u32, Self>,
}

impl Tables {
    pub(super) fn primes(&self) -> &Buffer {
        &self.primes
    }

    /// The twiddles of all primes, downwards.
    pub(super) fn forward(&self) -> &Buffer {
        &self.forward
    }

    pub(super) fn modulus(&self, prime: u32) -> Modulus {
        self.moduli[prime as usize]
    }

    /// Constants of the rows of a span, for all items or for each in turn, in Montgomery's form.
    pub(super) fn montgomery(&self, span: &Span, c: &[u32]) -> Vec<u32> {
        let form = |(row, c): (&Row, &u32)| montgomery(self.modulus(row.prime), *c);
        span.rows.iter().cycle().zip(c).map(form).collect()
    }

    /// The tables of degree 2^log_n, below this ring's, that give the evaluations of polynomials in X^gap of it once each; kept from their
    /// first use on.
    pub(super) fn sparse(&self, wgpu: &Wgpu, log_n: u32) -> Result<Arc<Self>> {
        let new = || wgpu.new_tables([log_n, self.log_n], &self.moduli);
        self.sparse.get(log_n, new)
    }

    /// Workgroups of a transform along a row.
    pub(super) fn tiles(&self) -> u32 {
        1 << self.log_n.saturating_sub(LOG_TILE)
    }
}

/// Rows that are added to a result, each times a constant: for each row of the result one, or none.
pub(super) struct Added {
    /// With any row where there is none.
    rows: Vec<Row>,
    at: Vec<u32>,
    factors: Vec<u32>,
}

/// The rows of `Added`, of some memory.
#[derive(Clone, Copy)]
pub(super) struct Addend<'a> {
    pub(super) operand: Operand<'a>,
    pub(super) factors: &'a [u32],
}

impl Added {
    /// The rows of `held` that have primes of `result` and a factor; none if `held` is empty.
    pub(super) fn new(
        t: &Tables,
        result: &Span,
        held: &[Row],
        factor: impl Fn(u32) -> Option<u32>,
    ) -> Option<Self> {
        let any = *held.first()?;
        let (mut rows, mut at, mut factors) = (Vec::new(), Vec::new(), Vec::new());
        for row in result.rows {
            let place = held.iter().find(|r| r.prime == row.prime);
            let (from, place, factor) = match (place, factor(row.prime)) {
                (Some(place), Some(factor)) => (*place, place.at, factor),
                _ => (any, NO_ROW, 0),
            };
            rows.push(from);
            at.push(place);
            factors.push(factor);
        }
        let factors = t.montgomery(result, &factors);
        Some(Self { rows, at, factors })
    }

    pub(super) fn of<'a>(&'a self, src: &Ref<'a, Wgpu>) -> Addend<'a> {
        let operand = Operand::new(src.buffer, src.span.with_rows(&self.rows));
        Addend {
            operand: Operand {
                at: Some(&self.at),
                ..operand
            },
            factors: &self.factors,
        }
    }
}

/// Where the twiddles of each row's prime are.
pub(super) fn twiddle_rows(span: &Span) -> Vec<Row> {
    let row = |r: &Row| Row {
        at: r.prime,
        prime: r.prime,
    };
    span.rows.iter().map(row).collect()
}

/// The rows of a table of twiddles, for all items and polynomials of `dst`.
pub(super) fn twiddles<'a>(table: &'a Buffer, rows: &'a [Row], dst: &Span) -> Operand<'a> {
    let one = Span::dense(1, 1, rows).repeat_polys(dst.polys);
    Operand::new(table, one.repeat_items(dst.items))
}

impl Wgpu {
    /// Degree 2^log_n, with the root psi^gap for the psi of the ring of degree 2^of = 2^log_n gap.
    pub(super) fn new_tables(&self, [log_n, of]: [u32; 2], moduli: &[Modulus]) -> Result<Tables> {
        let count = moduli.len();
        let (mut forward, mut inverse) = (self.device.take(log_n, count)?, self.device.take(log_n, count)?);
        let mut primes = Vec::new();
        for (i, m) in moduli.iter().enumerate() {
            let prime = PrimeTables::new(*m, [log_n, of])?;
            primes.push(Prime::new(*m, &prime));
            for (buffer, words) in [(&mut forward, prime.forward), (&mut inverse, prime.backward)] {
                self.device.write(buffer, &[(i << log_n, words.len())], &words)?;
            }
        }
        Ok(Tables {
            log_n,
            moduli: moduli.to_vec(),
            primes: self.constants(bytemuck::cast_slice(&primes))?,
            forward,
            inverse,
            sparse: Kept::default(),
        })
    }

    fn pass(
        &self,
        kernel: &'static str,
        t: &Tables,
        [dst, twiddles]: [Operand; 2],
        left: Option<Operand>,
        (constants, number): (Constants, u32),
    ) -> Result<()> {
        self.over_rows(&OverRows {
            kernel,
            tables: Some(t),
            dst,
            left,
            right: None,
            table: Some(twiddles),
            constants,
            numbers: &|_| [number, 0, 0, 0],
            blocks: t.tiles(),
        })
    }

    /// dst in evaluation order, in place; `addend`, if any, is added to it.
    pub(super) fn forward(&self, t: &Tables, dst: &Mut<Self>, addend: Option<Addend>) -> Result<()> {
        if t.log_n > LOG_TILE {
            let rows = twiddle_rows(&dst.span);
            let operands = [Operand::write(dst), twiddles(&t.forward, &rows, &dst.span)];
            self.pass("ntt_outer", t, operands, None, (Constants::None, 0))?;
        }
        self.forward_inner(t, dst, addend)
    }

    /// The inner pass of the same.
    pub(super) fn forward_inner(&self, t: &Tables, dst: &Mut<Self>, addend: Option<Addend>) -> Result<()> {
        let rows = twiddle_rows(&dst.span);
        let operands = [Operand::write(dst), twiddles(&t.forward, &rows, &dst.span)];
        let constants = addend.map_or(Constants::None, |a| Constants::OfRows(a.factors));
        let left = addend.map(|a| a.operand);
        self.pass("ntt_inner", t, operands, left, (constants, 0))
    }

    /// dst = the coefficients of src, or of dst itself.
    pub(super) fn inverse(&self, t: &Tables, dst: &Mut<Self>, src: Option<&Ref<Self>>) -> Result<()> {
        let rows = twiddle_rows(&dst.span);
        let operands = [Operand::write(dst), twiddles(&t.inverse, &rows, &dst.span)];
        let from = (Constants::None, u32::from(src.is_some()));
        self.pass("intt_inner", t, operands, src.map(Operand::read), from)?;
        if t.log_n > LOG_TILE {
            self.pass("intt_outer", t, operands, None, (Constants::None, 0))?;
        }
        Ok(())
    }

    /// The rows of `src` as coefficients, in memory of their own.
    pub(super) fn coefficients(&self, t: &Tables, src: Ref<Self>) -> Result<(Buffer, Vec<Row>)> {
        let rows = compact(&primes_of(src.span.rows));
        let mut own = self.device.take(t.log_n, src.span.count())?;
        let span = Span::dense(src.span.items, src.span.polys, &rows);
        self.inverse(t, &Mut::new(&mut own, span), Some(&src))?;
        Ok((own, rows))
    }
}
