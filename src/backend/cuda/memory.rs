//! Device memory: a pool in the order of one queue, with a budget.
//!
//! Work is submitted to one stream, so that memory released by the host may be given out again at once: whatever uses it next runs
//! after what used it before. While a circuit is recorded, memory comes from an arena that belongs to the recording: its addresses stay
//! valid for every replay, and so do those of all other memory that the circuit touches.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, ThreadId},
};

use cudarc::driver::{CudaSlice, CudaStream, DevicePtr, DriverError, sys::CUresult};

use super::device::Queue;
use crate::backend::{BackendError, Result};

/// Memory of the device.
enum Memory {
    Device(CudaSlice<u32>),
    /// Of the counting device, which has none: an address that no other memory has, and words.
    Counted(u64, usize),
}

impl Memory {
    fn words(&self) -> usize {
        match self {
            Self::Device(slice) => slice.len(),
            Self::Counted(_, words) => *words,
        }
    }
}

/// Released memory by words.
#[derive(Default)]
struct Shelf {
    free: BTreeMap<usize, Vec<Memory>>,
}

impl Shelf {
    /// The smallest memory of `words` to twice as many.
    fn reuse(&mut self, words: usize) -> Option<Memory> {
        let mut fitting = self.free.range_mut(words..=2 * words);
        fitting.find_map(|(_, memories)| memories.pop())
    }

    fn bytes(&self) -> usize {
        self.free.values().flatten().map(|m| 4 * m.words()).sum()
    }
}

/// Where memory returns to when it is released: the pool's own shelf, or that of a recording.
pub(super) struct Home {
    shelf: Mutex<Shelf>,
    accounts: Arc<Accounts>,
    /// What the queue has to have passed before memory of a recording is given back to the device.
    recorded_on: Option<Arc<CudaStream>>,
}

/// Bytes held from the device, in use or not, and the most that may be.
struct Accounts {
    held: Mutex<usize>,
    budget: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(stream) = &self.recorded_on {
            // A replay may still be running. If waiting fails the device is lost, and its memory with it.
            let _ = stream.synchronize();
        }
        *lock(&self.accounts.held) -= lock(&self.shelf).bytes();
    }
}

/// Memory in use; returns home when nobody uses it.
pub(super) struct Block {
    memory: Option<Memory>,
    home: Arc<Home>,
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            let mut shelf = lock(&self.home.shelf);
            shelf.free.entry(memory.words()).or_default().push(memory);
        }
    }
}

/// Device memory of a number of words; returns to its pool when dropped.
pub struct Buffer {
    block: Arc<Block>,
    words: usize,
    pub(super) log_n: u32,
    pool: Arc<Pool>,
}

impl Buffer {
    /// The address on the device. A recording keeps the memory from then on.
    pub(super) fn address(&self) -> u64 {
        self.pool.keep(&self.block);
        match &self.block.memory {
            Some(Memory::Device(slice)) => slice.device_ptr(slice.stream()).0,
            Some(Memory::Counted(address, _)) => *address,
            None => 0,
        }
    }

    /// Words from the host to memory that nobody else has seen yet.
    fn fill(&mut self, words: &[u32], stream: &Arc<CudaStream>) -> Result<()> {
        if let Some(block) = Arc::get_mut(&mut self.block)
            && let Some(Memory::Device(slice)) = &mut block.memory
        {
            let mut part = slice.slice_mut(..words.len());
            stream.memcpy_htod(words, &mut part).map_err(lost)?;
        }
        Ok(())
    }

    /// Words asked for.
    pub(super) fn words(&self) -> usize {
        self.words
    }

    /// Words from the start of the memory to the host; waits for them.
    pub(super) fn read(&self, words: &mut [u32]) -> Result<()> {
        self.pool.refuse_while_recording()?;
        match (&self.pool.queue, &self.block.memory) {
            (Queue::Driver { stream, .. }, Some(Memory::Device(slice))) => {
                let part = slice.slice(..words.len());
                stream.memcpy_dtoh(&part, words).map_err(lost)?;
                stream.synchronize().map_err(lost)
            }
            _ => {
                words.fill(0);
                Ok(())
            }
        }
    }
}

/// A failure that leaves the device useless.
pub(super) fn lost(error: DriverError) -> BackendError {
    BackendError::Lost {
        reason: error.to_string(),
    }
}

/// What a recording owns: its arena, and all memory that it touches.
pub(super) struct Recording {
    by: ThreadId,
    arena: Arc<Home>,
    /// Memory of constants, which is never used again: a replay finds in it what the host wrote.
    constants: Arc<Home>,
    touched: Vec<Arc<Block>>,
}

/// The pool of one device.
pub(super) struct Pool {
    queue: Queue,
    home: Arc<Home>,
    recording: Mutex<Option<Recording>>,
    /// Whether there is a recording, to look at without a lock.
    records: AtomicBool,
}

