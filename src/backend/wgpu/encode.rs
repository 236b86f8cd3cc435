//! Integers and seeds to rows. Kernels: `shaders/encode.wgsl`.

use super::{
    Wgpu,
    elementwise::{Constants, OverRows},
    ntt::Tables,
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
    pub(super) fn lift_rows(&self, t: &Tables, dst: &Mut<Self>, values: Integers) -> Result<()> {
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
                numbers: [width as u32, length as u32, 0, 0],
                list: None,
                grid: [
                    (1u32 << t.log_n).div_ceil(BLOCK),
                    part.rows.len() as u32,
                    (part.items.len() * part.polys.len()) as u32,
                ],
            })
        })
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
