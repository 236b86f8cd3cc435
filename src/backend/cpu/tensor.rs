//! Products of ciphertexts of two components: three sums of products a coefficient.

use super::{
    elementwise::Barrett,
    lanes::{Factor, LANES, Prime, kernel},
    memory::{Reader, Writer},
    ntt::Tables,
    threads::Share,
};
use crate::arith::Modulus;

kernel! {
    /// (a0 b0, a0 b1 + a1 b0, a1 b1).
    fn product_row(l, m: Modulus, out: [&mut [u32]; 3], a: [&[u32]; 2], b: [&[u32]; 2]) {
        let barrett = Barrett::new(l, m);
        let ([out0, out1, out2], [a0, a1], [b0, b1]) = (out, a, b);
        for at in (0..out0.len()).step_by(LANES) {
            let (a0, a1) = (l.split(l.take(a0, at)), l.split(l.take(a1, at)));
            let (b0, b1) = (l.split(l.take(b0, at)), l.split(l.take(b1, at)));
            l.put(barrett.product(l, l.mul_wide(a0, b0)), out0, at);
            l.put(barrett.two_products(l, l.wide_mul_add(l.mul_wide(a0, b1), a1, b0)), out1, at);
            l.put(barrett.product(l, l.mul_wide(a1, b1)), out2, at);
        }
    }
}

/// Sixteens of coefficients whose sums stay in registers over all terms.
const TILE: usize = 4;

kernel! {
    /// The same, summed over `terms` items from `first` on.
    ///
    /// Sums are below 4 p 2^32 after sixteen products, and folded before more are added ([`Prime::fold`]); the middle one takes
    /// two products a term.
    fn sum_rows(
        l,
        m: Modulus,
        out: [&mut [u32]; 3],
        factors: [Reader; 2],
        first: usize,
        terms: usize,
        row: usize,
    ) {
        let [a, b] = factors;
        let (prime, radix) = (Prime::new(l, m), m.reduce(1 << 32));
        let radix = Factor::splat(l, radix, m.shoup(radix));
        for start in (0..out[0].len()).step_by(TILE * LANES) {
            let mut sums = [[l.wide_splat(0); 3]; TILE];
            for term in 0..terms {
                if term >= 8 && term.is_multiple_of(4) {
                    for [s0, s1, s2] in &mut sums {
                        (*s0, *s1, *s2) = (prime.fold(l, *s0), prime.fold(l, *s1), prime.fold(l, *s2));
                    }
                }
                let [a0, a1] = [0, 1].map(|poly| a.row(first + term, poly, row));
                let [b0, b1] = [0, 1].map(|poly| b.row(first + term, poly, row));
                for (i, [s0, s1, s2]) in sums.iter_mut().enumerate() {
                    let at = start + i * LANES;
                    let (a0, a1) = (l.split(l.take(a0, at)), l.split(l.take(a1, at)));
                    let (b0, b1) = (l.split(l.take(b0, at)), l.split(l.take(b1, at)));
                    *s0 = l.wide_mul_add(*s0, a0, b0);
                    *s1 = l.wide_mul_add(l.wide_mul_add(*s1, a0, b1), a1, b0);
                    *s2 = l.wide_mul_add(*s2, a1, b1);
                }
            }
            for (i, sums) in sums.into_iter().enumerate() {
                for (poly, sum) in sums.into_iter().enumerate() {
                    let reduced = prime.montgomery_lazy(l, prime.fold(l, sum));
                    l.put(prime.mul(l, reduced, &radix), out[poly], start + i * LANES);
                }
            }
        }
    }
}

pub(super) fn tensor(t: &Tables, dst: Writer, a: Reader, b: Reader, terms: usize) {
    let rows = dst.span.rows.len();
    Share::new().each(dst.span.items * rows, |at| {
        let (item, row) = (at / rows, at % rows);
        let m = t.modulus(&dst.span, row);
        // SAFETY: the three polynomials of one (item, row) are different rows, and each pair occurs once.
        let out = [0, 1, 2].map(|poly| unsafe { dst.row(item, poly, row) });
        if terms == 1 {
            let [a, b] = [a, b].map(|r| [0, 1].map(|poly| r.row(item, poly, row)));
            product_row(t.instructions, m, out, a, b);
        } else {
            sum_rows(t.instructions, m, out, [a, b], item * terms, terms, row);
        }
    });
}
