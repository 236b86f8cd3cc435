//! Circuits without ciphertexts: levels, scales, costs, values at sample points, and the noise to be expected there.
//!
//! A value is described by its level and scale, by what it holds at some points (sample points of an interval, or the very slots
//! of a message), and by the linearised noise there: for each source k of noise, sigma_k times the derivative of the value by the
//! source. Sums and products carry these on exactly to first order,
//!
//! ```text
//! d(a + b) = da + db      d(a b) = a db + b da      deviation^2 = sum over k of |d_k|^2
//! ```
//!
//! so that a power of a noisy number, or a cancellation, is seen as what it is. Sources are those of docs/numerics.md: the input,
//! each rescale, sqrt((1 + hw) / 12) a coefficient, each key switch, and encoded plaintexts. A deviation of a coefficient is
//! sqrt(2 slots) times as large in a slot.
mod estimate;
mod rehearsal;

pub use estimate::Estimate;

use std::collections::BTreeMap;

use estimate::merged;

use super::{
    CircuitError, Result,
    work::{Kind, WorkList},
};
use crate::{
    arith::Complex,
    backend::Backend,
    ckks::{Ciphertext, CkksError, step_ratio},
    ring::Scale,
    rlwe::{Level, Params, RlweError},
};

/// Variance of an error coefficient.
const ERROR: f64 = 10.5;
/// The largest integer that stands for a constant, as `Evaluator` has it.
const CONSTANT_BITS: f64 = 120.0;

/// What a circuit costs, in operations on one ciphertext.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Cost {
    /// Products of ciphertexts.
    pub products: usize,
    /// Relinearisations, each with its rescale.
    pub relinearisations: usize,
    /// Rescales without relinearisation.
    pub rescales: usize,
    /// Products with constants.
    pub constants: usize,
    /// Products with encoded plaintexts, their encoding included.
    pub plaintexts: usize,
}

impl Cost {
    fn of(work: &WorkList) -> Self {
        Self {
            products: work.items_of(|kind| kind == Kind::Product),
            relinearisations: work.items_of(|kind| kind == Kind::Relinearisation),
            rescales: work.items_of(|kind| matches!(kind, Kind::Rescale(_))),
            constants: work
                .items_of(|kind| matches!(kind, Kind::TimesConstant(_) | Kind::TimesConstantOnto(_))),
            plaintexts: work.items_of(|kind| matches!(kind, Kind::TimesSlots(..) | Kind::TimesSlotsOnto(..))),
        }
    }

    /// All of it in units of a relinearisation, about: what a product, a rescale or a constant takes in its share of one.
    pub fn weight(&self) -> f64 {
        let weighted = [
            (self.relinearisations, 1.0),
            (self.rescales, 0.25),
            (self.products, 0.1),
            (self.constants, 0.04),
            (self.plaintexts, 0.3),
        ];
        weighted.iter().map(|(n, w)| *n as f64 * w).sum()
    }
}

/// Runs circuits on descriptions.
pub struct Forecast {
    params: Params,
    work: WorkList,
    noise: bool,
    sources: u32,
}

impl Forecast {
    /// Levels, scales and costs only, and values where an input has any.
    pub fn dry(params: &Params) -> Self {
        Self {
            params: params.clone(),
            work: WorkList::default(),
            noise: false,
            sources: 0,
        }
    }

    /// With noise.
    pub fn noisy(params: &Params) -> Self {
        Self {
            noise: true,
            ..Self::dry(params)
        }
    }

    /// What was done so far.
    pub fn cost(&self) -> Cost {
        Cost::of(&self.work)
    }

    /// The same by kind, level and number of ciphertexts.
    pub(in crate::circuit) fn work(&self) -> &WorkList {
        &self.work
    }

    /// An input of which only the shape is known: `items` ciphertexts of `slots` numbers.
    pub fn shape(&self, level: Level, scale: &Scale, items: usize, slots: usize) -> Estimate {
        Estimate {
            level,
            scale: scale.clone(),
            items,
            slots,
            components: 2,
            points: Vec::new(),
            noise: Vec::new(),
        }
    }

    /// The shape of a batch of ciphertexts.
    pub fn like<B: Backend>(&self, ct: &Ciphertext<B>) -> Estimate {
        Estimate {
            components: ct.components(),
            ..self.shape(ct.level(), ct.scale(), ct.items(), ct.slots())
        }
    }

    /// An input that holds `points`, equally many an item, with an error of a standard deviation.
    pub fn input(&mut self, shape: Estimate, points: &[Complex], deviation: f64) -> Estimate {
        let mut input = Estimate {
            points: points.to_vec(),
            ..shape
        };
        self.add_noise(&mut input, |_| deviation);
        input
    }

    /// The deviation in a slot of a fresh encryption with the secret key.
    pub fn fresh_deviation(scale: &Scale, slots: usize) -> f64 {
        (2.0 * slots as f64 * ERROR).sqrt() / scale.to_f64()
    }

    fn add_noise(&mut self, a: &mut Estimate, deviation: impl Fn(Complex) -> f64) {
        if self.noise && !a.points.is_empty() {
            let noise = a.points.iter().map(|z| deviation(*z).into()).collect();
            a.noise.push((self.sources, noise));
            self.sources += 1;
        }
    }

