//! A bootstrap prepared for parameters.

use super::{
    BootstrapSpec, Order,
    prepare::{Reduction, canonical, to_coefficients, to_slots},
};
use crate::{
    backend::Backend,
    circuit::{CircuitError, Polynomial, Result, linear::Transform},
    ckks::Ckks,
    ring::Scale,
    rlwe::{Encapsulation, KeyStore, Level},
};

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
        let params = ckks.context().params();
        spec.check(ckks.max_slots())?;
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
        Encapsulation::new(params)?;

        let primes = &params.level("bootstrap", Level(0))?.primes;
        let values: Vec<u32> = primes.iter().map(|i| params.basis().prime(*i).value()).collect();
        let base = Scale::pow2(0).rescaled(&values, &[])?;
        let lift = (canonical(params, top)?.log2() - base.log2()).round().max(0.0) as u32;
        let raised = base.clone().times_pow2(i64::from(lift))?;
        let to_slots = to_slots(ckks, spec, raised)?;

        let reduction = Reduction::new(params, spec, &base)?;
        // sin = 2 pi m / q_0, m = (values) (scale of level 0).
        let reduced = reduction.scale;
        let after = reduced.mul(&canonical(params, Level(0))?)?.div(&base)?;
        let start = match spec.order {
            Order::RaiseFirst => (after.clone(), reduction.end),
            Order::CoefficientsFirst => (canonical(params, spec.input_level())?, spec.input_level()),
        };
        let to_coefficients = to_coefficients(ckks, spec, start)?;
        let mut all = Self {
            ckks: ckks.clone(),
            spec: spec.clone(),
            lift,
            base,
            to_slots,
            cosine: reduction.cosine,
            arcsine: reduction.arcsine,
            reduced,
            after,
            to_coefficients,
            errors: reduction.errors,
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
}
