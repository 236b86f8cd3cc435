//! `conformance`: every operation of every device against its definition, to the bit; decoded slots to 2^-44.

use std::str::FromStr;

use clap::ValueEnum;
use serde::Serialize;

use super::{ConformanceArgs, Failure, show};
use crate::{
    backend::{
        Backend,
        conformance::{
            Candidate, Judgement,
            plan::{self, Part},
        },
        cpu::{Cpu, Instructions},
        device::{BackendChoice, BackendKind, Device, on},
    },
    report::seconds,
};

/// Failures that are told in full.
const TOLD: usize = 20;

/// How much is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Amount {
    /// Rings of 2^4 and 2^8, a second or so
    Quick,
    /// Rings to 2^12, batches of one and three, all levels of the chains of that size, three levels of 2^16
    Standard,
    /// Besides, rings to 2^17, and of all shipped chains a level of every kind of steps
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
        let parts = match self {
            Self::Quick => plan::quick(),
            Self::Standard => plan::standard(),
            Self::Full => plan::full(),
        };
        let own = parts.into_iter().skip(share.first - 1).step_by(share.of);
        own.collect()
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
    /// What the device took.
    seconds: f64,
    /// What the definitions took, once for all devices of the call.
    oracle_seconds: f64,
    /// Failures in full, the first of them.
    findings: Vec<String>,
    /// Why parts were skipped.
    why: String,
}

/// A device, and the backend to judge, or why there is none.
struct Judged {
    backend: &'static str,
    choice: BackendChoice,
    device: String,
    emulated: bool,
    candidate: Result<Candidate<'static>, String>,
}

impl Judged {
    fn new<B: Backend + Clone>(choice: BackendChoice, emulated: bool, backend: B) -> Self {
        let capabilities = backend.capabilities();
        Self {
            backend: capabilities.name,
            choice,
            device: capabilities.device,
            emulated,
            candidate: Ok(Candidate::new(move || backend.clone())),
        }
    }

    /// The device of this number, or the CPU with each set of instructions that it has.
    fn all(kind: BackendKind, choice: BackendChoice) -> Vec<Self> {
        if kind == BackendKind::Cpu {
            let sets = Instructions::available().iter();
            let backends = sets.filter_map(|set| Cpu::with_instructions(*set));
            return backends
                .map(|b| Self::new(BackendChoice::CPU, false, b))
                .collect();
        }
        vec![match Device::open(choice) {
            Ok(device) => on!(device.any(), backend => {
                Self::new(device.choice(), device.is_emulated(), backend.as_ref().clone())
            }),
            Err(error) => Self {
                backend: kind.name(),
                choice,
                device: String::from("-"),
                emulated: false,
                candidate: Err(error.to_string()),
            },
        }]
    }
}

/// The devices that were asked for, or all that there are.
fn devices(asked: Option<BackendChoice>) -> Result<Vec<Judged>, Failure> {
    if let Some(choice) = asked {
        return Ok(Judged::all(Device::open(choice)?.kind(), choice));
    }
    // A backend without a device has one line, which says why.
    let count = |kind| Device::count(kind).map_or(1, |n| n.max(1));
    let all = BackendKind::ALL.iter();
    let numbers = all.flat_map(|k| (0..count(*k)).map(|i| (*k, k.device(i))));
    Ok(numbers
        .flat_map(|(kind, choice)| Judged::all(kind, choice))
        .collect())
}

/// Runs all parts on all devices: the oracle answers once for all of them.
fn judge(scope: Amount, parts: &[Part], devices: Vec<Judged>) -> Vec<Finding> {
    let mut candidates = Vec::new();
    let mut lines: Vec<(bool, Finding)> = Vec::new();
    for device in devices {
        let (opened, why) = match device.candidate {
            Ok(candidate) => {
                candidates.push(candidate);
                (true, String::new())
            }
            Err(why) => (false, why),
        };
        let finding = Finding {
            backend: device.backend,
            choice: device.choice.to_string(),
            device: device.device,
            emulated: device.emulated,
            scope: scope.name(),
            parts: if opened { parts.len() } else { 0 },
            checks: 0,
            failures: 0,
            skips: if opened { 0 } else { parts.len() },
            seconds: 0.0,
            oracle_seconds: 0.0,
            findings: Vec::new(),
            why,
        };
        lines.push((opened, finding));
    }
    let bar = show::progress("conformance");
    bar.set_length(parts.len() as u64);
    let mut found = Judgement::default();
    for part in parts.iter().filter(|_| !candidates.is_empty()) {
        bar.set_message(part.to_string());
        found.extend(part.run(&candidates));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let opened = lines.iter_mut().filter(|(opened, _)| *opened);
    for ((_, finding), report) in opened.zip(found.reports) {
        finding.checks = report.checks;
        finding.failures = report.failures.len();
        finding.seconds = report.time.as_secs_f64();
        finding.oracle_seconds = found.oracle.as_secs_f64();
        finding.findings = report
            .failures
            .iter()
            .take(TOLD)
            .map(ToString::to_string)
            .collect();
    }
    lines.into_iter().map(|(_, finding)| finding).collect()
}

pub(super) fn run(args: &ConformanceArgs) -> Result<(), Failure> {
    let parts = args.scope.share(args.share);
    let findings = judge(args.scope, &parts, devices(args.backend)?);
    if !args.json {
        heading();
    }
    for finding in &findings {
        if args.json {
            say!("{}", serde_json::to_string(finding)?);
        } else {
            line(finding);
        }
    }
    let sum = |of: fn(&Finding) -> usize| findings.iter().map(of).sum::<usize>();
    let (failed, checked, skips) = (sum(|f| f.failures), sum(|f| f.checks), sum(|f| f.skips));
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
        say!("  {checked} checks passed, slots to 2^-44 and all else to the bit; {skips} parts skipped");
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
