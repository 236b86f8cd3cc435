//! The ready-made functions of one variable.

use std::sync::Arc;

use super::{
    Function, InverseRoot, Reciprocal,
    function::Method,
    stages::{best_for_relu, stages_on},
};
use crate::circuit::{
    Basis, CircuitError, Interval, Polynomial, Result,
    approximate::{Parity, Remez, bound_on, largest_magnitude, minimax, minimax_sign},
};

impl Function {
    /// The minimax polynomial of a degree, of any continuous function.
    ///
    /// # Errors
    /// A degree outside 1..=4095, f not finite on the interval, no convergence.
    pub fn minimax(
        name: impl Into<String>,
        f: impl Fn(f64) -> f64 + Send + Sync + 'static,
        interval: Interval,
        degree: usize,
    ) -> Result<Self> {
        let best = minimax(&f, interval, degree)?;
        Ok(Self {
            name: name.into(),
            interval,
            gap: 0.0,
            reference: Arc::new(f),
            method: Method::Polynomials(vec![best.polynomial]),
            error: best.error,
            relative: false,
            certificate: Some(best.certificate),
        })
    }

    /// x (1 + erf(x / sqrt 2)) / 2 on [-range, range]. Up to its even part, x erf(x / sqrt 2) / 2, it is linear: only even powers
    /// are used.
    pub fn gelu(range: f64, degree: usize) -> Result<Self> {
        Self::even_part("gelu", super::gelu, range, degree)
    }

    /// x / (1 + exp(-x)) on [-range, range]; as `gelu`.
    pub fn silu(range: f64, degree: usize) -> Result<Self> {
        Self::even_part("silu", super::silu, range, degree)
    }

    /// x / 2 plus the even minimax polynomial of what is left.
    fn even_part(name: &str, f: fn(f64) -> f64, range: f64, degree: usize) -> Result<Self> {
        let interval = Interval::symmetric(range)?;
        let even = Self::with_parity(|x| f(x) - x / 2.0, interval, degree, Parity::Even)?;
        let mut c = even.coefficients(0);
        if let Some(linear) = c.get_mut(1) {
            linear.re += interval.half() / 2.0;
        }
        let p = Polynomial::complex(Basis::Chebyshev, interval, &c)?;
        Self::of_polynomial(name, f, p)
    }

    /// tanh on [-range, range], with odd powers.
    pub fn tanh(range: f64, degree: usize) -> Result<Self> {
        let interval = Interval::symmetric(range)?;
        let p = Self::with_parity(f64::tanh, interval, degree, Parity::Odd)?;
        Self::of_polynomial("tanh", f64::tanh, p)
    }

    /// 1 / (1 + exp(-x)) on [-range, range]: 1/2 and odd powers.
    pub fn sigmoid(range: f64, degree: usize) -> Result<Self> {
        let interval = Interval::symmetric(range)?;
        let p = Self::with_parity(|x| super::sigmoid(x) - 0.5, interval, degree, Parity::Odd)?;
        let mut c = p.coefficients(0);
        if let Some(constant) = c.first_mut() {
            constant.re += 0.5;
        }
        let p = Polynomial::complex(Basis::Chebyshev, interval, &c)?;
        Self::of_polynomial("sigmoid", super::sigmoid, p)
    }

    /// exp on [low, high].
    pub fn exp(low: f64, high: f64, degree: usize) -> Result<Self> {
        Self::minimax("exp", f64::exp, Interval::new(low, high)?, degree)
    }

    /// sign on [-range, range]; its error is that for |x| >= range 2^-alpha. See [`minimax_sign`].
    pub fn sign(range: f64, degrees: &[usize], alpha: f64) -> Result<Self> {
        let s = minimax_sign(degrees, alpha)?;
        let (interval, stages) = stages_on(&s, range, 1.0)?;
        Ok(Self {
            name: String::from("sign"),
            interval,
            gap: interval.half() * (-alpha).exp2(),
            reference: Arc::new(f64::signum),
            method: Method::Polynomials(stages),
            error: s.error,
            relative: false,
            certificate: Some(s.certificate),
        })
    }

