//! Compositions of polynomials as parts of functions.

use crate::circuit::{
    Arithmetic, Basis, CircuitError, Interval, Output, Polynomial, Result,
    approximate::{Composition, minimax_sign},
};

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

/// The first of some polynomials, for an input in [-1, 1].
pub(super) fn on_unit(stages: &mut [Polynomial]) -> Result<()> {
    if let Some(first) = stages.first_mut() {
        *first = Polynomial::complex(Basis::Chebyshev, Interval::UNIT, &first.coefficients(0))?;
    }
    Ok(())
}

/// The composition with the alpha for which max(x, 0) has the least error, to a quarter.
///
/// The sign's error grows with alpha, and what x between 0 and 2^-alpha contributes falls: the best alpha is where the two meet.
pub(super) fn best_for_relu(degrees: &[usize]) -> Result<Composition> {
    let mut best: Option<(f64, Composition)> = None;
    let mut last = None;
    for quarter in 4..=80 {
        let s = match minimax_sign(degrees, f64::from(quarter) / 4.0) {
            Ok(s) => s,
            // The last intervals of a small alpha are too narrow for a polynomial; a larger one is better anyway.
            Err(error) => {
                last = Some(error);
                continue;
            }
        };
        let error = s.relu_error();
        match &best {
            Some((least, _)) if error >= *least => {
                if s.error > 4.0 * least {
                    break;
                }
            }
            _ => best = Some((error, s)),
        }
    }
    let none = || {
        last.unwrap_or(CircuitError::Approximation {
            operation: "relu",
            what: format!("no composition of degrees {degrees:?} was found"),
            remedy: "use odd degrees from 3 to 31",
        })
    };
    best.map(|(_, s)| s).ok_or_else(none)
}
