//! Small integers times residues, as one matrix product a row of residues.
//!
//! Weights are shifted by 2^15 to be unsigned: sum w x = sum (w + 2^15) x - 2^15 sum x. Every product is below 2^46, so that
//! a 64-bit sum holds 2^17 of them.

use rayon::prelude::*;

use super::{
    dispatch::widest,
    memory::{Reader, Writer},
    ntt::Tables,
};
use crate::backend::Matrix;

/// Coefficients that fit the first-level cache together with their sums.
const BLOCK: usize = 512;
/// Outputs that share one pass over the operand.
const TILE: usize = 4;
const SHIFT: u32 = 15;
/// Terms of one sum: 2^17 (2^16 2^30) = 2^63.
const TERMS: usize = 1 << 17;

widest! {
    /// sums += x w.
    fn add_product(sums: &mut [u64], x: &[u32], w: u32) {
        for (s, x) in sums.iter_mut().zip(x) {
            *s += u64::from(*x) * u64::from(w);
        }
    }
}

pub(super) fn gemm(t: &Tables, dst: Writer, src: Reader, weights: Matrix) {
    let shifted: Vec<u32> = (0..weights.outputs * weights.inputs)
        .map(|i| (i32::from(weights.entries.get(i)) + (1 << SHIFT)) as u32)
        .collect();
    let (polys, rows, blocks) = (dst.span.polys, dst.span.rows.len(), dst.n.div_ceil(BLOCK));
    (0..polys * rows * blocks).into_par_iter().for_each(|at| {
        let (poly, row, start) = (at / (rows * blocks), at / blocks % rows, at % blocks * BLOCK);
        let block = start..dst.n.min(start + BLOCK);
        let len = block.len();
        let m = t.modulus(&dst.span, row);
        let mut column_sum = [0u64; BLOCK];
        for i in 0..weights.inputs {
            let x = &src.row(i, poly, row)[block.clone()];
            column_sum
                .iter_mut()
                .zip(x)
                .for_each(|(s, x)| *s += u64::from(*x));
        }
        for s in &mut column_sum[..len] {
            *s = u64::from(m.mul(m.reduce(*s), 1 << SHIFT));
        }
        for first in (0..weights.outputs).step_by(TILE) {
            let tile = TILE.min(weights.outputs - first);
            let mut sums = [[0u64; BLOCK]; TILE];
            for i in 0..weights.inputs {
                if i > 0 && i % (TERMS - 1) == 0 {
                    sums.iter_mut()
                        .flatten()
                        .for_each(|s| *s = u64::from(m.reduce(*s)));
                }
                let x = &src.row(i, poly, row)[block.clone()];
                for (o, sums) in sums[..tile].iter_mut().enumerate() {
                    add_product(&mut sums[..len], x, shifted[(first + o) * weights.inputs + i]);
                }
            }
            for (o, sums) in sums[..tile].iter().enumerate() {
                // SAFETY: this block of this row belongs to this task alone; rows are split by blocks, items are distinct.
                let out = unsafe { dst.block(first + o, poly, row, block.clone()) };
                for ((x, s), c) in out.iter_mut().zip(sums).zip(&column_sum) {
                    *x = m.sub(m.reduce(*s), *c as u32);
                }
            }
        }
    });
}
