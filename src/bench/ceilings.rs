//! What the processor can do at best, measured: products of words a second, and bytes copied a second.

use std::{hint::black_box, time::Instant};

use rayon::prelude::*;

use super::Work;
use crate::backend::cpu::{Instructions, products};

/// Bytes that a copy touches, source and destination together and all threads: from the first cache to main memory. An operation is
/// held against the largest that its operands fill, whose rate is higher than their own.
const FOOTPRINTS: [usize; 6] = [1 << 15, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 27];
/// Seconds for each rate, in tries of which the best counts.
const BUDGET: f64 = 0.05;
/// Bytes of one try of a copy, at least: shorter than a slice of the scheduler's.
const COPIED: usize = 1 << 24;
/// Rounds of one try of products, for the same reason.
const ROUNDS: usize = 1 << 16;

/// Measured rates of this machine with the threads of rayon's pool.
#[derive(Clone, Debug)]
pub struct Ceilings {
    /// Products of 32-bit words in 64 bits a second.
    pub products: f64,
    /// (footprint in bytes, bytes read or written a second).
    pub copies: Vec<(usize, f64)>,
}

impl Ceilings {
    /// Measures, in about half a second.
    pub fn measure() -> Self {
        let threads = rayon::current_num_threads();
        Self {
            products: best(&mut vec![(); threads], |()| {
                products(Instructions::best(), ROUNDS)
            }),
            copies: FOOTPRINTS
                .iter()
                .map(|bytes| (*bytes, copies(threads, *bytes)))
                .collect(),
        }
    }

    /// Bytes a second for operands of `bytes` together.
    pub fn copy_rate(&self, bytes: f64) -> f64 {
        let filled = self.copies.iter().rfind(|(room, _)| bytes >= *room as f64);
        filled.or(self.copies.first()).map_or(f64::NAN, |(_, rate)| *rate)
    }

    /// The least microseconds that work takes.
    pub fn floor_us(&self, work: Work) -> f64 {
        1e6 * f64::max(
            work.products / self.products,
            work.bytes / self.copy_rate(work.bytes),
        )
    }
}

/// The best rate of a run on every thread at once; a run says how much it did.
fn best<T: Send>(states: &mut [T], run: impl Fn(&mut T) -> usize + Sync) -> f64 {
    let round = |states: &mut [T]| -> usize { states.par_iter_mut().with_max_len(1).map(&run).sum() };
    // The first round meets memory that is not there yet.
    round(states);
    let (all, mut best) = (Instant::now(), 0.0);
    while best == 0.0 || all.elapsed().as_secs_f64() < BUDGET {
        let start = Instant::now();
        let amount = round(states) as f64;
        best = f64::max(best, amount / start.elapsed().as_secs_f64());
    }
    best
}

fn copies(threads: usize, bytes: usize) -> f64 {
    let half = (bytes / 2 / threads).max(64);
    let rounds = (COPIED / threads / (2 * half)).max(1);
    let mut buffers: Vec<_> = (0..threads).map(|_| (vec![1u8; half], vec![0u8; half])).collect();
    best(&mut buffers, |(from, to)| {
        for _ in 0..rounds {
            to.copy_from_slice(black_box(from));
            black_box(to.as_mut_slice());
        }
        rounds * 2 * half
    })
}
