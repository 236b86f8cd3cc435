//! The smallest parameters for a wish: a shipped chain where one fits, else one that the search of `ring` finds.
//!
//! For each N the scale follows from the precision, and the kind of chain from the scale. More digits make P smaller and keys larger.
//! Before a search, and to say what would fit where nothing does, sizes are estimated from below:
//! log2 QP >= base + depth * scale + base-and-steps / digits.

use super::{
    Failure, Wish,
    plan::{Plan, error_bits},
    shipped,
};
use crate::{
    report::bytes,
    ring::{
        ChainKind, ChainSpec, build,
        security::{TIERS, max_log2_qp},
    },
    rlwe::{Params, Spec},
};

const DEGREES: [u32; 6] = [12, 13, 14, 15, 16, 17];
const DIGITS: [usize; 6] = [1, 2, 3, 4, 6, 8];
/// Bits of the base above the scale: values up to 2^9 in size.
const HEADROOM_BITS: f64 = 10.0;
/// Bits of P above the largest digit.
const MARGIN_BITS: f64 = 2.0;
/// Bits of a prime.
const PRIME_BITS: f64 = 30.0;
/// Bits that a rational chain has in U beside its highest level: what the steps bring back.
const RATIONAL_BITS: f64 = 45.0;

/// Bits below the bound that make a search likely to succeed.
const SPARE_BITS: f64 = 40.0;

/// Parameters, and their name if they come with the crate.
pub(super) struct Choice {
    pub(super) name: Option<&'static str>,
    pub(super) params: Params,
}

/// A chain to search for.
struct Candidate {
    spec: ChainSpec,
    memory: u64,
}

fn fits(plan: &Plan, wish: &Wish) -> bool {
    plan.depth >= wish.depth
        && plan.precision_bits >= wish.precision
        && plan.security_bits >= wish.security
        && wish.memory.is_none_or(|most| plan.memory_bytes <= most)
}

/// The chains worth a search at one degree, smallest memory first, whatever the memory that is there; with bits to spare below the
/// bound on the modulus.
fn candidates(wish: &Wish, log_n: u32, spare_bits: f64) -> Vec<Candidate> {
    let Some(bound) = max_log2_qp(log_n, wish.security).map(f64::from) else {
        return Vec::new();
    };
    let least = wish.precision + error_bits(log_n);
    let kind = match least {
        bits if bits <= 28.0 - ChainKind::Single.tolerance_bits() => ChainKind::Single,
        bits if bits <= 50.0 => ChainKind::Rational,
        _ => ChainKind::Pair,
    };
    let scale = match kind {
        ChainKind::Single => 28.0,
        ChainKind::Rational | ChainKind::Mixed => (least + kind.tolerance_bits()).ceil().max(30.0),
        ChainKind::Pair => (least + kind.tolerance_bits()).ceil(),
    };
    if scale > 58.0 {
        return Vec::new();
    }
    let levels = wish.depth as usize;
    let base_bits = scale + HEADROOM_BITS;
    let top = base_bits + scale * levels as f64;
    let union = match kind {
        ChainKind::Rational | ChainKind::Mixed => top + RATIONAL_BITS,
        ChainKind::Single | ChainKind::Pair => top,
    };
    let digits = DIGITS
        .iter()
        .filter(|d| union + union / **d as f64 + MARGIN_BITS + spare_bits <= bound);
    let candidate = |digits: &usize| {
        let special = union / *digits as f64 + MARGIN_BITS;
        let rows = |bits: f64| (bits / PRIME_BITS).ceil() as usize;
        Candidate {
            memory: wish
                .work
                .bytes(log_n, *digits, rows(union) + rows(special), rows(top)),
            spec: ChainSpec {
                log_n,
                kind,
                scale_bits: vec![scale; levels + 1],
                absorbed_bits: vec![0; levels],
                base_bits,
                digits: *digits,
                special_margin_bits: MARGIN_BITS,
                max_log2_qp: Some(bound),
            },
        }
    };
    let mut all: Vec<Candidate> = digits.map(candidate).collect();
    all.sort_by_key(|c| c.memory);
    all
}

/// The parameters of least memory, among the smallest N that does.
pub(super) fn choose(wish: &Wish) -> Result<Choice, Failure> {
    let mut named: Vec<(Plan, &'static str, Params)> = shipped()?
        .into_iter()
        .map(|(name, params)| (Plan::new(&params, &wish.work), name, params))
        .filter(|(plan, ..)| fits(plan, wish))
        .collect();
    named.sort_by_key(|(plan, ..)| (plan.log_n, plan.memory_bytes));
    let named = named.into_iter().next();
    for log_n in DEGREES {
        if let Some((plan, name, params)) = &named
            && plan.log_n <= log_n
        {
            return Ok(Choice {
                name: Some(*name),
                params: params.clone(),
            });
        }
        for candidate in candidates(wish, log_n, 0.0) {
            if wish.memory.is_some_and(|most| candidate.memory > most) {
                continue;
            }
            let Ok(chain) = build(&candidate.spec) else {
                continue;
            };
            let params = Params::new(Spec { chain })?;
            if fits(&Plan::new(&params, &wish.work), wish) {
                return Ok(Choice { name: None, params });
            }
        }
    }
    Err(nothing(wish))
}

/// Estimate of the least memory that the smallest likely chains take; none where no search is likely to find one.
fn estimate(wish: &Wish) -> Option<u64> {
    let memory = |n: &u32| candidates(wish, *n, SPARE_BITS).first().map(|c| c.memory / 4 * 5);
    DEGREES.iter().filter_map(memory).min()
}

fn likely(wish: &Wish) -> bool {
    estimate(wish).is_some_and(|memory| wish.memory.is_none_or(|most| memory <= most))
}

/// Which single constraint, relaxed as little as it takes, would leave parameters.
fn nothing(wish: &Wish) -> Failure {
    let wanted = format!(
        "no parameters have depth {}, {} bits of precision and {}-bit security{}",
        wish.depth,
        wish.precision,
        wish.security,
        wish.memory
            .map_or(String::new(), |m| format!(" within {}", bytes(m as usize)))
    );
    let mut remedies = Vec::new();
    if let Some(least) = estimate(wish).filter(|least| wish.memory.is_some_and(|most| *least > most)) {
        remedies.push(format!(
            "--memory {}MB (fewer --rotations or --ciphertexts would do as well)",
            (least as f64 / 1e6).ceil()
        ));
    }
    let depth = |depth: u32| Wish {
        depth,
        ..wish.clone()
    };
    if let Some(depth) = (1..wish.depth).rev().find(|d| likely(&depth(*d))) {
        remedies.push(format!("--depth {depth}"));
    }
    let precision = |bits: u32| Wish {
        precision: f64::from(bits),
        ..wish.clone()
    };
    let below = (wish.precision.ceil() as u32).saturating_sub(1);
    if let Some(bits) = (1..=below).rev().find(|b| likely(&precision(*b))) {
        remedies.push(format!("--precision {bits}"));
    }
    let security = |security: u32| Wish {
        security,
        ..wish.clone()
    };
    if let Some(bits) = TIERS
        .iter()
        .rev()
        .find(|b| **b < wish.security && likely(&security(**b)))
    {
        remedies.push(format!("--security {bits}"));
    }
    match remedies.as_slice() {
        [] => format!("{wanted}, and no single one of these is to blame; ask for less of several").into(),
        some => format!(
            "{wanted}; by estimate one of these would do, everything else as asked: {}",
            some.join(", or ")
        )
        .into(),
    }
}
