//! The CUDA backend, on a GPU or on the driver of `cargo xtask emu` (LD_LIBRARY_PATH names its folder).
//!
//! Without a driver the tests are skipped and say so; with CIPHERFORMER_REQUIRE_CUDA=1 that is a failure. CIPHERFORMER_SCOPE:
//! `quick`, `full` (default) or `large` (to N = 2^16 in addition).

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use std::process::ExitCode;

use cipherformer::{
    arith::{Complex, ntt_primes},
    backend::{
        Backend, BackendError, Mut, Ref, Span, compact,
        conformance::{Report, Scope, run},
        cpu::Cpu,
        cuda::Cuda,
    },
    ckks::{Ckks, Evaluator},
    ring::{Basis, ChainKind, ChainSpec, build},
    rlwe::{Context, KeyNeeds, Params, SecretKey, Spec},
};
use libloading::{Library, Symbol};
use libtest_mimic::{Arguments, Failed, Trial};

/// What the emulated driver is called, so that no reader takes its passes for those of a GPU.
const EMULATION: &str = "CPU emulation";

fn open() -> Cuda {
    Cuda::open(0).unwrap()
}

fn judged(report: &Report) -> Result<(), Failed> {
    println!("{}: {report}", open().capabilities().device);
    if report.passed() {
        Ok(())
    } else {
        Err(report.to_string().into())
    }
}

fn conformance() -> Result<(), Failed> {
    let scope = match std::env::var("CIPHERFORMER_SCOPE").as_deref() {
        Ok("quick") => Scope::quick(),
        _ => Scope::full(),
    };
    judged(&run(open, &scope))
}

fn conformance_of_large_rings() -> Result<(), Failed> {
    let scope = Scope {
        log_n: vec![13, 14, 15, 16],
        items: vec![1],
    };
    judged(&run(open, &scope))
}

/// Both directions at the degrees of the two passes, against the CPU.
fn transforms() -> Result<(), Failed> {
    fn run<B: Backend>(b: &B, basis: &Basis, span: Span, words: &[u32]) -> [Vec<u32>; 2] {
        let tables = b.tables(basis).unwrap();
        let mut buffer = b.alloc(basis.log_n(), span.count()).unwrap();
        b.upload(Mut::new(&mut buffer, span), words).unwrap();
        let mut results = [words.to_vec(), words.to_vec()];
        b.ntt(&tables, Mut::new(&mut buffer, span)).unwrap();
        b.download(Ref::new(&buffer, span), &mut results[0]).unwrap();
        b.upload(Mut::new(&mut buffer, span), words).unwrap();
        b.intt(&tables, Mut::new(&mut buffer, span)).unwrap();
        b.download(Ref::new(&buffer, span), &mut results[1]).unwrap();
        results
    }
    let degrees = match std::env::var("CIPHERFORMER_SCOPE").as_deref() {
        Ok("quick") => 12..=12,
        _ => 12..=17,
    };
    for log_n in degrees {
        let primes: Vec<u32> = ntt_primes(log_n, 2, 1 << 30).take(2).collect();
        let basis = Basis::new(log_n, &primes)?;
        let rows = compact(&[1, 0]);
        let span = Span::dense(1, 1, &rows);
        let words: Vec<u32> = (0..2u64 << log_n)
            .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 35) as u32 % primes[1].min(primes[0]))
            .collect();
        let want = run(&Cpu::new(), &basis, span, &words);
        if run(&open(), &basis, span, &words) != want {
            return Err(format!("a transform of 2^{log_n} differs").into());
        }
    }
    Ok(())
}

