//! The precision of a bootstrap, before it runs.
//!
//! Noise is that of docs/numerics.md: (1 + 2N/3) / 12 a coefficient for a rescale, sums over digits for a key switch, 1/12 for a
//! diagonal's rounding; of n slots, 2 n times as much in a slot. It goes through the matrices ([`Transform::spread`]), and through
//! the modular reduction as the circuit itself carries it on ([`Forecast`]), at every overflow I: a small y suffers most, as
//! u = 2 y^2 - 1 hides it. On the way back n slots of it add up and are even. With the matrices first it stays in its slot, which has it by
//! its own overflows and in proportion to |s(zeta_j)|^2 (`mixture.rs`); what the matrices add on the way in is spread over all slots.
//!
//! The reduction's own error is that of its function (`distortion.rs`), computed for the message given. A slot is beyond t where
//! |noise| > t - |distortion|.

use super::{
    Bootstrapper, Order, distortion::Distortion, mixture::Mixture, run::reduce, tail::overflow_tail_log2,
};
use crate::{
    arith::Complex,
    backend::Backend,
    circuit::{Forecast, Result, linear::Spread},
    ring::log2_product,
    rlwe::{EPHEMERAL_WEIGHT, Encapsulation, Level},
};

/// Variance of an error coefficient.
const ERROR: f64 = 10.5;

/// Bits of precision to be expected: minus log2 of the error of a slot.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Prediction {
    /// Of the root mean square.
    pub mean: f64,
    /// Of the median of the largest error in all slots of all runs.
    pub worst: f64,
}

/// Variances of the complex error of a slot.
struct Noise {
    /// What all slots have alike.
    even: f64,
    /// What a slot has in proportion to |s(zeta_j)|^2, where that is its mean.
    by_secret: Mixture,
}

impl Noise {
    fn mean(&self) -> f64 {
        self.even + self.by_secret.mean()
    }
}

impl<B: Backend> Bootstrapper<B> {
    /// What the bootstrap of a fresh encryption of a message, at the level where it starts, adds to it; the worst slot of `runs` such.
    ///
    /// # Errors
    /// A message of other slots; what makes the circuit fail.
    pub fn predict(&self, message: &[Complex], runs: usize) -> Result<Prediction> {
        self.predict_successive(message, 1, runs)
    }

    /// Standard deviation of the complex error of a slot of one bootstrap, of all slots alike, what the reduction makes of the message left out.
    pub(super) fn deviation(&self, message: &[Complex]) -> Result<f64> {
        let square = message.iter().map(|z| z.abs().powi(2)).sum::<f64>();
        let size = (square / message.len().max(1) as f64).sqrt();
        Ok(self.noise(size)?.mean().sqrt())
    }

