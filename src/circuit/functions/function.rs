//! Functions of one variable.

use std::{fmt, sync::Arc};

use super::{InverseRoot, Reciprocal};
use crate::{
    arith::Complex,
    circuit::{
        Arithmetic, Basis, Circuit, CircuitError, Interval, Polynomial, Result,
        approximate::{
            Certificate, Composition, Parity, Remez, bound_on, largest_magnitude, minimax, minimax_sign,
        },
        evaluate::Output,
        powers::log2_ceil,
        scaled::{change_cost, change_of_canonical, drift_for, power, product_with_free},
    },
    ring::Scale,
};

type Real = Arc<dyn Fn(f64) -> f64 + Send + Sync>;

/// A function of one variable on an interval, with its approximation.
#[derive(Clone)]
pub struct Function {
    name: String,
    interval: Interval,
    gap: f64,
    reference: Real,
    method: Method,
    error: f64,
    relative: bool,
    /// `None` where the bound follows from a formula.
    certificate: Option<Certificate>,
}

/// How a function is computed.
#[derive(Clone, Debug)]
enum Method {
    /// Polynomials one after the other.
    Polynomials(Vec<Polynomial>),
    /// x (1/2 + the last of some polynomials).
    Gate(Vec<Polynomial>),
    /// x^p by products.
    Power(usize),
    Reciprocal(Reciprocal),
    InverseRoot(InverseRoot),
}

/// A part of a function after which its value may be refreshed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Stage {
    /// What it is.
    pub name: String,
    /// Its levels.
    pub depth: u32,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("name", &self.name)
            .field("interval", &self.interval)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

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

    fn with_parity(
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

    /// The same function of u = (x - centre) / half, for an input that was scaled to [-1, 1] beforehand: the change of variable,
    /// which takes a level where the half-width is not 1, falls away. Functions of one or more polynomials only.
    ///
    /// # Errors
    /// [`CircuitError::Mismatch`] for iterations, whose intervals are not symmetric.
    pub fn of_unit(mut self) -> Result<Self> {
        let (interval, f) = (self.interval, Arc::clone(&self.reference));
        let gate = match &mut self.method {
            Method::Polynomials(stages) => {
                on_unit(stages)?;
                false
            }
            Method::Gate(stages) => {
                on_unit(stages)?;
                true
            }
            _ => {
                let remedy = "state its interval for the scaled variable instead";
                return Err(CircuitError::mismatch(
                    "of_unit",
                    "methods",
                    "polynomials",
                    &self.name,
                    remedy,
                ));
            }
        };
        if gate {
            // x = half u: the gate's polynomial and its constant take the factor.
            let half = interval.half();
            self.error /= half;
            self.reference = Arc::new(move |u| f(interval.from_unit(u)) / half);
        } else {
            self.reference = Arc::new(move |u| f(interval.from_unit(u)));
        }
        self.gap /= interval.half();
        self.interval = Interval::UNIT;
        Ok(self)
    }

    /// Where it may be evaluated.
    pub fn interval(&self) -> Interval {
        self.interval
    }

    /// The error is not promised for |x| below this: a sign jumps there.
    pub fn gap(&self) -> f64 {
        self.gap
    }

    /// Bound on the error of the approximation: relative to the function where `is_relative` says so.
    pub fn error(&self) -> f64 {
        self.error
    }

    /// Whether the error is relative to the function's value.
    pub fn is_relative(&self) -> bool {
        self.relative
    }

    /// How the bound was found; `None` where it follows from a formula.
    pub fn certificate(&self) -> Option<Certificate> {
        self.certificate
    }

    /// The function itself.
    pub fn reference(&self, x: f64) -> f64 {
        (self.reference)(x)
    }

    /// Its approximation, in the clear.
    pub fn value(&self, x: f64) -> f64 {
        match &self.method {
            Method::Polynomials(stages) => stages.iter().fold(x, |y, p| p.value(y)),
            Method::Gate(stages) => x * (0.5 + stages.iter().fold(x, |y, p| p.value(y))),
            Method::Power(p) => x.powi(*p as i32),
            Method::Reciprocal(r) => r.value(x),
            Method::InverseRoot(r) => r.value(x),
        }
    }

    /// The degrees of its polynomials; those of products and iterations are 2 a level.
    pub fn degrees(&self) -> Vec<usize> {
        match &self.method {
            Method::Polynomials(stages) | Method::Gate(stages) => {
                stages.iter().map(Polynomial::degree).collect()
            }
            Method::Power(p) => vec![*p],
            Method::Reciprocal(r) => vec![2; r.iterations()],
            Method::InverseRoot(r) => r.degrees(),
        }
    }

    /// Its parts, the change of variable apart.
    pub fn stages(&self) -> Vec<Stage> {
        let of = |p: &Polynomial| Stage {
            name: format!("polynomial of degree {}", p.degree()),
            depth: p.depth(),
        };
        match &self.method {
            Method::Polynomials(stages) => stages.iter().map(of).collect(),
            Method::Gate(stages) => {
                let gate = Stage {
                    name: String::from("product with the input"),
                    depth: 1,
                };
                stages.iter().map(of).chain([gate]).collect()
            }
            Method::Power(p) => vec![Stage {
                name: format!("power {p}"),
                depth: log2_ceil(*p),
            }],
            Method::Reciprocal(r) => r.stages(),
            Method::InverseRoot(r) => r.stages(),
        }
    }

    /// Levels without a change of variable.
    pub fn depth(&self) -> u32 {
        self.stages().iter().map(|s| s.depth).sum()
    }

    /// Levels for an input at a canonical scale: one more where the half-width is not about 1.
    pub fn depth_of_canonical(&self) -> u32 {
        let (variable, drift) = self.variable();
        self.depth() + change_of_canonical(variable, drift)
    }

    /// The interval whose change of variable comes first, and how far the scale may be from the canonical one for it to be free.
    fn variable(&self) -> (Interval, f64) {
        match &self.method {
            Method::Power(p) => (Interval::UNIT, drift_for(log2_ceil(*p))),
            Method::Reciprocal(r) => (r.variable(), Reciprocal::DRIFT),
            Method::InverseRoot(r) => (r.interval(), drift_for(r.start_depth())),
            Method::Polynomials(stages) | Method::Gate(stages) => {
                let first = stages.first();
                let interval = first.map_or(self.interval, Polynomial::interval);
                (interval, drift_for(first.map_or(1, Polynomial::depth)))
            }
        }
    }

    /// Demands enough levels, and says where to refresh.
    fn check_levels<A: Arithmetic>(&self, m: &A, x: &A::Value) -> Result<()> {
        let level = m.level(x);
        let (variable, drift) = self.variable();
        // Powers are taken of the input as it is.
        let change = match self.method {
            Method::Power(_) => 0,
            _ => change_cost(m, x, variable, drift)?,
        };
        let needed = self.depth() + change;
        if level.0 >= needed {
            return Ok(());
        }
        let mut left = level.0.saturating_sub(change);
        let mut reached = None;
        for (i, stage) in self.stages().iter().enumerate() {
            if stage.depth > left {
                break;
            }
            left -= stage.depth;
            reached = Some((i, stage.name.clone()));
        }
        let remedy = match reached {
            Some((i, name)) => format!(
                "refresh (bootstrap) the input at level {needed} or above, or the value after stage {} of {}, {name}",
                i + 1,
                self.stages().len()
            ),
            None => format!("refresh (bootstrap) the input at level {needed} or above"),
        };
        Err(CircuitError::Levels {
            operation: self.name.clone(),
            level,
            needed,
            remedy,
        })
    }
}

