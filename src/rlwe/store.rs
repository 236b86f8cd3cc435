//! Evaluation keys within a budget of bytes: seeded while they rest, expanded while they are used.
//!
//! A seeded key has half the bytes of an expanded one, and what is left out is computed from its seed again. A [`KeyStore`] counts
//! what rests and what is expanded against one number of bytes. Expanded keys stay until their room is needed; the least recently
//! used goes first, and none that is in use. Computations may take the memory of their work from the same number (`reserve`).

use std::{
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Context, EvaluationKeys, Result, RlweError, SeededEvaluationKeys, SeededSwitchKey, SwitchKey};
use crate::backend::{Backend, BackendError};

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

/// A budget of bytes for the keys of any number of clients. Clones are the same store.
pub struct KeyStore<B: Backend>(Arc<Shared<B>>);

struct Shared<B: Backend> {
    budget: usize,
    state: Mutex<State<B>>,
}

struct State<B: Backend> {
    /// Bytes that rest: seeded keys, and those expanded for good.
    resting: usize,
    /// Bytes of the keys below, and of those being expanded.
    passing: usize,
    /// Expanded for now, the least recently used first.
    expanded: Vec<Expanded<B>>,
    /// The next key's number.
    next: u64,
    counts: StoreCounts,
}

struct Expanded<B: Backend> {
    number: u64,
    key: Arc<B::Key>,
    bytes: usize,
}

impl<B: Backend> State<B> {
    /// Whether there is room for so many bytes when expanded keys that nobody uses have left.
    fn fits(&self, bytes: usize, budget: usize) -> bool {
        let idle = |e: &&Expanded<B>| Arc::strong_count(&e.key) == 1;
        let left: usize = self.expanded.iter().filter(idle).map(|e| e.bytes).sum();
        (self.resting + self.passing - left).saturating_add(bytes) <= budget
    }

