//! The inner product of digits and key: 64-bit sums over all digits, one reduction.

use rayon::prelude::*;

use super::{
    elementwise::{BLOCK, LAZY},
    memory::{Reader, Writer},
    ntt::Tables,
};

/// Canonical rows of a key, `[digit][b, a][row][n]`.
pub struct Key {
    words: Vec<u32>,
    n: usize,
    primes: Vec<u32>,
}

impl Key {
    pub(super) fn new(rows: Reader) -> Self {
        let primes: Vec<u32> = rows.span.rows.iter().map(|r| r.prime).collect();
        let mut words = Vec::new();
        let mut n = 0;
        for digit in 0..rows.span.items {
            for poly in 0..rows.span.polys {
                for row in 0..primes.len() {
                    let row = rows.row(digit, poly, row);
                    n = row.len();
                    words.extend_from_slice(row);
                }
            }
        }
        Self { words, n, primes }
    }

    fn row(&self, digit: usize, poly: usize, row: usize) -> &[u32] {
        &self.words[((digit * 2 + poly) * self.primes.len() + row) * self.n..][..self.n]
    }
}

pub(super) fn inner_product(t: &Tables, dst: Writer, src: Reader, digits: &[u32], keys: &[&Key]) {
    let rows = dst.span.rows.len();
    (0..dst.span.items * rows).into_par_iter().for_each(|at| {
        let (item, row) = (at / rows, at % rows);
        let m = t.modulus(&dst.span, row);
        let key = if keys.len() == 1 { keys[0] } else { keys[item] };
        let prime = dst.span.rows[row].prime;
        let held = key.primes.iter().position(|p| *p == prime);
        assert!(held.is_some(), "the key has no row of prime {prime}");
        let held = held.unwrap_or_default();
        // SAFETY: the two polynomials of one (item, row) are different rows, and each pair occurs once.
        let out = [0, 1].map(|poly| unsafe { dst.row(item, poly, row) });
        let [out0, out1] = out;
        let (mut b, mut a) = ([0u64; BLOCK], [0u64; BLOCK]);
        for start in (0..dst.n).step_by(BLOCK) {
            let block = start..dst.n.min(start + BLOCK);
            let len = block.len();
            b[..len].fill(0);
            a[..len].fill(0);
            for (j, digit) in digits.iter().enumerate() {
                if j > 0 && j % (LAZY - 1) == 0 {
                    b[..len]
                        .iter_mut()
                        .chain(&mut a[..len])
                        .for_each(|s| *s = u64::from(m.reduce(*s)));
                }
                let d = &src.row(item, j, row)[block.clone()];
                let [kb, ka] = [0, 1].map(|poly| &key.row(*digit as usize, poly, held)[block.clone()]);
                for i in 0..len {
                    b[i] += u64::from(d[i]) * u64::from(kb[i]);
                    a[i] += u64::from(d[i]) * u64::from(ka[i]);
                }
            }
            for (x, s) in out0[block.clone()].iter_mut().zip(&b) {
                *x = m.reduce(*s);
            }
            for (x, s) in out1[block].iter_mut().zip(&a) {
                *x = m.reduce(*s);
            }
        }
    });
}
