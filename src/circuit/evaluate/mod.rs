//! Evaluation of polynomials after Paterson and Stockmeyer (SIAM J. Comput. 2, 1973), at depth ceil(log2(d + 1)) and with exact
//! scales.
//!
//! p is divided by the powers B_k, k = 2^i, from the highest down:
//!
//! ```text
//! p = q_1 B_k1 + q_2 B_k2 + .. + sum_(i < m) c_i B_i + c_0
//! ```
//!
//! The result has level l and scale S, both given beforehand. All terms are formed at level l + 1 with the scale S' that a rescale
//! brings to S: each q is the same problem at level l + 1 with scale S' / scale(B_k); each c_i is encoded at scale
//! S' / scale(B_i). So every sum adds up exactly, without an adjustment, and *one* relinearisation and rescale ends it:
//! 2^(j-1) of them for a polynomial of degree 2^j m - 1 instead of 2^j - 1. c_0 is added last.
//!
//! m is the power of two for which a forecast of the whole costs least.

mod plan;
mod polynomial;
#[cfg(all(test, feature = "fallback"))]
mod tests;

use super::{CircuitError, Encrypted, Forecast, Polynomial, Result};
use crate::{
    backend::Backend,
    ckks::{Ciphertext, Evaluator},
    ring::Scale,
    rlwe::Level,
};

/// Where results are to be; what is left out is the highest level that can be had, and its canonical scale.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// The level.
    pub level: Option<Level>,
    /// The scale.
    pub scale: Option<Scale>,
}

/// p(x) in every slot, at the highest level that can be had and its canonical scale.
///
/// Needs the relinearisation key. Everything is checked before work starts.
///
/// # Errors
/// [`CircuitError::Levels`] for too few levels, a missing or short key, an overflow, groups that do not fit the slots.
pub fn evaluate<B: Backend>(
    ev: &Evaluator<'_, B>,
    x: &Ciphertext<B>,
    p: &Polynomial,
) -> Result<Ciphertext<B>> {
    let mut all = evaluate_all(ev, x, &[p], &Output::default())?;
    all.pop()
        .ok_or_else(|| CircuitError::mismatch("evaluate", "counts", 0, 1, "pass a polynomial"))
}

/// Several polynomials of x, all at one level, with one set of powers. As [`evaluate`].
pub fn evaluate_all<B: Backend>(
    ev: &Evaluator<'_, B>,
    x: &Ciphertext<B>,
    polynomials: &[&Polynomial],
    output: &Output,
) -> Result<Vec<Ciphertext<B>>> {
    let mut forecast = Forecast::dry(ev.ckks().context().params());
    let input = forecast.like(x);
    Polynomial::evaluate_all_on(&mut forecast, &input, polynomials, output)?;
    check_key(ev, "polynomial", x.level(), forecast.cost().relinearisations)?;
    Polynomial::evaluate_all_on(&mut Encrypted::new(ev), x, polynomials, output)
}

/// Demands the relinearisation key up to a level, if it is used at all.
pub(super) fn check_key<B: Backend>(
    ev: &Evaluator<'_, B>,
    operation: &str,
    wanted: Level,
    relinearisations: usize,
) -> Result<()> {
    if relinearisations == 0 {
        return Ok(());
    }
    Ok(ev
        .keys()
        .relinearisation(operation)?
        .check_level(operation, wanted)?)
}
