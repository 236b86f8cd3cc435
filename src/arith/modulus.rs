//! A prime modulus p < 2^30 and exact arithmetic on canonical residues [0, p).
//!
//! Products are reduced by Barrett's method with floor((2^64 - 1) / p), or, when one factor is fixed, by Shoup's:
//! with w' = floor(w 2^32 / p), x w mod p = x w - p floor(x w' / 2^32) up to one subtraction of p, for any
//! 32-bit x (Shoup, NTL; Harvey, arXiv 1205.2926).

use super::ArithError;

/// Every modulus is below 2^MAX_MODULUS_BITS: lazy values up to 4p stay within a word.
pub const MAX_MODULUS_BITS: u32 = 30;

/// A prime p, 2 < p < 2^30, with the constants for reduction modulo it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modulus {
    p: u32,
    barrett: u64,
}

impl Modulus {
    /// Checks that `p` is an odd prime below 2^30.
    pub fn new(p: u32) -> Result<Self, ArithError> {
        if !(3..1 << MAX_MODULUS_BITS).contains(&p) || !super::prime::is_prime(p) {
            return Err(ArithError::Modulus { p });
        }
        Ok(Self {
            p,
            barrett: u64::MAX / u64::from(p),
        })
    }

    /// The prime itself.
    pub const fn value(self) -> u32 {
        self.p
    }

    /// floor(2^64 / p) (p is odd, so it equals floor((2^64 - 1) / p)).
    pub const fn barrett(self) -> u64 {
        self.barrett
    }

    /// x mod p for any 64-bit x.
    #[inline(always)]
    pub const fn reduce(self, x: u64) -> u32 {
        let quotient = ((x as u128 * self.barrett as u128) >> 64) as u64;
        let r = x.wrapping_sub(quotient.wrapping_mul(self.p as u64)) as u32;
        // floor(x b / 2^64) is the quotient or one less, so r < 2p < 2^31.
        if r >= self.p { r - self.p } else { r }
    }

    /// x mod p for any 128-bit x.
    pub const fn reduce_wide(self, x: u128) -> u32 {
        (x % self.p as u128) as u32
    }

    /// The residue of a signed integer.
    #[inline(always)]
    pub const fn reduce_signed(self, x: i64) -> u32 {
        let r = self.reduce(x.unsigned_abs());
        if x < 0 { self.neg(r) } else { r }
    }

    /// The residue of a wide signed integer.
    pub const fn reduce_signed_wide(self, x: i128) -> u32 {
        let r = self.reduce_wide(x.unsigned_abs());
        if x < 0 { self.neg(r) } else { r }
    }

    /// a + b mod p.
    #[inline(always)]
    pub const fn add(self, a: u32, b: u32) -> u32 {
        let s = a + b;
        if s >= self.p { s - self.p } else { s }
    }

    /// a - b mod p.
    #[inline(always)]
    pub const fn sub(self, a: u32, b: u32) -> u32 {
        if a >= b { a - b } else { a + self.p - b }
    }

    /// -a mod p.
    #[inline(always)]
    pub const fn neg(self, a: u32) -> u32 {
        if a == 0 { 0 } else { self.p - a }
    }

    /// a b mod p.
    #[inline(always)]
    pub const fn mul(self, a: u32, b: u32) -> u32 {
        self.reduce(a as u64 * b as u64)
    }

    /// base^exponent mod p, by squaring.
    pub const fn pow(self, base: u32, mut exponent: u64) -> u32 {
        let (mut result, mut square) = (1 % self.p, base % self.p);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = self.mul(result, square);
            }
            square = self.mul(square, square);
            exponent >>= 1;
        }
        result
    }

    /// The inverse of `a`, by Fermat; zero has none.
    pub const fn inv(self, a: u32) -> Option<u32> {
        if a.is_multiple_of(self.p) {
            None
        } else {
            Some(self.pow(a, self.p as u64 - 2))
        }
    }

    /// Shoup's companion floor(w 2^32 / p) of a fixed factor w < p.
    #[inline(always)]
    pub const fn shoup(self, w: u32) -> u32 {
        (((w as u64) << 32) / self.p as u64) as u32
    }

    /// x w mod p in [0, 2p), for any 32-bit x, w < p and its companion.
    #[inline(always)]
    pub const fn mul_shoup_lazy(self, x: u32, w: u32, companion: u32) -> u32 {
        let quotient = ((x as u64 * companion as u64) >> 32) as u32;
        x.wrapping_mul(w).wrapping_sub(quotient.wrapping_mul(self.p))
    }

    /// x w mod p, canonical, for any 32-bit x, w < p and its companion.
    #[inline(always)]
    pub const fn mul_shoup(self, x: u32, w: u32, companion: u32) -> u32 {
        let r = self.mul_shoup_lazy(x, w, companion);
        if r >= self.p { r - self.p } else { r }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PRIMES: [u32; 5] = [3, 12289, 1_073_479_681, 1_073_741_789, 33_292_289];

    #[test]
    fn refuses_what_is_not_an_odd_prime_below_2_30() {
        for p in [0, 1, 2, 4, 9, 1 << 30, (1 << 30) + 3, u32::MAX, 1_073_741_787] {
            assert_eq!(Modulus::new(p), Err(ArithError::Modulus { p }));
        }
    }

    proptest! {
        #[test]
        fn every_reduction_equals_the_remainder(x in any::<u64>(), wide in any::<u128>(), which in 0..5usize) {
            let m = Modulus::new(PRIMES[which]).unwrap();
            let p = u64::from(m.value());
            prop_assert_eq!(u64::from(m.reduce(x)), x % p);
            prop_assert_eq!(u128::from(m.reduce_wide(wide)), wide % u128::from(p));
            prop_assert_eq!(i128::from(m.reduce_signed(x as i64)), i128::from(x as i64).rem_euclid(i128::from(p)));
            prop_assert_eq!(i128::from(m.reduce_signed_wide(wide as i128)), (wide as i128).rem_euclid(i128::from(p)));
        }

        #[test]
        fn residues_are_a_field(a in any::<u32>(), b in any::<u32>(), c in any::<u32>(), which in 0..5usize) {
            let m = Modulus::new(PRIMES[which]).unwrap();
            let [a, b, c] = [a, b, c].map(|v| v % m.value());
            prop_assert_eq!(m.add(a, b), m.add(b, a));
            prop_assert_eq!(m.mul(a, m.add(b, c)), m.add(m.mul(a, b), m.mul(a, c)));
            prop_assert_eq!(m.add(m.sub(a, b), b), a);
            prop_assert_eq!(m.add(a, m.neg(a)), 0);
            prop_assert_eq!(m.mul_shoup(c, b, m.shoup(b)), m.mul(b, c));
            match m.inv(a) {
                Some(inverse) => prop_assert_eq!(m.mul(a, inverse), 1),
                None => prop_assert_eq!(a, 0),
            }
        }
    }
}
