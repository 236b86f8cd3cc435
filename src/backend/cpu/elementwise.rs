//! Pointwise operations on rows.

use super::{
    lanes::{Factor, LANES, Lanes, Prime, kernel},
    memory::{Reader, Writer},
    ntt::Tables,
    threads::Share,
};
use crate::arith::Modulus;

/// Barrett's reduction of products modulo p, in 64-bit lanes.
///
/// k = bit length of p, mu = floor(2^(2k+1) / p), q = ((x >> (k-e)) mu) >> (k+1+e). Against x / p, the first shift loses at most
/// 2^(k-e) / p <= 2^(1-e), mu less than x / 2^(2k+1), the second shift less than 1. So 0 <= x - q p < 2p for x < p^2 and e = 2,
/// and < 3p for x < 2 p^2 and e = 1; x >> (k-e) is a word in both cases.
#[derive(Clone, Copy)]
pub(super) struct Barrett<L: Lanes> {
    prime: Prime<L>,
    p: L::Split,
    mu: L::Split,
    bits: u32,
}

impl<L: Lanes> Barrett<L> {
    #[inline(always)]
    pub(super) fn new(l: L, m: Modulus) -> Self {
        let p = m.value();
        let bits = u32::BITS - p.leading_zeros();
        Self {
            prime: Prime::new(l, m),
            p: l.split_splat(p),
            mu: l.split_splat(((1u64 << (2 * bits + 1)) / u64::from(p)) as u32),
            bits,
        }
    }

    #[inline(always)]
    fn remainder(&self, l: L, x: L::Wide, e: u32) -> L::V {
        let top = l.shift_right_by(x, self.bits - e);
        let q = l.shift_right_by(l.wide_mul(top, self.mu), self.bits + 1 + e);
        l.low(l.wide_sub(x, l.wide_mul(q, self.p)))
    }

    /// x mod p for a product and a residue: x < p^2.
    #[inline(always)]
    pub(super) fn product(&self, l: L, x: L::Wide) -> L::V {
        l.reduce_once(self.remainder(l, x, 2), self.prime.p)
    }

    /// x mod p for the sum of two products: x < 2 p^2.
    #[inline(always)]
    pub(super) fn two_products(&self, l: L, x: L::Wide) -> L::V {
        self.prime.canonical(l, self.remainder(l, x, 1))
    }
}

/// out = f(out, sources), sixteen words at a time; the first name is the old value.
macro_rules! each {
    ($l:ident, $out:ident, |$x:ident $(, $src:ident)*| $f:expr) => {
        for at in (0..$out.len()).step_by(LANES) {
            let ($x, $($src),*) = ($l.take($out, at), $($l.take($src, at)),*);
            $l.put($f, $out, at);
        }
    };
}

kernel! {
    fn add_row(l, m: Modulus, out: &mut [u32], src: &[u32]) {
        let p = l.splat(m.value());
        each!(l, out, |x, src| l.reduce_once(l.add(x, src), p));
    }
}

kernel! {
    fn sub_row(l, m: Modulus, out: &mut [u32], src: &[u32]) {
        let p = l.splat(m.value());
        each!(l, out, |x, src| l.min(l.sub(x, src), l.add(l.sub(x, src), p)));
    }
}

kernel! {
    /// p - x, where p - 0 = p is reduced to 0.
    fn neg_row(l, m: Modulus, out: &mut [u32]) {
        let p = l.splat(m.value());
        each!(l, out, |x| l.reduce_once(l.sub(p, x), p));
    }
}

kernel! {
    fn add_const_row(l, m: Modulus, out: &mut [u32], c: u32) {
        let (p, c) = (l.splat(m.value()), l.splat(c));
        each!(l, out, |x| l.reduce_once(l.add(x, c), p));
    }
}

kernel! {
    fn mul_row(l, m: Modulus, out: &mut [u32], a: &[u32], b: &[u32]) {
        let barrett = Barrett::new(l, m);
        each!(l, out, |_x, a, b| barrett.product(l, l.mul_wide(l.split(a), l.split(b))));
    }
}

kernel! {
    /// Two products with one factor, read once.
    fn mul_two_rows(l, m: Modulus, out: [&mut [u32]; 2], a: [&[u32]; 2], b: &[u32]) {
        let (barrett, [out0, out1], [a0, a1]) = (Barrett::new(l, m), out, a);
        for at in (0..out0.len()).step_by(LANES) {
            let b = l.split(l.take(b, at));
            l.put(barrett.product(l, l.mul_wide(l.split(l.take(a0, at)), b)), out0, at);
            l.put(barrett.product(l, l.mul_wide(l.split(l.take(a1, at)), b)), out1, at);
        }
    }
}

kernel! {
    /// out += a b: (p-1)^2 + (p-1) < p^2 before the reduction.
    fn mul_add_row(l, m: Modulus, out: &mut [u32], a: &[u32], b: &[u32]) {
        let barrett = Barrett::new(l, m);
        each!(l, out, |x, a, b| barrett.product(l, l.wide_mul_add(l.widen(x), l.split(a), l.split(b))));
    }
}

