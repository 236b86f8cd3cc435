//! Bootstraps on rings too small for any security.

#![cfg(feature = "fallback")]
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use std::sync::OnceLock;

use super::*;
use crate::{
    arith::Complex,
    backend::{Backend, cpu::Cpu},
    circuit::CircuitError,
    ckks::{Ciphertext, Ckks, CkksError, Release},
    rlwe::{Context, EvaluationKeys, Expansion, KeyNeeds, KeyStore, Level, Params, RlweError, SecretKey},
};

pub(super) struct Set {
    pub(super) ckks: Ckks<Cpu>,
    pub(super) secret: SecretKey<Cpu>,
    pub(super) bootstrapper: Bootstrapper<Cpu>,
    pub(super) keys: BootstrapKeys<Cpu>,
}

impl Set {
    pub(super) fn new(name: &str, change: impl FnOnce(&mut BootstrapSpec)) -> Self {
        let preset = preset(name).unwrap();
        let mut spec = preset.spec.clone();
        change(&mut spec);
        Self::of(preset.params().unwrap(), spec)
    }

    pub(super) fn of(params: Params, spec: BootstrapSpec) -> Self {
        let ctx = Context::new(Cpu::new(), params).unwrap();
        let ckks = Ckks::new(&ctx);
        let secret = SecretKey::insecure_deterministic(&ctx, [7; 32]).unwrap();
        let bootstrapper = Bootstrapper::new(&ckks, &spec).unwrap();
        let needs = KeyNeeds::new(ctx.params());
        let seeded = SeededBootstrapKeys::generate(&secret, &bootstrapper, needs, |_, _| ()).unwrap();
        let keys = seeded.into_keys(&ctx).unwrap();
        Self {
            ckks,
            secret,
            bootstrapper,
            keys,
        }
    }

    pub(super) fn usual() -> &'static Self {
        static SET: OnceLock<Set> = OnceLock::new();
        SET.get_or_init(|| Self::new("insecure-tiny", |_| ()))
    }

    pub(super) fn encrypt(&self, values: &[Complex], items: usize, level: Level) -> Ciphertext<Cpu> {
        let ct = self.ckks.encrypt(&self.secret, values, items, level).unwrap();
        ct.expand(self.ckks.context()).unwrap()
    }

    pub(super) fn error(&self, ct: &Ciphertext<Cpu>, values: &[Complex]) -> f64 {
        let have = self
            .ckks
            .decrypt(&self.secret, ct)
            .unwrap()
            .release(Release::Owner)
            .unwrap();
        assert_eq!(have.len(), values.len());
        let pairs = have.iter().zip(values);
        pairs.map(|(a, b)| (*a - *b).abs()).fold(0.0, f64::max)
    }

    /// Bits of the largest error after a bootstrap from a level.
    pub(super) fn bits(&self, values: &[Complex], items: usize, level: Level) -> f64 {
        let ct = self.encrypt(values, items, level);
        let out = self.bootstrapper.bootstrap(&self.keys, &ct).unwrap();
        assert_eq!(out.level(), self.bootstrapper.output_level());
        assert_eq!(out.scale(), self.ckks.scale(out.level()).unwrap());
        assert_eq!((out.items(), out.slots()), (ct.items(), ct.slots()));
        -self.error(&out, values).log2()
    }
}

pub(super) fn random(count: usize) -> Vec<Complex> {
    let mut state = 9u64;
    let mut next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..count)
        .map(|_| Complex::new(next() * 0.7, next() * 0.7))
        .collect()
}

fn equal(count: usize) -> Vec<Complex> {
    vec![Complex::from(1.0); count]
}

#[test]
fn values_survive_in_batches_from_any_level() {
    let set = Set::usual();
    assert_eq!(set.bootstrapper.output_level(), Level(3));
    for (items, level) in [(1, 0), (2, 0), (1, 3), (1, 15)] {
        let bits = set.bits(&random(512 * items), items, Level(level));
        assert!(bits > 18.0, "{items} items from level {level}: {bits:.1} bits");
    }
    // sin(2 pi t) / (2 pi) = t - (2 pi)^2 t^3 / 6: at t = 1 / ratio off by 2^2.7 / ratio^2 of t.
    let sine = 2.0 * set.bootstrapper.ratio_log2() - 2.72;
    let bits = set.bits(&equal(512), 1, Level(0));
    assert!(
        bits > sine.min(19.0) - 0.5,
        "equal slots: {bits:.1} bits, {sine:.1} of the sine"
    );
}

