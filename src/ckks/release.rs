//! Decryptions, and the policies under which their numbers are given out.
//!
//! A decryption is the message plus noise that depends on the key: whoever sees exact decryptions of ciphertexts that they know
//! computes the key (Li and Micciancio, eprint 2020/1533). So a decryption is private until a policy says what is done to it.
//!
//! # Flooding
//!
//! To the decrypted integer coefficients a discrete Gaussian is added, of standard deviation
//!
//! ```text
//! sigma = 2^k >= 2^(bits - 1) sqrt(releases) error scale
//! ```
//!
//! Why: by Parseval the coefficients of an error whose root mean square over the slots is `error` have the Euclidean norm
//! error scale. The Kullback-Leibler divergence between two discrete Gaussians a vector e of integers apart is |e|^2 / (2 sigma^2)
//! (arXiv 2004.00010, proposition 5); it adds up over releases, also when each ciphertext is chosen after the last release;
//! and the total variation distance is at most sqrt(half of it) (Pinsker), 2^-bits here. So whoever sees all releases learns, but
//! for a probability of 2^-bits, what they would from the exact results with Gaussian noise: nothing of the key.
//!
//! The price: the real and the imaginary part of each of n slots are off by sqrt(n) sigma / scale, standard deviation, which is
//! about sqrt(n releases) 2^(bits - 1) error. Parameters have to be chosen for it.
//!
//! # Rounding
//!
//! Real and imaginary parts are rounded to multiples of 2^-places. The result depends on the noise only where an exact value is within
//! `error` of the middle between two multiples; for values that fall anywhere in between with equal probability, that happens to
//! any of them with probability 2 error 2^places each, and `Release::Round` demands 2^-bits for all. *Whoever chooses the inputs can put
//! values in the middle*: rounding is for values that no adversary chooses, flooding for any.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{CkksError, Result};
use crate::{
    arith::{Complex, Embedding, Modulus},
    backend::{Backend, Integers},
    ring::{Crt, Scale},
    rlwe::{Coeff, Context, Level, Poly, RlweError},
    sample::{MAX_GAUSSIAN_LOG2, PrivateSeed, discrete_gaussian},
};

/// What a release has to hide, and how well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guard {
    /// Bound on the error of the computation, whatever its inputs: for flooding on the root mean square over the slots of a
    /// ciphertext, for rounding on each part of each slot; in units of the values.
    pub error: f64,
    /// An adversary gains at most 2^-bits; 1 to 128.
    pub bits: u32,
    /// How many ciphertexts will ever be released under the key, all items of this one included.
    pub releases: u64,
}

/// For whom decrypted numbers are, and what is done to them first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Release {
    /// For the owner of the key alone, as they are: neither the values nor anything that depends on them, a retry or a
    /// complaint included, reaches anyone else.
    Owner,
    /// For others as well: under noise that hides the computation's own.
    Flood(Guard),
    /// For others as well, where nobody who sees the result chose the inputs: rounded to multiples of 2^-places.
    Round {
        /// Binary places that remain; negative ones are zeros before the point.
        places: i32,
        /// What the rounding has to hide.
        guard: Guard,
    },
}

/// Decrypted ciphertexts before decoding. Not printable; cleared when dropped.
pub struct Decrypted<B: Backend> {
    pub(super) ctx: Context<B>,
    /// c_0 + c_1 s of each item.
    pub(super) phase: Poly<B, Coeff>,
    pub(super) slots: usize,
    pub(super) level: Level,
    pub(super) scale: Scale,
    pub(super) embedding: Arc<Embedding>,
}

impl<B: Backend> std::fmt::Debug for Decrypted<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decrypted(..)")
    }
}

impl<B: Backend> Drop for Decrypted<B> {
    fn drop(&mut self) {
        // A device that fails here is lost, and its memory with it.
        let _ = self.ctx.backend().zero(self.phase.view_mut());
    }
}

impl<B: Backend> Decrypted<B> {
    pub(super) fn items(&self) -> usize {
        self.phase.view().span.items
    }

    /// The primes of the rows.
    pub(super) fn primes(&self) -> Vec<Modulus> {
        let basis = self.ctx.params().basis();
        let rows = self.phase.view().span.rows;
        rows.iter().map(|r| basis.prime(r.prime)).collect()
    }

