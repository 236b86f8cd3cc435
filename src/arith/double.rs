//! Double-double numbers: an unevaluated sum hi + lo of two f64 with |lo| <= ulp(hi) / 2, about 106 bits.
//!
//! Error-free transforms of Dekker (Numer. Math. 18, 1971) and Knuth (TAOCP 2, 4.2.2), combined as by Hida,
//! Li and Bailey (ARITH-15, 2001). Products are split by hand: nothing is fused or contracted, so a result is
//! the same on every machine with IEEE arithmetic rounding to nearest. Magnitudes must stay below 2^996
//! (splitting overflows above, and the result is then not a number).

use std::ops::{Add, Div, Mul, Neg, Sub};

/// The number hi + lo, normalised: hi is the f64 nearest to the sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Double {
    /// The leading part.
    pub hi: f64,
    /// The remainder, at most half a unit in the last place of `hi`.
    pub lo: f64,
}

/// 1/k! for k < 32: the Taylor terms of sine and cosine below pi/4 beyond these are less than 2^-118.
const INVERSE_FACTORIALS: [Double; 32] = {
    let mut table = [Double::ONE; 32];
    let mut k = 1;
    while k < table.len() {
        table[k] = quotient(table[k - 1], Double::from_f64(k as f64));
        k += 1;
    }
    table
};

/// a + b = s + e exactly, s the rounded sum (Knuth; any order of magnitudes).
const fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let s = a + b;
    let t = s - a;
    (s, (a - (s - t)) + (b - t))
}

/// a + b = s + e exactly for |a| >= |b| (Dekker).
const fn quick_two_sum(a: f64, b: f64) -> Double {
    let s = a + b;
    Double {
        hi: s,
        lo: b - (s - a),
    }
}

/// a = high + low exactly, each of at most 26 bits (Veltkamp).
const fn split(a: f64) -> (f64, f64) {
    let t = Double::SPLITTER * a;
    let high = t - (t - a);
    (high, a - high)
}

/// a b = p + e exactly, p the rounded product (Dekker).
const fn two_product(a: f64, b: f64) -> (f64, f64) {
    let p = a * b;
    let ((ah, al), (bh, bl)) = (split(a), split(b));
    (p, ((ah * bh - p) + ah * bl + al * bh) + al * bl)
}

/// a + b with relative error below 2^-104, cancellation included.
const fn sum(a: Double, b: Double) -> Double {
    let (s, e) = two_sum(a.hi, b.hi);
    let (t, f) = two_sum(a.lo, b.lo);
    let first = quick_two_sum(s, e + t);
    quick_two_sum(first.hi, first.lo + f)
}

const fn negative(a: Double) -> Double {
    Double { hi: -a.hi, lo: -a.lo }
}

/// a b with relative error below 2^-102.
const fn product(a: Double, b: Double) -> Double {
    let (p, e) = two_product(a.hi, b.hi);
    quick_two_sum(p, e + (a.hi * b.lo + a.lo * b.hi))
}

const fn product_f64(a: Double, b: f64) -> Double {
    let (p, e) = two_product(a.hi, b);
    quick_two_sum(p, e + a.lo * b)
}

/// a / b by long division in three f64 digits, relative error below 2^-101.
const fn quotient(a: Double, b: Double) -> Double {
    let first = a.hi / b.hi;
    let rest = sum(a, negative(product_f64(b, first)));
    let second = rest.hi / b.hi;
    let rest = sum(rest, negative(product_f64(b, second)));
    let third = rest.hi / b.hi;
    sum(quick_two_sum(first, second), Double::from_f64(third))
}

impl Double {
    /// 0.
    pub const ZERO: Self = Self { hi: 0.0, lo: 0.0 };
    /// 1.
    pub const ONE: Self = Self { hi: 1.0, lo: 0.0 };
    /// 2^27 + 1: splits a 53-bit significand into two of 26 bits.
    pub(crate) const SPLITTER: f64 = 134_217_729.0;
    /// pi / 4 to 2^-107.
    const QUARTER_PI: Self = Self {
        hi: std::f64::consts::FRAC_PI_4,
        lo: 3.061_616_997_868_383e-17,
    };

    /// The number x, exactly.
    pub const fn from_f64(x: f64) -> Self {
        Self { hi: x, lo: 0.0 }
    }

