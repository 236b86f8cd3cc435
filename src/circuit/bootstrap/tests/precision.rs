//! Precision as it was foretold: of one bootstrap, of several in a row, of two rounds.

use super::{Set, random};
use crate::{
    arith::Complex,
    backend::cpu::Cpu,
    circuit::{
        CircuitError,
        bootstrap::{BootstrapSpec, Prediction, messages},
    },
    ckks::{Ciphertext, Release},
    rlwe::Level,
};

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
