//! Device memory: a pool in the order of one queue, with a budget.
//!
//! Work is submitted to one stream, so that memory released by the host may be given out again at once: whatever uses it next runs
//! after what used it before.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cudarc::driver::{CudaSlice, CudaStream, DevicePtr, DriverError, sys::CUresult};

use crate::backend::{BackendError, Result};

/// Released memory by words, and how much there is.
struct Shelf {
    free: BTreeMap<usize, Vec<CudaSlice<u32>>>,
    /// Bytes held from the device, in use or not.
    held: usize,
    /// The most that may be held.
    budget: usize,
}

/// The pool of one device.
pub(super) struct Pool {
    stream: Arc<CudaStream>,
    shelf: Mutex<Shelf>,
}

/// Device memory of a number of words; returns to its pool when dropped.
pub struct Buffer {
    memory: Option<CudaSlice<u32>>,
    words: usize,
    pub(super) log_n: u32,
    pool: Arc<Pool>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            let mut shelf = self.pool.shelf();
            shelf.free.entry(memory.len()).or_default().push(memory);
        }
    }
}

impl Buffer {
    /// The address on the device.
    pub(super) fn address(&self) -> u64 {
        let pointer = |m: &CudaSlice<u32>| m.device_ptr(&self.pool.stream).0;
        self.memory.as_ref().map_or(0, pointer)
    }

    /// Words asked for.
    pub(super) fn words(&self) -> usize {
        self.words
    }

    /// Words from the host to the start of the memory.
    pub(super) fn write(&mut self, words: &[u32]) -> Result<()> {
        let Some(memory) = &mut self.memory else {
            return Ok(());
        };
        let mut part = memory.slice_mut(..words.len());
        self.pool.stream.memcpy_htod(words, &mut part).map_err(lost)
    }

    /// Words from the start of the memory to the host; waits for them.
    pub(super) fn read(&self, words: &mut [u32]) -> Result<()> {
        let Some(memory) = &self.memory else {
            return Ok(());
        };
        let part = memory.slice(..words.len());
        self.pool.stream.memcpy_dtoh(&part, words).map_err(lost)?;
        self.pool.stream.synchronize().map_err(lost)
    }
}

/// A failure that leaves the device useless.
pub(super) fn lost(error: DriverError) -> BackendError {
    BackendError::Lost {
        reason: error.to_string(),
    }
}

impl Pool {
    /// A pool that never holds more than `budget` bytes.
    pub(super) fn new(stream: Arc<CudaStream>, budget: usize) -> Self {
        let shelf = Shelf {
            free: BTreeMap::new(),
            held: 0,
            budget,
        };
        Self {
            stream,
            shelf: Mutex::new(shelf),
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory for `count` rows of 2^log_n words holding anything: the smallest released one of at most twice the size, or new memory; what was
    /// released is given back to the device when there is no more.
    pub(super) fn take(self: &Arc<Self>, log_n: u32, count: usize) -> Result<Buffer> {
        let words = (count << log_n).max(1);
        let mut shelf = self.shelf();
        let reused = shelf
            .free
            .range_mut(words..=2 * words)
            .find_map(|(_, slices)| slices.pop());
        let memory = match reused {
            Some(memory) => memory,
            None => self.allocate(&mut shelf, words)?,
        };
        Ok(Buffer {
            memory: Some(memory),
            words,
            log_n,
            pool: Arc::clone(self),
        })
    }

    fn allocate(&self, shelf: &mut Shelf, words: usize) -> Result<CudaSlice<u32>> {
        let wanted = 4 * words;
        let attempt = |shelf: &mut Shelf| {
            if shelf.held + wanted > shelf.budget {
                return Ok(None);
            }
            // SAFETY: fresh memory holds anything, and `u32` is any bits; every kernel and copy writes before it reads.
            match unsafe { self.stream.alloc::<u32>(words) } {
                Ok(memory) => {
                    shelf.held += wanted;
                    Ok(Some(memory))
                }
                Err(DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => Ok(None),
                Err(error) => Err(lost(error)),
            }
        };
        if let Some(memory) = attempt(shelf)? {
            return Ok(memory);
        }
        let released: usize = shelf.free.values().flatten().map(|m| 4 * m.len()).sum();
        shelf.free.clear();
        shelf.held -= released;
        match attempt(shelf)? {
            Some(memory) => Ok(memory),
            None => {
                let device = self.stream.context().mem_get_info().map_or(0, |(free, _)| free);
                let free = device.min(shelf.budget - shelf.held);
                Err(BackendError::OutOfMemory { wanted, free })
            }
        }
    }
}
