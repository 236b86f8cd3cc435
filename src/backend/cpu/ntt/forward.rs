//! The forward transform: Cooley-Tukey butterflies from distance N/2 down to 1 (Longa, Naehrig, eprint 2016/504), values lazy
//! (Harvey, arXiv 1205.2926).
//!
//! Between stages the first half of every node is below 2p and the second, about to be multiplied, below 4p.

use super::{
    super::lanes::{Factor, LANES, Lanes, Prime, Words},
    plan::{Plan, VECTORS},
    twiddles::{Chunk, Twiddles},
};

/// What becomes of a vector of evaluations below 2p.
pub(super) trait Epilogue<L: Lanes>: Copy {
    /// The canonical words of vector `i`.
    fn finish(&self, l: L, prime: &Prime<L>, i: usize, x: L::V) -> L::V;
}

/// Nothing but the residue.
#[derive(Clone, Copy)]
pub(super) struct Canonical;

impl<L: Lanes> Epilogue<L> for Canonical {
    #[inline(always)]
    fn finish(&self, l: L, prime: &Prime<L>, _: usize, x: L::V) -> L::V {
        l.reduce_once(x, prime.p)
    }
}

/// x + kept factor.
#[derive(Clone, Copy)]
pub(super) struct MulAdd<'a, L: Lanes> {
    pub(super) kept: &'a [Words],
    pub(super) factor: Factor<L>,
}

impl<L: Lanes> Epilogue<L> for MulAdd<'_, L> {
    #[inline(always)]
    fn finish(&self, l: L, prime: &Prime<L>, i: usize, x: L::V) -> L::V {
        let product = prime.mul_lazy(l, l.load(&self.kept[i]), &self.factor);
        prime.canonical(l, l.add(x, product))
    }
}

/// (x + w y, x - w y), below 4p, or below 2p if REDUCED; x < 2p, any y.
#[inline(always)]
fn butterfly<L: Lanes, const REDUCED: bool>(
    l: L,
    prime: &Prime<L>,
    x: L::V,
    y: L::V,
    w: &Factor<L>,
) -> (L::V, L::V) {
    let v = prime.mul_lazy(l, y, w);
    if REDUCED {
        // A difference below zero wraps around to more than itself plus 2p.
        let difference = l.sub(x, v);
        (
            l.reduce_once(l.add(x, v), prime.two_p),
            l.min(difference, l.add(difference, prime.two_p)),
        )
    } else {
        (l.add(x, v), l.sub(l.add(x, prime.two_p), v))
    }
}

/// Two stages on a node.
#[inline(always)]
fn pass<L: Lanes>(l: L, prime: &Prime<L>, t: &Twiddles, number: usize, node: &mut [Words]) {
    let w = [number, 2 * number, 2 * number + 1].map(|node| t.node(l, node));
    let quarter = node.len() / 4;
    let (low, high) = node.split_at_mut(2 * quarter);
    let (q0, q1) = low.split_at_mut(quarter);
    let (q2, q3) = high.split_at_mut(quarter);
    let (q1, q2, q3) = (&mut q1[..quarter], &mut q2[..quarter], &mut q3[..quarter]);
    for j in 0..quarter / 2 {
        let quarters = [&mut q0[j], &mut q1[j], &mut q2[j], &mut q3[j]];
        two_stages::<L, true>(l, prime, &w, quarters);
    }
    for j in quarter / 2..quarter {
        let quarters = [&mut q0[j], &mut q1[j], &mut q2[j], &mut q3[j]];
        two_stages::<L, false>(l, prime, &w, quarters);
    }
}

/// One vector of each quarter of a node; those of the first half of a quarter are below 2p afterwards (REDUCED).
#[inline(always)]
fn two_stages<L: Lanes, const REDUCED: bool>(
    l: L,
    prime: &Prime<L>,
    [w1, w2, w3]: &[Factor<L>; 3],
    [q0, q1, q2, q3]: [&mut Words; 4],
) {
    let [x0, x1, x2, x3] = [l.load(q0), l.load(q1), l.load(q2), l.load(q3)];
    let (x0, x2) = butterfly::<L, true>(l, prime, x0, x2, w1);
    let (x1, x3) = butterfly::<L, false>(l, prime, x1, x3, w1);
    let (x0, x1) = butterfly::<L, REDUCED>(l, prime, x0, x1, w2);
    let (x2, x3) = butterfly::<L, REDUCED>(l, prime, x2, x3, w3);
    l.store(x0, q0);
    l.store(x1, q1);
    l.store(x2, q2);
    l.store(x3, q3);
}

