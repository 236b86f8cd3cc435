//! Small integers times residues, as one matrix product a row of residues.
//!
//! Weights are shifted by 2^15 to be unsigned: sum w x = sum (w + 2^15) x - 2^15 sum x. A block of every source is copied
//! next to the others first, since rows lie powers of two apart and would evict one another from the caches; then every
//! tile of outputs keeps its sums in registers over all inputs.
//!
//! Products are below 2^46. Where the processor multiplies 52 bits and adds in one instruction (AVX-512 IFMA), it does that for tiles of
//! eight outputs; otherwise words are multiplied and added in two, for tiles of four.

use std::sync::Arc;

use super::{
    lanes::{Fold, LANES, Lanes, Words, kernel},
    memory::{Pool, Reader, Writer, stride},
    ntt::Tables,
    scratch::Scratch,
    threads::Share,
};
use crate::{arith::Modulus, backend::Matrix};

#[cfg(target_arch = "x86_64")]
mod ifma;

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
type Tile<const T: usize> = [[Words; GROUPS]; T];

/// How a weight below 2^16 and residues are multiplied, and the product is added to 64-bit sums.
trait Multiply<L: Lanes>: Copy {
    /// A weight in memory.
    type Weight: Copy;
    /// 2^SHIFT.
    const SHIFTED: Self::Weight;

    /// Residues as factors.
    fn factors(self, l: L, x: L::V) -> L::Split;
    /// sum + x w.
    fn add(self, l: L, sum: L::Wide, x: L::Split, w: Self::Weight) -> L::Wide;
}

/// In two instructions.
#[derive(Clone, Copy)]
struct Words32;

impl<L: Lanes> Multiply<L> for Words32 {
    type Weight = u32;
    const SHIFTED: u32 = 1 << SHIFT;

    #[inline(always)]
    fn factors(self, l: L, x: L::V) -> L::Split {
        l.split(x)
    }
    #[inline(always)]
    fn add(self, l: L, sum: L::Wide, x: L::Split, w: u32) -> L::Wide {
        l.wide_mul_add(sum, x, l.split_splat(w))
    }
}

/// All outputs of a block: sources by group, then input; weights by tile, then input; results by tile.
#[inline(always)]
fn product<L: Lanes, M: Multiply<L>, const T: usize>(
    (l, by): (L, M),
    m: Modulus,
    inputs: usize,
    sources: &[Words],
    weights: &[[M::Weight; T]],
    out: &mut [Tile<T>],
) {
    let fold = Fold::new(l, m);
    let mut offset = [l.splat(0); GROUPS];
    for (sources, offset) in sources.chunks_exact(inputs).zip(&mut offset) {
        for sources in sources.chunks(TERMS) {
            let mut sum = l.widen(*offset);
            for x in sources {
                sum = by.add(l, sum, by.factors(l, l.load(x)), M::SHIFTED);
            }
            *offset = fold.unsigned(l, l.high(sum), l.low(sum));
        }
    }
    for (weights, out) in weights.chunks_exact(inputs).zip(out) {
        for (group, sources) in sources.chunks_exact(inputs).enumerate() {
            let mut residues = [l.splat(0); T];
            for (sources, weights) in sources.chunks(TERMS).zip(weights.chunks(TERMS)) {
                let mut sums = [l.wide_splat(0); T];
                for o in 0..T {
                    sums[o] = l.widen(residues[o]);
                }
                for (x, w) in sources.iter().zip(weights) {
                    let x = by.factors(l, l.load(x));
                    for o in 0..T {
                        sums[o] = by.add(l, sums[o], x, w[o]);
                    }
                }
                for o in 0..T {
                    residues[o] = fold.unsigned(l, l.high(sums[o]), l.low(sums[o]));
                }
            }
            for o in 0..T {
                l.store(fold.sub(l, residues[o], offset[group]), &mut out[o][group]);
            }
        }
    }
}

kernel! {
    fn products(
        l,
        m: Modulus,
        inputs: usize,
        sources: &[Words],
        weights: &[[u32; TILE]],
        out: &mut [Tile<TILE>],
    ) {
        product((l, Words32), m, inputs, sources, weights, out);
    }
}

/// The shifted weights, `[tile][input]`; outputs that a last tile lacks have any weight.
fn shift<W: From<u32>, const T: usize>(weights: Matrix, tiles: &mut [[W; T]]) {
    for (tile, to) in tiles.chunks_exact_mut(weights.inputs).enumerate() {
        for o in 0..T {
            let output = (tile * T + o).min(weights.outputs - 1);
            for (input, to) in to.iter_mut().enumerate() {
                let entry = weights.entries.get(output * weights.inputs + input);
                to[o] = W::from((i32::from(entry) + (1 << SHIFT)) as u32);
            }
        }
    }
}

