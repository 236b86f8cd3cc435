//! Interpolation in Chebyshev nodes: within a factor of 1 + (2/pi) log(d + 1) of the best polynomial, and no iteration.
//!
//! ```text
//! c_k = (2 / n) sum_j f(x_j) cos(k t_j),   t_j = pi (j + 1/2) / n,   n = d + 1   (c_0 with 1 / n)
//! ```

use super::Approximation;
use crate::circuit::{CircuitError, Interval, Polynomial, Result, polynomial::MAX_DEGREE};

/// Coefficients below this share of the largest are rounding, and taken as zero: so odd and even functions are seen as such.
const NOTHING: f64 = 1e-15;

/// The Chebyshev coefficients of the polynomial of degree n that interpolates f.
pub(super) fn series(interval: Interval, degree: usize, f: &impl Fn(f64) -> f64) -> Vec<f64> {
    let n = degree + 1;
    let step = std::f64::consts::PI / (2 * n) as f64;
    // cos(k t_j) depends on k (2 j + 1) mod 4n only.
    let cosines: Vec<f64> = (0..4 * n).map(|i| (step * i as f64).cos()).collect();
    let values: Vec<f64> = (0..n)
        .map(|j| f(interval.from_unit((step * (2 * j + 1) as f64).cos())))
        .collect();
    let coefficient = |k: usize| {
        let term = |(j, y): (usize, &f64)| y * cosines.get(k * (2 * j + 1) % (4 * n)).copied().unwrap_or(0.0);
        let sum: f64 = values.iter().enumerate().map(term).sum();
        sum * if k == 0 { 1.0 } else { 2.0 } / n as f64
    };
    (0..n).map(coefficient).collect()
}

/// The polynomial of a degree that agrees with f in the Chebyshev nodes of an interval.
///
/// # Errors
/// A degree outside 1..=4095, or [`CircuitError::Coefficient`] where f is not finite.
pub fn interpolate(f: impl Fn(f64) -> f64, interval: Interval, degree: usize) -> Result<Approximation> {
    check_degree("interpolation", degree)?;
    let mut c = series(interval, degree, &f);
    clean(&mut c);
    Approximation::new(Polynomial::chebyshev(interval, &c)?, f)
}

pub(super) fn clean(c: &mut [f64]) {
    let largest = c.iter().fold(0.0f64, |a, c| a.max(c.abs()));
    for c in c {
        if c.abs() < NOTHING * largest {
            *c = 0.0;
        }
    }
}

pub(super) fn check_degree(operation: &'static str, degree: usize) -> Result<()> {
    if (1..=MAX_DEGREE).contains(&degree) {
        return Ok(());
    }
    let remedy = "compose polynomials of lower degree";
    Err(CircuitError::Degree {
        operation,
        degree,
        low: 1,
        high: MAX_DEGREE,
        remedy,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_reproduced() {
        let interval = Interval::new(-2.0, 3.0).unwrap();
        let p = interpolate(|x| 1.0 - 2.0 * x + 0.25 * x.powi(5), interval, 5).unwrap();
        assert!(p.error < 1e-12, "{}", p.error);
    }

    #[test]
    fn odd_functions_have_odd_polynomials() {
        let p = interpolate(f64::tanh, Interval::symmetric(4.0).unwrap(), 15).unwrap();
        let c = p.polynomial.coefficients(0);
        assert!(c.iter().step_by(2).all(|c| c.re == 0.0));
        assert!(c.iter().skip(1).step_by(2).all(|c| c.re != 0.0));
    }

    #[test]
    fn faults_are_typed() {
        assert!(matches!(
            interpolate(f64::sin, Interval::UNIT, 0),
            Err(CircuitError::Degree { degree: 0, .. })
        ));
        assert!(matches!(
            interpolate(f64::ln, Interval::UNIT, 2),
            Err(CircuitError::Coefficient { .. })
        ));
    }
}
