//! Every error a caller can run into: its type, its numbers and its whole message; and that nothing panics.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

use cipherformer::{
    arith::Complex,
    backend::{Backend, Entries, Matrix, Ref, Span, cpu::Cpu},
    ckks::{Ciphertext, Ckks, CkksError, Evaluator, Guard, Release},
    ring::{ChainKind, ChainSpec, Scale, build},
    rlwe::{self, Context, EvaluationKeys, KeyNeeds, Level, Params, RlweError, SecretKey, Spec},
};

const LOG_N: u32 = 6;
const HALF: usize = 1 << (LOG_N - 1);
const TOP: Level = Level(2);

fn spec(kind: ChainKind, scale: f64, levels: usize) -> ChainSpec {
    ChainSpec {
        log_n: LOG_N,
        kind,
        scale_bits: vec![scale; levels],
        absorbed_bits: vec![0; levels - 1],
        base_bits: scale + 10.0,
        digits: 2,
        special_margin_bits: 2.0,
        max_log2_qp: Some(4000.0),
    }
}

fn context(spec: &ChainSpec) -> Ckks<Cpu> {
    let params = Params::insecure(Spec {
        chain: build(spec).unwrap(),
    })
    .unwrap();
    Ckks::new(&Context::new(Cpu::poisoned(), params).unwrap())
}

struct Set {
    ckks: Ckks<Cpu>,
    sk: SecretKey<Cpu>,
}

impl Set {
    fn new() -> Self {
        Self::of(&spec(ChainKind::Single, 28.0, 3))
    }

    fn of(spec: &ChainSpec) -> Self {
        let ckks = context(spec);
        let sk = SecretKey::generate(ckks.context()).unwrap();
        Self { ckks, sk }
    }

    fn ctx(&self) -> &Context<Cpu> {
        self.ckks.context()
    }

    fn keys(&self, needs: impl FnOnce(KeyNeeds) -> KeyNeeds) -> EvaluationKeys<Cpu> {
        let needs = needs(KeyNeeds::new(self.ctx().params()));
        self.sk
            .evaluation_keys(&needs)
            .unwrap()
            .expand(self.ctx())
            .unwrap()
    }

    fn encrypt(&self, slots: usize, items: usize, level: Level) -> Ciphertext<Cpu> {
        let values = vec![Complex::new(0.5, -0.25); slots * items];
        self.ckks
            .encrypt(&self.sk, &values, items, level)
            .unwrap()
            .expand(self.ctx())
            .unwrap()
    }
}

/// The whole message.
#[track_caller]
fn says<T, E: std::fmt::Display>(result: Result<T, E>, message: &str) {
    match result {
        Ok(_) => panic!("no error, but wanted: {message}"),
        Err(error) => assert_eq!(error.to_string(), message),
    }
}

#[test]
fn levels() {
    let set = Set::new();
    let keys = set.keys(|n| n.relinearise().rotate([1]));
    let ev = Evaluator::new(&set.ckks, &keys);
    let (high, low) = (set.encrypt(HALF, 2, TOP), set.encrypt(HALF, 2, Level(0)));
    let product = ev
        .adjust(&high, Level(1), set.ckks.scale(Level(1)).unwrap())
        .unwrap();
    let product = ev.rescale(&ev.square(&product).unwrap()).unwrap();
    says(
        ev.rescale(&low),
        "rescale: no level left at level 0 (scale 2^28.0, log2 Q = 38.4); encrypt at a higher level or choose parameters with more levels",
    );
    says(
        ev.relinearise_rescale(&low),
        "rescale: no level left at level 0 (scale 2^28.0, log2 Q = 38.4); encrypt at a higher level or choose parameters with more levels",
    );
    says(
        ev.relinearise_rescale(&product),
        "relinearise_rescale: no level left at level 0 (scale 2^28.0, log2 Q = 38.4); encrypt at a higher level or choose parameters with more levels",
    );
    says(
        ev.add(&high, &low),
        "add: levels differ: level 2 and level 0; bring the higher one down with `adjust` or `drop_to`",
    );
    says(
        ev.sub(&low, &high),
        "sub: levels differ: level 0 and level 2; bring the higher one down with `adjust` or `drop_to`",
    );
    says(
        ev.add_assign(&mut high.clone(), &low),
        "add: levels differ: level 2 and level 0; bring the higher one down with `adjust` or `drop_to`",
    );
    says(
        ev.mul(&high, &low),
        "mul: levels differ: level 2 and level 0; bring the higher one down with `adjust` or `drop_to`",
    );
    says(
        ev.inner_products(&[(&high, &high), (&low, &low)]),
        "inner_products: levels differ: level 2 and level 0; bring the higher one down with `adjust` or `drop_to`",
    );
    says(
        ev.drop_to(&low, TOP),
        "drop_to: levels differ: level 0 and level 2; levels only go down; encrypt at a higher level",
    );
    says(
        ev.adjust(&low, Level(1), high.scale()),
        "adjust: levels differ: level 0 and level 1; levels only go down; encrypt at a higher level",
    );
    says(
        ev.adjust(&low, Level(u32::MAX), high.scale()),
        "adjust: levels differ: level 0 and level 4294967295; levels only go down; encrypt at a higher level",
    );
    says(
        ev.drop_to(&low, Level(u32::MAX)),
        "drop_to: levels differ: level 0 and level 4294967295; levels only go down; encrypt at a higher level",
    );
    says(
        set.ckks.scale(Level(3)),
        "scale: level 3 does not exist; these parameters have levels 0 to 2",
    );
    says(
        set.ckks
            .encode(&[Complex::default()], 1, Level(9), &Scale::pow2(20)),
        "encode: level 9 does not exist; these parameters have levels 0 to 2",
    );
    says(
        set.ckks
            .encrypt(&set.sk, &[Complex::default()], 1, Level(u32::MAX)),
        "encrypt: level 4294967295 does not exist; these parameters have levels 0 to 2",
    );
    says(
        set.sk
            .evaluation_keys(&KeyNeeds::new(set.ctx().params()).up_to(Level(7)).conjugate()),
        "keygen: level 7 does not exist; these parameters have levels 0 to 2",
    );
    let plain = set
        .ckks
        .encode(&vec![Complex::default(); HALF], 1, Level(1), &Scale::pow2(20))
        .unwrap();
    says(
        ev.add_plain(&high, &plain),
        "add_plain: levels differ: level 2 and level 1; encode the plaintext at the ciphertext's level",
    );
    says(
        ev.mul_plain(&high, &plain),
        "mul_plain: levels differ: level 2 and level 1; encode the plaintext at the ciphertext's level",
    );
    says(
        ev.inner_product_plain(&[(&high, &plain)]),
        "inner_product_plain: levels differ: level 2 and level 1; encode the plaintext at the ciphertext's level",
    );
    let concat = rlwe::Ciphertext::concat(set.ctx(), &[high.rlwe().clone(), low.rlwe().clone()]);
    says(
        concat,
        "concat: shapes differ: level 2 with 2 components and level 0 with 2 components; bring all parts to one level and relinearise them first",
    );
}

