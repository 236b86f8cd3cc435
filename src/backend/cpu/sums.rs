//! Sums of products over many terms: 64-bit sums in registers over all of them, one reduction.
//!
//! Rows are cut into blocks, and all items are summed up block by block: operands that items share, as the rotations that every
//! giant step of a linear transform multiplies by plaintexts of its own, stay in the second-level cache.

use std::ops::Range;

use super::{
    lanes::{Factor, Instructions, LANES, Lanes, Prime, TERMS, kernel},
    memory::{Reader, Writer},
    ntt::Tables,
    threads::Share,
};
use crate::{
    arith::Modulus,
    backend::{Onto, Product, Ref, cpu::Cpu},
};

/// Terms that are summed in one pass; between passes a sum is a row of residues.
pub(super) const PASS: usize = 32;

/// Products that a sum takes before the first fold, and between folds ([`Prime::fold`]).
const FOLD_AFTER: usize = 16;
const FOLD_EVERY: usize = 8;

/// Words of all operands of a block: half of a second-level cache of a mebibyte.
const CACHE: usize = 1 << 17;
/// Least words of a block, a multiple of every tile.
const BLOCK: usize = 512;

/// One product: a row of a factor for each of P polynomials, and the row of the other that they share.
#[derive(Clone, Copy)]
pub(super) struct Term<'a, const P: usize> {
    pub(super) a: [&'a [u32]; P],
    pub(super) b: &'a [u32],
}

/// The terms of one pass.
pub(super) struct Terms<'a, const P: usize> {
    list: [Term<'a, P>; PASS],
    count: usize,
}

impl<'a, const P: usize> FromIterator<Term<'a, P>> for Terms<'a, P> {
    fn from_iter<I: IntoIterator<Item = Term<'a, P>>>(terms: I) -> Self {
        const NONE: &[u32] = &[];
        let mut list = [Term {
            a: [NONE; P],
            b: NONE,
        }; PASS];
        let mut count = 0;
        for term in terms {
            list[count] = term;
            count += 1;
        }
        Self { list, count }
    }
}

impl Terms<'_, 1> {
    /// Their sum onto `out`.
    pub(super) fn sum(&self, i: Instructions, m: Modulus, onto: Onto, out: [&mut [u32]; 1]) {
        sum_one(i, m, onto, &self.list[..self.count], out);
    }
}

impl Terms<'_, 2> {
    /// Their sums onto `out`.
    pub(super) fn sum(&self, i: Instructions, m: Modulus, onto: Onto, out: [&mut [u32]; 2]) {
        sum_two(i, m, onto, &self.list[..self.count], out);
    }
}

kernel! {
    fn sum_one(l, m: Modulus, onto: Onto, terms: &[Term<1>], out: [&mut [u32]; 1]) {
        match (L::SUMS, out[0].len().is_multiple_of(4 * LANES)) {
            (4.., true) => sum::<L, 1, 4, true>(l, m, onto, terms, out),
            (_, true) => sum::<L, 1, 2, true>(l, m, onto, terms, out),
            (_, false) => sum::<L, 1, 1, false>(l, m, onto, terms, out),
        }
    }
}

kernel! {
    fn sum_two(l, m: Modulus, onto: Onto, terms: &[Term<2>], out: [&mut [u32]; 2]) {
        match (L::SUMS, out[0].len().is_multiple_of(4 * LANES)) {
            (4.., true) => sum::<L, 2, 4, true>(l, m, onto, terms, out),
            (_, true) => sum::<L, 2, 1, true>(l, m, onto, terms, out),
            (_, false) => sum::<L, 2, 1, false>(l, m, onto, terms, out),
        }
    }
}

