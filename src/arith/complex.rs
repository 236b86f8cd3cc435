//! Complex numbers: slots as users see them ([`Complex`]), and the working form of the transform over f64 or
//! double-double numbers.
//!
//! Products are (a.re b.re - a.im b.im, a.re b.im + a.im b.re) in this order, without contraction.

use std::ops::{Add, Mul, Neg, Sub};

use super::double::Double;

/// A complex number re + i im, laid out as two consecutive f64.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Complex {
    /// Real part.
    pub re: f64,
    /// Imaginary part.
    pub im: f64,
}

impl Complex {
    /// re + i im.
    pub const fn new(re: f64, im: f64) -> Self {
        Self { re, im }
    }

    /// re - i im.
    pub const fn conj(self) -> Self {
        Self::new(self.re, -self.im)
    }

    /// sqrt(re^2 + im^2), without overflow in between.
    pub fn abs(self) -> f64 {
        self.re.hypot(self.im)
    }

    /// Whether both parts are neither infinite nor not-a-number.
    pub const fn is_finite(self) -> bool {
        self.re.is_finite() && self.im.is_finite()
    }
}

impl From<f64> for Complex {
    fn from(re: f64) -> Self {
        Self::new(re, 0.0)
    }
}

impl Add for Complex {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self::new(self.re + other.re, self.im + other.im)
    }
}

impl Sub for Complex {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self::new(self.re - other.re, self.im - other.im)
    }
}

impl Mul for Complex {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self::new(
            self.re * other.re - self.im * other.im,
            self.re * other.im + self.im * other.re,
        )
    }
}

impl Neg for Complex {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self::new(-self.re, -self.im)
    }
}

/// What the transform needs of a real number type.
pub(crate) trait Real: Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> {
    /// The number x, exactly.
    fn from_f64(x: f64) -> Self;
    /// The double-double number rounded to this type.
    fn from_double(x: Double) -> Self;
    /// The nearest f64.
    fn to_f64(self) -> f64;
    /// The nearest integer, halves away from zero; for magnitudes below 2^`W::BOUND_LOG2`.
    fn whole<W: Whole>(self) -> W;
}

/// An integer type that coefficients are rounded to.
pub(crate) trait Whole: Copy {
    /// 0.
    const ZERO: Self;
    /// Magnitudes from 2^BOUND_LOG2 on are refused.
    const BOUND_LOG2: u32;
    /// The nearest integer, halves away from zero.
    fn round(x: f64) -> Self;
    /// The value, which must fit.
    fn narrow(x: i128) -> Self;
}

impl Whole for i64 {
    const ZERO: Self = 0;
    const BOUND_LOG2: u32 = 62;

    #[inline(always)]
    fn round(x: f64) -> Self {
        // The truncation and the difference are exact; `f64::round` is a library call on a plain x86-64.
        let whole = x as i64;
        let rest = x - whole as f64;
        whole + i64::from(rest >= 0.5) - i64::from(rest <= -0.5)
    }

    #[inline(always)]
    fn narrow(x: i128) -> Self {
        x as i64
    }
}

impl Whole for i128 {
    const ZERO: Self = 0;
    const BOUND_LOG2: u32 = 120;

    #[inline(always)]
    fn round(x: f64) -> Self {
        x.round() as i128
    }

    #[inline(always)]
    fn narrow(x: i128) -> Self {
        x
    }
}

impl Real for f64 {
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x
    }

    #[inline(always)]
    fn from_double(x: Double) -> Self {
        x.hi
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn whole<W: Whole>(self) -> W {
        W::round(self)
    }
}

impl Real for Double {
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        Self::from_f64(x)
    }

    #[inline(always)]
    fn from_double(x: Double) -> Self {
        x
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self.hi
    }

    #[inline(always)]
    fn whole<W: Whole>(self) -> W {
        W::narrow(self.to_i128())
    }
}

/// A complex number over f64 or [`Double`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pair<R> {
    pub(crate) re: R,
    pub(crate) im: R,
}

impl<R: Real> Pair<R> {
    #[inline(always)]
    pub(crate) fn add(self, other: Self) -> Self {
        Self {
            re: self.re + other.re,
            im: self.im + other.im,
        }
    }

    #[inline(always)]
    pub(crate) fn sub(self, other: Self) -> Self {
        Self {
            re: self.re - other.re,
            im: self.im - other.im,
        }
    }

    /// self times other.
    #[inline(always)]
    pub(crate) fn mul(self, other: Self) -> Self {
        Self {
            re: self.re * other.re - self.im * other.im,
            im: self.re * other.im + self.im * other.re,
        }
    }

    /// self times the conjugate of other: the same products, the signs of the two with `other.im` reversed.
    #[inline(always)]
    pub(crate) fn mul_conj(self, other: Self) -> Self {
        Self {
            re: self.re * other.re + self.im * other.im,
            im: self.im * other.re - self.re * other.im,
        }
    }
}

impl<R: Real> From<Complex> for Pair<R> {
    #[inline(always)]
    fn from(z: Complex) -> Self {
        Self {
            re: R::from_f64(z.re),
            im: R::from_f64(z.im),
        }
    }
}

impl<R: Real> From<Pair<R>> for Complex {
    #[inline(always)]
    fn from(z: Pair<R>) -> Self {
        Self::new(z.re.to_f64(), z.im.to_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fast_rounding_is_half_away_from_zero(x in -4.0e18f64..4.0e18, k in 0u32..70, halves in -1_000_000i64..1_000_000) {
            for x in [x / 2f64.powi(k as i32), halves as f64 / 2.0, (halves as f64 / 2.0).next_down()] {
                prop_assert_eq!(<i64 as Whole>::round(x), x.round() as i64);
            }
        }

        #[test]
        fn both_forms_multiply_alike(a in -9.0f64..9.0, b in -9.0f64..9.0, c in -9.0f64..9.0, d in -9.0f64..9.0) {
            let (x, y) = (Complex::new(a, b), Complex::new(c, d));
            let pair = |z: Complex| Pair::<f64>::from(z);
            prop_assert_eq!(Complex::from(pair(x).mul(pair(y))), x * y);
            prop_assert_eq!(Complex::from(pair(x).mul_conj(pair(y))), x * y.conj());
            prop_assert_eq!(Complex::from(pair(x).add(pair(y))), x + y);
            prop_assert_eq!(Complex::from(pair(x).sub(pair(y))), x - y);
        }
    }
}
