//! What the device can do at best, measured: products of words a second, and bytes copied a second.

use std::{hint::black_box, time::Instant};

use rayon::prelude::*;

use super::{Result, Work, field};
use crate::backend::{
    BackendError, Mut, Ref, Span, compact,
    cpu::{Instructions, products},
    device::{BackendKind, DeviceBackend},
};

/// Bytes that a copy touches, source and destination together and all threads: from the first cache to main memory. An operation is
/// held against the largest that its operands fill, whose rate is higher than their own.
const FOOTPRINTS: [usize; 6] = [1 << 15, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 27];
/// Seconds for each rate, in tries of which the best counts.
const BUDGET: f64 = 0.05;
/// Bytes of one try of a copy, at least: shorter than a slice of the scheduler's.
const COPIED: usize = 1 << 24;
/// Rounds of one try of products, for the same reason.
const ROUNDS: usize = 1 << 16;

/// Bytes that a copy on a GPU touches: what its caches hold, and what they do not. Smaller ones would measure the launch.
const DEVICE_FOOTPRINTS: [usize; 3] = [1 << 26, 1 << 28, 1 << 30];
/// Launches of one try on a device, which share one wait.
const LAUNCHES: usize = 8;
/// log2 of the words of a row to copy.
const LOG_ROW: u32 = 16;

/// Measured rates of this machine: of the CPU with the threads of rayon's pool, or of a GPU.
#[derive(Clone, Debug)]
pub struct Ceilings {
    /// Products of 32-bit words in 64 bits a second.
    pub products: f64,
    /// (footprint in bytes, bytes read or written a second).
    pub copies: Vec<(usize, f64)>,
}

impl Ceilings {
    /// Measures the device of a backend, in about half a second.
    ///
    /// The product rate of a GPU is that of its own matrix products: what is reached for certain, and perhaps not the most.
    pub fn of<B: DeviceBackend>(backend: &B) -> Result<Self> {
        if B::KIND == BackendKind::Cpu {
            return Ok(Self::measure());
        }
        // An emulation says nothing of any GPU, and takes its time.
        let rooms = match backend.is_emulated() {
            true => &[1 << 22][..],
            false => &DEVICE_FOOTPRINTS[..],
        };
        let mut copies = Vec::new();
        for room in rooms {
            match device_copies(backend, *room) {
                Ok(rate) => copies.push((*room, rate)),
                Err(BackendError::OutOfMemory { .. }) if !copies.is_empty() => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self {
            products: device_products(backend)?,
            copies,
        })
    }

    /// Measures the CPU, in about half a second.
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

/// The best rate of `LAUNCHES` launches of some amount each, waited for together.
fn best_of_launches(
    amount: f64,
    wait: impl Fn() -> std::result::Result<(), BackendError>,
    mut launch: impl FnMut() -> std::result::Result<(), BackendError>,
) -> std::result::Result<f64, BackendError> {
    let mut round = || {
        (0..LAUNCHES).try_for_each(|_| launch())?;
        wait()
    };
    round()?;
    let (all, mut best) = (Instant::now(), 0.0);
    while best == 0.0 || all.elapsed().as_secs_f64() < BUDGET {
        let start = Instant::now();
        round()?;
        best = f64::max(best, amount * LAUNCHES as f64 / start.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// Bytes read or written a second by copies from one half of `room` bytes to the other.
fn device_copies<B: DeviceBackend>(backend: &B, room: usize) -> std::result::Result<f64, BackendError> {
    let items = (room / 2) >> (LOG_ROW + 2);
    let (mut to, mut from) = (backend.alloc(LOG_ROW, items)?, backend.alloc(LOG_ROW, items)?);
    let row = compact(&[0]);
    let span = Span::dense(items, 1, &row);
    backend.zero(Mut::new(&mut from, span))?;
    best_of_launches(
        room as f64,
        || backend.wait(),
        || backend.copy(Mut::new(&mut to, span), Ref::new(&from, span)),
    )
}

/// Products a second of matrices of small integers times residues.
fn device_products<B: DeviceBackend>(backend: &B) -> Result<f64> {
    let log_n = if backend.is_emulated() { 10 } else { 16 };
    let matrix = &mut field::Gemm::new(backend.clone(), log_n)?;
    let products = matrix.work().products;
    Ok(best_of_launches(products, || backend.wait(), || matrix.launch())?)
}
