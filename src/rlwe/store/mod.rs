//! Evaluation keys within a budget of bytes: seeded while they rest, expanded while they are used.
//!
//! A seeded key has half the bytes of an expanded one, and what is left out is computed from its seed again. A [`KeyStore`] counts
//! what rests and what is expanded against one number of bytes. Expanded keys stay until their room is needed; the least recently
//! used goes first, and none that is in use. Computations may take the memory of their work from the same number (`reserve`).

mod prepared;
mod room;
mod state;
#[cfg(all(test, feature = "fallback"))]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) use prepared::Prepared;
pub(super) use room::Reservation;
pub use room::Room;
pub use state::StoreCounts;

use super::{Context, EvaluationKeys, Result, SeededEvaluationKeys, SeededSwitchKey, SwitchKey};
use crate::backend::{Backend, BackendError};
use state::State;

/// When keys of a store are expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expansion {
    /// All at once, for good; seeds are given up.
    Once,
    /// Each whenever it is used and not there.
    OnUse,
    /// Once if the budget has room for all, else on use.
    WhereItFits,
}

/// A budget of bytes for the keys of any number of clients. Clones are the same store.
pub struct KeyStore<B: Backend>(Arc<Shared<B>>);

struct Shared<B: Backend> {
    budget: usize,
    state: Mutex<State<B>>,
}

impl<B: Backend> Clone for KeyStore<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: Backend> KeyStore<B> {
    /// A store of `budget` bytes.
    pub fn new(budget: usize) -> Self {
        Self(Arc::new(Shared {
            budget,
            state: Mutex::new(State::new()),
        }))
    }

    /// The least budget with which keys can be used by `at_once` computations at the same time, each of which uses one after the other:
    /// all of them seeded, and for each computation room to expand the largest, which is written, then put in the order of the backend.
    /// With less, a computation may find the room taken by another, and is refused where it needs a key.
    pub fn least_budget(seeded: usize, largest_expanded: usize, at_once: usize) -> usize {
        seeded.saturating_add(largest_expanded.saturating_mul(2 * at_once.max(1)))
    }

    /// What it takes to expand all keys for good: the keys, and beside the last one its seeded form and its rows as they are written.
    pub fn once_budget(expanded: usize, largest_expanded: usize) -> usize {
        expanded.saturating_add(Self::beside(largest_expanded))
    }

    /// Bytes beside the expanded keys while the largest is expanded.
    fn beside(largest_expanded: usize) -> usize {
        largest_expanded + largest_expanded.div_ceil(2)
    }

    /// Its bytes.
    pub fn budget(&self) -> usize {
        self.0.budget
    }

    /// Bytes that it holds now.
    pub fn bytes(&self) -> usize {
        let state = self.state();
        state.resting + state.passing
    }

    /// What it did so far.
    pub fn counts(&self) -> StoreCounts {
        self.state().counts
    }

    /// Takes keys in. Their bytes are reserved before anything is expanded, and given back when the result is dropped.
    ///
    /// # Errors
    /// [`RlweError::KeyBudget`](super::RlweError::KeyBudget) without room for them, with what they take; keys of other parameters;
    /// no memory.
    pub fn hold(
        &self,
        ctx: &Context<B>,
        keys: SeededEvaluationKeys<B>,
        expansion: Expansion,
    ) -> Result<EvaluationKeys<B>> {
        let operation = "holding keys";
        for key in &keys.keys {
            ctx.params().check(operation, "the seeded key", &key.params)?;
        }
        let (expanded, seeded) = (keys.expanded_bytes(ctx), keys.bytes(ctx));
        let largest = keys.keys.iter().map(|k| k.expanded_bytes(ctx)).max().unwrap_or(0);
        let all = Self::once_budget(expanded, largest);
        // One decision under one lock: whoever comes next sees these keys.
        let (once, _beside) = {
            let mut state = self.state();
            let once = match expansion {
                Expansion::Once => true,
                Expansion::OnUse => false,
                Expansion::WhereItFits => state.fits(all, self.budget()),
            };
            let most = match once {
                true => all,
                false => Self::least_budget(seeded, largest, 1),
            };
            state.make_room(operation, most, self.budget())?;
            state.resting += if once { expanded } else { seeded };
            let beside = if once { Self::beside(largest) } else { 0 };
            (once, Room::new(self, &mut state, beside))
        };
        let rests = if once { expanded } else { seeded };
        let mut held = EvaluationKeys::none();
        let mut reserved = Reservation::new(self, rests);
        for seeded in keys.keys {
            let bytes = if once {
                seeded.expanded_bytes(ctx)
            } else {
                seeded.bytes(ctx)
            };
            let own = reserved.split(bytes);
            if !once {
                held.insert(SwitchKey::stored(ctx, seeded, own));
                continue;
            }
            held.insert(seeded.expand(ctx)?.reserved(own));
            // Seeded keys are as large as the half of the expanded ones: their memory is not kept for others.
            drop(seeded);
            ctx.backend().trim();
        }
        Ok(held)
    }

    /// Takes bytes for work beside the keys until the result is dropped; expanded keys that nobody uses leave room for it.
    ///
    /// # Errors
    /// [`RlweError::KeyBudget`](super::RlweError::KeyBudget) without room, with what would be in use.
    pub fn reserve(&self, operation: &'static str, bytes: usize) -> Result<Room<B>> {
        let mut state = self.state();
        state.make_room(operation, bytes, self.budget())?;
        Ok(Room::new(self, &mut state, bytes))
    }

    /// The key that a seeded one of a number expands to.
    fn expanded(&self, ctx: &Context<B>, seeded: &SeededSwitchKey<B>, number: u64) -> Result<Arc<B::Key>> {
        let bytes = seeded.expanded_bytes(ctx);
        let mut room = {
            let mut state = self.state();
            if let Some(key) = state.used(number) {
                return Ok(key);
            }
            // What is recorded has no values yet: it must not be found by the next use.
            if ctx.backend().is_recording() {
                let need = "the expansion of a key of a store while a circuit is recorded";
                return Err(BackendError::Unsupported { need }.into());
            }
            state.make_room("expanding a key", 2 * bytes, self.budget())?;
            Room::new(self, &mut state, 2 * bytes)
        };
        // Not under the lock: expanding may share out work to threads that want keys themselves.
        let key = Arc::new(seeded.prepare(ctx)?);
        let mut state = self.state();
        room.leave(&mut state);
        // Another thread may have been faster.
        if let Some(first) = state.used(number) {
            return Ok(first);
        }
        state.keep(number, &key, bytes);
        Ok(key)
    }

    fn state(&self) -> MutexGuard<'_, State<B>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
