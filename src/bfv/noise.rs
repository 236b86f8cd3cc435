//! The invariant noise v, (t / Q) phase = m + v + t k, as formulas give it: what is expected, and what is certain.
//!
//! [`Noise`] follows a computation with the verbs of the evaluator. It needs no key and no ciphertext, so that it can be asked
//! before anything is computed, by either side.
//!
//! # What is expected
//!
//! For one secret s, the variance of v at a root zeta of X^N + 1 is a polynomial in x = 1 + |s(zeta)|^2, the same for every
//! zeta: sum a_k x^k, in units of a coefficient's variance. With U = (c_0 + c_1 s) / Q, whose variance there is N x / 12 for
//! uniform components:
//!
//! | operation | variance |
//! |---|---|
//! | fresh from the secret key | (t/Q)^2 (sigma^2 + 1/12) |
//! | fresh from a public key | (t/Q)^2 (sigma^2 (x + hw) + 1/12) |
//! | a + b | V_a + V_b |
//! | a p, n coefficients uniform up to B | V_a n B^2 / 3 |
//! | a b: v = t (v_a U_b + v_b U_a), rounded | t^2 N x / 12 (V_a + V_b) + (t/Q)^2 x^2 / 12 |
//! | a^2: v = 2 t v_a U_a, rounded | t^2 N x / 12 4 V_a + (t/Q)^2 x^2 / 12 |
//! | key switch | V_a + (t/Q)^2 (sum_j N sigma^2 Q_j^2 / (12 P^2) + x / 12) |
//! | down to modulus Q' | V_a + (t/Q')^2 x / 12 |
//!
//! A coefficient of v has the mean of that over all zeta: sum a_k M_k, M_k the mean of x^k. Products in sequence raise x to their
//! depth, and the mean of a power is not the power of the mean: |s(zeta)|^2 of a random secret is nearly exponential with mean
//! hw = 2 N / 3, so that M_k = E x^k = sum_j k! / (k - j)! hw^j, about k! hw^k ([`Noise::sd_log2`]). One secret's own M_k
//! is a mean over N/2 independent values with standard deviation M_k sqrt(((2k)! / k!^2 - 1) 2 / N), 37 % for k = 4 and
//! N = 2^10: whoever knows s takes those (`Noise::sd_log2_of`, with feature `diagnostics`), and is within 0.3 bit of what is
//! measured (`tests/noise_bfv.rs`). Operands are taken as independent.
//!
//! # What is certain
//!
//! [`Noise::bound_log2`] bounds every coefficient of v whatever the operands have to do with one another, and whatever
//! ciphertexts an adversary picked among those that honest encryption and evaluation give: sums of absolute values, with errors
//! of at most 21, |U| <= (1 + W) / 2 and the secret's weight at most W = 2 N / 3 + sqrt(64 ln 2 N). A secret weighs more with
//! probability 2^-128 at most (Hoeffding, exp(-2 x^2 / N)), and that is all that can go wrong, once for a key. Roundings and lifts count
//! 1/2 + 2^-28 (see `docs/numerics.md`). Decryption is exact where |v| < 1/2.

use super::{Params, Result};
use crate::rlwe::{Level, RlweError};

/// Variance of an error coefficient, sigma^2: 21 differences of fair bits.
const ERROR_VARIANCE: f64 = 10.5;

/// The largest error coefficient.
const ERROR_BOUND: f64 = 21.0;

/// The largest error of a rounding or a centred lift, in units of what it rounds to.
const HALF: f64 = 0.5 + 1.0 / (1u64 << 28) as f64;

/// log2 of the probability that [`Noise::bound_log2`] does not hold for a key.
pub const FAILURE_LOG2: i32 = -128;

/// The invariant noise of ciphertexts after a computation, followed by formulas. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Noise {
    params: Params,
    level: Level,
    components: usize,
    /// log2 of a_k, the coefficient of x^k in the variance.
    variance: Vec<f64>,
    /// log2 of the bound on |v|.
    bound: f64,
}

/// log2(2^a + 2^b).
fn log2_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY {
        return high;
    }
    high + (low - high).exp2().ln_1p() * std::f64::consts::LOG2_E
}

/// Sums of the coefficients of two polynomials.
fn polynomial_add(mut a: Vec<f64>, b: &[f64]) -> Vec<f64> {
    a.resize(a.len().max(b.len()), f64::NEG_INFINITY);
    a.iter_mut().zip(b).for_each(|(a, b)| *a = log2_add(*a, *b));
    a
}

impl Noise {
    /// Of a fresh encryption with the secret key.
    pub fn fresh(params: &Params, level: Level) -> Result<Self> {
        Self::new(params, level, &[ERROR_VARIANCE + 1.0 / 12.0], ERROR_BOUND + 0.5)
    }

    /// Of a fresh encryption with a public key.
    pub fn fresh_public(params: &Params, level: Level) -> Result<Self> {
        let (n, hw) = (params.degree() as f64, 2.0 * params.degree() as f64 / 3.0);
        let variance = [ERROR_VARIANCE * hw + 1.0 / 12.0, ERROR_VARIANCE];
        Self::new(
            params,
            level,
            &variance,
            ERROR_BOUND * (n + one_plus_weight(params)) + 0.5,
        )
    }

