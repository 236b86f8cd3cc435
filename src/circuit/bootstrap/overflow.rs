//! The overflow as it is: drawn by raising fresh encryptions, and held against the formula.

use super::overflow_tail_log2;
use crate::{
    backend::Backend,
    circuit::{CircuitError, Result},
    ring::{Crt, Scale},
    rlwe::{Ciphertext, EPHEMERAL_WEIGHT, Level, RaiseKeys, SecretKey},
};

/// The largest |I| that is counted by itself.
const MOST: usize = 16;

/// Distances are counted in 1 / UNIT of q_0.
const UNIT: f64 = 4294967296.0;

/// Bins with fewer expected draws than this are joined.
const LEAST_EXPECTED: f64 = 10.0;

/// How often each |I| was drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Overflow {
    /// |I| = 0, 1, .., 16.
    counts: [u64; MOST + 1],
    /// |I| > 16.
    outside: u64,
    /// The largest distance of a phase from a multiple of q_0, in 2^-32 of q_0.
    off: u64,
}

/// A chi-square test of draws against the formula.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Fit {
    /// The sum of (drawn - expected)^2 / expected.
    pub chi_square: f64,
    /// Bins less one, an even number.
    pub freedom: u32,
    /// The probability of as much or more, for independent draws.
    pub probability: f64,
}

impl Overflow {
    /// Raises ciphertexts of level 0 and counts the overflow of every coefficient: I = round(phase / q_0), for messages of less than half
    /// of q_0.
    ///
    /// # Errors
    /// Another level than 0, keys of other parameters, no memory.
    pub fn draw<B: Backend>(
        &mut self,
        secret: &SecretKey<B>,
        keys: &RaiseKeys<B>,
        ct: &Ciphertext<B>,
    ) -> Result<()> {
        let ctx = secret.context();
        let params = ctx.params();
        let primes = |level: Level| -> Result<Vec<u32>> {
            let indices = &params.level("overflow", level)?.primes;
            Ok(indices.iter().map(|i| params.basis().prime(*i).value()).collect())
        };
        let q0 = Scale::pow2(0).rescaled(&primes(Level(0))?, &[])?;
        let mut raised = ctx.raise(ct, keys)?;
        // |phase| < 17 q_0: the lowest level with as much room tells it as well as the top does.
        for level in (1..params.top().0).map(Level) {
            let room = params.level("overflow", level)?.log2_q - q0.log2();
            if room > 6.0
                && let Some(low) = raised.select_level(ctx, level)?
            {
                raised = low;
                break;
            }
        }
        let primes = primes(raised.level())?;
        let crt = Crt::new(&primes).map_err(crate::rlwe::RlweError::from)?;
        let phase = secret.phase(&raised)?;
        let n = params.degree();
        let mut words = vec![0; primes.len() * n];
        for item in 0..raised.items() {
            let view = phase.view().map(|s| s.slice_items(item, 1));
            ctx.backend()
                .download(view, &mut words)
                .map_err(crate::rlwe::RlweError::from)?;
            let quotients = crt
                .lift_rows_f64(&words, n, &q0)
                .map_err(crate::rlwe::RlweError::from)?;
            for x in quotients {
                self.off = self.off.max(((x - x.round()).abs() * UNIT) as u64);
                match self.counts.get_mut(x.round().abs() as usize) {
                    Some(count) => *count += 1,
                    None => self.outside += 1,
                }
            }
        }
        Ok(())
    }

    /// How often |I| was k.
    pub fn count(&self, k: usize) -> u64 {
        self.counts.get(k).copied().unwrap_or(0)
    }

    /// How often |I| was above 16.
    pub fn outside(&self) -> u64 {
        self.outside
    }

    /// The largest distance of a phase from a multiple of q_0, in q_0: the message and the noise of encryption and raise.
    pub fn off(&self) -> f64 {
        self.off as f64 / UNIT
    }

    /// All draws.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.outside
    }

    /// Pr\[|I| >= k\] by the formula: I is the integer next to a sum of h uniform numbers.
    pub fn tail(k: usize) -> f64 {
        match k {
            0 => 1.0,
            k => overflow_tail_log2(EPHEMERAL_WEIGHT - 1, k as f64 - 0.5).exp2(),
        }
    }

    /// The draws against the formula, bins of few expected ones joined. Coefficients of one ciphertext share the coefficients of c_1:
    /// pairs at 992 distances have correlations of +-1/32, which adds at most about 1 to the mean of the statistic.
    ///
    /// # Errors
    /// Too few draws for three bins.
    pub fn fit(&self) -> Result<Fit> {
        let total = self.total() as f64;
        let enough = |k: &usize| total * Self::tail(*k) >= LEAST_EXPECTED;
        // The last bin is |I| >= last; an even number of bins besides it.
        let last = (1..=MOST).take_while(enough).last().unwrap_or(0) / 2 * 2;
        if last < 2 {
            let remedy = "draw more";
            return Err(CircuitError::mismatch("fit", "draws", total, 1000, remedy));
        }
        let bin = |k: usize| {
            let (drawn, next) = match k == last {
                true => (self.total() - self.counts.iter().take(last).sum::<u64>(), 0.0),
                false => (self.count(k), Self::tail(k + 1)),
            };
            let expected = total * (Self::tail(k) - next);
            (drawn as f64 - expected).powi(2) / expected
        };
        let chi_square: f64 = (0..=last).map(bin).sum();
        Ok(Fit {
            chi_square,
            freedom: last as u32,
            probability: upper(chi_square, last),
        })
    }
}

/// The probability that chi-square with an even number d of degrees of freedom is x or more:
/// Q(d/2, x/2) = exp(-x/2) sum over i < d/2 of (x/2)^i / i!.
fn upper(x: f64, freedom: usize) -> f64 {
    let half = x / 2.0;
    let (mut term, mut sum) = (1.0, 0.0);
    for i in 1..=freedom / 2 {
        sum += term;
        term *= half / i as f64;
    }
    (-half).exp() * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws in the very proportions of the formula, and others.
    fn drawn(total: f64, shift: f64) -> Overflow {
        let mut overflow = Overflow::default();
        for (k, count) in overflow.counts.iter_mut().enumerate() {
            let expected = total * (Overflow::tail(k) - Overflow::tail(k + 1));
            *count = (expected * (1.0 + shift * k as f64)).round() as u64;
        }
        overflow
    }

    #[test]
    fn what_follows_the_formula_fits_and_what_does_not_does_not() {
        let fit = drawn(1e7, 0.0).fit().unwrap();
        assert!(fit.chi_square < 0.1 && fit.probability > 0.999, "{fit:?}");
        assert_eq!(fit.freedom, 8);
        // One per cent more for each step outwards.
        let fit = drawn(1e7, 0.01).fit().unwrap();
        assert!(fit.probability < 1e-9, "{fit:?}");
        assert!(Overflow::default().fit().is_err());
        // Medians of chi-square: 2 ln 2 with 2 degrees of freedom, 3.35669 with 4 and 7.34412 with 8.
        assert!((upper(2.0 * std::f64::consts::LN_2, 2) - 0.5).abs() < 1e-12);
        assert!((upper(3.35669, 4) - 0.5).abs() < 1e-5);
        assert!((upper(7.34412, 8) - 0.5).abs() < 1e-5);
    }
}
