//! Levels and scales that do not fit.

use cipherformer::{
    arith::Complex,
    ckks::Evaluator,
    ring::{ChainKind, Scale},
    rlwe::{self, EvaluationKeys, KeyNeeds, Level},
};

use super::{HALF, Set, TOP, says, spec};

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
