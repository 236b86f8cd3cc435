//! Keys taken one by one from a mapped file.

use std::{fs, path::PathBuf};

use cipherformer::{
    backend::cpu::Cpu,
    ckks::{Ciphertext, Ckks, Evaluator, SeededCiphertext},
    ring::Galois,
    rlwe::{Context, KeyNeeds, Level, MissingKey, RlweError, SeededEvaluationKeys},
    wire::{self, KeyFile, WireError},
};

use super::{
    damage::section,
    golden,
    objects::{Object, context, home, make},
};

/// A file of the test's own, removed at its end.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("cipherformer-{}-{name}", std::process::id()));
        fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn keys() -> Object {
    let mut objects = make(&home());
    objects.remove(objects.iter().position(|o| o.name == "evaluation_keys").unwrap())
}

fn rotation(k: i64) -> MissingKey {
    MissingKey::Galois(Galois::rotation(k, 4))
}

/// What the file was made for.
fn all(ctx: &Context<Cpu>) -> KeyNeeds {
    let needs = KeyNeeds::new(ctx.params()).relinearise().rotate([1, -2]);
    needs.up_to(Level(1)).conjugate()
}

#[test]
fn all_keys_of_a_file_are_what_loading_the_whole_gives() {
    let ctx = context();
    let object = keys();
    for version in [1, 2] {
        let bytes = golden::read(version, object.name);
        let place = Temporary::new(&format!("all-{version}.keys"), &bytes);
        let file = KeyFile::open(&place.0, &ctx).unwrap();
        let loaded = file.load(&all(&ctx)).unwrap();
        let written = wire::to_bytes(&loaded, &ctx, file.stamp()).unwrap();
        assert!(written == object.bytes, "version {version}");
        let levels: Vec<u32> = file.index().iter().map(|key| key.level.0).collect();
        assert_eq!(levels, [3, 3, 3, 1]);
        let (whole, _): (SeededEvaluationKeys<Cpu>, _) = wire::load(&place.0, &ctx).unwrap();
        assert_eq!(whole.count(), file.index().len());
    }
}

/// Damage of a key is noticed when that key is loaded, and never when another is.
#[test]
fn a_key_is_checked_when_it_is_loaded() {
    let ctx = context();
    let object = keys();
    let purposes = [
        MissingKey::Relinearisation,
        rotation(1),
        rotation(-2),
        MissingKey::Galois(Galois::conjugation(4)),
    ];
    let place = Temporary::new("damaged.keys", &[]);
    for at in (0..object.bytes.len()).step_by(37) {
        let mut bytes = object.bytes.clone();
        bytes[at] ^= 0x10;
        fs::write(&place.0, &bytes).unwrap();
        let file = match KeyFile::open(&place.0, &ctx) {
            Ok(file) => file,
            Err(error) => {
                let first = 128 + object.sections[0] as usize + 32;
                assert!(at < first, "byte {at}: {error}");
                continue;
            }
        };
        let (name, offset, length) = section(&object, at);
        for (purpose, key) in purposes.iter().zip(file.index()) {
            let loaded = file.load_key(*purpose, Level(1));
            if key.offset != offset {
                assert!(loaded.is_ok(), "byte {at}: damage of another key was noticed");
                continue;
            }
            let message = loaded.map(|_| ()).unwrap_err().to_string();
            let path = place.0.to_str().unwrap();
            for word in [
                path,
                &*name,
                &format!("{length} bytes at offset {offset}"),
                "is damaged",
            ] {
                assert!(message.contains(word), "no {word:?} in {message:?}");
            }
        }
    }
}

