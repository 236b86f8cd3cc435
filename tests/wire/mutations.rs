//! Structured mutations: every one is refused, or is itself a well-formed file.

use cipherformer::{
    backend::cpu::Cpu,
    ckks::Ciphertext,
    wire::{self, WireError},
};

use super::{
    golden,
    objects::{HEADER, Home, Object, Parts, Random, SEAL, again, home, make, model},
};

/// Numbers at which readers break.
fn extreme(random: &mut Random) -> u64 {
    let extremes = [
        0,
        1,
        2,
        u64::MAX,
        i64::MIN as u64,
        0x7fff_ffff,
        0xffff_ffff,
        1 << 48,
        random.next(),
    ];
    extremes[random.below(extremes.len())]
}

/// A place in a section; half of them in the first, where most decisions are made.
fn place(random: &mut Random, parts: &Parts) -> (usize, usize) {
    let n = match random.below(2) {
        0 => 0,
        _ => random.below(parts.sections.len()),
    };
    (n, random.below(parts.sections[n].len()))
}

/// Valid checksums over bytes that were not written so.
fn structured(random: &mut Random, object: &Object, other: &Object) -> Vec<u8> {
    let mut parts = Parts::new(object);
    let theirs = Parts::new(other);
    let (n, at) = place(random, &parts);
    let (m, from) = place(random, &theirs);
    let bytes = &mut parts.sections[n];
    match random.below(11) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => {
            let value = extreme(random).to_le_bytes();
            let width = [1, 2, 4, 8][random.below(4)].min(bytes.len() - at);
            bytes[at..at + width].copy_from_slice(&value[..width]);
        }
        2 => bytes.truncate(at),
        3 => {
            let len = random.below(80).min(bytes.len() - at);
            bytes.drain(at..at + len);
        }
        4 => {
            let end = (from + 1 + random.below(64)).min(theirs.sections[m].len());
            let part = &theirs.sections[m][from..end];
            let len = part.len().min(bytes.len() - at);
            if random.below(2) == 0 {
                bytes[at..at + len].copy_from_slice(&part[..len]);
            } else {
                bytes.splice(at..at, part.iter().copied());
            }
        }
        5 => drop(parts.sections.remove(n)),
        6 => {
            let copy = parts.sections[n].clone();
            parts
                .sections
                .insert(random.below(parts.sections.len() + 1), copy);
        }
        7 => {
            let k = random.below(parts.sections.len());
            parts.sections.swap(n, k);
        }
        8 => parts.sections[n] = theirs.sections[m].clone(),
        9 => parts.header = theirs.header,
        _ => {
            let at = random.below(SEAL);
            let value = extreme(random).to_le_bytes();
            let width = [1, 2, 4, 8][random.below(4)].min(SEAL - at);
            parts.header[at..at + width].copy_from_slice(&value[..width]);
            return parts.sealed();
        }
    }
    parts.measured().sealed()
}

/// Bytes as accidents leave them.
fn raw(random: &mut Random, object: &Object, other: &Object) -> Vec<u8> {
    let mut bytes = object.bytes.clone();
    // Half of all mutations hit the header and the fields.
    let reach = [bytes.len(), bytes.len().min(300)][random.below(2)];
    let at = random.below(reach);
    match random.below(5) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes.truncate(at),
        2 => {
            bytes.truncate(at);
            bytes.extend(&other.bytes[at.min(other.bytes.len())..]);
        }
        3 => {
            let end = (at + 1 + random.below(80)).min(bytes.len());
            bytes.drain(at..end);
        }
        _ => {
            let value = extreme(random).to_le_bytes();
            let width = [1, 2, 4, 8][random.below(4)].min(bytes.len() - at);
            bytes[at..at + width].copy_from_slice(&value[..width]);
        }
    }
    bytes
}

