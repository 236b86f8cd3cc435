//! `bench overflow`: draws the integer that a raise adds, and holds it against the formula that failure probabilities rest on.

use std::time::Instant;

use serde::Serialize;

use crate::{
    arith::Complex,
    backend::cpu::Cpu,
    bench::{attention::Random, use_threads},
    circuit::bootstrap::{Fit, Overflow, preset},
    ckks::Ckks,
    cli::{Failure, OverflowArgs, show},
    report::seconds,
    rlwe::{Context, Level, SecretKey},
};

/// Ciphertexts of a batch, and batches of a secret: each pair of raise keys has a sparse secret of its own.
const ITEMS: usize = 4;
const BATCHES: u64 = 4;

/// What was drawn.
#[derive(Serialize)]
struct Report {
    preset: &'static str,
    log_n: u32,
    /// Coefficients.
    draws: u64,
    /// Dense and sparse secrets, a pair a round.
    secrets: u64,
    /// By |I| from 0 to 16.
    drawn: Vec<u64>,
    /// By the formula.
    expected: Vec<f64>,
    /// |I| above 16.
    outside: u64,
    /// The largest distance of a phase from a multiple of q_0, in q_0.
    off: f64,
    fit: Fit,
    seconds: f64,
}

pub(crate) fn run(args: &OverflowArgs) -> Result<(), Failure> {
    if !(1_000..=1_000_000_000).contains(&args.coefficients) {
        return Err(format!("{} coefficients: choose 1000 to 1000000000", args.coefficients).into());
    }
    if !(1..=1024).contains(&args.threads) || !use_threads(args.threads) {
        return Err(format!("{} threads: choose 1 to 1024", args.threads).into());
    }
    let preset = preset(&args.preset)?;
    let ctx = Context::new(Cpu::new(), preset.params()?)?;
    let ckks = Ckks::new(&ctx);
    let progress = show::progress("overflow");
    progress.set_length(args.coefficients);
    let start = Instant::now();
    let mut overflow = Overflow::default();
    let (mut secrets, mut random) = (0, Random(7));
    while overflow.total() < args.coefficients {
        let secret = SecretKey::generate(&ctx)?;
        let keys = secret.raise_keys()?.expand(&ctx)?;
        secrets += 1;
        for _ in 0..BATCHES {
            if overflow.total() >= args.coefficients {
                break;
            }
            let values: Vec<Complex> = (0..ITEMS * ckks.max_slots())
                .map(|_| Complex::new(random.next() / 2.0, random.next() / 2.0))
                .collect();
            let ct = ckks.encrypt(&secret, &values, ITEMS, Level(0))?.expand(&ctx)?;
            overflow.draw(&secret, &keys, ct.rlwe())?;
            progress.set_position(overflow.total());
        }
    }
    progress.finish_and_clear();
    let total = overflow.total() as f64;
    let report = Report {
        preset: preset.name,
        log_n: ctx.log_n(),
        draws: overflow.total(),
        secrets,
        drawn: (0..=16).map(|k| overflow.count(k)).collect(),
        expected: (0..=16)
            .map(|k| total * (Overflow::tail(k) - Overflow::tail(k + 1)))
            .collect(),
        outside: overflow.outside(),
        off: overflow.off(),
        fit: overflow.fit()?,
        seconds: start.elapsed().as_secs_f64(),
    };
    if args.json {
        say!("{}", serde_json::to_string(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}

fn print(r: &Report) {
    say!();
    say!(
        "  {}: {} coefficients of raised encryptions, N = 2^{}, {} sparse secrets, {}",
        show::bold(r.preset),
        r.draws,
        r.log_n,
        r.secrets,
        seconds(r.seconds)
    );
    say!();
    say!("  {:>5}{:>14}{:>16}", "|I|", "drawn", "by the formula");
    for (k, (drawn, expected)) in r.drawn.iter().zip(&r.expected).enumerate() {
        say!("  {k:>5}{drawn:>14}{expected:>16.1}");
    }
    say!("  {:>5}{:>14}", "> 16", r.outside);
    say!();
    say!(
        "  message and noise: at most 2^{:.1} of q_0; chi-square {:.2} with {} degrees of freedom: as much or more with probability {:.3}",
        r.off.log2(),
        r.fit.chi_square,
        r.fit.freedom,
        r.fit.probability
    );
}
