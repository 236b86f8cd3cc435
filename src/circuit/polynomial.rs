//! Polynomials in the monomial or Chebyshev basis, with real or complex coefficients, one for all slots or one a group of slots.
//!
//! Chebyshev: p(x) = sum c_i T_i(u), u = (x - centre) / half, so that |T_i| <= 1 on the interval and the coefficients show the
//! accuracy. Monomial: p(x) = sum c_i x^i; the interval only says where it is used.

use std::sync::Arc;

use super::{CircuitError, Interval, Result};
use crate::arith::Complex;

/// Largest degree.
pub const MAX_DEGREE: usize = (1 << 12) - 1;

/// In which basis coefficients are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// x^i.
    Monomial,
    /// T_i of the variable scaled to [-1, 1].
    Chebyshev,
}

/// A polynomial with its interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Polynomial {
    basis: Basis,
    interval: Interval,
    pub(super) coefficients: Coefficients,
}

/// Coefficients `[degree + 1][groups]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Coefficients {
    pub(super) groups: usize,
    pub(super) values: Vec<Complex>,
    /// The group of each slot; empty when there is one.
    pub(super) group_of: Arc<[u32]>,
}

impl Polynomial {
    /// sum c_i T_i(u) on an interval.
    ///
    /// # Errors
    /// [`CircuitError::Degree`] for a constant, and above degree 4095; [`CircuitError::Coefficient`] for one that is not finite.
    pub fn chebyshev(interval: Interval, coefficients: &[f64]) -> Result<Self> {
        let complex: Vec<Complex> = coefficients.iter().map(|c| (*c).into()).collect();
        Self::complex(Basis::Chebyshev, interval, &complex)
    }

    /// sum c_i x^i, to be used on an interval. Errors as for `chebyshev`.
    pub fn monomial(interval: Interval, coefficients: &[f64]) -> Result<Self> {
        let complex: Vec<Complex> = coefficients.iter().map(|c| (*c).into()).collect();
        Self::complex(Basis::Monomial, interval, &complex)
    }

    /// With complex coefficients. Errors as for `chebyshev`.
    pub fn complex(basis: Basis, interval: Interval, coefficients: &[Complex]) -> Result<Self> {
        let coefficients = Coefficients {
            groups: 1,
            values: coefficients.to_vec(),
            group_of: Arc::default(),
        };
        Self::new(basis, interval, coefficients)
    }

    /// Polynomial `group_of[slot]` of several in each slot: they share basis and interval. Coefficients become encoded plaintexts,
    /// which cost an encoding and a product each.
    ///
    /// # Errors
    /// [`CircuitError::Mismatch`] when bases or intervals differ, or a group does not exist.
    pub fn grouped(polynomials: &[Self], group_of: &[u32]) -> Result<Self> {
        let operation = "polynomials by group";
        let Some(first) = polynomials.first() else {
            return Err(CircuitError::mismatch(
                operation,
                "counts",
                0,
                "at least 1",
                "pass polynomials",
            ));
        };
        let degree = polynomials.iter().map(Self::degree).max().unwrap_or(0);
        for p in polynomials {
            first.check_like(operation, p)?;
            if p.coefficients.groups != 1 {
                let remedy = "pass polynomials that are the same in every slot";
                return Err(CircuitError::mismatch(
                    operation,
                    "groups",
                    1,
                    p.coefficients.groups,
                    remedy,
                ));
            }
        }
        if let Some(group) = group_of.iter().find(|g| **g as usize >= polynomials.len()) {
            let remedy = "groups count from 0";
            return Err(CircuitError::mismatch(
                operation,
                "groups",
                polynomials.len(),
                group,
                remedy,
            ));
        }
        let values = (0..=degree)
            .flat_map(|i| polynomials.iter().map(move |p| p.coefficients.at(i, 0)))
            .collect();
        let coefficients = Coefficients {
            groups: polynomials.len(),
            values,
            group_of: group_of.into(),
        };
        Self::new(first.basis, first.interval, coefficients)
    }

