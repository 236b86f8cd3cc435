//! The bootstrap itself.

use super::{
    BootstrapKeys, Bootstrapper, Order,
    vectors::{halves, mask},
};
use crate::{
    arith::Complex,
    backend::Backend,
    circuit::{Arithmetic, CircuitError, Encrypted, Output, Polynomial, Result},
    ckks::{Ciphertext, Evaluator, step_ratio},
    ring::Scale,
    rlwe::Level,
};

/// A part of a bootstrap, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// To level 0, and from there to the top.
    Raise,
    /// The trace, if there is one, and the matrices.
    CoefficientsToSlots,
    /// The reduction modulo q_0.
    ModularReduction,
    /// The matrices back.
    SlotsToCoefficients,
}

impl Stage {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raise => "raise",
            Self::CoefficientsToSlots => "coefficients_to_slots",
            Self::ModularReduction => "modular_reduction",
            Self::SlotsToCoefficients => "slots_to_coefficients",
        }
    }
}

impl<B: Backend> Bootstrapper<B> {
    /// The same values at [`output_level`](Self::output_level), at its canonical scale; every item.
    ///
    /// Operands have the slots of the bootstrapper and any level; above level 0 they are brought there at its canonical scale. Values are
    /// at most 1 in magnitude: their polynomial has coefficients below the scale of level 0, as the sine is taken near 0.
    ///
    /// # Errors
    /// Other slots, another scale at level 0, three components, a key that is missing, too short or of other parameters, memory above the
    /// budget: before work starts. A failure of the device.
    pub fn bootstrap(&self, keys: &BootstrapKeys<B>, ct: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        self.bootstrap_with(keys, ct, |_| Ok(()))
    }

    /// Two ciphertexts of real values with one bootstrap: as real and imaginary parts of (a + i b) / 2. Both have the same
    /// level, above [`input_level`](super::BootstrapSpec::input_level), and scale.
    ///
    /// # Errors
    /// As [`bootstrap`](Self::bootstrap); [`CircuitError::Levels`] for operands at the lowest level, where nothing can be halved.
    pub fn bootstrap_pair(
        &self,
        keys: &BootstrapKeys<B>,
        a: &Ciphertext<B>,
        b: &Ciphertext<B>,
    ) -> Result<(Ciphertext<B>, Ciphertext<B>)> {
        let lowest = self.spec.input_level();
        if a.level() <= lowest {
            return Err(CircuitError::Levels {
                operation: String::from("a bootstrap of two ciphertexts of real values"),
                level: a.level(),
                needed: lowest.0 + 1,
                remedy: String::from("bootstrap one level earlier, or one by one"),
            });
        }
        let ev = Evaluator::new(&self.ckks, &keys.evaluation);
        let half = ev.add(a, &ev.mul_i(b)?)?.divided_by_pow2(1)?;
        let both = self.bootstrap(keys, &half)?;
        let conjugate = ev.conjugate(&both)?;
        let imaginary = ev.mul_i(&ev.sub(&conjugate, &both)?)?;
        Ok((ev.add(&both, &conjugate)?, imaginary))
    }

    /// [`bootstrap`](Self::bootstrap), telling `done` after every stage.
    ///
    /// # Errors
    /// As [`bootstrap`](Self::bootstrap), and those of `done`.
    pub fn bootstrap_with(
        &self,
        keys: &BootstrapKeys<B>,
        ct: &Ciphertext<B>,
        mut done: impl FnMut(Stage) -> Result<()>,
    ) -> Result<Ciphertext<B>> {
        let ev = Evaluator::new(&self.ckks, &keys.evaluation);
        self.check(&ev, keys, ct)?;
        let _room = match self.store {
            Some(_) => self.reserve(self.memory(ct.items())?.working)?,
            None => None,
        };
        self.trim();
        let mut done = |stage: Stage| -> Result<()> {
            let told = done(stage);
            self.trim();
            told
        };
        let mut low = self.lowered(&ev, ct)?;
        let first = self.spec.order == Order::CoefficientsFirst;
        if first {
            low = self.transformed(&ev, low)?;
            done(Stage::SlotsToCoefficients)?;
        }
        let raised = self.raise(&ev, keys, &low)?;
        done(Stage::Raise)?;
        let x = self.coefficients_to_slots(&ev, raised)?;
        done(Stage::CoefficientsToSlots)?;
        let sine = reduce(&mut Encrypted::new(&ev), &x, self)?;
        drop(x);
        if first {
            let result = self.joined(&ev, sine)?;
            done(Stage::ModularReduction)?;
            return Ok(result);
        }
        done(Stage::ModularReduction)?;
        let result = self.slots_to_coefficients(&ev, sine)?;
        done(Stage::SlotsToCoefficients)?;
        Ok(result)
    }

