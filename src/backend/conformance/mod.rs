//! Conformance: what judges a backend.
//!
//! Every operation runs on the backend and on the [`Oracle`](super::oracle::Oracle), and every word must agree. Memory is
//! fresh, so that a backend with poisoned memory shows what it reads without having written it; rows around the destination
//! are guarded, so that a stray write shows; row lists have gaps and permuted positions, operands repeat along items and
//! polynomials, constants, Galois elements and keys differ between items, and residues reach their extremes. Every derived
//! operation is compared with its derived body as well. Several backends may be judged together: the oracle, which takes the longest,
//! then answers once for all of them.

mod call;
mod candidate;
mod conversion;
mod elementwise;
mod encode;
mod keyswitch;
mod levels;
mod opaque;
mod operand;
pub mod plan;
mod product;
mod runner;
mod transform;

pub use candidate::Candidate;
pub use opaque::{Handle, Opaque};
pub use runner::{Failure, Judgement, Report};

use super::Backend;
use crate::ring::ChainTable;
use runner::Runner;

/// How much to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Ring degrees, as log2; from 2^11 on with fewer shapes each.
    pub log_n: Vec<u32>,
    /// Batch sizes.
    pub items: Vec<usize>,
}

impl Scope {
    /// What every backend has to pass: degrees 2 to 2^12, one and three items.
    pub fn full() -> Self {
        Self {
            log_n: vec![1, 2, 4, 6, 10, 12],
            items: vec![1, 3],
        }
    }

    /// The degrees of large parameters, 2^13 and 2^14, one and three items: minutes on a processor.
    pub fn large() -> Self {
        Self {
            log_n: vec![13, 14],
            items: vec![1, 3],
        }
    }

    /// The degrees of the largest parameters, 2^15 to 2^17, one item: many minutes.
    pub fn largest() -> Self {
        Self {
            log_n: vec![15, 16, 17],
            items: vec![1],
        }
    }

    /// A self-test of a second or so: degrees 2^4 and 2^8.
    pub fn quick() -> Self {
        Self {
            log_n: vec![4, 8],
            items: vec![3],
        }
    }
}

/// Judges the backends that `make` gives, a new one for each ring degree and batch size.
pub fn run<B: Backend>(make: impl Fn() -> B, scope: &Scope) -> Report {
    let found = run_all(&[Candidate::new(make)], scope);
    found.reports.into_iter().next().unwrap_or_default()
}

/// Judges several backends on the same calls, which the oracle answers once.
pub fn run_all(candidates: &[Candidate], scope: &Scope) -> Judgement {
    let mut found = Judgement::of(candidates.len());
    for log_n in &scope.log_n {
        for items in &scope.items {
            match Runner::new(candidates, *log_n, *items, &mut found) {
                Ok(mut runner) => {
                    elementwise::check(&mut runner);
                    transform::check(&mut runner);
                    encode::check(&mut runner);
                    conversion::check(&mut runner);
                    keyswitch::check(&mut runner);
                    product::check(&mut runner);
                }
                Err(message) => found.no_basis(*log_n, &message),
            }
        }
    }
    found
}

/// Judges backends on the steps of a chain, as key switching and rescaling take them at these levels: digits extended, special
/// primes divided away, rescaling, both divisions at once; all on `items` ciphertexts.
pub fn run_levels(candidates: &[Candidate], chain: &ChainTable, levels: &[usize], items: usize) -> Judgement {
    let mut found = Judgement::of(candidates.len());
    match Runner::with_primes(candidates, chain.log_n, &chain.all_primes(), items, &mut found) {
        Ok(mut runner) => levels
            .iter()
            .for_each(|level| levels::check(&mut runner, chain, *level)),
        Err(message) => found.no_basis(chain.log_n, &message),
    }
    found
}
