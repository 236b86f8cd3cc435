//! Modulus chains: which primes each level has, and the exact scale that follows.
//!
//! A level l is a set S_l of primes of the union U. The step l -> l-1 adds A = S_{l-1} \ S_l and removes R = S_l \ S_{l-1};
//! after a product, D_{l-1} = D_l^2 2^absorbed prod(A) / prod(R), where 2^absorbed is what small-integer weights brought
//! in besides. The top scale is a power of two. Order of U: by the lowest level a prime serves, so that a key truncated
//! at level l keeps a prefix; digits are contiguous groups of U, and the special modulus P is at least every digit. Security
//! is judged on prod(U) prod(P).

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::{
    crt,
    scale::{Scale, ScaleError},
    security::{self, SecurityError},
};
use crate::arith::{MAX_MODULUS_BITS, is_prime};

/// The steps, in bits, that a mixed chain takes with two primes.
pub const PAIR_BITS: std::ops::RangeInclusive<f64> = 54.0..=59.75;

/// What a step of a chain may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChainKind {
    /// Every step removes one prime; the scale is what the primes give, within 2^-3 of nominal in log2.
    Single,
    /// Every step removes two primes; within 2^-10 of nominal.
    Pair,
    /// Every step removes up to four primes and adds up to two; within 2^-10 of nominal.
    Rational,
    /// Steps of [`PAIR_BITS`] remove two primes, all others are rational; within 2^-10 of nominal. The chain of a bootstrap, whose
    /// upper scales are twice a prime and whose lower ones are not.
    Mixed,
}

impl ChainKind {
    /// Largest |log2(scale) - nominal| at any level.
    pub const fn tolerance_bits(self) -> f64 {
        match self {
            Self::Single => 0.125,
            Self::Pair | Self::Rational | Self::Mixed => 1.0 / 1024.0,
        }
    }

    /// (fewest and most primes removed by a step, most added).
    pub const fn step_shape(self) -> (usize, usize, usize) {
        match self {
            Self::Single => (1, 1, 0),
            Self::Pair => (2, 2, 0),
            Self::Rational | Self::Mixed => (1, 4, 2),
        }
    }

    /// Range of log2 of the quotient prod(R) / prod(A) that a step of this kind can have.
    pub const fn step_bits(self) -> (f64, f64) {
        match self {
            Self::Single => (20.0, 30.0),
            Self::Pair => (40.0, 60.0),
            Self::Rational | Self::Mixed => (20.0, 100.0),
        }
    }
}

impl fmt::Display for ChainKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Single => "single",
            Self::Pair => "pair",
            Self::Rational => "rational",
            Self::Mixed => "mixed",
        })
    }
}

/// What a chain should be; [`build`] finds the primes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChainSpec {
    /// log2 of the ring degree.
    pub log_n: u32,
    /// What steps may do.
    pub kind: ChainKind,
    /// Nominal log2 of the scale, index = level, level 0 last reached. The top level's is an integer.
    pub scale_bits: Vec<f64>,
    /// `absorbed_bits[l - 1]`: bits of small-integer weight scale that the step l -> l-1 removes besides. Negative ones say that a
    /// factor at level l has a scale below D_l by as many bits: the step is smaller, and scales can shrink from level to level.
    pub absorbed_bits: Vec<i32>,
    /// At least this many bits in Q_0.
    pub base_bits: f64,
    /// Number of digits of key switching.
    pub digits: usize,
    /// log2(P) is at least that of the largest digit plus this (>= 0).
    pub special_margin_bits: f64,
    /// Largest log2(prod(U) prod(P)); `None` is the 128-bit bound of [`security`]. A larger value makes an insecure chain
    /// that [`ChainTable::check`] refuses.
    pub max_log2_qp: Option<f64>,
}

/// One level of a chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelTable {
    /// S_l, as strictly ascending indices into U.
    pub primes: Vec<u16>,
    /// Nominal log2 of the scale.
    pub nominal_bits: f64,
    /// Bits of weight scale absorbed by the step down from this level, negative if a factor lacks some; 0 at level 0.
    pub absorbed_bits: i32,
}

