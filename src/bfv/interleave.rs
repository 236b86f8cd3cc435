//! Several ciphertexts into one, when each has its messages at every c-th coefficient only.
//!
//! Item p of c = 2^r has messages at q c, q < N / c; what its other coefficients hold does not matter. All are multiplied by c^-1
//! modulo Q, which exists whatever t is, since Q is odd. Then for m = 2 N / c, 4 N / c, .., N neighbours E, O are merged to
//!
//! (E + X^(N/m) O) + sigma_{m+1}(E - X^(N/m) O).
//!
//! sigma_{m+1} keeps X^j for every even multiple j of N / m and changes its sign for every odd one: E is doubled at the former and
//! vanishes at the latter, X^(N/m) O the other way round. r steps leave message q of item p at q c + (p with its r bits reversed),
//! and nothing else anywhere. This is the packing of Chen, Dai, Kim and Song (eprint 2020/015) from the middle of its tree on, as
//! BumbleBee uses it (eprint 2023/1678); c = N is the whole tree. An item that lacks a neighbour is merged with zero.

use super::{Ciphertext, Evaluator, Result};
use crate::{
    backend::Backend,
    ring::Galois,
    rlwe::{self, RlweError},
};

/// Where message 0 of item `p` comes to lie among `count` interleaved ones, a power of two: message q lies q `count` further on.
pub fn interleaved_place(p: usize, count: usize) -> usize {
    match count.max(1).ilog2() {
        0 => 0,
        bits => p.reverse_bits() >> (usize::BITS - bits),
    }
}

/// The automorphisms that interleaving `count` ciphertexts needs keys for: X -> X^(2^h + 1), h = log2 (2 N / count) to log2 N.
pub fn interleaving_automorphisms(log_n: u32, count: usize) -> impl Iterator<Item = Galois> {
    let steps = count.max(1).ilog2().min(log_n);
    (log_n - steps + 1..=log_n).filter_map(move |h| Galois::new((1 << h) + 1, log_n))
}

impl<B: Backend> Evaluator<'_, B> {
    /// One ciphertext of all items, of which there are up to `count`, a power of two up to N: coefficient q `count` of item p becomes
    /// coefficient q `count` + [`interleaved_place`]\(p), those of items that are not there are zero.
    ///
    /// Needs the keys of [`interleaving_automorphisms`]. Key switches: one a pair and step. Noise:
    /// [`Noise::interleave`](super::Noise::interleave).
    pub fn interleave(&self, a: &Ciphertext<B>, count: usize) -> Result<Ciphertext<B>> {
        let (ctx, n) = (self.ctx(), self.bfv.params().degree());
        self.bfv.check("interleave", a)?;
        (a.inner).check_components("interleave", 2, "relinearise first")?;
        if !count.is_power_of_two() || count > n || a.items() > count {
            let (left, right) = (format!("{} ciphertexts", a.items()), format!("{count} at once"));
            let remedy = "interleave a power of two of ciphertexts at once, up to N, or fewer than that";
            return Err(RlweError::mismatch("interleave", "counts", left, right, remedy).into());
        }
        for g in interleaving_automorphisms(ctx.log_n(), count) {
            self.keys.galois("interleave", g)?;
        }
        let primes = self.bfv.primes("interleave", a.level())?;
        let inverse: Vec<u32> = (primes.iter())
            .map(|q| q.inv(q.reduce(count as u64)).unwrap_or(0))
            .collect();
        let scaled = rlwe::Ciphertext::build(ctx, "interleave", a.level(), a.items(), 2, |dst| {
            Ok(ctx
                .backend()
                .mul_const(ctx.tables(), dst, a.inner.view(), &inverse)?)
        })?;
        let mut all = a.with(scaled);
        for g in interleaving_automorphisms(ctx.log_n(), count) {
            all = self.merge(&all, g, n / (g.element() as usize - 1))?;
        }
        Ok(all)
    }

    /// One step: neighbours E, O to (E + X^shift O) + sigma_g(E - X^shift O).
    fn merge(&self, a: &Ciphertext<B>, g: Galois, shift: usize) -> Result<Ciphertext<B>> {
        let (pairs, items) = (a.items() / 2, a.items().div_ceil(2));
        let even = a.every(0, 2, items)?;
        if pairs == 0 {
            return self.add(&even, &self.moved("interleave", &even, g)?);
        }
        let ctx = self.ctx();
        let odd = self.times_monomial(&a.every(1, 2, pairs)?, shift)?;
        let (mut sum, mut difference) = (even.clone(), even);
        sum.inner.update(ctx, |mut dst| {
            let dst = dst.part(|s| s.slice_items(0, pairs));
            Ok(ctx.backend().add(ctx.tables(), dst, odd.inner.view())?)
        })?;
        difference.inner.update(ctx, |mut dst| {
            let dst = dst.part(|s| s.slice_items(0, pairs));
            Ok(ctx.backend().sub(ctx.tables(), dst, odd.inner.view())?)
        })?;
        let moved = self.moved("interleave", &difference, g)?;
        sum.inner.update(ctx, |dst| {
            Ok(ctx.backend().add(ctx.tables(), dst, moved.inner.view())?)
        })?;
        Ok(sum)
    }
}