    /// At the level where work starts, at its canonical scale.
    fn lowered(&self, ev: &Evaluator<'_, B>, ct: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        let level = self.spec.input_level();
        let canonical = self.ckks.scale(level)?.clone();
        if self.spec.mask {
            let ct = ev.adjust(ct, level, &canonical)?;
            return self.times_plain(ev, &ct, &mask(self.spec.slots));
        }
        Ok(ev.adjust(ct, level, &canonical)?)
    }

    /// Times a plaintext, at the canonical scale of the level below.
    fn times_plain(
        &self,
        ev: &Evaluator<'_, B>,
        ct: &Ciphertext<B>,
        values: &[Complex],
    ) -> Result<Ciphertext<B>> {
        let below = Level(ct.level().0.saturating_sub(1));
        let target = self.ckks.scale(below)?.clone();
        let ratio = step_ratio(self.ckks.context().params(), "bootstrap", below)?;
        let scale = target.div(&ct.scale().mul(ratio)?)?;
        let plain = self.ckks.encode(values, 1, ct.level(), &scale)?;
        Ok(ev.rescale(&ev.mul_plain(ct, &plain)?)?)
    }

    /// The matrices back.
    fn transformed(&self, ev: &Evaluator<'_, B>, ct: Ciphertext<B>) -> Result<Ciphertext<B>> {
        (self.to_coefficients.iter()).try_fold(ct, |x, matrix| matrix.apply(ev, &x))
    }

    /// Both parts together again, at the canonical scale one level down: the end when the matrices back came first.
    fn joined(&self, ev: &Evaluator<'_, B>, sine: Ciphertext<B>) -> Result<Ciphertext<B>> {
        let below = Level(sine.level().0.saturating_sub(1));
        if self.is_packed() {
            let read = Ciphertext::from_parts(sine.rlwe().clone(), self.after.clone(), self.wide());
            let factors = halves(self.spec.slots, Complex::new(0.0, 1.0));
            let mut w = self.times_plain(ev, &read, &factors)?;
            let moved = ev.rotate(&w, self.spec.slots as i64)?;
            ev.add_assign(&mut w, &moved)?;
            return Ok(Ciphertext::from_parts(
                w.rlwe().clone(),
                w.scale().clone(),
                self.spec.slots,
            ));
        }
        let w = self.complex(ev, sine)?;
        let read = Ciphertext::from_parts(w.rlwe().clone(), self.after.clone(), self.spec.slots);
        Ok(ev.adjust(&read, below, &self.ckks.scale(below)?.clone())?)
    }

    /// Real parts and i times imaginary ones, which were items of their own.
    fn complex(&self, ev: &Evaluator<'_, B>, parts: Ciphertext<B>) -> Result<Ciphertext<B>> {
        let items = parts.items() / 2;
        let imaginary = ev.mul_i(&parts.slice(items, items)?)?;
        Ok(ev.add(&parts.slice(0, items)?, &imaginary)?)
    }

    fn check(&self, ev: &Evaluator<'_, B>, keys: &BootstrapKeys<B>, ct: &Ciphertext<B>) -> Result<()> {
        if ct.components() != 2 {
            let remedy = "relinearise first";
            return Err(CircuitError::mismatch(
                "bootstrap",
                "components",
                2,
                ct.components(),
                remedy,
            ));
        }
        if self.budget.is_some() {
            self.check_budget(keys, self.memory(ct.items())?)?;
        }
        self.check_shape(ct.slots(), ct.level(), ct.scale())?;
        self.check_keys(ev, &keys.raise)
    }

    /// Demands slots, level and scale of an operand.
    pub(super) fn check_shape(&self, slots: usize, level: Level, scale: &Scale) -> Result<()> {
        if slots != self.spec.slots {
            let remedy = "prepare a bootstrapper for as many slots";
            return Err(CircuitError::mismatch(
                "bootstrap",
                "slot counts",
                self.spec.slots,
                slots,
                remedy,
            ));
        }
        let lowest = self.spec.input_level();
        if level < lowest {
            return Err(CircuitError::Levels {
                operation: String::from("this bootstrap, before it raises anything,"),
                level,
                needed: lowest.0,
                remedy: format!(
                    "bootstrap at {lowest} or above, or prepare one that raises first, without a mask"
                ),
            });
        }
        let canonical = self.ckks.scale(lowest)?;
        if level == lowest && scale != canonical {
            let remedy = "bootstrap one level earlier, or `adjust` to the canonical scale from above";
            return Err(CircuitError::mismatch(
                "bootstrap",
                "scales",
                canonical,
                scale,
                remedy,
            ));
        }
        Ok(())
    }

