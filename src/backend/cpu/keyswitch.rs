//! The inner product of digits and key: 64-bit sums over all digits, one reduction.

use super::{
    automorphism::Automorphism,
    lanes::{Factor, LANES, Lanes, Prime, TERMS, kernel},
    memory::{Reader, Writer, stride},
    ntt::Tables,
    pages::Pages,
    threads::Share,
};
use crate::{arith::Modulus, backend::primes_of};

/// A key times 2^32, `[row][digit][b, a][n]`, rows a stride apart: whoever computes one row of the product reads one stretch of
/// it.
pub struct Key {
    words: Pages,
    n: usize,
    digits: usize,
    primes: Vec<u32>,
}

kernel! {
    /// out = 2^32 x mod p.
    fn to_montgomery(l, m: Modulus, out: &mut [u32], x: &[u32]) {
        let radix = m.reduce(1 << 32);
        let (prime, radix) = (Prime::new(l, m), Factor::splat(l, radix, m.shoup(radix)));
        for at in (0..out.len()).step_by(LANES) {
            l.put(prime.mul(l, l.take(x, at), &radix), out, at);
        }
    }
}

impl Key {
    pub(super) fn new(t: &Tables, key: Reader) -> Self {
        let (n, digits, rows) = (1 << t.log_n, key.span.items, key.span.rows.len());
        let mut words = Pages::new(rows * digits * 2 * stride(n));
        let each = words.chunks_exact_mut(stride(n)).take(rows * digits * 2);
        for (i, out) in each.enumerate() {
            let (row, digit, poly) = (i / (2 * digits), i / 2 % digits, i % 2);
            let (m, from) = (t.modulus(&key.span, row), key.row(digit, poly, row));
            to_montgomery(t.instructions, m, &mut out[..n], from);
        }
        Self {
            words,
            n,
            digits,
            primes: primes_of(key.span.rows),
        }
    }

    /// The row of a prime: `[digit][b, a][n]`.
    pub(super) fn row(&self, prime: u32) -> KeyRow<'_> {
        let held = self.primes.iter().position(|p| *p == prime);
        assert!(held.is_some(), "the key has no row of prime {prime}");
        let each = self.digits * 2 * stride(self.n);
        KeyRow {
            words: &self.words[held.unwrap_or_default() * each..][..each],
            n: self.n,
        }
    }
}

/// All digits of one row of a key.
#[derive(Clone, Copy)]
pub(super) struct KeyRow<'k> {
    words: &'k [u32],
    n: usize,
}

impl<'k> KeyRow<'k> {
    /// (b, a) of a digit.
    fn digit(self, digit: u32) -> [&'k [u32]; 2] {
        let apart = stride(self.n);
        let (b, a) = self.words[digit as usize * 2 * apart..][..2 * apart].split_at(apart);
        [&b[..self.n], &a[..self.n]]
    }
}

/// A row of a digit, and what it is multiplied by.
pub(super) type Term<'d, 'k> = (&'d [u32], [&'k [u32]; 2]);

/// What a row of the product starts from: c times rows of an addend for each of its polynomials.
#[derive(Clone, Copy)]
pub(super) struct Start<'a> {
    /// 2^32 c mod p.
    pub(super) factor: u32,
    /// The rows, those of the first polynomials.
    pub(super) rows: [Option<&'a [u32]>; 2],
}

/// Products that a sum takes before the first fold, and between folds ([`Prime::fold`]).
const FOLD_AFTER: usize = 16;
const FOLD_EVERY: usize = 8;

kernel! {
    /// out = sigma(start + sum of terms), both polynomials of one row.
    pub(super) fn inner_product(
        l,
        m: Modulus,
        out: [&mut [u32]; 2],
        start: Start,
        terms: &[Term],
        sigma: Option<&Automorphism>,
    ) {
        let n = out[0].len();
        assert_eq!(n, out[1].len());
        for (digit, [key_b, key_a]) in terms {
            assert!(digit.len() == n && key_b.len() == n && key_a.len() == n);
        }
        if n >= LANES {
            sums::<L, true>(l, m, out, start, terms, sigma);
        } else {
            sums::<L, false>(l, m, out, start, terms, sigma);
        }
    }
}

