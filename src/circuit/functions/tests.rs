//! Every function on ciphertexts: measured errors against stated bounds and foretold noise, at the worst inputs.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use super::*;
use crate::{
    arith::Complex,
    circuit::{Circuit, CircuitError, Interval, testing::Set},
    ckks::Ciphertext,
    ring::ChainKind,
    rlwe::Level,
};

/// Errors of noise are below this many standard deviations: 128 slots, a few runs.
const DEVIATIONS: f64 = 6.0;

fn set(levels: usize) -> Set {
    Set::new(ChainKind::Pair, 52.0, levels, 8)
}

/// Points of an interval outside the gap: its ends, the edges of the gap, those where the approximation is worst, and others.
fn worst_inputs(f: &Function, count: usize) -> Vec<f64> {
    let allowed = |x: &f64| x.abs() >= f.gap();
    let error = |x: f64| {
        let scale = if f.is_relative() {
            f.reference(x).abs()
        } else {
            1.0
        };
        (f.value(x) - f.reference(x)).abs() / scale
    };
    let mut all: Vec<(f64, f64)> = (f.interval().points(20 * count))
        .filter(allowed)
        .map(|x| (error(x), x))
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut points: Vec<f64> = all.iter().map(|(_, x)| *x).take(count / 2).collect();
    let edges = [f.interval().low(), f.interval().high(), f.gap(), -f.gap()];
    let inside = |x: &f64| f.interval().contains(*x, 0.0);
    points.extend(edges.into_iter().filter(inside).filter(allowed));
    points.extend(f.interval().points(2 * count).filter(allowed));
    points.truncate(count);
    points
}

fn check(set: &Set, f: &Function) {
    let ev = set.ev();
    let x = worst_inputs(f, set.slots());
    let ct = set.encrypt(&x);
    let y = f.apply(&ev, std::slice::from_ref(&ct)).unwrap().remove(0);
    assert_eq!(ct.level().0 - y.level().0, f.depth_of_canonical(), "{}", f.name());
    assert_eq!(y.scale(), set.ckks.scale(y.level()).unwrap(), "{}", f.name());
    let foretold = f
        .explain(set.params(), ct.level(), 1, std::slice::from_ref(&x))
        .unwrap();
    match foretold.accuracy.as_slice() {
        [] => assert_eq!(f.error(), 0.0, "{}", f.name()),
        all => assert_eq!(
            all.iter().map(|a| (a.error, a.relative)).collect::<Vec<_>>(),
            [(f.error(), f.is_relative())]
        ),
    }
    let have = set.decrypt(&y);
    let (mut noise, mut worst) = (0.0f64, 0.0f64);
    for (x, y) in x.iter().zip(&have) {
        let want = f.reference(*x);
        let bound = f.error() * if f.is_relative() { want.abs() } else { 1.0 };
        let error = (*y - Complex::from(want)).abs();
        worst = worst.max(error / if f.is_relative() { want.abs() } else { 1.0 });
        let room = DEVIATIONS * foretold.noise_worst + 1e-9;
        assert!(
            error <= bound + room,
            "{} at {x}: {y:?} for {want}, error {error:e} above {bound:e} + {room:e}",
            f.name()
        );
        noise = noise.max((*y - Complex::from(f.value(*x))).abs());
    }
    println!(
        "{} on {}, {:?}: error {worst:.1e}, bound {:.1e}, noise {noise:.1e}, its foretold deviation {:.1e}",
        f.name(),
        f.interval(),
        f.degrees(),
        f.error(),
        foretold.noise_worst
    );
    // What the circuit computes is what the clear approximation does, but for noise.
    assert!(
        noise <= DEVIATIONS * foretold.noise_worst + 1e-9,
        "{}: {noise:e}",
        f.name()
    );
}

#[test]
fn ready_made_functions_keep_their_bounds() {
    let set = set(15);
    for (f, _) in functions().unwrap() {
        check(&set, &f);
    }
}

#[test]
fn other_intervals_and_degrees_keep_their_bounds() {
    let set = set(14);
    for f in [
        Function::tanh(4.0, 15),
        Function::exp(-1.0, 1.0, 7),
        Function::power(1.5, 6),
        Function::power(1.0, 7),
        Function::minimax("cosine", f64::cos, Interval::new(-1.0, 5.0).unwrap(), 12),
        Function::sign(5.0, &[15, 15], 5.0),
        Function::relu(1.0, &[7]),
        Function::relu(8.0, &[15, 15]),
        Function::reciprocal(0.5, 3.0, 18.0),
        Function::reciprocal(0.9, 1.0, 3.0),
        Function::inverse_sqrt(0.5, 2.0, 14.0),
    ] {
        check(&set, &f.unwrap());
    }
}

