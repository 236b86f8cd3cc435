//! Homomorphism of every public CKKS operation on chains of every kind, with every number of slots, and exact scales.
//!
//! After each operation its operands are compared bit for bit with what they were: nothing changes memory that is shared.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

use cipherformer::{
    arith::Complex,
    backend::{Backend, Entries, Matrix, cpu::Cpu},
    ckks::{Ciphertext, Ckks, CkksError, Evaluator, Release},
    ring::{ChainKind, Scale},
    rlwe::{Context, EvaluationKeys, KeyNeeds, Level, RlweError, SecretKey},
};
use proptest::prelude::*;

#[path = "shared/chain.rs"]
mod chain;

use chain::{insecure, uniform};

const LOG_N: u32 = 8;
const HALF: usize = 1 << (LOG_N - 1);
const TOP: Level = Level(3);
const STEPS: [i64; 5] = [1, -3, 5, HALF as i64 / 2, 2 * HALF as i64 + 7];
const KINDS: [(ChainKind, f64); 3] = [
    (ChainKind::Rational, 40.0),
    (ChainKind::Pair, 52.0),
    (ChainKind::Single, 28.0),
];

// Bits of the scale below which errors are not seen. The error of a fresh slot has standard deviation sigma sqrt(N) = 2^5.7,
// that of a rescale or key switch 2^6, and the worst of thousands of slots is 4.5 times as large: 2^9 for a sum of a few, and
// two bits of safety. A product multiplies each factor's error by the other's magnitude, up to 2^0.5, and adds the two.
const FRESH: f64 = 11.0;
const PRODUCT: f64 = FRESH + 1.5;
const TWO_PRODUCTS: f64 = PRODUCT + 1.0;
const THREE_PRODUCTS: f64 = PRODUCT + 1.6;

struct Set {
    ckks: Ckks<Cpu>,
    sk: SecretKey<Cpu>,
    keys: EvaluationKeys<Cpu>,
    scale_bits: f64,
}

impl Set {
    fn new(kind: ChainKind, scale: f64, digits: usize) -> Self {
        Self::with(kind, scale, digits, |n| n.relinearise().rotate(STEPS).conjugate())
    }

    fn with(kind: ChainKind, scale: f64, digits: usize, needs: impl Fn(KeyNeeds) -> KeyNeeds) -> Self {
        let params = insecure(&uniform(LOG_N, kind, scale, 4, digits));
        let ctx = Context::new(Cpu::poisoned(), params).unwrap();
        let sk = SecretKey::generate(&ctx).unwrap();
        let keys = sk.evaluation_keys(&needs(KeyNeeds::new(ctx.params()))).unwrap();
        Self {
            keys: keys.expand(&ctx).unwrap(),
            ckks: Ckks::new(&ctx),
            sk,
            scale_bits: scale,
        }
    }

    fn ctx(&self) -> &Context<Cpu> {
        self.ckks.context()
    }

    fn ev(&self) -> Evaluator<'_, Cpu> {
        Evaluator::new(&self.ckks, &self.keys)
    }

    fn encrypt(&self, values: &[Complex], items: usize, level: Level) -> Ciphertext<Cpu> {
        let fresh = self.ckks.encrypt(&self.sk, values, items, level).unwrap();
        fresh.expand(self.ctx()).unwrap()
    }

    fn words(&self, ct: &Ciphertext<Cpu>) -> Vec<u32> {
        let view = ct.rlwe().view();
        let mut words = vec![0; view.span.count() << LOG_N];
        self.ctx().backend().download(view, &mut words).unwrap();
        words
    }

    /// Worst error below 2^-bits, bits = those of the scale less `lost`.
    fn close(&self, what: &str, ct: &Ciphertext<Cpu>, want: &[Complex], lost: f64) {
        let have = self
            .ckks
            .decrypt(&self.sk, ct)
            .unwrap()
            .release(Release::Owner)
            .unwrap();
        assert_eq!(have.len(), want.len(), "{what}: length");
        let worst = have
            .iter()
            .zip(want)
            .map(|(a, b)| (*a - *b).abs())
            .fold(0.0, f64::max);
        let bits = self.scale_bits - lost;
        assert!(
            worst < (-bits).exp2(),
            "{what}: worst error 2^{:.1}, allowed 2^-{bits}",
            worst.log2()
        );
    }

    fn canonical(&self, what: &str, ct: &Ciphertext<Cpu>, level: Level) {
        assert_eq!(ct.level(), level, "{what}: level");
        assert_eq!(ct.scale(), self.ckks.scale(level).unwrap(), "{what}: scale");
    }
}

