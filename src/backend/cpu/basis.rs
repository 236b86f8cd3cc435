//! Base conversion: scaled sources times a matrix of constants, sums in registers, one reduction a target.
//!
//! v is taken as one more source, with the weight -b Q mod r.

use super::{
    lanes::{Instructions, LANES, Lanes, Prime, TERMS, kernel},
    memory::stride,
    ntt::Tables,
};
use crate::{arith::Modulus, ring};

/// Targets whose sums one task forms.
pub(super) const GROUP: usize = 8;

/// Products that a sum takes before the first fold, and between folds ([`Prime::fold`]).
const FOLD_AFTER: usize = 16;
const FOLD_EVERY: usize = 8;

/// The constants of a [`ring::Conversion`], prepared.
pub struct Conversion {
    /// Prime indices of the source rows.
    pub(super) sources: Vec<u32>,
    /// Prime indices of the target rows.
    pub(super) targets: Vec<u32>,
    /// a (Q/q_i)^-1 mod q_i.
    factors: Vec<u32>,
    /// floor(2^64 / q_i): upper and lower word.
    fractions: Vec<[u32; 2]>,
    /// Of every target: 2^32 b_r (Q/q_i) mod r for each source, then -2^32 b_r Q mod r.
    weights: Vec<u32>,
}

impl Conversion {
    pub(super) fn new(t: &Tables, c: &ring::Conversion) -> Self {
        let sources = c.sources.len();
        let weights = c.targets.iter().enumerate().flat_map(|(target, prime)| {
            let m = t.prime(*prime).modulus();
            let row = &c.weights[target * sources..][..sources];
            let all = row.iter().copied().chain([c.overflow[target]]);
            all.map(move |w| m.mul(w, m.reduce(1 << 32)))
        });
        Self {
            sources: c.sources.clone(),
            targets: c.targets.clone(),
            factors: c.source_factor.clone(),
            fractions: c.fraction.iter().map(|f| [(f >> 32) as u32, *f as u32]).collect(),
            weights: weights.collect(),
        }
    }

    /// Rows of scaled sources and of v.
    pub(super) fn rows(&self) -> usize {
        self.sources.len() + 1
    }

    /// What source i is multiplied by.
    pub(super) fn factor(&self, i: usize) -> u32 {
        self.factors[i]
    }

    fn weights(&self, target: usize) -> &[u32] {
        &self.weights[target * self.rows()..][..self.rows()]
    }
}

kernel! {
    /// v = (sum y_i floor(2^64 / q_i) + 2^63) >> 64 from rows y, [`stride`] words apart.
    ///
    /// With floor(2^64 / q) = 2^32 f1 + f0: y f1 < 2^32 since f1 <= 2^32 / q; y f0 < 2^62, and four of them are summed before
    /// their words are. v = (sum y f1 + floor(sum y f0 / 2^32) + 2^31) >> 32 is the same number.
    pub(super) fn quotient(l, c: &Conversion, y: &[u32], n: usize, v: &mut [u32]) {
        for at in (0..n).step_by(LANES) {
            let (mut upper, mut lower) = (l.wide_splat(1 << 31), l.wide_splat(0));
            let mut rows = y.chunks_exact(stride(n));
            for few in c.fractions.chunks(4) {
                let mut sum = l.wide_splat(0);
                for ([f1, f0], y) in few.iter().zip(&mut rows) {
                    let y = l.split(l.take(y, at));
                    upper = l.wide_mul_add(upper, y, l.split_splat(*f1));
                    sum = l.wide_mul_add(sum, y, l.split_splat(*f0));
                }
                upper = l.wide_add(upper, l.shift_right::<32>(sum));
                lower = l.wide_add(lower, l.widen(l.low(sum)));
            }
            l.put(l.high(l.wide_add(upper, l.shift_right::<32>(lower))), v, at);
        }
    }
}

kernel! {
    /// The targets from `first` on, one for each row of `out`, from rows y, v the last, [`stride`] words
    /// apart.
    pub(super) fn convert(
        l,
        c: &Conversion,
        moduli: &[Modulus],
        y: &[u32],
        n: usize,
        first: usize,
        out: &mut [&mut [u32]],
    ) {
        let mut rest = (moduli, first, out);
        while !rest.2.is_empty() {
            let (moduli, first, out) = rest;
            let done = match (L::SUMS.min(out.len()), n >= LANES) {
                (4.., true) => tile::<L, 4, true>(l, c, moduli, y, n, first, out),
                (2.., true) => tile::<L, 2, true>(l, c, moduli, y, n, first, out),
                (_, true) => tile::<L, 1, true>(l, c, moduli, y, n, first, out),
                (_, false) => tile::<L, 1, false>(l, c, moduli, y, n, first, out),
            };
            rest = (&moduli[done..], first + done, &mut out[done..]);
        }
    }
}

/// T targets: their sums in registers over all sources. Returns T.
#[inline(always)]
fn tile<L: Lanes, const T: usize, const FULL: bool>(
    l: L,
    c: &Conversion,
    moduli: &[Modulus],
    y: &[u32],
    n: usize,
    first: usize,
    out: &mut [&mut [u32]],
) -> usize {
    let (rows, apart, out) = (c.rows(), stride(n), &mut out[..T]);
    let mut primes = [Prime::new(l, moduli[0]); T];
    let mut weights = [c.weights(first); T];
    for t in 0..T {
        (primes[t], weights[t]) = (Prime::new(l, moduli[t]), c.weights(first + t));
    }
    assert!(
        rows * n <= y.len() && out.iter().all(|out| out.len() == n) && (!FULL || n.is_multiple_of(LANES))
    );
    for at in (0..n).step_by(LANES) {
        let mut sums = [l.wide_splat(0); T];
        for i in 0..rows {
            // v is no more than the number of sources, which distinct primes below 2^30 stay below 2^30 by together: it is no
            // product to be counted.
            if i >= FOLD_AFTER && i + 1 < rows && (i - FOLD_AFTER).is_multiple_of(FOLD_EVERY) {
                fold(l, &primes, &mut sums);
            }
            // SAFETY: rows of y are within it by the assertion, of n words each, a multiple of the lanes if FULL.
            let x = unsafe { l.take_if::<FULL>(y.get_unchecked(i * apart..i * apart + n), at) };
            let x = l.split(x);
            for t in 0..T {
                // SAFETY: every target has `rows` weights ([`Conversion::weights`]).
                let weight = unsafe { *weights[t].get_unchecked(i) };
                sums[t] = l.wide_mul_add(sums[t], x, l.split_splat(weight));
            }
        }
        if rows > TERMS {
            fold(l, &primes, &mut sums);
        }
        for t in 0..T {
            // SAFETY: the rows have n words by the assertion.
            unsafe { l.put_if::<FULL>(primes[t].montgomery(l, sums[t]), out[t], at) };
        }
    }
    T
}

#[inline(always)]
fn fold<L: Lanes, const T: usize>(l: L, primes: &[Prime<L>; T], sums: &mut [L::Wide; T]) {
    for (prime, sum) in primes.iter().zip(sums) {
        *sum = prime.fold(l, *sum);
    }
}

impl Conversion {
    /// v into the last of the rows y; the sources are in the others.
    pub(super) fn add_quotient(&self, instructions: Instructions, y: &mut [u32], n: usize) {
        let (y, v) = y.split_at_mut(self.sources.len() * stride(n));
        quotient(instructions, self, y, n, &mut v[..n]);
    }
}
