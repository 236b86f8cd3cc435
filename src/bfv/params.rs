//! Parameters: an open, serialisable [`Spec`] of four numbers, and the checked, immutable, shared [`Params`] made from it.
//!
//! The modulus chain takes the largest primes below 2^30 that are 1 modulo 2N and do not divide t: first the special ones, then
//! those of Q, then auxiliary ones R that products of ciphertexts are formed in. R carries no key: security is judged on Q and P.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{BfvError, PlainModulus, Result};
use crate::{
    arith::{MAX_MODULUS_BITS, ntt_primes},
    ring::{Basis, ChainKind, ChainTable, LevelTable, Scale, log2_product},
    rlwe::{self, Level, RlweError},
};

/// Bits of Q_0 above t: what a modulus switch to the last level rounds is below 2^10 for every N, and a phase needs two more.
const MARGIN_BITS: u32 = 12;

/// Most primes of Q: a chain has no more levels.
const MAX_PRIMES: usize = 44;

/// Parameters as a user writes or stores them: unchecked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// log2 of the ring degree N.
    pub log_n: u32,
    /// Primes of 30 bits in the largest modulus Q; every level below has one fewer.
    pub primes: usize,
    /// Digits of key switching: more of them, smaller special modulus and more work.
    pub digits: usize,
    /// The plaintext modulus t, 2 <= t <= 2^64.
    pub plain: u128,
}

impl Spec {
    /// N = 2^12, log2 Q = 60, log2 QP = 90 of the 106 bits that 128 bits of security allow.
    pub fn n12(plain: u128) -> Self {
        let (log_n, primes, digits) = (12, 2, 2);
        Self {
            log_n,
            primes,
            digits,
            plain,
        }
    }

    /// N = 2^13, log2 Q = 180, log2 QP = 210 of the 214 bits that 128 bits of security allow.
    pub fn n13(plain: u128) -> Self {
        let (log_n, primes, digits) = (13, 6, 6);
        Self {
            log_n,
            primes,
            digits,
            plain,
        }
    }

    /// N = 2^14, log2 Q = 360, log2 QP = 420 of the 430 bits that 128 bits of security allow.
    pub fn n14(plain: u128) -> Self {
        let (log_n, primes, digits) = (14, 12, 6);
        Self {
            log_n,
            primes,
            digits,
            plain,
        }
    }
}

/// Checked parameters. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Params(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    spec: Spec,
    plain: PlainModulus,
    rlwe: rlwe::Params,
    /// The basis of the chain, then the auxiliary primes.
    wide: Basis,
    /// How many auxiliary primes each level needs.
    auxiliary: Vec<usize>,
}

fn range(what: &'static str, value: usize, low: usize, high: usize, remedy: &'static str) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(BfvError::Range {
        what,
        value,
        low,
        high,
        remedy,
    })
}

impl Params {
    /// Checks the specification, and that the product of all primes of keys keeps 128 bits of security by the 2024 table.
    pub fn new(spec: Spec) -> Result<Self> {
        Self::build(spec, rlwe::Params::new)
    }

    /// Checks everything but security; for tests and demonstrations.
    pub fn insecure(spec: Spec) -> Result<Self> {
        Self::build(spec, rlwe::Params::insecure)
    }

    fn build(spec: Spec, check: impl Fn(rlwe::Spec) -> rlwe::Result<rlwe::Params>) -> Result<Self> {
        let plain = PlainModulus::new(spec.plain)?;
        let Spec {
            log_n,
            primes,
            digits,
            ..
        } = spec;
        range("log_n", log_n as usize, 4, 17, "ring degrees are 2^4 to 2^17")?;
        range("primes", primes, 1, MAX_PRIMES, "a level takes a prime")?;
        range("digits", digits, 1, primes, "a digit has at least one prime")?;
        let usable = |p: &u32| plain.value() % u128::from(*p) != 0;
        let mut pool = ntt_primes(log_n, 1 << (MAX_MODULUS_BITS - 1), 1 << MAX_MODULUS_BITS).filter(usable);
        let special: Vec<u32> = pool.by_ref().take(primes.div_ceil(digits)).collect();
        let q: Vec<u32> = pool.by_ref().take(primes).collect();
        // 2^29 < p < 2^30, so this many are enough for log2 R > log2 t + log2 N + log2 Q.
        let most = ((plain.log2() + f64::from(log_n) + 30.0 * primes as f64 + 1.0) / 29.0).ceil() as usize;
        let spare: Vec<u32> = pool.take(most).collect();
        let (held, wanted) = (
            special.len() + q.len() + spare.len(),
            primes.div_ceil(digits) + primes + most,
        );
        if held < wanted {
            return Err(BfvError::Exhausted { log_n, held, wanted });
        }
        let chain = chain(&spec, plain, &q, special)?;
        let rlwe = check(rlwe::Spec { chain })?;
        let count =
            |log2_q: f64| (1..=most).find(|n| log2_product(&spare[..*n]) >= needed(plain, log_n, log2_q));
        let auxiliary: Vec<usize> = (rlwe.levels().iter())
            .map(|l| count(l.log2_q).unwrap_or(most))
            .collect();
        let last = auxiliary.iter().copied().max().unwrap_or(0);
        let all: Vec<u32> = (rlwe.basis().primes().iter().map(|m| m.value()))
            .chain(spare.into_iter().take(last))
            .collect();
        Ok(Self(Arc::new(Inner {
            wide: Basis::new(log_n, &all)?,
            spec,
            plain,
            rlwe,
            auxiliary,
        })))
    }

