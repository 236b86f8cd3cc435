//! The wgpu backend on an adapter of this machine: a GPU, or Mesa's lavapipe on the CPU, whose name says so.
//!
//! Without an adapter the tests are skipped and say so; with CIPHERFORMER_REQUIRE_WGPU=1 that is a failure. CIPHERFORMER_SCOPE:
//! `quick`, `full` (default) or `large` (to N = 2^16 in addition).

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod classification;

use std::{process::ExitCode, sync::OnceLock};

use cipherformer::{
    arith::ntt_primes,
    backend::{
        Backend, BackendError, Mut, Ref, Span, compact,
        conformance::{Report, Scope, run},
        cpu::Cpu,
        wgpu::{Options, Wgpu, WgpuError},
    },
    ring::Basis,
};
use libtest_mimic::{Arguments, Failed, Trial};

#[path = "shared/bootstrap.rs"]
mod bootstrap;
#[path = "shared/work.rs"]
mod work;

#[path = "shared/matmul.rs"]
mod matmul;

use bootstrap::{ALL_SLOTS, ARCSINE, Case, FEW_SLOTS, MATRICES_FIRST};
use work::{
    ALL_SHAPES, Circuit, FEW_SHAPES, circuit, every_allocation_failed, levels_agree, transforms_agree,
};

/// Set for a process that only says what it finds of adapters.
const PROBE: &str = "CIPHERFORMER_PROBE_WGPU";

const CORE: Options = Options {
    core_only: true,
    binding_bytes: None,
    poison: false,
    fault: None,
};

/// Core WGSL alone, and what the adapter has: one device each, whose kernels are compiled once.
fn open(core_only: bool) -> Wgpu {
    static DEVICES: [OnceLock<Wgpu>; 2] = [const { OnceLock::new() }; 2];
    let options = Options { core_only, ..CORE };
    let device = DEVICES[usize::from(core_only)].get_or_init(|| Wgpu::with_options(0, options).unwrap());
    device.clone()
}

fn scope() -> String {
    std::env::var("CIPHERFORMER_SCOPE").unwrap_or_default()
}

fn judged(make: impl Fn() -> Wgpu, scope: &Scope) -> Result<(), Failed> {
    let report: Report = run(&make, scope);
    println!("{}: {report}", make().capabilities().device);
    if report.passed() {
        Ok(())
    } else {
        Err(report.to_string().into())
    }
}

fn conformance(core_only: bool) -> Result<(), Failed> {
    let scope = match scope().as_str() {
        "quick" => Scope::quick(),
        _ => Scope::full(),
    };
    judged(|| open(core_only), &scope)
}

fn conformance_of_large_rings() -> Result<(), Failed> {
    let scope = Scope {
        log_n: vec![13, 16],
        items: vec![1],
    };
    judged(|| open(false), &scope)
}

/// What reads memory that it never wrote gives other bits than the oracle.
fn conformance_on_poisoned_memory() -> Result<(), Failed> {
    let poison = true;
    let device = Wgpu::with_options(0, Options { poison, ..CORE }).unwrap();
    judged(|| device.clone(), &Scope::quick())
}

/// Operands beyond what a binding holds are taken in parts: 128 rows of the larger ring.
fn conformance_in_parts() -> Result<(), Failed> {
    let binding_bytes = Some(128 << 10);
    let device = Wgpu::with_options(
        0,
        Options {
            binding_bytes,
            ..CORE
        },
    )
    .unwrap();
    let scope = Scope {
        log_n: vec![8],
        items: vec![3],
    };
    judged(|| device.clone(), &scope)
}

fn transforms(core_only: bool) -> Result<(), Failed> {
    let device = open(core_only);
    for log_n in 1..=17 {
        transforms_agree(&device, log_n)?;
    }
    Ok(())
}

/// The degree of the short circuits.
const LOG_N: u32 = 8;

fn a_circuit_gives_the_bits_of_the_cpu() -> Result<(), Failed> {
    let want = circuit(Cpu::new(), LOG_N)?;
    for core_only in [true, false] {
        if circuit(open(core_only), LOG_N)? != want {
            return Err(format!("other bits, core only: {core_only}").into());
        }
    }
    Ok(())
}

fn every_level_gives_the_bits_of_the_cpu() -> Result<(), Failed> {
    let shapes = match scope().as_str() {
        "quick" => FEW_SHAPES,
        _ => ALL_SHAPES,
    };
    Ok(levels_agree(&[open(true), open(false)], shapes)?)
}

