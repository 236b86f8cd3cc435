//! The exact scale of a ciphertext: a positive rational 2^k prod p_i^{e_i} over chain primes.
//!
//! Encryption at the top of a chain has scale 2^k, a product multiplies scales, a rescale multiplies by prod(A) and
//! divides by prod(R): the scale is known exactly and is compared exactly, never as floating point. Exponents double
//! with every level, so they may reach 2^40; the logarithm is therefore summed in fixed point from logarithms of the
//! primes with [`LOG2_FRACTION_BITS`] fractional bits.

use std::{collections::BTreeMap, fmt, sync::OnceLock};

use num_bigint::BigUint;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::arith::{MAX_MODULUS_BITS, is_prime};

/// Largest absolute exponent of a base in a [`Scale`].
pub const MAX_EXPONENT: i64 = 1 << 48;

/// Fractional bits of [`log2_fixed`].
pub const LOG2_FRACTION_BITS: u32 = 120;

const HALF_BITS: u32 = LOG2_FRACTION_BITS / 2;
const FRACTION_MASK: u128 = (1 << LOG2_FRACTION_BITS) - 1;

/// Why a scale cannot be formed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScaleError {
    /// An exponent would leave -2^48..=2^48.
    #[error(
        "scale exponent of {base} would be {exponent}, beyond 2^48 in absolute value; scales square at every level, \
         so re-encrypt or bootstrap to a power-of-two scale before about 48 levels"
    )]
    Exponent {
        /// The base: 2 or a prime.
        base: u32,
        /// The exponent asked for, saturated to 64 bits.
        exponent: i64,
    },
    /// A base that is not an odd prime below 2^30.
    #[error(
        "scale base {p} is not an odd prime below 2^30; use `times_pow2` for 2 and chain primes otherwise"
    )]
    Base {
        /// What was given.
        p: u32,
    },
}

/// 2^k prod p_i^{e_i}: an exact positive rational in normal form (odd primes below 2^30, no zero exponent).
///
/// Equality and hash are those of the rational itself, because factorisations are unique.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Scale {
    two: i64,
    /// Ascending.
    primes: SmallVec<[(u32, i64); INLINE]>,
}

/// Primes with their exponents that a scale holds without taking memory: as many as chains at N = 2^16 remove on their way down.
const INLINE: usize = 48;

/// What is written to files; reading it restores the normal form or fails.
#[derive(Serialize, Deserialize)]
struct Parts {
    two: i64,
    primes: BTreeMap<u32, i64>,
}

impl From<Scale> for Parts {
    fn from(scale: Scale) -> Self {
        Self {
            two: scale.two,
            primes: scale.primes.into_iter().collect(),
        }
    }
}

impl TryFrom<Parts> for Scale {
    type Error = ScaleError;

    fn try_from(parts: Parts) -> Result<Self, ScaleError> {
        let start = Self::pow2(0).times_pow2(parts.two)?;
        parts
            .primes
            .into_iter()
            .try_fold(start, |scale, (p, e)| scale.times_prime(p, e))
    }
}

impl Default for Scale {
    fn default() -> Self {
        Self::pow2(0)
    }
}

impl Scale {
    /// 2^k.
    pub fn pow2(k: i32) -> Self {
        Self {
            two: i64::from(k),
            primes: SmallVec::new(),
        }
    }

    /// The scale times 2^k.
    ///
    /// # Errors
    /// [`ScaleError::Exponent`] when the exponent of 2 leaves -2^48..=2^48.
    pub fn times_pow2(mut self, k: i64) -> Result<Self, ScaleError> {
        self.two = bounded(2, self.two, k)?;
        Ok(self)
    }

    /// The scale times p^exponent.
    ///
    /// # Errors
    /// [`ScaleError::Base`] unless p is an odd prime below 2^30; [`ScaleError::Exponent`] beyond 2^48.
    pub fn times_prime(mut self, p: u32, exponent: i64) -> Result<Self, ScaleError> {
        if p == 2 || p >> MAX_MODULUS_BITS != 0 || !is_prime(p) {
            return Err(ScaleError::Base { p });
        }
        self.raise(p, exponent)?;
        Ok(self)
    }

