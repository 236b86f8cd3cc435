//! The powers of a variable in the basis of a polynomial, each formed when it is first asked for.
//!
//! ```text
//! Chebyshev:  T_n = 2 T_a T_b - T_(a-b)      monomial:  x^n = x^a x^b
//! a = 2^(ceil(log2 n) - 1),  b = n - a
//! ```
//!
//! so that power n is ceil(log2 n) levels below the variable, odd powers need only odd ones and those of two, and even ones only
//! even ones. T_(a-b) is added to the product before its one division, times the constant that brings it to the product's scale.

use std::collections::BTreeMap;

use super::{
    Arithmetic, Basis, CircuitError, Forecast, Interval, Result,
    arithmetic::nested,
    scaled::{change_variable, drift_for},
};
use crate::{arith::Complex, rlwe::Level};

/// Powers of one variable.
pub struct Powers<A: Arithmetic> {
    basis: Basis,
    interval: Interval,
    level: Level,
    values: BTreeMap<usize, A::Value>,
    lowered: BTreeMap<(usize, Level), A::Value>,
}

impl<A: Arithmetic> Clone for Powers<A> {
    fn clone(&self) -> Self {
        Self {
            values: self.values.clone(),
            lowered: self.lowered.clone(),
            ..*self
        }
    }
}

impl<A: Arithmetic> Powers<A> {
    /// Those of x, for polynomials of a basis and interval and of a depth.
    ///
    /// The change of variable (x - centre) / half reads x at another scale, which is free when x already has the canonical scale
    /// over half the width; otherwise it takes a level, and [`level`](Self::level) is one below that of x.
    pub fn new(m: &mut A, x: &A::Value, basis: Basis, interval: Interval, depth: u32) -> Result<Self> {
        let variable = match basis {
            Basis::Chebyshev => interval,
            Basis::Monomial => Interval::UNIT,
        };
        let u = change_variable(m, x, variable, drift_for(depth), depth)?;
        Ok(Self {
            basis,
            interval,
            level: m.level(&u),
            values: BTreeMap::from([(1, u)]),
            lowered: BTreeMap::new(),
        })
    }

    /// The same powers as a forecast sees them, without values.
    pub(super) fn foretell(&self, m: &A, forecast: &Forecast) -> Powers<Forecast> {
        let shape = |v: &A::Value| forecast.shape(m.level(v), &m.scale(v), m.items(v), m.slots(v));
        Powers {
            basis: self.basis,
            interval: self.interval,
            level: self.level,
            values: self.values.iter().map(|(n, v)| (*n, shape(v))).collect(),
            lowered: self.lowered.iter().map(|(n, v)| (*n, shape(v))).collect(),
        }
    }

    /// The level of the variable; power n is ceil(log2 n) below.
    pub fn level(&self) -> Level {
        self.level
    }

    pub(super) fn basis(&self) -> Basis {
        self.basis
    }

    pub(super) fn interval(&self) -> Interval {
        self.interval
    }

    /// The level of power n, if there are so many.
    pub(super) fn level_of(&self, n: usize) -> Option<Level> {
        self.level.0.checked_sub(log2_ceil(n)).map(Level)
    }

    /// Power n >= 1 at its own level.
    pub fn power(&mut self, m: &mut A, n: usize) -> Result<A::Value> {
        if let Some(value) = self.values.get(&n) {
            return Ok(value.clone());
        }
        let rounds = log2_ceil(n);
        let a = 1usize << rounds.saturating_sub(1);
        let b = n - a;
        let too_few = || CircuitError::Levels {
            operation: format!("power {n}"),
            level: self.level,
            needed: rounds,
            remedy: String::from("bootstrap the input"),
        };
        self.level_of(n).ok_or_else(too_few)?;
        let level = Level(self.level.0 + 1 - rounds);
        let (low, high) = (self.at(m, b, level)?, self.at(m, a, level)?);
        let value = if self.basis == Basis::Monomial {
            let product = m.mul(&high, &low)?;
            m.relinearise_rescale(&product)?
        } else {
            let double = m.add(&high, &high)?;
            let mut product = m.mul(&double, &low)?;
            if a != b {
                let rest = self.at(m, a - b, level)?;
                let scale = m.scale(&product).div(&m.scale(&rest))?;
                m.mul_const_add(&mut product, &rest, -1.0, &scale)?;
            }
            let value = m.relinearise_rescale(&product)?;
            if a == b {
                m.add_const(&value, Complex::from(-1.0))?
            } else {
                value
            }
        };
        self.values.insert(n, value.clone());
        Ok(value)
    }

    /// Power n at a level, its own or one below.
    pub(super) fn at(&mut self, m: &mut A, n: usize, level: Level) -> Result<A::Value> {
        let value = self.power(m, n)?;
        if m.level(&value) == level {
            return Ok(value);
        }
        if let Some(value) = self.lowered.get(&(n, level)) {
            return Ok(value.clone());
        }
        let value = if nested(m.params(), m.level(&value), level)? {
            m.drop_to(&value, level)?
        } else {
            let above = self.at(m, n, Level(level.0.saturating_add(1)))?;
            let canonical = m.params().level("powers", level)?.scale.clone();
            m.adjust_below(&above, &canonical)?
        };
        self.lowered.insert((n, level), value.clone());
        Ok(value)
    }
}

/// ceil(log2 n) for n >= 1.
pub(super) fn log2_ceil(n: usize) -> u32 {
    n.max(1).next_power_of_two().trailing_zeros()
}
