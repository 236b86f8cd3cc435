//! Shares of a store's bytes that come back when they are dropped: those of work, and those of a key.

use std::sync::Arc;

use super::{KeyStore, State};
use crate::{
    backend::Backend,
    rlwe::{Context, Result, SeededSwitchKey},
};

/// Bytes of a store for work that goes on, given back when it ends in whatever way.
pub struct Room<B: Backend> {
    store: KeyStore<B>,
    bytes: usize,
}

impl<B: Backend> Room<B> {
    /// Takes room that was made.
    pub(super) fn new(store: &KeyStore<B>, state: &mut State<B>, bytes: usize) -> Self {
        state.passing += bytes;
        Self {
            store: store.clone(),
            bytes,
        }
    }

    /// Gives them back to the state of its store, which is locked.
    pub(super) fn leave(&mut self, state: &mut State<B>) {
        state.passing -= std::mem::take(&mut self.bytes);
    }
}

impl<B: Backend> Drop for Room<B> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            let store = self.store.clone();
            self.leave(&mut store.state());
        }
    }
}

/// Bytes of a store that belong to one key, and the key's number.
pub(in crate::rlwe) struct Reservation<B: Backend> {
    store: KeyStore<B>,
    number: u64,
    bytes: usize,
}

impl<B: Backend> Reservation<B> {
    /// `bytes` that rest already, given back when it is dropped.
    pub(super) fn new(store: &KeyStore<B>, bytes: usize) -> Self {
        let number = store.state().number();
        Self {
            store: store.clone(),
            number,
            bytes,
        }
    }

    /// A part of it with a number of its own.
    pub(super) fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self::new(&self.store, bytes)
    }

    /// The store's budget.
    pub(in crate::rlwe) fn budget(&self) -> usize {
        self.store.budget()
    }

    /// The key that a seeded one expands to.
    pub(in crate::rlwe) fn expanded(
        &self,
        ctx: &Context<B>,
        seeded: &SeededSwitchKey<B>,
    ) -> Result<Arc<B::Key>> {
        self.store.expanded(ctx, seeded, self.number)
    }
}

impl<B: Backend> Drop for Reservation<B> {
    fn drop(&mut self) {
        self.store.state().release(self.number, self.bytes);
    }
}
