//! `conformance`: every operation of every device against its definition, to the bit.

use std::{str::FromStr, time::Instant};

use clap::ValueEnum;
use serde::Serialize;

use super::{ConformanceArgs, Failure, show};
use crate::{
    backend::{
        Backend,
        conformance::{self, Report, Scope},
        cpu::{Cpu, Instructions},
        device::{BackendChoice, BackendKind, Device, on},
    },
    report::seconds,
    ring::{self, ChainTable},
};

/// Failures that are told in full.
const TOLD: usize = 20;

/// How much is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Amount {
    /// Rings of 2^4 and 2^8, a second or so
    Quick,
    /// Rings to 2^12, one and three items, all levels of the chains of that size, three levels of 2^16
    Standard,
    /// Besides, rings to 2^16, and all levels of all shipped chains
    Full,
}

/// Which parts of a comparison are made: every `of`-th, from number `first` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// From 1 to `of`.
    first: usize,
    of: usize,
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text
            .split_once('/')
            .map(|(first, of)| (first.parse(), of.parse()));
        match numbers {
            Some((Ok(first), Ok(of))) if (1..=of).contains(&first) => Ok(Self { first, of }),
            _ => Err(String::from(
                "pass two numbers as in 2/5, the first from 1 to the second",
            )),
        }
    }
}

/// A part of the comparison.
enum Part {
    /// All operations on rings of one size.
    Operations { log_n: u32, items: usize },
    /// The steps of a chain.
    Levels {
        name: &'static str,
        chain: ChainTable,
        levels: Vec<usize>,
        items: usize,
    },
}

impl Part {
    fn run<B: Backend + Clone>(&self, backend: &B) -> Report {
        match self {
            Self::Operations { log_n, items } => {
                let scope = Scope {
                    log_n: vec![*log_n],
                    items: vec![*items],
                };
                conformance::run(|| backend.clone(), &scope)
            }
            Self::Levels {
                chain, levels, items, ..
            } => conformance::run_levels(backend, chain, levels, *items),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Operations { log_n, items } => format!("operations, N = 2^{log_n}, batch {items}"),
            Self::Levels { name, items, .. } => format!("levels of {name}, batch {items}"),
        }
    }
}

impl Amount {
    fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Full => "full",
        }
    }

    /// The parts of a share of it.
    fn share(self, share: Share) -> Vec<Part> {
        (self.parts().into_iter())
            .skip(share.first - 1)
            .step_by(share.of)
            .collect()
    }

    fn parts(self) -> Vec<Part> {
        let operations = |scope: Scope| {
            let items = scope.items;
            let part = move |log_n: u32| {
                let of = |items: &usize| Part::Operations { log_n, items: *items };
                items.iter().map(of).collect::<Vec<_>>()
            };
            scope.log_n.into_iter().flat_map(part)
        };
        let levels = |(name, chain): (&'static str, ChainTable), items| Part::Levels {
            levels: (0..=chain.top()).collect(),
            name,
            chain,
            items,
        };
        let small = || {
            ring::insecure_chains()
                .chain(ring::chains())
                .filter(|(_, c)| c.log_n <= 12)
        };
        let large = || ring::chains().filter(|(_, c)| c.log_n > 12);
        match self {
            Self::Quick => operations(Scope::quick()).collect(),
            Self::Standard => {
                let few = large().filter(|(name, _)| *name == "n16_pair55_l21_d3");
                let few = few.map(|(name, chain)| Part::Levels {
                    levels: vec![0, chain.top() / 2, chain.top()],
                    name,
                    chain,
                    items: 1,
                });
                operations(Scope::full())
                    .chain(small().flat_map(|c| [1, 3].map(|items| levels((c.0, c.1.clone()), items))))
                    .chain(few)
                    .collect()
            }
            Self::Full => {
                let all = small().chain(large());
                operations(Scope::full())
                    .chain(operations(Scope::large()))
                    .chain(all.flat_map(|c| [1, 3].map(|items| levels((c.0, c.1.clone()), items))))
                    .collect()
            }
        }
    }
}

/// What was found on a device.
#[derive(Serialize)]
struct Finding {
    backend: &'static str,
    /// What to pass to `--backend`.
    choice: String,
    device: String,
    /// Whether the processor takes the place of a GPU.
    emulated: bool,
    scope: &'static str,
    /// Parts of the scope that were run.
    parts: usize,
    /// Comparisons made.
    checks: usize,
    /// Those that failed.
    failures: usize,
    /// Parts that were not run.
    skips: usize,
    seconds: f64,
    /// Failures in full, the first of them.
    findings: Vec<String>,
    /// Why parts were skipped.
    why: String,
}

