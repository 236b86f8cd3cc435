//! Gated activations on wide intervals, x (1/2 + g(x)) with an odd g that is constant but for a narrow part: GELU, SiLU.
//!
//! One polynomial would need a degree in proportion to the width. Two, one after the other, do not (domain extension, in the spirit of
//! eprint 2020/1335):
//!
//! ```text
//! u = Q(x), near erf(q x / R): it stretches the part where g moves, and is about 1 where g is constant
//! g(x) = P(u),  P the odd minimax polynomial of g(Q^-1(u)) on [-max Q, max Q]
//! ```
//!
//! P is fitted to Q as it is, so that Q's own error does not matter where Q grows. Where it no longer does, all that P has to be is
//! constant. The q of least error is taken.

use std::sync::Arc;

use super::{Function, function::Method};
use crate::circuit::{
    CircuitError, Interval, Polynomial, Result,
    approximate::{Parity, bound_on},
};

/// The stretches q that are tried.
const STRETCHES: [f64; 10] = [2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 12.0];

/// Points of the table that Q is inverted with.
const TABLE: usize = 2048;

/// The largest |Q|: below 1 by what noise may add.
const MOST: f64 = 1.0 - 1e-6;

impl Function {
    /// x (1 + erf(x / sqrt 2)) / 2 on [-range, range], by two polynomials of odd degrees: for ranges that are too wide for
    /// [`gelu`](Self::gelu).
    ///
    /// # Errors
    /// Degrees outside 1..=4095, an impossible range, no convergence.
    pub fn gelu_wide(range: f64, degrees: [usize; 2]) -> Result<Self> {
        let gate = |x: f64| super::erf(x * std::f64::consts::FRAC_1_SQRT_2) / 2.0;
        Self::wide("gelu", super::gelu, gate, range, degrees)
    }

    /// x / (1 + exp(-x)) on [-range, range]; as [`gelu_wide`](Self::gelu_wide).
    ///
    /// # Errors
    /// As [`gelu_wide`](Self::gelu_wide).
    pub fn silu_wide(range: f64, degrees: [usize; 2]) -> Result<Self> {
        Self::wide("silu", super::silu, |x| super::sigmoid(x) - 0.5, range, degrees)
    }

    fn wide(
        name: &str,
        f: fn(f64) -> f64,
        gate: fn(f64) -> f64,
        range: f64,
        [first, second]: [usize; 2],
    ) -> Result<Self> {
        let interval = Interval::symmetric(range)?;
        let mut best: Option<Self> = None;
        let mut last = None;
        for q in STRETCHES {
            let stages = match stages(gate, interval, q, [first, second]) {
                Ok(stages) => stages,
                // A stretch that leaves nothing to fit; others do.
                Err(error) => {
                    last = Some(error);
                    continue;
                }
            };
            let mut wide = Self {
                name: name.to_owned(),
                interval,
                gap: 0.0,
                reference: Arc::new(f),
                method: Method::Gate(stages),
                error: 0.0,
                relative: false,
                certificate: None,
            };
            // What is left is even: x times the error of an odd function.
            let half = Interval::new(0.0, interval.high())?;
            let (error, certificate) = bound_on(half, interval.high(), |x| wide.value(x) - f(x));
            (wide.error, wide.certificate) = (error, Some(certificate));
            if best.as_ref().is_none_or(|b| error < b.error) {
                best = Some(wide);
            }
        }
        let none = || {
            last.unwrap_or(CircuitError::Approximation {
                operation: "a wide activation",
                what: format!("no stretch of degrees {first} and {second} was found"),
                remedy: "use odd degrees from 7 on",
            })
        };
        best.ok_or_else(none)
    }
}

/// Q and P.
fn stages(
    gate: fn(f64) -> f64,
    interval: Interval,
    q: f64,
    [first, second]: [usize; 2],
) -> Result<Vec<Polynomial>> {
    let half = interval.half();
    let stretch = Function::with_parity(|x| super::erf(q * x / half), interval, first, Parity::Odd)?;
    let points: Vec<(f64, f64)> = (0..=TABLE)
        .map(|i| half * i as f64 / TABLE as f64)
        .map(|x| (x, stretch.value(x)))
        .collect();
    let most = points.iter().map(|(_, u)| u.abs()).fold(0.0, f64::max);
    let stretch = stretch.scaled(MOST / most)?;
    let points: Vec<(f64, f64)> = points.into_iter().map(|(x, u)| (x, u * MOST / most)).collect();
    // Up to the first place where Q does not grow.
    let grows = points.windows(2).take_while(|w| w[1].1 > w[0].1).count();
    let branch = &points[..=grows];
    let unit = Interval::UNIT;
    let fitted = Function::with_parity(|u| gate(inverse(&stretch, branch, u)), unit, second, Parity::Odd)?;
    Ok(vec![stretch, fitted])
}

/// The x of a growing branch with Q(x) = u, or its end.
fn inverse(q: &Polynomial, branch: &[(f64, f64)], u: f64) -> f64 {
    let above = branch.partition_point(|(_, v)| *v < u);
    let (Some(mut high), Some(mut low)) = (
        branch.get(above).copied(),
        branch.get(above.saturating_sub(1)).copied(),
    ) else {
        return branch.last().map_or(0.0, |(x, _)| *x);
    };
    // Regula falsi: Q is nearly linear between two points.
    for _ in 0..6 {
        if high.1 <= low.1 {
            break;
        }
        let x = low.0 + (high.0 - low.0) * (u - low.1) / (high.1 - low.1);
        let v = q.value(x);
        if v < u {
            low = (x, v);
        } else {
            high = (x, v);
        }
    }
    if high.1 > low.1 {
        low.0 + (high.0 - low.0) * (u - low.1) / (high.1 - low.1)
    } else {
        low.0
    }
}
