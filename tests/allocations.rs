//! Warm operations take no memory: what they need comes back to its pool, and comes out of it again.

#![cfg(feature = "fallback")]
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use cipherformer::{
    arith::Complex,
    backend::{Entries, Matrix, cpu::Cpu},
    bfv::{self, Bfv, Packing},
    ckks::{Ciphertext, Ckks, Evaluator},
    ring::insecure_chain,
    rlwe::{Context, EvaluationKeys, KeyNeeds, Level, Params, SecretKey, Spec},
};

/// The system's allocator, with a count of bytes.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

fn count(bytes: usize) {
    BYTES.fetch_add(bytes, Ordering::Relaxed);
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

/// Runs the operation until memory is warm, then demands that it takes this many bytes, all calls together.
fn assert_bytes<T>(name: &str, wanted: usize, operation: impl Fn() -> T) {
    for _ in 0..3 {
        drop(operation());
    }
    BYTES.store(0, Ordering::Relaxed);
    let result = operation();
    let bytes = BYTES.load(Ordering::Relaxed);
    drop(result);
    assert_eq!(bytes, wanted, "{name}: bytes taken when warm");
}

fn assert_none<T>(name: &str, operation: impl Fn() -> T) {
    assert_bytes(name, 0, operation);
}

/// Every operation on a ciphertext of two components, and on its square.
fn evaluator(ckks: &Ckks<Cpu>, keys: &EvaluationKeys<Cpu>, x: &Ciphertext<Cpu>, values: &[Complex]) {
    let ev = Evaluator::new(ckks, keys);
    let plain = ckks.encode(values, 1, x.level(), x.scale()).unwrap();
    let product = ev.mul(x, x).unwrap();
    assert_none("encode", || ckks.encode(values, 1, x.level(), x.scale()).unwrap());
    let matrix = Matrix {
        outputs: 5,
        inputs: 1,
        entries: Entries::I16(&[-300, 2, 3, 4, 5]),
    };
    assert_none("mul_matrix", || ev.mul_matrix(x, matrix, 8).unwrap());
    assert_none("mul", || ev.mul(x, x).unwrap());
    assert_none("inner_products", || ev.inner_products(&[(x, x), (x, x)]).unwrap());
    assert_none("relinearise", || ev.relinearise(&product).unwrap());
    assert_none("relinearise_rescale", || {
        ev.relinearise_rescale(&product).unwrap()
    });
    assert_none("rescale", || ev.rescale(&product).unwrap());
    assert_none("rotate", || ev.rotate(x, 1).unwrap());
    assert_none("conjugate", || ev.conjugate(x).unwrap());
    // The list that is returned.
    let list = 3 * size_of::<Ciphertext<Cpu>>();
    assert_bytes("rotate_hoisted", list, || {
        ev.rotate_hoisted(x, &[1, 2, 3]).unwrap()
    });
    assert_none("mul_plain", || ev.mul_plain(x, &plain).unwrap());
    assert_none("add_plain", || ev.add_plain(x, &plain).unwrap());
    assert_none("inner_product_plain", || {
        ev.inner_product_plain(&[(x, &plain); 20]).unwrap()
    });
    assert_none("add", || ev.add(x, x).unwrap());
    assert_none("sub", || ev.sub(x, x).unwrap());
    assert_none("neg", || ev.neg(x).unwrap());
    assert_none("mul_i", || ev.mul_i(x).unwrap());
    assert_none("add_const", || ev.add_const(x, 0.5, -2.0).unwrap());
    assert_none("mul_const", || ev.mul_const(x, 0.5, x.scale()).unwrap());
}

fn ckks() {
    let chain = insecure_chain("insecure_n12_rational40_l4_d2").unwrap();
    let params = Params::insecure(Spec { chain }).unwrap();
    let ckks = Ckks::new(&Context::new(Cpu::new(), params.clone()).unwrap());
    let sk = SecretKey::generate(ckks.context()).unwrap();
    let needs = KeyNeeds::new(&params).relinearise().rotate([1, 2, 3]).conjugate();
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
    evaluator(&ckks, &keys, &x, &values);
    // Further down, where scales have many primes.
    let square = |x| ev.relinearise_rescale(&ev.mul(x, x).unwrap()).unwrap();
    let low = square(&square(&x));
    assert!(low.scale().prime_exponents().count() > 1);
    evaluator(&ckks, &keys, &low, &values);
}

/// Levels whose primes are all among those of the level above.
fn drops() {
    let chain = insecure_chain("insecure_n12_pair55_l3_d3").unwrap();
    let params = Params::insecure(Spec { chain }).unwrap();
    let ckks = Ckks::new(&Context::new(Cpu::new(), params.clone()).unwrap());
    let sk = SecretKey::generate(ckks.context()).unwrap();
    let keys = EvaluationKeys::none();
    let ev = Evaluator::new(&ckks, &keys);
    let x = ckks.encrypt(&sk, &[Complex::default()], 1, params.top()).unwrap();
    let x = x.expand(ckks.context()).unwrap();
    assert_none("drop_to", || ev.drop_to(&x, Level(1)).unwrap());
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
    let factor = bfv.factor(Packing::Slots, &values, 1, top).unwrap();
    assert_none("bfv add", || ev.add(&x, &x).unwrap());
    assert_none("bfv mul", || ev.mul(&x, &x).unwrap());
    assert_none("bfv relinearise", || ev.relinearise(&product).unwrap());
    assert_none("bfv rotate", || ev.rotate_columns(&x, 1).unwrap());
    let list = 2 * size_of::<bfv::Ciphertext<Cpu>>();
    assert_bytes("bfv rotate_columns_many", list, || {
        ev.rotate_columns_many(&x, &[1, 1]).unwrap()
    });
    assert_none("bfv mul_plain", || ev.mul_plain(&x, &factor).unwrap());
    assert_none("bfv inner_product_plain", || {
        ev.inner_product_plain(&[(&x, &factor); 20]).unwrap()
    });
}

/// One test, since the count is one for the whole process.
#[test]
fn warm_operations_take_no_memory() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        ckks();
        drops();
        bfv();
    });
}