fn random(n: usize, seed: u64, real: bool) -> Vec<Complex> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    let mut value = || Complex::new(next(), if real { 0.0 } else { next() });
    (0..n).map(|_| value()).collect()
}

fn zip(a: &[Complex], b: &[Complex], f: impl Fn(Complex, Complex) -> Complex) -> Vec<Complex> {
    a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect()
}

fn each(a: &[Complex], f: impl Fn(Complex) -> Complex) -> Vec<Complex> {
    a.iter().map(|a| f(*a)).collect()
}

fn rotated(a: &[Complex], slots: usize, k: i64) -> Vec<Complex> {
    let k = k.rem_euclid(slots as i64) as usize;
    a.chunks(slots)
        .flat_map(|s| (0..slots).map(move |i| s[(i + k) % slots]))
        .collect()
}

/// Every operation on `items` ciphertexts of `slots` values.
fn laws(set: &Set, slots: usize, items: usize, seed: u64, real: bool) {
    let (x, y) = (
        random(items * slots, seed, real),
        random(items * slots, seed + 1, real),
    );
    let (a, b) = (set.encrypt(&x, items, TOP), set.encrypt(&y, items, TOP));
    let (before_a, before_b) = (set.words(&a), set.words(&b));
    let tag = format!(
        "{} digits, {slots} slots, {items} items",
        set.ctx().level("t", TOP).unwrap().digits.len()
    );
    let check = |what: &str, ct: &Ciphertext<Cpu>, want: &[Complex], lost: f64| {
        let what = format!("{what}, {tag}");
        assert_eq!(
            (ct.items(), ct.slots()),
            (want.len() / slots, slots),
            "{what}: shape"
        );
        set.close(&what, ct, want, lost);
        assert!(
            set.words(&a) == before_a && set.words(&b) == before_b,
            "{what} changed an operand"
        );
    };
    linear_laws(set, &a, &b, &x, &y, &check);
    constant_laws(set, &a, &x, &check);
    product_laws(set, &a, &b, &x, &y, &check);
    rotation_laws(set, &a, &x, &check);
    level_laws(set, &a, &x, &check);
}

type Unary<'a> = dyn Fn(&Ciphertext<Cpu>) -> Ciphertext<Cpu> + 'a;
type Check<'a> = dyn Fn(&str, &Ciphertext<Cpu>, &[Complex], f64) + 'a;

fn linear_laws(
    set: &Set,
    a: &Ciphertext<Cpu>,
    b: &Ciphertext<Cpu>,
    x: &[Complex],
    y: &[Complex],
    check: &Check,
) {
    let (ev, sum) = (set.ev(), zip(x, y, |p, q| p + q));
    check("encrypt", a, x, FRESH);
    let result = ev.add(a, b).unwrap();
    set.canonical("add", &result, TOP);
    check("add", &result, &sum, FRESH);
    check("sub", &ev.sub(a, b).unwrap(), &zip(x, y, |p, q| p - q), FRESH);
    let mut shared = a.clone();
    ev.add_assign(&mut shared, b).unwrap();
    check("add_assign to a clone", &shared, &sum, FRESH);
    ev.add_assign(&mut shared, b).unwrap();
    check(
        "add_assign to own memory",
        &shared,
        &zip(&sum, y, |p, q| p + q),
        FRESH,
    );
    assert_eq!(
        set.words(&ev.add(&ev.add(a, b).unwrap(), b).unwrap()),
        set.words(&shared)
    );
    let mut first = a.slice(0, 1).unwrap();
    ev.add_assign(&mut first, &b.slice(0, 1).unwrap()).unwrap();
    check("add_assign to a slice", &first, &sum[..a.slots()], FRESH);
    check("neg", &ev.neg(a).unwrap(), &each(x, |z| -z), FRESH);
    check(
        "mul_i",
        &ev.mul_i(a).unwrap(),
        &each(x, |z| Complex::new(-z.im, z.re)),
        FRESH,
    );
}