    /// The product of two scales.
    ///
    /// # Errors
    /// [`ScaleError::Exponent`] beyond 2^48.
    pub fn mul(&self, other: &Self) -> Result<Self, ScaleError> {
        self.combine(other, 1)
    }

    /// The quotient of two scales.
    ///
    /// # Errors
    /// [`ScaleError::Exponent`] beyond 2^48.
    pub fn div(&self, other: &Self) -> Result<Self, ScaleError> {
        self.combine(other, -1)
    }

    /// The scale after a rescale: times the product of `added`, divided by the product of `removed`.
    ///
    /// # Errors
    /// As [`Scale::times_prime`].
    pub fn rescaled(&self, added: &[u32], removed: &[u32]) -> Result<Self, ScaleError> {
        let up = added.iter().try_fold(self.clone(), |s, p| s.times_prime(*p, 1))?;
        removed.iter().try_fold(up, |s, p| s.times_prime(*p, -1))
    }

    /// The exponent of 2.
    pub fn two_exponent(&self) -> i64 {
        self.two
    }

    /// The primes with their exponents, ascending, none of them zero.
    pub fn prime_exponents(&self) -> impl Iterator<Item = (u32, i64)> + '_ {
        self.primes.iter().copied()
    }

    /// log2 of the scale; the absolute error before the final rounding to f64 is below 2^-60 for exponents up to
    /// 2^40.
    pub fn log2(&self) -> f64 {
        let (integer, fraction) = self.log2_parts();
        integer as f64 + fraction as f64 / (1u128 << LOG2_FRACTION_BITS) as f64
    }

    /// Whether `log2` is below a bound: by logarithms in f64 where those tell, which takes a thousandth of the time.
    pub(crate) fn is_below(&self, bound: f64) -> bool {
        let (mut sum, mut size) = (self.two as f64, self.two.unsigned_abs() as f64);
        for (p, e) in &self.primes {
            let term = *e as f64 * f64::from(*p).log2();
            (sum, size) = (sum + term, size + term.abs());
        }
        // Each term and each of fewer than 2^10 sums is right to 2^-51 of all terms together.
        sum + size * 2f64.powi(-40) < bound || self.log2() < bound
    }

    /// The nearest f64 (relative error below 2^-52 for exponents up to 2^40); infinite or zero outside the range of
    /// f64.
    pub fn to_f64(&self) -> f64 {
        self.to_parts().0
    }

    /// (hi, lo) with hi + lo equal to the scale within a relative 2^-60 for exponents up to 2^40 (2^-100 for those
    /// below 2^10); for encoders that compute in double-double.
    pub fn to_parts(&self) -> (f64, f64) {
        let (mantissa, exponent) = self.mantissa();
        let whole = (mantissa >> 2) as i128;
        let high = whole as f64;
        let low = (whole - high as i128) as f64;
        let shift = exponent.saturating_sub(125);
        (times_power(high, shift), times_power(low, shift))
    }

    /// (m, e) with scale = m 2^(e - 127) and 2^127 <= m < 2^128.
    pub(crate) fn mantissa(&self) -> (u128, i64) {
        let (integer, fraction) = self.log2_parts();
        (exp2_fixed(fraction), integer)
    }

    /// Integer part and fraction (in units of 2^-120) of log2.
    fn log2_parts(&self) -> (i64, u128) {
        let (mut high, mut low) = (0i128, 0i128);
        for (p, e) in &self.primes {
            let log = log2_fixed(*p);
            high += (log >> HALF_BITS) as i128 * i128::from(*e);
            low += (log & ((1 << HALF_BITS) - 1)) as i128 * i128::from(*e);
        }
        let high = high + (low >> HALF_BITS);
        let low = (low & ((1 << HALF_BITS) - 1)) as u128;
        let top = (high & ((1 << HALF_BITS) - 1)) as u128;
        let integer = (high >> HALF_BITS) as i64 + self.two;
        (integer, (top << HALF_BITS) | low)
    }

    fn combine(&self, other: &Self, sign: i64) -> Result<Self, ScaleError> {
        let mut result = self.clone();
        result.two = bounded(2, result.two, sign * other.two)?;
        for (p, e) in &other.primes {
            result.raise(*p, sign * e)?;
        }
        Ok(result)
    }

    /// Multiplies by p^exponent for a base known to be valid, keeping the normal form.
    fn raise(&mut self, p: u32, exponent: i64) -> Result<(), ScaleError> {
        match self.primes.binary_search_by_key(&p, |(prime, _)| *prime) {
            Ok(at) => match bounded(p, self.primes[at].1, exponent)? {
                0 => drop(self.primes.remove(at)),
                sum => self.primes[at].1 = sum,
            },
            Err(at) => match bounded(p, 0, exponent)? {
                0 => (),
                sum => self.primes.insert(at, (p, sum)),
            },
        }
        Ok(())
    }
}