    /// Demands room for so many bytes, which expanded keys that nobody uses leave.
    fn make_room(&mut self, operation: &'static str, bytes: usize, budget: usize) -> Result<()> {
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
}

impl<B: Backend> Clone for KeyStore<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: Backend> KeyStore<B> {
    /// A store of `budget` bytes.
    pub fn new(budget: usize) -> Self {
        let state = State {
            resting: 0,
            passing: 0,
            expanded: Vec::new(),
            next: 0,
            counts: StoreCounts::default(),
        };
        Self(Arc::new(Shared {
            budget,
            state: Mutex::new(state),
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
    /// [`RlweError::KeyBudget`] without room for them, with what they take; keys of other parameters; no memory.
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
            (once, self.room(&mut state, beside))
        };
        let rests = if once { expanded } else { seeded };
        let mut held = EvaluationKeys::none();
        let mut reserved = self.reservation(rests);
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
    /// [`RlweError::KeyBudget`] without room, with what would be in use.
    pub fn reserve(&self, operation: &'static str, bytes: usize) -> Result<Room<B>> {
        let mut state = self.state();
        state.make_room(operation, bytes, self.budget())?;
        Ok(self.room(&mut state, bytes))
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
            self.room(&mut state, 2 * bytes)
        };
        // Not under the lock: expanding may share out work to threads that want keys themselves.
        let key = Arc::new(seeded.prepare(ctx)?);
        let mut state = self.state();
        room.leave(&mut state);
        // Another thread may have been faster.
        if let Some(first) = state.used(number) {
            return Ok(first);
        }
        state.counts.expanded += 1;
        state.passing += bytes;
        state.expanded.push(Expanded {
            number,
            key: Arc::clone(&key),
            bytes,
        });
        Ok(key)
    }

    /// Takes room that was made.
    fn room(&self, state: &mut State<B>, bytes: usize) -> Room<B> {
        state.passing += bytes;
        Room {
            store: self.clone(),
            bytes,
        }
    }

    fn state(&self) -> MutexGuard<'_, State<B>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `bytes` that rest already, given back when it is dropped.
    fn reservation(&self, bytes: usize) -> Reservation<B> {
        let mut state = self.state();
        state.next += 1;
        Reservation {
            store: self.clone(),
            number: state.next,
            bytes,
        }
    }
}

impl<B: Backend> State<B> {
    /// An expanded key, which is now the most recently used one.
    fn used(&mut self, number: u64) -> Option<Arc<B::Key>> {
        let place = self.expanded.iter().position(|e| e.number == number)?;
        let found = self.expanded.remove(place);
        let key = Arc::clone(&found.key);
        self.expanded.push(found);
        self.counts.found += 1;
        Some(key)
    }
}

/// Bytes of a store for work that goes on, given back when it ends in whatever way.
pub struct Room<B: Backend> {
    store: KeyStore<B>,
    bytes: usize,
}

impl<B: Backend> Room<B> {
    /// Gives them back to the state of its store, which is locked.
    fn leave(&mut self, state: &mut State<B>) {
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
pub(super) struct Reservation<B: Backend> {
    store: KeyStore<B>,
    number: u64,
    bytes: usize,
}

impl<B: Backend> Reservation<B> {
    /// A part of it with a number of its own.
    fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.store.reservation(bytes)
    }

    /// The store's budget.
    pub(super) fn budget(&self) -> usize {
        self.store.budget()
    }

    /// The key that a seeded one expands to.
    pub(super) fn expanded(&self, ctx: &Context<B>, seeded: &SeededSwitchKey<B>) -> Result<Arc<B::Key>> {
        self.store.expanded(ctx, seeded, self.number)
    }
}

impl<B: Backend> Drop for Reservation<B> {
    fn drop(&mut self) {
        let mut state = self.store.state();
        state.resting -= self.bytes;
        if let Some(place) = state.expanded.iter().position(|e| e.number == self.number) {
            state.passing -= state.expanded.remove(place).bytes;
        }
    }
}

/// A key in the order of the backend, for as long as it is used.
pub(crate) enum Prepared<'k, B: Backend> {
    /// The set's own.
    Own(&'k B::Key),
    /// A store's, which does not evict it meanwhile.
    Stored(Arc<B::Key>),
}

impl<B: Backend> Deref for Prepared<'_, B> {
    type Target = B::Key;

    fn deref(&self) -> &B::Key {
        match self {
            Self::Own(key) => key,
            Self::Stored(key) => key,
        }
    }
}

#[cfg(all(test, feature = "fallback"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

    use super::*;
    use crate::{
        backend::{Integers, cpu::Cpu, null::Null},
        ring::{Galois, insecure_chain},
        rlwe::{Ciphertext, KeyNeeds, Params, Poly, SecretKey, Spec, keys::prepared},
    };

    const STEPS: [i64; 4] = [1, 2, 4, 8];

    struct Set {
        ctx: Context<Cpu>,
        secret: SecretKey<Cpu>,
    }

    impl Set {
        fn new() -> Self {
            let chain = insecure_chain("insecure_n8_rational45_l3_d1").unwrap();
            let ctx = Context::new(Cpu::new(), Params::insecure(Spec { chain }).unwrap()).unwrap();
            let secret = SecretKey::insecure_deterministic(&ctx, [3; 32]).unwrap();
            Self { ctx, secret }
        }

        /// Five keys of one size.
        fn keys(&self) -> SeededEvaluationKeys<Cpu> {
            let needs = KeyNeeds::new(self.ctx.params()).rotate(STEPS).conjugate();
            // The same keys at every call: from a secret that nothing was drawn from.
            let secret = SecretKey::insecure_deterministic(&self.ctx, [3; 32]).unwrap();
            secret.evaluation_keys(&needs).unwrap()
        }

        fn encrypted(&self, items: usize) -> Ciphertext<Cpu> {
            let top = self.ctx.params().top();
            let rows = self.ctx.level("test", top).unwrap().rows.to_vec();
            let values: Vec<i32> = (0..items as i32)
                .flat_map(|i| (0..256).map(move |x| x * x % 97 + i))
                .collect();
            let message = Poly::lift(&self.ctx, items, &rows, Integers::I32(&values)).unwrap();
            self.secret
                .encrypt(&message, top)
                .unwrap()
                .expand(&self.ctx)
                .unwrap()
        }

        fn rotation(&self, k: i64) -> Galois {
            Galois::rotation(k, self.ctx.log_n())
        }

        /// Words of automorphisms one by one, and of a hoisted set.
        fn compute(&self, x: &Ciphertext<Cpu>, keys: &EvaluationKeys<Cpu>) -> Vec<u32> {
            let conjugation = Galois::conjugation(self.ctx.log_n());
            let mut results = Vec::new();
            let single = [1, 2, 4, 8, 8, 2].map(|k| self.rotation(k));
            for g in [conjugation].into_iter().chain(single) {
                let key = keys.galois("test", g).unwrap();
                results.push(self.ctx.automorphism("test", x, None, &[key], &[g]).unwrap());
            }
            let elements = STEPS.map(|k| self.rotation(k));
            let many = elements.map(|g| keys.galois("test", g).unwrap());
            results.extend(self.ctx.automorphisms("test", x, &many, &elements).unwrap());
            let mut all = Vec::new();
            for ct in results {
                let view = ct.view();
                let mut words = vec![0; view.span.count() << self.ctx.log_n()];
                self.ctx.backend().download(view, &mut words).unwrap();
                all.extend(words);
            }
            all
        }
    }

    #[test]
    fn keys_of_a_store_compute_what_others_do() {
        let set = Set::new();
        let (ctx, x) = (&set.ctx, set.encrypted(1));
        let want = set.compute(&x, &set.keys().expand(ctx).unwrap());
        let (seeded, expanded) = (set.keys().bytes(ctx), set.keys().expanded_bytes(ctx));
        let largest = expanded / 5;
        let least = KeyStore::<Cpu>::least_budget(seeded, largest, 1);
        let all = KeyStore::<Cpu>::once_budget(expanded, largest);
        for (budget, expansion, once) in [
            (least, Expansion::OnUse, false),
            (least, Expansion::WhereItFits, false),
            (seeded + 4 * largest, Expansion::OnUse, false),
            (all - 1, Expansion::WhereItFits, false),
            (all, Expansion::WhereItFits, true),
            (all, Expansion::Once, true),
        ] {
            let store = KeyStore::new(budget);
            let keys = store.hold(ctx, set.keys(), expansion).unwrap();
            assert_eq!(store.bytes(), if once { expanded } else { seeded });
            assert_eq!(keys.bytes(), store.bytes());
            assert!(set.compute(&x, &keys) == want, "{budget} bytes, {expansion:?}");
            let counts = store.counts();
            assert!(counts.peak_bytes <= budget, "{counts:?} within {budget}");
            assert!(keys.most_bytes() <= budget);
            // In the least room there is one at a time: all 11 uses expand but the one that repeats the last rotation.
            match (once, budget == least) {
                (true, _) => assert_eq!(counts.expanded, 0),
                (_, true) => assert_eq!((counts.expanded, counts.found, counts.evicted), (10, 1, 9)),
                _ => assert!(counts.expanded >= 5 && counts.found > 1, "{counts:?}"),
            }
            drop(keys);
            assert_eq!(store.bytes(), 0);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_before_work_starts() {
        let set = Set::new();
        let ctx = &set.ctx;
        let (seeded, expanded) = (set.keys().bytes(ctx), set.keys().expanded_bytes(ctx));
        let least = KeyStore::<Cpu>::least_budget(seeded, expanded / 5, 1);
        let all = KeyStore::<Cpu>::once_budget(expanded, expanded / 5);
        for (budget, expansion, wanted) in [
            (least - 1, Expansion::OnUse, least),
            (least - 1, Expansion::WhereItFits, least),
            (all - 1, Expansion::Once, all),
        ] {
            let store = KeyStore::new(budget);
            let error = store.hold(ctx, set.keys(), expansion).err().unwrap();
            let fits = matches!(
                error,
                RlweError::KeyBudget { needed, budget: b, .. } if (needed, b) == (wanted, budget)
            );
            assert!(fits, "{error}");
            assert_eq!(store.bytes(), 0);
        }
    }

    /// What is counted holds what is taken: bytes of the counting backend, which knows every buffer.
    #[test]
    fn memory_stays_within_what_is_counted() {
        let chain = insecure_chain("insecure_n8_rational45_l3_d1").unwrap();
        let null = Null::new();
        let ctx = Context::new(null.clone(), Params::insecure(Spec { chain }).unwrap()).unwrap();
        let secret = SecretKey::generate(&ctx).unwrap();
        let needs = KeyNeeds::new(ctx.params()).rotate(STEPS).conjugate();
        for expansion in [Expansion::Once, Expansion::OnUse] {
            let before = null.counts().live_bytes as usize;
            let seeded = secret.evaluation_keys(&needs).unwrap();
            let store = KeyStore::new(usize::MAX);
            null.reset();
            let keys = store.hold(&ctx, seeded, expansion).unwrap();
            for k in STEPS {
                let key = keys.galois("test", Galois::rotation(k, ctx.log_n())).unwrap();
                drop(prepared(&ctx, &[key]).unwrap());
            }
            let (taken, counted) = (
                null.counts().peak_bytes as usize - before,
                store.counts().peak_bytes,
            );
            assert!(
                taken <= counted,
                "{expansion:?}: {taken} bytes taken, {counted} counted"
            );
            // And not far off: nobody gains from a budget that is not used.
            assert!(
                3 * taken > 2 * counted,
                "{expansion:?}: {taken} bytes taken, {counted} counted"
            );
        }
    }

    #[test]
    fn work_takes_room_of_the_same_budget() {
        let set = Set::new();
        let ctx = &set.ctx;
        let (seeded, expanded) = (set.keys().bytes(ctx), set.keys().expanded_bytes(ctx));
        let largest = expanded / 5;
        let store = KeyStore::new(seeded + 4 * largest);
        let keys = store.hold(ctx, set.keys(), Expansion::OnUse).unwrap();
        for k in STEPS {
            let key = keys.galois("test", set.rotation(k)).unwrap();
            drop(prepared(ctx, &[key]).unwrap());
        }
        let before = store.bytes();
        assert!(before > seeded + largest, "{before}");
        // Expanded keys leave for the work, and seeded ones stay.
        let work = store.reserve("work", 3 * largest).unwrap();
        assert!(store.bytes() <= store.budget() && store.counts().evicted > 0);
        let error = store.reserve("more work", 2 * largest).err().unwrap();
        let needed = seeded + 5 * largest;
        assert!(
            matches!(error, RlweError::KeyBudget { operation: "more work", needed: n, .. } if n == needed),
            "{error}"
        );
        drop(work);
        assert!(store.reserve("more work", 4 * largest).is_ok());
        drop(keys);
        assert_eq!(store.bytes(), 0);
    }

    #[test]
    fn clients_share_a_budget() {
        let set = Set::new();
        let (ctx, x) = (&set.ctx, set.encrypted(1));
        let (seeded, expanded) = (set.keys().bytes(ctx), set.keys().expanded_bytes(ctx));
        let store = KeyStore::new(2 * seeded + 2 * expanded / 5);
        let first = store.hold(ctx, set.keys(), Expansion::OnUse).unwrap();
        let second = store.hold(ctx, set.keys(), Expansion::OnUse).unwrap();
        assert!(set.compute(&x, &first) == set.compute(&x, &second));
        assert!(store.hold(ctx, set.keys(), Expansion::OnUse).is_err());
        // Keys in use at the same time have to fit together.
        let two = set.encrypted(2);
        let elements = [1, 2].map(|k| set.rotation(k));
        let keys = elements.map(|g| first.galois("test", g).unwrap());
        let error = ctx
            .automorphism("test", &two, None, &keys, &elements)
            .err()
            .unwrap();
        assert!(matches!(error, RlweError::KeyBudget { .. }), "{error}");
        assert!(error.to_string().contains("larger budget"), "{error}");
        drop(second);
        assert!(ctx.automorphism("test", &two, None, &keys, &elements).is_ok());
    }

    #[test]
    fn threads_use_one_store() {
        let set = Set::new();
        let (ctx, x) = (&set.ctx, set.encrypted(1));
        let want = set.compute(&x, &set.keys().expand(ctx).unwrap());
        let (seeded, expanded) = (set.keys().bytes(ctx), set.keys().expanded_bytes(ctx));
        let store = KeyStore::new(KeyStore::<Cpu>::least_budget(seeded, expanded / 5, 3));
        let keys = store.hold(ctx, set.keys(), Expansion::OnUse).unwrap();
        std::thread::scope(|scope| {
            let run = || scope.spawn(|| assert!(set.compute(&x, &keys) == want));
            let threads = [run(), run(), run()];
            threads.into_iter().for_each(|t| t.join().unwrap());
        });
        assert!(store.counts().peak_bytes <= store.budget());
        drop(keys);
        assert_eq!(store.bytes(), 0);
    }
}
