//! Budgets of memory, and what is refused before any work.

use super::{Set, random};
use crate::{
    backend::{Backend, cpu::Cpu},
    circuit::{
        CircuitError,
        bootstrap::{BootstrapKeys, BootstrapSpec, Bootstrapper, SeededBootstrapKeys},
    },
    ckks::{Ciphertext, CkksError},
    rlwe::{EvaluationKeys, Expansion, KeyNeeds, KeyStore, Level, RlweError, SecretKey},
};

/// Budgets: keys at rest and in use, matrices and work are known before anything is made.
#[test]
fn a_bootstrap_within_a_budget_has_the_same_bits() {
    let set = Set::usual();
    let ctx = set.ckks.context();
    let ct = set.encrypt(&random(512), 1, Level(0));
    let words = |ct: &Ciphertext<Cpu>| {
        let view = ct.rlwe().view();
        let mut words = vec![0; view.span.count() << ctx.log_n()];
        ctx.backend().download(view, &mut words).unwrap();
        words
    };
    let want = words(&set.bootstrapper.bootstrap(&set.keys, &ct).unwrap());
    let make = || Bootstrapper::new(&set.ckks, set.bootstrapper.spec()).unwrap();
    let predicted = make().key_bytes().unwrap();
    let memory = make().memory(1).unwrap();
    let (held, raise) = (set.keys.evaluation.bytes(), set.keys.raise.bytes());
    assert_eq!((predicted.expanded, predicted.raise), (held, raise));
    assert_eq!(memory.keys, held + raise);
    let others = memory.total() - predicted.expanded;
    let least = others + KeyStore::<Cpu>::least_budget(predicted.seeded, predicted.largest, 1);
    let all = others + KeyStore::<Cpu>::once_budget(predicted.expanded, predicted.largest);
    for budget in [least, (least + all) / 2, all] {
        let bootstrapper = make().within(budget);
        let store = KeyStore::new(bootstrapper.key_budget(1, 1, budget).unwrap());
        let secret = SecretKey::insecure_deterministic(ctx, [7; 32]).unwrap();
        let needs = KeyNeeds::new(ctx.params());
        let seeded = SeededBootstrapKeys::generate(&secret, &bootstrapper, needs, |_, _| ()).unwrap();
        assert_eq!(seeded.evaluation.bytes(ctx), predicted.seeded);
        assert_eq!(seeded.bytes(ctx), predicted.seeded + predicted.raise_seeded);
        let keys = seeded.hold(ctx, &store, Expansion::WhereItFits).unwrap();
        let out = bootstrapper.bootstrap(&keys, &ct).unwrap();
        assert!(words(&out) == want, "{budget} bytes");
        let counts = store.counts();
        assert!(counts.peak_bytes <= store.budget(), "{counts:?}");
        assert_eq!(counts.expanded == 0, budget == all, "{counts:?}");
        // Without room for a single expanded key beside the seeded ones nothing starts.
        assert!(make().within(keys.bytes()).bootstrap(&keys, &ct).is_err());
    }
    assert_eq!(make().least_budget(1, 1).unwrap(), least);
    let error = make().key_budget(1, 1, least - 1).err().unwrap();
    assert!(
        matches!(error, CircuitError::Memory { needed, .. } if needed == least),
        "{error}"
    );
}

#[test]
fn what_does_not_fit_is_refused_before_any_work() {
    let set = Set::usual();
    let (ckks, ctx) = (&set.ckks, set.ckks.context());
    let refused = |change: fn(&mut BootstrapSpec)| {
        let mut spec = set.bootstrapper.spec().clone();
        change(&mut spec);
        Bootstrapper::new(ckks, &spec).err().unwrap()
    };
    for change in [
        (|s| s.slots = 3) as fn(&mut BootstrapSpec),
        |s| s.slots = 1,
        |s| s.slots = 1024,
        |s| s.to_slots = 0,
    ] {
        assert!(matches!(refused(change), CircuitError::Mismatch { .. }));
    }
    for change in [(|s| s.to_slots = 6) as fn(&mut BootstrapSpec), |s| {
        s.degree = 2047
    }] {
        assert!(matches!(refused(change), CircuitError::Levels { .. }));
    }
    let few = set.encrypt(&random(256), 1, Level(0));
    let error = set.bootstrapper.bootstrap(&set.keys, &few).err().unwrap();
    assert!(
        matches!(
            error,
            CircuitError::Mismatch {
                what: "slot counts",
                ..
            }
        ),
        "{error}"
    );

    let ct = set.encrypt(&random(512), 1, Level(0));
    let memory = set.bootstrapper.memory(1).unwrap();
    assert_eq!(memory.keys, set.keys.bytes());
    let small = Bootstrapper::new(ckks, set.bootstrapper.spec())
        .unwrap()
        .within(memory.total() - 1);
    let error = small.bootstrap(&set.keys, &ct).err().unwrap();
    assert!(matches!(error, CircuitError::Memory { .. }), "{error}");

    let seeded = set.secret.raise_keys().unwrap();
    let none = BootstrapKeys {
        evaluation: EvaluationKeys::none(),
        raise: seeded.expand(ctx).unwrap(),
    };
    let error = set.bootstrapper.bootstrap(&none, &ct).err().unwrap();
    assert!(
        matches!(
            error,
            CircuitError::Ckks(CkksError::Rlwe(RlweError::MissingKey { .. }))
        ),
        "{error}"
    );
}

/// With keys of which one is missing, so that no first bootstrap could run.
#[test]
fn two_rounds_refuse_scales_and_bits_before_the_first() {
    let set = Set::usual();
    let seeded = set.secret.raise_keys().unwrap();
    let none = BootstrapKeys {
        evaluation: EvaluationKeys::none(),
        raise: seeded.expand(set.ckks.context()).unwrap(),
    };
    let refused = |ct: &Ciphertext<Cpu>, bits: u32| {
        let refined = set.bootstrapper.bootstrap_refined(&none, ct, bits);
        refined.err().unwrap()
    };
    let ct = set.encrypt(&random(512), 1, Level(1));
    let doubled = ct.scale().clone().times_pow2(1).unwrap();
    let other = Ciphertext::from_parts(ct.rlwe().clone(), doubled, ct.slots());
    let error = refused(&other, 10);
    assert!(
        matches!(
            error,
            CircuitError::Ckks(CkksError::Rlwe(RlweError::Mismatch { what: "scales", .. }))
        ),
        "{error}"
    );
    let fits = |bits: u32| !matches!(refused(&ct, bits), CircuitError::Mismatch { what: "bits", .. });
    let most = (0..48).rev().find(|bits| fits(*bits)).unwrap();
    // Scales of 40 bits, of which a change of scale leaves 20.
    assert!((15..=25).contains(&most), "{most}");
    assert!((0..=most).all(fits) && !fits(u32::MAX));
    let error = refused(&ct, most + 1).to_string();
    let limit = format!("at most {most} and {}", most + 1);
    assert!(error.contains(&limit), "{error}");
    // As many can be had: nothing later refuses them.
    set.bootstrapper.bootstrap_refined(&set.keys, &ct, most).unwrap();
}
