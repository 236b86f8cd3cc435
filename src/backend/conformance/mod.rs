//! Conformance: what judges a backend.
//!
//! Every operation runs on the backend and on the [`Oracle`](super::oracle::Oracle), and every word must agree. Memory is
//! fresh, so that a backend with poisoned memory shows what it reads without having written it; rows around the destination
//! are guarded, so that a stray write shows; row lists have gaps and permuted positions, operands repeat along items and
//! polynomials, constants, Galois elements and keys differ between items, and residues reach their extremes. Every derived
//! operation is compared with its derived body as well.

mod call;
mod conversion;
mod elementwise;
mod encode;
mod keyswitch;
mod levels;
mod opaque;
mod operand;
mod product;
mod runner;
mod transform;

pub use opaque::{Handle, Opaque};
pub use runner::{Failure, Report};

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

    /// The degrees of large parameters, 2^13 to 2^16, one and three items: minutes on a processor.
    pub fn large() -> Self {
        Self {
            log_n: vec![13, 14, 15, 16],
            items: vec![1, 3],
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
    let mut report = Report::default();
    for log_n in &scope.log_n {
        for items in &scope.items {
            let backend = make();
            match Runner::new(&backend, *log_n, *items, &mut report) {
                Ok(mut runner) => {
                    elementwise::check(&mut runner);
                    transform::check(&mut runner);
                    encode::check(&mut runner);
                    conversion::check(&mut runner);
                    keyswitch::check(&mut runner);
                    product::check(&mut runner);
                }
                Err(message) => report.fail("tables", *log_n, String::new(), message),
            }
        }
    }
    report
}

/// Judges a backend on the steps of a chain, as key switching and rescaling take them at these levels: digits extended, special
/// primes divided away, rescaling, both divisions at once; all on `items` ciphertexts.
pub fn run_levels<B: Backend>(backend: &B, chain: &ChainTable, levels: &[usize], items: usize) -> Report {
    let mut report = Report::default();
    match Runner::with_primes(backend, chain.log_n, &chain.all_primes(), items, &mut report) {
        Ok(mut runner) => levels
            .iter()
            .for_each(|level| levels::check(&mut runner, chain, *level)),
        Err(message) => report.fail("tables", chain.log_n, String::new(), message),
    }
    report
}