    /// What they were made from.
    pub fn spec(&self) -> &Spec {
        &self.0.spec
    }

    /// The plaintext modulus t.
    pub fn plain(&self) -> PlainModulus {
        self.0.plain
    }

    /// The parameters of the layer below: ring, levels, digits. The scales of their chain mean nothing here.
    pub fn rlwe(&self) -> &rlwe::Params {
        &self.0.rlwe
    }

    /// The highest level.
    pub fn top(&self) -> Level {
        self.rlwe().top()
    }

    /// The ring degree N.
    pub fn degree(&self) -> usize {
        self.rlwe().degree()
    }

    /// The primes of Q and P, then the auxiliary ones R.
    pub fn wide_basis(&self) -> &Basis {
        &self.0.wide
    }

    /// Indices in the wide basis of the auxiliary primes that products at `level` need: their product is above t N Q.
    pub fn auxiliary(&self, operation: &'static str, level: Level) -> Result<Vec<u32>> {
        let first = self.rlwe().basis().primes().len() as u32;
        let count = self.0.auxiliary.get(level.0 as usize);
        let top = self.top().0;
        let count = count.ok_or(RlweError::NoLevel {
            operation,
            level,
            top,
        })?;
        Ok((first..first + *count as u32).collect())
    }

    /// How many products of ciphertexts at `level` can be summed before they are divided by Q / t: at least 1.
    pub(crate) fn terms(&self, operation: &'static str, level: Level) -> Result<usize> {
        let primes = self.auxiliary(operation, level)?;
        let primes: Vec<u32> = (primes.iter()).map(|i| self.0.wide.prime(*i).value()).collect();
        let log2_q = self.rlwe().level(operation, level)?.log2_q;
        let spare = log2_product(&primes) - needed(self.plain(), self.rlwe().log_n(), log2_q);
        Ok((spare.exp2() as usize).max(1))
    }
}

/// log2 of what the auxiliary primes have to reach at a modulus Q.
///
/// |round(t d / Q)| <= t N Q / 2 for a tensor d of centred operands: R above t N Q holds it, with 2^-26 of it for the
/// operands' window and as much for the way back; 0.01 bits are far more.
fn needed(plain: PlainModulus, log_n: u32, log2_q: f64) -> f64 {
    plain.log2() + f64::from(log_n) + log2_q + 0.01
}

/// The chain: level 0 has the fewest primes that leave [`MARGIN_BITS`] above t, each level above has one more.
///
/// The scale of a chain is CKKS's; this one starts at 2 and shrinks, which leaves room at every level.
fn chain(spec: &Spec, plain: PlainModulus, q: &[u32], special: Vec<u32>) -> Result<ChainTable> {
    let fits = |n: &usize| log2_product(&q[..*n]) >= plain.log2() + f64::from(MARGIN_BITS);
    let base = (1..=q.len()).find(fits).ok_or_else(|| BfvError::Room {
        log2_q: log2_product(q),
        primes: q.len(),
        margin: MARGIN_BITS,
        t_log2: plain.log2(),
    })?;
    let mut nominal = vec![1.0];
    let mut scale = Scale::pow2(1);
    for removed in q.iter().skip(base).rev() {
        scale = (scale.mul(&scale))
            .and_then(|s| s.rescaled(&[], &[*removed]))
            .map_err(|e| RlweError::Chain(e.into()))?;
        nominal.push(scale.log2());
    }
    let levels = (base..=q.len()).zip(nominal.into_iter().rev());
    let levels = levels.map(|(count, nominal_bits)| LevelTable {
        primes: (0..count as u16).collect(),
        nominal_bits,
        absorbed_bits: 0,
    });
    Ok(ChainTable {
        log_n: spec.log_n,
        kind: ChainKind::Single,
        levels: levels.collect(),
        digit_of: (0..q.len()).map(|i| (i * spec.digits / q.len()) as u8).collect(),
        primes: q.to_vec(),
        special,
    })
}