#[test]
fn dropping_where_sets_do_not_nest() {
    let set = Set::of(&spec(ChainKind::Rational, 40.0, 3));
    let keys = EvaluationKeys::none();
    let ev = Evaluator::new(&set.ckks, &keys);
    says(
        ev.drop_to(&set.encrypt(1, 1, TOP), Level(1)),
        "drop_to: sets of primes differ: level 2 and level 1; use `adjust`, which multiplies and rescales",
    );
}

#[test]
fn scales() {
    let set = Set::new();
    let keys = EvaluationKeys::none();
    let ev = Evaluator::new(&set.ckks, &keys);
    let a = set.encrypt(HALF, 1, TOP);
    let b = a.clone().divided_by_pow2(1).unwrap();
    says(
        ev.add(&a, &b),
        "add at level 2: scales differ: 2^28.000000 and 2^29.000000; bring one to the other's level and scale with `adjust`",
    );
    says(
        ev.add_assign(&mut a.clone(), &b),
        "add at level 2: scales differ: 2^28.000000 and 2^29.000000; bring one to the other's level and scale with `adjust`",
    );
    says(
        ev.inner_products(&[(&a, &a), (&a, &b)]),
        "inner_products at level 2: scales differ: 2^56.000000 and 2^57.000000; bring one to the other's level and scale with `adjust`",
    );
    let plain = set
        .ckks
        .encode(&vec![Complex::default(); HALF], 1, TOP, &Scale::pow2(20))
        .unwrap();
    says(
        ev.add_plain(&a, &plain),
        "add_plain at level 2: scales differ: 2^28.000000 and 2^20.000000; bring one to the other's level and scale with `adjust`",
    );
    says(
        ev.adjust(&a, TOP, &Scale::pow2(27)),
        "adjust: scales differ: 2^28 and 2^27; at its own level a scale can only grow, by a power of two up to 2^100; adjust to a level below",
    );
    says(
        ev.adjust(&a, TOP, &Scale::pow2(27).times_prime(3, 1).unwrap()),
        "adjust: scales differ: 2^28 and 2^28.5850; at its own level a scale can only grow, by a power of two up to 2^100; adjust to a level below",
    );
    says(
        ev.adjust(&a, Level(1), &Scale::pow2(10)),
        "adjust at level 2: the integer that stands for 1.0 at scale 2^28.0 has 10.0 bits, and 20 to 120 are allowed; choose a target scale nearer to the canonical scale of the level",
    );
    says(
        a.clone().divided_by_pow2(u32::MAX).and_then(|c| ev.mul(&c, &c)),
        "mul at level 2: the result would have scale 2^8589934646.0, which the modulus of 94.4 bits cannot hold; rescale first or compute at a higher level",
    );
    says(
        ev.concat(&[a.clone(), b]),
        "concat at level 2: scales differ: 2^28.000000 and 2^29.000000; bring one to the other's level and scale with `adjust`",
    );
}

