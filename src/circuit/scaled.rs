//! Values brought to the level and the exact scale that a product wants of them.

use super::{Arithmetic, CircuitError, Interval, Result};
use crate::{arith::Complex, ring::Scale, rlwe::Level};

/// (x - centre) / half of an interval, at a scale within `drift` bits of the canonical one.
///
/// Free when x has the canonical scale over half the width, about; otherwise a level down, at the canonical scale. `depth` more
/// levels are going to be used, which an error mentions.
pub(super) fn change_variable<A: Arithmetic>(
    m: &mut A,
    x: &A::Value,
    interval: Interval,
    drift: f64,
    depth: u32,
) -> Result<A::Value> {
    let mut u = x.clone();
    if interval.centre() != 0.0 {
        u = m.add_const(&u, Complex::from(-interval.centre()))?;
    }
    if interval.half() != 1.0 {
        let scale = m.scale(x).mul(&interval.half_scale()?)?;
        u = m.at_scale(&u, scale)?;
    }
    if is_near(m, x, interval, drift)? {
        return Ok(u);
    }
    let Some(below) = m.level(&u).below() else {
        return Err(CircuitError::Levels {
            operation: String::from("a change of variable and what follows"),
            level: m.level(&u),
            needed: depth + 1,
            remedy: String::from("refresh the input, or give it the canonical scale over half the width"),
        });
    };
    let canonical = canonical(m, below)?;
    m.adjust_below(&u, &canonical)
}

/// Whether the change of variable is free.
pub(super) fn is_near<A: Arithmetic>(m: &A, x: &A::Value, interval: Interval, drift: f64) -> Result<bool> {
    let scale = m.scale(x).mul(&interval.half_scale()?)?;
    let off = scale.log2() - canonical(m, m.level(x))?.log2();
    Ok(off.abs() <= drift)
}

/// Levels of the change of variable, 0 or 1.
pub(super) fn change_cost<A: Arithmetic>(m: &A, x: &A::Value, interval: Interval, drift: f64) -> Result<u32> {
    Ok(u32::from(!is_near(m, x, interval, drift)?))
}

/// Levels of the change of variable for an input at a canonical scale.
pub(super) fn change_of_canonical(interval: Interval, drift: f64) -> u32 {
    u32::from(interval.half().log2().abs() > drift)
}

/// How far the scale of a variable may be from the canonical one for `depth` levels of powers, in bits: it doubles with every squaring,
/// up to a bit.
pub(super) fn drift_for(depth: u32) -> f64 {
    (1.0 - f64::from(depth.max(1))).exp2()
}

/// x^p, p >= 1, ceil(log2 p) levels down: squares, and products of those that make p. At the canonical scale if x is.
pub(super) fn power<A: Arithmetic>(m: &mut A, x: &A::Value, p: usize) -> Result<A::Value> {
    let (mut square, mut result) = (x.clone(), None);
    let top = p.max(1).ilog2();
    for i in 0..=top {
        if p >> i & 1 == 1 {
            result = Some(match result {
                None => square.clone(),
                Some(low) if m.level(&low) > m.level(&square) => {
                    let (product, _) = product_with_free(m, &square, &low, &Scale::pow2(0))?;
                    m.relinearise_rescale(&product)?
                }
                Some(low) => {
                    let product = m.mul(&square, &low)?;
                    m.relinearise_rescale(&product)?
                }
            });
        }
        if i < top {
            let product = m.mul(&square, &square)?;
            square = m.relinearise_rescale(&product)?;
        }
    }
    Ok(result.unwrap_or(square))
}

/// The canonical scale of a level.
pub(super) fn canonical<A: Arithmetic>(m: &A, level: Level) -> Result<Scale> {
    Ok(m.params().level("circuit", level)?.scale.clone())
}

/// x at a level and exactly at a scale.
pub(super) fn brought_to<A: Arithmetic>(
    m: &mut A,
    x: &A::Value,
    level: Level,
    scale: &Scale,
) -> Result<A::Value> {
    if (m.level(x), m.scale(x)) == (level, scale.clone()) {
        return Ok(x.clone());
    }
    let above = m.lower(x, Level(level.0.saturating_add(1)))?;
    m.adjust_below(&above, scale)
}

/// free x, the product of `fixed` and a value of a higher level, rescaled to the canonical scale exactly: the free one takes whatever
/// scale that needs. `factor`, a rational of few bits, multiplies the product without an operation.
pub(super) fn product_with_free<A: Arithmetic>(
    m: &mut A,
    fixed: &A::Value,
    free: &A::Value,
    factor: &Scale,
) -> Result<(A::Value, Scale)> {
    let level = m.level(fixed);
    let below = level.below().unwrap_or(level);
    let before = m.before_rescale(below, &canonical(m, below)?)?;
    let scale = before.mul(factor)?.div(&m.scale(fixed))?;
    let free = brought_to(m, free, level, &scale)?;
    let product = m.mul(fixed, &free)?;
    let product = m.at_scale(&product, before.clone())?;
    Ok((product, before))
}

/// The number nearest to c of 24 significant bits, and the exact scale that it is.
pub(super) fn rational(c: f64) -> Result<(f64, Scale)> {
    let unit = (c.log2().floor() - 23.0).exp2();
    let rounded = Interval::symmetric((c / unit).round() * unit)?;
    Ok((rounded.half(), rounded.half_scale()?))
}
