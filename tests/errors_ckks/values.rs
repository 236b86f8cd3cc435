//! Values, constants and products that do not fit.

use cipherformer::{
    arith::Complex,
    backend::{Entries, Matrix},
    ckks::{Evaluator, Release},
    ring::Scale,
    rlwe::{EvaluationKeys, KeyNeeds, Level},
};

use super::{HALF, Set, TOP, says};

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
