//! Bootstraps with the plain values beside them, for finding faults.

use super::{BootstrapKeys, Bootstrapper};
use crate::{
    arith::Complex,
    backend::Backend,
    circuit::{CircuitError, Estimate, Forecast, Result},
    ckks::Ciphertext,
};

/// How far beyond 1 a magnitude may be: noise, which the sine bears.
const SLACK: f64 = 1e-6;

impl<B: Backend> Bootstrapper<B> {
    /// What a bootstrap makes of a value of a forecast: the same points at [`output_level`](Self::output_level) and its canonical scale, with the
    /// noise of [`predict`](Self::predict) if there is any. So circuits are rehearsed across bootstraps: run on a forecast, this, run on.
    ///
    /// # Errors
    /// [`CircuitError::Magnitude`] names the first item and slot above 1; other slots or too low a level, as [`bootstrap`](Self::bootstrap).
    pub fn rehearse(&self, forecast: &mut Forecast, x: &Estimate) -> Result<Estimate> {
        self.check_shape(x.slots(), x.level(), x.scale())?;
        // Written so that not-a-number is too large.
        let inside = |z: &Complex| z.abs() <= 1.0 + SLACK;
        let each = (x.points().len() / x.items().max(1)).max(1);
        if let Some(i) = x.points().iter().position(|z| !inside(z)) {
            return Err(CircuitError::Magnitude {
                operation: "bootstrap",
                item: i / each,
                slot: i % each,
                value: x.points().get(i).copied().unwrap_or_default(),
                most: 1.0,
            });
        }
        let level = self.output_level();
        let shape = forecast.shape(level, self.ckks().scale(level)?, x.items(), x.slots());
        let deviation = match x.points().is_empty() {
            true => 0.0,
            false => self.deviation(x.points())?.hypot(x.deviation()),
        };
        Ok(forecast.input(shape, x.points(), deviation))
    }

    /// [`bootstrap`](Self::bootstrap), with the plain values beside the ciphertexts, item by item: one above 1 in magnitude, which the modular
    /// reduction would fold, is named before work starts. Whoever runs this knows the values.
    ///
    /// # Errors
    /// [`CircuitError::Magnitude`]; another number of values; as [`bootstrap`](Self::bootstrap).
    pub fn bootstrap_debug(
        &self,
        keys: &BootstrapKeys<B>,
        ct: &Ciphertext<B>,
        values: &[Complex],
    ) -> Result<Ciphertext<B>> {
        let (have, want) = (values.len(), ct.items() * ct.slots());
        if have != want {
            let remedy = "pass items times slots values";
            return Err(CircuitError::mismatch(
                "bootstrap_debug",
                "lengths",
                want,
                have,
                remedy,
            ));
        }
        let mut forecast = Forecast::dry(self.ckks().context().params());
        let shape = forecast.like(ct);
        let shadow = forecast.input(shape, values, 0.0);
        self.rehearse(&mut forecast, &shadow)?;
        self.bootstrap(keys, ct)
    }
}
