//! What a store holds: bytes that rest, and expanded keys, the least recently used first.

use std::sync::Arc;

use crate::{
    backend::Backend,
    rlwe::{Result, RlweError},
};

/// What a store did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct StoreCounts {
    /// Keys expanded.
    pub expanded: u64,
    /// Uses that found their key expanded.
    pub found: u64,
    /// Expanded keys that made room for others.
    pub evicted: u64,
    /// The most bytes at any time.
    pub peak_bytes: usize,
}

pub(super) struct State<B: Backend> {
    /// Bytes that rest: seeded keys, and those expanded for good.
    pub(super) resting: usize,
    /// Bytes of the keys below, and of those being expanded.
    pub(super) passing: usize,
    /// Expanded for now, the least recently used first.
    expanded: Vec<Expanded<B>>,
    /// The next key's number.
    next: u64,
    pub(super) counts: StoreCounts,
}

struct Expanded<B: Backend> {
    number: u64,
    key: Arc<B::Key>,
    bytes: usize,
}

impl<B: Backend> State<B> {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self {
            resting: 0,
            passing: 0,
            expanded: Vec::new(),
            next: 0,
            counts: StoreCounts::default(),
        }
    }

    /// A number for a key.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Whether there is room for so many bytes when expanded keys that nobody uses have left.
    pub(super) fn fits(&self, bytes: usize, budget: usize) -> bool {
        let idle = |e: &&Expanded<B>| Arc::strong_count(&e.key) == 1;
        let left: usize = self.expanded.iter().filter(idle).map(|e| e.bytes).sum();
        (self.resting + self.passing - left).saturating_add(bytes) <= budget
    }

    /// Demands room for so many bytes, which expanded keys that nobody uses leave.
    pub(super) fn make_room(&mut self, operation: &'static str, bytes: usize, budget: usize) -> Result<()> {
        let wanted = |state: &Self| (state.resting + state.passing).saturating_add(bytes);
        while wanted(self) > budget {
            let idle = |e: &Expanded<B>| Arc::strong_count(&e.key) == 1;
            let Some(place) = self.expanded.iter().position(idle) else {
                let needed = wanted(self);
                return Err(RlweError::KeyBudget {
                    operation,
                    needed,
                    budget,
                });
            };
            self.passing -= self.expanded.remove(place).bytes;
            self.counts.evicted += 1;
        }
        self.counts.peak_bytes = self.counts.peak_bytes.max(wanted(self));
        Ok(())
    }

    /// An expanded key, which is now the most recently used one.
    pub(super) fn used(&mut self, number: u64) -> Option<Arc<B::Key>> {
        let place = self.expanded.iter().position(|e| e.number == number)?;
        let found = self.expanded.remove(place);
        let key = Arc::clone(&found.key);
        self.expanded.push(found);
        self.counts.found += 1;
        Some(key)
    }

    /// Keeps a key that was expanded.
    pub(super) fn keep(&mut self, number: u64, key: &Arc<B::Key>, bytes: usize) {
        self.counts.expanded += 1;
        self.passing += bytes;
        self.expanded.push(Expanded {
            number,
            key: Arc::clone(key),
            bytes,
        });
    }

    /// Gives up `bytes` that rest, and the key of a number.
    pub(super) fn release(&mut self, number: u64, bytes: usize) {
        self.resting -= bytes;
        if let Some(place) = self.expanded.iter().position(|e| e.number == number) {
            self.passing -= self.expanded.remove(place).bytes;
        }
    }
}