/// A key loaded for a lower level computes there what the whole key does.
#[test]
fn a_key_is_loaded_truncated() {
    let ctx = context();
    let ckks = Ckks::new(&ctx);
    let place = Temporary::new("truncated.keys", &keys().bytes);
    let file = KeyFile::open(&place.0, &ctx).unwrap();
    let needs = || KeyNeeds::new(ctx.params());
    let (sent, stamp): (SeededCiphertext<Cpu>, _) =
        wire::from_bytes(&golden::read(2, "seeded_ciphertexts"), &ctx).unwrap();
    let sent = sent.expand(&ctx).unwrap();
    let whole = file.load(&needs().relinearise().rotate([1])).unwrap();
    for level in (0..=3).map(Level) {
        let part = file
            .load(&needs().up_to(level).relinearise().rotate([1]))
            .unwrap();
        assert_eq!(part.count(), 2);
        assert!(part.bytes(&ctx) <= whole.bytes(&ctx));
        assert!(level.0 > 1 || part.bytes(&ctx) < whole.bytes(&ctx));
        let compute = |keys: &SeededEvaluationKeys<Cpu>| {
            let keys = keys.expand(&ctx).unwrap();
            let ev = Evaluator::new(&ckks, &keys);
            let scale = ckks.scale(level).unwrap();
            let x: Ciphertext<Cpu> = ev.adjust(&sent, level, scale).unwrap();
            let mut results = vec![ev.rotate(&x, 1).unwrap()];
            // The square of level 0 has no room in its modulus.
            if level.0 > 0 {
                results.push(ev.relinearise(&ev.mul(&x, &x).unwrap()).unwrap());
            }
            let bytes = |ct| wire::to_bytes(ct, &ctx, stamp).unwrap();
            results.iter().map(bytes).collect::<Vec<_>>()
        };
        assert!(compute(&part) == compute(&whole), "{level}");
    }
}

#[test]
fn a_key_that_is_not_there_is_named() {
    let ctx = context();
    let place = Temporary::new("missing.keys", &keys().bytes);
    let file = KeyFile::open(&place.0, &ctx).unwrap();
    let inner = |error: WireError| match error {
        WireError::File { error, .. } => *error,
        other => other,
    };
    let refused = |needs: KeyNeeds| inner(file.load(&needs).map(|_| ()).unwrap_err());
    let missing = refused(KeyNeeds::new(ctx.params()).rotate([3]));
    assert!(matches!(
        missing,
        WireError::Rlwe(RlweError::MissingKey { key, .. }) if key == rotation(3)
    ));
    let low = refused(KeyNeeds::new(ctx.params()).up_to(Level(2)).conjugate());
    assert!(matches!(
        low,
        WireError::Rlwe(RlweError::KeyLevel {
            wanted: Level(2),
            held: Level(1),
            ..
        })
    ));
}

/// A file that changes under its reader is refused; one that is replaced by another stays what it was.
#[test]
fn a_file_may_be_replaced_but_not_changed() {
    let ctx = context();
    let object = keys();
    let place = Temporary::new("changed.keys", &object.bytes);
    let file = KeyFile::open(&place.0, &ctx).unwrap();
    let options = || fs::OpenOptions::new().write(true).open(&place.0).unwrap();
    options().set_len(object.bytes.len() as u64 / 2).unwrap();
    let error = file.load(&all(&ctx)).map(|_| ()).unwrap_err().to_string();
    let lengths = format!(
        "{} bytes now, {} when",
        object.bytes.len() / 2,
        object.bytes.len()
    );
    assert!(error.contains("changed while it was open"), "{error}");
    assert!(error.contains(&lengths), "{error}");

    let other = Temporary::new("other.keys", &object.bytes);
    let file = KeyFile::open(&other.0, &ctx).unwrap();
    fs::write(&place.0, b"nothing of ours").unwrap();
    fs::rename(&place.0, &other.0).unwrap();
    assert!(file.load(&all(&ctx)).is_ok());
    assert!(matches!(
        KeyFile::open(&other.0, &ctx),
        Err(WireError::File { .. })
    ));
}

/// A file of version 1 has one checksum for all its keys.
#[test]
fn a_damaged_file_of_version_1_is_refused_when_it_is_opened() {
    let ctx = context();
    let mut bytes = golden::read(1, "evaluation_keys");
    let last = bytes.len() - 100;
    bytes[last] ^= 1;
    let place = Temporary::new("version-1.keys", &bytes);
    let error = KeyFile::open(&place.0, &ctx).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("checksum does not match"), "{error}");
}
