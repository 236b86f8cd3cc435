//! Automorphisms X -> X^g of Z[X]/(X^N + 1), g odd modulo 2N.

use crate::arith::bit_reverse;

/// An odd Galois element modulo 2N.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Galois(u32);

impl Galois {
    /// The identity.
    pub const IDENTITY: Self = Self(1);

    /// X -> X^g; `None` unless g is odd and below 2N, N = 2^log_n.
    pub fn new(g: u32, log_n: u32) -> Option<Self> {
        (g % 2 == 1 && g < 2 << log_n).then_some(Self(g))
    }

    /// Left rotation of the N/2 slots by `k` (right for negative k): g = 5^k mod 2N, z_j <- z_{j+k}.
    pub fn rotation(k: i64, log_n: u32) -> Self {
        let (order, mask) = (1i64 << (log_n - 1), (2u64 << log_n) - 1);
        let (mut exponent, mut square, mut g) = (k.rem_euclid(order), 5u64, 1u64);
        while exponent > 0 {
            if exponent & 1 == 1 {
                g = (g * square) & mask;
            }
            square = (square * square) & mask;
            exponent >>= 1;
        }
        Self(g as u32)
    }

    /// Complex conjugation of the slots: g = 2N - 1.
    pub fn conjugation(log_n: u32) -> Self {
        Self((2 << log_n) - 1)
    }

    /// g itself.
    pub fn element(self) -> u32 {
        self.0
    }

    /// The inverse automorphism: g^-1 modulo 2N, by Newton's iteration modulo 2^32.
    pub fn inverse(self, log_n: u32) -> Self {
        let inverse = (0..5).fold(self.0, |x, _| {
            x.wrapping_mul(2u32.wrapping_sub(self.0.wrapping_mul(x)))
        });
        Self(inverse & ((2 << log_n) - 1))
    }

    /// This automorphism after `other`.
    pub fn after(self, other: Self, log_n: u32) -> Self {
        Self(((u64::from(self.0) * u64::from(other.0)) & ((2u64 << log_n) - 1)) as u32)
    }

    /// The evaluation-domain permutation: `result[j] = source[table[j]]`, both in bit-reversed evaluation order.
    ///
    /// Position j holds f(psi^e), e = 2 bitrev(j) + 1; sigma_g f has f(psi^(g e)) there.
    pub fn evaluation_table(self, log_n: u32) -> Vec<u32> {
        let mask = (2u64 << log_n) - 1;
        let source = |j: usize| {
            let e = 2 * bit_reverse(j, log_n) as u64 + 1;
            let moved = (u64::from(self.0) * e) & mask;
            bit_reverse((moved >> 1) as usize, log_n) as u32
        };
        (0..1 << log_n).map(source).collect()
    }

    /// The coefficient-domain definition: coefficient k goes to position g k mod N, negated when g k mod 2N >= N.
    pub fn apply_to_coefficients<T: Copy + std::ops::Neg<Output = T>>(self, coefficients: &[T]) -> Vec<T> {
        let n = coefficients.len();
        let mut result = coefficients.to_vec();
        for (k, c) in coefficients.iter().enumerate() {
            let at = (u64::from(self.0) * k as u64 % (2 * n as u64)) as usize;
            result[at % n] = if at < n { *c } else { -*c };
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arith::{Modulus, NttTable, ntt_primes};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn automorphisms_compose_and_invert(a in 0u32..2048, b in 0u32..2048, k in -3000i64..3000) {
            let log_n = 11;
            let (a, b) = (Galois::new(2 * a + 1, log_n).unwrap(), Galois::new(2 * b + 1, log_n).unwrap());
            let f: Vec<i64> = (0..1i64 << log_n).map(|i| i * i % 1009 - 500).collect();
            let twice = a.apply_to_coefficients(&b.apply_to_coefficients(&f));
            prop_assert_eq!(twice, a.after(b, log_n).apply_to_coefficients(&f));
            prop_assert_eq!(a.after(a.inverse(log_n), log_n), Galois::IDENTITY);
            let there = Galois::rotation(k, log_n);
            prop_assert_eq!(there.after(Galois::rotation(-k, log_n), log_n), Galois::IDENTITY);
        }

        #[test]
        fn the_permutation_of_evaluations_is_the_automorphism(g in 0u32..64) {
            let log_n = 6;
            let g = Galois::new(2 * g + 1, log_n).unwrap();
            let p = ntt_primes(log_n, 2, 1 << 30).next().unwrap();
            let table = NttTable::new(Modulus::new(p).unwrap(), log_n).unwrap();
            let f: Vec<i64> = (0..64).map(|i| i * 7919 % 1009 - 500).collect();
            let evaluate = |f: &[i64]| {
                let mut rows: Vec<u32> = f.iter().map(|c| table.modulus().reduce_signed(*c)).collect();
                table.forward(&mut rows);
                rows
            };
            let moved: Vec<u32> = {
                let e = evaluate(&f);
                g.evaluation_table(log_n).iter().map(|j| e[*j as usize]).collect()
            };
            prop_assert_eq!(moved, evaluate(&g.apply_to_coefficients(&f)));
        }
    }

    #[test]
    fn even_or_large_elements_are_no_automorphisms() {
        assert_eq!(Galois::new(2, 4), None);
        assert_eq!(Galois::new(33, 4), None);
        assert_eq!(Galois::new(31, 4), Some(Galois::conjugation(4)));
    }
}
