//! The same work by cipherformer and by other libraries, one thread, timed in one run.
//!
//! `cargo run --release -p peers -- --json` prints one object a line. `docs/benchmarks.md` says what is compared with what.

mod compare;
mod fhe_rs;
mod ntt;
mod tenseal;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;

use compare::{Comparison, Failure};

/// Compares cipherformer with other libraries.
#[derive(Parser)]
struct Args {
    /// Print JSON: one object a line
    #[arg(long)]
    json: bool,
    /// Seconds for each operation of each side
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// A Python with PyPI's tenseal, to compare CKKS
    #[arg(long, value_name = "PYTHON")]
    tenseal: Option<PathBuf>,
}

fn run(args: &Args) -> Result<(), Failure> {
    let budget = Duration::try_from_secs_f64(args.seconds)?;
    cipherformer::bench::use_threads(1);
    let mut show = |row: Comparison| -> Result<(), Failure> {
        if args.json {
            println!("{}", serde_json::to_string(&row)?);
        } else {
            println!(
                "{:<24} N = 2^{:<3} ours {:>12.2} us   {:<28} {:>12.2} us   {:>6.2} times as long",
                row.op, row.log_n, row.ours_us, row.peer, row.peer_us, row.ratio
            );
        }
        Ok(())
    };
    ntt::compare(budget, &mut show)?;
    fhe_rs::compare(budget, &mut show)?;
    if let Some(python) = &args.tenseal {
        tenseal::compare(budget, python, &mut show)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("peers: {failure}");
            ExitCode::FAILURE
        }
    }
}