/// dst item o = sum over i of weight (o, i) times src item i.
pub(super) fn gemm(t: &Tables, pool: &Arc<Pool>, dst: Writer, src: Reader, weights: Matrix) {
    if weights.inputs == 0 || weights.outputs == 0 {
        return dst.for_each(|_, _, _, out| out.fill(0));
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(product) = ifma::product(t.instructions, weights.outputs) {
        return blocks::<u64, { ifma::TILE }, _>(t, pool, dst, src, weights, product);
    }
    blocks(t, pool, dst, src, weights, |m, inputs, sources, weights, out| {
        products(t.instructions, m, inputs, sources, weights, out);
    });
}

/// Block by block.
fn blocks<W, const T: usize, F>(
    t: &Tables,
    pool: &Arc<Pool>,
    dst: Writer,
    src: Reader,
    weights: Matrix,
    product: F,
) where
    W: From<u32> + bytemuck::Pod + Sync,
    F: Fn(Modulus, usize, &[Words], &[[W; T]], &mut [Tile<T>]) + Sync,
{
    let (outputs, inputs) = (weights.outputs, weights.inputs);
    let tiles = outputs.div_ceil(T);
    let rows_of = |words: usize| words.div_ceil(stride(dst.n));
    let kept = rows_of(tiles * inputs * T * (size_of::<W>() / size_of::<u32>()));
    let shifted = Scratch::new(pool, kept, dst.n);
    // SAFETY: nobody else has these rows, and they are only read after this.
    let all = bytemuck::cast_slice_mut::<u32, W>(unsafe { shifted.rows(0, kept) });
    let all = &mut all.as_chunks_mut::<T>().0[..tiles * inputs];
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
    let each = rows_of((copied + tiles * T * GROUPS) * LANES);
    let scratch = Scratch::new(pool, groups * each, dst.n);
    Share::new().each(groups, |group| {
        // SAFETY: the rows of a group are its own.
        let words = unsafe { scratch.rows(group * each, each) };
        let (sources, out) = words.as_chunks_mut::<LANES>().0.split_at_mut(copied);
        let out = &mut out.as_chunks_mut::<GROUPS>().0.as_chunks_mut::<T>().0[..tiles];
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
            product(t.modulus(&dst.span, row), inputs, &sources[..used], weights, out);
            for (output, out) in out.iter().flatten().take(outputs).enumerate() {
                // SAFETY: this block of this row belongs to this task alone; rows are split by blocks, items are distinct.
                let to = unsafe { dst.block(output, poly, row, block.clone()) };
                to.copy_from_slice(&out.as_flattened()[..to.len()]);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::{super::lanes::Instructions, *};

    /// Every way to multiply gives the sums of the definition, extreme weights and residues among them.
    #[test]
    fn products_are_sums() {
        let p = 1_073_479_681;
        let m = Modulus::new(p).unwrap();
        let (inputs, outputs) = (37, 11);
        let weights: Vec<i16> = (0..inputs * outputs)
            .map(|i| match i % 5 {
                0 => i16::MIN,
                1 => i16::MAX,
                _ => (i * 7919) as i16,
            })
            .collect();
        let sources: Vec<Words> = (0..GROUPS * inputs)
            .map(|i| {
                std::array::from_fn(|lane| {
                    if (i + lane) % 3 == 0 {
                        p - 1
                    } else {
                        (i * 65_537 + lane * 7919) as u32 % p
                    }
                })
            })
            .collect();
        let matrix = Matrix {
            outputs,
            inputs,
            entries: crate::backend::Entries::I16(&weights),
        };
        let wanted = |output: usize, group: usize, lane: usize| {
            let terms = (0..inputs).map(|i| {
                i128::from(weights[output * inputs + i]) * i128::from(sources[group * inputs + i][lane])
            });
            terms.sum::<i128>().rem_euclid(i128::from(p)) as u32
        };
        fn check<const T: usize>(
            outputs: usize,
            tiles: &[Tile<T>],
            wanted: impl Fn(usize, usize, usize) -> u32,
        ) {
            for (output, groups) in tiles.iter().flatten().take(outputs).enumerate() {
                for (group, words) in groups.iter().enumerate() {
                    let want = std::array::from_fn(|lane| wanted(output, group, lane));
                    assert_eq!(*words, want, "tiles of {T}, output {output}, group {group}");
                }
            }
        }
        for instructions in Instructions::available() {
            let tiles = outputs.div_ceil(TILE);
            let mut shifted = vec![[0u32; TILE]; tiles * inputs];
            shift(matrix, &mut shifted);
            let mut out = vec![[[[0; LANES]; GROUPS]; TILE]; tiles];
            products(*instructions, m, inputs, &sources, &shifted, &mut out);
            check(outputs, &out, wanted);
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(product) = ifma::product(Instructions::best(), outputs) {
            let tiles = outputs.div_ceil(ifma::TILE);
            let mut shifted = vec![[0u64; ifma::TILE]; tiles * inputs];
            shift(matrix, &mut shifted);
            let mut out = vec![[[[0; LANES]; GROUPS]; ifma::TILE]; tiles];
            product(m, inputs, &sources, &shifted, &mut out);
            check(outputs, &out, wanted);
        }
    }
}
