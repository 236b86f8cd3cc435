//! Host memory of the CPU backend: pooled buffers, and rows shared out to threads.

use std::{
    collections::BTreeMap,
    marker::PhantomData,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    Cpu,
    pages::{LINE, Pages},
    threads::Share,
};
use crate::backend::{Mut, Ref, Span};

/// Words from one row to the next. Rows of a power of two would begin at the same place of the first-level cache, which holds
/// twelve lines or fewer of a kind: nine lines more keep the same column of many rows apart.
pub(super) fn stride(n: usize) -> usize {
    const SKEWED: usize = 1024;
    if n < SKEWED { n } else { n + 9 * LINE }
}

/// Released buffers by length, for reuse without clearing.
#[derive(Default)]
pub struct Pool {
    pub(super) free: Mutex<BTreeMap<usize, Vec<Pages>>>,
    /// Fill fresh memory with this word, to show reads of what was never written.
    pub(super) poison: Option<u32>,
    /// Bytes mapped from the system, past the global allocator.
    pub(super) mapped: AtomicUsize,
    /// Bytes of all buffers, used and released.
    pub(super) held: AtomicUsize,
}

impl Pool {
    /// Rows of N words holding anything: the smallest released buffer that is not more than twice as long, or a new one.
    /// Reuse matters, since fresh pages cost the kernel as much time as a transform costs the processor.
    pub(super) fn take(self: &Arc<Self>, rows: usize, n: usize) -> Buffer {
        let words = rows * stride(n);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let reused = free
            .range_mut(words..=2 * words + LINE)
            .find_map(|(_, buffers)| buffers.pop());
        drop(free);
        let mut words = reused.unwrap_or_else(|| {
            let fresh = Pages::new(words);
            self.mapped.fetch_add(fresh.mapped_bytes(), Ordering::Relaxed);
            self.held.fetch_add(size_of_val(&*fresh), Ordering::Relaxed);
            fresh
        });
        if let Some(poison) = self.poison {
            words.fill(poison);
        }
        Buffer {
            words: Some(words),
            n,
            pool: Arc::clone(self),
        }
    }

    /// Releases what no buffer uses.
    pub(super) fn trim(&self) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        for pages in free.values().flatten() {
            self.mapped.fetch_sub(pages.mapped_bytes(), Ordering::Relaxed);
            self.held.fetch_sub(size_of_val(&**pages), Ordering::Relaxed);
        }
        free.clear();
    }
}

/// Rows of N words, `stride` apart; returns to its pool when dropped.
pub struct Buffer {
    /// Present until the drop.
    words: Option<Pages>,
    n: usize,
    pool: Arc<Pool>,
}

impl Buffer {
    /// All words, those between the rows too.
    pub(super) fn words(&self) -> &[u32] {
        self.words.as_deref().unwrap_or_default()
    }

    /// All words, mutable.
    pub(super) fn words_mut(&mut self) -> &mut [u32] {
        self.words.as_deref_mut().unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(words) = self.words.take() {
            let mut free = self.pool.free.lock().unwrap_or_else(PoisonError::into_inner);
            free.entry(words.len()).or_default().push(words);
        }
    }
}

/// Rows to read, shared by threads.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    words: &'a [u32],
    pub(super) n: usize,
    pub(super) span: Span<'a>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(src: Ref<'a, Cpu>) -> Self {
        Self {
            words: src.buffer.words(),
            n: src.buffer.n,
            span: src.span,
        }
    }

    /// One row.
    #[inline(always)]
    pub(super) fn row(&self, item: usize, poly: usize, row: usize) -> &'a [u32] {
        let at = self.span.position(item, poly, row) * stride(self.n);
        &self.words[at..at + self.n]
    }
}

/// Rows to write, shared out to threads.
pub(super) struct Writer<'a> {
    base: *mut u32,
    pub(super) n: usize,
    pub(super) span: Span<'a>,
    lifetime: PhantomData<&'a mut [u32]>,
}

// SAFETY: a writer is an exclusive borrow of its buffer whose rows are disjoint (checked in `new`); `row` demands that no
// row is taken twice at a time.
unsafe impl Sync for Writer<'_> {}

impl<'a> Writer<'a> {
    /// Checks that the rows lie within the buffer and apart from one another.
    pub(super) fn new(dst: Mut<'a, Cpu>) -> Self {
        let (n, span) = (dst.buffer.n, dst.span);
        assert!(
            span.count() == 0 || span.end() * stride(n) <= dst.buffer.words().len(),
            "rows beyond the buffer"
        );
        assert!(span.is_disjoint(), "rows to write coincide");
        Self {
            base: dst.buffer.words_mut().as_mut_ptr(),
            n,
            span,
            lifetime: PhantomData,
        }
    }

    /// One row, mutable.
    ///
    /// # Safety
    /// No other reference to the same row may be alive.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "rows are shared out to threads, each to one")]
    pub(super) unsafe fn row(&self, item: usize, poly: usize, row: usize) -> &mut [u32] {
        assert!(item < self.span.items && poly < self.span.polys);
        let at = self.span.position(item, poly, row) * stride(self.n);
        // SAFETY: within the buffer by the check in `new`; exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.base.add(at), self.n) }
    }

    /// Some words of one row, mutable.
    ///
    /// # Safety
    /// No other reference to the same words may be alive.
    #[inline(always)]
    #[expect(
        clippy::mut_from_ref,
        reason = "blocks of rows are shared out to threads, each to one"
    )]
    pub(super) unsafe fn block(
        &self,
        item: usize,
        poly: usize,
        row: usize,
        words: Range<usize>,
    ) -> &mut [u32] {
        assert!(
            item < self.span.items
                && poly < self.span.polys
                && words.start <= words.end
                && words.end <= self.n
        );
        let at = self.span.position(item, poly, row) * stride(self.n) + words.start;
        // SAFETY: within the buffer by the check in `new` and the one above; exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.base.add(at), words.len()) }
    }

    /// Runs `f(item, poly, row, words)` once for every row, in parallel.
    pub(super) fn for_each(&self, f: impl Fn(usize, usize, usize, &mut [u32]) + Sync) {
        let (polys, rows) = (self.span.polys, self.span.rows.len());
        Share::new().each(self.span.items * polys * rows, |i| {
            let (item, poly, row) = (i / (polys * rows), i / rows % polys, i % rows);
            // SAFETY: every index triple occurs once.
            f(item, poly, row, unsafe { self.row(item, poly, row) });
        });
    }
}