/// Runs all parts on a backend.
fn judge<B: Backend + Clone>(
    (amount, share): (Amount, Share),
    choice: BackendChoice,
    emulated: bool,
    backend: &B,
) -> Finding {
    let clock = Instant::now();
    let (parts, mut all) = (amount.share(share), Report::default());
    let bar = show::progress(&choice.to_string());
    bar.set_length(parts.len() as u64);
    for part in &parts {
        bar.set_message(part.describe());
        all.extend(part.run(backend));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let capabilities = backend.capabilities();
    Finding {
        backend: capabilities.name,
        choice: choice.to_string(),
        device: capabilities.device,
        emulated,
        scope: amount.name(),
        parts: parts.len(),
        checks: all.checks,
        failures: all.failures.len(),
        skips: 0,
        seconds: clock.elapsed().as_secs_f64(),
        findings: all.failures.iter().take(TOLD).map(ToString::to_string).collect(),
        why: String::new(),
    }
}

fn skipped(
    (amount, share): (Amount, Share),
    kind: BackendKind,
    choice: BackendChoice,
    why: String,
) -> Finding {
    Finding {
        backend: kind.name(),
        choice: choice.to_string(),
        device: String::from("-"),
        emulated: false,
        scope: amount.name(),
        parts: 0,
        checks: 0,
        failures: 0,
        skips: amount.share(share).len(),
        seconds: 0.0,
        findings: Vec::new(),
        why,
    }
}

/// The CPU with each set of instructions that it has.
fn judge_cpu(
    amount: (Amount, Share),
    show: &mut dyn FnMut(Finding) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for instructions in Instructions::available() {
        if let Some(backend) = Cpu::with_instructions(*instructions) {
            show(judge(amount, BackendChoice::CPU, false, &backend))?;
        }
    }
    Ok(())
}

pub(super) fn run(args: &ConformanceArgs) -> Result<(), Failure> {
    let amount = (args.scope, args.share);
    let (mut failed, mut checked, mut skips) = (0, 0, 0);
    if !args.json {
        heading();
    }
    let mut show = |finding: Finding| -> Result<(), Failure> {
        failed += finding.failures;
        checked += finding.checks;
        skips += finding.skips;
        if args.json {
            say!("{}", serde_json::to_string(&finding)?);
        } else {
            line(&finding);
        }
        Ok(())
    };
    let devices: Vec<(BackendKind, BackendChoice)> = match args.backend {
        Some(choice) => {
            let kind = Device::open(choice)?.kind();
            vec![(kind, choice)]
        }
        None => {
            // A backend without a device has one line, which says why.
            let count = |kind| Device::count(kind).map_or(1, |n| n.max(1));
            let all = BackendKind::ALL.iter();
            all.flat_map(|k| (0..count(*k)).map(|i| (*k, k.device(i))))
                .collect()
        }
    };
    for (kind, choice) in devices {
        if kind == BackendKind::Cpu {
            judge_cpu(amount, &mut show)?;
            continue;
        }
        let finding = match Device::open(choice) {
            Ok(device) => on!(device.any(), backend => {
                judge(amount, device.choice(), device.is_emulated(), backend.as_ref())
            }),
            Err(error) => skipped(amount, kind, choice, error.to_string()),
        };
        show(finding)?;
    }
    if failed > 0 {
        return Err(format!(
            "{failed} of {checked} checks failed: do not use these devices, and please report this machine"
        )
        .into());
    }
    if checked == 0 {
        return Err("nothing was checked; `cipherformer doctor` says what there is".into());
    }
    if !args.json {
        say!();
        say!("  {checked} checks, all to the bit; {skips} parts skipped");
    }
    Ok(())
}

fn heading() {
    say!();
    say!(
        "{}",
        show::bold(&format!(
            "  {:<8} {:<38} {:<9} {:>8} {:>9} {:>6} {:>8}",
            "backend", "device", "scope", "checks", "failures", "skips", "time"
        ))
    );
}

fn line(f: &Finding) {
    let device: String = f.device.chars().take(38).collect();
    say!(
        "  {:<8} {device:<38} {:<9} {:>8} {:>9} {:>6} {:>8}",
        f.choice,
        f.scope,
        f.checks,
        f.failures,
        f.skips,
        seconds(f.seconds)
    );
    if !f.why.is_empty() {
        say!("  {:<8} {}", "", show::dim(&f.why));
    }
    for finding in &f.findings {
        say!("  {:<8} {finding}", "");
    }
}
