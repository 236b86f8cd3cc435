//! The polynomials of the modular reduction.

use crate::circuit::{Basis, Interval, Polynomial, Result};

/// p(u) with p(2 y^2 - 1) = cos(2 pi bound y / 2^r) for |y| <= 1, by interpolation in Chebyshev's basis, and its largest error on a
/// fine grid.
pub(super) fn cosine(bound: f64, double_angles: u32, degree: usize) -> Result<(Polynomial, f64)> {
    let angle = std::f64::consts::TAU * bound / f64::from(double_angles).exp2();
    let f = |u: f64| (angle * ((1.0 + u) / 2.0).max(0.0).sqrt()).cos();
    let coefficients = interpolate(f, degree);
    let p = Polynomial::chebyshev(Interval::UNIT, &coefficients)?;
    let grid = (0..=4000).map(|i| (std::f64::consts::PI * f64::from(i) / 4000.0).cos());
    let error = grid
        .map(|u| (chebyshev_value(&coefficients, u) - f(u)).abs())
        .fold(0.0, f64::max);
    Ok((p, error))
}

/// The odd polynomial of a degree that is nearest to arcsin on |s| <= most, by interpolation of arcsin(s) / s in s^2, and its
/// largest error relative to s.
pub(super) fn arcsine(most: f64, degree: usize) -> Result<(Polynomial, f64)> {
    let terms = degree.div_ceil(2).max(1);
    let square = most * most;
    // Chebyshev in v, s^2 = most^2 (1 + v) / 2, then to powers of s^2.
    let g = |t: f64| {
        if t < 1e-12 {
            1.0 + t / 6.0
        } else {
            t.sqrt().asin() / t.sqrt()
        }
    };
    let of = |v: f64| g(square * (1.0 + v) / 2.0);
    let chebyshev = interpolate(of, terms - 1);
    let powers = to_powers(&chebyshev, square);
    let mut odd = vec![0.0; 2 * terms];
    for (i, c) in powers.iter().enumerate() {
        if let Some(slot) = odd.get_mut(2 * i + 1) {
            *slot = *c;
        }
    }
    let p = Polynomial::complex(
        Basis::Monomial,
        Interval::UNIT,
        &odd.iter().map(|c| (*c).into()).collect::<Vec<_>>(),
    )?;
    let value = |s: f64| odd.iter().rev().fold(0.0, |sum, c| sum * s + c);
    let grid = (1..=1000).map(|i| most * f64::from(i) / 1000.0);
    let error = grid
        .map(|s| ((value(s) - s.asin()) / s).abs())
        .fold(0.0, f64::max);
    Ok((p, error))
}

/// Coefficients of the interpolant at the degree + 1 Chebyshev nodes.
fn interpolate(f: impl Fn(f64) -> f64, degree: usize) -> Vec<f64> {
    let n = degree + 1;
    let angle = |i: usize| std::f64::consts::PI * (i as f64 + 0.5) / n as f64;
    let values: Vec<f64> = (0..n).map(|i| f(angle(i).cos())).collect();
    let coefficient = |k: usize| {
        let sum: f64 = (0..n)
            .zip(&values)
            .map(|(i, v)| v * (k as f64 * angle(i)).cos())
            .sum();
        sum * if k == 0 { 1.0 } else { 2.0 } / n as f64
    };
    (0..n).map(coefficient).collect()
}

/// sum c_k T_k(u), by Clenshaw.
fn chebyshev_value(c: &[f64], u: f64) -> f64 {
    let (mut b1, mut b2) = (0.0, 0.0);
    for c in c.iter().skip(1).rev() {
        (b1, b2) = (c + 2.0 * u * b1 - b2, b1);
    }
    c.first().copied().unwrap_or(0.0) + u * b1 - b2
}

/// sum c_k T_k(2 t / width - 1) as coefficients of t^i.
fn to_powers(c: &[f64], width: f64) -> Vec<f64> {
    let times = |p: &[f64]| -> Vec<f64> {
        // (2 t / width - 1) p(t)
        let up = std::iter::once(0.0).chain(p.iter().map(|x| 2.0 * x / width));
        let same = p.iter().copied().chain(std::iter::once(0.0));
        up.zip(same).map(|(a, b)| a - b).collect()
    };
    let (mut before, mut last) = (vec![1.0], times(&[1.0]));
    let mut sum = vec![0.0; c.len().max(1)];
    for (k, c) in c.iter().enumerate() {
        let t = if k == 0 { &before } else { &last };
        sum.iter_mut().zip(t).for_each(|(s, t)| *s += c * t);
        if k > 0 {
            let double: Vec<f64> = times(&last).iter().map(|x| 2.0 * x).collect();
            let padded = before.iter().copied().chain(std::iter::repeat(0.0));
            let next: Vec<f64> = double.iter().zip(padded).map(|(a, b)| a - b).collect();
            before = std::mem::replace(&mut last, next);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_is_exact_to_the_stated_error() {
        let (_, error) = cosine(16.25, 2, 31).unwrap();
        assert!(error < 2f64.powi(-45), "{error:e}");
        // Fewer double angles need more, more need less.
        assert!(cosine(16.25, 3, 15).unwrap().1 < 2f64.powi(-20));
        // What rounding u costs is angle^2 / 4 = 650 roundings: 2^-43.
        assert!(cosine(16.25, 1, 63).unwrap().1 < 2f64.powi(-42));
        assert!(cosine(16.25, 2, 15).unwrap().1 > 0.001);
    }

    #[test]
    fn the_arcsine_is_better_than_its_series() {
        let most = std::f64::consts::TAU / 32.0;
        for (degree, bits) in [(1, 6.0), (3, 14.0), (5, 21.0), (7, 28.0)] {
            let (p, error) = arcsine(most, degree).unwrap();
            assert_eq!(p.degree(), degree);
            assert!(error.log2() < -bits, "{degree}: 2^{}", error.log2());
            let worst = (1..50)
                .map(|i| most * f64::from(i) / 50.0)
                .map(|s| (p.value(s) - s.asin()).abs() / s);
            assert!(worst.fold(0.0, f64::max) <= error * 1.01);
        }
    }
}
