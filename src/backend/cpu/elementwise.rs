//! Pointwise operations on rows.
//!
//! Reductions use 32-bit multiplications, which compilers turn into vector code.

use rayon::prelude::*;

use super::{
    dispatch::widest,
    memory::{Reader, Writer},
    ntt::Tables,
};
use crate::arith::Modulus;

/// Coefficients that fit the first-level cache together with their sums.
pub(super) const BLOCK: usize = 512;
/// Products of two residues that fit a 64-bit sum: 16 (2^30 - 1)^2 < 2^64.
pub(super) const LAZY: usize = 16;

/// Barrett reduction of single products, x < p^2.
///
/// k = bit length of p, mu = floor(2^(2k+1) / p), q = ((x >> (k-2)) mu) >> (k+3); then 0 <= x - q p < 2p.
#[derive(Clone, Copy)]
struct Product {
    p: u32,
    mu: u32,
    low: u32,
    high: u32,
}

impl Product {
    #[inline(always)]
    fn new(m: Modulus) -> Self {
        let p = m.value();
        let k = u32::BITS - p.leading_zeros();
        Self {
            p,
            mu: ((1u64 << (2 * k + 1)) / u64::from(p)) as u32,
            low: k - 2,
            high: k + 3,
        }
    }

    /// x mod p for x < p^2.
    #[inline(always)]
    fn reduce(self, x: u64) -> u32 {
        let q = (((x >> self.low) & 0xffff_ffff) * u64::from(self.mu)) >> self.high;
        let r = (x as u32).wrapping_sub((q as u32).wrapping_mul(self.p));
        r.min(r.wrapping_sub(self.p))
    }
}

widest! {
    /// out = sums mod p, for any 64-bit sums h 2^32 + l: both halves by Shoup's method, with the factors 2^32 mod p and 1.
    pub(super) fn reduce_sums(m: Modulus, out: &mut [u32], sums: &[u64]) {
        let p = m.value();
        let fold = m.reduce(1 << 32);
        let companion = m.shoup(fold);
        let one = m.shoup(1);
        for (x, s) in out.iter_mut().zip(sums) {
            let (h, l) = ((s >> 32) as u32, *s as u32);
            // both below 2p
            let a = m.mul_shoup_lazy(h, fold, companion);
            let b = m.mul_shoup_lazy(l, 1, one);
            let r = a + b;
            let r = r.min(r.wrapping_sub(2 * p));
            *x = r.min(r.wrapping_sub(p));
        }
    }
}

widest! {
    /// sums += x w.
    pub(super) fn add_product(sums: &mut [u64], x: &[u32], w: u32) {
        for (s, x) in sums.iter_mut().zip(x) {
            *s += u64::from(*x) * u64::from(w);
        }
    }
}

widest! {
    /// out = src c mod p.
    pub(super) fn scale_row(m: Modulus, out: &mut [u32], src: &[u32], c: u32) {
        let companion = m.shoup(c);
        for (x, y) in out.iter_mut().zip(src) {
            *x = m.mul_shoup(*y, c, companion);
        }
    }
}

widest! {
    fn scale_add_row(m: Modulus, out: &mut [u32], src: &[u32], c: u32) {
        let (companion, p) = (m.shoup(c), m.value());
        for (x, y) in out.iter_mut().zip(src) {
            // below 2p + p < 2^32
            let s = m.mul_shoup_lazy(*y, c, companion) + *x;
            let s = s.min(s.wrapping_sub(2 * p));
            *x = s.min(s.wrapping_sub(p));
        }
    }
}

widest! {
    fn add_row(p: u32, out: &mut [u32], src: &[u32]) {
        for (x, y) in out.iter_mut().zip(src) {
            let s = *x + y;
            *x = s.min(s.wrapping_sub(p));
        }
    }
}

widest! {
    fn sub_row(p: u32, out: &mut [u32], src: &[u32]) {
        for (x, y) in out.iter_mut().zip(src) {
            let d = x.wrapping_sub(*y);
            *x = d.min(d.wrapping_add(p));
        }
    }
}

widest! {
    fn mul_row(m: Modulus, out: &mut [u32], a: &[u32], b: &[u32]) {
        let m = Product::new(m);
        for ((x, a), b) in out.iter_mut().zip(a).zip(b) {
            *x = m.reduce(u64::from(*a) * u64::from(*b));
        }
    }
}

widest! {
    fn mul_add_row(m: Modulus, out: &mut [u32], a: &[u32], b: &[u32]) {
        let m = Product::new(m);
        for ((x, a), b) in out.iter_mut().zip(a).zip(b) {
            // (p-1)^2 + (p-1) < p^2
            *x = m.reduce(u64::from(*a) * u64::from(*b) + u64::from(*x));
        }
    }
}

widest! {
    fn tensor_block(sums: &mut [[u64; BLOCK]; 3], a0: &[u32], a1: &[u32], b0: &[u32], b1: &[u32]) {
        let [s0, s1, s2] = sums;
        let sums = s0.iter_mut().zip(s1.iter_mut()).zip(s2.iter_mut());
        for ((((s, a0), a1), b0), b1) in sums.zip(a0).zip(a1).zip(b0).zip(b1) {
            let ((s0, s1), s2) = s;
            let [x0, x1, y0, y1] = [*a0, *a1, *b0, *b1].map(u64::from);
            *s0 += x0 * y0;
            *s1 += x0 * y1 + x1 * y0;
            *s2 += x1 * y1;
        }
    }
}

