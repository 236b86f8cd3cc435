//! Every BFV error a caller can run into: its type and numbers; and that nothing panics.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

use cipherformer::{
    backend::cpu::Cpu,
    bfv::{Bfv, BfvError, Ciphertext, Evaluator, Noise, Packing, Params, Release, Spec},
    rlwe::{EvaluationKeys, KeyNeeds, Level, RlweError, SecretKey},
};

fn spec(primes: usize, digits: usize, plain: u128) -> Spec {
    let log_n = 4;
    Spec {
        log_n,
        primes,
        digits,
        plain,
    }
}

fn bfv(plain: u128) -> Bfv<Cpu> {
    Bfv::new(Cpu::poisoned(), Params::insecure(spec(3, 2, plain)).unwrap()).unwrap()
}

fn encrypt(bfv: &Bfv<Cpu>, sk: &SecretKey<Cpu>, items: usize, level: Level) -> Ciphertext<Cpu> {
    let values = vec![1; items];
    let fresh = bfv.encrypt(sk, Packing::Coefficients, &values, items, level);
    fresh.unwrap().expand(bfv.context()).unwrap()
}

macro_rules! refused {
    ($result:expr, $pattern:pat) => {
        match $result {
            Err(e) => assert!(matches!(e, $pattern), "{e}"),
            Ok(_) => panic!("accepted"),
        }
    };
}

#[test]
fn parameters_are_checked() {
    for t in [0, 1, (1 << 64) + 1, u128::MAX] {
        refused!(Params::insecure(spec(3, 2, t)), BfvError::Plain { .. });
    }
    for (primes, digits) in [(0, 1), (45, 1), (3, 0), (3, 4)] {
        refused!(Params::insecure(spec(primes, digits, 17)), BfvError::Range { .. });
    }
    for log_n in [0, 3, 18, u32::MAX] {
        let spec = Spec {
            log_n,
            ..spec(3, 2, 17)
        };
        refused!(Params::insecure(spec), BfvError::Range { what: "log_n", .. });
    }
    refused!(
        Params::insecure(spec(2, 1, 1 << 64)),
        BfvError::Room { primes: 2, .. }
    );
    refused!(Params::new(spec(3, 2, 17)), BfvError::Rlwe(RlweError::Chain(_)));
    let large = Spec {
        primes: 7,
        ..Spec::n13(65_537)
    };
    refused!(Params::new(large), BfvError::Rlwe(RlweError::Chain(_)));
    let many = Spec {
        log_n: 17,
        ..spec(44, 44, 1 << 64)
    };
    assert!(Params::insecure(many).is_ok());
}

#[test]
fn values_are_checked() {
    let (bfv, top, c) = (bfv(1000), Level(2), Packing::Coefficients);
    assert_eq!(bfv.params().top(), top);
    for (values, items) in [(vec![], 1), (vec![1; 17], 1), (vec![1; 3], 2), (vec![1; 3], 0)] {
        refused!(bfv.addend(c, &values, items, top), BfvError::Length { .. });
        refused!(bfv.factor(c, &values, items, top), BfvError::Length { .. });
    }
    refused!(
        bfv.addend(c, &[1, 1000], 1, top),
        BfvError::Value {
            index: 1,
            value: 1000,
            t: 1000,
            ..
        }
    );
    refused!(
        bfv.factor(Packing::Slots, &[1], 1, top),
        BfvError::NoSlots { t: 1000, .. }
    );
    refused!(
        bfv.factor(c, &[1], 1, Level(3)),
        BfvError::Rlwe(RlweError::NoLevel { .. })
    );
    refused!(
        Noise::fresh(bfv.params(), Level(9)),
        BfvError::Rlwe(RlweError::NoLevel { .. })
    );
}

