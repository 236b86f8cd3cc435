//! Any bytes, as a file: refused with a message, or read and written again byte for byte.

use std::{cell::RefCell, fs, path::PathBuf};

use cipherformer::{
    backend::Backend,
    ckks::{Ciphertext, SeededCiphertext},
    rlwe::{Context, PublicKey, SecretKey, SeededEvaluationKeys, Spec},
    wire::{self, Record, Stamp, Summary, VERSION},
};

use crate::home;

/// The highest number of a kind, and one more.
const KINDS: std::ops::RangeInclusive<u8> = 1..=7;

fn pass<C, T: Record<C>>(bytes: &[u8], home: &C) -> wire::Result<Vec<u8>> {
    let (value, stamp): (T, Stamp) = wire::from_bytes(bytes, home)?;
    wire::to_bytes(&value, home, stamp)
}

/// Reads a file as a kind and writes what it held; none for a kind that there is not.
pub fn again<B: Backend>(kind: u8, bytes: &[u8], ctx: &Context<B>) -> Option<wire::Result<Vec<u8>>> {
    Some(match kind {
        1 => pass::<(), Spec>(bytes, &()),
        2 => pass::<_, SecretKey<B>>(bytes, ctx),
        3 => pass::<_, PublicKey<B>>(bytes, ctx),
        4 => pass::<_, SeededEvaluationKeys<B>>(bytes, ctx),
        5 => pass::<_, SeededCiphertext<B>>(bytes, ctx),
        6 => pass::<_, Ciphertext<B>>(bytes, ctx),
        _ => return None,
    })
}

/// A file of this process that every input is written to, for readers that take a path.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = {
        // In memory where the system offers that.
        let memory = PathBuf::from("/dev/shm");
        let dir = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let thread = format!("{:?}", std::thread::current().id()).replace(|c: char| !c.is_ascii_digit(), "");
        RefCell::new(Scratch(dir.join(format!("cipherformer-fuzz-{}-{thread}", std::process::id()))))
    };
}

fn inspect(bytes: &[u8]) -> wire::Result<Summary> {
    SCRATCH.with_borrow(|scratch| {
        fs::write(&scratch.0, bytes).unwrap();
        wire::inspect(&scratch.0)
    })
}

/// Whether the file was accepted as some kind.
pub fn parse(bytes: &[u8]) -> bool {
    let ctx = home::of(bytes).context();
    let summary = inspect(bytes);
    if let Err(error) = &summary {
        assert!(!error.to_string().is_empty());
    }
    let mut accepted = false;
    for kind in KINDS {
        let Some(result) = again(kind, bytes, ctx) else {
            continue;
        };
        match result {
            Err(error) => assert!(!error.to_string().is_empty()),
            Ok(written) => {
                accepted = true;
                assert_eq!(bytes[10], kind, "read as another kind");
                let summary = summary.as_ref().unwrap();
                assert_eq!(summary.bytes, bytes.len() as u64);
                if bytes[8..10] == VERSION.to_le_bytes() {
                    assert!(written == bytes, "written otherwise than it was read");
                } else {
                    // An older version is written as the present one, and that is read back.
                    let once_more = again(kind, &written, ctx).unwrap().unwrap();
                    assert!(once_more == written, "the present version is read otherwise");
                }
            }
        }
    }
    accepted
}
