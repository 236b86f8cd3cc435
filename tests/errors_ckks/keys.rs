//! Keys that are missing or truncated, what other parameters made, and parameters without security.

use cipherformer::{
    arith::Complex,
    backend::{Entries, Matrix, cpu::Cpu},
    ckks::{Ckks, CkksError, Evaluator},
    ring::{ChainKind, build},
    rlwe::{Context, EvaluationKeys, KeyNeeds, Level, Params, RlweError, Spec},
};

use super::{HALF, Set, TOP, says, spec};

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
