//! What is refused before a bootstrap works, memory that calls share, and shapes that no preset has.

#![cfg(feature = "fallback")]
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use super::{
    tests::{Set, random},
    *,
};
use crate::{
    arith::Complex,
    backend::{Backend, cpu::Cpu},
    circuit::{Circuit, CircuitError, Forecast, functions::Function},
    ckks::{Ckks, CkksError},
    ring::{ChainKind, ChainSpec, build},
    rlwe::{
        Context, EvaluationKeys, Expansion, KeyNeeds, KeyStore, Level, Params, RlweError, SecretKey, Spec,
    },
};

/// Raise keys of another preset, before any other key is looked for.
#[test]
fn raise_keys_of_other_parameters_are_refused_before_work() {
    let (set, other) = (Set::usual(), Set::new("insecure-first", |_| ()));
    let raise = other.secret.raise_keys().unwrap();
    let keys = BootstrapKeys {
        evaluation: EvaluationKeys::none(),
        raise: raise.expand(other.ckks.context()).unwrap(),
    };
    let ct = set.encrypt(&random(512), 1, Level(2));
    let mut stages = 0;
    let error = set.bootstrapper.bootstrap_with(&keys, &ct, |_| {
        stages += 1;
        Ok(())
    });
    let error = error.err().unwrap();
    let CircuitError::Ckks(CkksError::Rlwe(RlweError::Foreign { operation, what, .. })) = &error else {
        panic!("{error}")
    };
    assert_eq!(
        (operation.as_str(), *what, stages),
        ("bootstrap", "the raise key", 0)
    );
}

/// A second call while a first one runs: in the first one's own callback, so that nothing depends on time.
#[test]
fn calls_at_the_same_time_share_a_budget() {
    let set = Set::usual();
    let ctx = set.ckks.context();
    let ct = set.encrypt(&random(512), 1, Level(0));
    let make = || Bootstrapper::new(&set.ckks, set.bootstrapper.spec()).unwrap();
    let memory = make().memory(1).unwrap();
    let bytes = make().key_bytes().unwrap();
    let all = KeyStore::<Cpu>::once_budget(bytes.expanded, bytes.largest);
    for (rooms, fits) in [(1, false), (2, true)] {
        // Beside the keys, room for so many calls: more than what making the last key took.
        let store = KeyStore::new(bytes.expanded + rooms * memory.working);
        assert!(store.budget() >= all);
        let bootstrapper = make().sharing(&store);
        let needs = KeyNeeds::new(ctx.params());
        let seeded = SeededBootstrapKeys::generate(&set.secret, &bootstrapper, needs, |_, _| ()).unwrap();
        let keys = seeded.hold(ctx, &store, Expansion::Once).unwrap();
        let at_rest = store.bytes();
        let mut second = None;
        bootstrapper
            .bootstrap_with(&keys, &ct, |stage| {
                if stage == Stage::CoefficientsToSlots {
                    assert_eq!(store.bytes(), at_rest + memory.working);
                    second = Some(bootstrapper.bootstrap(&keys, &ct));
                }
                Ok(())
            })
            .unwrap();
        match (second.unwrap(), fits) {
            (Ok(_), true) => (),
            (
                Err(CircuitError::Memory {
                    needed, keys, budget, ..
                }),
                false,
            ) => {
                assert_eq!((needed, budget), (at_rest + 2 * memory.working, store.budget()));
                assert_eq!(keys, at_rest + memory.working);
            }
            (Ok(_), false) => panic!("two fit where one does"),
            (Err(error), _) => panic!("{error}"),
        }
        // What a call took is given back, after a fault too.
        assert_eq!(store.bytes(), at_rest);
        bootstrapper.bootstrap(&keys, &ct).unwrap();
        // Two rounds keep more.
        let ct = set.encrypt(&random(512), 1, Level(1));
        assert_eq!(bootstrapper.bootstrap_refined(&keys, &ct, 8).is_ok(), fits);
        assert!(store.counts().peak_bytes <= store.budget());
    }
    let budget = memory.total() + all;
    assert_eq!(
        make().store_budget(1, budget).unwrap(),
        budget - memory.matrices - bytes.raise
    );
    let error = make().store_budget(1, memory.working).err().unwrap();
    assert!(matches!(error, CircuitError::Memory { .. }), "{error}");
}

