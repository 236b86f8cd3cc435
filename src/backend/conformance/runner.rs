//! Runs calls on the oracle and on every candidate, compares every word, and keeps the record.

use std::time::{Duration, Instant};

use super::{
    call::Call,
    candidate::{Candidate, Opened},
    operand::{Fill, Operand, Random, Shape},
};
use crate::{
    arith::{Modulus, ntt_primes},
    backend::oracle::Oracle,
    ring::Basis,
};

/// One disagreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The operation; "(body)" marks the derived body run on the backend.
    pub operation: String,
    /// log2 of the ring degree.
    pub log_n: u32,
    /// Destination and sources.
    pub shape: String,
    /// The first differing word, or the error.
    pub finding: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            operation,
            log_n,
            shape,
            finding,
        } = self;
        write!(f, "{operation}, N = 2^{log_n}: {finding}; {shape}")
    }
}

/// What a run found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Comparisons made.
    pub checks: usize,
    /// Those that failed.
    pub failures: Vec<Failure>,
    /// How long the backend took.
    pub time: Duration,
}

/// What a run found of every candidate.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// In the order of the candidates.
    pub reports: Vec<Report>,
    /// How long the oracle took, once for all of them.
    pub oracle: Duration,
}

impl Judgement {
    /// Nothing yet, of so many candidates.
    pub(super) fn of(candidates: usize) -> Self {
        Self {
            reports: vec![Report::default(); candidates],
            oracle: Duration::ZERO,
        }
    }

    /// A basis that does not exist is a failure of every candidate.
    pub(super) fn no_basis(&mut self, log_n: u32, message: &str) {
        for report in &mut self.reports {
            report.fail("tables", log_n, String::new(), message.to_owned());
        }
    }

    /// Adds what another run found of the same candidates.
    pub fn extend(&mut self, other: Self) {
        self.oracle += other.oracle;
        self.reports
            .resize_with(self.reports.len().max(other.reports.len()), Report::default);
        for (report, other) in self.reports.iter_mut().zip(other.reports) {
            report.extend(other);
        }
    }
}

impl Report {
    /// Whether there were checks, and none failed.
    pub fn passed(&self) -> bool {
        self.checks > 0 && self.failures.is_empty()
    }

    /// Adds what another run found.
    pub fn extend(&mut self, other: Self) {
        self.checks += other.checks;
        self.failures.extend(other.failures);
        self.time += other.time;
    }

    pub(super) fn fail(&mut self, operation: &str, log_n: u32, shape: String, finding: String) {
        self.checks += 1;
        self.failures.push(Failure {
            operation: operation.to_owned(),
            log_n,
            shape,
            finding,
        });
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} checks, {} failures", self.checks, self.failures.len())?;
        self.failures
            .iter()
            .take(20)
            .try_for_each(|failure| write!(f, "\n  {failure}"))
    }
}

/// The candidates and the oracle with the same basis: 20 large primes, 2 of middle size, the 2 smallest, 24 more large ones.
pub(super) struct Runner<'r> {
    /// None where a candidate does not take the basis, which is a failure of its own.
    candidates: Vec<Option<Opened>>,
    oracle: Opened,
    found: &'r mut Judgement,
    pub(super) basis: Basis,
    pub(super) items: usize,
    pub(super) random: Random,
}

impl<'r> Runner<'r> {
    pub(super) fn new(
        candidates: &[Candidate],
        log_n: u32,
        items: usize,
        found: &'r mut Judgement,
    ) -> Result<Self, String> {
        // Two at the least: of N = 2^17 there is one below 2^22.
        let small: Vec<u32> = ntt_primes(log_n, 2, 1 << 23).collect();
        let primes: Vec<u32> = ntt_primes(log_n, 1 << 23, 1 << 30)
            .take(20)
            .chain(ntt_primes(log_n, 1 << 22, 1 << 27).take(2))
            .chain(small.iter().rev().take(2).copied())
            .chain(ntt_primes(log_n, 1 << 27, 1 << 30).skip(20).take(24))
            .collect();
        Self::with_primes(candidates, log_n, &primes, items, found)
    }

    /// With a basis of the caller's.
    pub(super) fn with_primes(
        candidates: &[Candidate],
        log_n: u32,
        primes: &[u32],
        items: usize,
        found: &'r mut Judgement,
    ) -> Result<Self, String> {
        let basis = Basis::new(log_n, primes).map_err(|e| e.to_string())?;
        let oracle = Candidate::new(|| Oracle).open(&basis)?;
        let mut opened = Vec::with_capacity(candidates.len());
        for (candidate, report) in candidates.iter().zip(&mut found.reports) {
            opened.push(match candidate.open(&basis) {
                Ok(candidate) => Some(candidate),
                Err(message) => {
                    report.fail("tables", log_n, String::new(), message);
                    None
                }
            });
        }
        Ok(Self {
            candidates: opened,
            oracle,
            random: Random((u64::from(log_n) << 32) | items as u64),
            found,
            basis,
            items,
        })
    }

    pub(super) fn log_n(&self) -> u32 {
        self.basis.log_n()
    }

    pub(super) fn degree(&self) -> usize {
        1 << self.log_n()
    }