/// The last stages on a chunk: seven, or six on either half.
#[inline(always)]
fn chunk<L: Lanes, const SEVEN: bool>(
    l: L,
    prime: &Prime<L>,
    t: &Chunk,
    at: usize,
    words: &mut [Words; VECTORS],
    last: impl Epilogue<L>,
) {
    let mut v: [L::V; VECTORS] = std::array::from_fn(|i| l.load(&words[i]));
    if SEVEN {
        let w = t.factor::<L, 1>(l, 1, 0);
        for i in 0..2 {
            (v[i], v[i + 4]) = butterfly::<L, true>(l, prime, v[i], v[i + 4], &w);
        }
        for i in 2..4 {
            (v[i], v[i + 4]) = butterfly::<L, false>(l, prime, v[i], v[i + 4], &w);
        }
    }
    for i in [0, 4] {
        let w = t.factor::<L, 1>(l, 2, i / 4);
        (v[i], v[i + 2]) = butterfly::<L, true>(l, prime, v[i], v[i + 2], &w);
        (v[i + 1], v[i + 3]) = butterfly::<L, false>(l, prime, v[i + 1], v[i + 3], &w);
    }
    // From here on a node is a pair of vectors. After each stage lane i holds group i mod 2, 4, 8, 16 of the pair.
    for i in 0..4 {
        (v[2 * i], v[2 * i + 1]) =
            butterfly::<L, false>(l, prime, v[2 * i], v[2 * i + 1], &t.factor::<L, 1>(l, 4, i));
    }
    inner::<L, 2>(l, prime, t, &mut v);
    inner::<L, 4>(l, prime, t, &mut v);
    inner::<L, 8>(l, prime, t, &mut v);
    inner::<L, 16>(l, prime, t, &mut v);
    for i in 0..4 {
        let (x, y) = l.zip(v[2 * i], v[2 * i + 1]);
        l.store(last.finish(l, prime, at + 2 * i, x), &mut words[2 * i]);
        l.store(last.finish(l, prime, at + 2 * i + 1, y), &mut words[2 * i + 1]);
    }
}

/// A stage with GROUPS groups in a pair of vectors, for four pairs.
#[inline(always)]
fn inner<L: Lanes, const GROUPS: usize>(l: L, prime: &Prime<L>, t: &Chunk, v: &mut [L::V; VECTORS]) {
    for i in 0..4 {
        let (x, y) = l.zip(v[2 * i], v[2 * i + 1]);
        let (x, w) = (
            l.reduce_once(x, prime.two_p),
            t.factor::<L, GROUPS>(l, 4 * GROUPS, i * GROUPS),
        );
        (v[2 * i], v[2 * i + 1]) = if GROUPS == LANES {
            butterfly::<L, true>(l, prime, x, y, &w)
        } else {
            butterfly::<L, false>(l, prime, x, y, &w)
        };
    }
}

/// The transform of N >= 256 words below 2p.
#[inline(always)]
pub(super) fn transform<L: Lanes>(
    l: L,
    prime: &Prime<L>,
    t: &Twiddles,
    row: &mut [Words],
    last: impl Epilogue<L>,
) {
    stages(l, prime, t, row, row.len(), last);
}

/// The transform of a polynomial that is zero but for the first `low` vectors, a size of [`Plan::skipped`].
#[inline(always)]
pub(super) fn transform_from<L: Lanes>(
    l: L,
    prime: &Prime<L>,
    t: &Twiddles,
    row: &mut [Words],
    low: usize,
    last: impl Epilogue<L>,
) {
    let mut done = low;
    while done < row.len() {
        let (from, to) = row.split_at_mut(done);
        to[..done].copy_from_slice(from);
        done *= 2;
    }
    stages(l, prime, t, row, low, last);
}

/// The stages on nodes of `top` vectors and below.
#[inline(always)]
fn stages<L: Lanes>(
    l: L,
    prime: &Prime<L>,
    t: &Twiddles,
    row: &mut [Words],
    top: usize,
    last: impl Epilogue<L>,
) {
    let plan = Plan::new(row);
    for start in plan.blocks() {
        let mut size = top;
        while size > plan.tail {
            for node in plan.nodes_from(size, start) {
                let words = &mut row[node.start..][..node.size];
                pass(l, prime, t, node.number, words);
            }
            size /= 4;
        }
        let (chunks, _) = row[start..][..plan.block].as_chunks_mut::<VECTORS>();
        for (words, i) in chunks.iter_mut().zip(start / VECTORS..) {
            let (t, at) = (t.chunk(l, i), i * VECTORS);
            if plan.tail == VECTORS {
                chunk::<L, true>(l, prime, t, at, words, last);
            } else {
                chunk::<L, false>(l, prime, t, at, words, last);
            }
        }
    }
}
