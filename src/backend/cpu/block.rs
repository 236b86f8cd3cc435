//! Products of a matrix of polynomials with another, evaluation by evaluation.
//!
//! A block of every row of a is copied next to the others first: rows lie powers of two apart, and each is used by every column
//! of b. Then the sums of some polynomials of the result stay in registers over all terms, while b is read once from where it is.

use std::{ops::Range, sync::Arc};

use super::{
    lanes::{Factor, LANES, Lanes, Prime, Words, kernel},
    memory::{Pool, Reader, Writer, stride},
    ntt::Tables,
    scratch::Scratch,
    threads::Share,
};
use crate::arith::Modulus;

/// Words of the copied part of a, and vectors of a block at the least. Full rows of b are read a block each, every one on another page: half of a
/// small second-level cache lets them be long. Words of short rows serve many vectors, and the first-level cache holds what they multiply.
const FULL: (usize, usize) = (32768, 16);
const SHORT: (usize, usize) = (8192, 4);
/// Vectors of a block at the most.
const MOST: usize = 64;

/// A row of b, or some vectors of it.
trait Factors: Copy {
    /// Those that vector `at` of a block is multiplied by.
    fn take<L: Lanes>(self, l: L, at: usize) -> L::Split;
}

/// A word for every evaluation, from the start of the block.
impl Factors for &[Words] {
    #[inline(always)]
    fn take<L: Lanes>(self, l: L, at: usize) -> L::Split {
        l.split(l.load(&self[at]))
    }
}

/// A word for 2^log neighbouring vectors: the evaluations of a polynomial in X^gap, once each.
#[derive(Clone, Copy)]
struct Sparse<'a> {
    words: &'a [u32],
    /// The first vector of the block.
    first: usize,
    log: u32,
}

impl Factors for Sparse<'_> {
    #[inline(always)]
    fn take<L: Lanes>(self, l: L, at: usize) -> L::Split {
        l.split_splat(self.words[(self.first + at) >> self.log])
    }
}

/// Whether rows are whole vectors, and there is something to sum.
pub(super) fn fits(t: &Tables, terms: usize) -> bool {
    terms > 0 && 1usize << t.log_n >= LANES
}

/// Sums of products with one column of b: T polynomials of a and G neighbouring vectors.
///
/// `a` holds `[vector][term][poly]`, `stride` polynomials a term; `b` the vectors of every term. Sums are below 4 p 2^32 after sixteen
/// products, and folded before eight more are added ([`Prime::fold`]).
#[inline(always)]
#[expect(
    clippy::needless_range_loop,
    reason = "sums of neighbouring vectors are registers, as their numbers are constants"
)]
fn tile<L: Lanes, F: Factors, const T: usize, const G: usize>(
    l: L,
    (prime, radix): (&Prime<L>, &Factor<L>),
    a: &[Words],
    b: &[F],
    (first, stride): (usize, usize),
    at: usize,
    out: &mut [Words],
) {
    let mut sums = [[l.wide_splat(0); T]; G];
    let per_vector = b.len() * stride;
    for (eight, b) in b.chunks(8).enumerate() {
        if eight >= 2 {
            for sum in sums.as_flattened_mut() {
                *sum = prime.fold(l, *sum);
            }
        }
        for (term, b) in b.iter().enumerate() {
            for g in 0..G {
                let y = b.take(l, at + g);
                let from = (at + g) * per_vector + (8 * eight + term) * stride + first;
                let a = &a[from..from + T];
                for t in 0..T {
                    sums[g][t] = l.wide_mul_add(sums[g][t], l.split(l.load(&a[t])), y);
                }
            }
        }
    }
    for g in 0..G {
        for t in 0..T {
            let reduced = prime.montgomery_lazy(l, prime.fold(l, sums[g][t]));
            l.store(prime.mul(l, reduced, radix), &mut out[t * MOST + at + g]);
        }
    }
}

