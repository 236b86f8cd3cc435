//! From the steps a search found to a [`ChainTable`]: order of U, digits, special primes.

use std::collections::BTreeMap;

use super::{
    chain::{ChainError, ChainKind, ChainSpec, ChainTable, LevelTable},
    chain_primes::PrimeList,
    chain_search::Draft,
};
use crate::arith::MAX_MODULUS_BITS;

/// The table, its cost (rows of all levels with those of P, weighted) and log2(prod(U) prod(P)).
pub(super) fn assemble(
    spec: &ChainSpec,
    primes: &PrimeList,
    draft: &Draft,
) -> Result<(ChainTable, f64, f64), ChainError> {
    let mut sets = vec![draft.base.clone()];
    for step in draft.steps.iter().rev() {
        let mut set = sets.last().cloned().unwrap_or_default();
        set.retain(|i| !step.added.contains(i));
        set.extend(&step.removed);
        sets.push(set);
    }
    // Lowest level, then most levels, then largest: (lowest, -levels, -value).
    let mut life: BTreeMap<usize, (usize, i64)> = BTreeMap::new();
    for (level, set) in sets.iter().enumerate() {
        for i in set {
            life.entry(*i).or_insert((level, 0)).1 -= 1;
        }
    }
    let mut order: Vec<usize> = life.keys().copied().collect();
    order.sort_by_key(|i| (life.get(i).copied(), std::cmp::Reverse(*i)));
    let place: BTreeMap<usize, u16> = (0..).zip(&order).map(|(at, i)| (*i, at)).collect();

    let logs: Vec<f64> = order.iter().map(|i| primes.log(*i)).collect();
    let (digit_of, largest) = partition(&logs, spec.digits)?;
    let special = special_primes(spec, primes, draft, largest)?;

    let table = ChainTable {
        log_n: spec.log_n,
        kind: spec.kind,
        primes: order
            .iter()
            .filter_map(|i| primes.values.get(*i))
            .copied()
            .collect(),
        special: special
            .iter()
            .filter_map(|i| primes.values.get(*i))
            .copied()
            .collect(),
        digit_of,
        levels: (sets.iter().enumerate())
            .map(|(level, set)| {
                let mut indices: Vec<u16> = set.iter().filter_map(|i| place.get(i)).copied().collect();
                indices.sort_unstable();
                LevelTable {
                    primes: indices,
                    nominal_bits: spec.scale(level),
                    absorbed_bits: spec.absorbed(level) as i32,
                }
            })
            .collect(),
    };
    let rows = |(level, set): (usize, &Vec<usize>)| spec.weight(level) * (set.len() + special.len()) as f64;
    let added: usize = draft.steps.iter().map(|s| s.added.len()).sum();
    let log2_up = logs.iter().sum::<f64>() + primes.sum(&special);
    // The base of a bootstrap decides the message ratio: bits above what was asked for are noise.
    let above = match spec.kind {
        ChainKind::Mixed => primes.sum(&draft.base) - spec.base_bits,
        ChainKind::Single | ChainKind::Pair | ChainKind::Rational => 0.0,
    };
    let cost = sets.iter().enumerate().map(rows).sum::<f64>() + 0.2 * added as f64 + 0.01 * log2_up + above;
    Ok((table, cost, log2_up))
}

/// The special primes, largest first: as few as possible, then as small as possible.
fn special_primes(
    spec: &ChainSpec,
    primes: &PrimeList,
    draft: &Draft,
    largest_digit: f64,
) -> Result<Vec<usize>, ChainError> {
    // The sum of logarithms decides, so leave what rounding could lose.
    let bits = largest_digit + spec.special_margin_bits + 1e-6;
    let fewest = ((bits / f64::from(MAX_MODULUS_BITS)).ceil() as usize).max(1);
    // The primes kept for P are marked as used; the marks of U alone are wanted here.
    let mut used = primes.nothing_used();
    let steps = draft.steps.iter().flat_map(|s| s.removed.iter().chain(&s.added));
    steps.chain(&draft.base).for_each(|i| used.insert(*i));
    let found = (fewest..fewest + 3).find_map(|count| primes.product_at_least(bits, count, &used));
    let Some(mut special) = found else {
        return Err(ChainError::Exhausted {
            log_n: spec.log_n,
            part: "special modulus",
            bits,
        });
    };
    special.sort_unstable_by(|a, b| b.cmp(a));
    Ok(special)
}

/// Cuts a list into exactly `digits` contiguous groups with the least largest sum: the digit of each entry and that sum.
fn partition(logs: &[f64], digits: usize) -> Result<(Vec<u8>, f64), ChainError> {
    let n = logs.len();
    if digits > n {
        return Err(ChainError::Length {
            list: "primes of U",
            got: n,
            want: digits,
            why: "every digit has at least one prime; ask for fewer digits",
        });
    }
    let mut sums = vec![0.0];
    for log in logs {
        sums.push(sums.last().copied().unwrap_or(0.0) + log);
    }
    let sum = |from: usize, to: usize| match (sums.get(from), sums.get(to)) {
        (Some(a), Some(b)) => b - a,
        _ => f64::INFINITY,
    };
    // best[end] and cut[digit][end]: the least largest sum over the first `end` entries, and where the last group starts.
    let mut best: Vec<f64> = (0..=n)
        .map(|end| if end == 0 { f64::INFINITY } else { sum(0, end) })
        .collect();
    let mut cuts: Vec<Vec<usize>> = vec![vec![0; n + 1]];
    for digit in 1..digits {
        let mut next = vec![f64::INFINITY; n + 1];
        let mut cut = vec![0; n + 1];
        for (end, (value, at)) in next.iter_mut().zip(&mut cut).enumerate() {
            for start in digit..end {
                let largest = best
                    .get(start)
                    .copied()
                    .unwrap_or(f64::INFINITY)
                    .max(sum(start, end));
                if largest < *value {
                    (*value, *at) = (largest, start);
                }
            }
        }
        best = next;
        cuts.push(cut);
    }
    let mut digit_of = vec![0u8; n];
    let mut end = n;
    for (digit, cut) in cuts.iter().enumerate().rev() {
        let start = cut.get(end).copied().unwrap_or(0);
        for slot in digit_of.iter_mut().take(end).skip(start) {
            *slot = u8::try_from(digit).unwrap_or(u8::MAX);
        }
        end = start;
    }
    Ok((digit_of, best.get(n).copied().unwrap_or(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_balanced_and_contiguous() {
        assert_eq!(
            partition(&[30.0, 30.0, 30.0, 20.0, 20.0], 2).unwrap(),
            (vec![0, 0, 1, 1, 1], 70.0)
        );
        assert_eq!(partition(&[1.0, 2.0, 3.0], 3).unwrap(), (vec![0, 1, 2], 3.0));
        assert_eq!(partition(&[1.0, 2.0, 3.0], 1).unwrap(), (vec![0, 0, 0], 6.0));
        assert!(matches!(
            partition(&[1.0], 2),
            Err(ChainError::Length { want: 2, .. })
        ));
    }
}
