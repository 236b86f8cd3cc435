//! LWE ciphertexts from coefficients, and back into one polynomial (Chen, Dai, Kim, Song, eprint 2020/015).
//!
//! Coefficient i of the phase c_0 + c_1 s is b + <a', s> with b = c_{0,i}, a'_k = c_{1,i-k} for k <= i and -c_{1,N+i-k} above.
//! Back: the polynomials b and a_0 = a'_0, a_{N-k} = -a'_k have a phase with that constant term. Packing n = 2^l of those:
//! all times N^-1 modulo Q; then for m = 2, 4, .., n on halves E, O of the list, (E + X^(N/m) O) + sigma_{m+1}(E - X^(N/m) O);
//! then x + sigma_{m+1}(x) for m = 2n, .., N. Input i becomes coefficient i N/n and every other coefficient 0. Q is odd, so
//! N^-1 exists whatever t is. Cost: n - 1 + log2(N / n) key switches.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{
    Bfv, BfvError, Ciphertext, Decrypted, Evaluator, Packing, PlainModulus, Result, ciphertext::check_plain,
};
use crate::{
    backend::{Backend, Integers},
    ring::Galois,
    rlwe::{self, Level, Params, Poly, RlweError, SecretKey},
};

/// Some LWE ciphertexts (the items) at one level, on the host: the phase is b + sum over k of a_k s_k modulo Q. Cheap to clone.
#[derive(Clone)]
pub struct Lwe {
    params: Params,
    plain: PlainModulus,
    level: Level,
    items: usize,
    /// b: `[item][row]`.
    body: Arc<[u32]>,
    /// a: `[item][row][N]`.
    mask: Arc<[u32]>,
}

impl Lwe {
    /// Number of ciphertexts.
    pub fn items(&self) -> usize {
        self.items
    }

    /// The level.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Bytes of the residues.
    pub fn bytes(&self) -> usize {
        (self.body.len() + self.mask.len()) * size_of::<u32>()
    }
}

/// The automorphisms that packing needs keys for: X -> X^(2^i + 1), i = 1 to log2 N.
pub fn packing_automorphisms(log_n: u32) -> impl Iterator<Item = Galois> {
    (1..=log_n).filter_map(move |i| Galois::new((1 << i) + 1, log_n))
}

impl<B: Backend> Bfv<B> {
    /// The given coefficients of every item as LWE ciphertexts: those of item 0 first, in the order of `coefficients`.
    pub fn extract(&self, ct: &Ciphertext<B>, coefficients: &[usize]) -> Result<Lwe> {
        self.check("extract", ct)?;
        ct.inner.check_components("extract", 2, "relinearise first")?;
        let (ctx, level, n) = (self.context(), ct.level(), self.params().degree());
        if let Some(index) = coefficients.iter().copied().find(|i| *i >= n) {
            let operation = "extract";
            return Err(BfvError::Coefficient {
                operation,
                level,
                index,
                n,
            });
        }
        if coefficients.is_empty() {
            return Err(BfvError::Length {
                operation: "extract",
                given: 0,
                wanted: String::from("at least one coefficient"),
                remedy: "name the coefficients to extract",
            });
        }
        let mut copy = ct.inner.duplicate(ctx)?;
        copy.update(ctx, |dst| Ok(ctx.backend().intt(ctx.tables(), dst)?))?;
        let primes = self.primes("extract", level)?;
        let rows = primes.len();
        let mut words = vec![0u32; ct.items() * 2 * rows * n];
        ctx.backend().download(copy.view(), &mut words)?;
        let items = ct.items() * coefficients.len();
        let mut body = Vec::with_capacity(items * rows);
        let mut mask = Vec::with_capacity(items * rows * n);
        for item in words.chunks(2 * rows * n) {
            let (b, a) = item.split_at(rows * n);
            for i in coefficients {
                body.extend(b.iter().skip(*i).step_by(n));
                for (a, q) in a.chunks(n).zip(&primes) {
                    let (low, high) = a.split_at(i + 1);
                    mask.extend(low.iter().rev());
                    mask.extend(high.iter().rev().map(|x| q.neg(*x)));
                }
            }
        }
        Ok(Lwe {
            params: ctx.params().clone(),
            plain: self.plain(),
            level,
            items,
            body: body.into(),
            mask: mask.into(),
        })
    }

