//! Base conversion, a block of coefficients at a time, so that the scaled sources stay in the first-level cache.

use rayon::prelude::*;

use super::{
    elementwise::{BLOCK, LAZY},
    memory::{Reader, Writer},
    ntt::Tables,
};
use crate::ring::Conversion;

/// See [`Conversion`]. With at most 16 sources the sum of products and v (-b Q mod r) together stay below 2^64:
/// 16 (2^30 - 1)^2 + 16 2^30 < 2^64.
pub(super) fn convert(t: &Tables, dst: Writer, src: Reader, c: &Conversion) {
    let (polys, blocks) = (dst.span.polys, dst.n.div_ceil(BLOCK));
    (0..dst.span.items * polys * blocks)
        .into_par_iter()
        .for_each(|at| {
            let (item, poly, start) = (at / (polys * blocks), at / blocks % polys, at % blocks * BLOCK);
            let block = start..dst.n.min(start + BLOCK);
            let len = block.len();
            let mut scaled = vec![[0u32; BLOCK]; c.sources.len()];
            let mut overflow = [0u64; BLOCK];
            let mut sums = [0u128; BLOCK];
            sums[..len].fill(1 << 63);
            for (i, y) in scaled.iter_mut().enumerate() {
                let m = t.modulus(&src.span, i);
                let (factor, fraction) = (c.source_factor[i], u128::from(c.fraction[i]));
                let companion = m.shoup(factor);
                for (k, x) in src.row(item, poly, i)[block.clone()].iter().enumerate() {
                    y[k] = m.mul_shoup(*x, factor, companion);
                    sums[k] += u128::from(y[k]) * fraction;
                }
            }
            for (v, sum) in overflow.iter_mut().zip(&sums) {
                *v = (sum >> 64) as u64;
            }
            for target in 0..c.targets.len() {
                let m = t.modulus(&dst.span, target);
                let weights = &c.weights[target * scaled.len()..][..scaled.len()];
                let mut sums = overflow;
                sums[..len]
                    .iter_mut()
                    .for_each(|s| *s *= u64::from(c.overflow[target]));
                for (i, (y, w)) in scaled.iter().zip(weights).enumerate() {
                    if i > 0 && i % (LAZY - 1) == 0 {
                        sums[..len].iter_mut().for_each(|s| *s = u64::from(m.reduce(*s)));
                    }
                    let w = u64::from(*w);
                    for (s, y) in sums[..len].iter_mut().zip(y) {
                        *s += u64::from(*y) * w;
                    }
                }
                // SAFETY: this block of this row belongs to this task alone; the row is split by blocks.
                let out = unsafe { dst.block(item, poly, target, block.clone()) };
                for (x, s) in out.iter_mut().zip(&sums) {
                    *x = m.reduce(*s);
                }
            }
        });
}
