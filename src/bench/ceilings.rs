//! What the processor can do at best, measured: products of words a second, and bytes copied a second.

use std::{hint::black_box, time::Instant};

use rayon::prelude::*;

use super::Work;
use crate::backend::cpu::{Cpu, PRODUCTS, Words};

/// Bytes that a copy touches, source and destination together and all threads: within the first cache, the second, the third, and
/// beyond. An operation is held against the smallest that has room for its operands.
const FOOTPRINTS: [usize; 4] = [1 << 15, 1 << 20, 1 << 24, 1 << 28];
/// Measurements of a rate, of which the best counts.
const TRIES: usize = 12;
/// Bytes of one measurement of a copy, at least.
const COPIED: usize = 1 << 25;
/// Calls of one measurement of products: some milliseconds.
const CALLS: usize = 1 << 10;

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
            products: products(threads),
            copies: FOOTPRINTS
                .iter()
                .map(|bytes| (*bytes, copies(threads, *bytes)))
                .collect(),
        }
    }

    /// Bytes a second for operands of `bytes` together.
    pub fn copy_rate(&self, bytes: f64) -> f64 {
        let fits = self.copies.iter().find(|(room, _)| bytes <= *room as f64);
        fits.or(self.copies.last()).map_or(f64::NAN, |(_, rate)| *rate)
    }

    /// The least microseconds that work takes.
    pub fn floor_us(&self, work: Work) -> f64 {
        1e6 * f64::max(
            work.products / self.products,
            work.bytes / self.copy_rate(work.bytes),
        )
    }
}

/// The best of [`TRIES`] rates of `amount` a run on every thread at once.
fn best<T: Send>(states: &mut [T], amount: usize, run: impl Fn(&mut T) + Sync) -> f64 {
    let whole = (amount * states.len()) as f64;
    (0..TRIES).fold(0.0, |best, _| {
        let start = Instant::now();
        states.par_iter_mut().with_max_len(1).for_each(&run);
        f64::max(best, whole / start.elapsed().as_secs_f64())
    })
}

fn products(threads: usize) -> f64 {
    let cpu = Cpu::new();
    let mut words: Vec<Words> = (0..threads).map(|_| Words::default()).collect();
    best(&mut words, CALLS * PRODUCTS, |words| {
        for _ in 0..CALLS {
            cpu.products(black_box(words), black_box(3_141_592_653));
        }
    })
}

fn copies(threads: usize, bytes: usize) -> f64 {
    let half = (bytes / 2 / threads).max(64);
    let rounds = (COPIED / threads / (2 * half)).max(1);
    let mut buffers: Vec<_> = (0..threads).map(|_| (vec![1u8; half], vec![0u8; half])).collect();
    best(&mut buffers, rounds * 2 * half, |(from, to)| {
        for _ in 0..rounds {
            to.copy_from_slice(black_box(from));
            black_box(to.as_mut_slice());
        }
    })
}
