//! The order of the passes over a row.
//!
//! A pass does two stages on a node: four quarters, one vector of each at a time. Nodes larger than a block are visited
//! depth first, so that everything below them finds its words in the first-level cache; inside a block the passes follow one
//! another over the whole block. What is left are chunks whose last six or seven stages stay in registers.

use super::super::lanes::{LANES, Lanes, Words};

/// Vectors of a chunk.
pub(super) const VECTORS: usize = super::twiddles::CHUNK / LANES;

/// Vectors that fit the first-level cache: 32 KiB.
const BLOCK: usize = 512;

/// Sizes in vectors, for N >= 256.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    /// Of the row.
    n: usize,
    /// Of a block: n over a power of four.
    pub(super) block: usize,
    /// Of the nodes done in registers: 8 for seven stages, 4 for six.
    pub(super) tail: usize,
}

/// One node: a range of vectors.
pub(super) struct Node {
    pub(super) start: usize,
    pub(super) size: usize,
    /// Its number, see `twiddles`.
    pub(super) number: usize,
}

impl Plan {
    #[inline(always)]
    pub(super) fn new(row: &[Words]) -> Self {
        let n = row.len();
        let mut block = n;
        while block > BLOCK {
            block /= 4;
        }
        let odd = n.trailing_zeros() % 2 == 1;
        Self {
            n,
            block,
            tail: if odd { VECTORS } else { VECTORS / 2 },
        }
    }

    /// The size of the nodes that a polynomial of `used` vectors is still whole in.
    ///
    /// A pass over a node of which only the first quarter is not zero copies that quarter to the others: x + w 0 = x - w 0 = x.
    pub(super) fn skipped(self, used: usize) -> usize {
        let mut size = self.n;
        while size > self.tail && 4 * used <= size {
            size /= 4;
        }
        size
    }

    /// The first vectors of all blocks.
    #[inline(always)]
    pub(super) fn blocks(self) -> impl Iterator<Item = usize> {
        (0..self.n).step_by(self.block)
    }

    /// The nodes of `size` vectors inside the block at `start`; or the one of which it is the first block.
    #[inline(always)]
    pub(super) fn nodes_from(self, size: usize, start: usize) -> impl Iterator<Item = Node> {
        let end = start
            + if start.is_multiple_of(size) {
                size.max(self.block)
            } else {
                0
            };
        self.nodes(size, start, end)
    }

    /// The nodes of `size` vectors inside the block at `start`; or the one of which it is the last block.
    #[inline(always)]
    pub(super) fn nodes_to(self, size: usize, start: usize) -> impl Iterator<Item = Node> {
        let end = start + self.block;
        let first = if end.is_multiple_of(size) {
            end - size.max(self.block)
        } else {
            end
        };
        self.nodes(size, first, end)
    }

    #[inline(always)]
    fn nodes(self, size: usize, start: usize, end: usize) -> impl Iterator<Item = Node> {
        let first = self.n / size;
        (start..end).step_by(size).map(move |start| Node {
            start,
            size,
            number: first + start / size,
        })
    }
}

/// Where the first pass reads from.
pub(super) trait Source: Copy {
    /// Vector `i` of the row, of which `own` are the words to be overwritten.
    fn load<L: Lanes>(&self, l: L, i: usize, own: &Words) -> L::V;
}

/// From the row itself.
#[derive(Clone, Copy)]
pub(super) struct InPlace;

impl Source for InPlace {
    #[inline(always)]
    fn load<L: Lanes>(&self, l: L, _: usize, own: &Words) -> L::V {
        l.load(own)
    }
}

/// From another row.
#[derive(Clone, Copy)]
pub(super) struct From<'a>(pub(super) &'a [Words]);

impl Source for From<'_> {
    #[inline(always)]
    fn load<L: Lanes>(&self, l: L, i: usize, _: &Words) -> L::V {
        l.load(&self.0[i])
    }
}