/// Whole bootstraps: each part on the device, from the key switch to the sparse secret to the last matrix.
fn a_bootstrap_gives_the_bits_of_the_cpu() -> Result<(), Failed> {
    let cases: &[&Case] = match scope().as_str() {
        "quick" => &[&FEW_SLOTS],
        _ => &[&FEW_SLOTS, &ALL_SLOTS, &ARCSINE, &MATRICES_FIRST],
    };
    for (i, case) in cases.iter().enumerate() {
        let want = case.run(Cpu::new())?;
        for core_only in [true, false] {
            if case.run(open(core_only))? != want {
                return Err(format!("bootstrap {i} has other bits, core only: {core_only}").into());
            }
        }
    }
    Ok(())
}

/// A circuit that ran some times takes no memory from the device, waits for nothing, and goes in few submissions. (Some, not once: the
/// pool may give a buffer to less than it could hold, and need another.)
fn a_warm_circuit_neither_allocates_nor_waits() -> Result<(), Failed> {
    let device = open(true);
    let circuit = Circuit::new(device.clone(), LOG_N)?;
    for round in 0..8 {
        let before = device.counts();
        drop(circuit.run()?);
        let after = device.counts();
        let [allocations, submissions, waits] = [0, 1, 2].map(|i| after[i] - before[i]);
        println!("round {round}: {allocations} allocations, {submissions} submissions, {waits} waits");
        if round > 4 && (allocations, waits) != (0, 0) || submissions > 2 {
            return Err("a warm round allocates, waits, or goes in many submissions".into());
        }
    }
    Ok(())
}

/// The whole classifier, on a ring of one pass; that of its own size is a test of `devices`.
fn a_classification_gives_the_bits_of_the_cpu() -> Result<(), Failed> {
    if classification::residues(open(false), 11) != classification::residues(Cpu::new(), 11) {
        return Err("other bits".into());
    }
    Ok(())
}

fn a_budget_is_kept() -> Result<(), Failed> {
    let backend = Wgpu::with_budget(0, 1 << 20)?;
    let first = backend.alloc(10, 200)?;
    match backend.alloc(10, 100) {
        Err(BackendError::OutOfMemory { wanted, free }) => {
            assert_eq!((wanted, free), (100 << 12, (1 << 20) - (200 << 12)));
        }
        other => return Err(format!("{:?}", other.map(|_| ())).into()),
    }
    drop(first);
    // What was released is given back for a different size.
    drop(backend.alloc(10, 100)?);
    backend.alloc(10, 250)?;
    // No device has so much: an error, and the next allocation works.
    let whole = Wgpu::open(0)?;
    let error = whole.alloc(16, 1 << 40).err().unwrap();
    assert!(matches!(error, BackendError::OutOfMemory { .. }), "{error}");
    whole.alloc(10, 1)?;
    Ok(())
}

/// A circuit in too little memory says so, for every budget up to the one that suffices.
fn a_circuit_without_memory_is_an_error() -> Result<(), Failed> {
    let want = circuit(Cpu::new(), LOG_N)?;
    let mut failures = 0;
    for budget in (17..26).map(|bits| 1 << bits) {
        match circuit(Wgpu::with_budget(0, budget)?, LOG_N) {
            Ok(words) => assert_eq!(words, want),
            Err(error) => {
                failures += 1;
                assert!(error.to_string().contains("out of device memory"), "{error}");
            }
        }
    }
    println!("{failures} of 9 budgets were too small");
    assert!((1..9).contains(&failures), "{failures}");
    Ok(())
}

/// Allocation n of a short circuit fails, for every n: an error each time, and the device goes on.
fn every_failing_allocation_is_reported() -> Result<(), Failed> {
    let device = open(true);
    let want = circuit(device.clone(), LOG_N)?;
    let fail = |after| Ok(device.fail_allocations(after)?);
    let failures = every_allocation_failed(fail, || circuit(device.clone(), LOG_N), Ok, &want)?;
    println!("{failures} allocations failed in turn");
    assert!(failures > 20, "{failures}");
    Ok(())
}

/// A process that finds the Vulkan loader and no driver.
fn an_absent_adapter_is_reported() -> Result<(), Failed> {
    let none = "/nonexistent/driver.json";
    let output = std::process::Command::new(std::env::current_exe()?)
        .env(PROBE, "1")
        .env("VK_DRIVER_FILES", none)
        .env("VK_ICD_FILENAMES", none)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("no GPU for wgpu"), "{said}");
    Ok(())
}