/// Residues after a product, a merged relinearisation and rescaling, and rotations.
fn circuit<B: Backend>(backend: B) -> Result<Vec<u32>, String> {
    let spec = ChainSpec {
        log_n: 8,
        kind: ChainKind::Rational,
        scale_bits: vec![40.0; 3],
        absorbed_bits: vec![0; 2],
        base_bits: 50.0,
        digits: 2,
        special_margin_bits: 2.0,
        max_log2_qp: Some(4000.0),
    };
    let params = Params::insecure(Spec {
        chain: build(&spec).unwrap(),
    })
    .unwrap();
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let ctx = Context::new(backend, params).map_err(|e| text(&e))?;
    let ckks = Ckks::new(&ctx);
    let sk = SecretKey::insecure_deterministic(&ctx, [7; 32]).map_err(|e| text(&e))?;
    let needs = KeyNeeds::new(ctx.params()).relinearise().rotate([1, 5]);
    let keys = sk.evaluation_keys(&needs).map_err(|e| text(&e))?;
    let keys = keys.expand(&ctx).map_err(|e| text(&e))?;
    let ev = Evaluator::new(&ckks, &keys);
    let values: Vec<Complex> = (0..256).map(|i| Complex::new(i as f64 / 256.0, -0.5)).collect();
    let x = ckks
        .encrypt(&sk, &values, 2, ctx.params().top())
        .map_err(|e| text(&e))?;
    let x = x.expand(&ctx).map_err(|e| text(&e))?;
    let product = ev.mul(&x, &x).map_err(|e| text(&e))?;
    let product = ev.relinearise_rescale(&product).map_err(|e| text(&e))?;
    let mut words = Vec::new();
    for rotated in ev.rotate_hoisted(&product, &[1, 5]).map_err(|e| text(&e))? {
        let view = rotated.rlwe().view();
        let mut own = vec![0; view.span.count() << ctx.log_n()];
        ctx.backend().download(view, &mut own).map_err(|e| text(&e))?;
        words.extend(own);
    }
    Ok(words)
}

fn a_circuit_gives_the_bits_of_the_cpu() -> Result<(), Failed> {
    assert_eq!(circuit(open()).unwrap(), circuit(Cpu::new()).unwrap());
    Ok(())
}

fn a_budget_is_kept() -> Result<(), Failed> {
    let backend = Cuda::with_budget(0, 1 << 20).unwrap();
    let first = backend.alloc(10, 200).unwrap();
    match backend.alloc(10, 100) {
        Err(BackendError::OutOfMemory { wanted, free }) => {
            assert_eq!((wanted, free), (100 << 12, (1 << 20) - (200 << 12)));
        }
        other => return Err(format!("{:?}", other.map(|_| ())).into()),
    }
    drop(first);
    // What was released is given back for a different size.
    backend.alloc(10, 100).unwrap();
    backend.alloc(10, 250).unwrap();
    Ok(())
}

/// The entry points by which the emulated driver is told to fail.
struct Faults {
    driver: Library,
}

impl Faults {
    const ALLOCATIONS: i32 = 0;
    const LAUNCHES: i32 = 1;
    const IMAGES: i32 = 2;

    fn new() -> Self {
        // SAFETY: the library is loaded already.
        let driver = unsafe { Library::new("libcuda.so.1") }.unwrap();
        Self { driver }
    }

    /// After `successes` further calls of this kind all fail; -1 ends it.
    fn plant(&self, kind: i32, successes: i64) {
        // SAFETY: the signature in tools/cuda-emu/driver.cpp.
        unsafe {
            let fail: Symbol<'_, unsafe extern "C" fn(i32, i64)> = self.driver.get(b"emuFail").unwrap();
            fail(kind, successes);
        }
    }

    fn bytes(&self) -> usize {
        // SAFETY: as above.
        unsafe {
            let bytes: Symbol<'_, unsafe extern "C" fn() -> usize> = self.driver.get(b"emuBytes").unwrap();
            bytes()
        }
    }
}

fn every_failing_allocation_is_reported() -> Result<(), Failed> {
    let faults = Faults::new();
    let (before, want) = (faults.bytes(), circuit(open()).unwrap());
    let mut failures = 0;
    for n in 0.. {
        faults.plant(Faults::ALLOCATIONS, n);
        let result = circuit(open());
        faults.plant(Faults::ALLOCATIONS, -1);
        assert_eq!(faults.bytes(), before, "memory is lost when allocation {n} fails");
        match result {
            Ok(words) => {
                assert_eq!(words, want);
                break;
            }
            Err(message) => {
                failures += 1;
                assert!(message.contains("out of device memory"), "{message}");
            }
        }
    }
    println!("{failures} allocations failed in turn");
    assert!(failures > 20, "{failures}");
    Ok(())
}