    /// How many numbers there are, those of all items together.
    pub fn len(&self) -> usize {
        self.items() * self.slots
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn refused(&self, what: String, remedy: &'static str) -> CkksError {
        let level = self.level;
        CkksError::Release { level, what, remedy }
    }

    fn check(&self, guard: &Guard) -> Result<()> {
        let Guard {
            error,
            bits,
            releases,
        } = *guard;
        if !(error.is_finite() && error > 0.0) {
            let what = format!("an error of {error:e} is no bound");
            return Err(self.refused(what, "state a positive bound on the error of the computation"));
        }
        if !(1..=128).contains(&bits) {
            let what = format!("{bits} bits are outside 1..=128");
            return Err(self.refused(what, "40 to 64 are usual"));
        }
        if releases < self.items() as u64 {
            let what = format!(
                "{releases} releases are fewer than the {} items of this one",
                self.items()
            );
            return Err(self.refused(what, "count every ciphertext that will be released under the key"));
        }
        Ok(())
    }

    /// log2 of the flood's standard deviation, in units of a coefficient.
    pub(super) fn flood_log2(&self, guard: &Guard) -> Result<u32> {
        self.check(guard)?;
        let exact = f64::from(guard.bits) - 1.0
            + (guard.releases as f64).log2() / 2.0
            + guard.error.log2()
            + self.scale.log2();
        let log2 = exact.max(0.0).ceil();
        let log2_q: f64 = self.primes().iter().map(|q| f64::from(q.value()).log2()).sum();
        // 16 deviations are exceeded with probability 2^-187; a quarter of the modulus is left to the values.
        let most = (log2_q - 6.0).min(f64::from(MAX_GAUSSIAN_LOG2));
        if log2 > most {
            let what = format!(
                "the flood has a standard deviation of 2^{log2} at scale 2^{:.1}, and 2^{most:.1} are possible in a modulus of {log2_q:.1} \
                 bits",
                self.scale.log2()
            );
            let remedy = "compute more precisely, release at a higher level, or ask for fewer bits";
            return Err(self.refused(what, remedy));
        }
        Ok(log2 as u32)
    }

    /// Adds the flood to the phases.
    pub(super) fn flood(&mut self, log2_sigma: u32) -> Result<()> {
        let (items, n) = (self.items(), self.ctx.params().degree());
        let seed = PrivateSeed::from_os().map_err(RlweError::from)?;
        let mut noise = Zeroizing::new(vec![0i128; items * n]);
        for (item, noise) in noise.chunks_mut(n).enumerate() {
            discrete_gaussian(&mut seed.stream("flood", item as u64), log2_sigma, noise);
        }
        let rows = self.phase.view().span.rows.to_vec();
        let mut flood = Poly::lift(&self.ctx, items, &rows, Integers::I128(&noise))?;
        let (backend, tables) = (self.ctx.backend(), self.ctx.tables());
        backend.add(tables, self.phase.view_mut(), flood.view())?;
        Ok(backend.zero(flood.view_mut())?)
    }

    pub(super) fn check_rounding(&self, places: i32, guard: &Guard) -> Result<()> {
        self.check(guard)?;
        let parts = 2.0 * self.slots as f64 * guard.releases as f64;
        let risk = 1.0 + parts.log2() + guard.error.log2() + f64::from(places);
        if risk <= -f64::from(guard.bits) {
            return Ok(());
        }
        let what = format!(
            "rounded to 2^{}, one of {parts:.0} numbers lies within {:e} of a middle with probability 2^{risk:.1}, above 2^-{}",
            -places, guard.error, guard.bits
        );
        Err(self.refused(what, "keep fewer places, or flood"))
    }

    /// Decodes the values of all items, one item after the other, as the policy says.
    pub fn release(mut self, release: Release) -> Result<Vec<Complex>> {
        if let Release::Flood(guard) = &release {
            let log2_sigma = self.flood_log2(guard)?;
            self.flood(log2_sigma)?;
        }
        if let Release::Round { places, guard } = &release {
            self.check_rounding(*places, guard)?;
        }
        let primes: Vec<u32> = self.primes().iter().map(|q| q.value()).collect();
        let crt = Crt::new(&primes)?;
        let mut values = vec![Complex::default(); self.len()];
        let (backend, tables) = (self.ctx.backend(), self.ctx.tables());
        let phase = self.phase.view();
        backend.decode(tables, phase, &self.embedding, &crt, &self.scale, &mut values)?;
        if let Release::Round { places, .. } = release {
            let (up, down) = (f64::from(places).exp2(), f64::from(-places).exp2());
            let round = |x: f64| (x * up).round() * down;
            values
                .iter_mut()
                .for_each(|z| *z = Complex::new(round(z.re), round(z.im)));
        }
        Ok(values)
    }
}