fn a_lost_device_says_so() -> Result<(), Failed> {
    let backend = Wgpu::open(0)?;
    let rows = compact(&[0]);
    let span = Span::dense(1, 1, &rows);
    let mut buffer = backend.alloc(10, 1)?;
    backend.upload(Mut::new(&mut buffer, span), &[1; 1024])?;
    backend.lose();
    let lost = |r: Result<(), BackendError>| match r {
        Err(BackendError::Lost { .. }) => Ok(()),
        other => Err(format!("{other:?}")),
    };
    let _ = backend.zero(Mut::new(&mut buffer, span));
    lost(backend.wait())?;
    lost(backend.zero(Mut::new(&mut buffer, span)))?;
    lost(backend.download(Ref::new(&buffer, span), &mut [0; 1024]))?;
    lost(backend.upload(Mut::new(&mut buffer, span), &[1; 1024]))?;
    lost(backend.alloc(10, 1).map(drop))?;
    // Another device is not concerned.
    open(true).alloc(10, 1)?;
    Ok(())
}

fn adapters_are_listed_and_found_by_name() -> Result<(), Failed> {
    let adapters = Wgpu::adapters();
    for adapter in &adapters {
        println!("{adapter}; {}", adapter.driver);
    }
    let name = adapters[0].name.to_uppercase();
    let device = Wgpu::open_named(&name)?.capabilities().device;
    assert!(device.contains(&adapters[0].name), "{device}");
    let (ordinal, count) = (adapters.len(), adapters.len());
    assert_eq!(
        Wgpu::open(ordinal).err(),
        Some(WgpuError::NoOrdinal { ordinal, count })
    );
    let error = Wgpu::open_named("no such adapter").err().unwrap().to_string();
    assert!(error.contains(&adapters[0].name), "{error}");
    Ok(())
}

/// More items than a grid has layers.
fn many_layers() -> Result<(), Failed> {
    let (log_n, items) = (1, 70_000);
    let primes: Vec<u32> = ntt_primes(log_n, 2, 1 << 30).take(1).collect();
    let backend = open(true);
    let tables = backend.tables(&Basis::new(log_n, &primes)?)?;
    let rows = compact(&[0]);
    let span = Span::dense(items, 1, &rows);
    let words = vec![1; 2 * items];
    let mut buffer = backend.alloc(log_n, items)?;
    backend.upload(Mut::new(&mut buffer, span), &words)?;
    let mut doubled = backend.alloc(log_n, items)?;
    let (to, from) = (Mut::new(&mut doubled, span), Ref::new(&buffer, span));
    backend.mul_const(&tables, to, from, &[2])?;
    let mut out = vec![0; words.len()];
    backend.download(Ref::new(&doubled, span), &mut out)?;
    assert!(out.iter().all(|x| *x == 2));
    Ok(())
}

/// A clone on each of several threads: one queue, and each gets what it wrote.
fn clones_share_the_queue() -> Result<(), Failed> {
    let backend = open(true);
    std::thread::scope(|scope| {
        for k in 0..4u32 {
            let own = backend.clone();
            scope.spawn(move || {
                let rows = compact(&[0]);
                let span = Span::dense(1, 1, &rows);
                for round in 0..50u32 {
                    let words: Vec<u32> = (0..1024).map(|i| i + 1000 * k + round).collect();
                    let mut buffers = [own.alloc(10, 1).unwrap(), own.alloc(10, 1).unwrap()];
                    let [from, to] = &mut buffers;
                    own.upload(Mut::new(from, span), &words).unwrap();
                    own.copy(Mut::new(to, span), Ref::new(from, span)).unwrap();
                    let mut out = vec![0; 1024];
                    own.download(Ref::new(to, span), &mut out).unwrap();
                    assert_eq!(out, words);
                }
            });
        }
    });
    Ok(())
}

/// Faults put into the shaders, to show that the tests see them.
const FAULTS: [(&str, [&str; 2]); 4] = [
    (
        "a missing barrier",
        [
            "    two_down(pass_, stage, thread, m);\n    workgroupBarrier();",
            "    two_down(pass_, stage, thread, m);",
        ],
    ),
    (
        "an index off by one",
        [
            "scaled[i * COEFFICIENTS + thread] = y",
            "scaled[i * COEFFICIENTS + thread + 1u] = y",
        ],
    ),
    (
        "a wrong twiddle",
        [
            "twiddle(pass_, stage + 1u, i + (2u << log_half))",
            "twiddle(pass_, stage + 1u, i)",
        ],
    ),
    (
        "a carry that is lost",
        [
            "s.high + mulhi4(x, y) + vec4<u32>(low < s.low)",
            "s.high + mulhi4(x, y)",
        ],
    ),
];