#[test]
fn missing_and_truncated_keys() {
    let set = Set::new();
    let a = set.encrypt(HALF, 2, TOP);
    let none = EvaluationKeys::none();
    let ev = Evaluator::new(&set.ckks, &none);
    says(
        ev.rotate(&a, 1),
        "rotate needs the key of Galois element 5, which this key set lacks (it holds no key at all); name it in `KeyNeeds` when the client generates keys",
    );
    let product = ev.square(&a).unwrap();
    says(
        ev.relinearise(&product),
        "relinearise needs the relinearisation key, which this key set lacks (it holds no key at all); name it in `KeyNeeds` when the client generates keys",
    );
    let keys = set.keys(|n| n.rotate([1, 2]));
    let ev = Evaluator::new(&set.ckks, &keys);
    says(
        ev.rotate(&a, 3),
        "rotate needs the key of Galois element 125, which this key set lacks (it holds 2 Galois keys: 5, 25); name it in `KeyNeeds` when the client generates keys",
    );
    says(
        ev.rotate_hoisted(&a, &[1, 4]),
        "rotate_hoisted needs the key of Galois element 113, which this key set lacks (it holds 2 Galois keys: 5, 25); name it in `KeyNeeds` when the client generates keys",
    );
    says(
        ev.rotate_each(&a, &[2, -1]),
        "rotate_each needs the key of Galois element 77, which this key set lacks (it holds 2 Galois keys: 5, 25); name it in `KeyNeeds` when the client generates keys",
    );
    says(
        ev.conjugate(&a),
        "conjugate needs the key of Galois element 127, which this key set lacks (it holds 2 Galois keys: 5, 25); name it in `KeyNeeds` when the client generates keys",
    );
    says(
        ev.relinearise_rescale(&product),
        "relinearise_rescale needs the relinearisation key, which this key set lacks (it holds 2 Galois keys: 5, 25); name it in `KeyNeeds` when the client generates keys",
    );
    let keys = set.keys(KeyNeeds::relinearise);
    says(
        Evaluator::new(&set.ckks, &keys).conjugate(&a),
        "conjugate needs the key of Galois element 127, which this key set lacks (it holds the relinearisation key only); name it in `KeyNeeds` when the client generates keys",
    );
    let keys = set.keys(|n| n.rotate(1..20));
    says(
        Evaluator::new(&set.ckks, &keys).conjugate(&a),
        "conjugate needs the key of Galois element 127, which this key set lacks (it holds 19 Galois keys: 5, 9, 13, 21, 25, 45, 53, 61, 65, 69, 81, 89, 93, 97, 101, 105, ..); name it in `KeyNeeds` when the client generates keys",
    );
    let keys = set.keys(|n| n.up_to(Level(1)).relinearise().rotate([1]));
    let ev = Evaluator::new(&set.ckks, &keys);
    says(
        ev.rotate(&a, 1),
        "rotate at level 2 needs the key of Galois element 5, which was generated up to level 1 only; generate it for level 2 or drop the ciphertext to level 1",
    );
    says(
        ev.relinearise(&product),
        "relinearise at level 2 needs the relinearisation key, which was generated up to level 1 only; generate it for level 2 or drop the ciphertext to level 1",
    );
    says(
        ev.relinearise_rescale(&product),
        "relinearise_rescale at level 2 needs the relinearisation key, which was generated up to level 1 only; generate it for level 2 or drop the ciphertext to level 1",
    );
    says(
        ev.rotate_each(&a, &[1, 0]),
        "rotate_each at level 2 needs the key of Galois element 5, which was generated up to level 1 only; generate it for level 2 or drop the ciphertext to level 1",
    );
}

#[test]
fn shapes() {
    let set = Set::new();
    let keys = set.keys(|n| n.rotate([1]));
    let ev = Evaluator::new(&set.ckks, &keys);
    let (a, b, c) = (
        set.encrypt(HALF, 2, TOP),
        set.encrypt(HALF, 3, TOP),
        set.encrypt(4, 2, TOP),
    );
    says(
        ev.add(&a, &b),
        "add: items differ: 2 and 3; slice or concatenate so that both hold as many ciphertexts",
    );
    says(
        ev.mul(&a, &c),
        "mul: slot counts differ: 32 and 4; encode both operands with as many slots",
    );
    says(
        ev.add_assign(&mut a.clone(), &c),
        "add: slot counts differ: 32 and 4; encode both operands with as many slots",
    );
    says(
        ev.inner_products(&[]),
        "inner_products: 0 values given, but at least one pair wanted; pass at least one pair",
    );
    says(
        ev.inner_products(&[(&a, &a), (&b, &b)]),
        "inner_products: items differ: 2 and 3; slice or concatenate so that both hold as many ciphertexts",
    );
    says(
        ev.rotate_each(&a, &[1]),
        "rotate_each: 1 values given, but one for each of 2 items wanted; pass one rotation an item",
    );
    says(
        ev.add_const_each(&a, &[]),
        "add_const_each: 0 values given, but one for each of 2 items wanted; pass one constant an item",
    );
    let scale = set.ckks.scale(TOP).unwrap();
    let three = set
        .ckks
        .encode(&vec![Complex::default(); 3 * HALF], 3, TOP, scale)
        .unwrap();
    says(
        ev.add_plain(&a, &three),
        "add_plain: items differ: 2 and 3; pass one plaintext, or one for each ciphertext",
    );
    let four = set.ckks.encode(&[Complex::default(); 4], 1, TOP, scale).unwrap();
    says(
        ev.mul_plain(&a, &four),
        "mul_plain: slot counts differ: 32 and 4; encode both operands with as many slots",
    );
    let product = ev.square(&a).unwrap();
    says(
        ev.mul(&product, &a),
        "mul: components differ: 3 and 2; relinearise the operand first",
    );
    says(
        ev.rotate(&product, 1),
        "rotate: components differ: 3 and 2; relinearise first",
    );
    says(
        ev.rotate(&product, 0),
        "rotate: components differ: 3 and 2; relinearise first",
    );
    says(
        ev.rotate_hoisted(&product, &[0]),
        "rotate_hoisted: components differ: 3 and 2; relinearise first",
    );
    says(
        ev.rotate_each(&product, &[0, 0]),
        "rotate_each: components differ: 3 and 2; relinearise first",
    );
    says(
        a.slice(1, 2),
        "slice: items differ: 2 and items 1..3; take at least one item, within those there are",
    );
    says(
        a.slice(usize::MAX, 2),
        "slice: items differ: 2 and items 18446744073709551615..18446744073709551615; take at least one item, within those there are",
    );
    says(
        a.slice(2, 0),
        "slice: items differ: 2 and items 2..2; take at least one item, within those there are",
    );
    says(
        a.every(0, 2, 2),
        "every: items differ: 2 and 2 items from 0 in steps of 2; take at least one item, within those there are",
    );
    says(
        a.every(0, 1, 0),
        "every: items differ: 2 and 0 items from 0 in steps of 1; take at least one item, within those there are",
    );
    says(
        a.every(1, usize::MAX, 3),
        "every: items differ: 2 and 3 items from 1 in steps of 18446744073709551615; take at least one item, within those there are",
    );
    assert_eq!(a.every(1, usize::MAX, 1).unwrap().items(), 1);
    says(
        ev.concat(&[]),
        "concat: 0 values given, but at least one ciphertext wanted; pass at least one ciphertext",
    );
    says(
        ev.concat(&[a.clone(), product]),
        "concat: shapes differ: level 2 with 2 components and level 2 with 3 components; bring all parts to one level and relinearise them first",
    );
    says(
        ev.concat(&[a, c]),
        "concat: slot counts differ: 32 and 4; encode both operands with as many slots",
    );
}