    /// From level 0 to the top: x = I + m / q_0 at a scale near that of the top.
    fn raise(
        &self,
        ev: &Evaluator<'_, B>,
        keys: &BootstrapKeys<B>,
        low: &Ciphertext<B>,
    ) -> Result<Ciphertext<B>> {
        let inner = self.ckks.context().raise(low.rlwe(), &keys.raise)?;
        let raised = Ciphertext::from_parts(inner, self.base.clone(), self.spec.slots);
        let scale = self.base.clone().times_pow2(i64::from(self.lift))?;
        Ok(ev.adjust(&raised, raised.level(), &scale)?)
    }

    /// sqrt(2) x / (K + 1/4) in the slots, real and imaginary parts as two items, or as the two halves of twice the slots.
    fn coefficients_to_slots(&self, ev: &Evaluator<'_, B>, raised: Ciphertext<B>) -> Result<Ciphertext<B>> {
        let mut x = raised;
        for k in self.trace() {
            // Rotations beyond the slots move what lies outside the subring only.
            let moved = ev.rotate(&x, k as i64)?;
            ev.add_assign(&mut x, &moved)?;
        }
        let last = self.to_slots.len() - 1;
        for (i, matrix) in self.to_slots.iter().enumerate() {
            if i == last {
                x = Ciphertext::from_parts(x.rlwe().clone(), x.scale().clone(), self.wide());
            }
            x = matrix.apply(ev, &x)?;
        }
        let conjugate = ev.conjugate(&x)?;
        let real = ev.add(&x, &conjugate)?;
        if self.is_packed() {
            return Ok(real);
        }
        // -i (w - conj w) = i (conj w - w)
        let imaginary = ev.mul_i(&ev.sub(&conjugate, &x)?)?;
        Ok(ev.concat(&[real, imaginary])?)
    }

    fn slots_to_coefficients(&self, ev: &Evaluator<'_, B>, sine: Ciphertext<B>) -> Result<Ciphertext<B>> {
        let w = match self.is_packed() {
            true => sine,
            false => self.complex(ev, sine)?,
        };
        let read = Ciphertext::from_parts(w.rlwe().clone(), self.after.clone(), self.wide());
        let mut w = self.transformed(ev, read)?;
        if self.is_packed() {
            let moved = ev.rotate(&w, self.spec.slots as i64)?;
            ev.add_assign(&mut w, &moved)?;
        }
        Ok(Ciphertext::from_parts(
            w.rlwe().clone(),
            w.scale().clone(),
            self.spec.slots,
        ))
    }
}

/// sin(2 pi x), or 2 pi (x - I) by the arcsine, from sqrt(2) x / (K + 1/4).
pub(super) fn reduce<A: Arithmetic, B: Backend>(
    m: &mut A,
    x: &A::Value,
    plan: &Bootstrapper<B>,
) -> Result<A::Value> {
    let y = m.add_const(x, Complex::from(-plan.spec.unit() / 4.0))?;
    let square = m.mul(&y, &y)?;
    let square = m.relinearise_rescale(&square)?;
    let u = m.add_const(&square, Complex::from(-1.0))?;
    let mut c = one(Polynomial::evaluate_all_on(
        m,
        &u,
        &[&plan.cosine],
        &Output::default(),
    )?)?;
    for _ in 0..plan.spec.double_angles {
        // 2 c^2 - 1
        let square = m.mul(&c, &c)?;
        let square = m.relinearise_rescale(&square)?;
        let double = m.add(&square, &square)?;
        c = m.add_const(&double, Complex::from(-1.0))?;
    }
    let Some(arcsine) = &plan.arcsine else {
        return Ok(c);
    };
    let output = Output {
        level: None,
        scale: Some(plan.reduced.clone()),
    };
    one(Polynomial::evaluate_all_on(m, &c, &[arcsine], &output)?)
}

/// The value of one polynomial.
fn one<V>(mut values: Vec<V>) -> Result<V> {
    let missing = || CircuitError::mismatch("bootstrap", "polynomials", 0, 1, "this is a defect; report it");
    values.pop().ok_or_else(missing)
}
