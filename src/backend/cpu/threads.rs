//! Who computes what: loops over tasks, on the threads of the caller's rayon pool.

use rayon::prelude::*;

/// Runs `f` on a thread of the pool, from which its loops begin without waking threads anew; here, if the pool has one thread.
pub(super) fn enter(f: impl FnOnce() + Send) {
    match Share::new() {
        Share::Threads => rayon::scope(|_| f()),
        Share::Alone => f(),
    }
}

/// Pieces of a loop for each thread, at least.
const PIECES: usize = 8;

/// Whether a loop is shared out to threads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// Every task on whichever thread is free.
    Threads,
    /// One task after the other, on this thread.
    Alone,
}

impl Share {
    /// For one loop. A pool of one thread is never entered: handing it a job costs more than many a job.
    pub(super) fn new() -> Self {
        if rayon::current_num_threads() == 1 {
            Self::Alone
        } else {
            Self::Threads
        }
    }

    /// For a loop over `count` large tasks, and for the loops inside of each: whichever keeps all threads busy to the end, never both.
    /// Three tasks on two threads would leave one idle for a quarter of the time.
    pub(super) fn split(self, count: usize) -> (Self, Self) {
        let threads = self.threads();
        let even = count >= threads && (count.is_multiple_of(threads) || count >= PIECES * threads);
        match self {
            Self::Threads if even => (Self::Threads, Self::Alone),
            share => (Self::Alone, share),
        }
    }

    /// How many threads a loop is shared out to.
    pub(super) fn threads(self) -> usize {
        match self {
            Self::Threads => rayon::current_num_threads(),
            Self::Alone => 1,
        }
    }

    /// Runs `f` for every task below `count`, a few at a time: a thread that another program holds up keeps few of them.
    pub(super) fn each(self, count: usize, f: impl Fn(usize) + Sync) {
        match self {
            Self::Threads if count > 1 => {
                let piece = (count / (PIECES * self.threads())).max(1);
                (0..count).into_par_iter().with_max_len(piece).for_each(&f);
            }
            _ => (0..count).for_each(f),
        }
    }
}
