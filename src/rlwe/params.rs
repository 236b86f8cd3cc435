//! Parameters: an open, serialisable [`Spec`], and the checked, immutable, shared [`Params`] made from it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Result, RlweError};
use crate::ring::{Basis, ChainError, ChainReport, ChainTable, Scale, chain, chains, security};

/// A level of a modulus chain. Ciphertexts start high; every rescale goes one down; level 0 is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Level(pub u32);

impl Level {
    /// The level below, if there is one.
    pub fn below(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "level {}", self.0)
    }
}

/// Parameters as a user writes or stores them: unchecked.
///
/// Secrets are uniform ternary; errors are centred binomial with standard deviation 3.24.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The modulus chain: ring degree, primes, levels, digits, special primes.
    pub chain: ChainTable,
}

/// One level of checked parameters.
#[derive(Clone, Debug)]
pub struct LevelParams {
    /// Indices of the level's primes, ascending.
    pub primes: Vec<u32>,
    /// The canonical scale of the level: what a product of two ciphertexts of the level above has after its rescale.
    pub scale: Scale,
    /// log2 of the product of the level's primes.
    pub log2_q: f64,
    /// What the step down from the level above multiplies scales by, prod(A) / prod(R); 1 at the highest level.
    pub step_ratio: Scale,
    /// Bits of weight scale that the step down removes besides a scale.
    pub absorbed_bits: i32,
}

/// Checked parameters. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Params(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    spec: Spec,
    report: ChainReport,
    basis: Basis,
    levels: Vec<LevelParams>,
    special: Vec<u32>,
}

impl Params {
    /// A chain that comes with the crate, by name; the error lists the names.
    pub fn shipped(name: &str) -> Result<Self> {
        let unknown = || RlweError::UnknownChain {
            name: name.to_owned(),
            known: chains().map(|(name, _)| name).collect::<Vec<_>>().join(", "),
        };
        Self::new(Spec {
            chain: chain(name).ok_or_else(unknown)?,
        })
    }

    /// Checks the chain, and that the product of all primes keeps 128 bits of security by the 2024 table.
    pub fn new(spec: Spec) -> Result<Self> {
        spec.chain.check()?;
        Self::insecure(spec)
    }

    /// Checks everything but security; for tests and demonstrations of how a chain works.
    pub fn insecure(spec: Spec) -> Result<Self> {
        let report = spec.chain.check_insecure()?;
        let chain = &spec.chain;
        let all: Vec<u32> = chain.primes.iter().chain(&chain.special).copied().collect();
        let basis = Basis::new(chain.log_n, &all)?;
        let mut levels = Vec::new();
        for (l, (level, report)) in chain.levels.iter().zip(&report.levels).enumerate() {
            let above = chain
                .levels
                .get(l + 1)
                .map_or(&level.primes, |above| &above.primes);
            let apart = |a: &[u16], b: &[u16]| -> Vec<u32> {
                let only = a.iter().filter(|i| !b.contains(i));
                only.map(|i| basis.prime(u32::from(*i)).value()).collect()
            };
            let (added, removed) = (apart(&level.primes, above), apart(above, &level.primes));
            let ratio = Scale::pow2(0).rescaled(&added, &removed);
            levels.push(LevelParams {
                primes: level.primes.iter().map(|i| u32::from(*i)).collect(),
                scale: report.scale.clone(),
                log2_q: report.log2_q,
                step_ratio: ratio.map_err(ChainError::from)?,
                absorbed_bits: level.absorbed_bits,
            });
        }
        let special = (chain.primes.len() as u32..all.len() as u32).collect();
        Ok(Self(Arc::new(Inner {
            basis,
            levels,
            special,
            report,
            spec,
        })))
    }

    /// Whether both are the same parameters: rows of one mean the same in the other.
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.spec == other.0.spec
    }

    /// Demands that `what` was made with these parameters.
    pub(crate) fn check(&self, operation: &str, what: &'static str, theirs: &Self) -> Result<()> {
        if self.same(theirs) {
            return Ok(());
        }
        Err(RlweError::Foreign {
            operation: operation.to_owned(),
            what,
            theirs_log_n: theirs.log_n(),
            theirs_log2_qp: theirs.log2_qp(),
            log_n: self.log_n(),
            log2_qp: self.log2_qp(),
        })
    }

    /// What they were made from.
    pub fn spec(&self) -> &Spec {
        &self.0.spec
    }

    /// The check of the chain, as a table to print.
    pub fn report(&self) -> &ChainReport {
        &self.0.report
    }

    /// log2 of the ring degree N.
    pub fn log_n(&self) -> u32 {
        self.0.basis.log_n()
    }

    /// The ring degree N.
    pub fn degree(&self) -> usize {
        1 << self.log_n()
    }

    /// All primes: those of the levels, then the special ones.
    pub fn basis(&self) -> &Basis {
        &self.0.basis
    }

    /// The levels, 0 first.
    pub fn levels(&self) -> &[LevelParams] {
        &self.0.levels
    }

    /// The highest level.
    pub fn top(&self) -> Level {
        Level(self.0.levels.len() as u32 - 1)
    }

    /// One level; errors when it does not exist.
    pub fn level(&self, operation: &'static str, level: Level) -> Result<&LevelParams> {
        let top = self.top().0;
        self.0.levels.get(level.index()).ok_or(RlweError::NoLevel {
            operation,
            level,
            top,
        })
    }

    /// Indices of the special primes.
    pub fn special(&self) -> &[u32] {
        &self.0.special
    }

    /// The digit of each level prime, by index.
    pub fn digit_of(&self) -> &[u8] {
        &self.0.spec.chain.digit_of
    }

    /// Indices of the primes of all levels up to `level`, ascending: the rows of a key truncated there, special primes apart.
    pub fn primes_up_to(&self, level: Level) -> Vec<u32> {
        let mut primes: Vec<u32> = self
            .0
            .levels
            .iter()
            .take(level.index().saturating_add(1))
            .flat_map(|l| l.primes.iter().copied())
            .collect();
        primes.sort_unstable();
        primes.dedup();
        primes
    }

    /// log2 of the product of all primes: the largest modulus under which any key exists.
    pub fn log2_qp(&self) -> f64 {
        self.0.report.log2_up()
    }

    /// Classical security in bits by the 2024 table: 256, 192, 128, or 0 for less.
    pub fn security_bits(&self) -> u32 {
        security::classical_bits(self.log_n(), self.log2_qp())
    }
}
