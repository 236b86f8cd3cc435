//! The file formats: what was written by this version stays readable, and no bytes whatever do harm.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]
#![cfg(feature = "fallback")]

use std::path::{Path, PathBuf};

use cipherformer::{
    arith::Complex,
    backend::cpu::Cpu,
    ckks::{Ciphertext, Ckks, Evaluator, Release, SeededCiphertext},
    ring::{ChainKind, insecure_chain},
    rlwe::{Context, KeyNeeds, Level, Params, PublicKey, SecretKey, SeededEvaluationKeys, Spec},
    wire::{self, Detail, Existing, Kind, Name, Record, Stamp, WireError},
};

const HEADER: usize = 88;

fn spec() -> Spec {
    let chain = insecure_chain("insecure_n4_rational40_l3_d2").unwrap();
    Spec { chain }
}

fn context() -> Context<Cpu> {
    Context::new(Cpu::poisoned(), Params::insecure(spec()).unwrap()).unwrap()
}

fn values() -> Vec<Complex> {
    (0..16).map(|i| Complex::new(f64::from(i) / 16.0, -0.5)).collect()
}

/// The six files, from a key that everybody can compute.
fn make(ctx: &Context<Cpu>) -> Vec<(&'static str, Vec<u8>)> {
    let key = SecretKey::insecure_deterministic(ctx, [7; 32]).unwrap();
    let stamp = Stamp {
        key: Name(key.name()),
        request: Name::default(),
    };
    let asked = Stamp {
        request: Name(*b"sixteen bytes ok"),
        ..stamp
    };
    let needs = KeyNeeds::new(ctx.params()).relinearise().rotate([1, -2]);
    let needs = needs.up_to(Level(1)).conjugate();
    let keys = key.evaluation_keys(&needs).unwrap();
    let ckks = Ckks::new(ctx);
    let sent = ckks.encrypt(&key, &values(), 2, ctx.params().top()).unwrap();
    let x = sent.expand(ctx).unwrap();
    let expanded = keys.expand(ctx).unwrap();
    let square = Evaluator::new(&ckks, &expanded).mul(&x, &x).unwrap();
    let public = key.public_key().unwrap();
    vec![
        (
            "parameters",
            wire::to_bytes(&spec(), &(), Stamp::default()).unwrap(),
        ),
        ("secret_key", wire::to_bytes(&key, ctx, stamp).unwrap()),
        ("public_key", wire::to_bytes(&public, ctx, stamp).unwrap()),
        ("evaluation_keys", wire::to_bytes(&keys, ctx, stamp).unwrap()),
        ("seeded_ciphertexts", wire::to_bytes(&sent, ctx, asked).unwrap()),
        ("ciphertexts", wire::to_bytes(&square, ctx, asked).unwrap()),
    ]
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.bin"))
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(golden(name)).unwrap()
}

/// Reads an object as the kind that it should be, and writes it again.
fn again(name: &str, bytes: &[u8], ctx: &Context<Cpu>) -> wire::Result<Vec<u8>> {
    fn pass<C, T: Record<C>>(bytes: &[u8], home: &C) -> wire::Result<Vec<u8>> {
        let (value, stamp): (T, Stamp) = wire::from_bytes(bytes, home)?;
        wire::to_bytes(&value, home, stamp)
    }
    match name {
        "parameters" => pass::<(), Spec>(bytes, &()),
        "secret_key" => pass::<_, SecretKey<Cpu>>(bytes, ctx),
        "public_key" => pass::<_, PublicKey<Cpu>>(bytes, ctx),
        "evaluation_keys" => pass::<_, SeededEvaluationKeys<Cpu>>(bytes, ctx),
        "seeded_ciphertexts" => pass::<_, SeededCiphertext<Cpu>>(bytes, ctx),
        _ => pass::<_, Ciphertext<Cpu>>(bytes, ctx),
    }
}

/// `CIPHERFORMER_WRITE_GOLDEN=1 cargo test --test wire` writes the files anew.
#[test]
fn golden_files_of_version_1_are_what_is_written_and_read() {
    let ctx = context();
    for (name, bytes) in make(&ctx) {
        if std::env::var_os("CIPHERFORMER_WRITE_GOLDEN").is_some() {
            std::fs::write(golden(name), &bytes).unwrap();
        }
        assert!(read(name) == bytes, "{name}: this version writes other bytes");
        assert!(
            again(name, &bytes, &ctx).unwrap() == bytes,
            "{name}: reading and writing"
        );
        let summary = wire::inspect(&golden(name)).unwrap();
        assert_eq!((summary.version, summary.bytes), (1, bytes.len() as u64));
        assert_eq!(summary.parameters, "insecure_n4_rational40_l3_d2");
        match (name, summary.detail) {
            ("parameters", Detail::Parameters(spec)) => assert_eq!(spec.chain.kind, ChainKind::Rational),
            ("evaluation_keys", Detail::EvaluationKeys { count }) => assert_eq!(count, 4),
            ("ciphertexts", Detail::Ciphertexts { items, polys, .. }) => assert_eq!((items, polys), (2, 3)),
            ("seeded_ciphertexts", Detail::Ciphertexts { slots, .. }) => assert_eq!(slots, 8),
            (_, Detail::Key) => {}
            (name, detail) => panic!("{name}: {detail:?}"),
        }
    }
}