/// Sums of P polynomials, TILE sixteens of coefficients at a time; rows are a multiple of a tile if FULL.
///
/// A sum is below 4 p 2^32 after sixteen products and a residue: 16 (p-1)^2 + p - 1 < 16 p^2, and p < 2^30.
#[inline(always)]
fn sum<L: Lanes, const P: usize, const TILE: usize, const FULL: bool>(
    l: L,
    m: Modulus,
    onto: Onto,
    terms: &[Term<P>],
    mut out: [&mut [u32]; P],
) {
    let n = out[0].len();
    assert!(out.iter().all(|row| row.len() == n) && (!FULL || n.is_multiple_of(TILE * LANES)));
    assert!((terms.iter()).all(|term| term.b.len() == n && term.a.iter().all(|a| a.len() == n)));
    let (prime, radix) = (Prime::new(l, m), m.reduce(1 << 32));
    let radix = Factor::splat(l, radix, m.shoup(radix));
    for start in (0..n).step_by(TILE * LANES) {
        let mut sums = [[l.wide_splat(0); P]; TILE];
        if onto == Onto::Destination {
            for (i, sums) in sums.iter_mut().enumerate() {
                for (sum, row) in sums.iter_mut().zip(&out) {
                    *sum = l.widen(l.take(row, start + i * LANES));
                }
            }
        }
        for (j, term) in terms.iter().enumerate() {
            if j >= FOLD_AFTER && j.is_multiple_of(FOLD_EVERY) {
                fold(l, &prime, &mut sums);
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let at = start + i * LANES;
                // SAFETY: all rows have n words by the assertion, a multiple of the tile if FULL.
                unsafe {
                    let b = l.split(l.take_if::<FULL>(term.b, at));
                    for (sum, a) in sums.iter_mut().zip(&term.a) {
                        *sum = l.wide_mul_add(*sum, l.split(l.take_if::<FULL>(a, at)), b);
                    }
                }
            }
        }
        if terms.len() > TERMS {
            fold(l, &prime, &mut sums);
        }
        for (i, sums) in sums.iter().enumerate() {
            for (sum, row) in sums.iter().zip(&mut out) {
                let reduced = prime.montgomery_lazy(l, *sum);
                l.put(prime.mul(l, reduced, &radix), row, start + i * LANES);
            }
        }
    }
}

#[inline(always)]
fn fold<L: Lanes, const P: usize, const TILE: usize>(
    l: L,
    prime: &Prime<L>,
    sums: &mut [[L::Wide; P]; TILE],
) {
    for sum in sums.as_flattened_mut() {
        *sum = prime.fold(l, *sum);
    }
}

/// See [`derived::mul_accumulate`](crate::backend::derived::mul_accumulate).
pub(super) fn mul_accumulate(t: &Tables, dst: &Writer, onto: Onto, terms: &[Product<Cpu>]) {
    if terms.is_empty() {
        if onto == Onto::Zero {
            dst.for_each(|_, _, _, out| out.fill(0));
        }
        return;
    }
    let (items, polys, rows, n) = (dst.span.items, dst.span.polys, dst.span.rows.len(), dst.n);
    // Two polynomials at a time, if they share the second factor.
    let shared = terms.iter().all(|term| term.b.span.poly_stride == 0);
    let width = if shared { 2 } else { 1 };
    let groups = polys.div_ceil(width);
    let block = (CACHE / (terms.len() * (polys + 1))).max(BLOCK).min(n);
    let block = 1 << block.ilog2();
    let blocks = n / block;
    Share::new().each(rows * blocks * items * groups, |at| {
        let (first, item) = (at % groups * width, at / groups % items);
        let (part, row) = (at / (groups * items) % blocks, at / (groups * items * blocks));
        let (m, words) = (t.modulus(&dst.span, row), part * block..(part + 1) * block);
        let place = Place { item, row, words };
        for (pass, terms) in terms.chunks(PASS).enumerate() {
            let onto = if pass == 0 { onto } else { Onto::Destination };
            // SAFETY: this block of these rows belongs to this task alone, and passes come one after the other.
            let out = |poly| unsafe { dst.block(item, poly, row, place.words.clone()) };
            if width == 2 && first + 1 < polys {
                let terms: Terms<2> = place.terms(terms, first).collect();
                terms.sum(t.instructions, m, onto, [out(first), out(first + 1)]);
            } else {
                let terms: Terms<1> = place.terms(terms, first).collect();
                terms.sum(t.instructions, m, onto, [out(first)]);
            }
        }
    });
}

/// A block of a row of an item.
struct Place {
    item: usize,
    row: usize,
    words: Range<usize>,
}

impl Place {
    fn block<'a>(&self, r: Ref<'a, Cpu>, poly: usize) -> &'a [u32] {
        &Reader::new(r).row(self.item, poly, self.row)[self.words.clone()]
    }

    /// Those of the P polynomials from `first` on.
    fn terms<'a, const P: usize>(
        &self,
        terms: &[Product<'a, Cpu>],
        first: usize,
    ) -> impl Iterator<Item = Term<'a, P>> {
        terms.iter().map(move |term| Term {
            a: std::array::from_fn(|p| self.block(term.a, first + p)),
            b: self.block(term.b, first),
        })
    }
}