    /// Whether the ring is so large that fewer cases have to do.
    pub(super) fn large(&self) -> bool {
        self.log_n() > 10
    }

    pub(super) fn prime(&self, i: u32) -> Modulus {
        self.basis.prime(i)
    }

    /// An operand with the runner's items and words.
    pub(super) fn operand(&mut self, shape: Shape, polys: usize, primes: &[u32], fill: Fill) -> Operand {
        self.operand_of(self.items, shape, polys, primes, fill)
    }

    /// An operand with words.
    pub(super) fn operand_of(
        &mut self,
        items: usize,
        shape: Shape,
        polys: usize,
        primes: &[u32],
        fill: Fill,
    ) -> Operand {
        let placed = Operand::place(&mut self.random, shape, items, polys, primes);
        placed.fill(&mut self.random, &self.basis, fill)
    }

    /// Primes of the runner's own that do not serve an operation are a failure of every candidate.
    pub(super) fn unusable(&mut self, operation: &str, primes: &[u32]) {
        let log_n = self.log_n();
        for report in &mut self.found.reports {
            report.fail(
                operation,
                log_n,
                format!("primes {primes:?}"),
                String::from("no basis"),
            );
        }
    }

    /// Runs the call on the oracle, once, and on every candidate, and compares; derived operations also by their body on the candidate.
    pub(super) fn check(&mut self, call: &Call, dst: &Operand, src: &[Operand]) {
        let clock = Instant::now();
        let want = self.oracle.run(call, false, dst, src);
        self.found.oracle += clock.elapsed();
        let bodies: &[bool] = if call.is_derived() {
            &[false, true]
        } else {
            &[false]
        };
        let log_n = self.basis.log_n();
        for (candidate, report) in self.candidates.iter().zip(&mut self.found.reports) {
            let Some(candidate) = candidate else {
                continue;
            };
            for by_body in bodies {
                let clock = Instant::now();
                let have = candidate.run(call, *by_body, dst, src);
                report.time += clock.elapsed();
                let found = match call.gives_slots() {
                    true => distance(have, &want),
                    false => difference(log_n, dst, have, &want),
                };
                let Some(finding) = found else {
                    report.checks += 1;
                    continue;
                };
                let sources: Vec<String> = src.iter().map(Operand::describe).collect();
                let shape = format!("to {}; from [{}]", dst.describe(), sources.join("; "));
                let mark = if *by_body { " (body)" } else { "" };
                report.fail(&format!("{}{mark}", call.name()), log_n, shape, finding);
            }
        }
    }
}

/// How far slots are from what is wanted, if it is more than 2^-44 of the largest one.
fn distance(have: Result<Vec<u32>, String>, want: &Result<Vec<u32>, String>) -> Option<String> {
    let (have, want) = match both(have, want) {
        Ok(both) => both,
        Err(failure) => return Some(failure),
    };
    let real = |words: &[u32; 2]| f64::from_bits(u64::from(words[0]) | u64::from(words[1]) << 32);
    let reals = |words: &[u32]| words.as_chunks().0.iter().map(real).collect::<Vec<f64>>();
    let (have, want) = (reals(&have), reals(want));
    let largest = want
        .as_chunks::<2>()
        .0
        .iter()
        .map(|[re, im]| re.hypot(*im))
        .fold(0.0, f64::max);
    let most = largest * 2f64.powi(-44);
    let beyond = |error: f64| error > most || error.is_nan();
    let far = have.iter().zip(&want).position(|(a, b)| beyond((a - b).abs()));
    match far {
        _ if have.len() != want.len() => Some(format!("{} parts of slots, not {}", have.len(), want.len())),
        Some(i) => Some(format!(
            "part {i} of the slots is {:e}, not {:e}",
            have[i], want[i]
        )),
        None => None,
    }
}

/// Both results, or which of them there is not.
fn both(
    have: Result<Vec<u32>, String>,
    want: &Result<Vec<u32>, String>,
) -> Result<(Vec<u32>, &[u32]), String> {
    match (have, want) {
        (Ok(have), Ok(want)) => Ok((have, want)),
        (Err(error), _) => Err(format!("the backend failed: {error}")),
        (_, Err(error)) => Err(format!("the oracle failed: {error}")),
    }
}

/// How a result differs from what is wanted, if it does.
fn difference(
    log_n: u32,
    dst: &Operand,
    have: Result<Vec<u32>, String>,
    want: &Result<Vec<u32>, String>,
) -> Option<String> {
    let (have, want) = match both(have, want) {
        Ok(both) => both,
        Err(failure) => return Some(failure),
    };
    let i = have.iter().zip(want).position(|(a, b)| a != b)?;
    let span = dst.span();
    let (n, rows, polys) = (1usize << log_n, span.rows.len(), span.polys);
    let place = match i / n {
        at if at < span.count() => {
            let (item, poly, row) = (at / (polys * rows), at / rows % polys, at % rows);
            format!("item {item} poly {poly} row {row} word {}", i % n)
        }
        _ => format!("outside of the destination, word {}", i % n),
    };
    Some(format!("{place} is {:#x}, not {:#x}", have[i], want[i]))
}