fn constant_laws(set: &Set, a: &Ciphertext<Cpu>, x: &[Complex], check: &Check) {
    let (ev, slots, items) = (set.ev(), a.slots(), a.items());
    let canonical = set.ckks.scale(TOP).unwrap();
    for count in [1, items] {
        let p = random(count * slots, 77, false);
        let all: Vec<Complex> = p.iter().copied().cycle().take(x.len()).collect();
        let plain = set.ckks.encode(&p, count, TOP, canonical).unwrap();
        let result = ev.add_plain(a, &plain).unwrap();
        set.canonical("add_plain", &result, TOP);
        check("add_plain", &result, &zip(x, &all, |p, q| p + q), FRESH);
        let result = ev.mul_plain(a, &plain).unwrap();
        assert_eq!(result.scale(), &canonical.mul(canonical).unwrap());
        check("mul_plain", &result, &zip(x, &all, |p, q| p * q), FRESH);
        let sum = ev.inner_product_plain(&[(a, &plain); 20]).unwrap();
        let added = (0..19).fold(result.clone(), |sum, _| ev.add(&sum, &result).unwrap());
        assert_eq!((sum.scale(), sum.slots()), (result.scale(), slots));
        assert_eq!(set.words(&sum), set.words(&added));
        let result = ev.rescale(&result).unwrap();
        set.canonical("mul_plain, rescale", &result, Level(2));
        check("mul_plain, rescale", &result, &zip(x, &all, |p, q| p * q), FRESH);
    }
    for (re, im) in [(0.75, -1.5), (0.0, 2.0), (-0.3, 0.0), (0.0, 0.0)] {
        let c = Complex::new(re, im);
        let result = ev.add_const(a, re, im).unwrap();
        set.canonical("add_const", &result, TOP);
        check("add_const", &result, &each(x, |z| z + c), FRESH);
    }
    let constants: Vec<f64> = (0..items).map(|i| i as f64 - 0.4).collect();
    let want: Vec<Complex> = (x.chunks(slots).zip(&constants))
        .flat_map(|(s, c)| s.iter().map(move |z| *z + Complex::from(*c)))
        .collect();
    check(
        "add_const_each",
        &ev.add_const_each(a, &constants).unwrap(),
        &want,
        FRESH,
    );
    for c in [-3i128, 0, 1, 7] {
        let want = each(x, |z| z * Complex::from(c as f64));
        let result = ev.mul_integer(a, c).unwrap();
        set.canonical("mul_integer", &result, TOP);
        check("mul_integer", &result, &want, 14.0);
    }
    for c in [0.37, -1.25] {
        let result = ev.mul_const(a, c, canonical).unwrap();
        assert_eq!(result.scale(), &canonical.mul(canonical).unwrap());
        check("mul_const", &result, &each(x, |z| z * Complex::from(c)), FRESH);
        set.canonical("mul_const, rescale", &ev.rescale(&result).unwrap(), Level(2));
    }
    let weights: Vec<i8> = (0..2 * items as i32).map(|i| (i * 37 % 19 - 9) as i8).collect();
    let wide: Vec<i16> = weights.iter().map(|w| i16::from(*w)).collect();
    let row = |o: usize, k: usize| {
        let terms =
            (0..items).map(|i| x[i * slots + k] * Complex::from(f64::from(wide[o * items + i]) / 16.0));
        terms.fold(Complex::default(), |s, z| s + z)
    };
    let want: Vec<Complex> = (0..2)
        .flat_map(|o| (0..slots).map(move |k| (o, k)))
        .map(|(o, k)| row(o, k))
        .collect();
    for entries in [Entries::I8(&weights), Entries::I16(&wide)] {
        let matrix = Matrix {
            outputs: 2,
            inputs: items,
            entries,
        };
        let result = ev.mul_matrix(a, matrix, 4).unwrap();
        assert_eq!(result.scale(), &canonical.clone().times_pow2(4).unwrap());
        check("mul_matrix", &result, &want, FRESH);
    }
    let half = a.clone().divided_by_pow2(1).unwrap();
    check(
        "divided_by_pow2",
        &half,
        &each(x, |z| z * Complex::from(0.5)),
        FRESH,
    );
}

