//! The plaintext modulus t, 2 <= t <= 2^64, and integers modulo it: residues in [0, t), or centred in
//! [h - t + 1, h] with h = floor((t - 1) / 2).

use serde::{Deserialize, Serialize};

use super::{BfvError, Result};
use crate::arith::{MAX_MODULUS_BITS, ntt_primes};

/// A plaintext modulus t, 2 <= t <= 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u128", into = "u128")]
pub struct PlainModulus(u128);

impl TryFrom<u128> for PlainModulus {
    type Error = BfvError;

    fn try_from(t: u128) -> Result<Self> {
        Self::new(t)
    }
}

impl From<PlainModulus> for u128 {
    fn from(t: PlainModulus) -> Self {
        t.0
    }
}

impl PlainModulus {
    /// Checks that 2 <= t <= 2^64.
    pub fn new(t: u128) -> Result<Self> {
        if !(2..=1 << 64).contains(&t) {
            return Err(BfvError::Plain { t });
        }
        Ok(Self(t))
    }

    /// The largest prime below 2^`bits` that is 1 modulo 2N, N = 2^`log_n`: plaintexts have N slots. `bits` is up to 30.
    pub fn with_slots(bits: u32, log_n: u32) -> Result<Self> {
        let none = || BfvError::NoPrime { bits, log_n };
        if bits > MAX_MODULUS_BITS || log_n >= bits {
            return Err(none());
        }
        let prime = ntt_primes(log_n, 2, 1 << bits).next().ok_or_else(none)?;
        Self::new(prime.into())
    }

    /// t itself.
    pub fn value(self) -> u128 {
        self.0
    }

    /// log2 of t.
    pub fn log2(self) -> f64 {
        (self.0 as f64).log2()
    }

    /// floor((t - 1) / 2), the largest centred residue.
    pub fn half(self) -> u64 {
        ((self.0 - 1) / 2) as u64
    }

    /// The residue of an integer in [0, t).
    pub fn residue(self, x: i128) -> u64 {
        x.rem_euclid(self.0 as i128) as u64
    }

    /// The integer of least magnitude with the residue `x` in [0, t); for even t, t/2 becomes -t/2.
    pub fn centred(self, x: u64) -> i64 {
        if x > self.half() {
            (i128::from(x) - self.0 as i128) as i64
        } else {
            x as i64
        }
    }

    /// a + b mod t, for residues.
    pub fn add(self, a: u64, b: u64) -> u64 {
        ((u128::from(a) + u128::from(b)) % self.0) as u64
    }

    /// a b mod t, for residues.
    pub fn mul(self, a: u64, b: u64) -> u64 {
        (u128::from(a) * u128::from(b) % self.0) as u64
    }

    /// The product of `primes` modulo t.
    pub(super) fn product(self, primes: &[u32]) -> u64 {
        let one = 1 % self.0;
        primes.iter().fold(one, |q, p| q * u128::from(*p) % self.0) as u64
    }
}