    fn new(basis: Basis, interval: Interval, mut coefficients: Coefficients) -> Result<Self> {
        let operation = "polynomial";
        if let Some(index) = coefficients.values.iter().position(|c| !c.is_finite()) {
            let value = coefficients.values.get(index).copied().unwrap_or_default();
            let index = index / coefficients.groups;
            return Err(CircuitError::Coefficient {
                operation,
                index,
                value,
            });
        }
        let degree = coefficients.degree();
        if degree == 0 || degree > MAX_DEGREE {
            let remedy =
                "a constant needs no evaluation; compose polynomials instead of one of very high degree";
            return Err(CircuitError::Degree {
                operation,
                degree,
                low: 1,
                high: MAX_DEGREE,
                remedy,
            });
        }
        coefficients.values.truncate((degree + 1) * coefficients.groups);
        Ok(Self {
            basis,
            interval,
            coefficients,
        })
    }

    /// Demands that both can share their powers.
    pub(super) fn check_like(&self, operation: &'static str, other: &Self) -> Result<()> {
        if (self.basis, self.interval) == (other.basis, other.interval) {
            return Ok(());
        }
        let words = |p: &Self| format!("{:?} on {}", p.basis, p.interval);
        let remedy = "evaluate them one by one, or approximate them on one interval";
        Err(CircuitError::mismatch(
            operation,
            "bases",
            words(self),
            words(other),
            remedy,
        ))
    }

    /// The slots whose groups are named, if there is more than one.
    pub(super) fn group_slots(&self) -> Option<usize> {
        (self.coefficients.groups > 1).then_some(self.coefficients.group_of.len())
    }

    /// The basis.
    pub fn basis(&self) -> Basis {
        self.basis
    }

    /// Where it is used.
    pub fn interval(&self) -> Interval {
        self.interval
    }

    /// The degree, at least 1.
    pub fn degree(&self) -> usize {
        self.coefficients.degree()
    }

    /// Levels of an evaluation, the change of variable apart: ceil(log2(degree + 1)).
    pub fn depth(&self) -> u32 {
        depth_of(self.degree())
    }

    /// The coefficients of a group, those of degree 0 first.
    pub fn coefficients(&self, group: usize) -> Vec<Complex> {
        (0..=self.degree())
            .map(|i| self.coefficients.at(i, group))
            .collect()
    }

    /// All coefficients times c.
    pub fn scaled(mut self, c: f64) -> Result<Self> {
        self.coefficients
            .values
            .iter_mut()
            .for_each(|v| *v = Complex::new(v.re * c, v.im * c));
        Self::new(self.basis, self.interval, self.coefficients)
    }

    /// The real part of the value at x of the polynomial of group 0, by Clenshaw's or Horner's rule.
    pub fn value(&self, x: f64) -> f64 {
        self.value_in(0, x.into()).re
    }

    /// The value at x of the polynomial of a group.
    pub fn value_in(&self, group: usize, x: Complex) -> Complex {
        let at = |i: usize| self.coefficients.at(i, group);
        match self.basis {
            Basis::Monomial => (0..=self.degree())
                .rev()
                .fold(Complex::default(), |sum, i| sum * x + at(i)),
            Basis::Chebyshev => {
                let (centre, half) = (self.interval.centre(), self.interval.half());
                let u = Complex::new((x.re - centre) / half, x.im / half);
                let (mut b1, mut b2) = (Complex::default(), Complex::default());
                for i in (1..=self.degree()).rev() {
                    let b = u * b1 + u * b1 - b2 + at(i);
                    (b1, b2) = (b, b1);
                }
                u * b1 - b2 + at(0)
            }
        }
    }

    /// The largest |p'| on the interval, sampled at 8 points a degree; group 0.
    pub fn slope(&self) -> f64 {
        let step = 1e-6 * self.interval.half();
        let slope = |x: f64| ((self.value(x + step) - self.value(x - step)) / (2.0 * step)).abs();
        self.interval
            .points(8 * self.degree() + 1)
            .map(slope)
            .fold(0.0, f64::max)
    }
}

/// ceil(log2(degree + 1)).
pub(super) fn depth_of(degree: usize) -> u32 {
    usize::BITS - degree.leading_zeros()
}

impl Coefficients {
    pub(super) fn at(&self, i: usize, group: usize) -> Complex {
        self.values
            .get(i * self.groups + group)
            .copied()
            .unwrap_or_default()
    }

    /// The coefficients of degree i, one a group.
    pub(super) fn row(&self, i: usize) -> &[Complex] {
        self.values
            .get(i * self.groups..(i + 1) * self.groups)
            .unwrap_or_default()
    }