#[test]
fn values() {
    let set = Set::new();
    let encode = |values: &[Complex], items| set.ckks.encode(values, items, TOP, &Scale::pow2(28));
    let zero = Complex::default();
    says(
        encode(&[], 1),
        "encode: 0 values given, but 1 times a power of two up to 32 wanted; pad every item to as many slots",
    );
    says(
        encode(&[zero], 0),
        "encode: 1 values given, but 0 times a power of two up to 32 wanted; pad every item to as many slots",
    );
    says(
        encode(&[zero; 3], 2),
        "encode: 3 values given, but 2 times a power of two up to 32 wanted; pad every item to as many slots",
    );
    says(
        encode(&[zero; 3], 1),
        "3 slots: the number must be a power of two, at most 32 for this ring degree; pad with zeros",
    );
    says(
        encode(&[zero; 2 * HALF], 1),
        "64 slots: the number must be a power of two, at most 32 for this ring degree; pad with zeros",
    );
    says(
        encode(&[zero, Complex::new(f64::NAN, 1.0)], 1),
        "encode: slot 1 is NaN + 1 i, which is not finite; replace it before encoding",
    );
    says(
        encode(&[zero, zero, zero, Complex::new(0.0, f64::INFINITY)], 2),
        "encode: slot 1 is 0 + inf i, which is not finite; replace it before encoding",
    );
    says(
        encode(&[Complex::new(1e300, 0.0)], 1),
        "encode: coefficient 0 is 2^inf at scale 2^28.0, the limit is 2^62; use smaller values, a smaller scale, or wide integers (below 2^120)",
    );
    says(
        set.ckks.encode(&[zero], 1, TOP, &Scale::pow2(300)),
        "encode: scale 2037035976334486000000000000000000000000000000000000000000000000000000000000000000000000000 is not a number in (2^-200, 2^200)",
    );
    says(
        set.ckks.encrypt(&set.sk, &[], 1, TOP),
        "encode: 0 values given, but 1 times a power of two up to 32 wanted; pad every item to as many slots",
    );
    let public = set.sk.public_key().unwrap();
    says(
        set.ckks.encrypt_public(&public, &[zero; 3], 1, TOP),
        "3 slots: the number must be a power of two, at most 32 for this ring degree; pad with zeros",
    );
    // Q_0 has 38 bits: 2^8 at scale 2^28 still fits, 2^10 does not.
    let level = Level(0);
    let one = |x: f64| {
        set.ckks
            .encode(&[Complex::new(x, 0.0)], 1, level, &Scale::pow2(28))
    };
    assert!(one(256.0).is_ok());
    says(
        one(1024.0),
        "encode at level 0: coefficient 0 of item 0 has 38.0 bits at scale 2^28.0, and the modulus of 38.4 bits carries 37.4; use smaller values, a smaller scale or a higher level",
    );
    says(
        set.ckks
            .encrypt(&set.sk, &[zero, Complex::new(3000.0, 0.0)], 2, level),
        "encode at level 0: coefficient 0 of item 1 has 39.6 bits at scale 2^28.0, and the modulus of 38.4 bits carries 37.4; use smaller values, a smaller scale or a higher level",
    );
    // The mean of magnitudes is large, but no coefficient is: that is fine.
    let spread: Vec<Complex> = (0..HALF)
        .map(|i| Complex::new(0.0, if i * i % 7 < 3 { 600.0 } else { -600.0 }))
        .collect();
    let ct = set
        .ckks
        .encrypt(&set.sk, &spread, 1, level)
        .unwrap()
        .expand(set.ctx())
        .unwrap();
    let have = set
        .ckks
        .decrypt(&set.sk, &ct)
        .unwrap()
        .release(Release::Owner)
        .unwrap();
    assert!(have.iter().zip(&spread).all(|(a, b)| (*a - *b).abs() < 1e-3));
}

