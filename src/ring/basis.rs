//! Ordered sets of primes of one ring, and the constants that carry residues from one set to another.
//!
//! A [`Basis`] is the prime table of a parameter set: rows of buffers, keys and seeds name primes by their index in it.

use crate::arith::{ArithError, Modulus};

/// The prime table of one ring `Z[X]/(X^N + 1)`: every prime that any row may be taken modulo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    log_n: u32,
    primes: Vec<Modulus>,
}

impl Basis {
    /// Checks that each of `primes` is a prime below 2^30 and 1 modulo 2N, N = 2^log_n.
    pub fn new(log_n: u32, primes: &[u32]) -> Result<Self, ArithError> {
        if !(1..=17).contains(&log_n) {
            return Err(ArithError::Degree { log_n });
        }
        let checked = |p: &u32| match Modulus::new(*p)? {
            m if (p - 1) & ((2 << log_n) - 1) == 0 => Ok(m),
            _ => Err(ArithError::NoRoot { p: *p, log_n }),
        };
        Ok(Self {
            log_n,
            primes: primes.iter().map(checked).collect::<Result<_, _>>()?,
        })
    }

    /// log2 of the ring degree N.
    pub fn log_n(&self) -> u32 {
        self.log_n
    }

    /// The primes, in index order.
    pub fn primes(&self) -> &[Modulus] {
        &self.primes
    }

    /// Product of the primes with the given indices, modulo `m`.
    pub fn product(&self, indices: &[u32], m: Modulus) -> u32 {
        indices.iter().fold(1, |product, i| {
            m.mul(product, m.reduce(u64::from(self.prime(*i).value())))
        })
    }

    /// The prime with index `i`.
    pub fn prime(&self, i: u32) -> Modulus {
        self.primes[i as usize]
    }
}

/// Constants of a scaled base conversion from the digits of Q = prod q_i to primes r.
///
/// y_i = [x_i a (Q/q_i)^-1]_{q_i};  v = (sum y_i floor(2^64/q_i) + 2^63) >> 64;
/// result_r = b_r (sum y_i (Q/q_i) - v Q) mod r.
/// With a = b = 1 this is the centred lift of x, except within about 2^-28 Q of +-Q/2; always |lift| <= Q (1/2 + 2^-28).
/// The factors a (before) and b (after) are exact, so fusing them changes no bit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// Prime indices of the source rows.
    pub sources: Vec<u32>,
    /// Prime indices of the target rows.
    pub targets: Vec<u32>,
    /// a (Q/q_i)^-1 mod q_i, one a source.
    pub source_factor: Vec<u32>,
    /// floor(2^64 / q_i), one a source.
    pub fraction: Vec<u64>,
    /// b_r (Q/q_i) mod r, target-major: `weights[target * sources + source]`.
    pub weights: Vec<u32>,
    /// -b_r Q mod r, one a target.
    pub overflow: Vec<u32>,
}

impl Conversion {
    /// The plain conversion, a = b = 1.
    pub fn new(basis: &Basis, sources: &[u32], targets: &[u32]) -> Self {
        Self::scaled(basis, sources, targets, |_| 1, |_| 1)
    }

    /// The scaled conversion: `before(q)` is a modulo the source prime q, `after(r)` is b modulo the target prime r.
    ///
    /// The sources must be distinct and not zero divisors of one another, which [`Basis`] and the chain check see to.
    pub fn scaled(
        basis: &Basis,
        sources: &[u32],
        targets: &[u32],
        before: impl Fn(Modulus) -> u32,
        after: impl Fn(Modulus) -> u32,
    ) -> Self {
        let others = |i: u32| sources.iter().copied().filter(|s| *s != i).collect::<Vec<_>>();
        let source_factor = sources.iter().map(|i| {
            let q = basis.prime(*i);
            q.mul(before(q), q.inv(basis.product(&others(*i), q)).unwrap_or(0))
        });
        let weights = targets.iter().flat_map(|t| {
            let r = basis.prime(*t);
            let b = after(r);
            sources.iter().map(move |i| (r, b, *i))
        });
        Self {
            sources: sources.to_vec(),
            targets: targets.to_vec(),
            source_factor: source_factor.collect(),
            fraction: sources.iter().map(|i| basis.prime(*i).barrett()).collect(),
            weights: weights
                .map(|(r, b, i)| r.mul(b, basis.product(&others(i), r)))
                .collect(),
            overflow: (targets.iter().map(|t| basis.prime(*t)))
                .map(|r| r.neg(r.mul(after(r), basis.product(sources, r))))
                .collect(),
        }
    }
}

/// Constants of x -> round(x prod(A) / prod(R)), from a set S to (S \ R) u A: rescaling (R dropped primes, A added ones),
/// ModDown (R special primes), and both at once.
///
/// The rows of x prod(A) modulo A are zero. With c the centred lift of [x prod(A)]_R,
/// result = (x prod(A) - c) / prod(R) = x f - c prod(R)^-1 modulo each remaining prime, f = prod(A) prod(R)^-1, and
/// -c prod(R)^-1 modulo each added one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Prime indices of R.
    pub removed: Vec<u32>,
    /// Prime indices of S \ R.
    pub kept: Vec<u32>,
    /// Prime indices of the result, in index order.
    pub result: Vec<u32>,
    /// f modulo each kept prime.
    pub kept_factor: Vec<u32>,
    /// `[x]_R -> -[x prod(A)]_R prod(R)^-1` modulo every prime of the result.
    pub conversion: Conversion,
}

impl Step {
    /// The step from the set `from` to the set `to`, both in index order.
    pub fn new(basis: &Basis, from: &[u32], to: &[u32]) -> Self {
        let without = |a: &[u32], b: &[u32]| a.iter().copied().filter(|i| !b.contains(i)).collect::<Vec<_>>();
        let (removed, added) = (without(from, to), without(to, from));
        let kept = without(from, &removed);
        let inverse = |r: Modulus| r.inv(basis.product(&removed, r)).unwrap_or(0);
        let kept_factor = kept
            .iter()
            .map(|i| basis.prime(*i))
            .map(|r| r.mul(basis.product(&added, r), inverse(r)));
        let before = |q: Modulus| basis.product(&added, q);
        let conversion = Conversion::scaled(basis, &removed, to, before, |r| r.neg(inverse(r)));
        Self {
            kept_factor: kept_factor.collect(),
            conversion,
            result: to.to_vec(),
            kept,
            removed,
        }
    }
}
