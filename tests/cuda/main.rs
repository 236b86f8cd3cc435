//! The CUDA backend, on a GPU or on the driver of `cargo xtask emu` (LD_LIBRARY_PATH names its folder).
//!
//! Without a driver the tests are skipped and say so; with CIPHERFORMER_REQUIRE_CUDA=1 that is a failure. CIPHERFORMER_SCOPE:
//! `quick`, `full` (default) or `large` (to N = 2^16 in addition).

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use std::process::ExitCode;

#[path = "../shared/bootstrap.rs"]
mod bootstrap;
mod faults;
mod graphs;
#[path = "../shared/matmul.rs"]
mod matmul;
mod shared_memory;
mod warm;
#[path = "../shared/work.rs"]
mod work;

use cipherformer::{
    arith::{Complex, Double, Embedding, ntt_primes},
    backend::{
        Backend, BackendError, Mut, Ref, Span, compact,
        conformance::{Report, Scope, run},
        cpu::Cpu,
        cuda::Cuda,
    },
    ring::{Basis, Crt, Scale},
};
use libtest_mimic::{Arguments, Failed, Trial};

use bootstrap::{ALL_SLOTS, ARCSINE, Case, FEW_SLOTS, MATRICES_FIRST};
use faults::both_ways;
use work::{ALL_SHAPES, FEW_SHAPES, circuit, levels_agree, transforms_agree};

/// Set for a process that only says what it finds of a driver.
const PROBE: &str = "CIPHERFORMER_PROBE_CUDA";

/// What the emulated driver is called, so that no reader takes its passes for those of a GPU.
const EMULATION: &str = "CPU emulation";

fn open() -> Cuda {
    Cuda::open(0).unwrap()
}

fn quick() -> bool {
    std::env::var("CIPHERFORMER_SCOPE").as_deref() == Ok("quick")
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
    if !quick() {
        return judged(&run(open, &Scope::full()));
    }
    // Two degrees, without and with two passes.
    for (log_n, items) in [(8, 3), (12, 1)] {
        let scope = Scope {
            log_n: vec![log_n],
            items: vec![items],
        };
        judged(&run(open, &scope))?;
    }
    Ok(())
}

fn conformance_of_large_rings() -> Result<(), Failed> {
    let scope = Scope {
        log_n: vec![13, 14, 15, 16],
        items: vec![1],
    };
    judged(&run(open, &scope))
}

/// The degrees of the two passes.
fn transforms() -> Result<(), Failed> {
    let degrees = match quick() {
        true => 12..=12,
        false => 12..=17,
    };
    for log_n in degrees {
        transforms_agree(&open(), log_n)?;
    }
    Ok(())
}

fn a_circuit_gives_the_bits_of_the_cpu() -> Result<(), Failed> {
    for log_n in [8, 12] {
        assert!(
            circuit(open(), log_n)? == circuit(Cpu::new(), log_n)?,
            "2^{log_n}"
        );
    }
    Ok(())
}

/// Whole bootstraps: each part on the device, from the key switch to the sparse secret to the last matrix.
fn a_bootstrap_gives_the_bits_of_the_cpu() -> Result<(), Failed> {
    let cases: &[&Case] = match quick() {
        true => &[&FEW_SLOTS],
        false => &[&FEW_SLOTS, &ALL_SLOTS, &ARCSINE, &MATRICES_FIRST],
    };
    for (i, case) in cases.iter().enumerate() {
        assert!(case.run(open())? == case.run(Cpu::new())?, "bootstrap {i}");
    }
    Ok(())
}

fn every_level_gives_the_bits_of_the_cpu() -> Result<(), Failed> {
    let shapes = match quick() {
        true => FEW_SHAPES,
        false => ALL_SHAPES,
    };
    Ok(levels_agree(&[open()], shapes)?)
}

