//! Values, depth, scales, noise and faults of evaluations on small rings.

use super::{Output, evaluate, evaluate_all};
use crate::{
    arith::Complex,
    circuit::{
        Basis, Circuit, CircuitError, Encrypted, Forecast, Interval, Polynomial, Powers, testing::Set,
    },
    ckks::Evaluator,
    ring::{ChainKind, Scale},
    rlwe::{EvaluationKeys, KeyNeeds, Level, MissingKey},
};

fn pseudo_random(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn real(p: &Polynomial, x: &[f64]) -> Vec<Complex> {
    x.iter().map(|x| p.value(*x).into()).collect()
}

#[test]
fn every_degree_has_its_depth_and_its_value() {
    for set in [Set::pair(), Set::rational()] {
        let ev = set.ev();
        let x: Vec<f64> = Interval::UNIT.points(set.slots()).collect();
        let ct = set.encrypt(&x);
        for degree in (1..=17).chain([23, 27, 30, 31]) {
            for basis in [Basis::Chebyshev, Basis::Monomial] {
                let mut c: Vec<Complex> = (pseudo_random(degree + 1, degree as u64).iter())
                    .map(|c| (*c).into())
                    .collect();
                c[degree] = Complex::from(0.5);
                let p = Polynomial::complex(basis, Interval::UNIT, &c).unwrap();
                let y = evaluate(&ev, &ct, &p).unwrap();
                assert_eq!(ct.level().0 - y.level().0, p.depth(), "degree {degree}");
                assert_eq!(y.scale(), set.ckks.scale(y.level()).unwrap());
                // Noise of degree^2 times that of the variable at the ends, and a few sums.
                let bound = (degree * degree + 8) as f64 * 16.0 * set.noise();
                set.close(&format!("{basis:?} of degree {degree}"), &y, &real(&p, &x), bound);
            }
        }
    }
}

#[test]
fn measured_noise_is_what_was_foretold() {
    for (kind, scale) in [(ChainKind::Pair, 52.0), (ChainKind::Rational, 40.0)] {
        let set = Set::new(kind, scale, 6, 11);
        let ev = set.ev();
        let p = Polynomial::chebyshev(Interval::UNIT, &pseudo_random(32, 5)).unwrap();
        let x: Vec<f64> = Interval::UNIT.points(set.slots()).collect();
        let items = 8;
        let ct = set.encrypt_items(&x.repeat(items), items);
        let foretold = p
            .explain(set.params(), ct.level(), 1, std::slice::from_ref(&x))
            .unwrap()
            .noise_rms;
        let y = evaluate(&ev, &ct, &p).unwrap();
        let want = real(&p, &x).repeat(items);
        let have = set.decrypt(&y);
        let square: f64 = have.iter().zip(&want).map(|(a, b)| (*a - *b).abs().powi(2)).sum();
        let measured = (square / want.len() as f64).sqrt();
        // The secret's own |s(zeta)|^2 differ from slot to slot: 8192 errors that are a few hundred independent ones.
        let ratio = measured / foretold;
        assert!(
            (0.8..1.25).contains(&ratio),
            "{kind:?}: {measured:e} for {foretold:e}, ratio {ratio}"
        );
    }
}

#[test]
fn several_share_their_powers() {
    let set = Set::pair();
    let ev = set.ev();
    let x = pseudo_random(set.slots(), 3);
    let ct = set.encrypt(&x);
    let p = [
        Polynomial::chebyshev(Interval::UNIT, &pseudo_random(32, 1)).unwrap(),
        Polynomial::chebyshev(Interval::UNIT, &pseudo_random(20, 2)).unwrap(),
        Polynomial::chebyshev(Interval::UNIT, &[0.5, 1.0]).unwrap(),
    ];
    let all: Vec<&Polynomial> = p.iter().collect();
    let output = Output::default();
    let results = evaluate_all(&ev, &ct, &all, &output).unwrap();
    for (p, y) in p.iter().zip(&results) {
        assert_eq!(y.level().0, ct.level().0 - 5);
        set.close("one of several", y, &real(p, &x), 1e4 * set.noise());
    }
    let cost = |p: &[&Polynomial]| {
        let mut forecast = Forecast::dry(set.params());
        let input = forecast.like(&ct);
        Polynomial::evaluate_all_on(&mut forecast, &input, p, &output).unwrap();
        forecast.cost().relinearisations
    };
    let alone: usize = all.iter().map(|p| cost(&[p])).sum();
    assert!(cost(&all) < alone, "{} and {alone}", cost(&all));
}

#[test]
fn odd_and_even_ones_cost_less() {
    let set = Set::pair();
    let cost = |keep: &dyn Fn(usize) -> bool| {
        let c: Vec<f64> = (0..64)
            .map(|i| if keep(i) { 1.0 / (1.0 + i as f64) } else { 0.0 })
            .collect();
        let p = Polynomial::chebyshev(Interval::UNIT, &c).unwrap();
        let e = p
            .explain(set.params(), set.params().top(), 1, &[vec![0.5]])
            .unwrap();
        (e.cost.relinearisations, e.cost.constants)
    };
    let (all, odd, even) = (cost(&|_| true), cost(&|i| i % 2 == 1), cost(&|i| i % 2 == 0));
    assert!(odd.0 < all.0 && odd.1 < all.1, "{all:?} {odd:?}");
    assert!(even.0 < all.0 && even.1 < all.1, "{all:?} {even:?}");
    // m = 8: powers 2 to 8, 16 and 32, four sums of products, and two more where the leading part would be too deep.
    assert!(all.0 <= 15, "{all:?}");
}

#[test]
fn groups_of_slots_have_their_own_polynomials() {
    let set = Set::pair();
    let ev = set.ev();
    let x = pseudo_random(set.slots(), 4);
    let ct = set.encrypt(&x);
    let p: Vec<Polynomial> = (0..3)
        .map(|g| Polynomial::chebyshev(Interval::UNIT, &pseudo_random(8 + g, g as u64)).unwrap())
        .collect();
    let group_of: Vec<u32> = (0..set.slots() as u32).map(|i| i % 3).collect();
    let grouped = Polynomial::grouped(&p, &group_of).unwrap();
    let y = evaluate(&ev, &ct, &grouped).unwrap();
    let want: Vec<Complex> = (x.iter().enumerate())
        .map(|(i, x)| p[i % 3].value(*x).into())
        .collect();
    set.close("groups", &y, &want, 1e4 * set.noise());
    let short = Polynomial::grouped(&p, &group_of[1..]).unwrap();
    let error = evaluate(&ev, &ct, &short).err().unwrap();
    assert!(
        error.to_string().contains("slot counts differ: 127 and 128"),
        "{error}"
    );
}

#[test]
fn coefficients_may_be_complex() {
    let set = Set::pair();
    let ev = set.ev();
    let x = pseudo_random(set.slots(), 6);
    let ct = set.encrypt(&x);
    let c: Vec<Complex> = (pseudo_random(12, 7).iter().zip(pseudo_random(12, 8)))
        .map(|(re, im)| Complex::new(*re, im))
        .collect();
    for basis in [Basis::Chebyshev, Basis::Monomial] {
        let p = Polynomial::complex(basis, Interval::UNIT, &c).unwrap();
        let want: Vec<Complex> = x.iter().map(|x| p.value_in(0, (*x).into())).collect();
        let y = evaluate(&ev, &ct, &p).unwrap();
        set.close("complex", &y, &want, 1e4 * set.noise());
    }
}

#[test]
fn results_have_the_level_and_scale_that_were_asked_for() {
    let set = Set::rational();
    let ev = set.ev();
    let x = pseudo_random(set.slots(), 9);
    let ct = set.encrypt(&x);
    let p = Polynomial::chebyshev(Interval::UNIT, &pseudo_random(8, 9)).unwrap();
    for level in (0..=4).map(Level) {
        let scale = set.ckks.scale(level).unwrap().clone().times_pow2(3).unwrap();
        let output = Output {
            level: Some(level),
            scale: Some(scale.clone()),
        };
        let y = evaluate_all(&ev, &ct, &[&p], &output).unwrap().remove(0);
        assert_eq!((y.level(), y.scale()), (level, &scale));
        set.close("asked for", &y, &real(&p, &x), 1e4 * set.noise());
    }
}

#[test]
fn a_change_of_variable_is_free_at_the_right_scale() {
    let set = Set::pair();
    let ev = set.ev();
    let interval = Interval::new(-4.0, 12.0).unwrap();
    let x: Vec<f64> = pseudo_random(set.slots(), 10)
        .iter()
        .map(|u| interval.from_unit(*u))
        .collect();
    let p = Polynomial::chebyshev(interval, &pseudo_random(16, 11)).unwrap();
    let ct = set.encrypt(&x);
    let y = evaluate(&ev, &ct, &p).unwrap();
    assert_eq!(ct.level().0 - y.level().0, 5);
    set.close("a level for the change", &y, &real(&p, &x), 1e5 * set.noise());
    // A value with the canonical scale over the half-width: here from an adjustment, elsewhere from a product before.
    let below = ct.level().below().unwrap();
    let scale = set.ckks.scale(below).unwrap().clone().times_pow2(-3).unwrap();
    let ready = ev.adjust(&ct, below, &scale).unwrap();
    let y = evaluate(&ev, &ready, &p).unwrap();
    assert_eq!(ready.level().0 - y.level().0, 4);
    set.close("free", &y, &real(&p, &x), 1e5 * set.noise());
}

/// A cubic and a line by turns, on fewer slots than there are: values and noise are foretold slot by slot.
#[test]
fn polynomials_by_group_are_explained_on_their_slots() {
    let set = Set::pair();
    let ev = set.ev();
    let slots = set.slots() / 4;
    let cubic = Polynomial::chebyshev(Interval::UNIT, &[0.25, 0.5, 0.0, -0.75]).unwrap();
    let line = Polynomial::chebyshev(Interval::UNIT, &[-0.5, 0.25]).unwrap();
    let group_of: Vec<u32> = (0..slots as u32).map(|i| i % 3 % 2).collect();
    let p = Polynomial::grouped(&[cubic.clone(), line.clone()], &group_of).unwrap();
    assert_eq!(Circuit::slots(&p), Some(slots));
    assert_eq!(Circuit::slots(&cubic), None);
    let x = pseudo_random(slots, 21);
    let (params, top) = (set.params(), set.params().top());
    let foretold = p.explain(params, top, 1, std::slice::from_ref(&x)).unwrap();
    assert_eq!(foretold.depth(), p.depth());
    assert!(foretold.accuracy.is_empty());
    let own = |i: usize| if group_of[i] == 0 { &cubic } else { &line };
    let want: Vec<Complex> = (0..slots).map(|i| own(i).value(x[i]).into()).collect();
    for (have, want) in foretold.values.iter().zip(&want) {
        assert!((*have - *want).abs() < 1e-12);
    }
    let points: Vec<Complex> = x.iter().map(|x| (*x).into()).collect();
    let ct = set.ckks.encrypt(&set.sk, &points, 1, top).unwrap();
    let ct = ct.expand(set.ckks.context()).unwrap();
    let y = evaluate(&ev, &ct, &p).unwrap();
    let have = set.decrypt(&y);
    let square: f64 = have.iter().zip(&want).map(|(a, b)| (*a - *b).abs().powi(2)).sum();
    let measured = (square / slots as f64).sqrt();
    let ratio = measured / foretold.noise_rms;
    assert!(
        (0.5..2.0).contains(&ratio),
        "{measured:e}, foretold {:e}",
        foretold.noise_rms
    );
}

#[test]
fn powers_can_be_kept() {
    let set = Set::pair();
    let ev = set.ev();
    let x = pseudo_random(set.slots(), 12);
    let ct = set.encrypt(&x);
    let mut m = Encrypted::new(&ev);
    let mut powers = Powers::new(&mut m, &ct, Basis::Chebyshev, Interval::UNIT, 4).unwrap();
    for seed in 0..3 {
        let p = Polynomial::chebyshev(Interval::UNIT, &pseudo_random(16, seed)).unwrap();
        let level = Level(ct.level().0 - 4);
        let scale = set.ckks.scale(level).unwrap();
        let y = p.evaluate_with(&mut m, &mut powers, level, scale).unwrap();
        set.close("kept", &y, &real(&p, &x), 1e4 * set.noise());
    }
    let other = Polynomial::monomial(Interval::UNIT, &[0.0, 1.0]).unwrap();
    assert!(
        other
            .evaluate_with(&mut m, &mut powers, Level(0), &Scale::pow2(52))
            .is_err()
    );
}

#[test]
fn faults_are_found_before_work_starts() {
    let set = Set::pair();
    let ev = set.ev();
    let x = pseudo_random(set.slots(), 13);
    let ct = ev.drop_to(&set.encrypt(&x), Level(3)).unwrap();
    let p = Polynomial::chebyshev(Interval::UNIT, &pseudo_random(32, 13)).unwrap();
    let error = evaluate(&ev, &ct, &p).err().unwrap();
    assert_eq!(
        error.to_string(),
        "a polynomial of degree 31 down to level 0 takes 5 levels and its input is at level 3: 2 missing; refresh (bootstrap or \
         encrypt) the input at level 5 or above, or use a degree up to 7"
    );
    let none = EvaluationKeys::none();
    let without = Evaluator::new(&set.ckks, &none);
    let ct = set.encrypt(&x);
    let error = evaluate(&without, &ct, &p).err().unwrap();
    let CircuitError::Ckks(crate::ckks::CkksError::Rlwe(error)) = error else {
        panic!("{error}")
    };
    assert!(matches!(
        error,
        crate::rlwe::RlweError::MissingKey {
            key: MissingKey::Relinearisation,
            ..
        }
    ));
    let needs = KeyNeeds::new(set.params()).up_to(Level(2)).relinearise();
    let short = set.sk.evaluation_keys(&needs).unwrap();
    let short = short.expand(set.ckks.context()).unwrap();
    let error = evaluate(&Evaluator::new(&set.ckks, &short), &ct, &p)
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("generated up to level 2 only"),
        "{error}"
    );
    // A straight line needs no key.
    let line = Polynomial::chebyshev(Interval::UNIT, &[1.0, 0.25]).unwrap();
    let y = evaluate(&without, &ct, &line).unwrap();
    set.close("a line", &y, &real(&line, &x), 100.0 * set.noise());
}