#[test]
fn two_real_ciphertexts_share_a_bootstrap() {
    let set = Set::usual();
    let real = |z: &Complex| Complex::from(z.re);
    let a: Vec<Complex> = random(512).iter().map(real).collect();
    let b: Vec<Complex> = random(1024)[512..].iter().map(real).collect();
    let encrypted = |level| [&a, &b].map(|values| set.encrypt(values, 1, Level(level)));
    let [x, y] = encrypted(1);
    let (x, y) = set.bootstrapper.bootstrap_pair(&set.keys, &x, &y).unwrap();
    for (have, want) in [(x, &a), (y, &b)] {
        assert_eq!(have.scale(), set.ckks.scale(Level(3)).unwrap());
        let bits = -set.error(&have, want).log2();
        assert!(bits > 17.0, "{bits:.1} bits");
    }
    let [x, y] = encrypted(0);
    let error = set.bootstrapper.bootstrap_pair(&set.keys, &x, &y).err().unwrap();
    assert!(matches!(error, CircuitError::Levels { needed: 1, .. }), "{error}");
}

#[test]
fn few_slots_are_refreshed_as_one_ciphertext() {
    for slots in [2, 16, 256] {
        let set = Set::new("insecure-tiny", |spec| {
            let usual = BootstrapSpec::new(slots);
            (spec.slots, spec.to_slots) = (slots, usual.to_slots.min(2));
            spec.to_coefficients = usual.to_coefficients.min(2);
        });
        let bits = set.bits(&random(2 * slots), 2, Level(0));
        assert!(bits > 15.0, "{slots} slots: {bits:.1} bits");
    }
}

#[test]
fn an_arcsine_makes_any_message_precise() {
    let set = Set::new("insecure-precision", |_| ());
    for values in [random(512), equal(512)] {
        let bits = set.bits(&values, 1, Level(0));
        assert!(bits > 24.0, "{bits:.1} bits");
    }
}

#[test]
fn a_mask_makes_equal_slots_like_any_others() {
    let set = Set::new("insecure-tiny", |spec| spec.mask = true);
    for values in [random(512), equal(512)] {
        let bits = set.bits(&values, 1, Level(1));
        assert!(bits > 18.0, "{bits:.1} bits");
    }
    let ct = set.encrypt(&equal(512), 1, Level(0));
    let error = set.bootstrapper.bootstrap(&set.keys, &ct).err().unwrap();
    assert!(matches!(error, CircuitError::Levels { needed: 1, .. }), "{error}");
}

#[test]
fn slots_to_coefficients_may_come_first() {
    for slots in [512, 32] {
        let set = Set::new("insecure-first", |spec| spec.slots = slots);
        assert_eq!(set.bootstrapper.output_level(), Level(4));
        for level in [2, 4] {
            let bits = set.bits(&random(slots), 1, Level(level));
            assert!(bits > 15.0, "{slots} slots from level {level}: {bits:.1} bits");
        }
    }
}

#[test]
fn expanded_diagonals_give_the_same_bits() {
    let set = Set::usual();
    let ct = set.encrypt(&random(512), 1, Level(0));
    let light = set.bootstrapper.bootstrap(&set.keys, &ct).unwrap();
    let expanded = Bootstrapper::new(&set.ckks, set.bootstrapper.spec())
        .unwrap()
        .expanded()
        .unwrap();
    let heavy = expanded.bootstrap(&set.keys, &ct).unwrap();
    let words = |ct: &Ciphertext<Cpu>| ct.rlwe().first_words(set.ckks.context(), 1024).unwrap();
    assert_eq!(words(&light), words(&heavy));
    assert!(expanded.memory(1).unwrap().matrices > set.bootstrapper.memory(1).unwrap().matrices);
}

/// The random message, and the one that is distorted most.
#[test]
fn ten_bootstraps_in_a_row_are_as_precise_as_foretold() {
    let masked = |spec: &mut BootstrapSpec| spec.mask = true;
    for (name, change) in [
        ("insecure-tiny", (|_| ()) as fn(&mut BootstrapSpec)),
        ("insecure-tiny", masked),
        ("insecure-precision", |_| ()),
        ("insecure-first", |_| ()),
    ] {
        let set = Set::new(name, change);
        let name = if set.bootstrapper.spec().mask {
            "masked"
        } else {
            name
        };
        let searched = set.bootstrapper.searched_message().unwrap();
        for (kind, values) in [("random", random(512)), ("searched", searched)] {
            let mut ct = set.encrypt(&values, 1, set.bootstrapper.spec().input_level());
            for count in 1..=10 {
                ct = set.bootstrapper.bootstrap(&set.keys, &ct).unwrap();
                let have = measured(&set, &ct, &values);
                let want = set.bootstrapper.predict_successive(&values, count, 1).unwrap();
                within_a_bit(have, want, &format!("{name}, {kind}, {count} in a row"));
            }
        }
    }
}

