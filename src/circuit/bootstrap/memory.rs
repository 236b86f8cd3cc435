//! What a bootstrap needs of memory, before it starts.

use super::{BootstrapKeys, Bootstrapper};
use crate::{
    backend::Backend,
    circuit::{CircuitError, Result},
    rlwe::{KeyNeeds, KeyStore, Level, SeededRaiseKeys},
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

/// Bytes of the keys of a bootstrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KeyBytes {
    /// Those of the evaluation, expanded.
    pub expanded: usize,
    /// The same, seeded.
    pub seeded: usize,
    /// The largest of them, expanded.
    pub largest: usize,
    /// Those of the encapsulation, expanded: they are in use at any time.
    pub raise: usize,
}

impl<B: Backend> Bootstrapper<B> {
    /// Rows and digits of a switching key up to a level.
    fn key_shape(&self, level: Level) -> (usize, usize) {
        let params = self.ckks().context().params();
        let primes = params.primes_up_to(level);
        let digits = primes
            .iter()
            .filter_map(|i| params.digit_of().get(*i as usize))
            .max();
        let rows = primes.len() + params.special().len();
        (rows, digits.map_or(1, |d| usize::from(*d) + 1))
    }

    /// What its keys take, before there are any.
    ///
    /// # Errors
    /// None for a bootstrapper that was made.
    pub fn key_bytes(&self) -> Result<KeyBytes> {
        let params = self.ckks().context().params();
        let row = 4usize << params.log_n();
        let needs = self.add_needs(KeyNeeds::new(params));
        let levels = needs
            .galois()
            .map(|(_, level)| level)
            .chain(needs.relinearisation());
        let each = levels.map(|level| {
            let (rows, digits) = self.key_shape(level);
            rows * digits * row
        });
        let (mut expanded, mut seeded, mut largest) = (0, 0, 0);
        for half in each {
            expanded += 2 * half;
            // b, and the seed of a.
            seeded += half + 32;
            largest = largest.max(2 * half);
        }
        let halves = SeededRaiseKeys::<B>::rows(self.ckks().context())?;
        let raise = 2 * halves.iter().map(Vec::len).sum::<usize>() * row;
        Ok(KeyBytes {
            expanded,
            seeded,
            largest,
            raise,
        })
    }

    /// What of a budget for everything is left to a [`KeyStore`] when `at_once` bootstraps of `items` ciphertexts each, running at the same
    /// time, have their share: at least what the keys need to be expanded on use.
    ///
    /// # Errors
    /// [`CircuitError::Memory`] for a budget below that, before anything is made.
    pub fn key_budget(&self, items: usize, at_once: usize, budget: usize) -> Result<usize> {
        let (memory, keys) = (self.memory(items)?, self.key_bytes()?);
        let least = KeyStore::<B>::least_budget(keys.seeded, keys.largest, at_once);
        let others = memory.matrices + at_once.max(1) * memory.working + keys.raise;
        if others + least > budget {
            return Err(CircuitError::Memory {
                operation: "bootstrap, its keys expanded on use,",
                needed: others + least,
                keys: least + keys.raise,
                budget,
            });
        }
        Ok(budget - others)
    }

    /// For a bootstrap of `items` ciphertexts, with all keys expanded.
    ///
    /// # Errors
    /// None for a bootstrapper that was made.
    pub fn memory(&self, items: usize) -> Result<Memory> {
        let row = 4usize << self.ckks().context().log_n();
        let keys = self.key_bytes()?;
        let keys = keys.expanded + keys.raise;
        let transforms = self.to_slots.iter().chain(&self.to_coefficients);
        let (mut working, mut matrices) = (0, 0);
        for t in transforms {
            working = working.max(t.working_bytes(self.ckks(), items)?);
            matrices += t.bytes(self.ckks())?;
        }
        // Powers of the polynomial, parts apart; three components of a product and its digits.
        let (rows, digits) = self.key_shape(self.reduction_level());
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

    /// Demands that a bootstrap of `items` ciphertexts with these keys stays within the budget, if there is one.
    pub(super) fn check_memory(&self, keys: &BootstrapKeys<B>, items: usize) -> Result<()> {
        let Some(budget) = self.budget else {
            return Ok(());
        };
        let memory = Memory {
            keys: keys.most_bytes(),
            ..self.memory(items)?
        };
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