    /// The integer x, exactly up to 2^106 and to the nearest representable sum above.
    pub const fn from_i128(x: i128) -> Self {
        let hi = x as f64;
        // The cast back saturates only at 2^127, where the remainder is below the 106th bit.
        let lo = (x - hi as i128) as f64;
        quick_two_sum(hi, lo)
    }

    /// The f64 nearest to the number.
    pub const fn to_f64(self) -> f64 {
        self.hi
    }

    /// The nearest integer, halves away from zero. For |x| < 2^126; larger values saturate, not-a-number
    /// gives 0.
    pub fn to_i128(self) -> i128 {
        if self.hi < 0.0 || (self.hi == 0.0 && self.lo < 0.0) {
            return -(-self).to_i128();
        }
        // hi = whole + r with 0 <= r < 1 and lo = t' + t with |t| < 1; all four are exact.
        let whole = self.hi.floor();
        let (r, t) = (self.hi - whole, self.lo - self.lo.trunc());
        // r + t in (-1, 2) is compared exactly with the three midpoints.
        let (s, e) = two_sum(r, t);
        let at_least = |bound: f64| s > bound || (s == bound && e >= 0.0);
        let up = if at_least(1.5) {
            2
        } else if at_least(0.5) {
            1
        } else if at_least(-0.5) || s.is_nan() {
            0
        } else {
            -1
        };
        (whole as i128).saturating_add(self.lo.trunc() as i128 + up)
    }

    /// x b for an f64 b.
    pub const fn mul_f64(self, b: f64) -> Self {
        product_f64(self, b)
    }

    /// 2^exponent x, exactly unless it leaves the range of f64 (|exponent| <= 1022).
    pub fn ldexp(self, exponent: i32) -> Self {
        let power = f64::from_bits(((exponent.clamp(-1022, 1022) + 1023) as u64) << 52);
        Self {
            hi: self.hi * power,
            lo: self.lo * power,
        }
    }

    /// Whether the number is neither infinite nor not-a-number.
    pub const fn is_finite(self) -> bool {
        self.hi.is_finite() && self.lo.is_finite()
    }

    /// (cos, sin) of the angle 2 pi j / m, m > 0 (0 counts as 1), absolute error below 2^-102.
    ///
    /// The angle is reduced to [0, pi/4] in integers; equal fractions with m a power of two give equal bits.
    pub fn cos_sin_turn(j: u64, m: u64) -> (Self, Self) {
        let m = u128::from(m.max(1));
        let eighths = 8 * (u128::from(j) % m);
        let (octant, r) = (eighths / m, eighths % m);
        let reflected = octant % 2 == 1;
        let part = if reflected { m - r } else { r };
        // Both are below 2^64, so the conversions are exact.
        let fraction = Self::from_i128(part as i128) / Self::from_i128(m as i128);
        let (mut c, mut s) = taylor_cos_sin(fraction * Self::QUARTER_PI);
        if reflected {
            (c, s) = (s, c);
        }
        match octant / 2 {
            0 => (c, s),
            1 => (-s, c),
            2 => (-c, -s),
            _ => (s, -c),
        }
    }
}

/// (cos x, sin x) for 0 <= x <= pi/4 by 16 Taylor terms each, Horner's rule in x^2.
fn taylor_cos_sin(x: Double) -> (Double, Double) {
    let square = -(x * x);
    let (mut c, mut s) = (Double::ZERO, Double::ZERO);
    for pair in INVERSE_FACTORIALS.chunks_exact(2).rev() {
        c = c * square + pair[0];
        s = s * square + pair[1];
    }
    (c, s * x)
}

impl Add for Double {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        sum(self, other)
    }
}

impl Sub for Double {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        sum(self, negative(other))
    }
}

impl Mul for Double {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        product(self, other)
    }
}

impl Div for Double {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        quotient(self, other)
    }
}

impl Neg for Double {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        negative(self)
    }
}

impl From<f64> for Double {
    fn from(x: f64) -> Self {
        Self::from_f64(x)
    }
}