    /// Variance (a polynomial in x) and bound of an error of the phase.
    fn new(params: &Params, level: Level, variance: &[f64], bound: f64) -> Result<Self> {
        let unit = params.plain().log2() - params.rlwe().level("noise", level)?.log2_q;
        Ok(Self {
            params: params.clone(),
            level,
            components: 2,
            variance: variance.iter().map(|a| a.log2() + 2.0 * unit).collect(),
            bound: bound.log2() + unit,
        })
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The level.
    pub fn level(&self) -> Level {
        self.level
    }

    /// log2 of the standard deviation of a coefficient, the mean over all secrets.
    pub fn sd_log2(&self) -> f64 {
        let hw = 2.0 * self.params.degree() as f64 / 3.0;
        // M_k = 1 + k hw M_(k - 1): sum_j k! / (k - j)! hw^j.
        let mut moment = 0.0;
        self.mean((1..).map(|k| {
            let this = moment;
            moment = log2_add(0.0, (f64::from(k) * hw).log2() + moment);
            this
        }))
    }

    /// log2 of the standard deviation, for the log2 of the mean of every power of x.
    pub(super) fn mean(&self, moments: impl Iterator<Item = f64>) -> f64 {
        let terms = self.variance.iter().zip(moments).map(|(a, m)| a + m);
        terms.fold(f64::NEG_INFINITY, log2_add) / 2.0
    }

    /// log2 of what no coefficient exceeds, but with probability 2^-128 over the secret.
    pub fn bound_log2(&self) -> f64 {
        self.bound
    }

    /// Bits until decryption may fail: -log2(2 |v|) at the bound. Negative when it may.
    pub fn budget_bits(&self) -> f64 {
        -1.0 - self.bound
    }

    fn check(&self, operation: &'static str, other: &Self) -> Result<()> {
        let (ours, theirs) = (&self.params, &other.params);
        (ours.rlwe()).check(operation, "the noise", theirs.rlwe())?;
        super::ciphertext::check_plain(operation, "the noise", ours.plain(), theirs.plain())?;
        if self.level != other.level {
            let remedy = "bring both to one level with `switch_to`";
            return Err(RlweError::mismatch(operation, "levels", self.level, other.level, remedy).into());
        }
        Ok(())
    }

    fn check_components(&self, operation: &'static str) -> Result<()> {
        if self.components != 2 {
            let remedy = "relinearise first";
            return Err(RlweError::mismatch(operation, "components", self.components, 2, remedy).into());
        }
        Ok(())
    }

    /// With noise of the phase added.
    fn plus(&self, variance: &[f64], bound: f64) -> Result<Self> {
        let extra = Self::new(&self.params, self.level, variance, bound)?;
        Ok(Self {
            variance: polynomial_add(extra.variance, &self.variance),
            bound: log2_add(self.bound, extra.bound),
            ..self.clone()
        })
    }

    /// With the variance and the bound multiplied by powers of two.
    fn times(&self, variance_log2: f64, bound_log2: f64) -> Self {
        Self {
            variance: self.variance.iter().map(|a| a + variance_log2).collect(),
            bound: self.bound + bound_log2,
            ..self.clone()
        }
    }

    /// Of a + b, and of a - b.
    pub fn add(&self, other: &Self) -> Result<Self> {
        self.check("add", other)?;
        Ok(Self {
            components: self.components.max(other.components),
            variance: polynomial_add(self.variance.clone(), &other.variance),
            bound: log2_add(self.bound, other.bound),
            ..self.clone()
        })
    }

    /// Of a + p for a plaintext or an integer p.
    pub fn add_plain(&self) -> Result<Self> {
        self.plus(&[1.0 / 12.0], 0.5)
    }

    /// Of a p for a plaintext of at most `terms` coefficients other than 0, each of magnitude `largest` at most after centring.
    /// Slots have N coefficients up to t/2.
    pub fn mul_plain(&self, terms: usize, largest: f64) -> Self {
        let (terms, largest) = ((terms as f64).log2(), largest.log2());
        self.times(terms + 2.0 * largest - 3f64.log2(), terms + largest)
    }

    /// Of a c for an integer c.
    pub fn mul_integer(&self, c: i64) -> Self {
        let c = (c.unsigned_abs() as f64).log2();
        self.times(2.0 * c, c)
    }

    /// Of a b, 3 components.
    pub fn mul(&self, other: &Self) -> Result<Self> {
        self.check("mul", other)?;
        other.check_components("mul")?;
        let variance = polynomial_add(self.variance.clone(), &other.variance);
        self.product("mul", &variance, other.bound)
    }

    /// Of a^2, 3 components.
    pub fn square(&self) -> Result<Self> {
        let variance: Vec<f64> = self.variance.iter().map(|a| a + 2.0).collect();
        self.product("square", &variance, self.bound)
    }

    fn product(&self, operation: &'static str, variance: &[f64], other: f64) -> Result<Self> {
        self.check_components(operation)?;
        let (n, t) = ((self.params.degree() as f64).log2(), self.params.plain().log2());
        let weight = one_plus_weight(&self.params);
        let gain = 2.0 * t + n - 12f64.log2();
        let variance = std::iter::once(f64::NEG_INFINITY).chain(variance.iter().map(|a| a + gain));
        // |t (v_a U_b + v_b U_a) - v_a v_b|
        let linear = t + n + (HALF * weight).log2() + log2_add(self.bound, other);
        let raw = Self {
            components: 3,
            variance: variance.collect(),
            bound: log2_add(linear, n + self.bound + other),
            ..self.clone()
        };
        raw.plus(&[0.0, 0.0, 1.0 / 12.0], HALF * weight * weight)
    }

    /// Of the product with 2 components.
    pub fn relinearise(&self) -> Result<Self> {
        if self.components == 2 {
            return Ok(self.clone());
        }
        let switched = self.switched()?;
        Ok(Self {
            components: 2,
            ..switched
        })
    }

    /// Of a rotation, a swap of rows, or any automorphism.
    pub fn automorphism(&self) -> Result<Self> {
        self.check_components("automorphism")?;
        self.switched()
    }

    /// After a key switch.
    fn switched(&self) -> Result<Self> {
        let (params, n) = (self.params.rlwe(), self.params.degree() as f64);
        let log2 = |i: &u32| f64::from(params.basis().prime(*i).value()).log2();
        let special: f64 = params.special().iter().map(log2).sum();
        let mut digits = std::collections::BTreeMap::new();
        for i in &params.level("noise", self.level)?.primes {
            let digit = params.digit_of().get(*i as usize).copied();
            *digits.entry(digit).or_insert(-special) += log2(i);
        }
        let variance: f64 = digits.values().map(|d| (2.0 * d).exp2()).sum();
        let bound: f64 = digits.values().map(|d| d.exp2()).sum();
        self.plus(
            &[n * ERROR_VARIANCE / 12.0 * variance, 1.0 / 12.0],
            n * ERROR_BOUND * HALF * bound + HALF * one_plus_weight(&self.params),
        )
    }

    /// At a lower level.
    pub fn switch_to(&self, level: Level) -> Result<Self> {
        self.params.rlwe().level("switch_to", level)?;
        if level > self.level {
            let remedy = "levels only go down; encrypt at a higher level";
            return Err(RlweError::mismatch("switch_to", "levels", self.level, level, remedy).into());
        }
        let weight = one_plus_weight(&self.params);
        let (variance, bound): (&[f64], f64) = match self.components {
            2 => (&[0.0, 1.0 / 12.0], HALF * weight),
            _ => (&[0.0, 0.0, 1.0 / 12.0], HALF * weight * weight),
        };
        let mut noise = self.clone();
        for below in (level.0..self.level.0).rev() {
            noise.level = Level(below);
            noise = noise.plus(variance, bound)?;
        }
        Ok(noise)
    }

    /// Of a sum of `count` ciphertexts with this noise each.
    pub fn sum(&self, count: usize) -> Self {
        let count = (count.max(1) as f64).log2();
        self.times(count, count)
    }

    /// Of up to `count` ciphertexts with this noise, interleaved: a power of two up to N.
    ///
    /// At the coefficients that later steps keep, each step doubles what there is of either half and takes the other half's away
    /// exactly, noise included. The doublings of a ciphertext's own noise undo the factor 1 / count; a key switch is doubled by
    /// every step behind it.
    pub fn interleave(&self, count: usize) -> Result<Self> {
        self.check_components("interleave")?;
        let nothing = Self {
            variance: Vec::new(),
            bound: f64::NEG_INFINITY,
            ..self.clone()
        };
        let (mut switches, one) = (nothing.clone(), nothing.switched()?);
        for _ in 0..count.max(1).ilog2() {
            switches = switches.times(2.0, 1.0).add(&one)?;
        }
        self.add(&switches)
    }

    /// Of groups of `count` LWE ciphertexts with this noise, packed: a power of two up to N.
    ///
    /// The noise of key switches doubles with every automorphism, and in both halves while there are halves.
    pub fn pack(&self, count: usize) -> Result<Self> {
        self.check_components("pack")?;
        let nothing = Self {
            variance: Vec::new(),
            bound: f64::NEG_INFINITY,
            ..self.clone()
        };
        let mut switches = nothing.clone();
        for i in 1..=self.params.rlwe().log_n() {
            let halves = count.checked_shr(i).is_some_and(|rest| rest > 0);
            let doubled = if halves {
                switches.times(2.0, 2.0)
            } else {
                switches.times(1.0, 1.0)
            };
            switches = doubled.add(&nothing.switched()?)?;
        }
        self.add(&switches)
    }
}

/// 1 + W, the sum of |coefficients| of 1 and s.
fn one_plus_weight(params: &Params) -> f64 {
    let n = params.degree() as f64;
    1.0 + (2.0 * n / 3.0 + (64.0 * std::f64::consts::LN_2 * n).sqrt()).min(n)
}
