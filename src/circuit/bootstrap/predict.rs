//! The precision of a bootstrap, before it runs.
//!
//! Noise is that of docs/numerics.md: (1 + 2N/3) / 12 a coefficient for a rescale, sums over digits for a key switch, 1/12 for a
//! diagonal's rounding; of n slots, 2 n times as much in a slot. It goes through the matrices ([`Transform::spread`]), and through
//! the modular reduction as the circuit itself carries it on ([`Forecast`]), at every overflow I: a small y suffers most, as
//! u = 2 y^2 - 1 hides it. On the way back n slots of it add up, or, with the matrices first, none.
//!
//! The reduction's own error is that of its function, S(x) = sin(2 pi x) or its arcsine, in every coefficient of the message (with the
//! matrices first: in every slot), and is computed for the message given.

use super::{Bootstrapper, Order, plan::mask, run::reduce, tail::overflow_tail_log2};
use crate::{
    arith::{Complex, Double},
    backend::Backend,
    circuit::{Forecast, Result, linear::Spread},
    ckks::CkksError,
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
    /// Of the largest error that is exceeded once in all slots of all runs.
    pub worst: f64,
}

/// Variances of the complex error of a slot, each with the share of slots that have it.
type Mixture = Vec<(f64, f64)>;

impl<B: Backend> Bootstrapper<B> {
    /// What the bootstrap of a fresh encryption of a message, at the level where it starts, adds to it; the worst slot of `runs` such.
    ///
    /// # Errors
    /// A message of other slots; what makes the circuit fail.
    pub fn predict(&self, message: &[Complex], runs: usize) -> Result<Prediction> {
        let (noise, distortion) = (self.noise()?, self.distortion(message)?);
        Ok(stated(&noise, distortion, message.len() * runs))
    }

    /// The same for [`bootstrap_refined`](Self::bootstrap_refined) of a message at the level where that starts.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn predict_refined(&self, bits: u32, runs: usize) -> Result<Prediction> {
        let once: f64 = self.noise()?.iter().map(|(v, share)| v * share).sum();
        let (start, end) = (Level(self.spec.input_level().0 + 1), self.output_level());
        let end = Level(end.0.saturating_sub(1));
        // The first result where the error is formed, both results at the end.
        let changes = self.division(start)? + 2.0 * self.division(end)? + self.fresh(start)?;
        let variance = once * 4f64.powi(-bits.cast_signed()) + changes;
        Ok(stated(&vec![(variance, 1.0)], (0.0, 0.0), self.spec.slots * runs))
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

    fn noise(&self) -> Result<Mixture> {
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
        let of_overflow: Mixture = (sine.deviations().iter().zip(-most..))
            .map(|(d, i)| ((ratio * d).powi(2), share(i)))
            .collect();

        let (low, high) = (self.spec.input_level(), self.output_level());
        let raised = self.raise_noise()?;
        if self.spec.order == Order::CoefficientsFirst {
            // Real and imaginary parts of a slot were coefficients of their own; one coefficient's noise on the way in, times 2 pi.
            let tau = std::f64::consts::TAU;
            let rest = 2.0 * tau * tau * raised + self.division(high)? + self.fresh(low)?;
            return Ok(of_overflow
                .iter()
                .flat_map(|(v, p)| of_overflow.iter().map(move |(w, q)| (v + w + rest, p * q)))
                .collect());
        }
        let mean: f64 = of_overflow.iter().map(|(v, p)| v * p).sum();
        let parts = if self.is_packed() { 1.0 } else { 2.0 };
        let start = Spread {
            values: std::f64::consts::TAU / slots.sqrt(),
            variance: parts * mean,
        };
        let back = (self.to_coefficients.iter()).fold(start, |s, t| t.spread(s, wide, rounding));
        let halves = if self.is_packed() { 2.0 } else { 1.0 };
        let masked = if self.spec.mask {
            self.division(Level(0))?
        } else {
            0.0
        };
        let rest = 2.0 * slots * raised + self.fresh(low)? + masked;
        Ok(vec![(halves * back.variance + rest, 1.0)])
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

    /// Mean square and largest error of a slot without any noise.
    fn distortion(&self, message: &[Complex]) -> Result<(f64, f64)> {
        let ratio = self.ratio_log2().exp2();
        let function = |x: f64| match &self.arcsine {
            None => x.sin(),
            Some(p) => p.value(x.sin()),
        };
        let (slots, tau) = (self.spec.slots, std::f64::consts::TAU);
        let errors: Vec<Complex> = match self.spec.order {
            Order::CoefficientsFirst => {
                let of = |x: f64| ratio * function(x / ratio) - x;
                message.iter().map(|z| Complex::new(of(z.re), of(z.im))).collect()
            }
            Order::RaiseFirst => {
                /// Of coefficients in fixed point.
                const BITS: i32 = 50;
                let embedding = self.ckks.embedding();
                let signs = if self.spec.mask {
                    mask(slots)
                } else {
                    vec![1.0.into(); slots]
                };
                let masked: Vec<Complex> = message.iter().zip(&signs).map(|(z, s)| *z * *s).collect();
                let mut coefficients = vec![0i64; 2 * self.ckks.max_slots()];
                let scale = Double {
                    hi: 2f64.powi(BITS),
                    lo: 0.0,
                };
                (embedding.embed(&masked, scale, &mut coefficients)).map_err(CkksError::from)?;
                let error = |c: &i64| {
                    let c = *c as f64 / 2f64.powi(BITS);
                    ratio / tau * function(tau * c / ratio) - c
                };
                let errors: Vec<f64> = coefficients.iter().map(error).collect();
                let mut of_slots = vec![Complex::default(); slots];
                (embedding.unembed(&errors, &mut of_slots)).map_err(CkksError::from)?;
                of_slots
            }
        };
        let square = |z: &Complex| z.re * z.re + z.im * z.im;
        let largest = errors.iter().map(square).fold(0.0, f64::max).sqrt();
        let mean = errors.iter().map(square).sum::<f64>() / errors.len().max(1) as f64;
        Ok((mean, largest))
    }
}

/// Precision in `count` slots whose noise is a mixture, with a mean square and a largest error besides.
fn stated(noise: &Mixture, (mean_square, largest): (f64, f64), count: usize) -> Prediction {
    let variance: f64 = noise.iter().map(|(v, share)| v * share).sum();
    // P[|e| > t] = sum of shares exp(-t^2 / v) = 1 / count, by bisection.
    let beyond = |t: f64| {
        noise
            .iter()
            .map(|(v, share)| share * (-t * t / v).exp())
            .sum::<f64>()
    };
    let (mut low, mut high) = (
        0.0,
        40.0 * noise.iter().map(|(v, _)| v.sqrt()).fold(0.0, f64::max),
    );
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        let at = if beyond(middle) * count.max(1) as f64 > 1.0 {
            &mut low
        } else {
            &mut high
        };
        *at = middle;
    }
    Prediction {
        mean: -(variance + mean_square).sqrt().log2(),
        worst: -(largest + high).log2(),
    }
}