impl Pool {
    /// A pool that never holds more than `budget` bytes.
    pub(super) fn new(queue: Queue, budget: usize) -> Self {
        let accounts = Arc::new(Accounts {
            held: Mutex::new(0),
            budget,
        });
        let home = Arc::new(Home {
            shelf: Mutex::default(),
            accounts,
            recorded_on: None,
        });
        Self {
            queue,
            home,
            recording: Mutex::new(None),
            records: AtomicBool::new(false),
        }
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(super) fn recording(&self) -> bool {
        self.records.load(Ordering::Acquire)
    }

    /// Errors while a circuit is recorded.
    pub(super) fn refuse_while_recording(&self) -> Result<()> {
        let need = "results on the host while a circuit is recorded";
        match self.recording() {
            true => Err(BackendError::Unsupported { need }),
            false => Ok(()),
        }
    }

    /// Errors when another thread records: work submitted meanwhile would become part of its circuit.
    pub(super) fn check_thread(&self) -> Result<()> {
        if !self.recording() {
            return Ok(());
        }
        let need = "work of another thread while a circuit is recorded";
        match &*lock(&self.recording) {
            Some(recording) if recording.by != thread::current().id() => {
                Err(BackendError::Unsupported { need })
            }
            _ => Ok(()),
        }
    }

    fn keep(&self, block: &Arc<Block>) {
        if self.recording()
            && let Some(recording) = &mut *lock(&self.recording)
            && ![&recording.arena, &recording.constants]
                .into_iter()
                .any(|home| Arc::ptr_eq(home, &block.home))
        {
            recording.touched.push(Arc::clone(block));
        }
    }

    /// From now on memory comes from an arena; errors if it does so already.
    pub(super) fn begin_recording(&self, stream: &Arc<CudaStream>) -> Result<()> {
        let mut recording = lock(&self.recording);
        if recording.is_some() {
            let need = "a recording within a recording";
            return Err(BackendError::Unsupported { need });
        }
        let home = || {
            Arc::new(Home {
                shelf: Mutex::default(),
                accounts: Arc::clone(&self.home.accounts),
                recorded_on: Some(Arc::clone(stream)),
            })
        };
        *recording = Some(Recording {
            by: thread::current().id(),
            arena: home(),
            constants: home(),
            touched: Vec::new(),
        });
        self.records.store(true, Ordering::Release);
        Ok(())
    }

    /// Ends it and hands over what it owns.
    pub(super) fn end_recording(&self) -> Option<Recording> {
        self.records.store(false, Ordering::Release);
        let mut recording = lock(&self.recording).take()?;
        recording
            .touched
            .sort_unstable_by_key(|block| Arc::as_ptr(block) as usize);
        recording.touched.dedup_by(|a, b| Arc::ptr_eq(a, b));
        Some(recording)
    }

    /// Memory for `count` rows of 2^log_n words holding anything: the smallest released one of at most twice the size, or new memory; what was
    /// released is given back to the device when there is no more.
    pub(super) fn take(self: &Arc<Self>, log_n: u32, count: usize) -> Result<Buffer> {
        self.check_thread()?;
        let words = (count << log_n).max(1);
        let arena = lock(&self.recording).as_ref().map(|r| Arc::clone(&r.arena));
        let recording = arena.is_some();
        let home = arena.unwrap_or_else(|| Arc::clone(&self.home));
        let reused = lock(&home.shelf).reuse(words);
        let memory = match reused {
            Some(memory) => memory,
            None => self.allocate(words, recording)?,
        };
        let block = Block {
            memory: Some(memory),
            home,
        };
        Ok(Buffer {
            block: Arc::new(block),
            words,
            log_n,
            pool: Arc::clone(self),
        })
    }

    /// Memory with these words. Of a recording they are no part: they are there before its first replay, in memory that it uses for
    /// nothing else.
    pub(super) fn with_words(self: &Arc<Self>, log_n: u32, words: &[u32]) -> Result<Buffer> {
        let constants = lock(&self.recording).as_ref().map(|r| Arc::clone(&r.constants));
        let Some(home) = constants else {
            let mut buffer = self.take(log_n, words.len().div_ceil(1 << log_n))?;
            if let Queue::Driver { stream, .. } = &self.queue {
                buffer.fill(words, stream)?;
            }
            if let Queue::Counted(log) = &self.queue {
                log.upload(4 * words.len() as u64);
            }
            return Ok(buffer);
        };
        self.check_thread()?;
        let block = Block {
            memory: Some(self.allocate(words.len().max(1), true)?),
            home,
        };
        let mut buffer = Buffer {
            block: Arc::new(block),
            words: words.len(),
            log_n,
            pool: Arc::clone(self),
        };
        if let Queue::Driver { side, .. } = &self.queue {
            buffer.fill(words, side)?;
            side.synchronize().map_err(lost)?;
        }
        Ok(buffer)
    }

    fn allocate(&self, words: usize, recording: bool) -> Result<Memory> {
        let (wanted, budget) = (4 * words, self.home.accounts.budget);
        let mut held = lock(&self.home.accounts.held);
        let attempt = |held: &mut usize| {
            if *held + wanted > budget {
                return Ok(None);
            }
            let memory = match &self.queue {
                Queue::Counted(log) => Ok(Memory::Counted(log.address(wanted as u64), words)),
                // The side stream is never recorded: memory from it is no part of a graph.
                // SAFETY: fresh memory holds anything, and `u32` is any bits; every kernel and copy writes before it reads.
                Queue::Driver { side, .. } if recording => unsafe { side.alloc::<u32>(words) }
                    .and_then(|memory| side.synchronize().map(|()| Memory::Device(memory))),
                // SAFETY: as above.
                Queue::Driver { stream, .. } => unsafe { stream.alloc::<u32>(words) }.map(Memory::Device),
            };
            match memory {
                Ok(memory) => {
                    *held += wanted;
                    Ok(Some(memory))
                }
                Err(DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => Ok(None),
                Err(error) => Err(lost(error)),
            }
        };
        if let Some(memory) = attempt(&mut held)? {
            return Ok(memory);
        }
        // A recording would take the release for a part of the circuit.
        if !recording {
            let mut shelf = lock(&self.home.shelf);
            *held -= shelf.bytes();
            shelf.free.clear();
            drop(shelf);
            if let Some(memory) = attempt(&mut held)? {
                return Ok(memory);
            }
        }
        let free = self.queue.free_bytes().min(budget - *held);
        Err(BackendError::OutOfMemory { wanted, free })
    }
}