/// `2^40` when it is a power of two, otherwise `2^40.0003` (log2 to four decimals).
impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.primes.is_empty() {
            write!(f, "2^{}", self.two)
        } else {
            write!(f, "2^{:.4}", self.log2())
        }
    }
}

fn bounded(base: u32, a: i64, b: i64) -> Result<i64, ScaleError> {
    let exponent = a.saturating_add(b);
    if exponent.unsigned_abs() > MAX_EXPONENT.unsigned_abs() {
        return Err(ScaleError::Exponent { base, exponent });
    }
    Ok(exponent)
}

/// floor(a b / 2^128).
fn mul_high(a: u128, b: u128) -> u128 {
    let mask = u128::from(u64::MAX);
    let (a1, a0, b1, b0) = (a >> 64, a & mask, b >> 64, b & mask);
    let (cross_a, cross_b) = (a0 * b1, a1 * b0);
    let carry = ((a0 * b0) >> 64) + (cross_a & mask) + (cross_b & mask);
    a1 * b1 + (cross_a >> 64) + (cross_b >> 64) + (carry >> 64)
}

/// log2(p) in units of 2^-120 (error below 2^-119): the integer part, then one bit for each squaring of the mantissa.
/// Zero for p = 0.
pub fn log2_fixed(p: u32) -> u128 {
    if p == 0 {
        return 0;
    }
    let mut mantissa = u128::from(p) << u128::from(p).leading_zeros();
    let mut log = u128::from(p.ilog2());
    for _ in 0..LOG2_FRACTION_BITS {
        let square = mul_high(mantissa, mantissa);
        let bit = square >> 127;
        mantissa = if bit == 1 { square } else { square << 1 };
        log = (log << 1) | bit;
    }
    log
}

/// 2^(fraction / 2^120) in units of 2^-127, for fraction < 2^120, as the product of 2^(2^-i) over its bits.
fn exp2_fixed(fraction: u128) -> u128 {
    static ROOTS: OnceLock<Vec<u128>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let unit = BigUint::from(1u32) << 127u32;
        let mut root = &unit * 2u32;
        (0..LOG2_FRACTION_BITS)
            .map(|_| {
                root = (&root * &unit).sqrt();
                root.iter_u64_digits()
                    .rev()
                    .fold(0, |value, digit| (value << 64) | u128::from(digit))
            })
            .collect()
    });
    let bits = fraction & FRACTION_MASK;
    roots.iter().enumerate().fold(1 << 127, |product, (i, root)| {
        if bits >> (LOG2_FRACTION_BITS as usize - 1 - i) & 1 == 1 {
            mul_high(product, *root) << 1
        } else {
            product
        }
    })
}