#[test]
fn sums_take_terms_that_fit() {
    let set = Set::pair();
    let ev = set.ev();
    let x = pseudo_random(set.slots(), 14);
    let ct = set.encrypt(&x);
    let scale = Scale::pow2(30);
    let mut sum = ev.mul_const(&ct, 0.5, &scale).unwrap();
    ev.mul_const_add_assign(&mut sum, &ct, -0.25, &scale).unwrap();
    let want: Vec<Complex> = x.iter().map(|x| Complex::from(0.25 * x)).collect();
    set.close("sum", &sum, &want, 100.0 * set.noise());
    let says = |result: crate::ckks::Result<()>, words: &str| {
        let error = result.err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
    };
    says(
        ev.mul_const_add_assign(&mut sum, &ct, 1.0, &Scale::pow2(31)),
        "scales differ",
    );
    says(
        ev.mul_const_add_assign(&mut sum, &ct, f64::NAN, &scale),
        "use finite constants",
    );
    let low = ev.drop_to(&ct, Level(2)).unwrap();
    says(
        ev.mul_const_add_assign(&mut sum, &low, 1.0, &scale),
        "shapes differ",
    );
    let product = ev.mul(&ct, &ct).unwrap();
    says(
        ev.mul_const_add_assign(&mut sum, &product, 1.0, &scale),
        "at least its components",
    );
    let plain = set.ckks.encode(&want, 1, low.level(), &scale).unwrap();
    says(
        ev.mul_plain_add_assign(&mut sum, &ct, &plain),
        "encode the plaintext at the ciphertext's level",
    );
}
