//! Numbers of slots, items and components that do not go together, here and in the layer below.

use cipherformer::{arith::Complex, ckks::Evaluator, rlwe::Level};

use super::{HALF, Set, TOP, says};

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
