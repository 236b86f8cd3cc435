//! Real numbers as coefficients instead of slots: the packing of products that need no rotation.
//!
//! Coefficient j of the plaintext is round(x_j scale). Products of such plaintexts are products in Z[X]/(X^N + 1), sums are sums, and
//! a ciphertext holds N real numbers. Its `slots` are N/2: the same polynomial, read the other way.

use zeroize::Zeroizing;

use super::{Ckks, CkksError, Decrypted, Guard, Release, Result, SeededCiphertext};
use crate::{
    backend::{Backend, Integers},
    ring::Crt,
    rlwe::{Level, Poly, SecretKey},
};

/// log2 of the integers that a coefficient may be.
const MOST_BITS: f64 = 62.0;

impl<B: Backend> Ckks<B> {
    /// Encrypts `items` polynomials, N real coefficients each, at the canonical scale of `level`: seeded, half the bytes.
    ///
    /// Errors: another number of values; a value that is not finite, or that half the modulus or 2^62 does not hold at the scale.
    pub fn encrypt_coefficients(
        &self,
        key: &SecretKey<B>,
        values: &[f64],
        items: usize,
        level: Level,
    ) -> Result<SeededCiphertext<B>> {
        let operation = "encrypt_coefficients";
        let (ctx, n) = (self.context(), self.context().params().degree());
        ctx.params()
            .check(operation, "the secret key", key.context().params())?;
        let of_level = ctx.params().level(operation, level)?;
        let (scale, log2_q) = (of_level.scale.clone(), of_level.log2_q);
        if items == 0 || items.checked_mul(n) != Some(values.len()) {
            let remedy = "pad every item to N coefficients";
            return Err(CkksError::Length {
                operation,
                given: values.len(),
                wanted: format!("{items} times {n}"),
                remedy,
            });
        }
        let (factor, most) = (scale.to_f64(), (log2_q - 1.0).min(MOST_BITS).exp2());
        let mut integers = Zeroizing::new(vec![0i64; values.len()]);
        for (at, (to, x)) in integers.iter_mut().zip(values).enumerate() {
            let scaled = (x * factor).round();
            if scaled.is_nan() || scaled.abs() >= most {
                return Err(CkksError::Values {
                    operation,
                    level,
                    item: at / n,
                    index: at % n,
                    bits: scaled.abs().log2(),
                    scale_log2: scale.log2(),
                    log2_q: log2_q.min(MOST_BITS + 1.0),
                });
            }
            *to = scaled as i64;
        }
        let rows = &ctx.level(operation, level)?.rows;
        let mut message = Poly::lift(ctx, items, rows, Integers::I64(&integers))?;
        let inner = key.encrypt(&message, level)?;
        ctx.backend().zero(message.view_mut())?;
        Ok(SeededCiphertext::from_parts(inner, scale, n / 2))
    }
}

impl<B: Backend> Decrypted<B> {
    /// Decodes the N coefficients of all items, one item after the other, as the policy says; `Guard::error` bounds the root mean
    /// square over the coefficients of an item, in units of the values.
    pub fn release_coefficients(mut self, release: Release) -> Result<Vec<f64>> {
        let n = self.ctx.params().degree();
        if let Release::Flood(guard) = &release {
            // The flood is made for the Euclidean norm error scale of the coefficients.
            let error = guard.error * (n as f64).sqrt();
            let log2_sigma = self.flood_log2(&Guard { error, ..*guard })?;
            self.flood(log2_sigma)?;
        }
        if let Release::Round { places, guard } = &release {
            self.check_rounding(*places, guard)?;
        }
        let primes: Vec<u32> = self.primes().iter().map(|q| q.value()).collect();
        let crt = Crt::new(&primes)?;
        let mut words = Zeroizing::new(vec![0; primes.len() * n]);
        let mut values = Vec::with_capacity(self.items() * n);
        for item in 0..self.items() {
            let phase = self.phase.view().map(|s| s.slice_items(item, 1));
            self.ctx.backend().download(phase, &mut words)?;
            values.extend(crt.lift_rows_f64(&words, n, &self.scale)?);
        }
        if let Release::Round { places, .. } = release {
            let (up, down) = (f64::from(places).exp2(), f64::from(-places).exp2());
            values.iter_mut().for_each(|x| *x = (*x * up).round() * down);
        }
        Ok(values)
    }
}
