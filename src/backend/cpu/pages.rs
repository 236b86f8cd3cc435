//! Memory for rows: on cache lines, and on huge pages where it is large.
//!
//! A row of 2^16 words is 64 ordinary pages, and a key switch walks over dozens of rows at once, more than the processor
//! remembers translations for.

use std::ops::{Deref, DerefMut};

use bytemuck::{Pod, Zeroable};
use memmap2::MmapMut;

/// Words of a cache line.
pub(super) const LINE: usize = 16;

/// Bytes from which memory comes in pages of its own: one huge page.
const LARGE: usize = 2 << 20;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u32; LINE]);

/// Words that begin on a cache line.
pub(super) struct Pages(Storage);

enum Storage {
    Lines(Vec<Line>),
    Mapped(MmapMut),
}

impl Pages {
    /// At least `words` zeros.
    pub(super) fn new(words: usize) -> Self {
        let lines = words.div_ceil(LINE);
        if size_of::<Line>() * lines >= LARGE
            && let Some(pages) = mapped(size_of::<Line>() * lines)
        {
            return Self(Storage::Mapped(pages));
        }
        Self(Storage::Lines(bytemuck::zeroed_vec(lines)))
    }
}

impl Pages {
    /// Bytes mapped from the system, past the global allocator.
    pub(super) fn mapped_bytes(&self) -> usize {
        match &self.0 {
            Storage::Lines(_) => 0,
            Storage::Mapped(pages) => pages.len(),
        }
    }
}

/// Fresh pages; none where the system refuses, and then the allocator decides what happens.
fn mapped(bytes: usize) -> Option<MmapMut> {
    let pages = MmapMut::map_anon(bytes).ok()?;
    // A hint: ordinary pages hold the same words.
    #[cfg(target_os = "linux")]
    let _ = pages.advise(memmap2::Advice::HugePage);
    Some(pages)
}

impl Deref for Pages {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        match &self.0 {
            Storage::Lines(lines) => bytemuck::cast_slice(lines),
            Storage::Mapped(pages) => bytemuck::cast_slice(pages),
        }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u32] {
        match &mut self.0 {
            Storage::Lines(lines) => bytemuck::cast_slice_mut(lines),
            Storage::Mapped(pages) => bytemuck::cast_slice_mut(pages),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_memory_begins_on_a_line_and_holds_zeros() {
        for words in [0, 1, 16, 1000, 1 << 19, (1 << 19) + 1, 3_000_000] {
            let mut pages = Pages::new(words);
            assert!(pages.len() >= words && pages.len() < words + LINE);
            assert!(pages.as_ptr().addr().is_multiple_of(64));
            assert!(pages.iter().all(|x| *x == 0));
            pages.fill(7);
            assert!(pages.iter().all(|x| *x == 7));
        }
    }
}
