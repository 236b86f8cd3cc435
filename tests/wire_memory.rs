//! How much memory readers take: never more than the file has bytes, and 64 MiB.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]
#![cfg(feature = "fallback")]

#[allow(dead_code, reason = "shared with another test")]
#[path = "wire/objects.rs"]
mod objects;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use cipherformer::{
    backend::cpu::Cpu,
    ring::Galois,
    rlwe::{Context, KeyNeeds, Level, MissingKey, Params, SecretKey, SeededEvaluationKeys},
    wire::{self, Existing, KeyFile, Name, Stamp},
};
use objects::{Object, Parts, SEAL, again, home, make, model};

/// The system's allocator, counting what is held and the most that ever was.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(held, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Tests that measure run one at a time.
static TURN: Mutex<()> = Mutex::new(());

/// The most that `run` held above what was held before, and its result.
fn peak<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let before = HELD.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = run();
    (PEAK.load(Relaxed).saturating_sub(before), result)
}

const MIB: usize = 1 << 20;

/// Any number anywhere in header and first section, under valid checksums, so that nothing but the number itself can be refused.
#[test]
fn absurd_numbers_take_no_memory() {
    let _turn = TURN.lock().unwrap();
    let home = home();
    let backends = [home.ctx.backend(), home.bfv.context().backend()];
    let mut objects = make(&home);
    objects.push(model(&home.ctx));
    let mut most = 0;
    for object in &objects {
        let parts = Parts::new(object);
        let fields = parts.sections[0].len().min(300);
        // The model is large, and its numbers are at the start.
        let step = if object.name == "model" { 4 } else { 1 };
        for at in (0..SEAL + fields).step_by(step) {
            for value in [u64::MAX, 0x7fff_ffff, 0xffff_ffff, 1 << 20, 1 << 40] {
                for width in [2, 4, 8] {
                    let mut parts = parts.clone();
                    let (bytes, at) = match at.checked_sub(SEAL) {
                        None => (&mut parts.header, at),
                        Some(at) => (&mut parts.sections[0], at),
                    };
                    let end = (at + width).min(bytes.len());
                    bytes[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
                    let bytes = parts.sealed();
                    let (took, _) = taken(&backends, || again(object.name, &bytes, &home).is_ok());
                    assert!(took <= bytes.len() + 64 * MIB, "{}: {took} bytes", object.name);
                    // What is written again counts as well: four times the file is plenty for rings this small.
                    assert!(took <= 8 * bytes.len() + MIB, "{}: {took} bytes", object.name);
                    most = most.max(took);
                }
            }
        }
    }
    println!("most memory taken: {most} bytes");
}

/// The most that `f` takes, with what backends map past the allocator.
fn taken<T>(backends: &[&Cpu], f: impl FnOnce() -> T) -> (usize, T) {
    let mapped = || backends.iter().map(|b| b.mapped_bytes()).sum::<usize>();
    let before = mapped();
    let (most, value) = peak(f);
    (most + mapped() - before, value)
}

struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Twelve keys of the language model's chain, 21 MB in a file.
fn key_file(ctx: &Context<Cpu>) -> (Temporary, usize) {
    let key = SecretKey::insecure_deterministic(ctx, [3; 32]).unwrap();
    let needs = KeyNeeds::new(ctx.params()).relinearise().rotate(1..12);
    let keys = key.evaluation_keys(&needs).unwrap();
    let stamp = Stamp {
        key: Name(key.name()),
        ..Stamp::default()
    };
    let path = std::env::temp_dir().join(format!("cipherformer-memory-{}.keys", std::process::id()));
    let place = Temporary(path);
    wire::save(&place.0, &keys, ctx, stamp, Existing::Replace).unwrap();
    let bytes = std::fs::metadata(&place.0).unwrap().len() as usize;
    (place, bytes)
}

/// A whole file takes the memory of its residues; one key of it, that of one key; a truncated one, less.
#[test]
fn keys_take_the_memory_of_those_that_are_loaded() {
    let _turn = TURN.lock().unwrap();
    // A backend keeps freed memory for the next call, so that every measurement takes one of its own.
    let fresh = || Context::new(Cpu::new(), Params::shipped("langid").unwrap()).unwrap();
    let (place, file_bytes) = key_file(&fresh());

    let ctx = fresh();
    let (whole, loaded) = taken(&[ctx.backend()], || {
        wire::load::<_, SeededEvaluationKeys<Cpu>>(&place.0, &ctx).unwrap()
    });
    let residues = loaded.0.bytes(&ctx);
    assert!(whole <= file_bytes + 64 * MIB);
    assert!(whole <= residues + 4 * MIB, "{whole} bytes for {residues}");
    let (inspected, _) = peak(|| wire::inspect(&place.0).unwrap());
    assert!(inspected <= MIB, "{inspected} bytes to inspect");

    let purpose = MissingKey::Galois(Galois::rotation(3, ctx.log_n()));
    let mut one = Vec::new();
    for level in [4, 2, 0] {
        let ctx = fresh();
        let (opened, file) = taken(&[ctx.backend()], || KeyFile::open(&place.0, &ctx).unwrap());
        assert!(opened <= MIB, "{opened} bytes to open");
        let (took, key) = taken(&[ctx.backend()], || file.load_key(purpose, Level(level)).unwrap());
        let own = key.bytes(&ctx);
        // The key, and one digit of it on its way.
        assert!(took >= own, "{level}: {took} bytes for {own}");
        assert!(took <= 2 * own + MIB, "{level}: {took} bytes for {own}");
        one.push((took, own));
    }
    assert!(one[0] > one[1] && one[1] > one[2], "{one:?}");
    assert!(7 * one[0].0 < whole, "{one:?}");
    println!("file {file_bytes}, whole {whole}, residues {residues}, inspected {inspected}, one key {one:?}");
}

/// A file that claims to be longer than it is, or to hold more than it does, is refused before memory is taken for it.
#[test]
fn claims_of_size_take_no_memory() {
    let _turn = TURN.lock().unwrap();
    let home = home();
    let backends = [home.ctx.backend(), home.bfv.context().backend()];
    for object in make(&home) {
        let Object { name, sections, .. } = &object;
        for claimed in [1 << 30, 1 << 40, u64::MAX] {
            let mut parts = Parts::new(&object);
            for (at, value) in [(80, claimed), (88, claimed), (80, sections[0] + 32)] {
                let own = parts.header.clone();
                parts.header[at..at + 8].copy_from_slice(&value.to_le_bytes());
                let bytes = parts.sealed();
                let single = sections.len() == 1 && value == sections[0] + 32;
                let (took, accepted) = taken(&backends, || again(name, &bytes, &home).is_ok());
                assert_eq!(accepted, single, "{name}");
                assert!(took < MIB, "{name}: {took} bytes");
                parts.header = own;
            }
        }
    }
}
