//! What launches are told: operands with their windows, parts of a launch that fit the device, and the constants of primes.

use std::ops::Range;

use super::{Wgpu, device::Device, memory::Buffer};
use crate::{
    arith::Modulus,
    backend::{
        Mut, Ref, Result, Span,
        prime::{PrimeTables, montgomery},
    },
};

/// Rows, and items times polynomials, of one launch: what fits its arguments and its grid.
const MOST_ROWS: usize = 1024;
pub(super) const MOST_LAYERS: usize = 32_768;

/// Rows of a buffer that a launch reads or writes.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a> {
    pub(super) buffer: &'a Buffer,
    pub(super) span: Span<'a>,
    /// Positions of the rows where they are not those of the span: [`NO_ROW`] for none.
    pub(super) at: Option<&'a [u32]>,
}

/// Where an operand has no row.
pub(super) const NO_ROW: u32 = u32::MAX;

/// The part of a buffer that a launch binds.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Window {
    /// The buffer, by the number of its memory.
    pub(super) id: u64,
    pub(super) first_word: usize,
    pub(super) words: usize,
}

impl<'a> Operand<'a> {
    pub(super) fn new(buffer: &'a Buffer, span: Span<'a>) -> Self {
        let within = span.count() == 0 || span.end() << buffer.log_n <= buffer.words();
        assert!(within, "rows beyond the buffer");
        let at = None;
        Self { buffer, span, at }
    }

    pub(super) fn read(src: &'a Ref<'a, Wgpu>) -> Self {
        Self::new(src.buffer, src.span)
    }

    pub(super) fn write(dst: &'a Mut<'_, Wgpu>) -> Self {
        assert!(dst.span.is_disjoint(), "rows to write coincide");
        Self::new(dst.buffer, dst.span)
    }

    /// The same, of a part of the launch.
    pub(super) fn part(self, part: &Part) -> Self {
        let [items, polys] = [&part.items, &part.polys];
        let sliced = self
            .span
            .slice_items(items.start, items.len())
            .slice_polys(polys.start, polys.len());
        Self {
            span: sliced.with_rows(&self.span.rows[part.rows.clone()]),
            at: self.at.map(|at| &at[part.rows.clone()]),
            ..self
        }
    }

    /// What has to be bound, and the first row of it: the whole buffer if a binding can hold it.
    pub(super) fn window(&self, device: &Device) -> Result<(Window, usize)> {
        let id = self.buffer.memory()?.id;
        let (words, log_n) = (self.buffer.words(), self.buffer.log_n);
        if words <= device.binding_words {
            let first_word = 0;
            let window = Window {
                id,
                first_word,
                words,
            };
            return Ok((window, 0));
        }
        let align = (device.align_words >> log_n).max(1);
        let lowest = self.span.rows.iter().map(|r| r.at as usize).min().unwrap_or(0);
        let first = (self.span.offset + lowest) / align * align;
        let window = Window {
            id,
            first_word: first << log_n,
            words: (self.span.end() - first) << log_n,
        };
        Ok((window, first))
    }

    /// Whether one binding holds it.
    pub(super) fn fits(&self, device: &Device) -> bool {
        self.window(device)
            .is_ok_and(|(window, _)| window.words <= device.binding_words)
    }
}

/// Items, polynomials and rows of a launch.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) items: Range<usize>,
    pub(super) polys: Range<usize>,
    pub(super) rows: Range<usize>,
}

fn halves(range: &Range<usize>) -> [Range<usize>; 2] {
    let middle = range.start + range.len() / 2;
    [range.start..middle, middle..range.end]
}

impl Part {
    /// All of a span.
    pub(super) fn whole(span: &Span) -> Self {
        Self {
            items: 0..span.items,
            polys: 0..span.polys,
            rows: 0..span.rows.len(),
        }
    }

    fn is_empty(&self) -> bool {
        self.items.is_empty() || self.polys.is_empty() || self.rows.is_empty()
    }

    /// Whether one launch can say and reach it.
    fn is_small(&self) -> bool {
        self.rows.len() <= MOST_ROWS && self.items.len() * self.polys.len() <= MOST_LAYERS
    }

    /// The halves along items, or polynomials if there is one item, or rows.
    fn split(&self) -> Option<[Self; 2]> {
        let own = || self.clone();
        if self.items.len() > 1 {
            Some(halves(&self.items).map(|items| Self { items, ..own() }))
        } else if self.polys.len() > 1 {
            Some(halves(&self.polys).map(|polys| Self { polys, ..own() }))
        } else if self.rows.len() > 1 {
            Some(halves(&self.rows).map(|rows| Self { rows, ..own() }))
        } else {
            None
        }
    }

    /// Runs parts, in order, that are small and fit.
    pub(super) fn each(
        self,
        fits: &impl Fn(&Self) -> bool,
        run: &mut impl FnMut(&Self) -> Result<()>,
    ) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        if self.is_small() && fits(&self) {
            return run(&self);
        }
        match self.split() {
            Some([first, second]) => {
                first.each(fits, run)?;
                second.each(fits, run)
            }
            None => run(&self),
        }
    }
}

/// A prime with its constants, as in `shaders/common.wgsl`.
#[repr(C, align(16))]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Prime {
    p: u32,
    inverse: u32,
    bits: u32,
    mu: u32,
    forms: [u32; 4],
    n_inverse: u32,
    i: u32,
    unused: [u32; 2],
}

impl Prime {
    pub(super) fn new(m: Modulus, prime: &PrimeTables) -> Self {
        let one = montgomery(m, 1);
        Self {
            p: prime.p,
            inverse: prime.inverse,
            bits: prime.bits,
            mu: prime.mu,
            forms: [1, 2, 3, 4].map(|k| m.pow(one, k)),
            n_inverse: montgomery(m, prime.n_inverse),
            i: prime.i,
            unused: [0; 2],
        }
    }
}
