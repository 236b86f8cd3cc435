//! The invariant noise as a key shows it, and what formulas expect for that key. It depends on the key: whoever may ask for it
//! often finds the key. For tests and for choosing parameters, never for a service.

use num_bigint::{BigInt, Sign};
use zeroize::Zeroizing;

use crate::{
    arith::{Complex, Embedding},
    backend::Backend,
    bfv::{Bfv, Ciphertext, Noise, Result},
    ring::{Crt, log2},
    rlwe::SecretKey,
};

/// The invariant noise of some ciphertexts, as their key shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasuredNoise {
    /// log2 of the root mean square over all coefficients of all items.
    pub sd_log2: f64,
    /// log2 of the largest magnitude.
    pub max_log2: f64,
}

impl MeasuredNoise {
    /// Bits until decryption fails: -log2(2 max |v|). Meaningless once it has failed.
    pub fn budget_bits(&self) -> f64 {
        -1.0 - self.max_log2
    }
}

impl Noise {
    /// log2 of the standard deviation of a coefficient for this secret: the means of the powers of x = 1 + |s(zeta)|^2 are its
    /// own. Feature `diagnostics`: the result depends on the key.
    pub fn sd_log2_of<B: Backend>(&self, key: &SecretKey<B>) -> Result<f64> {
        let ctx = key.context();
        (self.params().rlwe()).check("sd_log2_of", "the secret key", ctx.params())?;
        let s: Zeroizing<Vec<f64>> =
            Zeroizing::new(key.coefficients().iter().map(|s| f64::from(*s)).collect());
        let mut slots = vec![Complex::default(); s.len() / 2];
        Embedding::new(ctx.log_n()).unembed(&s, &mut slots)?;
        let x: Vec<f64> = (slots.iter().map(|z| 1.0 + z.re * z.re + z.im * z.im)).collect();
        let moment = |k: i32| (x.iter().map(|x| x.powi(k)).sum::<f64>() / x.len() as f64).log2();
        Ok(self.mean((0..).map(moment)))
    }
}

impl<B: Backend> Bfv<B> {
    /// Measures the invariant noise. Feature `diagnostics`: the result depends on the key.
    pub fn measure_noise(&self, key: &SecretKey<B>, ct: &Ciphertext<B>) -> Result<MeasuredNoise> {
        self.check("measure_noise", ct)?;
        let primes: Vec<u32> = (self.primes("measure_noise", ct.level())?.iter())
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
        Ok(MeasuredNoise { sd_log2, max_log2 })
    }
}
