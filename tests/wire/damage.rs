//! Damage is found, and its place is told.

use cipherformer::wire::WireError;

use super::objects::{HEADER, Object, again, home, make};

/// The keys of an encapsulation.
const RAISE: [&str; 2] = ["key to the sparse secret", "key from the sparse secret"];

/// The section that a byte of the file belongs to: name, offset and length, its checksum among it.
pub fn section(object: &Object, byte: usize) -> (String, u64, u64) {
    let name = |n: usize| match (object.name, n) {
        ("parameters", _) => "the chain".into(),
        ("bfv_parameters", _) => "the specification".into(),
        ("secret_key", _) => "secret".into(),
        ("public_key", _) => "public key".into(),
        ("raise_keys", n) => RAISE[n].into(),
        (_, 0) => "index".into(),
        ("bootstrap_keys", n @ 1..=2) => RAISE[n - 1].into(),
        ("bootstrap_keys", 3) => "relinearisation key".into(),
        ("bootstrap_keys", _) => "Galois key 5".into(),
        ("evaluation_keys", 1) => "relinearisation key".into(),
        // The rotations by 1 and -2: 5 and 5^6 modulo 32; the conjugation.
        ("evaluation_keys", n) => format!("Galois key {}", [5, 9, 31][n - 2]),
        ("coefficient_weights" | "coefficient_weights_biased", n) => ["weights", "bias"][n - 1].into(),
        (_, n) => format!("ciphertext {n} of {}", object.sections.len() - 1),
    };
    let mut at = HEADER as u64;
    for (n, bytes) in object.sections.iter().enumerate() {
        if (byte as u64) < at + bytes + 32 {
            return (name(n), at, *bytes);
        }
        at += bytes + 32;
    }
    panic!("byte {byte} is behind the end");
}

/// Every bit of every file.
#[test]
fn a_flipped_bit_is_refused_with_the_name_and_offset_of_its_section() {
    let home = home();
    for object in make(&home) {
        let mut bytes = object.bytes.clone();
        for bit in 0..8 * bytes.len() {
            let at = bit / 8;
            bytes[at] ^= 1 << (bit % 8);
            let error = again(object.name, &bytes, &home).unwrap_err();
            bytes[at] ^= 1 << (bit % 8);
            let WireError::Damaged { place } = &error else {
                panic!("{} bit {bit}: {error}", object.name);
            };
            let found = (place.section.clone(), place.offset, place.bytes);
            if at < HEADER {
                assert_eq!(found, ("the header".into(), 0, HEADER as u64));
                continue;
            }
            assert_eq!(found, section(&object, at));
            let message = error.to_string();
            let (name, offset, length) = found;
            for word in [
                &*name,
                &format!("{length} bytes at offset {offset}"),
                "is damaged",
                "fetch the file again",
                place.kind.unwrap().words(),
            ] {
                assert!(message.contains(word), "no {word:?} in {message:?}");
            }
        }
    }
}

/// All 255 other values of every byte of the header.
#[test]
fn every_change_of_the_header_is_refused() {
    let home = home();
    for object in make(&home) {
        let mut bytes = object.bytes.clone();
        for at in 0..HEADER {
            let own = bytes[at];
            for value in (0..=255).filter(|v| *v != own) {
                bytes[at] = value;
                let error = again(object.name, &bytes, &home).unwrap_err();
                // Version 1 has kinds of its own, and a header in which lengths do not fit.
                let expected = match (at, value) {
                    (8, 1) if bytes[10] > 6 => matches!(error, WireError::UnknownKind { most: 6, .. }),
                    (8, 1) => matches!(error, WireError::Length { .. } | WireError::Field { .. }),
                    _ => matches!(error, WireError::Damaged { .. }),
                };
                assert!(expected, "{} byte {at} = {value}: {error}", object.name);
            }
            bytes[at] = own;
        }
    }
}

/// At every boundary, beside it, and with what follows left out.
#[test]
fn a_file_cut_off_at_a_boundary_is_refused() {
    let home = home();
    for object in make(&home) {
        let mut boundaries = vec![0, 8, 10, 88, 96, HEADER];
        for bytes in &object.sections {
            let at = boundaries[boundaries.len() - 1];
            boundaries.extend([at + *bytes as usize, at + *bytes as usize + 32]);
        }
        assert_eq!(boundaries.pop(), Some(object.bytes.len()));
        for at in boundaries {
            for cut in [at.saturating_sub(1), at, at + 1] {
                let error = again(object.name, &object.bytes[..cut], &home).unwrap_err();
                let message = error.to_string();
                let told = message.contains("bytes where") && message.contains("fetch it again");
                assert!(told, "{} cut at {cut}: {message}", object.name);
            }
        }
    }
}

/// A section is at home in one place of one file only.
#[test]
fn sections_cannot_be_exchanged() {
    let home = home();
    let objects = make(&home);
    let keys = objects.iter().find(|o| o.name == "evaluation_keys").unwrap();
    let long = keys.sections[2] as usize + 32;
    let first = HEADER + keys.sections[0] as usize + 32 + keys.sections[1] as usize + 32;
    assert_eq!(keys.sections[2], keys.sections[3]);
    let mut bytes = keys.bytes.clone();
    let (a, b) = bytes[first..first + 2 * long].split_at_mut(long);
    a.swap_with_slice(b);
    let error = again(keys.name, &bytes, &home).unwrap_err();
    assert!(error.to_string().contains("Galois key 5"), "{error}");

    // Ciphertexts of two requests of one client.
    let sent = objects.iter().find(|o| o.name == "seeded_ciphertexts").unwrap();
    let mut other = super::objects::Parts::new(sent);
    other.header[64] ^= 1;
    let other = other.sealed();
    let at = HEADER + sent.sections[0] as usize + 32;
    let mut mixed = sent.bytes.clone();
    mixed[at..].copy_from_slice(&other[at..]);
    let error = again(sent.name, &mixed, &home).unwrap_err();
    assert!(error.to_string().contains("ciphertext 1 of 2"), "{error}");
}