    /// Ciphertexts whose constant coefficients are the messages, in the order `order`; the other coefficients are arbitrary.
    fn embedded(&self, operation: &'static str, lwe: &Lwe, order: &[usize]) -> Result<Ciphertext<B>> {
        let (ctx, n) = (self.context(), self.params().degree());
        (ctx.params()).check(operation, "the LWE ciphertext", &lwe.params)?;
        check_plain(operation, "the LWE ciphertext", self.plain(), lwe.plain)?;
        let primes = self.primes(operation, lwe.level)?;
        let rows = primes.len();
        let mut words = vec![0u32; order.len() * 2 * rows * n];
        for (to, from) in words.chunks_mut(2 * rows * n).zip(order) {
            let (b, a) = to.split_at_mut(rows * n);
            let body = lwe.body.iter().skip(from * rows);
            b.iter_mut().step_by(n).zip(body).for_each(|(to, x)| *to = *x);
            let mask = lwe.mask.chunks(n).skip(from * rows);
            for ((a, mask), q) in a.chunks_mut(n).zip(mask).zip(&primes) {
                let mut from = mask.iter();
                a.iter_mut()
                    .take(1)
                    .zip(from.by_ref())
                    .for_each(|(to, x)| *to = *x);
                a.iter_mut().rev().zip(from).for_each(|(to, x)| *to = q.neg(*x));
            }
        }
        let inner = rlwe::Ciphertext::build(ctx, operation, lwe.level, order.len(), 2, |mut dst| {
            ctx.backend().upload(dst.again(), &words)?;
            Ok(ctx.backend().ntt(ctx.tables(), dst)?)
        })?;
        let plain = self.plain();
        Ok(Ciphertext { inner, plain })
    }

    /// Decrypts every LWE ciphertext: one integer each.
    pub fn decrypt_lwe(&self, key: &SecretKey<B>, lwe: &Lwe) -> Result<Decrypted> {
        let order: Vec<usize> = (0..lwe.items).collect();
        let ct = self.embedded("decrypt_lwe", lwe, &order)?;
        let all = self.decrypt(key, Packing::Coefficients, &ct)?;
        let n = self.params().degree();
        let values = Zeroizing::new(all.values.iter().step_by(n).copied().collect());
        Ok(Decrypted { values, ..all })
    }
}

impl<B: Backend> Evaluator<'_, B> {
    /// Packs LWE ciphertexts into polynomials: `groups` consecutive parts of equally many, n each, n a power of two up to N. Item g of
    /// the result has the message of input g n + i as coefficient i N / n, and 0 elsewhere.
    ///
    /// Needs the keys of [`packing_automorphisms`].
    pub fn pack(&self, lwe: &Lwe, groups: usize) -> Result<Ciphertext<B>> {
        let (ctx, degree) = (self.ctx(), self.bfv.params().degree());
        let n = lwe.items.checked_div(groups).unwrap_or(0);
        if n == 0 || n * groups != lwe.items || !n.is_power_of_two() || n > degree {
            let (left, right) = (
                format!("{} LWE ciphertexts", lwe.items),
                format!("{groups} groups"),
            );
            let remedy = "each group has the same power of two of them, up to N";
            return Err(RlweError::mismatch("pack", "shapes", left, right, remedy).into());
        }
        // Item i groups + g is input i of group g, so that halves of the list are halves of the items.
        let order: Vec<usize> = (0..n).flat_map(|i| (0..groups).map(move |g| g * n + i)).collect();
        let ct = self.bfv.embedded("pack", lwe, &order)?;
        let primes = self.bfv.primes("pack", lwe.level)?;
        let inverse: Vec<u32> = primes
            .iter()
            .map(|q| q.inv(q.reduce(degree as u64)).unwrap_or(0))
            .collect();
        let inner = rlwe::Ciphertext::build(ctx, "pack", lwe.level, ct.items(), 2, |dst| {
            Ok(ctx
                .backend()
                .mul_const(ctx.tables(), dst, ct.inner.view(), &inverse)?)
        })?;
        let mut packed = ct.with(inner);
        for i in 1..=ctx.log_n() {
            let m = 1usize << i;
            let Some(g) = Galois::new(m as u32 + 1, ctx.log_n()) else {
                break;
            };
            let (even, odd) = if m <= n {
                let half = packed.items() / 2;
                let shifted = self.times_monomial(&packed.slice(half, half)?, degree / m)?;
                let first = packed.slice(0, half)?;
                (self.add(&first, &shifted)?, self.sub(&first, &shifted)?)
            } else {
                (packed.clone(), packed)
            };
            packed = self.add(&even, &self.moved("pack", &odd, g)?)?;
        }
        Ok(packed)
    }

    /// a X^k, 0 <= k < N.
    pub(super) fn times_monomial(&self, a: &Ciphertext<B>, k: usize) -> Result<Ciphertext<B>> {
        let ctx = self.ctx();
        let mut coefficients = vec![0i32; self.bfv.params().degree()];
        coefficients.iter_mut().skip(k).take(1).for_each(|c| *c = 1);
        let rows = &ctx.level("pack", a.level())?.rows;
        let monomial = Poly::lift(ctx, 1, rows, Integers::I32(&coefficients))?.into_eval(ctx)?;
        let view = (monomial.view()).map(|s| s.repeat_items(a.items()).repeat_polys(2));
        let inner = rlwe::Ciphertext::build(ctx, "pack", a.level(), a.items(), 2, |dst| {
            Ok(ctx.backend().mul(ctx.tables(), dst, a.inner.view(), view)?)
        })?;
        Ok(a.with(inner))
    }
}
