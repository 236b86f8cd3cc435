//! What a bootstrap consists of, and its preparation.

use super::{failure_log2, sine};
use crate::{
    arith::Complex,
    backend::Backend,
    circuit::{CircuitError, Polynomial, Result, dft, linear::Transform},
    ckks::{Ckks, Evaluator, step_ratio},
    ring::Scale,
    rlwe::{EPHEMERAL_WEIGHT, Encapsulation, KeyNeeds, KeyStore, Level, Params, RaiseKeys},
};

/// Which transform comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Raise, coefficients to slots, reduce, slots to coefficients: from level 0.
    RaiseFirst,
    /// Slots to coefficients, raise, coefficients to slots, reduce: the matrices back take the lowest levels, where they cost
    /// least, and the input has to leave them.
    CoefficientsFirst,
}

/// What a bootstrap is made of.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct BootstrapSpec {
    /// Slots of the ciphertexts, a power of two from 2 to N/2.
    pub slots: usize,
    /// Matrices of coefficients to slots, one level each; from 1 to log2 of the slots.
    pub to_slots: usize,
    /// Matrices of slots to coefficients, one level each; from 1 to log2 of the slots.
    pub to_coefficients: usize,
    /// K: the overflow lies in [-K, K].
    pub range: u32,
    /// Degree of the cosine as a polynomial of T_2.
    pub degree: usize,
    /// Double angles after it.
    pub double_angles: u32,
    /// Degree of the arcsine, an odd number; `None` for the sine as it is.
    pub arcsine: Option<usize>,
    /// Which transform comes first.
    pub order: Order,
    /// Whether slots are multiplied by a fixed vector of +-1 before and after: equal slots, whose polynomial is one large coefficient,
    /// where the sine is off most, become like any others. Takes level 1 instead of level 0.
    pub mask: bool,
}

impl BootstrapSpec {
    /// Three matrices each way, or as many as there are butterflies, log2 `slots`; K = 16, degree 31 and two double angles: the usual one.
    pub fn new(slots: usize) -> Self {
        let matrices = slots.max(2).ilog2().min(3) as usize;
        Self {
            slots,
            to_slots: matrices,
            to_coefficients: matrices,
            range: 16,
            degree: 31,
            double_angles: 2,
            arcsine: None,
            order: Order::RaiseFirst,
            mask: false,
        }
    }

    /// Levels of the modular reduction.
    pub fn reduction_depth(&self) -> u32 {
        let depth = |degree: usize| (degree + 1).next_power_of_two().ilog2();
        1 + depth(self.degree) + self.double_angles + self.arcsine.map_or(0, depth)
    }

    /// Levels of a bootstrap from the top down.
    pub fn depth(&self) -> u32 {
        let after = match self.order {
            Order::RaiseFirst => self.to_coefficients as u32,
            // To the canonical scale.
            Order::CoefficientsFirst => 1,
        };
        self.to_slots as u32 + self.reduction_depth() + after
    }

    /// The lowest level from which it starts.
    pub fn input_level(&self) -> Level {
        match self.order {
            Order::RaiseFirst => Level(u32::from(self.mask)),
            Order::CoefficientsFirst => Level(self.to_coefficients as u32),
        }
    }

    /// log2 of a bound on the probability that the bootstrap of one ciphertext of N = 2^log_n coefficients fails.
    pub fn failure_log2(&self, log_n: u32) -> f64 {
        failure_log2(log_n, EPHEMERAL_WEIGHT, f64::from(self.range))
    }

    /// The largest |x - 1/4|.
    pub(super) fn bound(&self) -> f64 {
        f64::from(self.range) + 0.25
    }

    /// What x is multiplied by for the reduction: sqrt(2) y = x `unit` - `unit` / 4.
    pub(super) fn unit(&self) -> f64 {
        std::f64::consts::SQRT_2 / self.bound()
    }
}