#[test]
fn constants() {
    let set = Set::new();
    let keys = EvaluationKeys::none();
    let ev = Evaluator::new(&set.ckks, &keys);
    let (a, low) = (set.encrypt(HALF, 1, TOP), set.encrypt(HALF, 1, Level(0)));
    says(
        ev.add_const(&a, f64::NAN, 0.0),
        "add_const at level 2: the integer that stands for NaN at scale 2^28.0 has NaN bits, and 93.4 are allowed; use finite constants and scales",
    );
    says(
        ev.add_const(&a, 0.0, f64::INFINITY),
        "add_const at level 2: the integer that stands for inf at scale 2^28.0 has inf bits, and 93.4 are allowed; use finite constants and scales",
    );
    says(
        ev.add_const(&a, 1e30, 0.0),
        "add_const at level 2: the integer that stands for 1e30 at scale 2^28.0 has 127.7 bits, and 93.4 are allowed; use a smaller constant, a smaller scale or a higher level",
    );
    says(
        ev.add_const_each(&a, &[-1e30]),
        "add_const at level 2: the integer that stands for -1e30 at scale 2^28.0 has 127.7 bits, and 93.4 are allowed; use a smaller constant, a smaller scale or a higher level",
    );
    says(
        ev.mul_const(&a, 1e40, &Scale::pow2(28)),
        "mul_const at level 2: the integer that stands for 1e40 at scale 2^28.0 has 160.9 bits, and 93.4 are allowed; use a smaller constant, a smaller scale or a higher level",
    );
    says(
        ev.mul_const(&a, 1.0, &Scale::pow2(2000)),
        "mul_const at level 2: the integer that stands for 1.0 at scale 2^2000.0 has inf bits, and 93.4 are allowed; use finite constants and scales",
    );
    // Q_0 has 38 bits: these wrapped around it silently.
    assert!(ev.add_const(&low, 256.0, 0.0).is_ok());
    says(
        ev.add_const(&low, 1024.0, 0.0),
        "add_const at level 0: the integer that stands for 1024.0 at scale 2^28.0 has 38.0 bits, and 37.4 are allowed; use a smaller constant, a smaller scale or a higher level",
    );
    says(
        ev.mul_const(&low, 1.0, &Scale::pow2(40)),
        "mul_const at level 0: the integer that stands for 1.0 at scale 2^40.0 has 40.0 bits, and 37.4 are allowed; use a smaller constant, a smaller scale or a higher level",
    );
    says(
        ev.mul_integer(&low, i128::MIN),
        "mul_integer at level 0: the integer that stands for -1.7014118346046923e38 at scale 2^0.0 has 127.0 bits, and 37.4 are allowed; use a smaller constant, a smaller scale or a higher level",
    );
}

#[test]
fn products_that_the_modulus_cannot_hold() {
    let set = Set::new();
    let keys = set.keys(KeyNeeds::relinearise);
    let ev = Evaluator::new(&set.ckks, &keys);
    let (a, low) = (set.encrypt(HALF, 1, TOP), set.encrypt(HALF, 1, Level(0)));
    says(
        ev.mul(&low, &low),
        "mul at level 0: the result would have scale 2^56.0, which the modulus of 38.4 bits cannot hold; rescale first or compute at a higher level",
    );
    says(
        ev.square(&low),
        "square at level 0: the result would have scale 2^56.0, which the modulus of 38.4 bits cannot hold; rescale first or compute at a higher level",
    );
    says(
        ev.inner_products(&[(&low, &low)]),
        "inner_products at level 0: the result would have scale 2^56.0, which the modulus of 38.4 bits cannot hold; rescale first or compute at a higher level",
    );
    let plain = set
        .ckks
        .encode(&vec![Complex::default(); HALF], 1, Level(0), low.scale())
        .unwrap();
    says(
        ev.mul_plain(&low, &plain),
        "mul_plain at level 0: the result would have scale 2^56.0, which the modulus of 38.4 bits cannot hold; rescale first or compute at a higher level",
    );
    says(
        ev.mul_const(&low, 0.001, &Scale::pow2(28)),
        "mul_const at level 0: the result would have scale 2^56.0, which the modulus of 38.4 bits cannot hold; rescale first or compute at a higher level",
    );
    let matrix = Matrix {
        outputs: 1,
        inputs: 1,
        entries: Entries::I8(&[1]),
    };
    says(
        ev.mul_matrix(&low, matrix, 15),
        "mul_matrix at level 0: the result would have scale 2^43.0, which the modulus of 38.4 bits cannot hold; rescale first or compute at a higher level",
    );
    let two = Matrix {
        outputs: 1,
        inputs: 2,
        entries: Entries::I8(&[1]),
    };
    says(
        ev.mul_matrix(&set.encrypt(1, 2, TOP), two, 1),
        "mul_matrix: shapes differ: 2 items and 1 x 2; the matrix has as many columns as there are items, and all its entries",
    );
    let product = ev.square(&a).unwrap();
    says(
        ev.drop_to(&product, Level(0)),
        "drop_to at level 0: the result would have scale 2^56.0, which the modulus of 38.4 bits cannot hold; rescale first or compute at a higher level",
    );
    says(
        ev.adjust(&low, Level(0), &low.scale().clone().times_pow2(20).unwrap()),
        "adjust at level 0: the result would have scale 2^48.0, which the modulus of 38.4 bits cannot hold; rescale first or compute at a higher level",
    );
}

