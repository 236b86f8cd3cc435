//! Base conversion: scaled sources times a matrix of constants, sums in registers, one reduction a target.
//!
//! v is taken as one more source, with the weight -b Q mod r. A single source has no sums: its residue is centred once, and each
//! target takes that modulo its own prime.

use std::ops::Range;

use super::{
    lanes::{Factor, Instructions, LANES, Lanes, Prime, TERMS, kernel},
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
    form: Form,
}

/// How targets are formed.
enum Form {
    /// From scaled sources y_i and v.
    Sums(Sums),
    /// From the centred residue modulo q, for each target.
    Single { q: u32, targets: Vec<Single> },
}

/// Several sources.
struct Sums {
    /// floor(2^64 / q_i): upper and lower word.
    fractions: Vec<[u32; 2]>,
    /// Of every target: 2^32 b_r (Q/q_i) mod r for each source, then -2^32 b_r Q mod r.
    weights: Vec<u32>,
}

/// A target of a single source.
#[derive(Clone, Copy)]
struct Single {
    /// The least multiple of r above (q - 1) / 2.
    lift: u32,
    /// b_r.
    factor: u32,
}

impl Sums {
    fn weights(&self, target: usize) -> &[u32] {
        let rows = self.fractions.len() + 1;
        &self.weights[target * rows..][..rows]
    }
}

impl Conversion {
    pub(super) fn new(t: &Tables, c: &ring::Conversion) -> Self {
        let modulus = |prime: &u32| t.prime(*prime).modulus();
        let form = if let [source] = c.sources.as_slice() {
            let q = modulus(source).value();
            let single = |(prime, factor): (&u32, &u32)| {
                let r = modulus(prime).value();
                Single {
                    lift: (q / 2 / r + 1) * r,
                    factor: *factor,
                }
            };
            let targets = c.targets.iter().zip(&c.weights).map(single).collect();
            Form::Single { q, targets }
        } else {
            let sources = c.sources.len();
            let weights = c.targets.iter().enumerate().flat_map(|(target, prime)| {
                let m = modulus(prime);
                let row = &c.weights[target * sources..][..sources];
                let all = row.iter().copied().chain([c.overflow[target]]);
                all.map(move |w| m.mul(w, m.reduce(1 << 32)))
            });
            Form::Sums(Sums {
                weights: weights.collect(),
                fractions: c.fraction.iter().map(|f| [(f >> 32) as u32, *f as u32]).collect(),
            })
        };
        Self {
            sources: c.sources.clone(),
            targets: c.targets.clone(),
            factors: c.source_factor.clone(),
            form,
        }
    }

    /// Rows of scaled sources, and of v where there are several.
    pub(super) fn rows(&self) -> usize {
        self.sources.len() + usize::from(self.has_quotient())
    }

    /// Whether [`Conversion::quotient`] completes the sources.
    pub(super) fn has_quotient(&self) -> bool {
        matches!(self.form, Form::Sums(_))
    }

    /// What source i is multiplied by.
    pub(super) fn factor(&self, i: usize) -> u32 {
        self.factors[i]
    }

    /// A scaled source, to the form that targets are made from.
    pub(super) fn complete(&self, instructions: Instructions, y: &mut [u32]) {
        if let Form::Single { q, .. } = self.form {
            centre(instructions, q, y);
        }
    }

    /// Some words of v from rows y, [`stride`] words apart.
    pub(super) fn quotient(
        &self,
        instructions: Instructions,
        y: &[u32],
        n: usize,
        words: Range<usize>,
        v: &mut [u32],
    ) {
        if let Form::Sums(sums) = &self.form {
            quotient(instructions, sums, y, n, words, v);
        }
    }
}

kernel! {
    /// y < q to the number of the same residue in (-q/2, q/2), as a word that wraps around.
    ///
    /// With h = (q + 1) / 2: s = y - h mod q, and s - (q - h) is centred. It is y - v q for v of [`quotient`], since
    /// y floor(2^64/q) + 2^63 reaches 2^64 at y = h: (1 + 1/q) (1 - q/2^64) > 1.
    fn centre(l, q: u32, y: &mut [u32]) {
        let h = q / 2 + 1;
        let (p, half, back) = (l.splat(q), l.splat(h), l.splat(q - h));
        for at in (0..y.len()).step_by(LANES) {
            let s = l.sub(l.take(y, at), half);
            l.put(l.sub(l.min(s, l.add(s, p)), back), y, at);
        }
    }
}

kernel! {
    /// out = b x mod r for centred x.
    fn spread(l, m: Modulus, target: Single, x: &[u32], out: &mut [u32]) {
        let Single { lift, factor } = target;
        let (prime, by) = (Prime::new(l, m), Factor::splat(l, factor, m.shoup(factor)));
        let more = l.splat(lift);
        assert!(x.len() == out.len());
        for at in (0..out.len()).step_by(LANES) {
            let x = l.take(x, at);
            // x where it is not negative, since then x + lift is more; x + lift where it is.
            let x = l.min(x, l.add(x, more));
            // If lift = r, half of q is below r, and so is x.
            let whole = factor == 1 && lift == m.value();
            l.put(if whole { x } else { prime.mul(l, x, &by) }, out, at);
        }
    }
}

kernel! {
    /// v = (sum y_i floor(2^64 / q_i) + 2^63) >> 64 from rows y, [`stride`] words apart.
    ///
    /// With floor(2^64 / q) = 2^32 f1 + f0: y f1 < 2^32 since f1 <= 2^32 / q; y f0 < 2^62, and four of them are summed before
    /// their words are. v = (sum y f1 + floor(sum y f0 / 2^32) + 2^31) >> 32 is the same number.
    fn quotient(l, c: &Sums, y: &[u32], n: usize, words: Range<usize>, v: &mut [u32]) {
        let first = words.start;
        for at in words.step_by(LANES) {
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
            l.put(l.high(l.wide_add(upper, l.shift_right::<32>(lower))), v, at - first);
        }
    }
}

kernel! {
    fn convert(
        l,
        c: &Sums,
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
    c: &Sums,
    moduli: &[Modulus],
    y: &[u32],
    n: usize,
    first: usize,
    out: &mut [&mut [u32]],
) -> usize {
    let (rows, apart, out) = (c.fractions.len() + 1, stride(n), &mut out[..T]);
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
                // SAFETY: every target has `rows` weights ([`Sums::weights`]).
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
    /// The targets from `first` on, one for each row of `out`, from complete rows y, v the last, [`stride`] words apart.
    pub(super) fn convert(
        &self,
        instructions: Instructions,
        moduli: &[Modulus],
        y: &[u32],
        n: usize,
        first: usize,
        out: &mut [&mut [u32]],
    ) {
        match &self.form {
            Form::Sums(sums) => convert(instructions, sums, moduli, y, n, first, out),
            Form::Single { targets, .. } => {
                for ((m, target), out) in moduli.iter().zip(&targets[first..]).zip(out) {
                    spread(instructions, *m, *target, &y[..n], out);
                }
            }
        }
    }
}
