//! What is compared: everything that a scope stands for, in parts that can be run apart.

use std::fmt;

use super::{Candidate, Judgement, Scope, run_all, run_levels};
use crate::ring::{self, ChainTable};

/// log2 of the largest ring whose chains are compared at every level, in both batch sizes.
const SMALL: u32 = 12;
/// Levels of a part, where the ring is larger.
const LEVELS: usize = 4;

/// A part of a comparison.
#[derive(Clone, Debug)]
pub enum Part {
    /// All operations on rings of one size.
    Operations {
        /// log2 of the ring degree.
        log_n: u32,
        /// Batch size.
        items: usize,
    },
    /// The steps of levels of a chain.
    Levels {
        /// The chain's name.
        name: &'static str,
        /// The chain.
        chain: ChainTable,
        /// Which of its levels.
        levels: Vec<usize>,
        /// Batch size.
        items: usize,
    },
}

impl Part {
    /// Runs it on every candidate.
    pub fn run(&self, candidates: &[Candidate]) -> Judgement {
        match self {
            Self::Operations { log_n, items } => {
                let scope = Scope {
                    log_n: vec![*log_n],
                    items: vec![*items],
                };
                run_all(candidates, &scope)
            }
            Self::Levels {
                chain, levels, items, ..
            } => run_levels(candidates, chain, levels, *items),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operations { log_n, items } => write!(f, "operations, N = 2^{log_n}, batch {items}"),
            Self::Levels {
                name, levels, items, ..
            } => write!(f, "levels {levels:?} of {name}, batch {items}"),
        }
    }
}

/// Rings of 2^4 and 2^8, a second or so.
pub fn quick() -> Vec<Part> {
    operations(&Scope::quick())
}

/// Rings to 2^12, batches of one and three, all levels of the chains of that size, three levels of one of 2^16.
pub fn standard() -> Vec<Part> {
    let mut parts = operations(&Scope::full());
    parts.extend(small());
    let few = ring::chains().filter(|(name, _)| *name == "n16_pair55_l21_d3");
    parts.extend(few.map(|(name, chain)| Part::Levels {
        levels: thirds(&chain),
        name,
        chain,
        items: 1,
    }));
    parts
}

/// Besides, rings to 2^17, beyond 2^14 in batches of one; and the larger chains: in batches of one the highest level of every kind of steps and
/// the lowest, middle and highest level of all, in batches of three the lowest and the middle one.
pub fn full() -> Vec<Part> {
    let mut parts = operations(&Scope::full());
    parts.extend(operations(&Scope::large()));
    parts.extend(operations(&Scope::largest()));
    parts.extend(small());
    for (name, chain) in ring::chains().filter(|(_, c)| c.log_n > SMALL) {
        let middle = thirds(&chain).into_iter().filter(|level| *level < chain.top());
        for (levels, items) in [(telling(&chain), 1), (middle.collect(), 3)] {
            // The costliest first: from the top.
            let levels: Vec<usize> = levels.into_iter().rev().collect();
            parts.extend(levels.chunks(LEVELS).map(|levels| Part::Levels {
                name,
                chain: chain.clone(),
                levels: levels.to_vec(),
                items,
            }));
        }
    }
    parts
}

fn operations(scope: &Scope) -> Vec<Part> {
    let of = |log_n: u32| {
        let part = move |items: &usize| Part::Operations { log_n, items: *items };
        scope.items.iter().map(part)
    };
    scope.log_n.iter().copied().flat_map(of).collect()
}

/// All levels of the chains on small rings, in both batch sizes.
fn small() -> impl Iterator<Item = Part> {
    let chains = ring::insecure_chains()
        .chain(ring::chains())
        .filter(|(_, c)| c.log_n <= SMALL);
    chains.flat_map(|(name, chain)| {
        [1, 3].map(|items| Part::Levels {
            name,
            levels: (0..=chain.top()).collect(),
            chain: chain.clone(),
            items,
        })
    })
}

/// The lowest, middle and highest level.
fn thirds(chain: &ChainTable) -> Vec<usize> {
    let mut levels = vec![0, chain.top() / 2, chain.top()];
    levels.dedup();
    levels
}

/// What decides how the steps of a level are computed, beside numbers of rows: the digits in use, whether one of them is a single prime, the
/// primes that the step down removes, and those that it brings back.
#[derive(PartialEq, Eq)]
struct Kind {
    digits: usize,
    single: bool,
    removed: usize,
    brought: usize,
}

impl Kind {
    fn of(chain: &ChainTable, level: usize) -> Self {
        let primes = |level: usize| chain.levels.get(level).map_or(&[][..], |l| &l.primes);
        let own = primes(level);
        let mut in_digit = vec![0usize; chain.digits()];
        for prime in own {
            let digit = chain.digit_of.get(usize::from(*prime));
            if let Some(count) = digit.and_then(|d| in_digit.get_mut(usize::from(*d))) {
                *count += 1;
            }
        }
        let below = level.checked_sub(1).map_or(own, primes);
        let lacks = |of: &[u16], from: &[u16]| of.iter().filter(|i| !from.contains(i)).count();
        Self {
            digits: in_digit.iter().filter(|n| **n > 0).count(),
            single: in_digit.contains(&1),
            removed: lacks(own, below),
            brought: lacks(below, own),
        }
    }
}

/// The highest level of every kind, and the lowest, the middle and the highest of all.
fn telling(chain: &ChainTable) -> Vec<usize> {
    let kinds: Vec<Kind> = (0..=chain.top()).map(|level| Kind::of(chain, level)).collect();
    let ends = thirds(chain);
    let tells = |level: &usize| ends.contains(level) || !kinds[level + 1..].contains(&kinds[*level]);
    (0..=chain.top()).filter(tells).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chain_and_every_kind_of_level_is_in_the_full_plan() {
        let parts = full();
        for (name, chain) in ring::chains().chain(ring::insecure_chains()) {
            let in_batches_of = |wanted: usize| {
                let levels = parts.iter().filter_map(|part| match part {
                    Part::Levels {
                        name: n,
                        levels,
                        items,
                        ..
                    } if *n == name && *items == wanted => Some(levels.clone()),
                    _ => None,
                });
                levels.flatten().collect::<Vec<_>>()
            };
            let (one, three) = (in_batches_of(1), in_batches_of(3));
            for level in 0..=chain.top() {
                let kind = Kind::of(&chain, level);
                let alike = |l: &usize| Kind::of(&chain, *l) == kind;
                assert!(one.iter().any(alike), "{name}, level {level}");
            }
            for level in thirds(&chain) {
                assert!(one.contains(&level), "{name}, level {level}");
            }
            assert!(three.contains(&0) && three.contains(&(chain.top() / 2)), "{name}");
        }
    }

    #[test]
    fn parts_say_what_they_are() {
        let parts = full();
        let text: std::collections::BTreeSet<String> = parts.iter().map(ToString::to_string).collect();
        assert_eq!(text.len(), parts.len());
        assert!(text.contains("operations, N = 2^17, batch 1"));
        assert!(quick().len() < standard().len() && standard().len() < parts.len());
    }
}