#[test]
fn parameters_below_128_bits_are_insecure_only() {
    let mut wanted = spec(ChainKind::Rational, 40.0, 4);
    (wanted.log_n, wanted.max_log2_qp) = (12, Some(400.0));
    let chain = build(&wanted).unwrap();
    let spec = Spec { chain };
    let params = Params::insecure(spec.clone()).unwrap();
    let (have, above) = (params.log2_qp(), params.log2_qp() - 106.0);
    says(
        Params::new(spec),
        &format!(
            "log2(QP) = {have:.2} exceeds 106, the bound of eprint 2024/463 table 5.2 for N = 2^12 at 128 bits, by {above:.2}; \
             use fewer levels, a smaller scale, more digits (smaller P) or N = 2^13"
        ),
    );
    assert!(params.security_bits() == 0 && params.log2_qp() > 106.0);
    wanted.max_log2_qp = None;
    says(
        build(&wanted),
        "the smallest chain found has log2(QP) = 170.00, 64.00 above the limit 106.00 for N = 2^12; use fewer levels, smaller scales, more digits than 2 (smaller P) or N = 2^13",
    );
    let (mut small, levels) = (wanted.clone(), 1);
    (small.scale_bits, small.absorbed_bits) = (vec![20.0; levels], vec![]);
    small.base_bits = 30.0;
    let params = Params::new(Spec {
        chain: build(&small).unwrap(),
    })
    .unwrap();
    assert!(params.security_bits() >= 128 && params.log2_qp() <= 106.0);
}

#[test]
fn foreign_ciphertexts_and_keys() {
    // The same ring and shape, other primes: everything used to run, to rubbish.
    let set = Set::new();
    let other = Set::of(&spec(ChainKind::Single, 27.0, 3));
    let keys = set.keys(|n| n.relinearise().rotate([1]).conjugate());
    let foreign = other.keys(|n| n.relinearise().rotate([1]).conjugate());
    let ev = Evaluator::new(&set.ckks, &keys);
    let (own, a) = (set.encrypt(HALF, 1, TOP), other.encrypt(HALF, 1, TOP));
    let scale = other.ckks.scale(TOP).unwrap();
    let plain = other
        .ckks
        .encode(&vec![Complex::default(); HALF], 1, TOP, scale)
        .unwrap();
    let product = Evaluator::new(&other.ckks, &foreign).square(&a).unwrap();
    says(
        ev.add(&a, &a),
        "add: the ciphertext was made with other parameters (N = 2^6, log2 QP = 147.76) than these (N = 2^6, log2 QP = 152.37); use the context that it was made with",
    );
    says(
        ev.add(&own, &a),
        "add: the second ciphertext was made with other parameters (N = 2^6, log2 QP = 147.76) than these (N = 2^6, log2 QP = 152.37); use the context that it was made with",
    );
    let refused = |what: &str, error: CkksError| {
        let is = matches!(error, CkksError::Rlwe(RlweError::Foreign { .. }));
        assert!(is, "{what}: {error}");
    };
    refused("sub", ev.sub(&a, &own).err().unwrap());
    refused("add_assign", ev.add_assign(&mut a.clone(), &a).err().unwrap());
    refused("neg", ev.neg(&a).err().unwrap());
    refused("mul_i", ev.mul_i(&a).err().unwrap());
    refused("add_plain", ev.add_plain(&own, &plain).err().unwrap());
    refused("mul_plain", ev.mul_plain(&own, &plain).err().unwrap());
    refused("mul_plain", ev.mul_plain(&a, &plain).err().unwrap());
    refused("add_const", ev.add_const(&a, 1.0, 1.0).err().unwrap());
    refused("mul_integer", ev.mul_integer(&a, 2).err().unwrap());
    let matrix = Matrix {
        outputs: 1,
        inputs: 1,
        entries: Entries::I8(&[1]),
    };
    refused("mul_matrix", ev.mul_matrix(&a, matrix, 1).err().unwrap());
    refused("mul_const", ev.mul_const(&a, 2.0, scale).err().unwrap());
    refused("mul", ev.mul(&a, &a).err().unwrap());
    refused("inner_products", ev.inner_products(&[(&own, &a)]).err().unwrap());
    refused("relinearise", ev.relinearise(&product).err().unwrap());
    refused("rescale", ev.rescale(&a).err().unwrap());
    refused(
        "relinearise_rescale",
        ev.relinearise_rescale(&product).err().unwrap(),
    );
    refused("rotate", ev.rotate(&a, 1).err().unwrap());
    refused("conjugate", ev.conjugate(&a).err().unwrap());
    refused("rotate_hoisted", ev.rotate_hoisted(&a, &[1]).err().unwrap());
    refused("rotate_each", ev.rotate_each(&a, &[1]).err().unwrap());
    refused("drop_to", ev.drop_to(&a, Level(1)).err().unwrap());
    refused(
        "adjust",
        ev.adjust(&a, Level(1), set.ckks.scale(Level(1)).unwrap())
            .err()
            .unwrap(),
    );
    refused("decrypt", set.ckks.decrypt(&set.sk, &a).err().unwrap());
    refused("concat", ev.concat(std::slice::from_ref(&a)).err().unwrap());
    let values = [Complex::default(); HALF];
    let public = other.sk.public_key().unwrap();
    refused(
        "encrypt_public",
        set.ckks.encrypt_public(&public, &values, 1, TOP).err().unwrap(),
    );
    refused(
        "encrypt",
        set.ckks.encrypt(&other.sk, &values, 1, TOP).err().unwrap(),
    );
    let seeded = other.ckks.encrypt(&other.sk, &values, 1, TOP).unwrap();
    refused("expand", seeded.expand(set.ctx()).err().unwrap());
    says(
        Evaluator::new(&set.ckks, &foreign).rotate(&own, 1),
        "rotate: the key was made with other parameters (N = 2^6, log2 QP = 147.76) than these (N = 2^6, log2 QP = 152.37); use the context that it was made with",
    );
    let needs = KeyNeeds::new(other.ctx().params()).rotate([1]);
    says(
        other.sk.evaluation_keys(&needs).unwrap().expand(set.ctx()),
        "expand: the seeded key was made with other parameters (N = 2^6, log2 QP = 147.76) than these (N = 2^6, log2 QP = 152.37); use the context that it was made with",
    );
    // Equal parameters are one set, however often a context is made from them.
    let twin = Ckks::new(
        &Context::new(
            Cpu::new(),
            Params::insecure(set.ctx().params().spec().clone()).unwrap(),
        )
        .unwrap(),
    );
    assert!(Evaluator::new(&twin, &keys).rotate(&own, 1).is_ok());
}

