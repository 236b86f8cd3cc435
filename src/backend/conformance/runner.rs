//! Runs calls on two backends, compares every word, and keeps the record.

use super::{
    call::{Call, load},
    operand::{Fill, Operand, Random, Shape},
};
use crate::{
    arith::{Modulus, ntt_primes},
    backend::{Backend, Mut, Ref, Span, oracle::Oracle},
    ring::Basis,
};

/// What guards the rows around a destination.
const GUARD: u32 = 0x155a_a55a;

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

/// A backend and the oracle with the same basis: 20 large primes, 2 of middle size, the 2 smallest, 24 more large ones.
pub(super) struct Runner<'r, B: Backend> {
    backend: &'r B,
    tables: B::Tables,
    oracle: <Oracle as Backend>::Tables,
    report: &'r mut Report,
    pub(super) basis: Basis,
    pub(super) items: usize,
    pub(super) random: Random,
}

impl<'r, B: Backend> Runner<'r, B> {
    pub(super) fn new(
        backend: &'r B,
        log_n: u32,
        items: usize,
        report: &'r mut Report,
    ) -> Result<Self, String> {
        let small: Vec<u32> = ntt_primes(log_n, 2, 1 << 22).collect();
        let primes: Vec<u32> = ntt_primes(log_n, 1 << 23, 1 << 30)
            .take(20)
            .chain(ntt_primes(log_n, 1 << 22, 1 << 27).take(2))
            .chain(small.iter().rev().take(2).copied())
            .chain(ntt_primes(log_n, 1 << 27, 1 << 30).skip(20).take(24))
            .collect();
        Self::with_primes(backend, log_n, &primes, items, report)
    }

    /// With a basis of the caller's.
    pub(super) fn with_primes(
        backend: &'r B,
        log_n: u32,
        primes: &[u32],
        items: usize,
        report: &'r mut Report,
    ) -> Result<Self, String> {
        let basis = Basis::new(log_n, primes).map_err(|e| e.to_string())?;
        Ok(Self {
            tables: backend.tables(&basis).map_err(|e| e.to_string())?,
            oracle: Oracle.tables(&basis).map_err(|e| e.to_string())?,
            random: Random((u64::from(log_n) << 32) | items as u64),
            backend,
            report,
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

    /// Runs the call on both backends and compares; derived operations also by their body on the backend.
    pub(super) fn check(&mut self, call: &Call, dst: &Operand, src: &[Operand]) {
        let want = execute(&Oracle, &self.oracle, call, false, dst, src);
        let bodies: &[bool] = if call.is_derived() {
            &[false, true]
        } else {
            &[false]
        };
        for by_body in bodies {
            let have = execute(self.backend, &self.tables, call, *by_body, dst, src);
            self.compare(call, *by_body, dst, src, have, &want);
        }
    }

    fn compare(
        &mut self,
        call: &Call,
        by_body: bool,
        dst: &Operand,
        src: &[Operand],
        have: Result<Vec<u32>, String>,
        want: &Result<Vec<u32>, String>,
    ) {
        let finding = match (have, want) {
            (Ok(have), Ok(want)) => match have.iter().zip(want).position(|(a, b)| a != b) {
                None => {
                    self.report.checks += 1;
                    return;
                }
                Some(i) => {
                    let span = dst.span();
                    let (n, rows, polys) = (self.degree(), span.rows.len(), span.polys);
                    let place = match i / n {
                        at if at < span.count() => {
                            let (item, poly, row) = (at / (polys * rows), at / rows % polys, at % rows);
                            format!("item {item} poly {poly} row {row} word {}", i % n)
                        }
                        _ => format!("outside of the destination, word {}", i % n),
                    };
                    format!("{place} is {:#x}, not {:#x}", have[i], want[i])
                }
            },
            (Err(error), _) => format!("the backend failed: {error}"),
            (_, Err(error)) => format!("the oracle failed: {error}"),
        };
        let sources: Vec<String> = src.iter().map(Operand::describe).collect();
        let shape = format!("to {}; from [{}]", dst.describe(), sources.join("; "));
        let mark = if by_body { " (body)" } else { "" };
        self.report
            .fail(&format!("{}{mark}", call.name()), self.log_n(), shape, finding);
    }
}

/// The rows of the destination after the call, then the guards around it.
fn execute<B: Backend>(
    b: &B,
    t: &B::Tables,
    call: &Call,
    by_body: bool,
    dst: &Operand,
    src: &[Operand],
) -> Result<Vec<u32>, String> {
    let n = 1usize << b.log_n(t);
    let buffers = src.iter().map(|s| load(b, t, s)).collect::<Result<Vec<_>, _>>()?;
    let sources: Vec<Ref<B>> = buffers
        .iter()
        .zip(src)
        .map(|(buffer, s)| Ref::new(buffer, s.span()))
        .collect();
    let others = dst.others();
    let guards = Span {
        offset: 0,
        items: 1,
        item_stride: 0,
        polys: 1,
        poly_stride: 0,
        rows: &others,
    };
    let mut target = match call.updates() {
        true => load(b, t, dst)?,
        false => b.alloc(b.log_n(t), dst.capacity()).map_err(|e| e.to_string())?,
    };
    b.upload(Mut::new(&mut target, guards), &vec![GUARD; others.len() * n])
        .map_err(|e| e.to_string())?;
    call.apply(b, t, by_body, Mut::new(&mut target, dst.span()), &sources)?;
    b.wait().map_err(|e| e.to_string())?;
    let mut words = vec![0; dst.span().count() * n];
    let mut around = vec![0; others.len() * n];
    b.download(Ref::new(&target, dst.span()), &mut words)
        .map_err(|e| e.to_string())?;
    b.download(Ref::new(&target, guards), &mut around)
        .map_err(|e| e.to_string())?;
    words.extend(around);
    Ok(words)
}