/// 100,000 of them for a file; others of `files` are spliced in.
fn mutate(home: &Home, object: &Object, files: &[Object], seed: u64) {
    let mut random = Random(seed);
    let name = object.name;
    let (mut refused, mut accepted) = (0, 0);
    for i in 0..100_000 {
        let other = &files[random.below(files.len())];
        let bytes = match i % 4 {
            0 => raw(&mut random, object, other),
            _ => structured(&mut random, object, other),
        };
        match again(name, &bytes, home) {
            Ok(written) => {
                assert!(written == bytes, "{name}: read as something else than its bytes");
                accepted += 1;
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                refused += 1;
            }
        }
    }
    assert!(refused > 50_000, "{name}: {refused} refused, {accepted} accepted");
}

#[test]
fn mutated_files_are_refused_or_well_formed() {
    let home = home();
    let files = make(&home);
    for object in &files {
        mutate(&home, object, &files, 0x2545_f491_4f6c_dd1d);
    }
}

/// The model's file is large; it has a test of its own, which runs beside the other.
#[test]
fn mutated_models_are_refused_or_well_formed() {
    let home = home();
    let files = make(&home);
    mutate(&home, &model(&home.ctx), &files, 0xd1b5_4a32_d192_ed03);
}

/// A valid checksum of version 1 for whatever comes before it.
fn reseal_1(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len().saturating_sub(32);
    bytes.truncate(end);
    let digest = blake3::hash(&bytes);
    bytes.extend(digest.as_bytes());
    bytes
}

/// Version 1 had six kinds: whoever reads a later one in it reads something else.
#[test]
fn version_1_has_its_own_kinds_only() {
    let home = home();
    for kind in 7..=14 {
        let mut bytes = golden::read(1, "parameters");
        bytes[10] = kind;
        let bytes = reseal_1(bytes);
        let error = wire::from_bytes::<_, Ciphertext<Cpu>>(&bytes, &home.ctx)
            .err()
            .unwrap();
        assert!(
            matches!(error, WireError::UnknownKind { found, most: 6 } if found == kind),
            "{error}"
        );
    }
}

/// Files of version 1: accepted ones are written as well-formed files of this version.
#[test]
fn mutated_files_of_version_1_are_refused_or_well_formed() {
    let home = home();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for name in golden::VERSION_1 {
        let original = golden::read(1, name);
        let mut refused = 0;
        for i in 0..20_000 {
            let mut bytes = original.clone();
            let at = random.below([bytes.len(), 200.min(bytes.len())][i % 2]);
            match random.below(3) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => {
                    bytes.truncate(at);
                    if bytes.len() >= 120 {
                        let payload = (bytes.len() as u64 - 120).to_le_bytes();
                        bytes[80..88].copy_from_slice(&payload);
                    }
                }
                _ => {
                    let value = extreme(&mut random).to_le_bytes();
                    let width = [1, 2, 4, 8][random.below(4)].min(bytes.len() - at);
                    bytes[at..at + width].copy_from_slice(&value[..width]);
                }
            }
            if random.below(3) > 0 {
                bytes = reseal_1(bytes);
            }
            match again(name, &bytes, &home) {
                Ok(now) => assert!(again(name, &now, &home).unwrap() == now),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 8_000, "{name}: {refused} refused");
    }
}

/// Any value of any byte of the header, under valid checksums.
#[test]
fn sealed_changes_of_the_header_are_refused_or_harmless() {
    let home = home();
    for object in make(&home) {
        let mut parts = Parts::new(&object);
        for at in 0..SEAL {
            let own = parts.header[at];
            for value in 0..=255 {
                parts.header[at] = value;
                let bytes = parts.sealed();
                if let Ok(written) = again(object.name, &bytes, &home) {
                    assert!(written == bytes, "{} byte {at} = {value}", object.name);
                    // Names of keys and requests are the user's; nothing else may change.
                    assert!(
                        value == own || (48..80).contains(&at),
                        "{} byte {at}",
                        object.name
                    );
                }
            }
            parts.header[at] = own;
        }
        assert!(parts.sealed()[..HEADER] == object.bytes[..HEADER]);
    }
}