/// The inner product of rows of equal length, a multiple of the lanes if `FULL`.
#[inline(always)]
fn sums<L: Lanes, const FULL: bool>(
    l: L,
    m: Modulus,
    [out_b, out_a]: [&mut [u32]; 2],
    start: Start,
    terms: &[Term],
    sigma: Option<&Automorphism>,
) {
    let (prime, factor) = (Prime::new(l, m), l.split_splat(start.factor));
    for at in (0..out_b.len()).step_by(LANES) {
        let (mut b, mut a) = (l.wide_splat(0), l.wide_splat(0));
        if let Some(row) = start.rows[0] {
            b = l.mul_wide(l.split(l.take(row, at)), factor);
        }
        if let Some(row) = start.rows[1] {
            a = l.mul_wide(l.split(l.take(row, at)), factor);
        }
        for (j, (digit, [key_b, key_a])) in terms.iter().enumerate() {
            // One product of the start is in the sum already.
            if j + 1 >= FOLD_AFTER && (j + 1).is_multiple_of(FOLD_EVERY) {
                (b, a) = (prime.fold(l, b), prime.fold(l, a));
            }
            // SAFETY: all rows have as many words as `out_b`.
            unsafe {
                let d = l.split(l.take_if::<FULL>(digit, at));
                b = l.wide_mul_add(b, d, l.split(l.take_if::<FULL>(key_b, at)));
                a = l.wide_mul_add(a, d, l.split(l.take_if::<FULL>(key_a, at)));
            }
        }
        if terms.len() >= TERMS {
            (b, a) = (prime.fold(l, b), prime.fold(l, a));
        }
        let (mut b, mut a, mut to) = (prime.montgomery(l, b), prime.montgomery(l, a), at);
        if let Some(sigma) = sigma {
            let (moved, lanes) = sigma.target(at);
            let lanes = l.load(lanes);
            (b, a, to) = (l.rearrange(b, lanes), l.rearrange(a, lanes), moved);
        }
        l.put(b, out_b, to);
        l.put(a, out_a, to);
    }
}

/// Most digits whose terms are listed without allocating.
const FEW: usize = 16;

/// Runs `f` on the terms of one row: `digit(j)` times digit `which[j]` of the key.
pub(super) fn with_terms<'d, 'k>(
    which: impl ExactSizeIterator<Item = u32>,
    digit: impl Fn(usize) -> &'d [u32],
    key: KeyRow<'k>,
    f: impl FnOnce(&[Term<'d, 'k>]),
) {
    let count = which.len();
    let terms = which.enumerate().map(|(j, d)| (digit(j), key.digit(d)));
    if count <= FEW {
        const NONE: &[u32] = &[];
        let mut few: [Term; FEW] = [(NONE, [NONE; 2]); FEW];
        few.iter_mut().zip(terms).for_each(|(to, term)| *to = term);
        f(&few[..count]);
    } else {
        f(&terms.collect::<Vec<_>>());
    }
}

/// See [`Backend::key_inner_product`](crate::backend::Backend::key_inner_product).
pub(super) fn key_inner_product(t: &Tables, dst: Writer, src: Reader, digits: &[u32], keys: &[&Key]) {
    let rows = dst.span.rows.len();
    let start = Start {
        factor: 0,
        rows: [None; 2],
    };
    Share::new().each(dst.span.items * rows, |at| {
        let (item, row) = (at / rows, at % rows);
        let m = t.modulus(&dst.span, row);
        let key = if keys.len() == 1 { keys[0] } else { keys[item] };
        let key = key.row(dst.span.rows[row].prime);
        // SAFETY: the two polynomials of one (item, row) are different rows, and each pair occurs once.
        let out = [0, 1].map(|poly| unsafe { dst.row(item, poly, row) });
        with_terms(
            digits.iter().copied(),
            |j| src.row(item, j, row),
            key,
            |terms| {
                inner_product(t.instructions, m, out, start, terms, None);
            },
        );
    });
}
