//! Device memory: a pool in the order of one queue, with a budget.
//!
//! Work is submitted to one queue, so that memory released by the host may be given out again at once: whatever uses it next runs
//! after what used it before.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ::wgpu::{BufferDescriptor, BufferUsages, Device, ErrorFilter};

use crate::backend::{BackendError, Result};

/// What poisoned memory holds.
const POISON: u8 = 0xa5;
/// Words of the smallest allocation.
const LEAST: usize = 64;

/// Memory of the device, by a number that no other memory has.
pub(super) struct Memory {
    pub(super) raw: ::wgpu::Buffer,
    pub(super) id: u64,
}

impl Memory {
    fn bytes(&self) -> usize {
        self.raw.size() as usize
    }
}

/// Released memory by bytes, and how much there is.
struct Shelf {
    free: BTreeMap<usize, Vec<Memory>>,
    /// Bytes held from the device, in use or not.
    held: usize,
    next_id: u64,
    /// Allocations that still succeed, where a test says so.
    left: Option<u64>,
}

/// The pool of one device.
pub(super) struct Pool {
    gpu: Device,
    shelf: Mutex<Shelf>,
    /// The most bytes that may be held; none if the device's own limit is the only one.
    budget: Option<usize>,
    /// Largest buffer of the device, in bytes.
    largest: usize,
    /// Whether memory is filled when it is given out, and never given out twice.
    poison: bool,
}

/// Device memory of a number of words; returns to its pool when dropped.
pub struct Buffer {
    memory: Option<Memory>,
    words: usize,
    pub(super) log_n: u32,
    pool: Arc<Pool>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            let mut shelf = self.pool.shelf();
            if self.pool.poison {
                shelf.held -= memory.bytes();
            } else {
                shelf.free.entry(memory.bytes()).or_default().push(memory);
            }
        }
    }
}

impl Buffer {
    /// The memory; there is some until the buffer is dropped.
    pub(super) fn memory(&self) -> Result<&Memory> {
        self.memory.as_ref().ok_or(BackendError::Lost {
            reason: String::from("a buffer was used after its end"),
        })
    }

    /// Words asked for.
    pub(super) fn words(&self) -> usize {
        self.words
    }
}

impl Pool {
    /// A pool that never holds more than `budget` bytes, if there is one.
    pub(super) fn new(gpu: Device, budget: Option<usize>, largest: usize, poison: bool) -> Self {
        let shelf = Shelf {
            free: BTreeMap::new(),
            held: 0,
            next_id: 1,
            left: None,
        };
        Self {
            gpu,
            shelf: Mutex::new(shelf),
            budget,
            largest,
            poison,
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory for `rows` rows of 2^log_n words holding anything: the smallest released one of at most twice the size, or new memory. None if
    /// there is no room.
    pub(super) fn take(self: &Arc<Self>, log_n: u32, rows: usize) -> Result<Option<Buffer>> {
        let words = rows.saturating_mul(1 << log_n).max(LEAST);
        let bytes = words.saturating_mul(4);
        if bytes > self.largest {
            return Err(BackendError::OutOfMemory {
                wanted: bytes,
                free: self.largest,
            });
        }
        let mut shelf = self.shelf();
        let reused = shelf
            .free
            .range_mut(bytes..=2 * bytes)
            .find_map(|(_, list)| list.pop());
        let memory = match reused {
            Some(memory) => Some(memory),
            None => self.allocate(&mut shelf, bytes)?,
        };
        Ok(memory.map(|memory| Buffer {
            memory: Some(memory),
            words,
            log_n,
            pool: Arc::clone(self),
        }))
    }

    fn allocate(&self, shelf: &mut Shelf, bytes: usize) -> Result<Option<Memory>> {
        if self.budget.is_some_and(|budget| shelf.held + bytes > budget) || shelf.left == Some(0) {
            return Ok(None);
        }
        let scope = self.gpu.push_error_scope(ErrorFilter::OutOfMemory);
        let raw = self.gpu.create_buffer(&BufferDescriptor {
            label: None,
            size: bytes as u64,
            usage: BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST,
            mapped_at_creation: self.poison,
        });
        if pollster::block_on(scope.pop()).is_some() {
            return Ok(None);
        }
        if self.poison {
            let lost = |e: ::wgpu::MapRangeError| BackendError::Lost {
                reason: e.to_string(),
            };
            raw.get_mapped_range_mut(..)
                .map_err(lost)?
                .copy_from_slice(&vec![POISON; bytes]);
            raw.unmap();
        }
        shelf.left = shelf.left.map(|left| left - 1);
        shelf.held += bytes;
        let id = shelf.next_id;
        shelf.next_id += 1;
        Ok(Some(Memory { raw, id }))
    }

    /// Gives released memory back to the device.
    pub(super) fn trim(&self) {
        let mut shelf = self.shelf();
        let released: usize = shelf.free.values().flatten().map(Memory::bytes).sum();
        shelf.free.clear();
        shelf.held -= released;
    }

    /// After so many further allocations all fail; none, if there is no number.
    pub(super) fn refuse_after(&self, allocations: Option<u64>) {
        self.shelf().left = allocations;
    }

    /// How often memory was taken from the device.
    pub(super) fn allocations(&self) -> u64 {
        self.shelf().next_id - 1
    }

    /// Bytes of the budget that are left; 0 where only the device knows.
    pub(super) fn free(&self) -> usize {
        let held = self.shelf().held;
        self.budget.map_or(0, |budget| budget.saturating_sub(held))
    }
}