    /// Adds noise of a variance of coefficients.
    fn round(&mut self, a: &mut Estimate, variance: f64) {
        let deviation = (2.0 * a.slots as f64 * variance).sqrt() / a.scale.to_f64();
        self.add_noise(a, |_| deviation);
    }

    /// (1 + hw) / 12.
    fn rounding(&self) -> f64 {
        (1.0 + 2.0 * self.params.degree() as f64 / 3.0) / 12.0
    }

    /// The first term of a key switch's variance: sum over digits of N sigma^2 Q_j^2 / (12 P^2).
    pub(in crate::circuit) fn switching(&self, level: Level) -> Result<f64> {
        let prime = |i: &u32| f64::from(self.params.basis().prime(*i).value()).log2();
        let special: f64 = self.params.special().iter().map(prime).sum();
        let mut digits = BTreeMap::<u8, f64>::new();
        for i in &self.params.level("forecast", level)?.primes {
            let digit = self.params.digit_of().get(*i as usize).copied().unwrap_or(0);
            *digits.entry(digit).or_default() += prime(i);
        }
        let of = |log2: &f64| self.params.degree() as f64 * ERROR / 12.0 * (2.0 * (log2 - special)).exp2();
        Ok(digits.values().map(of).sum())
    }

    fn check_like(operation: &'static str, a: &Estimate, b: &Estimate) -> Result<()> {
        let shape = |e: &Estimate| format!("{} items of {} slots at {}", e.items, e.slots, e.level);
        if (a.items, a.slots, a.level) != (b.items, b.slots, b.level) {
            let remedy = "bring both to one level first";
            return Err(CircuitError::mismatch(
                operation,
                "shapes",
                shape(a),
                shape(b),
                remedy,
            ));
        }
        Ok(())
    }

    fn check_scales(operation: &'static str, level: Level, left: &Scale, right: &Scale) -> Result<()> {
        if left == right {
            return Ok(());
        }
        let (left, right) = (left.log2(), right.log2());
        Err(CkksError::ScaleMismatch {
            operation,
            level,
            left,
            right,
        }
        .into())
    }

    /// Demands a scale below the modulus, and values below half of it.
    fn check_room(&self, operation: &'static str, a: &Estimate) -> Result<()> {
        let log2_q = self.params.level(operation, a.level)?.log2_q;
        let (level, scale_log2) = (a.level, a.scale.log2());
        if scale_log2 >= log2_q {
            return Err(CkksError::Room {
                operation,
                level,
                scale_log2,
                log2_q,
            }
            .into());
        }
        let value_log2 = a.points.iter().map(|z| z.abs()).fold(0.0, f64::max).log2();
        if value_log2 + scale_log2 >= log2_q - 1.0 {
            return Err(CircuitError::Overflow {
                operation,
                level,
                value_log2,
                scale_log2,
                log2_q,
            });
        }
        Ok(())
    }

    fn check_constant(&self, operation: &'static str, level: Level, value: f64, scale: &Scale) -> Result<()> {
        let log2_q = self.params.level(operation, level)?.log2_q;
        let (scale_log2, most) = (scale.log2(), CONSTANT_BITS.min(log2_q - 1.0));
        let bits = value.abs().log2() + scale_log2;
        if bits < most {
            return Ok(());
        }
        Err(CkksError::Constant {
            operation,
            level,
            value,
            scale_log2,
            bits,
            limit: format!("{most:.1}"),
            remedy: "use a smaller constant, a smaller scale or a higher level",
        }
        .into())
    }

    fn combine(&self, operation: &'static str, a: &Estimate, b: &Estimate, sign: f64) -> Result<Estimate> {
        Self::check_like(operation, a, b)?;
        Self::check_scales(operation, a.level, &a.scale, &b.scale)?;
        let turn = |z: Complex| Complex::new(sign * z.re, sign * z.im);
        let points = a.points.iter().zip(&b.points).map(|(x, y)| *x + turn(*y));
        let sum = Estimate {
            components: a.components.max(b.components),
            points: points.collect(),
            noise: merged(&a.noise, &b.noise, |_, d| d, |_, d| turn(d)),
            ..a.clone()
        };
        self.check_room(operation, &sum)?;
        Ok(sum)
    }

    fn scaled(&self, a: &Estimate, c: f64, scale: &Scale) -> Result<Estimate> {
        let times = |z: Complex| Complex::new(z.re * c, z.im * c);
        let product = Estimate {
            scale: a.scale.mul(scale)?,
            points: a.map(times),
            ..a.clone().each_noise(|_, d| times(d))
        };
        self.check_room("mul_const", &product)?;
        Ok(product)
    }

    /// The level below, with the scale after a rescale.
    fn below(&self, operation: &'static str, a: &Estimate) -> Result<(Level, Scale)> {
        let exhausted = || RlweError::LevelsExhausted {
            operation,
            level: a.level,
            scale_log2: a.scale.log2(),
            log2_q: self.params.levels().first().map_or(0.0, |l| l.log2_q),
        };
        let below = a.level.below().ok_or_else(exhausted)?;
        let scale = a.scale.mul(step_ratio(&self.params, operation, below)?)?;
        Ok((below, scale))
    }
}