    /// The same for as many bootstraps of one ciphertext, each from the level to which the one before it left it: noise of each and of the
    /// changes of scale between them, and the distortion of each in the same direction.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn predict_successive(
        &self,
        message: &[Complex],
        bootstraps: usize,
        runs: usize,
    ) -> Result<Prediction> {
        let (low, high) = (self.spec.input_level(), self.output_level());
        let square = message.iter().map(|z| z.abs().powi(2)).sum::<f64>();
        let once = self.noise((square / message.len().max(1) as f64).sqrt())?;
        let mut between = 0.0;
        for level in self.path(high, low)? {
            between += self.division(level)?;
        }
        let next = once.by_secret.plus(&Mixture::of(between));
        let mut all = Noise {
            even: once.even * bootstraps as f64,
            by_secret: once.by_secret,
        };
        for _ in 1..bootstraps {
            all.by_secret = all.by_secret.plus(&next);
        }
        let distortion = self.distortion(message)?.times(bootstraps as f64);
        Ok(self.stated(&all, &distortion, message.len() * runs))
    }

    /// The same for [`bootstrap_refined`](Self::bootstrap_refined) of a message at the level where that starts: what the second round adds to
    /// 2^`bits` times the error of the first counts 2^-`bits` times.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn predict_refined(&self, message: &[Complex], bits: u32, runs: usize) -> Result<Prediction> {
        let once = self.noise(1.0)?.mean();
        let (start, end) = (Level(self.spec.input_level().0 + 1), self.output_level());
        let below = Level(end.0.saturating_sub(1));
        // The first result on its way to where the error is formed, and both results at the end. Where that way begins with the first one's change
        // at the end, the second round takes the noise of both off again.
        let way = self.path(end, start)?;
        let mut divisions = match way.contains(&below) {
            true => 0.0,
            false => 2.0 * self.division(below)?,
        };
        for level in way {
            divisions += self.division(level)?;
        }
        let noise = Noise {
            even: once * 4f64.powi(-bits.cast_signed()) + self.fresh(start)?,
            by_secret: Mixture::of(divisions),
        };
        let power = f64::from(bits).exp2();
        let first = self.distorted(message)?;
        let read: Vec<Complex> = (first.iter())
            .map(|z| Complex::new(z.re * power, z.im * power))
            .collect();
        let distortion = self.distortion(&read)?.times(1.0 / power);
        Ok(self.stated(&noise, &distortion, message.len() * runs))
    }

    /// The levels at which a change of scale divides on the way down, as [`Evaluator::adjust`](crate::ckks::Evaluator::adjust) takes it: the lowest
    /// alone where the sets of primes nest, else every one from where they do.
    fn path(&self, from: Level, to: Level) -> Result<Vec<Level>> {
        let params = self.ckks.context().params();
        let high = &params.level("prediction", from)?.primes;
        let (mut levels, mut at) = (Vec::new(), to);
        while at < from {
            levels.push(at);
            at = Level(at.0 + 1);
            let above = &params.level("prediction", at)?.primes;
            if above.iter().all(|i| high.contains(i)) {
                break;
            }
        }
        Ok(levels)
    }

    /// Variance of a slot after a division that ends at a level.
    fn division(&self, level: Level) -> Result<f64> {
        let scale = self.ckks.scale(level)?.to_f64();
        Ok(2.0 * self.spec.slots as f64 * self.rounding() / (scale * scale))
    }

    /// (1 + hw) / 12: variance of a coefficient after a division.
    fn rounding(&self) -> f64 {
        (1.0 + 2.0 * self.ckks.context().params().degree() as f64 / 3.0) / 12.0
    }

    /// Of one bootstrap of slots whose root mean square is `size`.
    fn noise(&self, size: f64) -> Result<Noise> {
        let (slots, wide) = (self.spec.slots as f64, self.wide() as f64);
        let rounding = self.rounding();
        // y = w + conj w: twice the variance of w, and a key switch.
        let start = Spread {
            values: (2.0 * slots).sqrt()
                * (f64::from(EPHEMERAL_WEIGHT + 1) / 12.0).sqrt()
                * self.trace_factor(),
            variance: 0.0,
        };
        let x = self
            .to_slots
            .iter()
            .fold(start, |s, t| t.spread(s, wide, rounding));
        let (params, level) = (self.ckks.context().params(), self.reduction_level());
        let scale = params.level("prediction", level)?.scale.clone();

        let mut forecast = Forecast::noisy(params);
        let most = i32::try_from(self.spec.range).unwrap_or(i32::MAX).min(64);
        let unit = self.spec.unit();
        let points: Vec<Complex> = (-most..=most)
            .map(|i| Complex::from(f64::from(i) * unit))
            .collect();
        let shape = forecast.shape(level, &scale, 1, self.wide());
        let conjugation = 2.0 * wide * (forecast.switching(level)? + rounding) / scale.to_f64().powi(2);
        let y = forecast.input(shape, &points, (2.0 * x.variance + conjugation).sqrt());
        let sine = reduce(&mut forecast, &y, self)?;
        // Tail of |I| >= k: of the sum of h uniform numbers beyond k - 1/2.
        let tail = |k: i32| match k {
            0 => 1.0,
            k => overflow_tail_log2(EPHEMERAL_WEIGHT - 1, f64::from(k) - 0.5).exp2(),
        };
        let share = |i: i32| {
            let both = tail(i.abs()) - tail(i.abs() + 1);
            if i == 0 { both } else { both / 2.0 }
        };
        let ratio = self.ratio_log2().exp2();
        let of_overflow = Mixture::new(
            (sine.deviations().iter().zip(-most..)).map(|(d, i)| ((ratio * d).powi(2), share(i))),
        );

        let (low, high) = (self.spec.input_level(), self.output_level());
        let raised = self.raise_noise()?;
        let tau = std::f64::consts::TAU;
        if self.spec.order == Order::CoefficientsFirst {
            // Real and imaginary parts of a slot are coefficients of their own on the way in, of which each has 1/2n of the variance of a slot
            // then; times 2 pi.
            let start = Spread {
                values: size,
                variance: self.fresh(low)?,
            };
            let back = (self.to_coefficients.iter()).fold(start, |s, t| t.spread(s, slots, rounding));
            return Ok(Noise {
                even: tau * tau * (back.variance / slots + 2.0 * raised),
                by_secret: of_overflow
                    .plus(&of_overflow)
                    .plus(&Mixture::of(self.division(high)?)),
            });
        }
        let parts = if self.is_packed() { 1.0 } else { 2.0 };
        let start = Spread {
            values: tau / slots.sqrt(),
            variance: parts * of_overflow.mean(),
        };
        let back = (self.to_coefficients.iter()).fold(start, |s, t| t.spread(s, wide, rounding));
        let halves = if self.is_packed() { 2.0 } else { 1.0 };
        // The last division stays in its slot.
        let last = self.division(high)? * wide / slots;
        let masked = match self.spec.mask {
            true => self.division(Level(0))?,
            false => 0.0,
        };
        Ok(Noise {
            even: halves * (back.variance - last) + 2.0 * slots * raised + self.fresh(low)?,
            by_secret: Mixture::of(halves * last + masked),
        })
    }

    /// Variance of a slot of a fresh encryption at a level.
    fn fresh(&self, level: Level) -> Result<f64> {
        let scale = self.ckks.scale(level)?.to_f64();
        Ok(2.0 * self.spec.slots as f64 * ERROR / (scale * scale))
    }

    /// Variance of a coefficient by the key switch to the sparse secret, as the message sees it.
    fn raise_noise(&self) -> Result<f64> {
        let params = self.ckks.context().params();
        let base = params.level("prediction", Level(0))?;
        let primes = base.primes.iter().map(|i| params.basis().prime(*i).value());
        let log2_q0 = log2_product(&primes.collect::<Vec<_>>());
        let ratio = (2.0 * log2_q0 - Encapsulation::new(params)?.log2_qp()).exp2();
        let switched = params.degree() as f64 * ERROR / 12.0 * ratio * ratio;
        let rounded = f64::from(1 + EPHEMERAL_WEIGHT) / 12.0;
        Ok((switched + rounded) / base.scale.to_f64().powi(2))
    }

    /// What the trace multiplies by.
    fn trace_factor(&self) -> f64 {
        (self.ckks.max_slots() / self.spec.slots) as f64
    }

    /// Precision in `count` slots.
    fn stated(&self, noise: &Noise, distortion: &Distortion, count: usize) -> Prediction {
        let shape = self.ckks.max_slots() / self.spec.slots;
        let mixture = noise
            .by_secret
            .times_exponential(shape)
            .plus(&Mixture::of(noise.even));
        // No slot is beyond the median of the largest with probability 1/2 = exp(-ln 2), ln 2 being expected: by bisection.
        let beyond = |t: f64| {
            let of = |(size, share): &(f64, f64)| share * mixture.beyond(t - size);
            distortion.sizes.iter().map(of).sum::<f64>()
        };
        let largest = distortion.sizes.iter().map(|(size, _)| *size).fold(0.0, f64::max);
        let (mut low, mut high) = (0.0, largest + 40.0 * mixture.largest().sqrt());
        for _ in 0..100 {
            let middle = (low + high) / 2.0;
            let at = match beyond(middle) * count.max(1) as f64 > std::f64::consts::LN_2 {
                true => &mut low,
                false => &mut high,
            };
            *at = middle;
        }
        Prediction {
            mean: -(noise.mean() + distortion.mean_square).sqrt().log2(),
            worst: -high.log2(),
        }
    }
}