    /// max(x, 0) = x (1 + sign(x)) / 2 on [-range, range], with the alpha that is best for the degrees.
    pub fn relu(range: f64, degrees: &[usize]) -> Result<Self> {
        let s = best_for_relu(degrees)?;
        let (interval, stages) = stages_on(&s, range, 0.5)?;
        let mut relu = Self {
            name: String::from("relu"),
            interval,
            gap: 0.0,
            reference: Arc::new(|x: f64| x.max(0.0)),
            method: Method::Gate(stages),
            error: 0.0,
            relative: false,
            certificate: Some(s.certificate),
        };
        let (error, certificate) =
            bound_on(Interval::new(0.0, interval.high())?, range, |x| relu.value(x) - x);
        (relu.error, relu.certificate) = (error, Some(certificate));
        Ok(relu)
    }

    /// x^p on [-range, range], by products.
    ///
    /// # Errors
    /// p outside 2..=64.
    pub fn power(range: f64, p: usize) -> Result<Self> {
        if !(2..=64).contains(&p) {
            let remedy = "the first power needs no circuit, and high ones leave nothing of small values";
            return Err(CircuitError::Degree {
                operation: "power",
                degree: p,
                low: 2,
                high: 64,
                remedy,
            });
        }
        Ok(Self {
            name: format!("x^{p}"),
            interval: Interval::symmetric(range)?,
            gap: 0.0,
            reference: Arc::new(move |x: f64| x.powi(p as i32)),
            method: Method::Power(p),
            error: 0.0,
            relative: false,
            certificate: None,
        })
    }

    /// 1 / x on [low, high], with a relative error below 2^-bits.
    pub fn reciprocal(low: f64, high: f64, bits: f64) -> Result<Self> {
        let method = Reciprocal::new(low, high, bits)?;
        Ok(Self {
            name: String::from("reciprocal"),
            interval: method.interval(),
            gap: 0.0,
            reference: Arc::new(|x: f64| 1.0 / x),
            error: method.error(),
            method: Method::Reciprocal(method),
            relative: true,
            certificate: None,
        })
    }

    /// 1 / sqrt(x) on [low, high], with a relative error below 2^-bits.
    pub fn inverse_sqrt(low: f64, high: f64, bits: f64) -> Result<Self> {
        let method = InverseRoot::new(low, high, bits)?;
        Ok(Self {
            name: String::from("inverse sqrt"),
            interval: method.interval(),
            gap: 0.0,
            reference: Arc::new(|x: f64| 1.0 / x.sqrt()),
            error: method.error(),
            method: Method::InverseRoot(method),
            relative: true,
            certificate: None,
        })
    }

    pub(super) fn with_parity(
        f: impl Fn(f64) -> f64,
        interval: Interval,
        degree: usize,
        parity: Parity,
    ) -> Result<Polynomial> {
        let upper = Interval::new(interval.centre(), interval.high())?;
        let remez = Remez {
            f,
            weight: |_| 1.0,
            intervals: vec![upper],
            hull: interval,
            degree,
            parity,
        };
        Ok(remez.run()?.polynomial)
    }

    fn of_polynomial(name: &str, f: fn(f64) -> f64, p: Polynomial) -> Result<Self> {
        let magnitude = largest_magnitude(p.interval(), f);
        let (error, certificate) = bound_on(p.interval(), magnitude, |x| p.value(x) - f(x));
        Ok(Self {
            name: name.to_owned(),
            interval: p.interval(),
            gap: 0.0,
            reference: Arc::new(f),
            method: Method::Polynomials(vec![p]),
            error,
            relative: false,
            certificate: Some(certificate),
        })
    }
}