fn product_laws(
    set: &Set,
    a: &Ciphertext<Cpu>,
    b: &Ciphertext<Cpu>,
    x: &[Complex],
    y: &[Complex],
    check: &Check,
) {
    let (ev, slots) = (set.ev(), a.slots());
    let canonical = set.ckks.scale(TOP).unwrap();
    let (xy, xx) = (zip(x, y, |p, q| p * q), zip(x, x, |p, q| p * q));
    let product = ev.mul(a, b).unwrap();
    assert_eq!(
        (product.scale(), product.components()),
        (&canonical.mul(canonical).unwrap(), 3)
    );
    check("mul", &product, &xy, PRODUCT);
    let square = ev.square(a).unwrap();
    check("square", &square, &xx, PRODUCT);
    let sums = ev.inner_products(&[(a, b), (a, a)]).unwrap();
    let sum = |v: &[Complex]| -> Vec<Complex> {
        let item = |i: usize| {
            v.iter()
                .skip(i)
                .step_by(slots)
                .fold(Complex::default(), |s, z| s + *z)
        };
        (0..slots).map(item).collect()
    };
    check(
        "inner_products",
        &sums,
        &[sum(&xy), sum(&xx)].concat(),
        THREE_PRODUCTS,
    );
    check(
        "add of 3 components",
        &ev.add(&product, &square).unwrap(),
        &zip(&xy, &xx, |p, q| p + q),
        TWO_PRODUCTS,
    );
    check(
        "sub of 3 components",
        &ev.sub(&product, &square).unwrap(),
        &zip(&xy, &xx, |p, q| p - q),
        TWO_PRODUCTS,
    );
    check(
        "mul_plain of 3 components",
        &ev.neg(&product).unwrap(),
        &each(&xy, |z| -z),
        TWO_PRODUCTS,
    );

    let two = ev.relinearise(&product).unwrap();
    assert_eq!((two.components(), two.scale()), (2, product.scale()));
    check("relinearise", &two, &xy, PRODUCT);
    assert_eq!(
        set.words(&ev.relinearise(&two).unwrap()),
        set.words(&two),
        "relinearise of 2 components"
    );
    check(
        "3 + 2 components",
        &ev.add(&square, &two).unwrap(),
        &zip(&xx, &xy, |p, q| p + q),
        TWO_PRODUCTS,
    );
    check(
        "2 + 3 components",
        &ev.add(&two, &square).unwrap(),
        &zip(&xx, &xy, |p, q| p + q),
        TWO_PRODUCTS,
    );
    check(
        "3 - 2 components",
        &ev.sub(&square, &two).unwrap(),
        &zip(&xx, &xy, |p, q| p - q),
        TWO_PRODUCTS,
    );
    check(
        "2 - 3 components",
        &ev.sub(&two, &square).unwrap(),
        &zip(&xy, &xx, |p, q| p - q),
        TWO_PRODUCTS,
    );
    for (mut left, right) in [(square.clone(), &two), (two.clone(), &square)] {
        ev.add_assign(&mut left, right).unwrap();
        assert_eq!(left.components(), 3);
        check(
            "add_assign of 3 and 2 components",
            &left,
            &zip(&xx, &xy, |p, q| p + q),
            TWO_PRODUCTS,
        );
    }

    let three = ev.rescale(&product).unwrap();
    assert_eq!(three.components(), 3);
    let separate = ev.rescale(&two).unwrap();
    let merged = ev.relinearise_rescale(&product).unwrap();
    for (what, result, lost) in [
        ("rescale of 3", &three, 16.0),
        ("rescale", &separate, PRODUCT),
        ("relinearise_rescale", &merged, PRODUCT),
    ] {
        set.canonical(what, result, Level(2));
        check(what, result, &xy, lost);
    }
    assert_eq!(
        set.words(&ev.relinearise_rescale(&two).unwrap()),
        set.words(&separate)
    );
    // To the last level.
    let down = ev.relinearise_rescale(&ev.square(&merged).unwrap()).unwrap();
    let down = ev.relinearise_rescale(&ev.square(&down).unwrap()).unwrap();
    set.canonical("fourth power", &down, Level(0));
    // The derivative of z^4 for |z| <= 2 adds five bits to the error of a product.
    check(
        "fourth power",
        &down,
        &each(&xy, |z| z * z * (z * z)),
        PRODUCT + 5.0,
    );
}