/// x 2^e with one rounding in the normal range; zero or infinity outside the range of f64.
pub(crate) fn times_power(x: f64, e: i64) -> f64 {
    let power = |e: i64| f64::from_bits(((e + 1023) as u64) << 52);
    let e = e.clamp(-2200, 2200);
    let (mut rest, mut value) = (e, x);
    while rest != 0 {
        let step = rest.clamp(-1022, 1023);
        value *= power(step);
        rest -= step;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PRIMES: [u32; 4] = [3, 12289, 268_369_921, 1_073_479_681];

    fn scale(two: i64, exponents: [i64; 4]) -> Scale {
        let start = Scale::pow2(0).times_pow2(two).unwrap();
        PRIMES
            .iter()
            .zip(exponents)
            .fold(start, |s, (p, e)| s.times_prime(*p, e).unwrap())
    }

    #[test]
    fn fixed_logarithm_has_known_digits() {
        // floor(log2(p) 2^120) by 120 exact squarings of a 400-bit mantissa in Python integers.
        for (p, want) in [
            (3u32, 2_106_776_528_227_830_709_928_956_833_162_496_941u128),
            (12289, 18_057_668_531_733_063_438_957_705_453_762_959_440),
        ] {
            assert!(log2_fixed(p).abs_diff(want) <= 4, "{p}: {}", log2_fixed(p));
        }
        assert_eq!(log2_fixed(1 << 20), 20 << 120);
    }

    #[test]
    fn bases_and_exponents_are_checked() {
        for p in [0, 1, 2, 9, 1 << 30, 1_073_741_827] {
            assert_eq!(Scale::pow2(3).times_prime(p, 1), Err(ScaleError::Base { p }));
        }
        let big = Scale::pow2(0).times_prime(3, MAX_EXPONENT).unwrap();
        assert!(matches!(big.mul(&big), Err(ScaleError::Exponent { base: 3, .. })));
        assert!(Scale::pow2(0).times_pow2(i64::MAX).is_err());
    }

    #[test]
    fn logarithm_survives_exponents_of_2_40() {
        // 3^(2^40) / 2^round(2^40 log2 3): the integer parts cancel, the fraction is that of 2^40 log2 3.
        let e = 1i64 << 40;
        let log = log2_fixed(3);
        let (whole, rest) = (log >> 80, (log & ((1 << 80) - 1)) as f64 / (1u128 << 80) as f64);
        let s = Scale::pow2(0)
            .times_prime(3, e)
            .unwrap()
            .times_pow2(-(whole as i64))
            .unwrap();
        assert!((s.log2() - rest).abs() < 1e-15);
        assert!((s.to_f64() / rest.exp2() - 1.0).abs() < 1e-15);
    }

    #[test]
    fn displays_and_converts() {
        assert_eq!(Scale::pow2(40).to_string(), "2^40");
        assert_eq!(Scale::pow2(40).to_f64(), (1u64 << 40) as f64);
        let (hi, lo) = scale(0, [1, 0, 0, 0]).to_parts();
        assert!(hi == 3.0 && lo.abs() < 2f64.powi(-100));
        assert_eq!(scale(0, [-1, 0, 0, 0]).to_string(), "2^-1.5850");
        assert_eq!(Scale::pow2(5000).to_f64(), f64::INFINITY);
        assert_eq!(Scale::pow2(-5000).to_f64(), 0.0);
        assert_eq!(Scale::pow2(-1070).to_f64(), f64::from_bits(1 << 4));
    }

    #[test]
    fn files_are_read_back_in_normal_form() {
        let s = scale(-7, [5, 0, -2, 1]);
        let text = serde_json::to_string(&s).unwrap();
        assert_eq!(serde_json::from_str::<Scale>(&text).unwrap(), s);
        let odd: Scale = serde_json::from_str(r#"{"two":4,"primes":{"3":0}}"#).unwrap();
        assert_eq!(odd, Scale::pow2(4));
        assert!(serde_json::from_str::<Scale>(r#"{"two":0,"primes":{"2":1}}"#).is_err());
    }

    proptest! {
        #[test]
        fn scales_are_an_abelian_group(
            a in (-99i64..99, prop::array::uniform4(-9i64..9)),
            b in (-99i64..99, prop::array::uniform4(-9i64..9)),
        ) {
            let (a, b) = (scale(a.0, a.1), scale(b.0, b.1));
            prop_assert_eq!(a.mul(&b).unwrap(), b.mul(&a).unwrap());
            prop_assert_eq!(a.mul(&b).unwrap().div(&b).unwrap(), a.clone());
            prop_assert_eq!(a.div(&a).unwrap(), Scale::default());
            prop_assert!((a.mul(&b).unwrap().log2() - a.log2() - b.log2()).abs() < 1e-12);
        }

        #[test]
        fn both_parts_equal_the_product_of_integers(exponents in prop::array::uniform4(0i64..2)) {
            let exact = PRIMES.iter().zip(exponents).map(|(p, e)| u128::from(*p).pow(e as u32)).product::<u128>();
            let (hi, lo) = scale(0, exponents).to_parts();
            prop_assert_eq!(hi, exact as f64);
            let rest = exact as i128 - hi as i128;
            prop_assert!((lo - rest as f64).abs() <= exact as f64 * 2f64.powi(-100));
        }
    }
}