impl Circuit for Function {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn run<A: Arithmetic>(&self, m: &mut A, inputs: &[A::Value]) -> Result<Vec<A::Value>> {
        let mut results = Vec::with_capacity(inputs.len());
        for x in inputs {
            m.expect(&self.name, self.interval, x)?;
            self.check_levels(m, x)?;
            results.push(match &self.method {
                Method::Polynomials(stages) => run_stages(m, stages, x)?,
                Method::Gate(stages) => {
                    let y = run_stages(m, stages, x)?;
                    let y = m.add_const(&y, Complex::from(0.5))?;
                    let (product, _) = product_with_free(m, &y, x, &Scale::pow2(0))?;
                    m.relinearise_rescale(&product)?
                }
                Method::Power(p) => power(m, x, *p)?,
                Method::Reciprocal(r) => r.run_on(m, x)?,
                Method::InverseRoot(r) => r.run_on(m, x)?,
            });
        }
        Ok(results)
    }
}

/// Polynomials one after the other.
pub(super) fn run_stages<A: Arithmetic>(m: &mut A, stages: &[Polynomial], x: &A::Value) -> Result<A::Value> {
    let mut y = x.clone();
    for p in stages {
        let all = Polynomial::evaluate_all_on(m, &y, &[p], &Output::default())?;
        for value in all {
            y = value;
        }
    }
    Ok(y)
}

/// The stages of a sign, the first on [-range, range], the last times a factor.
pub(super) fn stages_on(s: &Composition, range: f64, factor: f64) -> Result<(Interval, Vec<Polynomial>)> {
    let interval = Interval::symmetric(range)?;
    let last = s.stages.len().saturating_sub(1);
    let mut stages = Vec::with_capacity(s.stages.len());
    for (i, p) in s.stages.iter().enumerate() {
        let own = if i == 0 { interval } else { Interval::UNIT };
        let p = Polynomial::complex(Basis::Chebyshev, own, &p.coefficients(0))?;
        stages.push(p.scaled(if i == last { factor } else { 1.0 })?);
    }
    Ok((interval, stages))
}

fn on_unit(stages: &mut [Polynomial]) -> Result<()> {
    if let Some(first) = stages.first_mut() {
        *first = Polynomial::complex(Basis::Chebyshev, Interval::UNIT, &first.coefficients(0))?;
    }
    Ok(())
}

/// The composition with the alpha for which max(x, 0) has the least error.
pub(super) fn best_for_relu(degrees: &[usize]) -> Result<Composition> {
    let mut best: Option<(f64, Composition)> = None;
    let mut alpha = 1.0;
    while alpha <= 20.0 {
        let s = minimax_sign(degrees, alpha)?;
        let error = s.relu_error();
        match &best {
            // The error falls to its minimum and rises from there.
            Some((least, _)) if error > 1.2 * least => break,
            Some((least, _)) if error >= *least => {}
            _ => best = Some((error, s)),
        }
        alpha += 0.25;
    }
    let none = || CircuitError::Degree {
        operation: "relu",
        degree: 0,
        low: 1,
        high: 63,
        remedy: "pass the degrees of the sign's polynomials",
    };
    best.map(|(_, s)| s).ok_or_else(none)
}