#[test]
fn operands_are_checked() {
    let (bfv, other) = (bfv(1000), bfv(1001));
    let sk = SecretKey::generate(bfv.context()).unwrap();
    let none = EvaluationKeys::none();
    let ev = Evaluator::new(&bfv, &none);
    let a = encrypt(&bfv, &sk, 2, Level(1));
    let foreign = Evaluator::new(&other, &none);
    for result in [
        foreign.neg(&a),
        foreign.add(&a, &a),
        foreign.mul(&a, &a),
        foreign.swap_rows(&a),
    ] {
        refused!(
            result,
            BfvError::Foreign {
                theirs: 1000,
                t: 1001,
                ..
            }
        );
    }
    refused!(
        other.decrypt(&sk, Packing::Coefficients, &a),
        BfvError::Foreign { .. }
    );
    let product = ev.mul(&a, &a).unwrap();
    let low = ev.switch_to(&a, Level(0)).unwrap();
    let one = a.slice(0, 1).unwrap();
    let addend = bfv.addend(Packing::Coefficients, &[1; 3], 3, Level(1)).unwrap();
    let factor = bfv.factor(Packing::Coefficients, &[1], 1, Level(0)).unwrap();
    let strange = other.addend(Packing::Coefficients, &[1], 1, Level(1)).unwrap();
    refused!(ev.add_plain(&a, &strange), BfvError::Foreign { .. });
    for result in [
        ev.add(&a, &product),
        ev.add(&a, &low),
        ev.sub(&a, &one),
        ev.mul(&a, &product),
        ev.square(&product),
        ev.mul(&a, &low),
        ev.swap_rows(&product),
        ev.switch_to(&low, Level(1)),
        ev.add_plain(&a, &addend),
        ev.mul_plain(&a, &factor),
        ev.concat(&[]),
        ev.concat(&[a.clone(), low.clone()]),
        a.slice(1, 2),
        a.every(0, 2, 2),
    ] {
        refused!(result, BfvError::Rlwe(RlweError::Mismatch { .. }));
    }
    for result in [
        ev.relinearise(&product),
        ev.rotate_columns(&a, 1),
        ev.swap_rows(&a),
    ] {
        refused!(result, BfvError::Rlwe(RlweError::MissingKey { .. }));
    }
    refused!(
        ev.switch_to(&a, Level(9)),
        BfvError::Rlwe(RlweError::NoLevel { .. })
    );
    for result in [ev.add_integer(&a, 1000), ev.mul_integer(&a, u64::MAX)] {
        refused!(result, BfvError::Value { t: 1000, .. });
    }
    let lower = KeyNeeds::new(bfv.params().rlwe()).up_to(Level(0)).relinearise();
    let lower = sk.evaluation_keys(&lower).unwrap().expand(bfv.context()).unwrap();
    refused!(
        Evaluator::new(&bfv, &lower).relinearise(&product),
        BfvError::Rlwe(RlweError::KeyLevel { .. })
    );
}

#[test]
fn lwe_ciphertexts_are_checked() {
    let (bfv, other) = (bfv(1000), bfv(1001));
    let sk = SecretKey::generate(bfv.context()).unwrap();
    let none = EvaluationKeys::none();
    let ev = Evaluator::new(&bfv, &none);
    let a = encrypt(&bfv, &sk, 3, Level(1));
    refused!(
        bfv.extract(&a, &[16]),
        BfvError::Coefficient { index: 16, n: 16, .. }
    );
    refused!(bfv.extract(&a, &[]), BfvError::Length { .. });
    refused!(other.extract(&a, &[0]), BfvError::Foreign { .. });
    let lwe = bfv.extract(&a, &[0, 1]).unwrap();
    let opened = bfv.decrypt_lwe(&sk, &lwe).unwrap().release(Release::Owner);
    assert_eq!(opened.unwrap(), [1, 0, 1, 0, 1, 0]);
    for groups in [0, 1, 2, 4, 7] {
        refused!(ev.pack(&lwe, groups), BfvError::Rlwe(RlweError::Mismatch { .. }));
    }
    refused!(ev.pack(&lwe, 3), BfvError::Rlwe(RlweError::MissingKey { .. }));
    refused!(other.decrypt_lwe(&sk, &lwe), BfvError::Foreign { .. });
}