/// The constants of an item: all items share `c`, or each has its own.
fn constant(c: &[u32], item: usize, row: usize, rows: usize) -> u32 {
    if c.len() == rows {
        c[row]
    } else {
        c[item * rows + row]
    }
}

pub(super) fn add(t: &Tables, dst: Writer, src: Reader) {
    dst.for_each(|item, poly, row, out| {
        add_row(t.modulus(&dst.span, row).value(), out, src.row(item, poly, row));
    });
}

pub(super) fn sub(t: &Tables, dst: Writer, src: Reader) {
    dst.for_each(|item, poly, row, out| {
        sub_row(t.modulus(&dst.span, row).value(), out, src.row(item, poly, row));
    });
}

pub(super) fn neg(t: &Tables, dst: Writer) {
    dst.for_each(|_, _, row, out| {
        let m = t.modulus(&dst.span, row);
        out.iter_mut().for_each(|x| *x = m.neg(*x));
    });
}

pub(super) fn mul(t: &Tables, dst: Writer, a: Reader, b: Reader) {
    dst.for_each(|item, poly, row, out| {
        mul_row(
            t.modulus(&dst.span, row),
            out,
            a.row(item, poly, row),
            b.row(item, poly, row),
        );
    });
}

pub(super) fn mul_add(t: &Tables, dst: Writer, a: Reader, b: Reader) {
    dst.for_each(|item, poly, row, out| {
        mul_add_row(
            t.modulus(&dst.span, row),
            out,
            a.row(item, poly, row),
            b.row(item, poly, row),
        );
    });
}

pub(super) fn mul_const(t: &Tables, dst: Writer, src: Reader, c: &[u32]) {
    let rows = dst.span.rows.len();
    dst.for_each(|item, poly, row, out| {
        scale_row(
            t.modulus(&dst.span, row),
            out,
            src.row(item, poly, row),
            constant(c, item, row, rows),
        );
    });
}

pub(super) fn mul_const_add(t: &Tables, dst: Writer, src: Reader, c: &[u32]) {
    let rows = dst.span.rows.len();
    dst.for_each(|item, poly, row, out| {
        scale_add_row(
            t.modulus(&dst.span, row),
            out,
            src.row(item, poly, row),
            constant(c, item, row, rows),
        );
    });
}

pub(super) fn add_const(t: &Tables, dst: Writer, c: &[u32]) {
    let rows = dst.span.rows.len();
    dst.for_each(|item, _, row, out| {
        let (p, c) = (t.modulus(&dst.span, row).value(), constant(c, item, row, rows));
        for x in out {
            let s = *x + c;
            *x = s.min(s.wrapping_sub(p));
        }
    });
}

/// X^(N/2) at psi^(2i+1) is (-1)^i psi^(N/2); in bit-reversed order the even i are the first half.
pub(super) fn mul_i(t: &Tables, dst: Writer) {
    dst.for_each(|_, _, row, out| {
        let m = t.modulus(&dst.span, row);
        let i = m.pow(t.table(&dst.span, row).psi(), out.len() as u64 / 2);
        let (first, second) = out.split_at_mut(out.len() / 2);
        for (half, factor) in [(first, i), (second, m.neg(i))] {
            let companion = m.shoup(factor);
            half.iter_mut()
                .for_each(|x| *x = m.mul_shoup(*x, factor, companion));
        }
    });
}

/// Three sums of products per coefficient, in first-level cache, reduced every eight terms (the middle one takes two
/// products a term).
pub(super) fn tensor(t: &Tables, dst: Writer, a: Reader, b: Reader, terms: usize) {
    const EVERY: usize = LAZY / 2 - 1;
    let (rows, blocks) = (dst.span.rows.len(), dst.n.div_ceil(BLOCK));
    (0..dst.span.items * rows * blocks)
        .into_par_iter()
        .for_each(|at| {
            let (item, row, start) = (at / (rows * blocks), at / blocks % rows, at % blocks * BLOCK);
            let m = t.modulus(&dst.span, row);
            let block = start..dst.n.min(start + BLOCK);
            let len = block.len();
            let mut sums = [[0u64; BLOCK]; 3];
            for term in 0..terms {
                if term > 0 && term % EVERY == 0 {
                    sums.iter_mut()
                        .flat_map(|s| &mut s[..len])
                        .for_each(|s| *s = u64::from(m.reduce(*s)));
                }
                let from = item * terms + term;
                let [a0, a1] = [0, 1].map(|poly| &a.row(from, poly, row)[block.clone()]);
                let [b0, b1] = [0, 1].map(|poly| &b.row(from, poly, row)[block.clone()]);
                tensor_block(&mut sums, a0, a1, b0, b1);
            }
            for (poly, sums) in sums.iter().enumerate() {
                // SAFETY: this block of this row belongs to this task alone, and the three polynomials are different rows.
                let out = unsafe { dst.block(item, poly, row, block.clone()) };
                reduce_sums(m, out, &sums[..len]);
            }
        });
}
