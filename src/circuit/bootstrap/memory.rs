//! What a bootstrap needs of memory, before it starts.

use super::Bootstrapper;
use crate::{
    backend::Backend,
    circuit::{CircuitError, Result},
    rlwe::{KeyNeeds, Level},
};

/// Bytes by purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Memory {
    /// Keys in use, those of the encapsulation included.
    pub keys: usize,
    /// Diagonals of the matrices.
    pub matrices: usize,
    /// The most that one bootstrap holds besides: rotated operands, sums, digits.
    pub working: usize,
}

impl Memory {
    /// All of it.
    pub fn total(&self) -> usize {
        self.keys + self.matrices + self.working
    }
}

impl<B: Backend> Bootstrapper<B> {
    /// For a bootstrap of `items` ciphertexts.
    ///
    /// # Errors
    /// None for a bootstrapper that was made.
    pub fn memory(&self, items: usize) -> Result<Memory> {
        let params = self.ckks().context().params();
        let row = 4usize << params.log_n();
        let special = params.special().len();
        let shape = |level: Level| -> Result<(usize, usize)> {
            let primes = params.primes_up_to(level);
            let digits = primes
                .iter()
                .filter_map(|i| params.digit_of().get(*i as usize))
                .max();
            Ok((primes.len() + special, digits.map_or(1, |d| usize::from(*d) + 1)))
        };
        let needs = self.add_needs(KeyNeeds::new(params));
        let levels = needs
            .galois()
            .map(|(_, level)| level)
            .chain(needs.relinearisation());
        let mut keys = 0;
        for level in levels {
            let (rows, digits) = shape(level)?;
            keys += 2 * rows * digits * row;
        }
        let top = params.level("memory", params.top())?.primes.len() + special;
        keys += 2 * (top + 2 * params.level("memory", Level(0))?.primes.len()) * row;

        let transforms = self.to_slots.iter().chain(&self.to_coefficients);
        let (mut working, mut matrices) = (0, 0);
        for t in transforms {
            working = working.max(t.working_bytes(self.ckks(), items)?);
            matrices += t.bytes(self.ckks())?;
        }
        // Powers of the polynomial, parts apart; three components of a product and its digits.
        let (rows, digits) = shape(self.reduction_level())?;
        let parts = if self.is_packed() { items } else { 2 * items };
        let powers = 2 * (self.spec().degree + 1).ilog2() as usize + 8;
        working = working.max((2 * powers + 3 + 2 * digits) * parts * rows * row);
        Ok(Memory {
            keys,
            matrices,
            working,
        })
    }

    /// The same bootstrapper, refusing to start what would take more than `bytes`.
    pub fn within(mut self, bytes: usize) -> Self {
        self.budget = Some(bytes);
        self
    }

    /// Demands that a bootstrap of `items` ciphertexts stays within the budget, if there is one.
    pub(super) fn check_memory(&self, items: usize) -> Result<()> {
        let Some(budget) = self.budget else {
            return Ok(());
        };
        let memory = self.memory(items)?;
        if memory.total() > budget {
            return Err(CircuitError::Memory {
                operation: "bootstrap",
                needed: memory.total(),
                keys: memory.keys,
                budget,
            });
        }
        Ok(())
    }
}
