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
    circuit::{Arithmetic, CircuitError, Forecast, Result},
    ckks::{Ciphertext, Evaluator},
    rlwe::Level,
};

/// More bits than any change of scale has.
const MOST_BITS: u32 = 128;

impl<B: Backend> Bootstrapper<B> {
    /// The same values with the error of [`bootstrap`](Self::bootstrap) some 2^-`bits` times as large, at the level below its results.
    ///
    /// 2^`bits` times the error of one bootstrap has to stay below 1: take a bit or two less than the worst precision that
    /// [`predict`](Self::predict) states. The scale bounds them too: what is read at 2^`bits` times the scale of results comes back to the canonical
    /// one of the level below. Operands are above the lowest level that one bootstrap takes, and at the lowest of those that are left at its
    /// canonical scale.
    ///
    /// # Errors
    /// As [`bootstrap`](Self::bootstrap); [`CircuitError::Levels`] for an operand too low, or results without a level to give;
    /// [`CircuitError::Mismatch`] for bits that the scales do not take; an operand at another scale; memory above the budget: all before the
    /// first bootstrap.
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
        self.check_bits(bits, needed, below)?;
        if self.budget.is_some() {
            self.check_budget(keys, self.memory_refined(ct.items())?)?;
        }
        let _room = self.reserve(self.kept_by_refined(ct.items())?)?;
        let ev = Evaluator::new(&self.ckks, &keys.evaluation);
        let canonical = self.ckks.scale(needed)?.clone();
        let at = |x: &Ciphertext<B>| -> Result<Ciphertext<B>> {
            match x.level() == needed && x.scale() == &canonical {
                true => Ok(x.clone()),
                false => Ok(ev.adjust(x, needed, &canonical)?),
            }
        };
        let operand = at(ct)?;
        let first = self.bootstrap(keys, ct)?;
        let error = ev.sub(&operand, &at(&first)?)?;
        drop(operand);
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

    /// Demands bits that both changes of scale around the second bootstrap take: of the error, at `needed` and 2^-`bits` times the canonical
    /// scale, to the level where a bootstrap starts; of its result, at 2^`bits` times the canonical scale, to the level `below`.
    fn check_bits(&self, bits: u32, needed: Level, below: Level) -> Result<()> {
        let mut dry = Forecast::dry(self.ckks.context().params());
        let mut change = |from: Level, power: i64, to: Level| -> Result<()> {
            let scale = self.ckks.scale(from)?.clone().times_pow2(power)?;
            let value = dry.shape(from, &scale, 1, self.spec.slots);
            let value = dry.drop_to(&value, from)?;
            dry.adjust_below(&value, self.ckks.scale(to)?)?;
            Ok(())
        };
        let mut both = |bits: u32| -> Result<()> {
            let power = i64::from(bits);
            change(needed, -power, self.spec.input_level())?;
            change(self.output_level(), power, below)
        };
        // Whatever is wrong without any is not for the bits.
        both(0)?;
        if both(bits).is_ok() {
            return Ok(());
        }
        let most = (1..bits.min(MOST_BITS)).rev().find(|bits| both(*bits).is_ok());
        let most = format!("at most {}", most.unwrap_or(0));
        let remedy = "take fewer bits, or parameters of a larger scale";
        let operation = "a refined bootstrap";
        Err(CircuitError::mismatch(operation, "bits", most, bits, remedy))
    }
}
