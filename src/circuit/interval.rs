//! Intervals of real numbers, and the change of variable to [-1, 1].
//!
//! u = (x - centre) / half. A ciphertext of x - centre at scale s is one of u at scale s half: when half is a rational of few
//! bits, the division is exact and costs nothing. An interval is therefore the least one around the given ends whose half-width
//! has at most 24 significant bits; the usual ones are left as they are.

use super::{CircuitError, Result};
use crate::ring::Scale;

/// Significant bits of a half-width: its odd part is below 2^24, and so are the primes of the exact scale.
const HALF_BITS: u32 = 24;

/// An interval [centre - half, centre + half].
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Interval {
    centre: f64,
    half: f64,
}

impl Interval {
    /// [-1, 1].
    pub const UNIT: Self = Self {
        centre: 0.0,
        half: 1.0,
    };

    /// [0, 1].
    pub const UPPER: Self = Self {
        centre: 0.5,
        half: 0.5,
    };

    /// The least interval with a half-width of 24 bits that contains both ends.
    ///
    /// # Errors
    /// [`CircuitError::Interval`] unless both ends are finite, and low < high.
    pub fn new(low: f64, high: f64) -> Result<Self> {
        let centre = low / 2.0 + high / 2.0;
        let width = (high - centre).max(centre - low);
        // Not-a-number is in no range.
        if !(1e-300..1e300).contains(&width) {
            return Err(CircuitError::Interval { low, high });
        }
        let unit = (width.log2().floor() + 1.0 - f64::from(HALF_BITS)).exp2();
        let half = (width / unit).ceil() * unit;
        Ok(Self { centre, half })
    }

    /// [-half, half], widened as [`new`](Self::new) does.
    pub fn symmetric(half: f64) -> Result<Self> {
        Self::new(-half, half)
    }

    /// The lower end.
    pub fn low(self) -> f64 {
        self.centre - self.half
    }

    /// The upper end.
    pub fn high(self) -> f64 {
        self.centre + self.half
    }

    /// The middle.
    pub fn centre(self) -> f64 {
        self.centre
    }

    /// Half the width.
    pub fn half(self) -> f64 {
        self.half
    }

    /// (x - centre) / half.
    pub fn to_unit(self, x: f64) -> f64 {
        (x - self.centre) / self.half
    }

    /// centre + half u.
    pub fn from_unit(self, u: f64) -> f64 {
        self.centre + self.half * u
    }

    /// Whether x is inside, but for `slack` times the width.
    pub fn contains(self, x: f64, slack: f64) -> bool {
        (x - self.centre).abs() <= self.half * (1.0 + slack)
    }

    /// The largest |x| inside.
    pub fn magnitude(self) -> f64 {
        self.centre.abs() + self.half
    }

    /// `count` points of the interval, ends included, dense towards the ends as extremal points of Chebyshev polynomials are.
    pub fn points(self, count: usize) -> impl Iterator<Item = f64> {
        let last = count.saturating_sub(1).max(1) as f64;
        (0..count).map(move |i| self.from_unit(-(std::f64::consts::PI * i as f64 / last).cos()))
    }

    /// The half-width as an exact scale.
    pub(super) fn half_scale(self) -> Result<Scale> {
        let exponent = self.half.log2().floor() as i64 + 1 - i64::from(HALF_BITS);
        let mut odd = (self.half * (-exponent as f64).exp2()) as u32;
        let mut scale = Scale::pow2(0).times_pow2(exponent + i64::from(odd.trailing_zeros()))?;
        odd >>= odd.trailing_zeros();
        let mut p = 3;
        while p * p <= odd {
            while odd.is_multiple_of(p) {
                scale = scale.times_prime(p, 1)?;
                odd /= p;
            }
            p += 2;
        }
        if odd > 1 {
            scale = scale.times_prime(odd, 1)?;
        }
        Ok(scale)
    }
}

/// Six significant digits: what widening adds is not shown.
impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short = |x: f64| format!("{x:.5e}").parse().unwrap_or(x);
        write!(f, "[{}, {}]", short(self.low()), short(self.high()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn faults_are_typed() {
        for (low, high) in [(1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
            let error = Interval::new(low, high).unwrap_err();
            assert!(matches!(error, CircuitError::Interval { .. }), "{error}");
        }
    }

    #[test]
    fn usual_intervals_are_left_alone() {
        for (low, high) in [(-1.0, 1.0), (-8.0, 8.0), (0.0, 100.0), (-3.25, 7.5), (0.0, 1.0)] {
            let interval = Interval::new(low, high).unwrap();
            assert_eq!((interval.low(), interval.high()), (low, high));
        }
        assert_eq!(Interval::new(0.9, 1.0).unwrap().to_string(), "[0.9, 1]");
    }

    proptest! {
        #[test]
        fn half_widths_are_exact_scales(low in -1e6f64..1e6, width in 1e-9f64..1e9) {
            let interval = Interval::new(low, low + width).unwrap();
            prop_assert!(interval.low() <= low && interval.high() >= low + width - 1e-9 * width);
            prop_assert!(interval.half() <= width * 0.5000001 + low.abs() * 1e-15);
            prop_assert_eq!(interval.half_scale().unwrap().to_f64(), interval.half());
        }
    }
}
