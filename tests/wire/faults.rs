//! Every fault has its own error, although all checksums are right.

use cipherformer::{
    backend::cpu::Cpu,
    ckks::Ciphertext,
    rlwe::{SecretKey, SeededEvaluationKeys},
    wire::{self, Kind, Record, WireError},
};

use super::objects::{Object, Parts, again, home, make};

fn find(objects: &[Object], name: &str) -> Parts {
    Parts::new(objects.iter().find(|o| o.name == name).unwrap())
}

/// The error within the section that the message names.
fn inner(error: WireError) -> WireError {
    match error {
        WireError::Section { error, .. } => *error,
        other => other,
    }
}

#[test]
fn faults_of_the_header() {
    let home = home();
    let ctx = &home.ctx;
    let parts = find(&make(&home), "ciphertexts");
    let with = |at: usize, new: &[u8]| {
        let mut parts = parts.clone();
        parts.header[at..at + new.len()].copy_from_slice(new);
        let loaded = wire::from_bytes::<_, Ciphertext<Cpu>>(&parts.sealed(), ctx);
        loaded.map(|_| ()).unwrap_err()
    };
    // A magic number or a version of its own under a checksum of its own is another file, not a damaged one.
    assert!(matches!(with(0, b"x"), WireError::Magic { .. }));
    assert!(matches!(with(8, &[3]), WireError::Version { found: 3, known: 2 }));
    assert!(matches!(with(8, &[1]), WireError::Length { .. }));
    assert!(matches!(
        with(10, &[200]),
        WireError::UnknownKind { found: 200, .. }
    ));
    let wanted = Kind::Ciphertexts;
    assert!(matches!(with(10, &[4]), WireError::Field { .. }));
    assert!(matches!(with(10, &[5]), WireError::Kind { wanted: w, .. } if w == wanted));
    assert!(matches!(with(11, &[1]), WireError::Field { .. }));
    assert!(matches!(with(16, &[0; 32]), WireError::Parameters { .. }));
    assert!(matches!(with(80, &[0xff; 8]), WireError::Length { .. }));
    assert!(matches!(with(88, &[0xff; 8]), WireError::Field { .. }));
    // A first section that ends early has no checksum there.
    assert!(matches!(with(88, &[1, 0]), WireError::Damaged { .. }));
}

#[test]
fn names_are_only_where_they_mean_something() {
    let home = home();
    let objects = make(&home);
    for (name, at) in [
        ("parameters", 48),
        ("bfv_parameters", 48),
        ("parameters", 64),
        ("evaluation_keys", 64),
    ] {
        let mut parts = find(&objects, name);
        parts.header[at] = 1;
        let error = again(name, &parts.sealed(), &home).unwrap_err();
        assert!(error.to_string().contains("the name of the"), "{error}");
    }
}

#[test]
fn faults_of_ciphertexts() {
    let home = home();
    let ctx = &home.ctx;
    let parts = find(&make(&home), "ciphertexts");
    let load = |parts: Parts| {
        let loaded = wire::from_bytes::<_, Ciphertext<Cpu>>(&parts.measured().sealed(), ctx);
        loaded.map(|_| ()).unwrap_err()
    };
    let field = |at: usize, value: u32, word: &str| {
        let message = load(parts.clone().with(0, at, &value.to_le_bytes())).to_string();
        assert!(message.contains(word), "{word}: {message}");
    };
    field(0, 0, "number of ciphertexts");
    field(0, u32::MAX, "ciphertexts");
    field(0, 3, "ciphertexts");
    field(4, 4, "polynomials");
    field(8, 4, "level");
    field(12, 3, "slots");
    field(12, 16, "slots");
    field(16, 4000, "log2 of a scale");
    let error = load(parts.clone().with(2, 12, &[0xff; 8]));
    let message = error.to_string();
    assert!(message.contains("ciphertext 2 of 2 ("), "{message}");
    assert!(matches!(inner(error), WireError::Residue { .. }));
    let mut longer = parts.clone();
    longer.sections[2].push(0);
    assert!(matches!(load(longer), WireError::Length { .. }));
    let mut longer = parts.clone();
    longer.sections[0].push(0);
    assert!(matches!(inner(load(longer)), WireError::Length { .. }));
    let mut more = parts.sealed();
    more.push(0);
    let loaded = wire::from_bytes::<_, Ciphertext<Cpu>>(&more, ctx);
    assert!(matches!(loaded, Err(WireError::Length { .. })));
}

#[test]
fn faults_of_keys() {
    let home = home();
    let ctx = &home.ctx;
    let objects = make(&home);
    let keys = |at: usize, new: u32| {
        let parts = find(&objects, "evaluation_keys").with(0, at, &new.to_le_bytes());
        let loaded = wire::from_bytes::<_, SeededEvaluationKeys<Cpu>>(&parts.sealed(), ctx);
        loaded.map(|_| ()).unwrap_err().to_string()
    };
    assert!(keys(0, u32::MAX).contains("number of keys"));
    assert!(keys(20, 4).contains("odd number"));
    assert!(keys(20, 33).contains("odd number"));
    assert!(keys(20, 1).contains("odd number"));
    assert!(keys(36, 5).contains("ascend"), "{}", keys(36, 5));
    assert!(keys(24, 4).contains("no key goes beyond level 3"));
    assert!(keys(28, 0).contains("offset"));
    let secret = find(&objects, "secret_key").with(0, 0, &[1]);
    let loaded = wire::from_bytes::<_, SecretKey<Cpu>>(&secret.sealed(), ctx);
    assert!(matches!(loaded, Err(WireError::KeyName { .. })));
    let zero = find(&objects, "secret_key").with(0, 0, &[0; 32]);
    let loaded = wire::from_bytes::<_, SecretKey<Cpu>>(&zero.sealed(), ctx);
    assert!(loaded.unwrap_err().to_string().contains("all zeroes"));
}

/// The hint says what belongs in the place of another kind.
#[test]
fn another_kind_is_named() {
    let home = home();
    let objects = make(&home);
    let kind = |object: &Object| object.bytes[10];
    for a in &objects {
        for b in objects.iter().filter(|b| kind(b) != kind(a)) {
            let error = again(a.name, &b.bytes, &home).unwrap_err();
            let message = error.to_string();
            assert!(
                message.starts_with("holds ") && message.contains("; pass "),
                "{message}"
            );
        }
    }
    assert!(<Ciphertext<Cpu> as Record<_>>::KIND == Kind::Ciphertexts);
}