/// Buffers of the CPU at the end of every stage, those included that its pool keeps until then. A stage's own releases are reused only for what is at
/// least half as long: up to a quarter comes on top. On one thread, where this is the same in every run: each thread has scratch memory of its own.
#[test]
fn a_bootstrap_with_a_budget_gives_memory_back_after_every_stage() {
    let preset = preset("insecure-tiny").unwrap();
    let most = |bounded: bool| {
        let cpu = Cpu::new();
        let ctx = Context::new(cpu.clone(), preset.params().unwrap()).unwrap();
        let ckks = Ckks::new(&ctx);
        let secret = SecretKey::insecure_deterministic(&ctx, [7; 32]).unwrap();
        let mut bootstrapper = Bootstrapper::new(&ckks, &preset.spec).unwrap();
        let memory = bootstrapper.memory(1).unwrap();
        if bounded {
            bootstrapper = bootstrapper.within(memory.total());
        }
        let needs = KeyNeeds::new(ctx.params());
        let seeded = SeededBootstrapKeys::generate(&secret, &bootstrapper, needs, |_, _| ()).unwrap();
        let keys = seeded.into_keys(&ctx).unwrap();
        let ct = ckks.encrypt(&secret, &random(512), 1, Level(0)).unwrap();
        let ct = ct.expand(&ctx).unwrap();
        // The CPU's keys in use are no buffers: what is left are the secret key and the operand.
        cpu.trim();
        let before = cpu.pool_bytes();
        let mut most = 0;
        bootstrapper
            .bootstrap_with(&keys, &ct, |_| {
                most = most.max(cpu.pool_bytes() - before);
                Ok(())
            })
            .unwrap();
        (most, cpu.pool_bytes() - before, memory.working)
    };
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let ((bounded, left, working), (free, kept, _)) = one.install(|| (most(true), most(false)));
    println!(
        "{bounded} bytes with a budget, {free} without, {kept} of them kept, {working} of work foretold"
    );
    assert!(
        4 * bounded <= 5 * working,
        "{bounded} bytes of buffers, {working} foretold"
    );
    // The result alone, and a row's padding.
    assert!(
        left < working / 20 && bounded < free && kept > working / 2,
        "{left} {kept} {free}"
    );
}

#[test]
fn debug_mode_names_values_that_the_reduction_would_fold() {
    let set = Set::usual();
    let mut values = random(1024);
    let ct = set.encrypt(&values, 2, Level(0));
    set.bootstrapper.bootstrap_debug(&set.keys, &ct, &values).unwrap();
    for bad in [Complex::new(0.8, -0.8), Complex::new(f64::NAN, 0.0)] {
        values[512 + 37] = bad;
        let error = set
            .bootstrapper
            .bootstrap_debug(&set.keys, &ct, &values)
            .err()
            .unwrap();
        assert!(
            matches!(
                error,
                CircuitError::Magnitude {
                    item: 1,
                    slot: 37,
                    ..
                }
            ),
            "{error}"
        );
    }
    values[512 + 37] = Complex::new(0.8, -0.8);
    let error = set
        .bootstrapper
        .bootstrap_debug(&set.keys, &ct, &values)
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("of magnitude 1.131 above 1"),
        "{error}"
    );
    let error = set
        .bootstrapper
        .bootstrap_debug(&set.keys, &ct, &values[1..])
        .err()
        .unwrap();
    assert!(matches!(error, CircuitError::Mismatch { .. }), "{error}");
}