/// A bootstrap prepared for parameters: matrices encoded, polynomials fitted, levels and scales known.
pub struct Bootstrapper<B: Backend> {
    pub(super) ckks: Ckks<B>,
    pub(super) spec: BootstrapSpec,
    /// 2^k that multiplies what was raised.
    pub(super) lift: u32,
    /// q_0, as the scale at which the raised phase is x.
    pub(super) base: Scale,
    pub(super) to_slots: Vec<Transform<B>>,
    pub(super) cosine: Polynomial,
    pub(super) arcsine: Option<Polynomial>,
    /// The scale of the sine, and of what comes out of the reduction.
    pub(super) reduced: Scale,
    /// The scale at which that is the message.
    pub(super) after: Scale,
    pub(super) to_coefficients: Vec<Transform<B>>,
    pub(super) errors: [f64; 2],
    /// What the modular reduction of one ciphertext takes.
    pub(super) reduction_bytes: usize,
    /// Most bytes that a bootstrap may take.
    pub(super) budget: Option<usize>,
    /// What the memory of work is taken from.
    pub(super) store: Option<KeyStore<B>>,
}

impl<B: Backend> Bootstrapper<B> {
    /// Prepares a bootstrap from level 0, at its canonical scale, to the level that is left.
    ///
    /// # Errors
    /// [`CircuitError::Levels`] when the parameters have too few levels; slots that are no power of two from 2 to N/2; more matrices than
    /// butterflies; parameters whose base is too large for a sparse secret.
    pub fn new(ckks: &Ckks<B>, spec: &BootstrapSpec) -> Result<Self> {
        let params = ckks.context().params().clone();
        let (slots, most) = (spec.slots, ckks.max_slots());
        if !slots.is_power_of_two() || !(2..=most).contains(&slots) {
            let remedy = "use a power of two of slots from 2 to N/2";
            return Err(CircuitError::mismatch(
                "bootstrap",
                "slot counts",
                most,
                slots,
                remedy,
            ));
        }
        if spec.to_slots == 0 || spec.to_coefficients == 0 || spec.degree == 0 || spec.range == 0 {
            let remedy = "use at least one matrix each way, degree 1 and K = 1";
            return Err(CircuitError::mismatch(
                "bootstrap",
                "parts",
                0,
                "at least 1",
                remedy,
            ));
        }
        if spec.mask && spec.order == Order::CoefficientsFirst {
            let remedy = "a mask goes with the raise first";
            return Err(CircuitError::mismatch(
                "bootstrap",
                "orders",
                "mask",
                "coefficients first",
                remedy,
            ));
        }
        let top = params.top();
        let needed = spec.depth() + spec.input_level().0;
        if top.0 < needed {
            return Err(CircuitError::Levels {
                operation: String::from("a bootstrap, with what its input takes,"),
                level: top,
                needed,
                remedy: String::from("choose parameters with more levels, or fewer matrices"),
            });
        }
        Encapsulation::new(&params)?;
        let canonical =
            |level: Level| -> Result<Scale> { Ok(params.level("bootstrap", level)?.scale.clone()) };
        let at = |down: u32| Level(top.0.saturating_sub(down));

        let primes = &params.level("bootstrap", Level(0))?.primes;
        let values: Vec<u32> = primes.iter().map(|i| params.basis().prime(*i).value()).collect();
        let base = Scale::pow2(0).rescaled(&values, &[])?;
        let lift = (canonical(top)?.log2() - base.log2()).round().max(0.0) as u32;

        let packed = slots < most;
        let wide = if packed { 2 * slots } else { slots };
        // 1/n of the transform, 1/2 of the parts, what the trace multiplies by, and the interval.
        let constant = spec.unit() / (slots as f64 * 2.0 * (most / slots) as f64);
        let matrices = dft::to_coefficients_of(ckks.embedding(), slots, spec.to_slots)?;
        let share = constant.powf(1.0 / matrices.len() as f64);
        let mut scale = base.clone().times_pow2(i64::from(lift))?;
        let mut to_slots = Vec::with_capacity(matrices.len());
        let last = matrices.len() - 1;
        for (i, matrix) in (0u32..).zip(matrices) {
            let mut matrix = matrix.times(share);
            if packed && i as usize == last {
                // (w, -i w): with their conjugates, real parts in the first half and imaginary ones in the second.
                matrix = matrix
                    .repeated(wide)
                    .times_rows(&halves(slots, Complex::new(0.0, -1.0)));
            }
            let output = canonical(at(i + 1))?;
            to_slots.push(Transform::new(ckks, &matrix, at(i), &scale, &output)?);
            scale = output;
        }

        let (cosine, cosine_error) = sine::cosine(spec.bound(), spec.double_angles, spec.degree)?;
        let depth = |degree: usize| (degree + 1).next_power_of_two().ilog2();
        let mut down = spec.to_slots as u32 + 1 + depth(spec.degree);
        let mut sine_scale = canonical(at(down))?;
        for _ in 0..spec.double_angles {
            down += 1;
            sine_scale = squared(&params, &sine_scale, at(down))?;
        }
        let input = canonical(Level(0))?;
        let (mut arcsine, mut arcsine_error) = (None, 0.0);
        if let Some(degree) = spec.arcsine {
            // Slots became coefficients divided by 2 pi already, if the matrices back come first.
            let most = (input.log2() - base.log2()).exp2()
                * match spec.order {
                    Order::RaiseFirst => std::f64::consts::TAU,
                    Order::CoefficientsFirst => 1.0,
                };
            let (p, error) = sine::arcsine(most.min(1.0), degree)?;
            (arcsine, arcsine_error) = (Some(p), error);
            down += depth(degree);
            sine_scale = squared(&params, &canonical(Level(at(down).0 + 1))?, at(down))?;
        }

        // sin = 2 pi m / q_0, m = (values) (scale of level 0).
        let reduced = sine_scale;
        let after = reduced.mul(&input)?.div(&base)?;
        let matrices = dft::to_slots_of(ckks.embedding(), slots, spec.to_coefficients)?;
        let mut to_coefficients = Vec::with_capacity(matrices.len());
        let (mut scale, mut level) = match spec.order {
            Order::RaiseFirst => (after.clone(), at(down)),
            Order::CoefficientsFirst => (canonical(spec.input_level())?, spec.input_level()),
        };
        let last = matrices.len() - 1;
        for (i, mut matrix) in matrices.into_iter().enumerate() {
            if i == 0 {
                matrix = matrix.times(1.0 / std::f64::consts::TAU);
            }
            if packed && spec.order == Order::RaiseFirst {
                matrix = matrix.repeated(wide);
                if i == 0 {
                    matrix = matrix.times_columns(&halves(slots, Complex::new(0.0, 1.0)));
                }
            }
            if i == last && spec.mask {
                matrix = matrix.times_rows(&mask(slots));
            }
            let below = Level(level.0.saturating_sub(1));
            let output = canonical(below)?;
            to_coefficients.push(Transform::new(ckks, &matrix, level, &scale, &output)?);
            (scale, level) = (output, below);
        }
        let mut all = Self {
            ckks: ckks.clone(),
            spec: spec.clone(),
            lift,
            base,
            to_slots,
            cosine,
            arcsine,
            reduced,
            after,
            to_coefficients,
            errors: [cosine_error, arcsine_error],
            reduction_bytes: 0,
            budget: None,
            store: None,
        };
        all.reduction_bytes = all.counted_reduction()?;
        Ok(all)
    }