fn within_a_bit((mean, worst): (f64, f64), want: Prediction, what: &str) {
    let near = |have: f64, want: f64| (have - want).abs() < 1.0;
    let told = format!("{what}: {mean:.2} {worst:.2}, foretold {want:.2?}");
    println!("{told}");
    assert!(near(mean, want.mean) && near(worst, want.worst), "{told}");
}

/// Bits of the root mean square and of the largest error of all slots.
fn measured(set: &Set, ct: &Ciphertext<Cpu>, values: &[Complex]) -> (f64, f64) {
    let have = set.ckks.decrypt(&set.secret, ct).unwrap();
    let have = have.release(Release::Owner).unwrap();
    let errors: Vec<f64> = have.iter().zip(values).map(|(a, b)| (*a - *b).abs()).collect();
    let square = errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64;
    let most = errors.iter().fold(0.0, |a: f64, b| a.max(*b));
    (-square.sqrt().log2(), -most.log2())
}

#[test]
fn precision_is_foretold_for_every_kind_of_message() {
    let runs = 20;
    let masked = |spec: &mut BootstrapSpec| spec.mask = true;
    let few = |spec: &mut BootstrapSpec| spec.slots = 64;
    for (name, change) in [
        ("insecure-tiny", (|_| ()) as fn(&mut BootstrapSpec)),
        ("insecure-tiny", masked),
        ("insecure-tiny", few),
        ("insecure-precision", |_| ()),
        ("insecure-first", |_| ()),
    ] {
        let set = Set::new(name, change);
        let spec = set.bootstrapper.spec();
        let searched = set.bootstrapper.searched_message().unwrap();
        for kind in 0..5 {
            let message = |run| match messages(spec.slots, run).get(kind) {
                Some((_, values)) => values.clone(),
                None => searched.clone(),
            };
            let values: Vec<Complex> = (0..runs).flat_map(message).collect();
            let ct = set.encrypt(&values, runs, spec.input_level());
            let out = set.bootstrapper.bootstrap(&set.keys, &ct).unwrap();
            let want = set.bootstrapper.predict(&message(0), runs).unwrap();
            within_a_bit(
                measured(&set, &out, &values),
                want,
                &format!("{name}, kind {kind}"),
            );
        }
    }
}

#[test]
fn two_rounds_are_as_precise_as_the_scale() {
    let set = Set::new("insecure-precision", |_| ());
    let values = random(512);
    let once = set.bootstrapper.predict(&values, 1).unwrap();
    let bits = once.worst as u32 - 2;
    let ct = set.encrypt(&values, 1, Level(1));
    let out = set.bootstrapper.bootstrap_refined(&set.keys, &ct, bits).unwrap();
    assert_eq!(out.level(), Level(set.bootstrapper.output_level().0 - 1));
    assert_eq!(out.scale(), set.ckks.scale(out.level()).unwrap());
    let have = measured(&set, &out, &values);
    let want = set.bootstrapper.predict_refined(&values, bits, 1).unwrap();
    within_a_bit(have, want, "two rounds");
    assert!(have.1 > once.worst + 8.0, "{have:?}, once {once:.2?}");
    let low = set.encrypt(&values, 1, Level(0));
    let error = set
        .bootstrapper
        .bootstrap_refined(&set.keys, &low, bits)
        .err()
        .unwrap();
    assert!(matches!(error, CircuitError::Levels { needed: 1, .. }), "{error}");
}

/// 131,072 draws; `cipherformer bench overflow` draws more.
#[test]
fn the_overflow_has_the_distribution_of_the_formula() {
    let set = Set::usual();
    let mut overflow = Overflow::default();
    for round in 0..8 {
        let ct = set.encrypt(&random(512 * 16 + round)[round..], 16, Level(0));
        overflow.draw(&set.secret, &set.keys.raise, ct.rlwe()).unwrap();
    }
    let total = overflow.total() as f64;
    assert_eq!(total, 131_072.0);
    let mut tail = total;
    for k in 1..8 {
        tail -= overflow.count(k - 1) as f64;
        let want = total * Overflow::tail(k);
        // 6 deviations and a count: the seven are exceeded with probability 2e-8.
        assert!(
            (tail - want).abs() < 6.0 * want.sqrt() + 6.0,
            "{k}: {tail} of {total}, {want:.1} by the formula"
        );
    }
    let fit = overflow.fit().unwrap();
    assert!(fit.probability > 1e-6, "{fit:?}");
    assert_eq!(overflow.outside(), 0);
    // Messages of this size and all noise are far from half of q_0.
    assert!(overflow.off() < 2f64.powi(-8), "{}", overflow.off());
}

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
