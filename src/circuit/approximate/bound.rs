//! Bounds on the error of an approximation.
//!
//! For a polynomial e of degree n on an interval and a grid of M + 1 extremal points of T_M, M > n (Ehlich and Zeller, Math. Z. 86,
//! 1964):
//!
//! ```text
//! max |e| <= max over the grid of |e| / cos(pi n / 2M)
//! ```
//!
//! An error p - f is a polynomial of degree n, but for the tail of its Chebyshev series beyond n, which is added. That n is found by
//! doubling, until the upper half of the series is rounding; M is 16 n and at least 8192, so that the factor is at most 1.005. Where
//! no n up to 2048 is enough (kinks, poles nearby, long compositions), extrema are searched: each local maximum on a grid of 8193
//! points an interval, refined by golden section.

use crate::circuit::{Interval, Polynomial, Result};

/// What a coefficient of the tail may be, relative to the values that were subtracted: rounding.
const ROUNDING: f64 = 1e-15;
const MOST_DEGREE: usize = 2048;
const LEAST_POINTS: usize = 8192;
const OVERSAMPLING: usize = 16;

/// How a bound was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase", tag = "method")]
pub enum Certificate {
    /// The largest error on a grid of Chebyshev points, times the factor that makes it a bound for polynomials of this degree.
    Grid {
        /// The degree up to which the error is resolved.
        degree: usize,
        /// Points of the grid.
        points: usize,
    },
    /// The largest of all local extrema found on a grid of this many points, each refined.
    Search {
        /// Points of the grid.
        points: usize,
    },
}

/// A polynomial and how far it is from a function.
#[derive(Clone, Debug)]
pub struct Approximation {
    /// The polynomial.
    pub polynomial: Polynomial,
    /// Bound on the largest error, weighted as the approximation was.
    pub error: f64,
    /// How the bound was found.
    pub certificate: Certificate,
}

impl Approximation {
    /// With the bound of its error |p - f| on its interval.
    pub fn new(polynomial: Polynomial, f: impl Fn(f64) -> f64) -> Result<Self> {
        let interval = polynomial.interval();
        let magnitude = largest_magnitude(interval, &f);
        let (error, certificate) = bound_on(interval, magnitude, |x| polynomial.value(x) - f(x));
        Ok(Self {
            polynomial,
            error,
            certificate,
        })
    }
}

/// A bound on |e| on an interval; e is a difference of numbers up to `magnitude`.
pub(crate) fn bound_on(interval: Interval, magnitude: f64, e: impl Fn(f64) -> f64) -> (f64, Certificate) {
    if let Some((degree, tail)) = resolved_degree(interval, magnitude, &e) {
        let points = LEAST_POINTS.max(OVERSAMPLING * degree);
        let largest = interval
            .points(points + 1)
            .map(|x| e(x).abs())
            .fold(0.0, largest_of);
        let factor = (std::f64::consts::PI * degree as f64 / (2 * points) as f64).cos();
        let points = points + 1;
        return (largest / factor + tail, Certificate::Grid { degree, points });
    }
    let points = LEAST_POINTS + 1;
    let error = extrema(interval, points, &e).into_iter().map(|(_, y)| y.abs());
    (error.fold(0.0, largest_of), Certificate::Search { points })
}

/// The largest |f| on a few points.
pub(crate) fn largest_magnitude(interval: Interval, f: impl Fn(f64) -> f64) -> f64 {
    interval.points(65).map(|x| f(x).abs()).fold(0.0, largest_of)
}

/// The larger; not-a-number stays.
fn largest_of(a: f64, b: f64) -> f64 {
    if b.is_nan() || b > a { b } else { a }
}

/// The least power of two n for which the upper half of the series of e is rounding, and what it leaves.
fn resolved_degree(interval: Interval, magnitude: f64, e: &impl Fn(f64) -> f64) -> Option<(usize, f64)> {
    let mut n = 32;
    while n <= MOST_DEGREE {
        let c = super::interpolate::series(interval, n, e);
        let tail: f64 = c.get(n / 2..).unwrap_or_default().iter().map(|c| c.abs()).sum();
        if tail <= ROUNDING * magnitude * n as f64 {
            return Some((n, tail));
        }
        n *= 2;
    }
    None
}

/// The local extrema of e on an interval, ends included: positions and values, ascending.
pub(super) fn extrema(interval: Interval, points: usize, e: &impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    let grid: Vec<(f64, f64)> = interval.points(points).map(|x| (x, e(x))).collect();
    let mut found = Vec::new();
    for i in 0..grid.len() {
        let at = |j: usize| grid.get(j).copied();
        let Some((x, y)) = at(i) else { continue };
        let (left, right) = (i.checked_sub(1).and_then(at), at(i + 1));
        let above = |other: Option<(f64, f64)>| other.is_none_or(|(_, z)| y >= z);
        let below = |other: Option<(f64, f64)>| other.is_none_or(|(_, z)| y <= z);
        if (above(left) && above(right)) || (below(left) && below(right)) {
            found.push(match (left, right) {
                (Some((a, _)), Some((b, _))) => refine(a, b, (x, y), y > 0.0, e),
                _ => (x, y),
            });
        }
    }
    found
}

/// Golden section between a and b for the largest value, or the smallest; never worse than what was known.
fn refine(mut a: f64, mut b: f64, known: (f64, f64), up: bool, e: &impl Fn(f64) -> f64) -> (f64, f64) {
    const GOLDEN: f64 = 0.618_033_988_749_894_8;
    let value = |x: f64| if up { e(x) } else { -e(x) };
    let (mut c, mut d) = (b - GOLDEN * (b - a), a + GOLDEN * (b - a));
    let (mut at_c, mut at_d) = (value(c), value(d));
    for _ in 0..40 {
        if at_c > at_d {
            (b, d, at_d) = (d, c, at_c);
            c = b - GOLDEN * (b - a);
            at_c = value(c);
        } else {
            (a, c, at_c) = (c, d, at_d);
            d = a + GOLDEN * (b - a);
            at_d = value(d);
        }
    }
    let x = (a + b) / 2.0;
    if value(x) > value(known.0) {
        (x, e(x))
    } else {
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_and_are_tight() {
        let unit = Interval::UNIT;
        let t = |n: f64| move |x: f64| 0.5 * (n * x.clamp(-1.0, 1.0).acos()).cos();
        for n in [3.0, 17.0, 100.0] {
            let (bound, certificate) = bound_on(unit, 1.0, t(n));
            assert!((0.5..0.503).contains(&bound), "{n}: {bound}");
            assert!(matches!(certificate, Certificate::Grid { .. }));
        }
        let (bound, certificate) = bound_on(unit, 1.0, |x: f64| 1.0 - (x - 0.123456789).abs());
        assert!((bound - 1.0).abs() < 1e-9, "{bound}");
        assert!(matches!(certificate, Certificate::Search { .. }));
    }

    #[test]
    fn extrema_are_refined() {
        let all = extrema(Interval::symmetric(4.0).unwrap(), 200, &|x: f64| x.sin());
        let inner: Vec<f64> = all.iter().map(|(x, _)| *x).filter(|x| x.abs() < 3.9).collect();
        assert_eq!(inner.len(), 2);
        assert!((inner[1] - std::f64::consts::FRAC_PI_2).abs() < 1e-6);
    }
}