    /// The same with all diagonals as residues, which takes more memory ([`memory`](Self::memory) says how much) and less time.
    ///
    /// # Errors
    /// No memory.
    pub fn expanded(mut self) -> Result<Self> {
        for t in self.to_slots.iter_mut().chain(&mut self.to_coefficients) {
            t.expand(&self.ckks)?;
        }
        Ok(self)
    }

    /// What it was prepared from.
    pub fn spec(&self) -> &BootstrapSpec {
        &self.spec
    }

    /// The CKKS context.
    pub fn ckks(&self) -> &Ckks<B> {
        &self.ckks
    }

    /// The level of results.
    pub fn output_level(&self) -> Level {
        let params = self.ckks.context().params();
        Level(params.top().0.saturating_sub(self.spec.depth()))
    }

    /// log2 of the message ratio q_0 / (scale of level 0).
    pub fn ratio_log2(&self) -> f64 {
        let scale = self.ckks.scale(Level(0)).map_or(0.0, Scale::log2);
        self.base.log2() - scale
    }

    /// log2 of the probability that one bootstrap of a ciphertext fails.
    pub fn failure_log2(&self) -> f64 {
        self.spec.failure_log2(self.ckks.context().log_n())
    }

    /// Largest error of the cosine, and of the arcsine relative to its argument.
    pub fn approximation_errors(&self) -> [f64; 2] {
        self.errors
    }