#[test]
fn the_layer_below_checks_its_arguments_too() {
    let set = Set::new();
    let ctx = set.ctx();
    let a = set.encrypt(HALF, 3, TOP);
    says(
        ctx.mod_up(a.rlwe(), 2),
        "mod_up: components differ: 2 and component 2; components count from 0",
    );
    let phase = set.sk.phase(a.rlwe()).unwrap();
    says(
        set.sk.encrypt(&phase, Level(1)),
        "encrypt: primes of the message differ: 4 rows and the 3 of level 1; encode the message at the level it is encrypted at",
    );
    says(
        set.sk.public_key().unwrap().encrypt(ctx, &phase, Level(1)),
        "encrypt: primes of the message differ: 4 rows and the 3 of level 1; encode the message at the level it is encrypted at",
    );
}

/// What memory released to the pool still holds, one buffer of `rows` rows at a time.
fn released(ctx: &Context<Cpu>, rows: usize) -> Vec<Vec<u32>> {
    let level = ctx.level("test", TOP).unwrap();
    let row = &level.rows[..1];
    let read = |buffer: &<Cpu as Backend>::Buffer| {
        let span = Span {
            item_stride: 1,
            ..Span::dense(rows, 1, row)
        };
        let mut words = vec![0; rows << LOG_N];
        ctx.backend()
            .download(Ref::new(buffer, span), &mut words)
            .unwrap();
        words
    };
    let buffers: Vec<_> = (0..12)
        .map(|_| ctx.backend().alloc(LOG_N, rows).unwrap())
        .collect();
    buffers.iter().map(read).collect()
}

#[test]
fn secrets_are_cleared_before_their_memory_is_used_again() {
    let params = Params::insecure(Spec {
        chain: build(&spec(ChainKind::Single, 28.0, 3)).unwrap(),
    })
    .unwrap();
    let fresh = || Ckks::new(&Context::new(Cpu::new(), params.clone()).unwrap());
    let values = vec![Complex::new(0.5, 0.25); HALF];
    let rows = params.levels()[TOP.0 as usize].primes.len();
    let words = |ctx: &Context<Cpu>, ct: &Ciphertext<Cpu>, component: usize| {
        let view = ct.rlwe().view().map(|s| s.slice_polys(component, 1));
        let mut words = vec![0; rows << LOG_N];
        ctx.backend().download(view, &mut words).unwrap();
        words
    };

    // Secret-key encryption may leave its mask, which is the public c_1, and nothing else: not a s, not the message.
    let ckks = fresh();
    let sk = SecretKey::generate(ckks.context()).unwrap();
    let seeded = ckks.encrypt(&sk, &values, 1, TOP).unwrap();
    let left = released(ckks.context(), rows);
    let ct = seeded.expand(ckks.context()).unwrap();
    let mask = words(ckks.context(), &ct, 1);
    for (i, buffer) in left.iter().enumerate() {
        assert!(
            buffer.iter().all(|w| *w == 0) || *buffer == mask,
            "secret-key encryption left buffer {i}"
        );
    }

    // Decryption leaves nothing.
    let ckks = fresh();
    let sk = SecretKey::insecure_deterministic(ckks.context(), [3; 32]).unwrap();
    let ct = ckks
        .encrypt(&sk, &values, 1, TOP)
        .unwrap()
        .expand(ckks.context())
        .unwrap();
    let known = released(ckks.context(), rows);
    ckks.decrypt(&sk, &ct).unwrap();
    for buffer in released(ckks.context(), rows) {
        assert!(
            buffer.iter().all(|w| *w == 0) || known.contains(&buffer),
            "decryption left a buffer"
        );
    }

    // Public-key encryption may leave the public mask alone.
    let ckks = fresh();
    let sk = SecretKey::generate(ckks.context()).unwrap();
    let public = sk.public_key().unwrap();
    let known = released(ckks.context(), rows);
    let ct = ckks.encrypt_public(&public, &values, 1, TOP).unwrap();
    let zeroes = ckks
        .encrypt_public(&public, &vec![Complex::default(); HALF], 1, TOP)
        .unwrap();
    let left = released(ckks.context(), rows);
    // The mask is what two encryptions leave alike.
    let unknown: Vec<_> = left
        .iter()
        .filter(|b| b.iter().any(|w| *w != 0) && !known.contains(b))
        .collect();
    assert!(
        unknown.iter().all(|b| *b == unknown[0]),
        "public-key encryption left {} buffers",
        unknown.len()
    );
    assert!(unknown.len() <= 2 && ct.items() == zeroes.items());

    // Key generation leaves masks and nothing that is computed from the secret.
    let ckks = fresh();
    let sk = SecretKey::insecure_deterministic(ckks.context(), [4; 32]).unwrap();
    let all = params.basis().primes().len();
    let key = sk
        .evaluation_keys(&KeyNeeds::new(&params).relinearise().conjugate())
        .unwrap();
    let held = |rows| {
        released(ckks.context(), rows)
            .into_iter()
            .filter(|b| b.iter().any(|w| *w != 0))
    };
    let digits = ckks.context().level("test", TOP).unwrap().digits.len();
    let masks: Vec<_> = held(digits * all).collect();
    // The pool may answer a request with a longer buffer: then its beginning is read here.
    let alone = held(all)
        .filter(|b| !masks.iter().any(|m| m.starts_with(b)))
        .count();
    assert_eq!(alone, 0, "s^2 or sigma(s) left");
    // One buffer of masks, which the second key used again; the products with the secret are cleared.
    assert!(
        masks.len() <= 1 && key.count() == 2,
        "{} buffers left by key generation",
        masks.len()
    );
}