#[test]
fn published_errors_are_met() {
    // Near-minimax errors of GELU, single polynomials: range, degree, error.
    for (range, degree, error) in [
        (4.0, 15, 1.7e-4),
        (6.0, 23, 7.5e-5),
        (8.0, 31, 4.8e-5),
        (10.0, 31, 6.2e-4),
    ] {
        let f = Function::gelu(range, degree).unwrap();
        assert!(f.error() <= 1.1 * error, "gelu {range} {degree}: {:e}", f.error());
    }
    // max(x, 0) by composite signs: degrees, error to two digits, depth.
    let degrees: [(&[usize], f64, u32); 7] = [
        (&[7], 3.5e-2, 4),
        (&[7, 7], 7.7e-3, 7),
        (&[15, 15], 2.2e-3, 9),
        (&[7, 7, 7], 1.6e-3, 10),
        (&[7, 7, 15], 7.8e-4, 11),
        (&[7, 15, 15], 4.6e-4, 12),
        (&[15, 15, 27], 1.15e-4, 14),
    ];
    for (degrees, error, depth) in degrees {
        let f = Function::relu(1.0, degrees).unwrap();
        assert!(
            f.error() <= 1.1 * error,
            "relu {degrees:?}: {:e} above {error:e}",
            f.error()
        );
        assert_eq!(f.depth(), depth);
    }
    for (f, error) in [
        (Function::exp(-16.0, 0.0, 15), 3.6e-7),
        (Function::exp(-32.0, 0.0, 15), 1.1e-4),
        (Function::tanh(4.0, 15), 1.8e-3),
        (Function::tanh(4.0, 31), 3.8e-6),
    ] {
        let f = f.unwrap();
        assert!(
            f.error() <= 1.1 * error,
            "{}: {:e} above {error:e}",
            f.name(),
            f.error()
        );
    }
}

#[test]
fn functions_of_a_scaled_input_save_the_change_of_variable() {
    let set = set(12);
    for f in [
        Function::gelu(8.0, 31),
        Function::relu(8.0, &[7, 7]),
        Function::exp(-16.0, 0.0, 7),
    ] {
        let f = f.unwrap();
        let unit = f.clone().of_unit().unwrap();
        assert_eq!(unit.depth_of_canonical() + 1, f.depth_of_canonical());
        check(&set, &unit);
    }
    assert!(Function::reciprocal(0.5, 1.0, 8.0).unwrap().of_unit().is_err());
}

#[test]
fn divisions_keep_their_bound() {
    let set = set(12);
    let ev = set.ev();
    let division = Division::new(2.0, 0.01, 1.0, 12.0).unwrap();
    let b: Vec<f64> = division.interval().points(set.slots()).collect();
    let a: Vec<f64> = Interval::symmetric(2.0).unwrap().points(set.slots()).collect();
    let y = division
        .apply(&ev, &[set.encrypt(&a), set.encrypt(&b)])
        .unwrap()
        .remove(0);
    assert_eq!(set.params().top().0 - y.level().0, division.depth());
    assert_eq!(y.scale(), set.ckks.scale(y.level()).unwrap());
    for ((a, b), y) in a.iter().zip(&b).zip(set.decrypt(&y)) {
        let error = (y - Complex::from(a / b)).abs();
        assert!(
            error <= division.error() * (a / b).abs() + 1e-5,
            "{a} / {b}: {y:?}"
        );
    }
    // The dividend may not be as low as the reciprocal ends.
    let low = ev.drop_to(&set.encrypt(&a), Level(1)).unwrap();
    let error = division.apply(&ev, &[low, set.encrypt(&b)]).err().unwrap();
    assert!(matches!(error, CircuitError::Levels { .. }), "{error}");
}

