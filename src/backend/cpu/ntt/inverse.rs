//! The inverse transform: Gentleman-Sande butterflies from distance 1 up to N/2, values below 2p between stages.

use super::{
    super::lanes::{Factor, LANES, Lanes, Prime, Words},
    plan::{Plan, Source, VECTORS},
    twiddles::{Chunk, Twiddles},
};

/// (x + y, w (x - y)), below 2p; x, y < 2p.
#[inline(always)]
fn butterfly<L: Lanes>(l: L, prime: &Prime<L>, x: L::V, y: L::V, w: &Factor<L>) -> (L::V, L::V) {
    let difference = l.sub(l.add(x, prime.two_p), y);
    (
        l.reduce_once(l.add(x, y), prime.two_p),
        prime.mul_lazy(l, difference, w),
    )
}

/// The first stages on a chunk: seven, or six on either half.
#[inline(always)]
fn chunk<L: Lanes, const SEVEN: bool>(
    l: L,
    prime: &Prime<L>,
    t: &Chunk,
    at: usize,
    words: &mut [Words; VECTORS],
    from: impl Source,
) {
    let mut v: [L::V; VECTORS] = std::array::from_fn(|i| from.load(l, at + i, &words[i]));
    inner::<L, 16>(l, prime, t, &mut v);
    inner::<L, 8>(l, prime, t, &mut v);
    inner::<L, 4>(l, prime, t, &mut v);
    inner::<L, 2>(l, prime, t, &mut v);
    inner::<L, 1>(l, prime, t, &mut v);
    for i in [0, 4] {
        let w = t.factor::<L, 1>(l, 2, i / 4);
        (v[i], v[i + 2]) = butterfly(l, prime, v[i], v[i + 2], &w);
        (v[i + 1], v[i + 3]) = butterfly(l, prime, v[i + 1], v[i + 3], &w);
    }
    if SEVEN {
        let w = t.factor::<L, 1>(l, 1, 0);
        for i in 0..4 {
            (v[i], v[i + 4]) = butterfly(l, prime, v[i], v[i + 4], &w);
        }
    }
    for (v, words) in v.into_iter().zip(words) {
        l.store(v, words);
    }
}

/// A stage with GROUPS groups in a pair of vectors, for four pairs: lane i holds group i mod GROUPS.
#[inline(always)]
fn inner<L: Lanes, const GROUPS: usize>(l: L, prime: &Prime<L>, t: &Chunk, v: &mut [L::V; VECTORS]) {
    for i in 0..4 {
        let (x, y) = l.unzip(v[2 * i], v[2 * i + 1]);
        let w = t.factor::<L, GROUPS>(l, 4 * GROUPS, i * GROUPS);
        (v[2 * i], v[2 * i + 1]) = if GROUPS == LANES {
            // Canonical input: the sum is below 2p as it is.
            let difference = l.sub(l.add(x, prime.p), y);
            (l.add(x, y), prime.mul_lazy(l, difference, &w))
        } else {
            butterfly(l, prime, x, y, &w)
        };
    }
}

/// What the second stage of a pass does to a pair.
trait Second<L: Lanes>: Copy {
    fn apply(&self, l: L, prime: &Prime<L>, x: L::V, y: L::V) -> (L::V, L::V);
}

/// A butterfly.
impl<L: Lanes> Second<L> for Factor<L> {
    #[inline(always)]
    fn apply(&self, l: L, prime: &Prime<L>, x: L::V, y: L::V) -> (L::V, L::V) {
        butterfly(l, prime, x, y, self)
    }
}

/// The last butterfly of all: canonical, with constants for the sum and the difference.
impl<L: Lanes> Second<L> for [Factor<L>; 2] {
    #[inline(always)]
    fn apply(&self, l: L, prime: &Prime<L>, x: L::V, y: L::V) -> (L::V, L::V) {
        let difference = l.sub(l.add(x, prime.two_p), y);
        (
            prime.mul(l, l.add(x, y), &self[0]),
            prime.mul(l, difference, &self[1]),
        )
    }
}

/// Two stages on a node.
#[inline(always)]
fn pass<L: Lanes>(
    l: L,
    prime: &Prime<L>,
    [w2, w3]: &[Factor<L>; 2],
    node: &mut [Words],
    second: impl Second<L>,
) {
    let quarter = node.len() / 4;
    let (low, high) = node.split_at_mut(2 * quarter);
    let (q0, q1) = low.split_at_mut(quarter);
    let (q2, q3) = high.split_at_mut(quarter);
    let (q1, q2, q3) = (&mut q1[..quarter], &mut q2[..quarter], &mut q3[..quarter]);
    for j in 0..quarter {
        let (x0, x1) = butterfly(l, prime, l.load(&q0[j]), l.load(&q1[j]), w2);
        let (x2, x3) = butterfly(l, prime, l.load(&q2[j]), l.load(&q3[j]), w3);
        let (x0, x2) = second.apply(l, prime, x0, x2);
        let (x1, x3) = second.apply(l, prime, x1, x3);
        l.store(x0, &mut q0[j]);
        l.store(x1, &mut q1[j]);
        l.store(x2, &mut q2[j]);
        l.store(x3, &mut q3[j]);
    }
}

/// The transform of N >= 256 canonical words, times a constant: `scale` is c/N and c/N times the twiddle of node 1.
#[inline(always)]
pub(super) fn transform<L: Lanes>(
    l: L,
    prime: &Prime<L>,
    t: &Twiddles,
    from: impl Source,
    row: &mut [Words],
    scale: &[Factor<L>; 2],
) {
    let plan = Plan::new(row);
    for start in plan.blocks() {
        let (chunks, _) = row[start..][..plan.block].as_chunks_mut::<VECTORS>();
        for (words, i) in chunks.iter_mut().zip(start / VECTORS..) {
            let (t, at) = (t.chunk(l, i), i * VECTORS);
            if plan.tail == VECTORS {
                chunk::<L, true>(l, prime, t, at, words, from);
            } else {
                chunk::<L, false>(l, prime, t, at, words, from);
            }
        }
        let mut size = 4 * plan.tail;
        while size < row.len() {
            for node in plan.nodes_to(size, start) {
                let children = [t.node(l, 2 * node.number), t.node(l, 2 * node.number + 1)];
                let words = &mut row[node.start..][..node.size];
                pass(l, prime, &children, words, t.node(l, node.number));
            }
            size *= 4;
        }
    }
    pass(l, prime, &[t.node(l, 2), t.node(l, 3)], row, *scale);
}