/// Every policy of release: what it refuses, and that it does what it says.
#[test]
fn decryptions_are_released_under_policies() {
    let ctx = Context::new(Cpu::poisoned(), Params::shipped("n13_rational40_l2_d3").unwrap()).unwrap();
    let (ckks, sk) = (Ckks::new(&ctx), SecretKey::generate(&ctx).unwrap());
    let (items, slots) = (2, 1 << 11);
    let values: Vec<Complex> = (0..items * slots)
        .map(|i| Complex::new((i % 7) as f64 - 3.0, i as f64 / 4096.0))
        .collect();
    let level = ctx.params().top();
    let ct = ckks
        .encrypt(&sk, &values, items, level)
        .unwrap()
        .expand(&ctx)
        .unwrap();
    let decrypt = || ckks.decrypt(&sk, &ct).unwrap();
    assert_eq!(format!("{:?}", decrypt()), "Decrypted(..)");
    assert_eq!((decrypt().len(), decrypt().is_empty()), (items * slots, false));

    let guard = |error: f64, bits: u32, releases: u64| Guard {
        error,
        bits,
        releases,
    };
    let round = |places: i32, guard: Guard| Release::Round { places, guard };
    for (release, number) in [
        (Release::Flood(guard(0.0, 40, 2)), "0e0"),
        (Release::Flood(guard(-1.0, 40, 2)), "-1e0"),
        (Release::Flood(guard(f64::NAN, 40, 2)), "NaN"),
        (Release::Flood(guard(f64::INFINITY, 40, 2)), "inf"),
        (Release::Flood(guard(1e-9, 0, 2)), "0 bits"),
        (Release::Flood(guard(1e-9, 129, 2)), "129 bits"),
        (Release::Flood(guard(1e-9, 40, 1)), "1 releases"),
        // 2^63 2^0.5 2^-4 2^40 is above what 2^122 holds beside the values; so is what f64 makes infinite.
        (Release::Flood(guard(1.0, 128, 2)), "2^168"),
        (Release::Flood(guard(f64::MAX, 128, u64::MAX)), "modulus"),
        (round(0, guard(-1.0, 40, 2)), "-1e0"),
        // 2^(1 + 12 + 1 - 30 + 0) = 2^-16.
        (round(0, guard(2f64.powi(-30), 17, 2)), "2^-16.0"),
        (round(1, guard(2f64.powi(-30), 16, 2)), "2^-15.0"),
    ] {
        let error = decrypt().release(release).unwrap_err();
        assert!(matches!(error, CkksError::Release { .. }), "{error}");
        assert!(error.to_string().contains(number), "{release:?}: {error}");
    }

    // Rounded: multiples, and the nearest ones of what the owner sees.
    let exact = decrypt().release(Release::Owner).unwrap();
    let rounded = decrypt().release(round(2, guard(2f64.powi(-30), 14, 2))).unwrap();
    for (rounded, exact) in rounded.iter().zip(&exact) {
        for (rounded, exact) in [(rounded.re, exact.re), (rounded.im, exact.im)] {
            assert_eq!((rounded * 4.0).fract(), 0.0);
            assert!((rounded - exact).abs() <= 0.125);
        }
    }

    // Flooded: k = ceil(bits - 1 + log2(releases) / 2 + log2(error) + log2(scale)), parts off by sqrt(slots) 2^k / scale.
    let scale = ct.scale().log2();
    for (bits, error, releases) in [
        (20, 2f64.powi(-25), 2u64),
        (40, 2f64.powi(-22), 1 << 20),
        (1, 1e-300, 2),
    ] {
        let flood = Release::Flood(guard(error, bits, releases));
        let flooded = decrypt().release(flood).unwrap();
        let k = (f64::from(bits) - 1.0 + (releases as f64).log2() / 2.0 + error.log2() + scale)
            .ceil()
            .max(0.0);
        let parts: Vec<f64> = (flooded.iter().zip(&exact))
            .flat_map(|(a, b)| [a.re - b.re, a.im - b.im])
            .collect();
        let variance = parts.iter().map(|x| x * x).sum::<f64>() / parts.len() as f64;
        let want = (k - scale).exp2() * (slots as f64).sqrt();
        // 8192 samples: one standard deviation of this ratio is 1.6 %.
        assert!(
            (variance / (want * want) - 1.0).abs() < 0.08,
            "{bits} bits: {variance} {want}"
        );
        // Fresh noise each time.
        assert_ne!(decrypt().release(flood).unwrap(), flooded);
    }
}
