//! `bench`: measurements.

pub(super) mod attention;
pub(super) mod bootstrap;
pub(super) mod ceilings;
pub(super) mod matmul;
pub(super) mod ops;
pub(super) mod overflow;
mod power;
mod precision;
mod predictions;

use crate::{bench::use_threads, cli::Failure};

/// Most threads of a measurement.
const THREADS: usize = 1024;

/// Gives the process its threads: see [`use_threads`].
pub(super) fn start_threads(threads: usize) -> Result<(), Failure> {
    if !(1..=THREADS).contains(&threads) {
        return Err(format!("{threads} threads: choose 1 to {THREADS}").into());
    }
    if !use_threads(threads) {
        return Err("the number of threads is set already; this is a defect, please report it".into());
    }
    Ok(())
}
