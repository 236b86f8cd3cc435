//! Functions of one variable.

use std::{fmt, sync::Arc};

use super::{
    InverseRoot, Reciprocal,
    stages::{on_unit, run_stages},
};
use crate::{
    arith::Complex,
    circuit::{
        Accuracy, Arithmetic, Circuit, CircuitError, Interval, Polynomial, Result,
        approximate::Certificate,
        powers::log2_ceil,
        scaled::{change_cost, change_of_canonical, drift_for, power, product_with_free},
    },
    ring::Scale,
};

type Real = Arc<dyn Fn(f64) -> f64 + Send + Sync>;

/// A function of one variable on an interval, with its approximation.
#[derive(Clone)]
pub struct Function {
    pub(super) name: String,
    pub(super) interval: Interval,
    pub(super) gap: f64,
    pub(super) reference: Real,
    pub(super) method: Method,
    pub(super) error: f64,
    pub(super) relative: bool,
    /// `None` where the bound follows from a formula.
    pub(super) certificate: Option<Certificate>,
}

/// How a function is computed.
#[derive(Clone, Debug)]
pub(super) enum Method {
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

impl Stage {
    /// A polynomial.
    pub(super) fn of(p: &Polynomial) -> Self {
        Self {
            name: format!("polynomial of degree {}", p.degree()),
            depth: p.depth(),
        }
    }
}

/// Levels of all parts, one after the other.
pub(super) fn levels(stages: &[Stage]) -> u32 {
    stages.iter().map(|s| s.depth).sum()
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
    /// The same function of u = (x - centre) / half, for an input that was scaled to [-1, 1] beforehand: the change of variable,
    /// which takes a level where the half-width is not 1, falls away. Functions of one or more polynomials only. `relu` becomes
    /// max(u, 0), which is max(x, 0) over half the width.
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
        match &self.method {
            Method::Polynomials(stages) => stages.iter().map(Stage::of).collect(),
            Method::Gate(stages) => {
                let gate = Stage {
                    name: String::from("product with the input"),
                    depth: 1,
                };
                stages.iter().map(Stage::of).chain([gate]).collect()
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
        levels(&self.stages())
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

    fn accuracy(&self) -> Vec<Accuracy> {
        let (error, relative) = (self.error(), self.is_relative());
        match self.method {
            Method::Power(_) => Vec::new(),
            _ => vec![Accuracy { error, relative }],
        }
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
