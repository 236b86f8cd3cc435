//! Pointwise operations on rows.
//!
//! Products below p^2 are reduced with 32-bit multiplications only, which compilers turn into vector code:
//! k = bit length of p, mu = floor(2^(2k+1) / p), q = ((x >> (k-2)) mu) >> (k+3); then 0 <= x - q p < 2p.

use rayon::prelude::*;

use super::{
    memory::{Reader, Writer},
    ntt::Tables,
};
use crate::arith::Modulus;

/// Coefficients that fit the first-level cache together with their sums.
pub(super) const BLOCK: usize = 512;
/// Products of two residues that fit a 64-bit sum: 16 (2^30)^2 = 2^64, less what 16 odd primes leave.
pub(super) const LAZY: usize = 16;

/// Barrett reduction of single products, x < p^2.
#[derive(Clone, Copy)]
pub(super) struct Product {
    p: u32,
    mu: u32,
    low: u32,
    high: u32,
}

impl Product {
    pub(super) fn new(m: Modulus) -> Self {
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
    pub(super) fn reduce(self, x: u64) -> u32 {
        let q = (((x >> self.low) & 0xffff_ffff) * u64::from(self.mu)) >> self.high;
        let r = (x as u32).wrapping_sub((q as u32).wrapping_mul(self.p));
        r.min(r.wrapping_sub(self.p))
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
        let p = t.modulus(&dst.span, row).value();
        for (x, y) in out.iter_mut().zip(src.row(item, poly, row)) {
            let s = *x + y;
            *x = s.min(s.wrapping_sub(p));
        }
    });
}

pub(super) fn sub(t: &Tables, dst: Writer, src: Reader) {
    dst.for_each(|item, poly, row, out| {
        let p = t.modulus(&dst.span, row).value();
        for (x, y) in out.iter_mut().zip(src.row(item, poly, row)) {
            let d = x.wrapping_sub(*y);
            *x = d.min(d.wrapping_add(p));
        }
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
        let m = Product::new(t.modulus(&dst.span, row));
        let (a, b) = (a.row(item, poly, row), b.row(item, poly, row));
        for ((x, a), b) in out.iter_mut().zip(a).zip(b) {
            *x = m.reduce(u64::from(*a) * u64::from(*b));
        }
    });
}

pub(super) fn mul_add(t: &Tables, dst: Writer, a: Reader, b: Reader) {
    dst.for_each(|item, poly, row, out| {
        let m = Product::new(t.modulus(&dst.span, row));
        let (a, b) = (a.row(item, poly, row), b.row(item, poly, row));
        for ((x, a), b) in out.iter_mut().zip(a).zip(b) {
            // (p-1)^2 + (p-1) < p^2
            *x = m.reduce(u64::from(*a) * u64::from(*b) + u64::from(*x));
        }
    });
}

pub(super) fn mul_const(t: &Tables, dst: Writer, src: Reader, c: &[u32]) {
    let rows = dst.span.rows.len();
    dst.for_each(|item, poly, row, out| {
        let m = t.modulus(&dst.span, row);
        let c = constant(c, item, row, rows);
        let companion = m.shoup(c);
        for (x, y) in out.iter_mut().zip(src.row(item, poly, row)) {
            *x = m.mul_shoup(*y, c, companion);
        }
    });
}

pub(super) fn mul_const_add(t: &Tables, dst: Writer, src: Reader, c: &[u32]) {
    let rows = dst.span.rows.len();
    dst.for_each(|item, poly, row, out| {
        let m = t.modulus(&dst.span, row);
        let c = constant(c, item, row, rows);
        let (companion, p) = (m.shoup(c), m.value());
        for (x, y) in out.iter_mut().zip(src.row(item, poly, row)) {
            // both terms lazy: below 2p + p < 2^32
            let s = m.mul_shoup_lazy(*y, c, companion) + *x;
            let s = s.min(s.wrapping_sub(2 * p));
            *x = s.min(s.wrapping_sub(p));
        }
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

/// Three sums of products per coefficient, in registers and first-level cache, reduced every eight terms
/// (the middle one takes two products a term).
pub(super) fn tensor(t: &Tables, dst: Writer, a: Reader, b: Reader, terms: usize) {
    let rows = dst.span.rows.len();
    (0..dst.span.items * rows).into_par_iter().for_each(|at| {
        let (item, row) = (at / rows, at % rows);
        let m = t.modulus(&dst.span, row);
        // SAFETY: the polynomials of one (item, row) are three different rows, and each pair occurs once.
        let mut out = [0, 1, 2].map(|poly| unsafe { dst.row(item, poly, row) });
        let mut sums = [[0u64; BLOCK]; 3];
        for start in (0..dst.n).step_by(BLOCK) {
            let block = start..dst.n.min(start + BLOCK);
            let len = block.len();
            sums.iter_mut().for_each(|s| s[..len].fill(0));
            for term in 0..terms {
                if term > 0 && term % (LAZY / 2) == 0 {
                    sums.iter_mut()
                        .flat_map(|s| &mut s[..len])
                        .for_each(|s| *s = u64::from(m.reduce(*s)));
                }
                let from = item * terms + term;
                let [a0, a1] = [0, 1].map(|poly| &a.row(from, poly, row)[block.clone()]);
                let [b0, b1] = [0, 1].map(|poly| &b.row(from, poly, row)[block.clone()]);
                let [s0, s1, s2] = &mut sums;
                for i in 0..len {
                    let [x0, x1, y0, y1] = [a0[i], a1[i], b0[i], b1[i]].map(u64::from);
                    s0[i] += x0 * y0;
                    s1[i] += x0 * y1 + x1 * y0;
                    s2[i] += x1 * y1;
                }
            }
            for (out, sums) in out.iter_mut().zip(&sums) {
                for (x, s) in out[block.clone()].iter_mut().zip(sums) {
                    *x = m.reduce(*s);
                }
            }
        }
    });
}