/// A chain: the primes and the sets. Anything can be written into one; [`ChainTable::check`] says whether it holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChainTable {
    /// log2 of the ring degree.
    pub log_n: u32,
    /// What steps may do.
    pub kind: ChainKind,
    /// U, in index order.
    pub primes: Vec<u32>,
    /// P.
    pub special: Vec<u32>,
    /// The digit of each prime of U, ascending from 0 without gaps.
    pub digit_of: Vec<u8>,
    /// The levels, level 0 first.
    pub levels: Vec<LevelTable>,
}

/// Why a chain cannot be built, or is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// Unsupported ring degree.
    #[error("ring degree 2^{log_n} is outside 2^4..2^17, for which chains are built")]
    Degree {
        /// log2 of the ring degree.
        log_n: u32,
    },
    /// The lists of a specification or table do not fit together.
    #[error("{list} has {got} entries, but {want} are needed: {why}")]
    Length {
        /// Which list.
        list: &'static str,
        /// Its entries.
        got: usize,
        /// Entries needed.
        want: usize,
        /// Why.
        why: &'static str,
    },
    /// A number of a specification is out of range.
    #[error("{what} = {value} is outside {low}..={high}; {hint}")]
    Range {
        /// Which number.
        what: String,
        /// What was given.
        value: f64,
        /// Smallest allowed.
        low: f64,
        /// Largest allowed.
        high: f64,
        /// What to do.
        hint: &'static str,
    },
    /// The top scale is not a power of two.
    #[error("top scale 2^{bits} is not a power of two; its nominal bits must be a whole number")]
    TopScale {
        /// Nominal bits of the top level.
        bits: f64,
    },
    /// No primes were found for a step.
    #[error(
        "level {level}: no primes = 1 mod 2^{} make the step down of {step_bits:.3} bits within 2^{tolerance_log2} of its \
         scale; change the scale of level {} by a bit, use fewer levels, or a {alternative}",
        log_n + 1, level - 1
    )]
    Unreachable {
        /// log2 of the ring degree.
        log_n: u32,
        /// The level whose step down failed, the lowest that the search reached.
        level: usize,
        /// Nominal bits of that step.
        step_bits: f64,
        /// log2 of the tolerance.
        tolerance_log2: i32,
        /// Another kind to try.
        alternative: &'static str,
    },
    /// Too few primes are left for the base or the special modulus.
    #[error("not enough primes = 1 mod 2^{} below 2^30 are left for {bits:.1} bits of the {part}; use fewer levels or a smaller ring", log_n + 1)]
    Exhausted {
        /// log2 of the ring degree.
        log_n: u32,
        /// "base" or "special modulus".
        part: &'static str,
        /// Bits needed.
        bits: f64,
    },
    /// The best chain found is too large.
    #[error(
        "the smallest chain found has log2(QP) = {log2_qp:.2}, {:.2} above the limit {limit:.2} for N = 2^{log_n}; use fewer \
         levels, smaller scales, more digits than {digits} (smaller P) or N = 2^{}",
        log2_qp - limit, log_n + 1
    )]
    TooLarge {
        /// log2 of the ring degree.
        log_n: u32,
        /// The smallest found.
        log2_qp: f64,
        /// The limit.
        limit: f64,
        /// Digits asked for.
        digits: usize,
    },
    /// A modulus is no prime of the ring.
    #[error("modulus {p} is not a prime = 1 mod 2^{} between 2^{} and 2^30", log_n + 1, log_n + 1)]
    Prime {
        /// The modulus.
        p: u32,
        /// log2 of the ring degree.
        log_n: u32,
    },
    /// A prime twice in U and P.
    #[error("prime {p} occurs twice among the {count} primes of U and P; all must be distinct")]
    Duplicate {
        /// The prime.
        p: u32,
        /// Primes in U and P.
        count: usize,
    },
    /// A level's indices are not strictly ascending indices into U.
    #[error(
        "level {level}: index {index} at place {place} is out of order or not below {primes}, the number of primes of U"
    )]
    Index {
        /// The level.
        level: usize,
        /// Place in the list.
        place: usize,
        /// The index.
        index: u16,
        /// Number of primes of U.
        primes: usize,
    },
    /// A prime of U in no level.
    #[error("prime {p} (index {index}) is in no level; drop it from U")]
    Unused {
        /// The prime.
        p: u32,
        /// Its index.
        index: usize,
    },
    /// The order of U is not that of the lowest levels.
    #[error(
        "prime {p} (index {index}) serves down to level {lowest}, but its predecessor only to level {before}; sort U by lowest level"
    )]
    Order {
        /// The prime.
        p: u32,
        /// Its index.
        index: usize,
        /// Lowest level it serves.
        lowest: usize,
        /// Lowest level of its predecessor.
        before: usize,
    },
    /// Digits are not contiguous groups numbered from 0.
    #[error(
        "prime index {index} has digit {digit} after digit {before}; digits are contiguous and count up from 0"
    )]
    Digit {
        /// Index of the prime.
        index: usize,
        /// Its digit.
        digit: u8,
        /// The digit expected to repeat or be followed.
        before: u8,
    },
    /// The special modulus is smaller than a digit.
    #[error(
        "digit {digit} has {digit_bits:.3} bits, more than the {special_bits:.3} of P; add a special prime or use more digits"
    )]
    Special {
        /// The digit.
        digit: u8,
        /// log2 of its product.
        digit_bits: f64,
        /// log2 of P.
        special_bits: f64,
    },
    /// A step removes or adds a number of primes that its kind does not.
    #[error("step {level} -> {}: {removed} primes removed and {added} added; a {kind} chain removes {} to {} and adds at most {}",
        level - 1, kind.step_shape().0, kind.step_shape().1, kind.step_shape().2)]
    Step {
        /// The level above.
        level: usize,
        /// Primes removed.
        removed: usize,
        /// Primes added.
        added: usize,
        /// The kind of chain.
        kind: ChainKind,
    },
    /// A level's exact scale is too far from nominal.
    #[error("level {level}: the exact scale is 2^{exact:.5}, nominal 2^{nominal:.5}; a {kind} chain allows {} in log2", kind.tolerance_bits())]
    Deviation {
        /// The level.
        level: usize,
        /// log2 of the exact scale.
        exact: f64,
        /// log2 of the nominal scale.
        nominal: f64,
        /// The kind of chain.
        kind: ChainKind,
    },
    /// A level has no room above its scale.
    #[error(
        "level {level}: log2(Q) = {log2_q:.2} leaves less than a bit above the scale 2^{scale_bits:.2}; raise the base"
    )]
    Room {
        /// The level.
        level: usize,
        /// log2 of its modulus.
        log2_q: f64,
        /// log2 of its scale.
        scale_bits: f64,
    },
    /// A scale could not be formed.
    #[error(transparent)]
    Scale(#[from] ScaleError),
    /// The modulus is too large for 128 bits of security.
    #[error(transparent)]
    Security(#[from] SecurityError),
}

/// Finds a chain with `spec`: the fewest rows per level, upper levels first, that the bound on log2(QP) allows.
/// Deterministic.
///
/// # Errors
/// Says which part of the specification is out of range, which step has no primes, or by how many bits the smallest chain
/// found is too large.
pub fn build(spec: &ChainSpec) -> Result<ChainTable, ChainError> {
    super::chain_search::search(spec)
}

impl ChainTable {
    /// Validates everything, and at least 128 bits of security (eprint 2024/463).
    ///
    /// # Errors
    /// The first fault found, in the order: sizes, primes, sets, digits, special modulus, steps and exact scales, security.
    pub fn check(&self) -> Result<super::ChainReport, ChainError> {
        let report = self.check_insecure()?;
        security::check(self.log_n, &self.all_primes(), 128)?;
        Ok(report)
    }

    /// [`ChainTable::check`] without the security check, for tests on small rings.
    ///
    /// # Errors
    /// As [`ChainTable::check`], security apart.
    pub fn check_insecure(&self) -> Result<super::ChainReport, ChainError> {
        self.check_primes()?;
        self.check_sets()?;
        self.check_digits()?;
        let scales = self.exact_scales()?;
        for (level, (table, scale)) in self.levels.iter().zip(&scales).enumerate() {
            let (exact, nominal, log2_q) = (scale.log2(), table.nominal_bits, self.log2_q(level));
            // False for a nominal value that is not a number.
            let near = (exact - nominal).abs() <= self.kind.tolerance_bits();
            if !near {
                let kind = self.kind;
                return Err(ChainError::Deviation {
                    level,
                    exact,
                    nominal,
                    kind,
                });
            }
            if log2_q < exact + 1.0 {
                return Err(ChainError::Room {
                    level,
                    log2_q,
                    scale_bits: exact,
                });
            }
        }
        Ok(super::ChainReport::new(self, scales))
    }

    /// Number of the top level.
    pub fn top(&self) -> usize {
        self.levels.len().saturating_sub(1)
    }

    /// The primes of a level, in index order; none for a level that does not exist.
    pub fn level_primes(&self, level: usize) -> Vec<u32> {
        self.pick(self.levels.get(level).map_or(&[], |l| &l.primes))
    }

    /// log2(Q_l); 0 for a level that does not exist.
    pub fn log2_q(&self, level: usize) -> f64 {
        crt::log2_product(&self.level_primes(level))
    }

    /// The primes of one digit, in index order.
    pub fn digit_primes(&self, digit: u8) -> Vec<u32> {
        let pairs = self.primes.iter().zip(&self.digit_of);
        pairs.filter(|(_, d)| **d == digit).map(|(p, _)| *p).collect()
    }

    /// Number of digits.
    pub fn digits(&self) -> usize {
        self.digit_of.last().map_or(0, |d| usize::from(*d) + 1)
    }

    /// The primes added and removed, each as ascending indices into U, by the step from `level` to the one below; both
    /// empty at level 0.
    pub fn step(&self, level: usize) -> (Vec<u16>, Vec<u16>) {
        let below = level.checked_sub(1).and_then(|l| self.levels.get(l));
        let (Some(above), Some(below)) = (self.levels.get(level), below) else {
            return (Vec::new(), Vec::new());
        };
        let without = |a: &[u16], b: &[u16]| a.iter().filter(|i| !b.contains(i)).copied().collect();
        (
            without(&below.primes, &above.primes),
            without(&above.primes, &below.primes),
        )
    }

    /// The exact scale of every level, level 0 first: 2^nominal at the top, then as the steps give it.
    ///
    /// # Errors
    /// [`ChainError::TopScale`] when the top's nominal bits are not a whole number, [`ChainError::Scale`] for exponents beyond
    /// 2^48.
    pub fn exact_scales(&self) -> Result<Vec<Scale>, ChainError> {
        let bits = self.levels.last().map_or(0.0, |l| l.nominal_bits);
        if !(bits.fract() == 0.0 && (1.0..=200.0).contains(&bits)) {
            return Err(ChainError::TopScale { bits });
        }
        let mut scales = vec![Scale::pow2(bits as i32)];
        let mut scale = Scale::pow2(bits as i32);
        for level in (1..self.levels.len()).rev() {
            let (added, removed) = self.step(level);
            let absorbed = self.levels.get(level).map_or(0, |l| l.absorbed_bits);
            scale = scale
                .mul(&scale)?
                .times_pow2(i64::from(absorbed))?
                .rescaled(&self.pick(&added), &self.pick(&removed))?;
            scales.push(scale.clone());
        }
        scales.reverse();
        Ok(scales)
    }

    /// All primes of U and P.
    pub fn all_primes(&self) -> Vec<u32> {
        self.primes.iter().chain(&self.special).copied().collect()
    }

    fn pick(&self, indices: &[u16]) -> Vec<u32> {
        indices
            .iter()
            .filter_map(|i| self.primes.get(usize::from(*i)))
            .copied()
            .collect()
    }

    fn check_primes(&self) -> Result<(), ChainError> {
        let log_n = self.log_n;
        if !(4..=17).contains(&log_n) {
            return Err(ChainError::Degree { log_n });
        }
        let all = self.all_primes();
        let mut seen = BTreeSet::new();
        for p in &all {
            if p >> MAX_MODULUS_BITS != 0 || p & ((2 << log_n) - 1) != 1 || !is_prime(*p) {
                return Err(ChainError::Prime { p: *p, log_n });
            }
            if !seen.insert(p) {
                return Err(ChainError::Duplicate {
                    p: *p,
                    count: all.len(),
                });
            }
        }
        Ok(())
    }

    fn check_sets(&self) -> Result<(), ChainError> {
        let primes = self.primes.len();
        if self.levels.is_empty() || primes == 0 || primes > usize::from(u16::MAX) {
            let (list, got, want) = if self.levels.is_empty() {
                ("levels", 0, 1)
            } else {
                ("primes", primes, 1)
            };
            let why = "a chain has 1..=65535 primes and at least one level";
            return Err(ChainError::Length { list, got, want, why });
        }
        let mut lowest = vec![None; primes];
        for (level, table) in self.levels.iter().enumerate() {
            let mut next = 0u32;
            for (place, index) in table.primes.iter().enumerate() {
                match lowest.get_mut(usize::from(*index)) {
                    Some(slot) if u32::from(*index) >= next => *slot = slot.or(Some(level)),
                    _ => {
                        return Err(ChainError::Index {
                            level,
                            place,
                            index: *index,
                            primes,
                        });
                    }
                }
                next = u32::from(*index) + 1;
            }
        }
        let mut before = 0;
        for (index, (p, level)) in self.primes.iter().zip(lowest).enumerate() {
            let Some(lowest) = level else {
                return Err(ChainError::Unused { p: *p, index });
            };
            if lowest < before {
                return Err(ChainError::Order {
                    p: *p,
                    index,
                    lowest,
                    before,
                });
            }
            before = lowest;
        }
        for level in 1..self.levels.len() {
            let (added, removed) = self.step(level);
            let (fewest, most, most_added) = self.kind.step_shape();
            if !(fewest..=most).contains(&removed.len()) || added.len() > most_added {
                let (removed, added, kind) = (removed.len(), added.len(), self.kind);
                return Err(ChainError::Step {
                    level,
                    removed,
                    added,
                    kind,
                });
            }
        }
        match self.levels.first() {
            Some(LevelTable { absorbed_bits, .. }) if *absorbed_bits != 0 => Err(ChainError::Range {
                what: "absorbed_bits of level 0".to_owned(),
                value: f64::from(*absorbed_bits),
                low: 0.0,
                high: 0.0,
                hint: "no step goes down from level 0",
            }),
            _ => Ok(()),
        }
    }

    fn check_digits(&self) -> Result<(), ChainError> {
        if self.digit_of.len() != self.primes.len() {
            return Err(ChainError::Length {
                list: "digit_of",
                got: self.digit_of.len(),
                want: self.primes.len(),
                why: "every prime of U has a digit",
            });
        }
        let mut before = 0;
        for (index, digit) in self.digit_of.iter().enumerate() {
            let follows = *digit == before || (index > 0 && before.checked_add(1) == Some(*digit));
            if !follows {
                return Err(ChainError::Digit {
                    index,
                    digit: *digit,
                    before,
                });
            }
            before = *digit;
        }
        let special = crt::product(&self.special);
        for digit in 0..=before {
            let primes = self.digit_primes(digit);
            if crt::product(&primes) > special {
                return Err(ChainError::Special {
                    digit,
                    digit_bits: crt::log2_product(&primes),
                    special_bits: crt::log2_product(&self.special),
                });
            }
        }
        Ok(())
    }
}
