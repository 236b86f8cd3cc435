//! The checks on a [`ChainSpec`], and the numbers that follow from it.

use super::{
    chain::{ChainError, ChainKind, ChainSpec, PAIR_BITS},
    chain_search::limit,
};

/// Most levels of a chain: exponents of exact scales double per level.
pub(super) const MAX_LEVELS: usize = 44;

impl ChainSpec {
    /// Nominal log2 of the scale of a level; 0 for one that does not exist.
    pub fn scale(&self, level: usize) -> f64 {
        self.scale_bits.get(level).copied().unwrap_or(0.0)
    }

    /// Weight bits absorbed by the step down from a level; 0 at level 0.
    pub fn absorbed(&self, level: usize) -> f64 {
        let bits = level.checked_sub(1).and_then(|l| self.absorbed_bits.get(l));
        bits.copied().map_or(0.0, f64::from)
    }

    /// Nominal bits removed by the step down from a level: 2 D_l + absorbed - D_{l-1}; 0 at level 0.
    pub fn step_bits(&self, level: usize) -> f64 {
        level.checked_sub(1).map_or(0.0, |below| {
            2.0 * self.scale(level) + self.absorbed(level) - self.scale(below)
        })
    }

    /// Whether the step down from a level removes two primes and adds none.
    pub(super) fn is_pair_step(&self, level: usize) -> bool {
        match self.kind {
            ChainKind::Pair => true,
            ChainKind::Mixed => PAIR_BITS.contains(&self.step_bits(level)),
            ChainKind::Single | ChainKind::Rational => false,
        }
    }

    /// What a row costs at a level: upper levels up to twice as much, since most time goes there.
    pub(super) fn weight(&self, level: usize) -> f64 {
        1.0 + level as f64 / self.scale_bits.len() as f64
    }
}

fn range(what: String, value: f64, low: f64, high: f64, hint: &'static str) -> Result<(), ChainError> {
    // A value that is not a number is in no range.
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(ChainError::Range {
        what,
        value,
        low,
        high,
        hint,
    })
}

/// Checks every number of a specification and returns its bound on log2(prod(U) prod(P)).
pub(super) fn validate(spec: &ChainSpec) -> Result<f64, ChainError> {
    let log_n = spec.log_n;
    if !(4..=17).contains(&log_n) {
        return Err(ChainError::Degree { log_n });
    }
    let levels = spec.scale_bits.len();
    range(
        "number of levels (scale_bits)".to_owned(),
        levels as f64,
        1.0,
        MAX_LEVELS as f64,
        "the exponents of exact scales double per level; bootstrap instead of more levels",
    )?;
    if spec.absorbed_bits.len() + 1 != levels {
        return Err(ChainError::Length {
            list: "absorbed_bits",
            got: spec.absorbed_bits.len(),
            want: levels - 1,
            why: "one entry per step, that is one fewer than levels",
        });
    }
    for (level, bits) in spec.scale_bits.iter().enumerate() {
        range(
            format!("scale_bits[{level}]"),
            *bits,
            15.0,
            75.0,
            "single chains reach about 30 bits, rational ones 20 to 75, pairs 50 to 60",
        )?;
    }
    let top = spec.scale(levels - 1);
    if top.fract() != 0.0 {
        return Err(ChainError::TopScale { bits: top });
    }
    let (low, high) = spec.kind.step_bits();
    for level in 1..levels {
        range(
            format!(
                "bits of step {level} -> {} (2 D_{level} + absorbed - D_{})",
                level - 1,
                level - 1
            ),
            spec.step_bits(level),
            low,
            high,
            "change the scales or the weight bits, or take another kind of chain",
        )?;
    }
    let least = spec.scale(0) + 1.0 + spec.kind.tolerance_bits();
    range(
        "base_bits".to_owned(),
        spec.base_bits,
        least,
        4000.0,
        "the base holds the scale and a bit above it",
    )?;
    range(
        "digits".to_owned(),
        spec.digits as f64,
        1.0,
        255.0,
        "one digit is the least, one per prime the most",
    )?;
    range(
        "special_margin_bits".to_owned(),
        spec.special_margin_bits,
        0.0,
        60.0,
        "P is at least every digit; 2 to 10 bits more lower the noise of key switching",
    )?;
    let limit = limit(spec)?;
    range(
        "max_log2_qp".to_owned(),
        limit,
        1.0,
        1e6,
        "leave it out for the bound at 128 bits",
    )?;
    Ok(limit)
}