fn faults_are_found() -> Result<(), Failed> {
    let text: String = cipherformer::backend::wgpu::modules(false)
        .into_iter()
        .map(|(_, s)| s)
        .collect();
    for (name, fault) in FAULTS {
        assert!(
            text.contains(fault[0]),
            "{name}: the shaders no longer have its place"
        );
        let fault = Some(fault);
        let device = Wgpu::with_options(0, Options { fault, ..CORE })?;
        let found = match transforms_agree(&device, 12) {
            Err(finding) => finding.to_string(),
            Ok(()) => {
                let report = run(|| device.clone(), &Scope::quick());
                report
                    .failures
                    .first()
                    .map(ToString::to_string)
                    .unwrap_or_default()
            }
        };
        println!("{name}: {found}");
        if found.is_empty() {
            return Err(format!("{name} was not found").into());
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    if std::env::var_os(PROBE).is_some() {
        match Wgpu::open(0) {
            Ok(backend) => println!("opened {}", backend.capabilities().device),
            Err(why) => println!("{why}"),
        }
        return ExitCode::SUCCESS;
    }
    let args = Arguments::from_args();
    let device = Wgpu::open(0).map(|b| b.capabilities().device);
    let required = std::env::var_os("CIPHERFORMER_REQUIRE_WGPU").is_some();
    match &device {
        Ok(name) => println!("wgpu adapter: {name}"),
        Err(why) if required => {
            eprintln!("wgpu is required: {why}");
            return ExitCode::FAILURE;
        }
        Err(why) => println!("wgpu tests are skipped: {why}"),
    }
    let large = scope() == "large";
    let trial =
        |name: &str, f: fn() -> Result<(), Failed>| Trial::test(name, f).with_ignored_flag(device.is_err());
    let trials = vec![
        trial("transforms", || transforms(false)),
        trial("transforms_in_core_wgsl", || transforms(true)),
        trial("conformance", || conformance(false)),
        trial("conformance_in_core_wgsl", || conformance(true)),
        trial("conformance_on_poisoned_memory", conformance_on_poisoned_memory),
        trial("conformance_in_parts", conformance_in_parts),
        trial("conformance_of_large_rings", conformance_of_large_rings)
            .with_ignored_flag(device.is_err() || !large),
        trial(
            "a_circuit_gives_the_bits_of_the_cpu",
            a_circuit_gives_the_bits_of_the_cpu,
        ),
        trial(
            "every_level_gives_the_bits_of_the_cpu",
            every_level_gives_the_bits_of_the_cpu,
        ),
        trial(
            "a_bootstrap_gives_the_bits_of_the_cpu",
            a_bootstrap_gives_the_bits_of_the_cpu,
        ),
        trial(
            "a_warm_circuit_neither_allocates_nor_waits",
            a_warm_circuit_neither_allocates_nor_waits,
        ),
        trial(
            "a_classification_gives_the_bits_of_the_cpu",
            a_classification_gives_the_bits_of_the_cpu,
        ),
        trial("matmul_agrees", || Ok(matmul::agree(|| open(true), Cpu::new)?)),
        trial("a_budget_is_kept", a_budget_is_kept),
        trial(
            "a_circuit_without_memory_is_an_error",
            a_circuit_without_memory_is_an_error,
        ),
        trial(
            "every_failing_allocation_is_reported",
            every_failing_allocation_is_reported,
        ),
        trial("an_absent_adapter_is_reported", an_absent_adapter_is_reported),
        trial("a_lost_device_says_so", a_lost_device_says_so),
        trial(
            "adapters_are_listed_and_found_by_name",
            adapters_are_listed_and_found_by_name,
        ),
        trial("many_layers", many_layers),
        trial("clones_share_the_queue", clones_share_the_queue),
        trial("faults_are_found", faults_are_found),
    ];
    // Software adapters use every processor for one kernel: one test at a time.
    let args = Arguments {
        test_threads: Some(1),
        ..args
    };
    libtest_mimic::run(&args, trials).exit_code()
}