/// All polynomials of a (`polys` of them) times one column, vectors `0..vectors` of a block; `out` holds `[poly][MOST]`.
#[inline(always)]
fn tiles<L: Lanes, F: Factors>(
    l: L,
    m: Modulus,
    a: &[Words],
    b: &[F],
    polys: usize,
    vectors: usize,
    out: &mut [Words],
) {
    let prime = Prime::new(l, m);
    let radix = m.reduce(1 << 32);
    let radix = Factor::splat(l, radix, m.shoup(radix));
    let constants = (&prime, &radix);
    let mut first = 0;
    while first < polys {
        let out = &mut out[first * MOST..];
        let rest = polys - first;
        let (at, even) = ((first, polys), vectors - vectors % 2);
        if rest >= 4 {
            for v in 0..vectors {
                tile::<_, _, 4, 1>(l, constants, a, b, at, v, out);
            }
            first += 4;
        } else if rest >= 2 {
            for v in (0..even).step_by(2) {
                tile::<_, _, 2, 2>(l, constants, a, b, at, v, out);
            }
            for v in even..vectors {
                tile::<_, _, 2, 1>(l, constants, a, b, at, v, out);
            }
            first += 2;
        } else {
            for v in 0..vectors {
                tile::<_, _, 1, 1>(l, constants, a, b, at, v, out);
            }
            first += 1;
        }
    }
}

kernel! {
    fn column(
        l,
        m: Modulus,
        a: &[Words],
        b: &[&[Words]],
        polys: usize,
        vectors: usize,
        out: &mut [Words],
    ) {
        tiles(l, m, a, b, polys, vectors, out);
    }
}

kernel! {
    fn sparse_column(
        l,
        m: Modulus,
        a: &[Words],
        b: &[Sparse],
        polys: usize,
        vectors: usize,
        out: &mut [Words],
    ) {
        tiles(l, m, a, b, polys, vectors, out);
    }
}

/// Some vectors of a row.
fn vectors_of<'a>(row: &'a [u32], vectors: &Range<usize>) -> &'a [Words] {
    &row.as_chunks::<LANES>().0[vectors.clone()]
}

/// dst item r C + c = sum over j of a item r `terms` + j times b item c `terms` + j. Rows of b may be shorter: [`Sparse`].
pub(super) fn product(t: &Tables, pool: &Arc<Pool>, dst: Writer, a: Reader, b: Reader, terms: usize) {
    let columns = b.span.items / terms;
    let (rows, polys) = (dst.span.items / columns.max(1), dst.span.polys);
    let (lines, vectors) = (rows * polys, dst.n / LANES);
    let (copied, least) = if b.n == dst.n { FULL } else { SHORT };
    let room = copied / LANES / (lines * terms).max(1);
    let block = room.clamp(least, MOST).next_power_of_two().min(MOST).min(vectors);
    let blocks = vectors.div_ceil(block);
    let tasks = dst.span.rows.len() * blocks;
    // Tasks one after the other share their scratch memory.
    let groups = match rayon::current_num_threads() {
        1 => 1,
        threads => tasks.min(4 * threads),
    };
    let (copy, results) = (block * terms * lines, lines * MOST);
    let scratch_rows = ((copy + results) * LANES).div_ceil(stride(dst.n));
    let scratch = Scratch::new(pool, groups * scratch_rows, dst.n);
    Share::new().each(groups, |group| {
        // SAFETY: the rows of a group are its own.
        let words = unsafe { scratch.rows(group * scratch_rows, scratch_rows) };
        let (copied, out) = words.as_chunks_mut::<LANES>().0.split_at_mut(copy);
        let (mut factors, mut sparse) = (Vec::with_capacity(terms), Vec::with_capacity(terms));
        for task in (group..tasks).step_by(groups) {
            let (row, start) = (task / blocks, task % blocks * block);
            let block = block.min(vectors - start);
            let words = start..start + block;
            for term in 0..terms {
                for line in 0..lines {
                    let from = vectors_of(a.row(line / polys * terms + term, line % polys, row), &words);
                    for (v, from) in from.iter().enumerate() {
                        copied[(v * terms + term) * lines + line] = *from;
                    }
                }
            }
            for c in 0..columns {
                let (i, m) = (t.instructions, t.modulus(&dst.span, row));
                let rows = (0..terms).map(|term| b.row(c * terms + term, 0, row));
                if b.n == dst.n {
                    factors.clear();
                    factors.extend(rows.map(|row| vectors_of(row, &words)));
                    column(i, m, copied, &factors, lines, block, out);
                } else {
                    let (first, log) = (start, (vectors / b.n).ilog2());
                    sparse.clear();
                    sparse.extend(rows.map(|words| Sparse { words, first, log }));
                    sparse_column(i, m, copied, &sparse, lines, block, out);
                }
                for line in 0..lines {
                    let item = line / polys * columns + c;
                    let words = words.start * LANES..words.end * LANES;
                    // SAFETY: this block of this row belongs to this task alone; rows are split by blocks, items are distinct.
                    let to = unsafe { dst.block(item, line % polys, row, words) };
                    to.copy_from_slice(out[line * MOST..][..block].as_flattened());
                }
            }
        }
    });
}
