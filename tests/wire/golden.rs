//! Files as every version of the format wrote them.

use std::path::{Path, PathBuf};

use cipherformer::{
    backend::cpu::Cpu,
    ckks::{Ckks, Evaluator, Release, SeededCiphertext},
    ring::ChainKind,
    rlwe::{PublicKey, SecretKey, SeededEvaluationKeys},
    wire::{self, Detail, Name, VERSION},
};

use super::objects::{Object, Parts, again, bfv_spec, context, home, make, values};

/// The kinds that version 1 had.
pub const VERSION_1: [&str; 6] = [
    "parameters",
    "secret_key",
    "public_key",
    "evaluation_keys",
    "seeded_ciphertexts",
    "ciphertexts",
];

fn golden(version: u16, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/v{version}/{name}.bin"))
}

pub fn read(version: u16, name: &str) -> Vec<u8> {
    std::fs::read(golden(version, name)).unwrap()
}

fn check_summary(version: u16, name: &str) {
    let summary = wire::inspect(&golden(version, name)).unwrap();
    let bytes = read(version, name).len() as u64;
    assert_eq!((summary.version, summary.bytes), (version, bytes));
    let kind = name.trim_end_matches("_cut").trim_end_matches("_biased");
    assert_eq!(summary.header.kind.name(), kind.replace('_', "-"));
    if !name.contains("bfv") && !name.contains("coefficient") {
        assert_eq!(summary.parameters, "insecure_n4_rational40_l3_d2");
    }
    match (name, summary.detail) {
        ("parameters", Detail::Parameters(spec)) => assert_eq!(spec.chain.kind, ChainKind::Rational),
        ("evaluation_keys", Detail::EvaluationKeys { count }) => assert_eq!(count, 4),
        ("bootstrap_keys", Detail::BootstrapKeys { count }) => assert_eq!(count, 4),
        ("ciphertexts", Detail::Ciphertexts { items, polys, .. }) => assert_eq!((items, polys), (2, 3)),
        ("seeded_ciphertexts", Detail::Ciphertexts { slots, .. }) => assert_eq!(slots, 8),
        ("bfv_parameters", Detail::BfvParameters(spec)) => assert_eq!(spec, bfv_spec()),
        ("bfv_ciphertexts", Detail::BfvCiphertexts { items, polys, .. }) => {
            assert_eq!((items, polys), (3, 2))
        }
        ("seeded_bfv_ciphertexts", Detail::BfvCiphertexts { plain, .. }) => assert_eq!(plain, 65537),
        (
            name,
            Detail::CoefficientWeights {
                product,
                bound,
                biased,
            },
        ) => {
            assert_eq!((product.plain, bound), (65537, 300));
            assert_eq!(biased, name.ends_with("_biased"));
        }
        (
            name,
            Detail::CoefficientOutputs {
                product,
                packed,
                items,
            },
        ) => {
            assert_eq!(product.shape.to_string(), "3x5x3");
            assert_eq!(
                (packed, items > 1),
                (!name.ends_with("_cut"), name.ends_with("_cut"))
            );
        }
        (_, Detail::Key) => {}
        (name, detail) => panic!("{name}: {detail:?}"),
    }
}

/// `CIPHERFORMER_WRITE_GOLDEN=1 cargo test --test wire` writes the files anew.
#[test]
fn golden_files_are_what_is_written_and_read() {
    let home = home();
    for object in make(&home) {
        let Object { name, bytes, .. } = &object;
        if std::env::var_os("CIPHERFORMER_WRITE_GOLDEN").is_some() {
            std::fs::write(golden(VERSION, name), bytes).unwrap();
        }
        assert!(
            read(VERSION, name) == *bytes,
            "{name}: this version writes other bytes"
        );
        assert!(
            again(name, bytes, &home).unwrap() == *bytes,
            "{name}: reading and writing"
        );
        assert!(
            Parts::new(&object).measured().sealed() == *bytes,
            "{name}: not the checksums of docs/wire.md"
        );
        check_summary(VERSION, name);
    }
}

/// What version 1 wrote is the same object, and is written as this version writes it.
#[test]
fn golden_files_of_version_1_are_read() {
    let home = home();
    for name in VERSION_1 {
        let now = again(name, &read(1, name), &home).unwrap();
        assert!(now == read(VERSION, name), "{name}");
        check_summary(1, name);
    }
}

#[test]
fn loaded_objects_compute() {
    let ctx = context();
    let ckks = Ckks::new(&ctx);
    for version in [1, 2] {
        let file = |name| read(version, name);
        let (key, _): (SecretKey<Cpu>, _) = wire::from_bytes(&file("secret_key"), &ctx).unwrap();
        let (keys, _): (SeededEvaluationKeys<Cpu>, _) =
            wire::from_bytes(&file("evaluation_keys"), &ctx).unwrap();
        let (public, _): (PublicKey<Cpu>, _) = wire::from_bytes(&file("public_key"), &ctx).unwrap();
        let (sent, stamp): (SeededCiphertext<Cpu>, _) =
            wire::from_bytes(&file("seeded_ciphertexts"), &ctx).unwrap();
        assert_eq!(stamp.key, Name(key.name()));
        assert_eq!(stamp.request.0, *b"sixteen bytes ok");
        let keys = keys.expand(&ctx).unwrap();
        let ev = Evaluator::new(&ckks, &keys);
        let x = sent.expand(&ctx).unwrap();
        let y = ckks
            .encrypt_public(&public, &values(), 2, ctx.params().top())
            .unwrap();
        let product = ev.relinearise_rescale(&ev.mul(&x, &y).unwrap()).unwrap();
        let rotated = ev.rotate(&product, 1).unwrap();
        let have = ckks
            .decrypt(&key, &rotated)
            .unwrap()
            .release(Release::Owner)
            .unwrap();
        for item in 0..2 {
            for slot in 0..8 {
                let v = values()[8 * item + (slot + 1) % 8];
                assert!((have[8 * item + slot] - v * v).abs() < 1e-6);
            }
        }
    }
}

/// Two loads of one secret must never encrypt with the same errors: their difference would be a multiple of the secret alone.
#[test]
fn a_loaded_key_draws_fresh_errors() {
    let ctx = context();
    let encrypt = || {
        let (key, _): (SecretKey<Cpu>, _) = wire::from_bytes(&read(VERSION, "secret_key"), &ctx).unwrap();
        let ct = Ckks::new(&ctx)
            .encrypt(&key, &values(), 2, ctx.params().top())
            .unwrap();
        Ckks::new(&ctx)
            .decrypt(&key, &ct.expand(&ctx).unwrap())
            .unwrap()
            .release(Release::Owner)
            .unwrap()
    };
    let (a, b) = (encrypt(), encrypt());
    assert!(a.iter().zip(&b).any(|(a, b)| (*a - *b).abs() > 0.0));
    assert!(a.iter().zip(values()).all(|(a, v)| (*a - v).abs() < 1e-6));
}
