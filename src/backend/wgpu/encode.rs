//! Integers and seeds to rows. Kernels: `shaders/encode.wgsl`.

use super::{
    Wgpu,
    elementwise::{Constants, OverRows},
    ntt::{LOG_TILE, Tables},
    operands::{Operand, Part},
    queue::Launch,
};
use crate::{
    backend::{Integers, Mut, Result, Row, Span},
    sample::PublicSeed,
};

/// Coefficients of a workgroup.
const BLOCK: u32 = 256;
/// Words of integers that are brought to the device for one launch.
const MOST_WORDS: usize = 4 << 20;

impl Wgpu {
    /// Integers to residues, equally many for each polynomial: coefficients N / length apart for a period of 0, else the first
    /// coefficients of every `period`. The others are zero.
    pub(super) fn lift_rows(
        &self,
        t: &Tables,
        dst: &Mut<Self>,
        values: Integers,
        period: usize,
    ) -> Result<()> {
        let (width, words): (usize, &[u32]) = match values {
            Integers::I32(v) => (1, bytemuck::cast_slice(v)),
            Integers::I64(v) => (2, bytemuck::cast_slice(v)),
            Integers::I128(v) => (4, bytemuck::cast_slice(v)),
        };
        let (polys, to) = (dst.span.polys, Operand::write(dst));
        let length = values.len() / (dst.span.items * polys).max(1);
        if length == 0 {
            return Ok(());
        }
        let each = width * length;
        let integers = |part: &Part| part.items.len() * part.polys.len() * each;
        // Parts are of several items with all polynomials, or of one item, so that their integers lie one after the other.
        let fits = |part: &Part| {
            to.part(part).fits(&self.device) && integers(part) <= MOST_WORDS.min(self.device.binding_words)
        };
        Part::whole(&dst.span).each(&fits, &mut |part| {
            let first = (part.items.start * polys + part.polys.start) * each;
            let own = self.constants(&words[first..first + integers(part)])?;
            let dst = to.part(part);
            let whole = [Row { at: 0, prime: 0 }];
            self.device.launch(&Launch {
                kernel: "lift_rows",
                log_n: t.log_n,
                polys: part.polys.len(),
                rows: dst.span.rows,
                primes: Some(t.primes()),
                dst,
                left: None,
                right: None,
                table: Some(Operand::new(&own, Span::dense(1, 1, &whole))),
                numbers: [width as u32, length as u32, period as u32, 0],
                list: None,
                grid: [
                    (1u32 << t.log_n).div_ceil(BLOCK),
                    part.rows.len() as u32,
                    (part.items.len() * part.polys.len()) as u32,
                ],
            })
        })
    }

    /// See [`Backend::evaluate`](crate::backend::Backend::evaluate).
    ///
    /// A butterfly of x and 0 gives x twice. Where only the first coefficients of a polynomial are not zero, and no more than a tile has,
    /// the stages of the outer pass repeat them once for every tile: they are lifted to where they then are.
    pub(super) fn evaluate_rows(&self, t: &Tables, dst: &Mut<Self>, values: Integers) -> Result<()> {
        let length = values.len() / (dst.span.items * dst.span.polys).max(1);
        let tile = 1usize << t.log_n.min(LOG_TILE);
        if length <= tile {
            self.lift_rows(t, dst, values, tile)?;
            return self.forward_inner(t, dst, None);
        }
        self.lift_rows(t, dst, values, 1 << t.log_n)?;
        self.forward(t, dst, None)
    }

    pub(super) fn expand_rows(
        &self,
        t: &Tables,
        dst: &Mut<Self>,
        seeds: &[PublicSeed],
        label: u64,
    ) -> Result<()> {
        let word = |b: &[u8; 4]| u32::from_le_bytes(*b);
        let words = seeds.iter().flat_map(|s| s.0.as_chunks().0.iter().map(word));
        let words: Vec<u32> = words.collect();
        self.over_rows(&OverRows {
            kernel: "expand_rows",
            tables: Some(t),
            dst: Operand::write(dst),
            left: None,
            right: None,
            table: None,
            constants: Constants::OfItems(&words, 8),
            numbers: &|part| {
                let stream = label.wrapping_add(part.polys.start as u64);
                [0, 0, stream as u32, (stream >> 32) as u32]
            },
            blocks: (1u32 << t.log_n).div_ceil(4 * BLOCK),
        })
    }
}
