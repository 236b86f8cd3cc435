//! Base conversion, a block of coefficients at a time, so that the scaled sources stay in the first-level cache.

use rayon::prelude::*;

use super::{
    dispatch::widest,
    elementwise::{BLOCK, LAZY, add_product, reduce_sums, scale_row},
    memory::{Reader, Writer},
    ntt::Tables,
};
use crate::ring::Conversion;

widest! {
    /// low + 2^64 high += y fraction, over a block: the 128-bit sum of the contract in two words.
    fn add_fraction(low: &mut [u64], high: &mut [u64], y: &[u32], fraction: u64) {
        let (f0, f1) = (fraction & 0xffff_ffff, fraction >> 32);
        for ((low, high), y) in low.iter_mut().zip(high).zip(y) {
            // y < 2^30, so y f1 + (y f0 >> 32) < 2^63 and the product is 96 bits at the most.
            let (p0, p1) = (u64::from(*y) * f0, u64::from(*y) * f1);
            let middle = p1 + (p0 >> 32);
            let product = (middle << 32) | (p0 & 0xffff_ffff);
            let sum = low.wrapping_add(product);
            *high += (middle >> 32) + u64::from(sum < product);
            *low = sum;
        }
    }
}

/// See [`Conversion`]. With at most 15 sources between reductions the sum of products and v (-b Q mod r) together stay
/// below 2^64.
pub(super) fn convert(t: &Tables, dst: Writer, src: Reader, c: &Conversion) {
    let (polys, blocks) = (dst.span.polys, dst.n.div_ceil(BLOCK));
    (0..dst.span.items * polys * blocks)
        .into_par_iter()
        .for_each_init(
            || vec![[0u32; BLOCK]; c.sources.len()],
            |scaled, at| {
                let (item, poly, start) = (at / (polys * blocks), at / blocks % polys, at % blocks * BLOCK);
                let block = start..dst.n.min(start + BLOCK);
                let len = block.len();
                let (mut low, mut v) = ([1u64 << 63; BLOCK], [0u64; BLOCK]);
                for (i, y) in scaled.iter_mut().enumerate() {
                    let x = &src.row(item, poly, i)[block.clone()];
                    scale_row(t.modulus(&src.span, i), &mut y[..len], x, c.source_factor[i]);
                    add_fraction(&mut low[..len], &mut v[..len], &y[..len], c.fraction[i]);
                }
                for target in 0..c.targets.len() {
                    let m = t.modulus(&dst.span, target);
                    let weights = &c.weights[target * scaled.len()..][..scaled.len()];
                    let mut sums = v;
                    sums[..len]
                        .iter_mut()
                        .for_each(|s| *s *= u64::from(c.overflow[target]));
                    for (i, (y, w)) in scaled.iter().zip(weights).enumerate() {
                        if i > 0 && i % (LAZY - 1) == 0 {
                            sums[..len].iter_mut().for_each(|s| *s = u64::from(m.reduce(*s)));
                        }
                        add_product(&mut sums[..len], &y[..len], *w);
                    }
                    // SAFETY: this block of this row belongs to this task alone; the row is split by blocks.
                    let out = unsafe { dst.block(item, poly, target, block.clone()) };
                    reduce_sums(m, out, &sums[..len]);
                }
            },
        );
}
