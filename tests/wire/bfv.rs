//! BFV in files: keys, ciphertexts, and what must not be taken for them.

use cipherformer::{
    backend::cpu::Cpu,
    bfv::{self, Bfv, Ciphertext, Evaluator, Packing, SeededCiphertext},
    rlwe::{KeyNeeds, PublicKey, SecretKey, SeededEvaluationKeys},
    wire::{self, Name, Record, Stamp, WireError},
};

use super::objects::{Parts, bfv_spec, home, make};

fn pass<C, T: Record<C>>(value: &T, home: &C, stamp: Stamp) -> T {
    let bytes = wire::to_bytes(value, home, stamp).unwrap();
    wire::from_bytes(&bytes, home).unwrap().0
}

/// A computation of which every part went through a file.
#[test]
fn loaded_objects_compute() {
    let spec: bfv::Spec = pass(&bfv_spec(), &(), Stamp::default());
    let bfv = Bfv::new(Cpu::poisoned(), bfv::Params::insecure(spec).unwrap()).unwrap();
    let ctx = bfv.context();
    let key = SecretKey::generate(ctx).unwrap();
    let stamp = Stamp {
        key: Name(key.name()),
        ..Stamp::default()
    };
    let key: SecretKey<Cpu> = pass(&key, ctx, stamp);
    let public: PublicKey<Cpu> = pass(&key.public_key().unwrap(), ctx, stamp);
    let needs = KeyNeeds::new(ctx.params()).relinearise();
    let keys: SeededEvaluationKeys<Cpu> = pass(&key.evaluation_keys(&needs).unwrap(), ctx, stamp);
    let keys = keys.expand(ctx).unwrap();
    let values: Vec<u64> = (1..=16).collect();
    let (packing, top) = (Packing::Slots, ctx.params().top());
    let sent = bfv.encrypt(&key, packing, &values, 1, top).unwrap();
    let sent: SeededCiphertext<Cpu> = pass(&sent, &bfv, stamp);
    let x = sent.expand(ctx).unwrap();
    let y = bfv.encrypt_public(&public, packing, &values, 1, top).unwrap();
    let y: Ciphertext<Cpu> = pass(&y, &bfv, stamp);
    let ev = Evaluator::new(&bfv, &keys);
    // Three polynomials, then two.
    let product: Ciphertext<Cpu> = pass(&ev.mul(&x, &y).unwrap(), &bfv, stamp);
    assert_eq!(product.components(), 3);
    let product: Ciphertext<Cpu> = pass(&ev.relinearise(&product).unwrap(), &bfv, stamp);
    // Equal files are equal residues.
    let direct = ev.relinearise(&ev.mul(&x, &y).unwrap()).unwrap();
    let bytes = |ct: &Ciphertext<Cpu>| wire::to_bytes(ct, &bfv, stamp).unwrap();
    assert!(bytes(&product) == bytes(&direct));
}

/// The same chain with another t: only t tells the ciphertexts apart.
#[test]
fn another_plaintext_modulus_is_refused() {
    let home = home();
    let spec = bfv::Spec {
        plain: 65539,
        ..bfv_spec()
    };
    let other = Bfv::new(Cpu::new(), bfv::Params::insecure(spec).unwrap()).unwrap();
    assert!(other.context().params().same(home.bfv.context().params()));
    for object in make(&home) {
        let loaded = match object.name {
            "seeded_bfv_ciphertexts" => {
                wire::from_bytes::<_, SeededCiphertext<Cpu>>(&object.bytes, &other).map(|_| ())
            }
            "bfv_ciphertexts" => wire::from_bytes::<_, Ciphertext<Cpu>>(&object.bytes, &other).map(|_| ()),
            _ => continue,
        };
        let message = loaded.unwrap_err().to_string();
        for word in ["index (", "65537", "65539", "one specification"] {
            assert!(message.contains(word), "no {word:?} in {message:?}");
        }
    }
    let key = SecretKey::generate(other.context()).unwrap();
    let packing = Packing::Coefficients;
    let foreign = other.encrypt(&key, packing, &[1; 16], 1, other.params().top());
    let refused = wire::to_bytes(&foreign.unwrap(), &home.bfv, Stamp::default());
    assert!(matches!(
        refused,
        Err(WireError::Plain {
            found: 65539,
            wanted: 65537
        })
    ));
}

#[test]
fn faults_are_named() {
    let home = home();
    let objects = make(&home);
    let parts = |name: &str| Parts::new(objects.iter().find(|o| o.name == name).unwrap());
    let ciphertexts = |n: usize, at: usize, new: &[u8], word: &str| {
        let bytes = parts("bfv_ciphertexts").with(n, at, new).sealed();
        let loaded = wire::from_bytes::<_, Ciphertext<Cpu>>(&bytes, &home.bfv);
        let message = loaded.map(|_| ()).unwrap_err().to_string();
        assert!(message.contains(word), "no {word:?} in {message:?}");
    };
    ciphertexts(0, 0, &[0; 4], "number of ciphertexts");
    ciphertexts(0, 0, &[2, 0], "ciphertexts: ");
    ciphertexts(0, 4, &[1, 0], "polynomials");
    ciphertexts(0, 8, &[200], "level");
    ciphertexts(0, 27, &[1], "plaintext modulus");
    ciphertexts(2, 40, &[0xff; 8], "ciphertext 2 of 3 (");
    let specification = |at: usize, new: &[u8], word: &str| {
        let bytes = parts("bfv_parameters").with(0, at, new).sealed();
        let loaded = wire::from_bytes::<_, bfv::Spec>(&bytes, &());
        let message = loaded.map(|_| ()).unwrap_err().to_string();
        assert!(message.contains(word), "no {word:?} in {message:?}");
    };
    specification(0, &[99], "log_n = 99");
    specification(4, &[0xff; 4], "primes = 4294967295");
    specification(8, &[0], "digits = 0");
    specification(12, &[0; 16], "plaintext modulus 0");
    specification(8, &[3], "made for parameters");
}
