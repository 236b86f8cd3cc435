//! Twiddles in the order in which the kernels read them.
//!
//! Node 2^s + g stands for group g of stage s, the butterflies of which are N / 2^(s+1) apart; its twiddle is
//! psi^(+-bitrev(2^s + g)), bits counted to log2 N. Node r has the children 2r and 2r + 1.

use super::super::lanes::{Factor, Lanes};

/// Elements that stay in registers for the last stages (the first ones of the inverse).
pub(super) const CHUNK: usize = 128;

/// One word of every node of a chunk.
///
/// A stage with `size` nodes in the chunk begins at 128 - 2 size: 64 nodes with butterflies of neighbours first, one node
/// with butterflies 64 apart at 126; word 127 is unused.
#[repr(C, align(64))]
struct Nodes([u32; CHUNK]);

/// All twiddles of a chunk and their companions.
#[repr(C)]
pub(super) struct Chunk {
    w: Nodes,
    companion: Nodes,
}

impl Chunk {
    /// The twiddles of COUNT nodes, the first being node `first` of the stage with `size` nodes in the chunk: lane i takes
    /// node `first` + i mod COUNT.
    #[inline(always)]
    pub(super) fn factor<L: Lanes, const COUNT: usize>(&self, l: L, size: usize, first: usize) -> Factor<L> {
        let at = CHUNK - 2 * size + first;
        let (w, companion) = (&self.w.0[at..at + COUNT], &self.companion.0[at..]);
        let mut few = [0; COUNT];
        few.copy_from_slice(w);
        Factor {
            w: l.repeat(&few),
            companion: l.split_repeat::<COUNT>(companion),
        }
    }
}

/// The twiddles of one direction.
pub(super) struct Twiddles {
    /// (twiddle, companion) of every node with butterflies that are 64 or more apart.
    nodes: Vec<[u32; 2]>,
    chunks: Vec<Chunk>,
}

impl Twiddles {
    /// From (twiddle, companion) of every node; N >= 128.
    pub(super) fn new(all: &[[u32; 2]]) -> Self {
        let chunks = all.len() / CHUNK;
        let chunk = |c: usize| {
            let [mut w, mut companion] = [[0; CHUNK]; 2];
            for size in [64, 32, 16, 8, 4, 2, 1] {
                for i in 0..size {
                    let at = CHUNK - 2 * size + i;
                    [w[at], companion[at]] = all[(chunks + c) * size + i];
                }
            }
            Chunk {
                w: Nodes(w),
                companion: Nodes(companion),
            }
        };
        Self {
            nodes: all[..2 * chunks].to_vec(),
            chunks: (0..chunks).map(chunk).collect(),
        }
    }

    /// One twiddle for all lanes.
    #[inline(always)]
    pub(super) fn node<L: Lanes>(&self, l: L, node: usize) -> Factor<L> {
        let [w, companion] = self.nodes[node];
        Factor::splat(l, w, companion)
    }

    /// The twiddles of chunk `i`. Those of a later one are asked for: rows of many primes take theirs from far away.
    #[inline(always)]
    pub(super) fn chunk<L: Lanes>(&self, l: L, i: usize) -> &Chunk {
        const AHEAD: usize = 4;
        if let Some(soon) = self.chunks.get(i + AHEAD) {
            l.prefetch(soon);
        }
        &self.chunks[i]
    }
}
