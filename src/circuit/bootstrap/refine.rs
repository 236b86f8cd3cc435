//! Two bootstraps for one of higher precision (Bae, Cheon, Cho, Kim, Kim, eprint 2022/1167).
//!
//! ```text
//! z = B(x)        e = x - z at x's level, about 2^-p        z + 2^-p B(2^p e)
//! ```
//!
//! B's own error counts 2^-p times. What is left is the noise of two changes of scale: at the level where e is formed, and at that of the result,
//! one below the results of B.

use super::{BootstrapKeys, Bootstrapper};
use crate::{
    backend::Backend,
    circuit::{CircuitError, Result},
    ckks::{Ciphertext, Evaluator},
    rlwe::Level,
};

impl<B: Backend> Bootstrapper<B> {
    /// The same values with the error of [`bootstrap`](Self::bootstrap) some 2^-`bits` times as large, at the level below its results.
    ///
    /// 2^`bits` times the error of one bootstrap has to stay below 1: take a bit or two less than the worst precision that
    /// [`predict`](Self::predict) states. Operands are above the lowest level that one bootstrap takes.
    ///
    /// # Errors
    /// As [`bootstrap`](Self::bootstrap); [`CircuitError::Levels`] for an operand too low, or results without a level to give.
    pub fn bootstrap_refined(
        &self,
        keys: &BootstrapKeys<B>,
        ct: &Ciphertext<B>,
        bits: u32,
    ) -> Result<Ciphertext<B>> {
        let lowest = self.spec.input_level();
        let needed = Level(lowest.0 + 1);
        let Some(below) = self
            .output_level()
            .below()
            .filter(|below| ct.level() >= needed && *below >= needed)
        else {
            return Err(CircuitError::Levels {
                operation: String::from("a refined bootstrap"),
                level: ct.level().min(self.output_level()),
                needed: needed.0,
                remedy: format!("bootstrap at {needed} or above, with a bootstrap that leaves more levels"),
            });
        };
        let ev = Evaluator::new(&self.ckks, &keys.evaluation);
        let first = self.bootstrap(keys, ct)?;
        let canonical = self.ckks.scale(needed)?.clone();
        let at = |x: &Ciphertext<B>| -> Result<Ciphertext<B>> {
            match x.level() == needed && x.scale() == &canonical {
                true => Ok(x.clone()),
                false => Ok(ev.adjust(x, needed, &canonical)?),
            }
        };
        let error = ev.sub(&at(ct)?, &at(&first)?)?;
        let power = i64::from(bits);
        let read = |x: &Ciphertext<B>, power: i64| -> Result<Ciphertext<B>> {
            let scale = x.scale().clone().times_pow2(power)?;
            Ok(Ciphertext::from_parts(x.rlwe().clone(), scale, x.slots()))
        };
        let second = self.bootstrap(keys, &read(&error, -power)?)?;
        let scale = self.ckks.scale(below)?.clone();
        let mut sum = ev.adjust(&first, below, &scale)?;
        ev.add_assign(&mut sum, &ev.adjust(&read(&second, power)?, below, &scale)?)?;
        Ok(sum)
    }
}
