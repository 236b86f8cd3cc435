//! Any bytes, as a file: refused with a message, or read and written again byte for byte.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cipherformer::{
    backend::cpu::Cpu,
    bfv,
    circuit::bootstrap::SeededBootstrapKeys,
    ckks::{Ciphertext, SeededCiphertext},
    matmul::coefficient::{Outputs, Weights},
    model::Quantised,
    rlwe::{Context, Level, PublicKey, SecretKey, SeededEvaluationKeys, SeededRaiseKeys, Spec},
    wire::{self, KeyFile, Reader, Record, Stamp, VERSION},
};

use crate::home::{self, BFV, PLAN};

/// The numbers of kinds, and one that there is not.
const KINDS: std::ops::RangeInclusive<u8> = 1..=15;

fn pass<C, T: Record<C>>(bytes: &[u8], home: &C) -> wire::Result<Vec<u8>> {
    let (value, stamp): (T, Stamp) = wire::from_bytes(bytes, home)?;
    wire::to_bytes(&value, home, stamp)
}

/// Reads a file as a kind and writes what it held; none for a kind that there is not.
pub fn again(kind: u8, bytes: &[u8]) -> Option<wire::Result<Vec<u8>>> {
    let (ctx, bfv) = (home::context(bytes), &BFV.scheme);
    Some(match kind {
        1 => pass::<(), Spec>(bytes, &()),
        2 => pass::<_, SecretKey<Cpu>>(bytes, ctx),
        3 => pass::<_, PublicKey<Cpu>>(bytes, ctx),
        4 => pass::<_, SeededEvaluationKeys<Cpu>>(bytes, ctx),
        5 => pass::<_, SeededCiphertext<Cpu>>(bytes, ctx),
        6 => pass::<_, Ciphertext<Cpu>>(bytes, ctx),
        7 => pass::<(), bfv::Spec>(bytes, &()),
        8 => pass::<_, bfv::SeededCiphertext<Cpu>>(bytes, bfv),
        9 => pass::<_, bfv::Ciphertext<Cpu>>(bytes, bfv),
        10 => pass::<_, Quantised>(bytes, ctx),
        11 => pass::<_, Weights>(bytes, &PLAN.1),
        12 => pass::<_, Outputs<Cpu>>(bytes, &*PLAN),
        13 => pass::<_, SeededRaiseKeys<Cpu>>(bytes, ctx),
        14 => pass::<_, SeededBootstrapKeys<Cpu>>(bytes, ctx),
        _ => return None,
    })
}

/// A file of this thread that every input is written to, for readers that take a path.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

thread_local! {
    static SCRATCH: Scratch = {
        // In memory where the system offers that.
        let memory = PathBuf::from("/dev/shm");
        let dir = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let thread = format!("{:?}", std::thread::current().id());
        let thread: String = thread.chars().filter(char::is_ascii_digit).collect();
        Scratch(dir.join(format!("cipherformer-fuzz-{}-{thread}", std::process::id())))
    };
}

/// Whether a file of keys opens and every key of it loads, at its own level and truncated.
fn key_by_key(path: &Path, ctx: &Context<Cpu>) -> wire::Result<()> {
    let file = KeyFile::open(path, ctx)?;
    for key in file.index() {
        for level in 0..=key.level.0 {
            file.load_key(key.purpose, Level(level))?;
        }
        let beyond = Level(key.level.0 + 1);
        assert!(file.load_key(key.purpose, beyond).is_err());
    }
    Ok(())
}

/// The frames of a file, each written again; as many as are read without a fault, and whether that was all.
fn frames<C, T: Record<C>>(path: &Path, home: &C) -> (Vec<u8>, bool) {
    let mut written = Vec::new();
    let mut reader = Reader::open(path).unwrap();
    loop {
        match reader.next::<C, T>(home) {
            Ok(Some((value, stamp))) => written.extend(wire::to_bytes(&value, home, stamp).unwrap()),
            Ok(None) => return (written, true),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return (written, false);
            }
        }
    }
}

/// The frames of a file of ciphertexts, one after the other.
fn batches(bytes: &[u8], path: &Path) -> (Vec<u8>, bool) {
    let (ctx, bfv) = (home::context(bytes), &BFV.scheme);
    match bytes.get(10) {
        Some(5) => frames::<_, SeededCiphertext<Cpu>>(path, ctx),
        Some(6) => frames::<_, Ciphertext<Cpu>>(path, ctx),
        Some(8) => frames::<_, bfv::SeededCiphertext<Cpu>>(path, bfv),
        _ => frames::<_, bfv::Ciphertext<Cpu>>(path, bfv),
    }
}

/// Whether the file was accepted as some kind.
pub fn parse(bytes: &[u8]) -> bool {
    SCRATCH.with(|scratch| {
        // A new file each time: one that is mapped is never changed in place.
        let _ = fs::remove_file(&scratch.0);
        fs::write(&scratch.0, bytes).unwrap();
        parse_file(bytes, &scratch.0)
    })
}

fn parse_file(bytes: &[u8], path: &Path) -> bool {
    let summary = wire::inspect(path);
    let keys = key_by_key(path, home::context(bytes));
    for error in [summary.as_ref().err(), keys.as_ref().err()] {
        assert!(error.is_none_or(|e| !e.to_string().is_empty()));
    }
    let mut accepted = None;
    for kind in KINDS {
        match again(kind, bytes) {
            None => {}
            Some(Err(error)) => assert!(!error.to_string().is_empty()),
            Some(Ok(written)) => {
                accepted = Some(kind);
                assert_eq!(bytes[10], kind, "read as another kind");
                let summary = summary.as_ref().unwrap();
                assert_eq!(summary.bytes, bytes.len() as u64);
                if bytes[8..10] == VERSION.to_le_bytes() {
                    assert!(written == bytes, "written otherwise than it was read");
                } else {
                    // An older version is written as the present one, and that is read back.
                    let once_more = again(kind, &written).unwrap().unwrap();
                    assert!(once_more == written, "the present version is read otherwise");
                }
            }
        }
    }
    assert_eq!(keys.is_ok(), accepted == Some(4), "keys one by one: {keys:?}");
    let (written, whole) = batches(bytes, path);
    if bytes.get(8..10) == Some(&VERSION.to_le_bytes()) {
        assert!(!whole || written.len() == bytes.len(), "not all bytes are frames");
        let first = written.len().min(bytes.len());
        assert!(written[..first] == bytes[..first], "frames are written otherwise");
    }
    assert!(!whole || summary.is_ok(), "frames that nobody can inspect");
    accepted.is_some() || whole
}
