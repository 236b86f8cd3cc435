//! Automorphisms in the evaluation domain, sixteen neighbours at a time.
//!
//! In bit-reversed order sixteen neighbours j hold f(psi^e), e = 2 bitrev(j) + 1, with the same bitrev(j) modulo N/16. So do the
//! numbers g e, whose places are therefore sixteen neighbours as well, in another order: their upper four bits, all
//! different, are (t + g r) mod 16 where those of bitrev(j) are r. One t of sixteen tells the order.
//!
//! What one source goes to is scattered; sums over many sources are gathered, and stay in a register until all are in.

use smallvec::SmallVec;

use super::{
    lanes::{LANES, Words, kernel},
    memory::{Reader, Writer},
    ntt::Tables,
};
use crate::{
    arith::Modulus,
    backend::{Moved, Onto, cpu::Cpu},
    ring::Galois,
};

/// Where the neighbours of every sixteen positions go, and in which order.
pub(super) struct Automorphism {
    /// For sixteen sources: first of the sixteen positions of the result, plus t as the low four bits.
    to: Vec<u32>,
    /// For sixteen results: first of the sixteen positions of the source, plus t as the low four bits.
    from: Vec<u32>,
    /// The orders: lane of the source for every lane of the result.
    orders: [Words; LANES],
}

impl Automorphism {
    pub(super) fn new(g: Galois, log_n: u32) -> Self {
        let table = g.evaluation_table(log_n);
        let mut to = vec![0; table.len().div_ceil(LANES)];
        let from = table.iter().step_by(LANES).copied().collect();
        let mut orders = [[0; LANES]; LANES];
        for (i, sources) in table.chunks(LANES).enumerate() {
            let first = sources[0] as usize;
            to[first / LANES] = (i * LANES + first % LANES) as u32;
            let order = &mut orders[first % LANES];
            order
                .iter_mut()
                .zip(sources)
                .for_each(|(lane, s)| *lane = s % LANES as u32);
        }
        Self { to, from, orders }
    }

    /// The first position that the sixteen sources from `at` on go to, and the lanes that they are taken from.
    #[inline(always)]
    pub(super) fn target(&self, at: usize) -> (usize, &Words) {
        let to = self.to[at / LANES] as usize;
        (to & !(LANES - 1), &self.orders[to % LANES])
    }

    /// The first position that the sixteen results from `at` on come from, and the lanes that they are taken from.
    #[inline(always)]
    fn source(&self, at: usize) -> (usize, &Words) {
        let from = self.from[at / LANES] as usize;
        (from & !(LANES - 1), &self.orders[from % LANES])
    }
}

kernel! {
    fn permute_row(l, sigma: &Automorphism, out: &mut [u32], src: &[u32]) {
        for at in (0..src.len()).step_by(LANES) {
            let (to, lanes) = sigma.target(at);
            l.put(l.rearrange(l.take(src, at), l.load(lanes)), out, to);
        }
    }
}

kernel! {
    fn permute_add_row(l, m: Modulus, sigma: &Automorphism, out: &mut [u32], src: &[u32]) {
        let p = l.splat(m.value());
        for at in (0..src.len()).step_by(LANES) {
            let (to, lanes) = sigma.target(at);
            let moved = l.rearrange(l.take(src, at), l.load(lanes));
            l.put(l.reduce_once(l.add(l.take(out, to), moved), p), out, to);
        }
    }
}

/// A row, and how it is moved.
type Term<'a> = (&'a Automorphism, &'a [u32]);

kernel! {
    fn permute_sum_row(l, m: Modulus, onto: Onto, terms: &[Term], out: &mut [u32]) {
        let p = l.splat(m.value());
        for at in (0..out.len()).step_by(LANES) {
            let mut sum = match onto {
                Onto::Zero => l.splat(0),
                Onto::Destination => l.take(out, at),
            };
            for (sigma, src) in terms {
                let (from, lanes) = sigma.source(at);
                let moved = l.rearrange(l.take(src, from), l.load(lanes));
                sum = l.reduce_once(l.add(sum, moved), p);
            }
            l.put(sum, out, at);
        }
    }
}

/// Runs `f(modulus, automorphism, dst row, src row)` on all rows.
fn each(
    t: &Tables,
    dst: Writer,
    src: Reader,
    g: &[Galois],
    f: impl Fn(Modulus, &Automorphism, &mut [u32], &[u32]) + Sync,
) {
    let one = t.automorphism(g[0]);
    dst.for_each(|item, poly, row, out| {
        let (m, src) = (t.modulus(&dst.span, row), src.row(item, poly, row));
        match g.len() {
            1 => f(m, &one, out, src),
            _ => f(m, &t.automorphism(g[item]), out, src),
        }
    });
}

/// See [`Backend::permute`](crate::backend::Backend::permute).
pub(super) fn permute(t: &Tables, dst: Writer, src: Reader, g: &[Galois]) {
    each(t, dst, src, g, |_, sigma, out, src| {
        permute_row(t.instructions, sigma, out, src)
    });
}

/// See [`derived::permute_add`](crate::backend::derived::permute_add).
pub(super) fn permute_add(t: &Tables, dst: Writer, src: Reader, g: &[Galois]) {
    each(t, dst, src, g, |m, sigma, out, src| {
        permute_add_row(t.instructions, m, sigma, out, src)
    });
}

/// Terms of a sum that are gathered in one pass.
const PASS: usize = 16;

/// See [`derived::permute_accumulate`](crate::backend::derived::permute_accumulate).
pub(super) fn permute_accumulate(t: &Tables, dst: &Writer, onto: Onto, terms: &[Moved<Cpu>]) {
    if terms.is_empty() && onto == Onto::Zero {
        dst.for_each(|_, _, _, out| out.fill(0));
    }
    for (pass, terms) in terms.chunks(PASS).enumerate() {
        let onto = if pass == 0 { onto } else { Onto::Destination };
        let sigmas: SmallVec<[_; PASS]> = terms.iter().map(|term| t.automorphism(term.element)).collect();
        dst.for_each(|item, poly, row, out| {
            let rows = terms.iter().zip(&sigmas).map(|(term, sigma)| {
                let sigma: &Automorphism = sigma;
                (sigma, Reader::new(term.src).row(item, poly, row))
            });
            let rows: SmallVec<[Term; PASS]> = rows.collect();
            permute_sum_row(t.instructions, t.modulus(&dst.span, row), onto, &rows, out);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_neighbours_stay_together() {
        for log_n in 1..=12 {
            for g in [1, 3, 5, 25, (1 << log_n) + 1, (2 << log_n) - 1].map(|g| g & ((2 << log_n) - 1)) {
                let Some(g) = Galois::new(g, log_n) else { continue };
                let (automorphism, table) = (Automorphism::new(g, log_n), g.evaluation_table(log_n));
                for at in (0..table.len()).step_by(LANES) {
                    let (from, lanes) = automorphism.source(at);
                    let sources = lanes.iter().map(|lane| from as u32 + lane);
                    assert!(
                        table[at..]
                            .iter()
                            .copied()
                            .zip(sources)
                            .take(LANES)
                            .all(|(a, b)| a == b)
                    );
                }
                let mut moved = vec![u32::MAX; table.len()];
                for at in (0..table.len()).step_by(LANES) {
                    let (to, lanes) = automorphism.target(at);
                    let group = moved.iter_mut().skip(to).take(LANES);
                    group.zip(lanes).for_each(|(x, lane)| *x = at as u32 + lane);
                }
                assert_eq!(moved, table, "g = {g:?}, N = 2^{log_n}");
            }
        }
    }
}
