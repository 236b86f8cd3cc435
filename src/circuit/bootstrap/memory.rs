//! What a bootstrap needs of memory, before it starts.
//!
//! Work is the most of its stages: of every matrix by a formula (`Transform::working_bytes`), of the modular reduction as the counting backend
//! counts it when it runs the reduction once. Tests hold both against counted bootstraps of every preset. Left out are tables of the
//! parameters and, on the CPU, released buffers that its pool keeps for the next: a bootstrap with a budget gives them back after every stage.

use super::{BootstrapKeys, Bootstrapper, run::reduce};
use crate::{
    backend::{Backend, null::Null},
    circuit::{CircuitError, Encrypted, Result},
    ckks::{Ciphertext, Ckks, Evaluator},
    rlwe::{self, Context, KeyNeeds, KeyStore, Level, RlweError, Room, SecretKey, SeededRaiseKeys},
};

/// Bytes by purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Memory {
    /// Keys in use, those of the encapsulation included.
    pub keys: usize,
    /// Diagonals of the matrices.
    pub matrices: usize,
    /// The most that one bootstrap holds besides, its operand not counted: rotated operands, powers, sums, digits.
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
    /// The same, seeded.
    pub raise_seeded: usize,
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
        let half = halves.iter().map(Vec::len).sum::<usize>() * row;
        Ok(KeyBytes {
            expanded,
            seeded,
            largest,
            raise: 2 * half,
            raise_seeded: half + 32 * halves.len(),
        })
    }

    /// What of a budget for everything is left to a [`KeyStore`] when `at_once` bootstraps of `items` ciphertexts each, running at the same
    /// time, have their share: at least what the keys need to be expanded on use.
    ///
    /// # Errors
    /// [`CircuitError::Memory`] for a budget below that, before anything is made.
    pub fn key_budget(&self, items: usize, at_once: usize, budget: usize) -> Result<usize> {
        let (least, others) = self.least(items, at_once)?;
        if others + least > budget {
            return Err(CircuitError::Memory {
                operation: "bootstrap, its keys expanded on use,",
                needed: others + least,
                keys: least + self.key_bytes()?.raise,
                budget,
            });
        }
        Ok(budget - others)
    }

    /// The least budget for everything that [`key_budget`](Self::key_budget) takes.
    ///
    /// # Errors
    /// None for a bootstrapper that was made.
    pub fn least_budget(&self, items: usize, at_once: usize) -> Result<usize> {
        let (least, others) = self.least(items, at_once)?;
        Ok(least + others)
    }

    /// The least that keys expanded on use take, and what everything else takes.
    fn least(&self, items: usize, at_once: usize) -> Result<(usize, usize)> {
        let (memory, keys) = (self.memory(items)?, self.key_bytes()?);
        let least = KeyStore::<B>::least_budget(keys.seeded, keys.largest, at_once);
        let others = memory.matrices + at_once.max(1) * memory.working + keys.raise;
        Ok((least, others))
    }

    /// For a bootstrap of `items` ciphertexts, with all keys expanded.
    ///
    /// # Errors
    /// None for a bootstrapper that was made.
    pub fn memory(&self, items: usize) -> Result<Memory> {
        let keys = self.key_bytes()?;
        let keys = keys.expanded + keys.raise;
        let transforms = self.to_slots.iter().chain(&self.to_coefficients);
        // The reduction of full slots has two items for each.
        let (mut working, mut matrices) = (items * self.reduction_bytes, 0);
        for t in transforms {
            let operand = items * self.ciphertext_bytes(t.level())?;
            working = working.max(operand + t.working_bytes(self.ckks(), items)?);
            matrices += t.bytes(self.ckks())?;
        }
        let low = items * self.ciphertext_bytes(self.spec().input_level())?;
        Ok(Memory {
            keys,
            matrices,
            working: low + working,
        })
    }

    /// The same for [`bootstrap_refined`](Self::bootstrap_refined), which keeps its operand, the first result and the error beside a bootstrap.
    ///
    /// # Errors
    /// As [`memory`](Self::memory).
    pub fn memory_refined(&self, items: usize) -> Result<Memory> {
        let memory = self.memory(items)?;
        Ok(Memory {
            working: memory.working + self.kept_by_refined(items)?,
            ..memory
        })
    }

    /// What two rounds keep beside the second.
    pub(super) fn kept_by_refined(&self, items: usize) -> Result<usize> {
        let start = Level(self.spec().input_level().0 + 1);
        let (operand, first) = (
            self.ciphertext_bytes(start)?,
            self.ciphertext_bytes(self.output_level())?,
        );
        Ok(items * (2 * operand + first))
    }

    /// Bytes of a ciphertext of two components.
    fn ciphertext_bytes(&self, level: Level) -> Result<usize> {
        let ctx = self.ckks().context();
        Ok((2 * ctx.level("memory", level)?.rows.len()) << (ctx.log_n() + 2))
    }

    /// What the modular reduction of one ciphertext takes, its operand included, as the counting backend counts it.
    pub(super) fn counted_reduction(&self) -> Result<usize> {
        let null = Null::new();
        let params = self.ckks().context().params();
        let ckks = Ckks::new(&Context::new(null.clone(), params.clone())?);
        let (ctx, level) = (ckks.context(), self.reduction_level());
        let needs = KeyNeeds::new(params).up_to(level).relinearise();
        let keys = SecretKey::generate(ctx)?
            .evaluation_keys(&needs)?
            .into_keys(ctx)?;
        let before = null.counts().live_bytes;
        let items = if self.is_packed() { 1 } else { 2 };
        let inner = rlwe::Ciphertext::zero(ctx, level, items, 2)?;
        let x = Ciphertext::from_parts(inner, ckks.scale(level)?.clone(), self.wide());
        null.reset();
        reduce(&mut Encrypted::new(&Evaluator::new(&ckks, &keys)), &x, self)?;
        Ok(usize::try_from(null.counts().peak_bytes - before).unwrap_or(usize::MAX))
    }

    /// The same bootstrapper, refusing to start what would take more than `bytes`.
    pub fn within(mut self, bytes: usize) -> Self {
        self.budget = Some(bytes);
        self
    }

    /// The same bootstrapper, whose every call takes the memory of its work from the budget of the store that holds its keys, for as long as it
    /// runs: calls at the same time that do not fit together are refused. [`store_budget`](Self::store_budget) says what to give the store.
    pub fn sharing(mut self, store: &KeyStore<B>) -> Self {
        self.store = Some(store.clone());
        self
    }

    /// What of a budget for everything a store has that both keys and work are taken from ([`sharing`](Self::sharing)): all but the matrices and the
    /// keys of the encapsulation.
    ///
    /// # Errors
    /// [`CircuitError::Memory`] for a budget without room for the work of `items` ciphertexts beside keys that are expanded on use, before
    /// anything is made.
    pub fn store_budget(&self, items: usize, budget: usize) -> Result<usize> {
        let working = self.memory(items)?.working;
        Ok(self.key_budget(items, 1, budget)? + working)
    }

    /// Demands that keys as they are, and what else is foretold, stay within the budget.
    pub(super) fn check_budget(&self, keys: &BootstrapKeys<B>, foretold: Memory) -> Result<()> {
        let Some(budget) = self.budget else {
            return Ok(());
        };
        let memory = Memory {
            keys: keys.most_bytes(),
            ..foretold
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

    /// Takes bytes for work from the store, if there is one.
    pub(super) fn reserve(&self, bytes: usize) -> Result<Option<Room<B>>> {
        let Some(store) = &self.store else {
            return Ok(None);
        };
        match store.reserve("bootstrap", bytes) {
            Ok(room) => Ok(Some(room)),
            Err(RlweError::KeyBudget { needed, budget, .. }) => Err(CircuitError::Memory {
                operation: "bootstrap, with what its store holds,",
                needed,
                keys: needed.saturating_sub(bytes),
                budget,
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives back memory that the backend keeps for later, where there is a budget to be held.
    pub(super) fn trim(&self) {
        if self.budget.is_some() || self.store.is_some() {
            self.ckks().context().backend().trim();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

    use super::*;
    use crate::{
        arith::Complex,
        circuit::bootstrap::{BootstrapSpec, Preset, SeededBootstrapKeys, insecure_presets, presets},
    };

    /// Bytes that were counted: of making the keys, of a bootstrap, of two rounds if there are levels for them.
    struct Counted {
        memory: Memory,
        making: usize,
        once: usize,
        refined: Option<(Memory, usize)>,
    }

    /// No work is done: keys and ciphertexts are those of the counting backend.
    fn counted(preset: &Preset, spec: &BootstrapSpec, items: usize, expanded: bool) -> Counted {
        let null = Null::new();
        let ctx = Context::new(null.clone(), preset.params().unwrap()).unwrap();
        let ckks = Ckks::new(&ctx);
        let mut b = Bootstrapper::new(&ckks, spec).unwrap();
        let secret = SecretKey::generate(&ctx).unwrap();
        let live = || null.counts().live_bytes as usize;
        let peak = |before: usize| null.counts().peak_bytes as usize - before;
        let empty = live();
        null.reset();
        let needs = KeyNeeds::new(ctx.params());
        let seeded = SeededBootstrapKeys::generate(&secret, &b, needs, |_, _| ()).unwrap();
        let keys = seeded.into_keys(&ctx).unwrap();
        let making = peak(empty);
        assert_eq!(live() - empty, keys.bytes());
        if expanded {
            b = b.expanded().unwrap();
        }
        let memory = b.memory(items).unwrap();
        assert_eq!(memory.keys, keys.bytes());
        let encrypted = |level: Level| {
            let values = vec![Complex::default(); items * spec.slots];
            let ct = ckks.encrypt(&secret, &values, items, level).unwrap();
            ct.expand(&ctx).unwrap()
        };
        let ct = encrypted(spec.input_level());
        let before = live();
        null.reset();
        b.bootstrap(&keys, &ct).unwrap();
        let once = peak(before);
        let start = Level(spec.input_level().0 + 1);
        let refined = (start < b.output_level()).then(|| {
            let ct = encrypted(start);
            let before = live();
            null.reset();
            b.bootstrap_refined(&keys, &ct, 4).unwrap();
            (b.memory_refined(items).unwrap(), peak(before))
        });
        Counted {
            memory,
            making,
            once,
            refined,
        }
    }

    fn check(preset: &Preset, spec: &BootstrapSpec, items: usize, expanded: bool) {
        let c = counted(preset, spec, items, expanded);
        let what = format!(
            "{}, {} slots, {items} items, expanded: {expanded}",
            preset.name, spec.slots
        );
        let told = |want: usize, have: usize| {
            println!(
                "{what}: {have} bytes counted, {want} foretold, {:.3}",
                want as f64 / have as f64
            );
            assert!(have <= want, "{what}: {have} bytes, foretold {want}");
            // And not far off: nobody gains from a budget that is not used.
            assert!(20 * want <= 21 * have, "{what}: {have} bytes, foretold {want}");
        };
        told(c.memory.working, c.once);
        if let Some((memory, have)) = c.refined {
            told(memory.working, have);
        }
        // Keys are made in less than what a bootstrap with them takes.
        assert!(
            c.making <= c.memory.total(),
            "{what}: {} bytes of making keys",
            c.making
        );
    }

    #[test]
    fn work_is_foretold_as_it_is_counted() {
        for preset in insecure_presets() {
            for (items, expanded) in [(1, false), (3, false), (2, true)] {
                check(&preset, &preset.spec, items, expanded);
            }
            let few = BootstrapSpec {
                slots: 16,
                ..preset.spec.clone()
            };
            check(&preset, &few, 2, false);
        }
        for preset in presets() {
            check(&preset, &preset.spec, 1, preset.name == "masked");
        }
    }
}