/// x^2, a bootstrap, x^2 again: values that grow before the bootstrap are named, and noise is foretold across it.
#[test]
fn circuits_are_rehearsed_across_a_bootstrap() {
    let set = Set::usual();
    let (params, start) = (set.ckks.context().params(), Level(1));
    let square = Function::power(2.0, 2).unwrap();
    let run = |largest: f64| {
        let mut forecast = Forecast::noisy(params);
        let points: Vec<Complex> = (0..512)
            .map(|i| Complex::from(largest * f64::from(i) / 511.0))
            .collect();
        let shape = forecast.shape(start, set.ckks.scale(start).unwrap(), 1, 512);
        let x = forecast.input(shape, &points, 0.0);
        let y = square.run(&mut forecast, &[x])?.remove(0);
        let y = set.bootstrapper.rehearse(&mut forecast, &y)?;
        assert_eq!(y.level(), set.bootstrapper.output_level());
        let deviation = y.deviation();
        Ok::<_, CircuitError>((deviation, square.run(&mut forecast, &[y])?.remove(0)))
    };
    let (deviation, y) = run(1.0).unwrap();
    let bits = -deviation.log2();
    let told = set.bootstrapper.predict(&random(512), 1).unwrap();
    assert!(
        (bits - told.mean).abs() < 1.0,
        "{bits:.2} bits, {told:.2?} for a random message"
    );
    // The derivative of x^2 at 1.
    assert!((y.deviation() / deviation - 2.0).abs() < 0.05);
    let error = run(1.5).err().unwrap();
    // (1.5 i / 511)^2 > 1
    assert!(
        matches!(
            error,
            CircuitError::Magnitude {
                item: 0,
                slot: 341,
                ..
            }
        ),
        "{error}"
    );
}

/// Four matrices each way, on the ring of the smallest presets.
#[test]
fn four_matrices_each_way() {
    // log2 of a level's scale and of the step down, from the lowest on.
    let working = [(40, 40); 2];
    let back = [(44, 42), (48, 42), (48, 48), (48, 48)];
    let rungs: Vec<(i32, i32)> = [working.as_slice(), &back, &[(58, 58); 12]].concat();
    let absorbed = |pair: &[(i32, i32)]| pair[1].1 + pair[0].0 - 2 * pair[1].0;
    let spec = ChainSpec {
        log_n: 10,
        kind: ChainKind::Mixed,
        scale_bits: rungs.iter().map(|(scale, _)| f64::from(*scale)).collect(),
        absorbed_bits: rungs.windows(2).map(absorbed).collect(),
        base_bits: 50.0,
        digits: 3,
        special_margin_bits: 2.0,
        max_log2_qp: Some(4000.0),
    };
    let params = Params::insecure(Spec {
        chain: build(&spec).unwrap(),
    })
    .unwrap();
    let spec = BootstrapSpec {
        to_slots: 4,
        to_coefficients: 4,
        ..BootstrapSpec::new(512)
    };
    let set = Set::of(params, spec);
    assert_eq!(set.bootstrapper.output_level(), Level(1));
    let bits = set.bits(&random(512), 1, Level(0));
    let told = set.bootstrapper.predict(&random(512), 1).unwrap();
    assert!(
        (bits - told.worst).abs() < 1.5 && bits > 18.0,
        "{bits:.1} bits, {told:.2?}"
    );
}

/// As many matrices as butterflies at the most: an identity takes a level for nothing.
#[test]
fn no_matrix_is_an_identity() {
    let set = Set::usual();
    assert_eq!(
        [2, 4, 8, 512].map(|slots| BootstrapSpec::new(slots).to_slots),
        [1, 2, 3, 3]
    );
    let spec = BootstrapSpec {
        to_coefficients: 2,
        ..BootstrapSpec::new(2)
    };
    let error = Bootstrapper::new(&set.ckks, &spec).err().unwrap();
    assert!(
        matches!(error, CircuitError::Mismatch { what: "matrices", .. }),
        "{error}"
    );
}
