//! The invariant noise v, (t / Q) phase = m + v + t k: its standard deviation as formulas give it, and as measured.
//!
//! Fresh from the secret key: sd(v) = (t / Q) sqrt(sigma^2 + 1/12). A product:
//! sd(v') = t sqrt(d N (1 + hw) / 12) sqrt(sd(v1)^2 + sd(v2)^2), hw = 2 N / 3 the expected weight of the secret s and d the
//! depth, 1 for a product of fresh ciphertexts: every product multiplies the noise by a polynomial that contains s, and a
//! coefficient of s^d has d! times the variance that d independent factors would give it (measured in `tests/noise_bfv.rs`).
//! Relinearisation adds (t / Q) sqrt(sum_j N sigma^2 Q_j^2 / (12 P^2) + (1 + hw) / 12), far less. Decryption
//! fails where |v| >= 1/2.
//!
//! The formula of products is for independent factors: where one ciphertext enters several times, count a bit more for each
//! time. It is a mean over secrets: at depth 3 a secret's own value is within half a bit of it, at depth 6 and N = 2^10 it was up
//! to two bits above.

use super::{Bfv, Result};
use crate::{backend::Backend, rlwe::Level};

/// Variance of an error coefficient: 21 differences of fair bits.
const ERROR_VARIANCE: f64 = 10.5;

impl<B: Backend> Bfv<B> {
    /// log2 of the standard deviation of the invariant noise of a fresh seeded encryption.
    pub fn fresh_noise_log2(&self, level: Level) -> Result<f64> {
        let log2_q = self.context().params().level("noise", level)?.log2_q;
        Ok(self.plain().log2() - log2_q + (ERROR_VARIANCE + 1.0 / 12.0).log2() / 2.0)
    }

    /// log2 of the standard deviation of the invariant noise of a product, from those of its independent factors.
    /// `depth` counts the products that lie below one another, this one included: 1 for fresh factors.
    pub fn product_noise_log2(&self, left: f64, right: f64, depth: u32) -> f64 {
        let n = self.params().degree() as f64;
        let hw = 2.0 * n / 3.0;
        let larger = left.max(right);
        let sum = ((2.0 * (left - larger)).exp2() + (2.0 * (right - larger)).exp2()).log2() / 2.0;
        let gain = f64::from(depth.max(1)) * n * (1.0 + hw) / 12.0;
        self.plain().log2() + gain.log2() / 2.0 + larger + sum
    }
}

#[cfg(feature = "diagnostics")]
pub use measured::Noise;

#[cfg(feature = "diagnostics")]
mod measured {
    use num_bigint::{BigInt, Sign};
    use zeroize::Zeroizing;

    use crate::{
        backend::Backend,
        bfv::{Bfv, Ciphertext, Result},
        ring::{Crt, log2},
        rlwe::SecretKey,
    };

    /// The invariant noise of some ciphertexts, as their key shows it. It depends on the key: whoever may ask for it often
    /// finds the key. For tests and for choosing parameters, never for a service.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Noise {
        /// log2 of the root mean square over all coefficients of all items.
        pub sd_log2: f64,
        /// log2 of the largest magnitude.
        pub max_log2: f64,
    }

    impl Noise {
        /// Bits until decryption fails: -log2(2 max |v|). Meaningless once it has failed.
        pub fn budget_bits(&self) -> f64 {
            -1.0 - self.max_log2
        }
    }

    impl<B: Backend> Bfv<B> {
        /// Measures the invariant noise. Feature `diagnostics`: the result depends on the key.
        pub fn noise(&self, key: &SecretKey<B>, ct: &Ciphertext<B>) -> Result<Noise> {
            self.check("noise", ct)?;
            let primes: Vec<u32> = (self.primes("noise", ct.level())?.iter())
                .map(|q| q.value())
                .collect();
            let (n, crt) = (self.params().degree(), Crt::new(&primes)?);
            let mut phase = key.phase(ct.rlwe())?;
            let mut words = Zeroizing::new(vec![0u32; ct.items() * primes.len() * n]);
            self.context().backend().download(phase.view(), &mut words)?;
            self.context().backend().zero(phase.view_mut())?;
            let (t, q) = (
                BigInt::from(self.plain().value()),
                BigInt::from(crt.product().clone()),
            );
            let mut logs = Vec::with_capacity(ct.items() * n);
            for block in words.chunks(primes.len() * n) {
                for x in crt.lift_rows(block, n)? {
                    let rest = x * &t % &q;
                    let rest = if rest.sign() == Sign::Minus {
                        rest + &q
                    } else {
                        rest
                    };
                    let other = &q - &rest;
                    logs.push(log2(rest.min(other).magnitude()) - crt.log2());
                }
            }
            let max_log2 = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let squares = logs.iter().map(|l| (2.0 * (l - max_log2)).exp2()).sum::<f64>();
            let sd_log2 = max_log2 + (squares / logs.len() as f64).log2() / 2.0;
            Ok(Noise { sd_log2, max_log2 })
        }
    }
}