#[test]
fn loaded_objects_compute() {
    let ctx = context();
    let ckks = Ckks::new(&ctx);
    let (key, _): (SecretKey<Cpu>, _) = wire::from_bytes(&read("secret_key"), &ctx).unwrap();
    let (keys, _): (SeededEvaluationKeys<Cpu>, _) = wire::from_bytes(&read("evaluation_keys"), &ctx).unwrap();
    let (public, _): (PublicKey<Cpu>, _) = wire::from_bytes(&read("public_key"), &ctx).unwrap();
    let (sent, stamp): (SeededCiphertext<Cpu>, _) =
        wire::from_bytes(&read("seeded_ciphertexts"), &ctx).unwrap();
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

/// Two loads of one secret must never encrypt with the same errors: their difference would be a multiple of the secret alone.
#[test]
fn a_loaded_key_draws_fresh_errors() {
    let ctx = context();
    let encrypt = || {
        let (key, _): (SecretKey<Cpu>, _) = wire::from_bytes(&read("secret_key"), &ctx).unwrap();
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

#[test]
fn faults_have_their_own_errors() {
    let ctx = context();
    let bytes = read("ciphertexts");
    let load = |bytes: &[u8]| wire::from_bytes::<_, Ciphertext<Cpu>>(bytes, &ctx).map(|_| ());
    let with = |at: usize, new: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        load(&reseal(bytes)).unwrap_err()
    };
    assert!(matches!(with(0, b"x"), WireError::Magic { .. }));
    assert!(matches!(with(8, &[2]), WireError::Version { found: 2, known: 1 }));
    assert!(matches!(with(10, &[9]), WireError::UnknownKind { found: 9 }));
    assert!(matches!(
        with(10, &[1]),
        WireError::Kind {
            wanted: Kind::Ciphertexts,
            ..
        }
    ));
    assert!(matches!(with(11, &[1]), WireError::Field { .. }));
    assert!(matches!(with(16, &[0; 32]), WireError::Parameters { .. }));
    assert!(matches!(with(80, &[0xff; 8]), WireError::Length { .. }));
    let field = |at: usize, value: u32, word: &str| {
        let message = with(HEADER + at, &value.to_le_bytes()).to_string();
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
    assert!(matches!(load(&bytes[..80]), Err(WireError::Length { .. })));
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(load(&longer), Err(WireError::Length { .. })));
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert!(matches!(load(&flipped), Err(WireError::Checksum { .. })));
    let residues = HEADER + 16 + 10;
    let message = with(residues + 12, &[0xff; 8]).to_string();
    assert!(message.contains("not below its prime"), "{message}");
    let keys = |at: usize, new: u32| {
        let mut bytes = read("evaluation_keys");
        bytes[HEADER + at..HEADER + at + 4].copy_from_slice(&new.to_le_bytes());
        let loaded = wire::from_bytes::<_, SeededEvaluationKeys<Cpu>>(&reseal(bytes), &ctx);
        loaded.map(|_| ()).unwrap_err().to_string()
    };
    assert!(keys(0, u32::MAX).contains("number of keys"));
    assert!(keys(20, 4).contains("odd number"));
    assert!(keys(20, 33).contains("odd number"));
    assert!(keys(20, 1).contains("odd number"));
    assert!(keys(36, 5).contains("ascend"), "{}", keys(36, 5));
    assert!(keys(24, 4).contains("no key goes beyond level 3"));
    assert!(keys(28, 0).contains("offset"));
    let mut secret = read("secret_key");
    secret[HEADER] ^= 1;
    let loaded = wire::from_bytes::<_, SecretKey<Cpu>>(&reseal(secret), &ctx);
    assert!(matches!(loaded, Err(WireError::KeyName { .. })));
}

#[test]
fn a_file_is_kept_unless_told_otherwise_and_secrets_are_private() {
    let ctx = context();
    let dir = std::env::temp_dir().join(format!("cipherformer-wire-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("secret.key");
    let key = SecretKey::generate(&ctx).unwrap();
    let stamp = Stamp {
        key: Name(key.name()),
        ..Stamp::default()
    };
    wire::save(&path, &key, &ctx, stamp, Existing::Keep).unwrap();
    let first = std::fs::read(&path).unwrap();
    let refused = wire::save(&path, &key, &ctx, stamp, Existing::Keep).unwrap_err();
    assert!(refused.to_string().contains("exists already"), "{refused}");
    let other = SecretKey::generate(&ctx).unwrap();
    let stamp = Stamp {
        key: Name(other.name()),
        ..Stamp::default()
    };
    wire::save(&path, &other, &ctx, stamp, Existing::Replace).unwrap();
    assert!(std::fs::read(&path).unwrap() != first);
    let loaded: (SecretKey<Cpu>, Stamp) = wire::load(&path, &ctx).unwrap();
    assert_eq!(loaded.0.name(), other.name());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // A ciphertext that cannot be written leaves nothing behind.
    let (ct, _): (Ciphertext<Cpu>, _) = wire::from_bytes(&read("ciphertexts"), &ctx).unwrap();
    let unusable = ct.divided_by_pow2(4000).unwrap();
    let bad = wire::save(&dir.join("bad.ct"), &unusable, &ctx, stamp, Existing::Keep);
    assert!(bad.unwrap_err().to_string().contains("scale"));
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
    std::fs::remove_dir_all(dir).unwrap();
}

/// A valid checksum for whatever comes before it.
fn reseal(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len().saturating_sub(32);
    let digest = blake3::hash(&bytes[..end]);
    bytes.truncate(end);
    bytes.extend(digest.as_bytes());
    bytes
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 11) as usize % n.max(1)
    }
}

/// Sets the payload length to what there is.
fn resize(mut bytes: Vec<u8>) -> Vec<u8> {
    let payload = bytes.len().saturating_sub(HEADER + 32) as u64;
    if bytes.len() >= HEADER {
        bytes[80..HEADER].copy_from_slice(&payload.to_le_bytes());
    }
    reseal(bytes)
}

fn mutate(random: &mut Random, original: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    // Half of all mutations hit the header and the fields, where most decisions are made.
    let reach = if random.below(2) == 0 {
        bytes.len()
    } else {
        bytes.len().min(200)
    };
    let at = random.below(reach);
    match random.below(9) {
        0 => {
            bytes[at] ^= 1 << random.below(8);
            bytes
        }
        1 => {
            bytes[at] ^= 1 << random.below(8);
            reseal(bytes)
        }
        2 => {
            bytes.truncate(random.below(bytes.len()));
            bytes
        }
        3 => {
            bytes.truncate(random.below(bytes.len()));
            resize(bytes)
        }
        4 => {
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
            let value = extremes[random.below(extremes.len())].to_le_bytes();
            let width = [1, 2, 4, 8][random.below(4)].min(bytes.len() - at);
            bytes[at..at + width].copy_from_slice(&value[..width]);
            reseal(bytes)
        }
        5 => {
            let (from, len) = (random.below(other.len()), 1 + random.below(64));
            let part = &other[from..(from + len).min(other.len())];
            let len = part.len().min(bytes.len() - at);
            bytes[at..at + len].copy_from_slice(&part[..len]);
            reseal(bytes)
        }
        6 => {
            let mut spliced = bytes[..at].to_vec();
            spliced.extend(&other[at.min(other.len())..]);
            resize(spliced)
        }
        7 => {
            bytes[10] = random.next() as u8 % 8;
            if random.below(2) == 0 {
                let value = random.next() >> random.below(64);
                bytes[80..HEADER].copy_from_slice(&value.to_le_bytes());
            }
            reseal(bytes)
        }
        _ => {
            let len = random.below(80).min(bytes.len() - at);
            let part = bytes[at..at + len].to_vec();
            let place = random.below(bytes.len());
            if random.below(2) == 0 {
                bytes.drain(at..at + len);
            } else {
                bytes.splice(place..place, part);
            }
            resize(bytes)
        }
    }
}

/// The most memory that this process ever had, in bytes; `None` where the system does not say.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Every mutation is refused, or is itself a well-formed file: reading and writing gives its very bytes.
#[test]
fn mutated_files_are_refused_or_well_formed() {
    let ctx = context();
    let files = make(&ctx);
    let before = peak();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for (name, original) in &files {
        let (mut refused, mut accepted) = (0, 0);
        for _ in 0..100_000 {
            let other = random.below(files.len());
            let bytes = mutate(&mut random, original, &files[other].1);
            match again(name, &bytes, &ctx) {
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
        assert!(refused > 40_000, "{name}: {refused} refused, {accepted} accepted");
    }
    if let (Some(before), Some(after)) = (before, peak()) {
        assert!(
            after - before < 64 << 20,
            "{} bytes more at the peak",
            after - before
        );
    }
}