fn rotation_laws(set: &Set, a: &Ciphertext<Cpu>, x: &[Complex], check: &Check) {
    let (ev, slots, items) = (set.ev(), a.slots(), a.items());
    for k in STEPS.into_iter().chain([
        0,
        HALF as i64,
        -(HALF as i64),
        HALF as i64 + 1,
        7,
        -4 * HALF as i64 - 3,
    ]) {
        let result = ev.rotate(a, k).unwrap();
        set.canonical("rotate", &result, TOP);
        check(&format!("rotate {k}"), &result, &rotated(x, slots, k), FRESH);
    }
    let conjugate = ev.conjugate(a).unwrap();
    set.canonical("conjugate", &conjugate, TOP);
    check("conjugate", &conjugate, &each(x, Complex::conj), FRESH);
    let steps = [5, 0, -3, 5];
    for (k, result) in steps.iter().zip(ev.rotate_hoisted(a, &steps).unwrap()) {
        check(
            &format!("rotate_hoisted {k}"),
            &result,
            &rotated(x, slots, *k),
            FRESH,
        );
        assert_eq!(
            set.words(&result),
            set.words(&ev.rotate(a, *k).unwrap()),
            "hoisting changes bits"
        );
    }
    assert!(ev.rotate_hoisted(a, &[]).unwrap().is_empty());
    for all in [[1, -3, 5], [0, -3, 1], [5, 0, 0], [0, 0, 0]] {
        let steps = &all[..items.min(3)];
        let result = ev.rotate_each(a, steps).unwrap();
        let want = (x.chunks(slots).zip(steps)).flat_map(|(s, k)| rotated(s, slots, *k));
        check(
            &format!("rotate_each {steps:?}"),
            &result,
            &want.collect::<Vec<_>>(),
            FRESH,
        );
        for (item, k) in steps.iter().enumerate() {
            let one = ev.rotate(&a.slice(item, 1).unwrap(), *k).unwrap();
            assert_eq!(
                set.words(&result.slice(item, 1).unwrap()),
                set.words(&one),
                "item {item} by {k}"
            );
        }
    }
}

