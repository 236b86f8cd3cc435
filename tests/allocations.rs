//! Warm operations take no memory for rows: what they need comes back to the pool, and comes out of it again.

#![cfg(feature = "fallback")]
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use cipherformer::{
    arith::Complex,
    backend::cpu::Cpu,
    bfv::{self, Bfv, Packing},
    ckks::{Ckks, Evaluator},
    ring::insecure_chain,
    rlwe::{Context, KeyNeeds, Params, SecretKey, Spec},
};

/// The system's allocator, with a count of bytes.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);

fn count(bytes: usize) {
    BYTES.fetch_add(bytes, Ordering::Relaxed);
    LARGEST.fetch_max(bytes, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        unsafe { System.realloc(at, layout, size) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What describes a result beside its rows: its scale, the owner of its memory. In bytes.
const SMALL: usize = 1024;

/// Runs the operation until memory is warm, then demands that it takes next to none, and no piece above half a kibibyte.
fn assert_warm<T>(name: &str, operation: impl Fn() -> T) {
    for _ in 0..3 {
        drop(operation());
    }
    BYTES.store(0, Ordering::Relaxed);
    LARGEST.store(0, Ordering::Relaxed);
    let result = operation();
    let (bytes, largest) = (BYTES.load(Ordering::Relaxed), LARGEST.load(Ordering::Relaxed));
    drop(result);
    println!("{name}: {bytes} bytes, the largest piece {largest}");
    assert!(
        bytes <= SMALL && largest <= 512,
        "{name}: {bytes} bytes, the largest piece {largest}"
    );
}

fn ckks() {
    let chain = insecure_chain("insecure_n12_rational40_l4_d2").unwrap();
    let params = Params::insecure(Spec { chain }).unwrap();
    let ckks = Ckks::new(&Context::new(Cpu::new(), params.clone()).unwrap());
    let sk = SecretKey::generate(ckks.context()).unwrap();
    let needs = KeyNeeds::new(&params).relinearise().rotate([1, 2, 3]);
    let keys = sk
        .evaluation_keys(&needs)
        .unwrap()
        .expand(ckks.context())
        .unwrap();
    let ev = Evaluator::new(&ckks, &keys);
    let values: Vec<Complex> = (0..ckks.max_slots())
        .map(|i| Complex::new(i as f64, 1.0))
        .collect();
    let x = ckks
        .encrypt(&sk, &values, 1, params.top())
        .unwrap()
        .expand(ckks.context())
        .unwrap();
    let plain = ckks.encode(&values, 1, params.top(), x.scale()).unwrap();
    let product = ev.mul(&x, &x).unwrap();
    assert_warm("mul", || ev.mul(&x, &x).unwrap());
    assert_warm("relinearise_rescale", || {
        ev.relinearise_rescale(&product).unwrap()
    });
    assert_warm("rotate", || ev.rotate(&x, 1).unwrap());
    assert_warm("rotate_hoisted", || ev.rotate_hoisted(&x, &[1, 2, 3]).unwrap());
    assert_warm("mul_plain", || ev.mul_plain(&x, &plain).unwrap());
    assert_warm("add", || ev.add(&x, &x).unwrap());
}

fn bfv() {
    let params = bfv::Params::new(bfv::Spec::n13(1_073_479_681)).unwrap();
    let bfv = Bfv::new(Cpu::new(), params).unwrap();
    let (ctx, top) = (bfv.context(), bfv.params().top());
    let sk = SecretKey::generate(ctx).unwrap();
    let needs = KeyNeeds::new(bfv.params().rlwe()).relinearise().rotate([1]);
    let keys = sk.evaluation_keys(&needs).unwrap().expand(ctx).unwrap();
    let ev = bfv::Evaluator::new(&bfv, &keys);
    let values: Vec<u64> = (0..bfv.params().degree() as u64).collect();
    let x = bfv
        .encrypt(&sk, Packing::Slots, &values, 1, top)
        .unwrap()
        .expand(ctx)
        .unwrap();
    let product = ev.mul(&x, &x).unwrap();
    assert_warm("bfv mul", || ev.mul(&x, &x).unwrap());
    assert_warm("bfv relinearise", || ev.relinearise(&product).unwrap());
    assert_warm("bfv rotate", || ev.rotate_columns(&x, 1).unwrap());
}

/// One test, since the count is one for the whole process.
#[test]
fn warm_operations_take_no_memory_for_rows() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        ckks();
        bfv();
    });
}
