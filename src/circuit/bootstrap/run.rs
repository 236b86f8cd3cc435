//! The bootstrap itself.

use super::{BootstrapKeys, Bootstrapper};
use crate::{
    backend::Backend,
    circuit::{CircuitError, Output, Result, evaluate_all},
    ckks::{Ciphertext, Evaluator},
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

impl<B: Backend> Bootstrapper<B> {
    /// The same values at [`output_level`](Self::output_level), at its canonical scale; every item.
    ///
    /// Operands have the slots of the bootstrapper and any level; above level 0 they are brought there at its canonical scale. Values are
    /// at most 1 in magnitude: their polynomial has coefficients below the scale of level 0, as the sine is taken near 0.
    ///
    /// # Errors
    /// Other slots, another scale at level 0, three components, a key that is missing or too short: before work starts. A failure of
    /// the device.
    pub fn bootstrap(&self, keys: &BootstrapKeys<B>, ct: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        self.bootstrap_with(keys, ct, |_| Ok(()))
    }

    /// The same, telling `done` after every stage.
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
        self.check(&ev, ct)?;
        let raised = self.raise(&ev, keys, ct)?;
        done(Stage::Raise)?;
        let x = self.coefficients_to_slots(&ev, raised)?;
        done(Stage::CoefficientsToSlots)?;
        let sine = self.reduce(&ev, &x)?;
        drop(x);
        done(Stage::ModularReduction)?;
        let result = self.slots_to_coefficients(&ev, sine)?;
        done(Stage::SlotsToCoefficients)?;
        Ok(result)
    }

    fn check(&self, ev: &Evaluator<'_, B>, ct: &Ciphertext<B>) -> Result<()> {
        let mismatch = |what, left: String, right: String, remedy| {
            Err(CircuitError::mismatch("bootstrap", what, left, right, remedy))
        };
        if ct.slots() != self.spec.slots {
            let (left, right) = (self.spec.slots.to_string(), ct.slots().to_string());
            return mismatch("slot counts", left, right, "prepare a bootstrapper for as many slots");
        }
        if ct.components() != 2 {
            let right = ct.components().to_string();
            return mismatch("components", String::from("2"), right, "relinearise first");
        }
        let canonical = self.ckks.scale(Level(0))?;
        if ct.level() == Level(0) && ct.scale() != canonical {
            let (left, right) = (canonical.to_string(), ct.scale().to_string());
            let remedy = "bootstrap one level earlier, or `adjust` to the canonical scale of level 0 from above";
            return mismatch("scales at level 0", left, right, remedy);
        }
        self.check_keys(ev)
    }

    /// At level 0 at its canonical scale, then at the top: x = I + m / q_0 at a scale near that of the top.
    fn raise(
        &self,
        ev: &Evaluator<'_, B>,
        keys: &BootstrapKeys<B>,
        ct: &Ciphertext<B>,
    ) -> Result<Ciphertext<B>> {
        let low = match ct.level() {
            Level(0) => ct.clone(),
            _ => ev.adjust(ct, Level(0), &self.ckks.scale(Level(0))?.clone())?,
        };
        let inner = self.ckks.context().raise(low.rlwe(), &keys.raise)?;
        let raised = Ciphertext::from_parts(inner, self.base.clone(), self.spec.slots);
        let scale = self.base.clone().times_pow2(i64::from(self.lift))?;
        Ok(ev.adjust(&raised, raised.level(), &scale)?)
    }

    /// y = x / (K + 1/4) in the slots, real and imaginary parts as two items, or as the two halves of twice the slots.
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

    /// sin(2 pi x), or 2 pi (x - I) by the arcsine.
    fn reduce(&self, ev: &Evaluator<'_, B>, x: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        let y = ev.add_const(x, -0.25 / self.spec.bound(), 0.0)?;
        let u = double_angle(ev, &y)?;
        let mut c = evaluate_all(ev, &u, &[&self.cosine], &Output::default())?;
        drop((y, u));
        let missing = || CircuitError::mismatch("bootstrap", "polynomials", 0, 1, "this is a defect; report it");
        let mut c = c.pop().ok_or_else(missing)?;
        for _ in 0..self.spec.double_angles {
            c = double_angle(ev, &c)?;
        }
        let Some(arcsine) = &self.arcsine else {
            return Ok(c);
        };
        let output = Output {
            level: None,
            scale: Some(self.reduced.clone()),
        };
        let mut angle = evaluate_all(ev, &c, &[arcsine], &output)?;
        angle.pop().ok_or_else(missing)
    }

    fn slots_to_coefficients(&self, ev: &Evaluator<'_, B>, sine: Ciphertext<B>) -> Result<Ciphertext<B>> {
        let mut w = sine;
        if !self.is_packed() {
            let items = w.items() / 2;
            let imaginary = ev.mul_i(&w.slice(items, items)?)?;
            w = ev.add(&w.slice(0, items)?, &imaginary)?;
        }
        let scale: Scale = w.scale().mul(self.ckks.scale(Level(0))?)?.div(&self.base)?;
        w = Ciphertext::from_parts(w.rlwe().clone(), scale, self.wide());
        for matrix in &self.to_coefficients {
            w = matrix.apply(ev, &w)?;
        }
        if self.is_packed() {
            let moved = ev.rotate(&w, self.spec.slots as i64)?;
            ev.add_assign(&mut w, &moved)?;
        }
        Ok(Ciphertext::from_parts(w.rlwe().clone(), w.scale().clone(), self.spec.slots))
    }
}

/// 2 c^2 - 1.
fn double_angle<B: Backend>(ev: &Evaluator<'_, B>, c: &Ciphertext<B>) -> Result<Ciphertext<B>> {
    let square = ev.relinearise_rescale(&ev.square(c)?)?;
    let double = ev.mul_integer(&square, 2)?;
    Ok(ev.add_const(&double, -1.0, 0.0)?)
}
