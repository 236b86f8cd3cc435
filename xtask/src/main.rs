//! Chores of the project: `cargo xtask <verb>`.

mod bootstraps;
mod bundle;
mod chains;
mod chart;
mod conformance;
mod cuda;
mod layers;
mod products;
mod report;
mod results;
mod traffic;
mod train;

use std::process::ExitCode;

/// One chore: its name, what it does, and the function that does it with the remaining arguments.
type Chore = (&'static str, &'static str, fn(&[String]) -> Result<(), String>);

const CHORES: &[Chore] = &[
    (
        "bench-results",
        "time every operation and every peer, write benches/results/*.json and the chart (--machine NAME, --tenseal PYTHON)",
        results::run,
    ),
    (
        "bootstrap-report",
        "draw docs/bootstrapping.svg and the table of docs/bootstrapping.md from benches/results/bootstrap (--check: compare only)",
        bootstraps::run,
    ),
    (
        "budget",
        "measure the CUDA kernels' registers and instructions (--check: against kernels/budget.json)",
        cuda::budget::run,
    ),
    (
        "chains",
        "build the shipped chains and write their tables (--check: compare only; --print: show all)",
        chains::run,
    ),
    (
        "chart",
        "draw docs/peers.svg from a results file (the latest, or FILE)",
        chart::run,
    ),
    (
        "bundle",
        "make a folder that tests and measures a machine with an NVIDIA GPU and without Rust: target/bundle",
        bundle::run,
    ),
    (
        "conformance",
        "compare every operation of every device with its definition [--quick|--full] [--minutes N] [--machine NAME]",
        conformance::run,
    ),
    (
        "cuda-plant",
        "plant faults in the CUDA kernels and demand that the tests find them",
        cuda::emulation::plant,
    ),
    (
        "cuda-test",
        "test the CUDA backend on the CPU: [plain|asan|tsan] [quick|full|large] [TEST] [--seed N]",
        cuda::emulation::run_tests,
    ),
    (
        "emu",
        "build the CUDA driver that runs on the CPU: plain, asan, tsan",
        cuda::emulation::run,
    ),
    (
        "layers",
        "fail on a `use crate::` that points up the layers",
        layers::run,
    ),
    (
        "matmul-report",
        "draw docs/matmul.svg and the tables of docs/matmul.md from benches/results/matmul (--check: compare only)",
        products::run,
    ),
    (
        "ptx",
        "make the image of the CUDA kernels (--check: compare only)",
        cuda::image::run,
    ),
    (
        "traffic",
        "count the bytes that the CUDA backend's operations move (--json; --write, --check: the tables of docs/gpu.md)",
        traffic::run,
    ),
    (
        "train",
        "train the language-identification model (feature `train`)",
        train::run,
    ),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let chore = args
        .first()
        .and_then(|name| CHORES.iter().find(|(n, _, _)| n == name));
    match chore {
        Some((_, _, run)) => match run(&args[1..]) {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                eprintln!("xtask: {message}");
                ExitCode::FAILURE
            }
        },
        None => {
            eprintln!("usage: cargo xtask <verb>");
            for (name, what, _) in CHORES {
                eprintln!("  {name:<16} {what}");
            }
            ExitCode::FAILURE
        }
    }
}