fn level_laws(set: &Set, a: &Ciphertext<Cpu>, x: &[Complex], check: &Check) {
    let (ev, slots, items) = (set.ev(), a.slots(), a.items());
    for level in [3, 2, 1, 0].map(Level) {
        let nested = {
            let of = |l: Level| &set.ctx().params().levels()[l.0 as usize].primes;
            of(level).iter().all(|i| of(TOP).contains(i))
        };
        match ev.drop_to(a, level) {
            Ok(dropped) => {
                assert!(nested && dropped.level() == level && dropped.scale() == a.scale());
                check(&format!("drop_to {level}"), &dropped, x, FRESH);
            }
            Err(CkksError::Rlwe(RlweError::Mismatch {
                what: "sets of primes",
                ..
            })) => assert!(!nested),
            Err(other) => panic!("drop_to {level}: {other}"),
        }
        let scale = set.ckks.scale(level).unwrap();
        let adjusted = ev.adjust(a, level, scale).unwrap();
        set.canonical("adjust", &adjusted, level);
        check(&format!("adjust to {level}"), &adjusted, x, FRESH);
        let fresh = set.encrypt(x, items, level);
        check(
            "adjust, add",
            &ev.add(&adjusted, &fresh).unwrap(),
            &zip(x, x, |p, q| p + q),
            FRESH,
        );
    }
    let finer = a.scale().clone().times_pow2(5).unwrap();
    let raised = ev.adjust(a, TOP, &finer).unwrap();
    assert_eq!(raised.scale(), &finer);
    check("adjust by 2^5", &raised, x, FRESH);

    let concat = |parts: &[Ciphertext<Cpu>]| ev.concat(parts).unwrap();
    let backwards: Vec<_> = (0..items).rev().map(|i| a.slice(i, 1).unwrap()).collect();
    let want: Vec<Complex> = x.chunks(slots).rev().flatten().copied().collect();
    check("concat of slices", &concat(&backwards), &want, FRESH);
    let odd = a.every(0, 2, items.div_ceil(2)).unwrap();
    let want: Vec<Complex> = x.chunks(slots).step_by(2).flatten().copied().collect();
    check("every other", &odd, &want, FRESH);
    let same = a.every(0, 0, 2).unwrap();
    let both = [&x[..slots], &x[..slots]].concat();
    check("every with step 0", &same, &both, FRESH);
    // Views compute as copies do, bit for bit.
    for view in [odd, same, a.slice(items - 1, 1).unwrap()] {
        let copy = concat(std::slice::from_ref(&view));
        let operations: [&Unary; 8] = [
            &|c| ev.neg(c).unwrap(),
            &|c| ev.mul_i(c).unwrap(),
            &|c| ev.mul_integer(c, 5).unwrap(),
            &|c| ev.square(c).unwrap(),
            &|c| ev.rotate(c, 1).unwrap(),
            &|c| ev.rescale(c).unwrap(),
            &|c| ev.inner_products(&[(c, c)]).unwrap(),
            &|c| {
                ev.relinearise_rescale(&ev.mul(c, &ev.neg(c).unwrap()).unwrap())
                    .unwrap()
            },
        ];
        for (i, operation) in operations.iter().enumerate() {
            assert_eq!(
                set.words(&operation(&view)),
                set.words(&operation(&copy)),
                "operation {i} of a view"
            );
        }
        if let Ok(dropped) = ev.drop_to(&view, Level(1)) {
            let two = ev.drop_to(&copy, Level(1)).unwrap();
            assert_eq!(
                set.words(&ev.rotate(&dropped, 1).unwrap()),
                set.words(&ev.rotate(&two, 1).unwrap())
            );
            assert_eq!(
                set.words(&ev.rescale(&dropped).unwrap()),
                set.words(&ev.rescale(&two).unwrap())
            );
            let (mut p, mut q) = (dropped.clone(), two.clone());
            ev.add_assign(&mut p, &dropped).unwrap();
            ev.add_assign(&mut q, &two).unwrap();
            assert_eq!(set.words(&p), set.words(&q));
        }
    }
}

#[test]
fn all_operations_for_every_kind_and_shape() {
    for (kind, scale) in KINDS {
        let set = Set::new(kind, scale, 2);
        for slots in [1, 2, 8, HALF] {
            for items in [1, 3] {
                laws(&set, slots, items, slots as u64, items == 1 && slots == 8);
            }
        }
    }
}

#[test]
fn all_operations_for_every_number_of_digits() {
    for (kind, scale) in KINDS {
        for digits in [1, 3, 5] {
            laws(&Set::new(kind, scale, digits), HALF, 3, 9, false);
        }
    }
}