#[test]
fn maxima_keep_their_bound() {
    let set = set(12);
    let ev = set.ev();
    let maximum = Maximum::new(3.0, &[15, 15]).unwrap();
    let a: Vec<f64> = maximum.interval().points(set.slots()).collect();
    // Differences of all sizes: none, the worst ones, the largest.
    let b: Vec<f64> = a
        .iter()
        .enumerate()
        .map(|(i, a)| {
            if i.is_multiple_of(2) {
                -a
            } else {
                a * (1.0 - i as f64 / 400.0)
            }
        })
        .collect();
    let y = maximum
        .apply(&ev, &[set.encrypt(&a), set.encrypt(&b)])
        .unwrap()
        .remove(0);
    assert_eq!(set.params().top().0 - y.level().0, maximum.depth());
    for ((a, b), y) in a.iter().zip(&b).zip(set.decrypt(&y)) {
        let error = (y - Complex::from(a.max(*b))).abs();
        assert!(error <= maximum.error() + 1e-6, "max({a}, {b}) = {y:?}");
    }
}

#[test]
fn argmax_is_one_hot() {
    let set = set(13);
    let ev = set.ev();
    for items in [2, 3, 4] {
        let argmax = ArgMax::new(items, 0.5, &[15, 15], 5.0).unwrap();
        let slots = set.slots();
        // A permutation of spaced values in each slot, as close together as is allowed.
        let value = |i: usize, s: usize| {
            argmax.gap() * ((i + s) % items) as f64 * if s.is_multiple_of(5) { 1.0 } else { 3.0 } - 0.25
        };
        let x: Vec<f64> = (0..items)
            .flat_map(|i| (0..slots).map(move |s| value(i, s)))
            .collect();
        let y = argmax
            .apply(&ev, &[set.encrypt_items(&x, items)])
            .unwrap()
            .remove(0);
        assert_eq!(set.params().top().0 - y.level().0, argmax.depth());
        let have = set.decrypt(&y);
        for s in 0..slots {
            for i in 0..items {
                let want = if (i + s) % items == items - 1 { 1.0 } else { 0.0 };
                let error = (have[i * slots + s] - Complex::from(want)).abs();
                assert!(
                    error <= argmax.error() + 1e-6,
                    "{items} items, slot {s}: {error:e} above {:e}",
                    argmax.error()
                );
            }
        }
    }
    assert!(ArgMax::new(1, 1.0, &[7], 3.0).is_err());
}

/// The largest of L and its place, at the smallest gap that is allowed, ties, and values all over the range.
#[test]
fn tournaments_find_the_largest_and_its_place() {
    // 16 as the catalogue has it.
    for (items, levels) in [(2, 10), (5, 28), (8, 28), (16, 37)] {
        let set = set(levels);
        let ev = set.ev();
        let game = Tournament::new(items, 0.5, &[15, 15], 5.0).unwrap();
        assert_eq!(
            game.depth(),
            9 * game.rounds(),
            "8 levels of the sign, one product"
        );
        let slots = set.slots();
        let value = |i: usize, s: usize| {
            let winner = s % items;
            match s % 4 {
                // One ahead by the gap, the others equal.
                0 if i == winner => game.gap() / 2.0,
                0 => -game.gap() / 2.0,
                1 if i == winner => 0.5,
                1 => -0.5,
                2 if i == winner => 0.3,
                2 => 0.3 - game.gap() - (i * 7 % 13) as f64 / 40.0,
                // No winner: only the value is promised.
                _ => ((i * 31 + s * 17) % 101) as f64 / 101.0 - 0.5,
            }
        };
        let x: Vec<f64> = (0..items)
            .flat_map(|i| (0..slots).map(move |s| value(i, s)))
            .collect();
        let ct = set.encrypt_items(&x, items);
        let both = game
            .apply_debug(&ev, std::slice::from_ref(&ct), std::slice::from_ref(&x))
            .unwrap();
        let [largest, places] = <[_; 2]>::try_from(both).ok().unwrap();
        assert_eq!(set.params().top().0 - largest.level().0, game.depth());
        assert_eq!((largest.items(), places.items()), (1, items));
        assert_eq!(places.level(), largest.level());
        let (have, hot) = (set.decrypt(&largest), set.decrypt(&places));
        let (mut worst, mut worst_place) = (0.0f64, 0.0f64);
        for s in 0..slots {
            let want = (0..items).map(|i| value(i, s)).fold(f64::MIN, f64::max);
            worst = worst.max((have[s] - Complex::from(want)).abs());
            for i in (0..items).filter(|_| s % 4 != 3) {
                let want = if i == s % items { 1.0 } else { 0.0 };
                worst_place = worst_place.max((hot[i * slots + s] - Complex::from(want)).abs());
            }
        }
        println!(
            "{items} items: error {worst:.1e} of {:.1e}, of places {worst_place:.1e} of {:.1e}, gap {:.3}",
            game.error(),
            game.place_error(),
            game.gap()
        );
        assert!(worst <= game.error() + 1e-6, "{items}: {worst:e}");
        assert!(
            worst_place <= game.place_error() + 1e-6,
            "{items}: {worst_place:e}"
        );
        let low = ev.drop_to(&ct, Level(game.depth() - 1)).unwrap();
        let error = game.apply(&ev, &[low]).err().unwrap();
        assert!(matches!(error, CircuitError::Levels { .. }), "{error}");
    }
    assert!(Tournament::new(1, 1.0, &[15, 15], 5.0).is_err());
    assert!(Tournament::new(4096, 1.0, &[7], 2.0).is_err());
}