    pub(super) fn is_zero(&self, i: usize) -> bool {
        self.row(i).iter().all(|c| *c == Complex::default())
    }

    /// The highest power with a coefficient other than 0.
    pub(super) fn degree(&self) -> usize {
        let last = self.values.iter().rposition(|c| *c != Complex::default());
        last.map_or(0, |i| i / self.groups)
    }

    /// self = q B_k + r with deg r < k, B the basis, for k <= degree <= 2k.
    ///
    /// Monomial: x^i = x^(i-k) x^k. Chebyshev: T_i = 2 T_(i-k) T_k - T_(2k-i).
    pub(super) fn divide(&self, k: usize, basis: Basis) -> (Self, Self) {
        let part = |values: Vec<Complex>| Self {
            values,
            groups: self.groups,
            group_of: Arc::clone(&self.group_of),
        };
        let degree = self.degree();
        let mut low = self.values.get(..k * self.groups).unwrap_or_default().to_vec();
        let mut high = Vec::with_capacity((degree + 1 - k) * self.groups);
        for i in k..=degree {
            for (g, c) in self.row(i).iter().enumerate() {
                if basis == Basis::Monomial || i == k {
                    high.push(*c);
                    continue;
                }
                high.push(*c + *c);
                if let Some(r) = low.get_mut((2 * k - i) * self.groups + g) {
                    *r = *r - *c;
                }
            }
        }
        (part(high), part(low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn faults_are_typed() {
        let unit = Interval::UNIT;
        let nan = Polynomial::chebyshev(unit, &[0.0, f64::NAN]).unwrap_err();
        assert!(matches!(nan, CircuitError::Coefficient { index: 1, .. }), "{nan}");
        for coefficients in [vec![], vec![3.0], vec![1.0, 0.0], vec![1.0; MAX_DEGREE + 2]] {
            let error = Polynomial::monomial(unit, &coefficients).unwrap_err();
            assert!(matches!(error, CircuitError::Degree { .. }), "{error}");
        }
        let (p, q) = (
            Polynomial::monomial(unit, &[0.0, 1.0]).unwrap(),
            Polynomial::chebyshev(unit, &[0.0, 1.0]).unwrap(),
        );
        assert!(Polynomial::grouped(&[p.clone(), q], &[0, 1]).is_err());
        assert!(Polynomial::grouped(&[p], &[1]).is_err());
        assert!(Polynomial::grouped(&[], &[]).is_err());
    }

    #[test]
    fn depths_are_those_of_the_degree() {
        for (degree, depth) in [(1, 1), (2, 2), (3, 2), (4, 3), (7, 3), (31, 5), (32, 6), (119, 7)] {
            assert_eq!(depth_of(degree), depth);
        }
    }

    proptest! {
        #[test]
        fn division_is_one(c in prop::collection::vec(-1.0f64..1.0, 2..40), u in -1.0f64..1.0, chebyshev: bool) {
            let basis = if chebyshev { Basis::Chebyshev } else { Basis::Monomial };
            let complex: Vec<Complex> = c.iter().map(|c| Complex::from(*c)).collect();
            let p = Polynomial::complex(basis, Interval::UNIT, &complex).unwrap();
            let k = 1 << p.degree().ilog2();
            let (q, r) = p.coefficients.divide(k, basis);
            let value = |c: &Coefficients| {
                let c = Polynomial { basis, interval: Interval::UNIT, coefficients: c.clone() };
                c.value(u)
            };
            let mut power = vec![0.0; k + 1];
            power[k] = 1.0;
            let power = Polynomial::complex(basis, Interval::UNIT, &power.iter().map(|c| Complex::from(*c)).collect::<Vec<_>>()).unwrap();
            prop_assert!(q.degree() < k && r.degree() < k);
            prop_assert!((value(&q) * power.value(u) + value(&r) - p.value(u)).abs() < 1e-12 * 40.0);
        }

        #[test]
        fn chebyshev_values_are_cosines(n in 1usize..50, angle in 0.0f64..std::f64::consts::PI) {
            let mut c = vec![0.0; n + 1];
            c[n] = 1.0;
            let interval = Interval::new(2.0, 10.0).unwrap();
            let p = Polynomial::chebyshev(interval, &c).unwrap();
            prop_assert!((p.value(interval.from_unit(angle.cos())) - (n as f64 * angle).cos()).abs() < 1e-10);
        }
    }
}
