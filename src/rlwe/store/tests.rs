//! Bits, budgets and bytes of stores on a small ring.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use super::{Expansion, KeyStore};
use crate::{
    backend::{Backend, Integers, cpu::Cpu, null::Null},
    ring::{Galois, insecure_chain},
    rlwe::{
        Ciphertext, Context, EvaluationKeys, KeyNeeds, Params, Poly, RlweError, SecretKey,
        SeededEvaluationKeys, Spec, keys::prepared,
    },
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