#[test]
fn adding_to_repeated_items_that_nothing_else_shares() {
    let set = Set::new(ChainKind::Single, 28.0, 2);
    let x = random(2 * HALF, 3, false);
    let mut repeated = set.encrypt(&x, 2, TOP).every(1, 0, 3).unwrap();
    let other = repeated.clone();
    let sum = set.ev().add(&repeated, &other).unwrap();
    drop(other);
    let item = repeated.slice(0, 1).unwrap();
    let three = set.ev().concat(&[item.clone(), item.clone(), item]).unwrap();
    set.ev().add_assign(&mut repeated, &three).unwrap();
    assert_eq!(set.words(&repeated), set.words(&sum));
}

#[test]
fn truncated_keys_work_up_to_their_level() {
    for (kind, scale) in KINDS {
        for (digits, limit) in [(1, 0), (2, 1), (3, 2)] {
            let set = Set::with(kind, scale, digits, |n| {
                n.up_to(Level(limit)).relinearise().rotate([1]).conjugate()
            });
            let (ev, x) = (set.ev(), random(HALF, 4, false));
            for level in 0..=TOP.0 {
                let ct = set.encrypt(&x, 1, Level(level));
                let results = [
                    ("rotate", ev.rotate(&ct, 1), rotated(&x, HALF, 1)),
                    ("conjugate", ev.conjugate(&ct), each(&x, Complex::conj)),
                ];
                for (what, result, want) in results {
                    match result {
                        Ok(result) => {
                            assert!(level <= limit);
                            set.close(what, &result, &want, FRESH);
                        }
                        Err(CkksError::Rlwe(RlweError::KeyLevel {
                            operation,
                            wanted,
                            held,
                            ..
                        })) => {
                            assert!(level > limit);
                            assert_eq!(
                                (operation.as_str(), wanted, held),
                                (what, Level(level), Level(limit))
                            );
                        }
                        Err(other) => panic!("{what} at level {level}: {other}"),
                    }
                }
                if level > 0 && level <= limit {
                    let result = ev.relinearise_rescale(&ev.square(&ct).unwrap()).unwrap();
                    set.close("square", &result, &each(&x, |z| z * z), PRODUCT);
                }
            }
        }
    }
}

#[test]
fn public_key_encryptions_decrypt_and_combine() {
    for (kind, scale) in KINDS {
        let set = Set::new(kind, scale, 2);
        let public = set.sk.public_key().unwrap();
        for level in [3, 1, 0].map(Level) {
            let x = random(3 * 4, 5, false);
            let ct = set.ckks.encrypt_public(&public, &x, 3, level).unwrap();
            set.canonical("encrypt_public", &ct, level);
            set.close("encrypt_public", &ct, &x, 15.0);
            let sum = set.ev().add(&ct, &set.encrypt(&x, 3, level)).unwrap();
            set.close("encrypt_public, add", &sum, &zip(&x, &x, |p, q| p + q), 15.0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]

    #[test]
    fn all_operations_on_random_values(
        kind in 0usize..3, log_slots in 0u32..LOG_N, items in 1usize..4, seed: u64, real: bool,
    ) {
        thread_local! {
            static SETS: [Set; 3] = KINDS.map(|(kind, scale)| Set::new(kind, scale, 2));
        }
        SETS.with(|sets| laws(&sets[kind], 1 << log_slots, items, seed >> 1, real));
    }

    #[test]
    fn adjusting_reaches_any_scale_near_the_canonical_one(k in -4i32..8, level in 0u32..3, seed: u64) {
        thread_local! {
            static SET: Set = Set::new(ChainKind::Rational, 40.0, 2);
        }
        SET.with(|set| {
            let x = random(HALF, seed, false);
            let target = set.ckks.scale(Level(level)).unwrap().mul(&Scale::pow2(k)).unwrap();
            let result = set.ev().adjust(&set.encrypt(&x, 1, TOP), Level(level), &target).unwrap();
            assert_eq!((result.level(), result.scale()), (Level(level), &target));
            set.close("adjust", &result, &x, 16.0);
        });
    }
}
