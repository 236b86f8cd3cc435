//! sign(x) as a composition of minimax polynomials (Lee, Lee, No, Kim, eprint 2020/834).
//!
//! p_1 is the odd minimax polynomial of sign on [2^-alpha, 1]; its values are within E_1 of +-1, and p_2 is that of sign on
//! [1 - E_1, 1 + E_1]; and so on. All polynomials are given on [-1, 1]: 1 / (1 + E_i) is folded into the coefficients before.
//! Between -2^-alpha and 2^-alpha the composition goes from -1 to 1. Each range is widened by a margin for the noise of the scheme,
//! without which values could leave the interval of the next polynomial, where it grows like x^d.

use super::{Certificate, Parity, Remez, bound::bound_on};
use crate::circuit::{CircuitError, Interval, Polynomial, Result, polynomial::MAX_DEGREE};

/// Polynomials to be evaluated one after the other, each of values in [-1, 1].
#[derive(Clone, Debug)]
pub struct Composition {
    /// The polynomials, the first one first.
    pub stages: Vec<Polynomial>,
    /// log2 of 1 / the least magnitude for which the sign is right.
    pub alpha: f64,
    /// Bound on |s(x) - sign(x)| for 2^-alpha <= |x| <= 1.
    pub error: f64,
    /// How the bound was found.
    pub certificate: Certificate,
}

/// Share of the range that noise may move a value by.
const MARGIN: f64 = 1.0 / (1u64 << 20) as f64;

/// sign(x) on 2^-alpha <= |x| <= 1 by polynomials of odd degrees, the first one first.
///
/// # Errors
/// An even or impossible degree, alpha that is not positive, no convergence.
pub fn minimax_sign(degrees: &[usize], alpha: f64) -> Result<Composition> {
    if degrees.is_empty() {
        let remedy = "pass the degree of at least one polynomial";
        return Err(CircuitError::Degree {
            operation: "minimax sign",
            degree: 0,
            low: 1,
            high: MAX_DEGREE,
            remedy,
        });
    }
    let (mut low, mut high) = ((-alpha).exp2(), 1.0);
    let mut raw: Vec<Polynomial> = Vec::with_capacity(degrees.len());
    for degree in degrees {
        let (inside, hull) = (Interval::new(low, high)?, Interval::symmetric(high)?);
        let best = Remez {
            f: |_| 1.0,
            weight: |_| 1.0,
            intervals: vec![inside],
            hull,
            degree: *degree,
            parity: Parity::Odd,
        }
        .run()?;
        raw.push(best.polynomial);
        (low, high) = (1.0 - best.error - MARGIN, 1.0 + best.error + MARGIN);
    }
    let mut stages = Vec::with_capacity(raw.len());
    for (i, p) in raw.iter().enumerate() {
        let next = raw.get(i + 1).map_or(1.0, |next| next.interval().half());
        let c: Vec<f64> = p.coefficients(0).iter().map(|c| c.re / next).collect();
        stages.push(Polynomial::chebyshev(Interval::UNIT, &c)?);
    }
    let mut composition = Composition {
        stages,
        alpha,
        error: 0.0,
        certificate: Certificate::Search { points: 0 },
    };
    let outside = Interval::new((-alpha).exp2(), 1.0)?;
    (composition.error, composition.certificate) = bound_on(outside, 1.0, |x| composition.value(x) - 1.0);
    Ok(composition)
}

impl Composition {
    /// s(x), x in [-1, 1].
    pub fn value(&self, x: f64) -> f64 {
        self.stages.iter().fold(x, |y, p| p.value(y))
    }

    /// The degrees.
    pub fn degrees(&self) -> Vec<usize> {
        self.stages.iter().map(Polynomial::degree).collect()
    }

    /// Levels: the sum of the polynomials' depths.
    pub fn depth(&self) -> u32 {
        self.stages.iter().map(Polynomial::depth).sum()
    }

    /// Bound on |x (1 + s(x)) / 2 - max(x, 0)| on [-1, 1].
    pub fn relu_error(&self) -> f64 {
        // e(x) = x (s(x) - 1) / 2 for x >= 0, and the same for -x by symmetry.
        bound_on(Interval::UPPER, 1.0, |x| x * (self.value(x) - 1.0) / 2.0).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_errors_are_those_of_the_literature() {
        // Degrees, alpha, error: computed independently with a Remez of its own.
        for (degrees, alpha, error) in [
            (vec![7, 7], 4.0, 3.8e-2),
            (vec![15, 15], 4.0, 6e-6),
            (vec![15, 15], 6.0, 2.4e-2),
            (vec![7, 7, 15], 6.0, 1.7e-4),
            (vec![7, 15, 15], 8.0, 5.7e-3),
            (vec![15, 15, 15], 8.0, 5.9e-5),
            (vec![15, 15, 27], 8.0, 5.9e-8),
            (vec![15, 15, 27], 10.0, 6e-3),
        ] {
            let s = minimax_sign(&degrees, alpha).unwrap();
            assert!(
                (s.error / error - 1.0).abs() < 0.1,
                "{degrees:?} at {alpha}: {:e} for {error:e}",
                s.error
            );
        }
    }

    #[test]
    fn relu_errors_are_those_of_the_literature() {
        for (degrees, alpha, error, depth) in [
            (vec![7], 1.5, 3.5e-2, 4),
            (vec![7, 7], 3.5, 7.7e-3, 7),
            (vec![15, 15], 5.0, 2.2e-3, 9),
            (vec![7, 7, 7], 5.5, 1.6e-3, 10),
            (vec![7, 7, 15], 6.5, 7.8e-4, 11),
            (vec![7, 15, 15], 7.0, 4.6e-4, 12),
            (vec![15, 15, 27], 9.0, 1.15e-4, 14),
        ] {
            let s = minimax_sign(&degrees, alpha).unwrap();
            let have = s.relu_error();
            assert!(
                (have / error - 1.0).abs() < 0.1,
                "{degrees:?}: {have:e} for {error:e}"
            );
            assert_eq!(s.depth() + 1, depth);
        }
    }

    #[test]
    fn faults_are_typed() {
        assert!(minimax_sign(&[7], 0.0).is_err());
        assert!(minimax_sign(&[7], f64::NAN).is_err());
        assert!(minimax_sign(&[0], 4.0).is_err());
    }
}
