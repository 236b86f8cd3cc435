//! Small integers times residues, as one matrix product a row of residues.
//!
//! Weights are shifted by 2^15 to be unsigned: sum w x = sum (w + 2^15) x - 2^15 sum x. A block of every source is copied
//! next to the others first, since rows lie powers of two apart and would evict one another from the caches; then every
//! tile of outputs keeps its sums in registers over all inputs.

use std::sync::Arc;

use super::{
    lanes::{Fold, LANES, Words, kernel},
    memory::{Pool, Reader, Writer, stride},
    ntt::Tables,
    scratch::Scratch,
    threads::Share,
};
use crate::{arith::Modulus, backend::Matrix};

/// Coefficients of a block.
const BLOCK: usize = 8 * LANES;
/// Outputs that share one pass over a block: their sums, two registers each, fit what AVX2 has, and half of what AVX-512 has.
const TILE: usize = 4;
const SHIFT: u32 = 15;
/// Terms of a sum: a residue and 2^17 products below 2^16 2^30 are below 2^64.
const TERMS: usize = 1 << 17;

/// Groups of lanes in a block.
const GROUPS: usize = BLOCK / LANES;

/// The outputs of a tile, `[output][group]`.
type Tile = [[Words; GROUPS]; TILE];

kernel! {
    /// All outputs of a block: `sources` by group, then input; `weights` by tile, then input; `out` by tile.
    fn product(
        l,
        m: Modulus,
        inputs: usize,
        sources: &[Words],
        weights: &[[u32; TILE]],
        out: &mut [Tile],
    ) {
        let fold = Fold::new(l, m);
        let factor = l.split_splat(1 << SHIFT);
        let mut offset = [l.splat(0); GROUPS];
        for (sources, offset) in sources.chunks_exact(inputs).zip(&mut offset) {
            for sources in sources.chunks(TERMS) {
                let mut sum = l.widen(*offset);
                for x in sources {
                    sum = l.wide_mul_add(sum, l.split(l.load(x)), factor);
                }
                *offset = fold.unsigned(l, l.high(sum), l.low(sum));
            }
        }
        for (weights, out) in weights.chunks_exact(inputs).zip(out) {
            for (group, sources) in sources.chunks_exact(inputs).enumerate() {
                let mut residues = [l.splat(0); TILE];
                for (sources, weights) in sources.chunks(TERMS).zip(weights.chunks(TERMS)) {
                    let mut sums = [l.wide_splat(0); TILE];
                    for o in 0..TILE {
                        sums[o] = l.widen(residues[o]);
                    }
                    for (x, w) in sources.iter().zip(weights) {
                        let x = l.split(l.load(x));
                        for o in 0..TILE {
                            sums[o] = l.wide_mul_add(sums[o], x, l.split_splat(w[o]));
                        }
                    }
                    for o in 0..TILE {
                        residues[o] = fold.unsigned(l, l.high(sums[o]), l.low(sums[o]));
                    }
                }
                for o in 0..TILE {
                    l.store(fold.sub(l, residues[o], offset[group]), &mut out[o][group]);
                }
            }
        }
    }
}

/// The shifted weights, `[tile][input]`; outputs that a last tile lacks have any weight.
fn shift(weights: Matrix, tiles: &mut [[u32; TILE]]) {
    for (tile, to) in tiles.chunks_exact_mut(weights.inputs).enumerate() {
        for o in 0..TILE {
            let output = (tile * TILE + o).min(weights.outputs - 1);
            for (input, to) in to.iter_mut().enumerate() {
                let entry = weights.entries.get(output * weights.inputs + input);
                to[o] = (i32::from(entry) + (1 << SHIFT)) as u32;
            }
        }
    }
}

pub(super) fn gemm(t: &Tables, pool: &Arc<Pool>, dst: Writer, src: Reader, weights: Matrix) {
    let (outputs, inputs) = (weights.outputs, weights.inputs);
    if inputs == 0 || outputs == 0 {
        return dst.for_each(|_, _, _, out| out.fill(0));
    }
    let tiles = outputs.div_ceil(TILE);
    let rows_of = |words: usize| words.div_ceil(stride(dst.n));
    let kept = rows_of(tiles * inputs * TILE);
    let shifted = Scratch::new(pool, kept, dst.n);
    // SAFETY: nobody else has these rows, and they are only read after this.
    let all = unsafe { shifted.rows(0, kept) };
    let all = &mut all.as_chunks_mut::<TILE>().0[..tiles * inputs];
    shift(weights, all);
    let weights = &*all;
    let (polys, rows, blocks) = (dst.span.polys, dst.span.rows.len(), dst.n.div_ceil(BLOCK));
    let tasks = polys * rows * blocks;
    // Tasks one after the other share their scratch memory.
    let groups = match rayon::current_num_threads() {
        1 => tasks.min(1),
        threads => tasks.min(4 * threads),
    };
    let copied = inputs * GROUPS;
    let each = rows_of((copied + tiles * TILE * GROUPS) * LANES);
    let scratch = Scratch::new(pool, groups * each, dst.n);
    Share::new().each(groups, |group| {
        // SAFETY: the rows of a group are its own.
        let words = unsafe { scratch.rows(group * each, each) };
        let (sources, out) = words.as_chunks_mut::<LANES>().0.split_at_mut(copied);
        let out = &mut out.as_chunks_mut::<GROUPS>().0.as_chunks_mut::<TILE>().0[..tiles];
        for at in (group..tasks).step_by(groups) {
            let (poly, row, start) = (at / (rows * blocks), at / blocks % rows, at % blocks * BLOCK);
            let block = start..dst.n.min(start + BLOCK);
            for i in 0..inputs {
                let x = &src.row(i, poly, row)[block.clone()];
                for (group, x) in x.chunks(LANES).enumerate() {
                    sources[group * inputs + i][..x.len()].copy_from_slice(x);
                }
            }
            let used = block.len().div_ceil(LANES) * inputs;
            let m = t.modulus(&dst.span, row);
            product(t.instructions, m, inputs, &sources[..used], weights, out);
            for (output, out) in out.iter().flatten().take(outputs).enumerate() {
                // SAFETY: this block of this row belongs to this task alone; rows are split by blocks, items are distinct.
                let to = unsafe { dst.block(output, poly, row, block.clone()) };
                to.copy_from_slice(&out.as_flattened()[..to.len()]);
            }
        }
    });
}