/// Slots to rows and back, bit for bit: the contract lets decoded slots differ, and these do not.
fn slots_and_rows() -> Result<(), Failed> {
    fn run<B: Backend>(
        b: &B,
        basis: &Basis,
        slots: &[Complex],
        items: usize,
        bits: i32,
    ) -> Result<(Vec<u32>, Vec<Complex>), Failed> {
        let log_n = basis.log_n();
        let tables = b.tables(basis)?;
        let primes: Vec<u32> = (0..basis.primes().len() as u32).collect();
        let rows = compact(&primes);
        let span = Span::dense(items, 1, &rows);
        let mut buffer = b.alloc(log_n, span.count())?;
        let embedding = Embedding::new(log_n);
        let scale = Double::ONE.ldexp(bits);
        b.embed(&tables, Mut::new(&mut buffer, span), &embedding, slots, scale)?;
        let mut words = vec![0; span.count() << log_n];
        b.download(Ref::new(&buffer, span), &mut words)?;
        let moduli: Vec<u32> = basis.primes().iter().map(|m| m.value()).collect();
        let mut back = vec![Complex::default(); slots.len()];
        let (crt, scale) = (Crt::new(&moduli)?, Scale::pow2(bits));
        b.decode(
            &tables,
            Ref::new(&buffer, span),
            &embedding,
            &crt,
            &scale,
            &mut back,
        )?;
        Ok((words, back))
    }
    let degrees: &[u32] = match quick() {
        true => &[5, 12],
        false => &[1, 5, 12, 13, 15, 16],
    };
    let mut state = 3u64;
    let mut random = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let x = (state >> 11) as f64 / 2f64.powi(52) - 1.0;
        match state >> 3 & 15 {
            0 => 0.5,
            1 => -0.0,
            2 => x * 2f64.powi(-60),
            3 => x * 64.0,
            _ => x,
        }
    };
    for log_n in degrees {
        let primes: Vec<u32> = ntt_primes(*log_n, 1 << 20, 1 << 30).take(4).collect();
        let basis = Basis::new(*log_n, &primes)?;
        for log_slots in [0, 3, log_n / 2, log_n - 1] {
            if log_slots >= *log_n {
                continue;
            }
            let items = if *log_n < 13 { 3 } else { 1 };
            for bits in [20, 45, 46, 53] {
                let slots: Vec<Complex> = (0..items << log_slots)
                    .map(|_| Complex::new(random(), random()))
                    .collect();
                let (words, back) = run(&open(), &basis, &slots, items, bits)?;
                let (want, slots_of_cpu) = run(&Cpu::new(), &basis, &slots, items, bits)?;
                let place = format!("N = 2^{log_n}, 2^{log_slots} slots, scale 2^{bits}");
                assert!(words == want, "{place}");
                let same = |a: &Complex, b: &Complex| {
                    [a.re, a.im].map(f64::to_bits) == [b.re, b.im].map(f64::to_bits)
                };
                let other = back.iter().zip(&slots_of_cpu).position(|(a, b)| !same(a, b));
                if let Some(k) = other {
                    return Err(format!(
                        "{place}: slot {k} is {:?}, {:?} on the CPU",
                        back[k], slots_of_cpu[k]
                    )
                    .into());
                }
            }
        }
    }
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
    if std::env::var_os(PROBE).is_some() {
        match Cuda::open(0) {
            Ok(backend) => println!("opened {}", backend.capabilities().device),
            Err(why) => println!("{why}"),
        }
        return ExitCode::SUCCESS;
    }
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
        trial(
            "every_level_gives_the_bits_of_the_cpu",
            every_level_gives_the_bits_of_the_cpu,
            true,
        ),
        trial(
            "a_bootstrap_gives_the_bits_of_the_cpu",
            a_bootstrap_gives_the_bits_of_the_cpu,
            true,
        ),
        trial("matmul_agrees", || Ok(matmul::agree(open, Cpu::new)?), true),
        trial("slots_and_rows", slots_and_rows, true),
        trial(
            "a_warm_circuit_neither_allocates_nor_waits",
            warm::a_warm_circuit_neither_allocates_nor_waits,
            emulated,
        ),
        trial(
            "kernels_with_shared_memory_give_the_bits_of_the_cpu",
            shared_memory::kernels_with_shared_memory_give_the_bits_of_the_cpu,
            true,
        ),
        trial("a_budget_is_kept", a_budget_is_kept, true),
        trial("many_layers", many_layers, true),
        trial(
            "replays_give_the_bits_of_direct_runs",
            graphs::replays_give_the_bits_of_direct_runs,
            true,
        ),
        trial(
            "a_recorded_circuit_keeps_what_it_needs",
            || both_ways(graphs::a_recorded_circuit_keeps_what_it_needs),
            emulated,
        ),
        trial(
            "recordings_refuse_what_they_cannot_hold",
            || both_ways(graphs::recordings_refuse_what_they_cannot_hold),
            emulated,
        ),
        trial(
            "keys_of_a_store_are_not_expanded_by_a_recording",
            graphs::keys_of_a_store_are_not_expanded_by_a_recording,
            emulated,
        ),
        trial(
            "failing_recordings_leave_nothing",
            || both_ways(graphs::failing_recordings_leave_nothing),
            emulated,
        ),
        trial(
            "every_failing_allocation_is_reported",
            || both_ways(faults::every_failing_allocation_is_reported),
            emulated,
        ),
        trial(
            "a_failed_launch_loses_the_device_and_says_so",
            || both_ways(faults::a_failed_launch_loses_the_device_and_says_so),
            emulated,
        ),
        trial(
            "a_lost_device_is_reported_at_any_call",
            || both_ways(faults::a_lost_device_is_reported_at_any_call),
            emulated,
        ),
        trial(
            "drivers_and_devices_that_do_not_fit_are_refused",
            || both_ways(faults::drivers_and_devices_that_do_not_fit_are_refused),
            emulated,
        ),
        trial(
            "an_absent_driver_is_reported",
            faults::an_absent_driver_is_reported,
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
