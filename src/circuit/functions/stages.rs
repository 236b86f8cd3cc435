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