    /// Slots while real and imaginary parts are apart.
    pub(super) fn wide(&self) -> usize {
        if self.is_packed() {
            2 * self.spec.slots
        } else {
            self.spec.slots
        }
    }

    /// Whether both parts are in one ciphertext.
    pub(super) fn is_packed(&self) -> bool {
        self.spec.slots < self.ckks.max_slots()
    }

    /// Rotations of the trace.
    pub(super) fn trace(&self) -> impl Iterator<Item = usize> + use<B> {
        let most = self.ckks.max_slots();
        std::iter::successors(Some(self.spec.slots), |k| Some(2 * k)).take_while(move |k| *k < most)
    }

    /// The level after coefficients to slots.
    pub(super) fn reduction_level(&self) -> Level {
        Level(
            self.ckks
                .context()
                .params()
                .top()
                .0
                .saturating_sub(self.spec.to_slots as u32),
        )
    }

    /// `needs` and the keys of a bootstrap, each up to the level where it is used.
    pub fn add_needs(&self, needs: KeyNeeds) -> KeyNeeds {
        let top = self.ckks.context().params().top();
        let needs = needs.up_to(top).rotate(self.trace().map(|k| k as i64));
        let needs = self.to_slots.iter().fold(needs, |needs, t| t.add_needs(needs));
        let needs = needs.up_to(self.reduction_level()).conjugate().relinearise();
        let needs = self
            .to_coefficients
            .iter()
            .fold(needs, |needs, t| t.add_needs(needs));
        if self.is_packed() {
            return needs.up_to(self.output_level()).rotate([self.spec.slots as i64]);
        }
        needs
    }

    /// Demands every key before work starts.
    pub(super) fn check_keys(&self, ev: &Evaluator<'_, B>, raise: &RaiseKeys<B>) -> Result<()> {
        let (ctx, keys) = (self.ckks.context(), ev.keys());
        let operation = "bootstrap";
        raise.check(ctx, operation)?;
        let rotation = |k: usize| crate::ring::Galois::rotation(k as i64, ctx.log_n());
        for k in self.trace() {
            ctx.check_key(
                operation,
                ctx.params().top(),
                keys.galois(operation, rotation(k))?,
            )?;
        }
        for t in self.to_slots.iter().chain(&self.to_coefficients) {
            t.check_keys(ev)?;
        }
        let conjugation = crate::ring::Galois::conjugation(ctx.log_n());
        ctx.check_key(
            operation,
            self.reduction_level(),
            keys.galois(operation, conjugation)?,
        )?;
        ctx.check_key(
            operation,
            self.reduction_level(),
            keys.relinearisation(operation)?,
        )?;
        if self.is_packed() {
            let key = keys.galois(operation, rotation(self.spec.slots))?;
            ctx.check_key(operation, self.output_level(), key)?;
        }
        Ok(())
    }
}

/// A fixed vector of +-1: the signs of a multiplicative sequence (splitmix64).
pub(super) fn mask(n: usize) -> Vec<Complex> {
    let sign = |i: u64| {
        let mut x = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Complex::from(if (x ^ (x >> 31)) & 1 == 1 { 1.0 } else { -1.0 })
    };
    (0..n as u64).map(sign).collect()
}

/// 1 in the first `n` slots, c in the others.
pub(super) fn halves(n: usize, c: Complex) -> Vec<Complex> {
    [vec![Complex::from(1.0); n], vec![c; n]].concat()
}

/// The scale of a square of `scale` after the rescale to `below`.
fn squared(params: &Params, scale: &Scale, below: Level) -> Result<Scale> {
    Ok(scale.mul(scale)?.mul(step_ratio(params, "bootstrap", below)?)?)
}
