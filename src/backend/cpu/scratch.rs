//! Rows that live inside of one operation.

use std::{ops::Range, sync::Arc};

use super::memory::{Buffer, Pool, stride};

/// Some rows of N words from the pool, shared out to threads.
pub(super) struct Scratch {
    base: *mut u32,
    rows: usize,
    n: usize,
    /// The memory; never touched but through `base`.
    _buffer: Buffer,
}

// SAFETY: rows are reached only through `rows`, whose callers promise that no two of them conflict.
unsafe impl Sync for Scratch {}

impl Scratch {
    /// Memory holding anything.
    pub(super) fn new(pool: &Arc<Pool>, rows: usize, n: usize) -> Self {
        let mut buffer = pool.take(rows, n);
        Self {
            base: buffer.words_mut().as_mut_ptr(),
            rows,
            n,
            _buffer: buffer,
        }
    }

    /// One row.
    ///
    /// # Safety
    /// As `rows`.
    #[expect(clippy::mut_from_ref, reason = "rows are shared out to threads, each to one")]
    pub(super) unsafe fn row(&self, i: usize) -> &mut [u32] {
        // SAFETY: the caller's promise.
        unsafe { &mut self.rows(i, 1)[..self.n] }
    }

    /// Some words of one row.
    ///
    /// # Safety
    /// As `rows`, for these words.
    #[expect(
        clippy::mut_from_ref,
        reason = "blocks of rows are shared out to threads, each to one"
    )]
    pub(super) unsafe fn block(&self, i: usize, words: Range<usize>) -> &mut [u32] {
        assert!(i < self.rows && words.start <= words.end && words.end <= self.n);
        let at = i * stride(self.n) + words.start;
        // SAFETY: within the buffer by the assertion; exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.base.add(at), words.len()) }
    }

    /// Neighbouring rows, [`stride`] words apart.
    ///
    /// # Safety
    /// While the result lives, no other reference to any of them is used, unless both are only read.
    #[expect(clippy::mut_from_ref, reason = "rows are shared out to threads, each to one")]
    pub(super) unsafe fn rows(&self, first: usize, count: usize) -> &mut [u32] {
        assert!(first + count <= self.rows, "rows beyond the scratch memory");
        // SAFETY: within the buffer by the assertion; exclusive by the caller's promise.
        unsafe {
            std::slice::from_raw_parts_mut(self.base.add(first * stride(self.n)), count * stride(self.n))
        }
    }
}