impl From<i128> for Double {
    fn from(x: i128) -> Self {
        Self::from_i128(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn double(hi: f64, lo: f64) -> Double {
        Double { hi, lo }
    }

    /// |a - b| / 2^-exponent.
    fn distance(a: Double, b: Double, exponent: i32) -> f64 {
        (a - b).ldexp(exponent).hi.abs()
    }

    #[test]
    fn cosine_and_sine_have_104_bits() {
        // mpmath, 400 bits: hi = float(x), lo = float(x - hi).
        let cases = [
            (
                1,
                16,
                0.9238795325112867,
                1.7645047084336677e-17,
                0.3826834323650898,
                -1.0050772696461588e-17,
            ),
            (
                3,
                7,
                -0.9009688679024191,
                1.9762646853069492e-17,
                0.4338837391175581,
                7.407189078946677e-20,
            ),
            (
                5,
                131072,
                0.9999999712756709,
                -4.144420816547445e-17,
                0.00023968449581220595,
                1.083040218712119e-20,
            ),
            (
                100000,
                131072,
                0.08121144680959244,
                -4.943700940159613e-18,
                -0.9966968952028961,
                1.6781193546045198e-17,
            ),
            (1, 3, -0.5, 0.0, 0.8660254037844386, 5.0175421109034514e-17),
        ];
        for (j, m, ch, cl, sh, sl) in cases {
            let (c, s) = Double::cos_sin_turn(j, m);
            assert_eq!((c.hi, s.hi), (ch, sh), "{j}/{m}");
            assert!(
                distance(c, double(ch, cl), 104) < 1.0 && distance(s, double(sh, sl), 104) < 1.0,
                "{j}/{m}"
            );
        }
    }

    #[test]
    fn turns_on_the_axes_are_exact_and_equal_fractions_equal() {
        let (zero, one) = (Double::ZERO, Double::ONE);
        assert_eq!(Double::cos_sin_turn(0, 4), (one, zero));
        assert_eq!(Double::cos_sin_turn(1, 4), (zero, one));
        assert_eq!(Double::cos_sin_turn(2, 4), (-one, zero));
        assert_eq!(Double::cos_sin_turn(3, 4), (zero, -one));
        for j in 0..64 {
            assert_eq!(
                Double::cos_sin_turn(j, 64),
                Double::cos_sin_turn((j + 64) << 20, 64 << 20)
            );
        }
    }

    #[test]
    fn integers_round_halves_away_from_zero() {
        let cases = [
            (double(0.5, 0.0), 1),
            (double(0.5, -1e-30), 0),
            (double(1.5, 0.0), 2),
            (double(2.5, -1e-25), 2),
            (double(-0.5, 0.0), -1),
            (double(-0.5, 1e-30), 0),
            (double(-2.5, 0.0), -3),
            (double(1.0, -1e-30), 1),
            (double((1u64 << 60) as f64, -0.5), 1 << 60),
            (double((1u64 << 60) as f64, -0.75), (1 << 60) - 1),
            (double((1u64 << 60) as f64, 2.5), (1 << 60) + 3),
            (double(-((1u64 << 60) as f64), 0.5), -(1 << 60)),
            (double(-((1u64 << 60) as f64), -0.5), -(1 << 60) - 1),
            (double(0.49999999999999994, 0.0), 0),
            (double(f64::NAN, 0.0), 0),
        ];
        for (x, want) in cases {
            assert_eq!(x.to_i128(), want, "{x:?}");
        }
    }

    proptest! {
        #[test]
        fn integers_survive(x in -(1i128 << 105)..1i128 << 105) {
            prop_assert_eq!(Double::from_i128(x).to_i128(), x);
        }

        #[test]
        fn ring_operations_are_exact_on_integers(a in -(1i128 << 52)..1i128 << 52, b in -(1i128 << 50)..1i128 << 50) {
            let (x, y) = (Double::from_i128(a), Double::from_i128(b));
            prop_assert_eq!((x * y).to_i128(), a * b);
            prop_assert_eq!((x + y).to_i128(), a + b);
            prop_assert_eq!((x - y).to_i128(), a - b);
            prop_assert_eq!(x.mul_f64(b as f64).to_i128(), a * b);
            let z = Double::from_i128(a * b);
            if b != 0 {
                prop_assert_eq!((z / y).to_i128(), a);
            }
        }

        #[test]
        fn squares_of_cosine_and_sine_sum_to_one(j in any::<u64>(), m in 1u64..) {
            let (c, s) = Double::cos_sin_turn(j, m);
            prop_assert!(distance(c * c + s * s, Double::ONE, 100) < 1.0);
        }
    }
}