fn a_failed_launch_loses_the_device_and_says_so() -> Result<(), Failed> {
    let faults = Faults::new();
    let before = faults.bytes();
    for n in [0, 1, 5, 40] {
        faults.plant(Faults::LAUNCHES, n);
        let message = circuit(open()).unwrap_err();
        faults.plant(Faults::LAUNCHES, -1);
        assert!(message.contains("lost"), "{message}");
        assert_eq!(faults.bytes(), before, "memory is lost when launch {n} fails");
    }
    circuit(open()).unwrap();
    Ok(())
}

fn an_image_for_another_device_is_refused() -> Result<(), Failed> {
    let faults = Faults::new();
    faults.plant(Faults::IMAGES, 0);
    let error = Cuda::open(0).err().unwrap().to_string();
    faults.plant(Faults::IMAGES, -1);
    assert!(error.contains("do not load"), "{error}");
    let error = Cuda::open(7).err().unwrap().to_string();
    assert!(error.contains("device 7 does not exist: there are 1"), "{error}");
    Ok(())
}

/// More items than a grid has layers.
fn many_layers() -> Result<(), Failed> {
    let (log_n, items) = (1, 70_000);
    let primes: Vec<u32> = ntt_primes(log_n, 2, 1 << 30).take(1).collect();
    let backend = open();
    let tables = backend.tables(&Basis::new(log_n, &primes)?)?;
    let rows = compact(&[0]);
    let span = Span::dense(items, 1, &rows);
    let words: Vec<u32> = (0..2 * items as u32).collect();
    let mut buffer = backend.alloc(log_n, items)?;
    backend.upload(Mut::new(&mut buffer, span), &words)?;
    let mut doubled = backend.alloc(log_n, items)?;
    backend.mul_const(
        &tables,
        Mut::new(&mut doubled, span),
        Ref::new(&buffer, span),
        &[2],
    )?;
    let mut out = vec![0; words.len()];
    backend.download(Ref::new(&doubled, span), &mut out)?;
    assert!(out.iter().zip(&words).all(|(x, y)| *x == 2 * y));
    Ok(())
}

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let device = Cuda::open(0).map(|b| b.capabilities().device);
    let required = std::env::var_os("CIPHERFORMER_REQUIRE_CUDA").is_some();
    match &device {
        Ok(name) => println!("CUDA device: {name}"),
        Err(why) if required => {
            eprintln!("CUDA is required: {why}");
            return ExitCode::FAILURE;
        }
        Err(why) => println!("CUDA tests are skipped: {why}"),
    }
    let emulated = device.as_deref() == Ok(EMULATION);
    let large = std::env::var("CIPHERFORMER_SCOPE").as_deref() == Ok("large");
    let trial = |name: &str, f: fn() -> Result<(), Failed>, runs: bool| {
        Trial::test(name, f).with_ignored_flag(device.is_err() || !runs)
    };
    let trials = vec![
        trial("transforms", transforms, true),
        trial("conformance", conformance, true),
        trial("conformance_of_large_rings", conformance_of_large_rings, large),
        trial(
            "a_circuit_gives_the_bits_of_the_cpu",
            a_circuit_gives_the_bits_of_the_cpu,
            true,
        ),
        trial("a_budget_is_kept", a_budget_is_kept, true),
        trial("many_layers", many_layers, true),
        trial(
            "every_failing_allocation_is_reported",
            every_failing_allocation_is_reported,
            emulated,
        ),
        trial(
            "a_failed_launch_loses_the_device_and_says_so",
            a_failed_launch_loses_the_device_and_says_so,
            emulated,
        ),
        trial(
            "an_image_for_another_device_is_refused",
            an_image_for_another_device_is_refused,
            emulated,
        ),
    ];
    // Faults are planted in the one driver of the process: one test at a time.
    let args = Arguments {
        test_threads: Some(1),
        ..args
    };
    libtest_mimic::run(&args, trials).exit_code()
}