/// Beyond +-8, two polynomials of degree 15 are better than one of degree 63.
#[test]
fn wide_activations_keep_their_bounds() {
    let (gelu, silu) = (
        Function::gelu(32.0, 63).unwrap(),
        Function::silu(32.0, 63).unwrap(),
    );
    for (f, error, single) in [
        (Function::gelu_wide(32.0, [15, 15]), 1e-3, &gelu),
        (Function::gelu_wide(32.0, [15, 31]), 1e-5, &gelu),
        (Function::silu_wide(32.0, [15, 31]), 1e-4, &silu),
    ] {
        let f = f.unwrap();
        println!(
            "{} on {}, {:?}: {:e}",
            f.name(),
            f.interval(),
            f.degrees(),
            f.error()
        );
        assert!(
            f.error() < error,
            "{} {:?}: {:e}",
            f.name(),
            f.degrees(),
            f.error()
        );
        assert!(f.error() < single.error(), "{:e}", single.error());
    }
    assert!(Function::gelu_wide(0.0, [15, 15]).is_err());
    assert!(Function::gelu_wide(32.0, [0, 15]).is_err());
}

#[test]
fn power_softmax_is_what_it_is_defined_as() {
    power_softmax(16, 4.0);
    // As the catalogue has it.
    power_softmax(128, 8.0);
}

fn power_softmax(items: usize, range: f64) {
    let set = set(12);
    let (ev, slots) = (set.ev(), set.slots());
    let softmax = PowerSoftmax::new(items, range, 4, 1e-3, 10.0).unwrap();
    // Random scores, equal ones, one large one, all at the ends, all nothing.
    let mut state = 1u64;
    let mut random = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        range * ((state >> 11) as f64 / (1u64 << 52) as f64 - 1.0)
    };
    let mut value = |i: usize, s: usize| match s % 5 {
        0 => random(),
        1 => 1.5,
        2 if i == 3 => range,
        2 => 0.3,
        3 => {
            if i.is_multiple_of(2) {
                range
            } else {
                -range
            }
        }
        _ => 0.0,
    };
    let mut x = vec![0.0; items * slots];
    for i in 0..items {
        for s in 0..slots {
            x[i * slots + s] = value(i, s);
        }
    }
    let ct = set.encrypt_items(&x, items);
    let y = softmax
        .apply_debug(&ev, std::slice::from_ref(&ct), std::slice::from_ref(&x))
        .unwrap()
        .remove(0);
    assert_eq!(ct.level().0 - y.level().0, softmax.depth());
    assert_eq!(
        softmax.depth(),
        11,
        "1 for the change of variable, 2 for x^4, 7 rounds, 1 product"
    );
    assert_eq!(y.scale(), set.ckks.scale(y.level()).unwrap());
    let have = set.decrypt(&y);
    for s in 0..slots {
        let scores: Vec<f64> = (0..items).map(|i| x[i * slots + s]).collect();
        for (i, want) in softmax.reference(&scores).into_iter().enumerate() {
            let error = (have[i * slots + s] - Complex::from(want)).abs();
            // Noise is multiplied by up to 1 / eps.
            assert!(
                error <= softmax.error() * want + 1e-7,
                "slot {s}, item {i}: {error:e} of {want}"
            );
        }
    }
    // Scaled beforehand, it saves a level.
    let unit = softmax.clone().of_unit().unwrap();
    assert_eq!(unit.depth() + 1, softmax.depth());
    let scaled: Vec<f64> = x.iter().map(|x| x / softmax.width()).collect();
    let y = unit
        .apply(&ev, &[set.encrypt_items(&scaled, items)])
        .unwrap()
        .remove(0);
    for (a, b) in set.decrypt(&y).iter().zip(&have) {
        assert!((*a - *b).abs() < 1e-6);
    }
}