kernel! {
    /// out = c src.
    pub(super) fn scale_row(l, m: Modulus, out: &mut [u32], src: &[u32], c: u32) {
        let (prime, c) = (Prime::new(l, m), Factor::splat(l, c, m.shoup(c)));
        each!(l, out, |_x, src| prime.mul(l, src, &c));
    }
}

kernel! {
    /// out += c src: below 2p + p before the reduction.
    pub(super) fn scale_add_row(l, m: Modulus, out: &mut [u32], src: &[u32], c: u32) {
        let (prime, c) = (Prime::new(l, m), Factor::splat(l, c, m.shoup(c)));
        each!(l, out, |x, src| prime.canonical(l, l.add(x, prime.mul_lazy(l, src, &c))));
    }
}

kernel! {
    /// out *= c.
    pub(super) fn scale_in_place(l, m: Modulus, out: &mut [u32], c: u32) {
        let (prime, c) = (Prime::new(l, m), Factor::splat(l, c, m.shoup(c)));
        each!(l, out, |x| prime.mul(l, x, &c));
    }
}

/// The constant of a row: all items share a list of one a row, or each has its own.
fn constant(c: &[u32], item: usize, row: usize, rows: usize) -> u32 {
    if c.len() == rows {
        c[row]
    } else {
        c[item * rows + row]
    }
}

pub(super) fn add(t: &Tables, dst: Writer, src: Reader) {
    dst.for_each(|item, poly, row, out| {
        add_row(
            t.instructions,
            t.modulus(&dst.span, row),
            out,
            src.row(item, poly, row),
        );
    });
}

pub(super) fn sub(t: &Tables, dst: Writer, src: Reader) {
    dst.for_each(|item, poly, row, out| {
        sub_row(
            t.instructions,
            t.modulus(&dst.span, row),
            out,
            src.row(item, poly, row),
        );
    });
}

pub(super) fn neg(t: &Tables, dst: Writer) {
    dst.for_each(|_, _, row, out| neg_row(t.instructions, t.modulus(&dst.span, row), out));
}

pub(super) fn mul(t: &Tables, dst: Writer, a: Reader, b: Reader) {
    if dst.span.polys == 2 && b.span.poly_stride == 0 {
        let rows = dst.span.rows.len();
        return Share::new().each(dst.span.items * rows, |at| {
            let (item, row) = (at / rows, at % rows);
            // SAFETY: the two polynomials of one (item, row) are different rows, and each pair occurs once.
            let out = [0, 1].map(|poly| unsafe { dst.row(item, poly, row) });
            let (a, b) = ([0, 1].map(|poly| a.row(item, poly, row)), b.row(item, 0, row));
            mul_two_rows(t.instructions, t.modulus(&dst.span, row), out, a, b);
        });
    }
    dst.for_each(|item, poly, row, out| {
        let (a, b) = (a.row(item, poly, row), b.row(item, poly, row));
        mul_row(t.instructions, t.modulus(&dst.span, row), out, a, b);
    });
}

pub(super) fn mul_add(t: &Tables, dst: Writer, a: Reader, b: Reader) {
    dst.for_each(|item, poly, row, out| {
        let (a, b) = (a.row(item, poly, row), b.row(item, poly, row));
        mul_add_row(t.instructions, t.modulus(&dst.span, row), out, a, b);
    });
}

pub(super) fn mul_const(t: &Tables, dst: Writer, src: Reader, c: &[u32]) {
    let rows = dst.span.rows.len();
    dst.for_each(|item, poly, row, out| {
        let (m, c) = (t.modulus(&dst.span, row), constant(c, item, row, rows));
        scale_row(t.instructions, m, out, src.row(item, poly, row), c);
    });
}

pub(super) fn mul_const_add(t: &Tables, dst: Writer, src: Reader, c: &[u32]) {
    let rows = dst.span.rows.len();
    dst.for_each(|item, poly, row, out| {
        let (m, c) = (t.modulus(&dst.span, row), constant(c, item, row, rows));
        scale_add_row(t.instructions, m, out, src.row(item, poly, row), c);
    });
}

pub(super) fn add_const(t: &Tables, dst: Writer, c: &[u32]) {
    let rows = dst.span.rows.len();
    dst.for_each(|item, _, row, out| {
        let c = constant(c, item, row, rows);
        add_const_row(t.instructions, t.modulus(&dst.span, row), out, c);
    });
}

/// X^(N/2) at psi^(2i+1) is (-1)^i psi^(N/2); in bit-reversed order the even i are the first half.
pub(super) fn mul_i(t: &Tables, dst: Writer) {
    dst.for_each(|_, _, row, out| {
        let m = t.modulus(&dst.span, row);
        let i = m.pow(t.table(&dst.span, row).psi(), out.len() as u64 / 2);
        let (first, second) = out.split_at_mut(out.len() / 2);
        scale_in_place(t.instructions, m, first, i);
        scale_in_place(t.instructions, m, second, m.neg(i));
    });
}
