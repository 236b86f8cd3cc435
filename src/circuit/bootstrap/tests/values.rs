//! Values, levels and scales of bootstraps of every kind, and the overflow that they meet.

use super::{Set, equal, random};
use crate::{
    arith::Complex,
    backend::cpu::Cpu,
    circuit::{
        CircuitError,
        bootstrap::{BootstrapSpec, Bootstrapper, Overflow},
    },
    ckks::Ciphertext,
    rlwe::Level,
};

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