#[test]
fn debug_mode_names_slot_and_value() {
    let set = set(7);
    let ev = set.ev();
    let gelu = Function::gelu(8.0, 15).unwrap();
    let mut x = vec![1.0; 3 * set.slots()];
    x[2 * set.slots() + 37] = -8.5;
    let ct: Ciphertext<_> = set.encrypt_items(&x, 3);
    let error = gelu
        .apply_debug(&ev, std::slice::from_ref(&ct), std::slice::from_ref(&x))
        .err()
        .unwrap();
    assert!(
        matches!(
            error,
            CircuitError::Outside {
                item: 2,
                slot: 37,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        error.to_string(),
        "gelu: slot 37 of item 2 holds Complex { re: -8.5, im: 0.0 }, outside [-8, 8] by 5e-1; bound the input, or use a function of a \
         wider interval"
    );
    x[2 * set.slots() + 37] = f64::NAN;
    let error = gelu
        .apply_debug(&ev, std::slice::from_ref(&ct), std::slice::from_ref(&x))
        .err()
        .unwrap();
    assert!(matches!(error, CircuitError::Outside { slot: 37, .. }), "{error}");
    x[2 * set.slots() + 37] = -8.0;
    assert!(
        gelu.apply_debug(&ev, std::slice::from_ref(&ct), std::slice::from_ref(&x))
            .is_ok()
    );
    assert!(gelu.apply_debug(&ev, std::slice::from_ref(&ct), &[]).is_err());
    assert!(gelu.apply_debug(&ev, &[ct], &[x[1..].to_vec()]).is_err());
}

#[test]
fn too_few_levels_are_counted_and_a_place_to_refresh_is_named() {
    let set = set(15);
    let ev = set.ev();
    let relu = Function::relu(1.0, &[15, 15, 27]).unwrap();
    let ct = ev
        .drop_to(&set.encrypt(&vec![0.5; set.slots()]), Level(9))
        .unwrap();
    let error = relu.apply(&ev, std::slice::from_ref(&ct)).err().unwrap();
    assert_eq!(
        error.to_string(),
        "relu takes 14 levels and its input is at level 9: 5 missing; refresh (bootstrap) the input at level 14 or above, or the value \
         after stage 2 of 4, polynomial of degree 15"
    );
    let root = Function::inverse_sqrt(1.0, 300.0, 10.0).unwrap();
    let low = ev.drop_to(&ct, Level(1)).unwrap();
    let error = root.apply(&ev, &[low]).err().unwrap();
    assert!(
        matches!(error, CircuitError::Levels { level: Level(1), .. }),
        "{error}"
    );
}

#[test]
fn impossible_functions_are_refused() {
    assert!(matches!(
        Function::gelu(0.0, 7),
        Err(CircuitError::Interval { .. })
    ));
    assert!(matches!(Function::gelu(8.0, 0), Err(CircuitError::Degree { .. })));
    assert!(matches!(
        Function::gelu(8.0, 5000),
        Err(CircuitError::Degree { .. })
    ));
    assert!(matches!(
        Function::power(1.0, 1),
        Err(CircuitError::Degree { .. })
    ));
    assert!(matches!(
        Function::relu(1.0, &[]),
        Err(CircuitError::Degree { .. })
    ));
    assert!(matches!(
        Function::exp(1.0, f64::NAN, 7),
        Err(CircuitError::Interval { .. })
    ));
}

#[test]
fn the_catalogue_holds_what_it_says() {
    let all = catalogue().unwrap();
    for name in [
        "sign",
        "relu",
        "gelu",
        "silu",
        "tanh",
        "exp",
        "sigmoid",
        "inverse sqrt",
        "x^4",
    ] {
        assert!(all.iter().any(|e| e.name == name), "{name}");
    }
    for e in &all {
        assert!(
            e.low < e.high && e.depth > 0 && e.depth <= e.depth_of_canonical,
            "{e:?}"
        );
        assert!(e.error < 0.1 && (e.error > 0.0 || e.name == "x^4"), "{e:?}");
        assert!(!e.degrees.is_empty() && e.degrees.iter().all(|d| *d > 0), "{e:?}");
    }
    let entry = |name: &str, degrees: &[usize], depths: (u32, u32)| {
        let entry = all.iter().find(|e| e.name == name).unwrap();
        assert_eq!(entry.degrees, degrees, "{name}");
        assert_eq!((entry.depth, entry.depth_of_canonical), depths, "{name}");
        entry
    };
    // Each round of the relaxed iteration is a level: 7 for 10 bits from 1/1024 on.
    let rounds = [2; 7];
    entry("reciprocal", &rounds, (7, 7));
    entry("division", &rounds, (8, 8));
    let sign = [15, 15];
    let max = entry("max", &sign, (9, 9));
    let argmax = entry("argmax of 4", &sign, (10, 10));
    let of_16 = entry("max of 16", &sign, (36, 36));
    let places = entry("argmax of 16", &sign, (36, 36));
    for e in [max, argmax, of_16, places] {
        assert!(e.certificate.is_some(), "{e:?}");
    }
    assert!(places.gap > argmax.gap && of_16.error > max.error);
    entry("PowerSoftmax of 128", &[4, 2, 2, 2, 2, 2, 2, 2], (10, 11));
}

/// The entries of several inputs, each on ciphertexts in the very size that it states: levels and errors as the catalogue has them. Those of 16
/// and 128 items are in the tests of tournaments and of PowerSoftmax.
#[test]
fn entries_of_several_inputs_keep_what_they_say() {
    let set = set(12);
    let (ev, slots, top) = (set.ev(), set.slots(), set.params().top());
    let all = catalogue().unwrap();
    let named = |name: &str| all.iter().find(|e| e.name == name).unwrap();
    let value = |i: usize, s: usize| ((i * 31 + s * 17) % 101) as f64 / 101.0 - 0.5;
    let worst = |y: &[Complex], want: &dyn Fn(usize) -> f64| {
        let errors = y
            .iter()
            .enumerate()
            .map(|(s, y)| (*y - Complex::from(want(s))).abs());
        errors.fold(0.0, f64::max)
    };
    let [a, b] = [0, 1].map(|i| (0..slots).map(|s| value(i, s)).collect::<Vec<f64>>());

    let e = named("division");
    let divisors: Vec<f64> = Interval::new(e.low, e.high).unwrap().points(slots).collect();
    let division = Division::new(1.0, e.low, e.high, 10.0).unwrap();
    let inputs = [set.encrypt(&a), set.encrypt(&divisors)];
    let y = division.apply(&ev, &inputs).unwrap().remove(0);
    assert_eq!(top.0 - y.level().0, e.depth_of_canonical);
    let quotient = |s: usize| a[s] / divisors[s];
    let relative: Vec<Complex> = (set.decrypt(&y).iter().enumerate())
        .map(|(s, y)| Complex::new(y.re / quotient(s), y.im / quotient(s)))
        .collect();
    let off = worst(&relative, &|_| 1.0);
    assert!(off <= e.error + 1e-6, "division: {off:e} of {:e}", e.error);

    let e = named("max");
    let maximum = Maximum::new(e.high, &e.degrees).unwrap();
    let y = maximum
        .apply(&ev, &[set.encrypt(&a), set.encrypt(&b)])
        .unwrap()
        .remove(0);
    assert_eq!(top.0 - y.level().0, e.depth_of_canonical);
    let off = worst(&set.decrypt(&y), &|s| a[s].max(b[s]));
    assert!(off <= e.error + 1e-6, "max: {off:e} of {:e}", e.error);

    let e = named("argmax of 4");
    let argmax = ArgMax::new(4, e.high, &e.degrees, 5.0).unwrap();
    let spaced = |i: usize, s: usize| e.gap * ((i + s) % 4) as f64 + e.low;
    let x: Vec<f64> = (0..4 * slots).map(|k| spaced(k / slots, k % slots)).collect();
    let y = argmax.apply(&ev, &[set.encrypt_items(&x, 4)]).unwrap().remove(0);
    assert_eq!(top.0 - y.level().0, e.depth_of_canonical);
    let hot = |k: usize| {
        if (k / slots + k % slots) % 4 == 3 {
            1.0
        } else {
            0.0
        }
    };
    let off = worst(&set.decrypt(&y), &hot);
    assert!(off <= e.error + 1e-6, "argmax: {off:e} of {:e}", e.error);
}