#[test]
fn decryptions_print_nothing() {
    let bfv = bfv(1000);
    let sk = SecretKey::generate(bfv.context()).unwrap();
    let minus_one = [999];
    let ct = bfv
        .encrypt(&sk, Packing::Coefficients, &minus_one, 1, Level(0))
        .unwrap();
    let ct = ct.expand(bfv.context()).unwrap();
    let decrypted = bfv.decrypt(&sk, Packing::Coefficients, &ct).unwrap();
    assert_eq!(format!("{decrypted:?}"), "Decrypted(..)");
    assert_eq!((decrypted.len(), decrypted.is_empty()), (16, false));
    assert_eq!(decrypted.release_centred(Release::Owner).unwrap()[..2], [-1, 0]);
}

#[test]
fn results_for_others_are_withheld_unless_they_are_certain() {
    let bfv = bfv(1000);
    let sk = SecretKey::generate(bfv.context()).unwrap();
    let ct = encrypt(&bfv, &sk, 1, Level(2));
    let decrypt = |ct| bfv.decrypt(&sk, Packing::Coefficients, ct).unwrap();
    let fresh = Noise::fresh(bfv.params(), Level(2)).unwrap();
    assert_eq!(decrypt(&ct).release(Release::Exact(&fresh)).unwrap()[..2], [1, 0]);
    // N = 16: every product multiplies the bound by 2 t N (1 + 16) / 2, 2^18.1 here, and a fresh one is 2^-75.5.
    let mut noise = fresh.clone();
    let mut depth = 0;
    while noise.bound_log2() < -1.0 {
        noise = noise.mul(&noise).unwrap().relinearise().unwrap();
        depth += 1;
        assert!(noise.budget_bits() + 1.0 + noise.bound_log2() == 0.0);
    }
    assert_eq!(depth, 5);
    assert!(noise.sd_log2() < -10.0);
    refused!(
        decrypt(&ct).release(Release::Exact(&noise)),
        BfvError::Withheld { level: Level(2), .. }
    );
    refused!(
        decrypt(&ct).release_centred(Release::Exact(&noise)),
        BfvError::Withheld { .. }
    );
    // Noise of another level, another t or other parameters says nothing about this result.
    let low = fresh.switch_to(Level(1)).unwrap();
    refused!(
        decrypt(&ct).release(Release::Exact(&low)),
        BfvError::Rlwe(RlweError::Mismatch { .. })
    );
    let other = Noise::fresh(self::bfv(1001).params(), Level(2)).unwrap();
    refused!(
        decrypt(&ct).release(Release::Exact(&other)),
        BfvError::Foreign { theirs: 1001, .. }
    );
    let larger = Params::insecure(spec(4, 2, 1000)).unwrap();
    let larger = Noise::fresh(&larger, Level(2)).unwrap();
    refused!(
        decrypt(&ct).release(Release::Exact(&larger)),
        BfvError::Rlwe(RlweError::Foreign { .. })
    );
    // Noise follows the evaluator's rules.
    refused!(fresh.add(&low), BfvError::Rlwe(RlweError::Mismatch { .. }));
    refused!(
        low.switch_to(Level(2)),
        BfvError::Rlwe(RlweError::Mismatch { .. })
    );
    refused!(low.switch_to(Level(9)), BfvError::Rlwe(RlweError::NoLevel { .. }));
    let product = fresh.square().unwrap();
    for result in [
        product.mul(&fresh),
        fresh.mul(&product),
        product.square(),
        product.automorphism(),
        product.pack(1),
    ] {
        refused!(result, BfvError::Rlwe(RlweError::Mismatch { .. }));
    }
}
