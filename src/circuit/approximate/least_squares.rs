//! Least squares with a weight: a small error where values are likely, a larger one where they are rare.
//!
//! Minimises the sum of w(x) (p(x) - f(x))^2 over 16 (d + 1) Chebyshev points of the interval, by the normal equations in
//! double-double arithmetic. With w = 1 this is nearly the truncated Chebyshev series.

use super::{
    Approximation,
    interpolate::{check_degree, clean},
    linear::{chebyshev_row, solve},
};
use crate::{
    arith::Double,
    circuit::{CircuitError, Interval, Polynomial, Result},
};

/// The polynomial of a degree with the least weighted sum of squared errors on an interval. Its `error` is the largest one, without
/// weight.
///
/// # Errors
/// A degree outside 1..=4095, f not finite, or [`CircuitError::Approximation`] for weights that do not determine it.
pub fn least_squares(
    f: impl Fn(f64) -> f64,
    weight: impl Fn(f64) -> f64,
    interval: Interval,
    degree: usize,
) -> Result<Approximation> {
    check_degree("least squares", degree)?;
    let n = degree + 1;
    let mut rows = vec![vec![Double::ZERO; n + 1]; n];
    for x in interval.points(16 * n) {
        let t = chebyshev_row(Double::from_f64(interval.to_unit(x)), degree);
        let (w, y) = (Double::from_f64(weight(x)), Double::from_f64(f(x)));
        for (row, a) in rows.iter_mut().zip(&t) {
            let weighted = w * *a;
            for (sum, b) in row.iter_mut().zip(t.iter().chain([&y])) {
                *sum = *sum + weighted * *b;
            }
        }
    }
    let undetermined = || CircuitError::Approximation {
        operation: "least squares",
        what: format!("the weights do not determine the {n} coefficients"),
        remedy: "use positive weights on at least as many points as coefficients",
    };
    let solution = solve(rows).ok_or_else(undetermined)?;
    let mut c: Vec<f64> = solution.iter().map(|x| x.to_f64()).collect();
    clean(&mut c);
    Approximation::new(Polynomial::chebyshev(interval, &c)?, f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_move_the_error() {
        let interval = Interval::symmetric(8.0).unwrap();
        let f = |x: f64| x.max(0.0);
        let flat = least_squares(f, |_| 1.0, interval, 15).unwrap();
        let bell = least_squares(f, |x| (-x * x).exp() + 1e-6, interval, 15).unwrap();
        let mean = |p: &Approximation| {
            let near: Vec<f64> = (-100..=100).map(|i| f64::from(i) / 50.0).collect();
            near.iter()
                .map(|x| (p.polynomial.value(*x) - f(*x)).powi(2))
                .sum::<f64>()
        };
        assert!(mean(&bell) < mean(&flat) / 2.0 && bell.error > flat.error);
    }

    #[test]
    fn weights_of_nothing_are_refused() {
        let p = least_squares(f64::exp, |_| 0.0, Interval::UNIT, 3);
        assert!(matches!(p, Err(CircuitError::Approximation { .. })));
    }
}
