//! What the counting device writes down: launches, and the bytes that they move.
//!
//! Bytes are those that blocks ask for, whatever a cache then answers: every operand row once for each block that reads it.
//! *Tables* (twiddles, each once a launch and prime) are counted apart, since all items and digits share them.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// One launch of a kernel, or one copy from the host (without blocks).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Its name.
    pub kernel: &'static str,
    /// Blocks in each dimension: along a row, rows, items and polynomials.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub threads: u32,
    /// Shared memory of a block, beside what the kernel declares.
    pub shared_bytes: u32,
    /// Bytes of operands that are read.
    pub read_bytes: u64,
    /// Bytes that are written.
    pub written_bytes: u64,
    /// Bytes of tables that are read.
    pub table_bytes: u64,
}

impl Launch {
    /// Bytes of operands, read and written.
    pub fn moved_bytes(&self) -> u64 {
        self.read_bytes + self.written_bytes
    }
}

/// Launches in order, and addresses given out.
#[derive(Default)]
pub(super) struct Log {
    launches: Mutex<Vec<Launch>>,
    next: AtomicU64,
}

impl Log {
    pub(super) fn launch(&self, launch: Launch) {
        let mut launches = self.launches.lock().unwrap_or_else(PoisonError::into_inner);
        launches.push(launch);
    }

    pub(super) fn upload(&self, bytes: u64) {
        self.launch(Launch {
            kernel: "from the host",
            grid: [0; 3],
            threads: 0,
            shared_bytes: 0,
            read_bytes: 0,
            written_bytes: bytes,
            table_bytes: 0,
        });
    }

    /// What was launched since the last call.
    pub(super) fn take(&self) -> Vec<Launch> {
        std::mem::take(&mut *self.launches.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An address for memory that does not exist.
    pub(super) fn address(&self, bytes: u64) -> u64 {
        self.next
            .fetch_add(bytes.next_multiple_of(256), Ordering::Relaxed)
    }
}
