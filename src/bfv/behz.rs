//! Products of ciphertexts as Bajard, Eynard, Hasan and Zucca form them (eprint 2016/510): the reference for those of `product`,
//! on integers modulo single primes, sharing no code and no auxiliary prime with them.
//!
//! 1. [2^32 c]_q is converted to B u {m_sk} and modulo 2^32, fast: up to k - 1 multiples of Q too much, k the primes of Q.
//! 2. r = -c Q^-1 mod 2^32, centred: (c + Q r) / 2^32 is c again, of magnitude Q (1/2 + k 2^-32) at most.
//! 3. The tensor d, and t d, modulo Q and B u {m_sk}.
//! 4. (t d - fast conversion of [t d]_Q) / Q = floor(t d / Q) - u, 0 <= u < k.
//! 5. Back to Q: the multiple of B that a fast conversion has too much is read off modulo m_sk (Shenoy, Kumaresan).
//!
//! Both ways start from the same representatives of the operands' coefficients, but for those within 2^-28 Q of Q/2. `product`
//! then gives round(t d / Q), which is floor(t d / Q) or 1 more, and this one floor(t d / Q) - u: the difference of every coefficient is in
//! 0..=k, and the invariant noises differ by at most (t/Q) k (1 + W + W^2), W the weight of the secret.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use super::{Bfv, Ciphertext, Evaluator, Packing, Params, Release, Spec};
use crate::{
    backend::{Backend, cpu::Cpu},
    rlwe::{self, KeyNeeds, Level, SecretKey},
};

/// Residues `[prime][n]`.
type Rows = Vec<Vec<u64>>;

/// A component modulo Q, and modulo B u {m_sk}.
type Operand<'a> = (&'a Rows, &'a Rows);

/// 2^32: the modulus of step 2.
const SMALL: u64 = 1 << 32;

fn mul(a: u64, b: u64, p: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(p)) as u64
}

fn sub(a: u64, b: u64, p: u64) -> u64 {
    ((u128::from(a) + u128::from(p) - u128::from(b)) % u128::from(p)) as u64
}

fn pow(a: u64, mut e: u64, p: u64) -> u64 {
    let (mut base, mut result) = (a % p, 1);
    while e > 0 {
        if e & 1 == 1 {
            result = mul(result, base, p);
        }
        base = mul(base, base, p);
        e >>= 1;
    }
    result
}

/// a^-1 modulo a prime, or an odd a modulo 2^32, whose group of units has the exponent 2^30.
fn inverse(a: u64, p: u64) -> u64 {
    pow(a, if p == SMALL { (1 << 30) - 1 } else { p - 2 }, p)
}

/// Miller and Rabin's test; these bases decide every number of 64 bits.
fn is_prime(p: u64) -> bool {
    let s = (p - 1).trailing_zeros();
    [2u64, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37].iter().all(|a| {
        let x = pow(*a, (p - 1) >> s, p);
        x == 1 || (0..s).any(|i| pow(x, 1 << i, p) == p - 1)
    })
}

fn product(primes: &[u64], p: u64) -> u64 {
    primes.iter().fold(1 % p, |x, q| mul(x, q % p, p))
}

/// sum_i [x_i (Q/q_i)^-1]_{q_i} Q/q_i modulo each target: x in [0, Q) and up to as many multiples of Q more as there are sources, less one.
fn fast_conversion(x: &Rows, from: &[u64], to: &[u64]) -> Rows {
    let others = |i: usize| -> Vec<u64> {
        let rest = from.iter().enumerate().filter(|(j, _)| *j != i);
        rest.map(|(_, q)| *q).collect()
    };
    let y: Rows = (x.iter().zip(from).enumerate())
        .map(|(i, (row, q))| {
            let factor = inverse(product(&others(i), *q), *q);
            row.iter().map(|x| mul(*x, factor, *q)).collect()
        })
        .collect();
    let target = |p: &u64| -> Vec<u64> {
        let mut sums = vec![0u64; x[0].len()];
        for (i, y) in y.iter().enumerate() {
            let factor = product(&others(i), *p);
            for (sum, y) in sums.iter_mut().zip(y) {
                *sum = ((u128::from(*sum) + u128::from(mul(*y % p, factor, *p))) % u128::from(*p)) as u64;
            }
        }
        sums
    };
    to.iter().map(target).collect()
}

/// a b modulo X^N + 1 and p.
fn convolution(a: &[u64], b: &[u64], p: u64) -> Vec<u64> {
    let n = a.len();
    let mut out = vec![0u64; n];
    for (i, a) in a.iter().enumerate() {
        for (j, b) in b.iter().enumerate() {
            let (to, term) = (&mut out[(i + j) % n], mul(*a, *b, p));
            *to = if i + j < n {
                sub(*to, sub(0, term, p), p)
            } else {
                sub(*to, term, p)
            };
        }
    }
    out
}

struct Reference {
    q: Vec<u64>,
    b: Vec<u64>,
    /// B, then m_sk.
    bsk: Vec<u64>,
    t: u128,
}

impl Reference {
    fn new(q: Vec<u64>, t: u128, n: usize) -> Self {
        let bits = q.iter().map(|q| (*q as f64).log2()).sum::<f64>() + (t as f64).log2() + (n as f64).log2();
        let primes = (1 << 60..1 << 61).rev().filter(|p| p % 2 == 1 && is_prime(*p));
        let bsk: Vec<u64> = primes.take((bits / 60.0).ceil() as usize + 2).collect();
        let b = bsk[..bsk.len() - 1].to_vec();
        Self { q, b, bsk, t }
    }

    /// Steps 1 and 2.
    fn extended(&self, c: &Rows) -> Rows {
        let scaled: Rows = (c.iter().zip(&self.q))
            .map(|(row, q)| row.iter().map(|x| mul(*x, SMALL % q, *q)).collect())
            .collect();
        let targets: Vec<u64> = self.bsk.iter().copied().chain([SMALL]).collect();
        let mut converted = fast_conversion(&scaled, &self.q, &targets);
        let small = converted.pop().unwrap();
        let negative_inverse = SMALL - inverse(product(&self.q, SMALL), SMALL);
        for (row, p) in converted.iter_mut().zip(&self.bsk) {
            let (q, shrink) = (product(&self.q, *p), inverse(SMALL % p, *p));
            for (x, small) in row.iter_mut().zip(&small) {
                let r = mul(*small, negative_inverse, SMALL);
                let r = if r >= SMALL / 2 { sub(r, SMALL, *p) } else { r };
                *x = mul(sub(*x, sub(0, mul(q, r, *p), *p), *p), shrink, *p);
            }
        }
        converted
    }

    /// Steps 3 to 5 for one component sum_k a_k b_k: operands modulo Q and B u {m_sk}.
    fn component(&self, pairs: &[(Operand, Operand)]) -> Rows {
        let tensor = |primes: &[u64], pick: &dyn Fn(usize) -> (Vec<Vec<u64>>, Vec<Vec<u64>>)| -> Rows {
            let mut sum: Rows = vec![vec![0; pairs[0].0.0[0].len()]; primes.len()];
            for k in 0..pairs.len() {
                let (a, b) = pick(k);
                for (i, p) in primes.iter().enumerate() {
                    let t = (self.t % u128::from(*p)) as u64;
                    for (sum, x) in sum[i].iter_mut().zip(convolution(&a[i], &b[i], *p)) {
                        *sum = sub(*sum, sub(0, mul(x, t, *p), *p), *p);
                    }
                }
            }
            sum
        };
        let low = tensor(&self.q, &|k| (pairs[k].0.0.clone(), pairs[k].1.0.clone()));
        let high = tensor(&self.bsk, &|k| (pairs[k].0.1.clone(), pairs[k].1.1.clone()));
        let rest = fast_conversion(&low, &self.q, &self.bsk);
        let floor: Rows = (high.iter().zip(&rest).zip(&self.bsk))
            .map(|((high, rest), p)| {
                let factor = inverse(product(&self.q, *p), *p);
                let quotient = |(h, r): (&u64, &u64)| mul(sub(*h, *r, *p), factor, *p);
                high.iter().zip(rest).map(quotient).collect()
            })
            .collect();
        let (last, m_sk) = (floor.len() - 1, self.bsk[self.b.len()]);
        let targets: Vec<u64> = self.q.iter().copied().chain([m_sk]).collect();
        let mut result = fast_conversion(&floor[..last].to_vec(), &self.b, &targets);
        let check = result.pop().unwrap();
        let factor = inverse(product(&self.b, m_sk), m_sk);
        for (row, q) in result.iter_mut().zip(&self.q) {
            let b = product(&self.b, *q);
            for ((x, check), exact) in row.iter_mut().zip(&check).zip(&floor[last]) {
                let alpha = mul(sub(*check, *exact, m_sk), factor, m_sk);
                // Centred.
                let alpha = if alpha > m_sk / 2 {
                    sub(0, (m_sk - alpha) % q, *q)
                } else {
                    alpha % q
                };
                *x = sub(*x, mul(alpha, b, *q), *q);
            }
        }
        result
    }

    /// The three components of the product of two ciphertexts.
    fn mul(&self, a: &[Rows], b: &[Rows]) -> Vec<Rows> {
        let wide = |c: &[Rows]| -> Vec<Rows> { c.iter().map(|c| self.extended(c)).collect() };
        let (x, y) = (wide(a), wide(b));
        let pair = |i: usize, j: usize| ((&a[i], &x[i]), (&b[j], &y[j]));
        vec![
            self.component(&[pair(0, 0)]),
            self.component(&[pair(0, 1), pair(1, 0)]),
            self.component(&[pair(1, 1)]),
        ]
    }
}

/// The components of a one-item ciphertext in the coefficient domain.
fn components(bfv: &Bfv<Cpu>, ct: &Ciphertext<Cpu>) -> Vec<Rows> {
    let (ctx, n) = (bfv.context(), bfv.params().degree());
    let mut copy = ct.inner.duplicate(ctx).unwrap();
    copy.update(ctx, |dst| Ok(ctx.backend().intt(ctx.tables(), dst)?))
        .unwrap();
    let rows = copy.view().span.count() / ct.components();
    let mut words = vec![0u32; ct.components() * rows * n];
    ctx.backend().download(copy.view(), &mut words).unwrap();
    let row = |row: &[u32]| row.iter().map(|x| u64::from(*x)).collect();
    words
        .chunks(rows * n)
        .map(|component| component.chunks(n).map(row).collect())
        .collect()
}

/// And back.
fn ciphertext(bfv: &Bfv<Cpu>, level: Level, components: &[Rows]) -> Ciphertext<Cpu> {
    let ctx = bfv.context();
    let words: Vec<u32> = (components.iter().flatten().flatten())
        .map(|x| *x as u32)
        .collect();
    let inner = rlwe::Ciphertext::build(ctx, "test", level, 1, components.len(), |mut dst| {
        ctx.backend().upload(dst.again(), &words)?;
        Ok(ctx.backend().ntt(ctx.tables(), dst)?)
    });
    let (inner, plain) = (inner.unwrap(), bfv.plain());
    Ciphertext { inner, plain }
}

/// A chain of products until the budget ends, both ways from the same operands.
fn compare(log_n: u32, primes: usize, plain: u128, packing: Packing) {
    let spec = Spec {
        log_n,
        primes,
        digits: primes,
        plain,
    };
    let bfv = Bfv::new(Cpu::poisoned(), Params::insecure(spec).unwrap()).unwrap();
    let (ctx, n) = (bfv.context(), bfv.params().degree());
    let sk = SecretKey::insecure_deterministic(ctx, [plain as u8 ^ 0x5A; 32]).unwrap();
    let keys = sk.evaluation_keys(&KeyNeeds::new(bfv.params().rlwe()).relinearise());
    let keys = keys.unwrap().expand(ctx).unwrap();
    let ev = Evaluator::new(&bfv, &keys);
    let top = bfv.params().top();
    let encrypt = |k: u64| {
        let value = |i: u64| {
            bfv.plain()
                .residue(i128::from(i.wrapping_add(k).wrapping_mul(0x9E37_79B9_7F4A_7C15)))
        };
        let values: Vec<u64> = (1..=n as u64).map(value).collect();
        let fresh = bfv.encrypt(&sk, packing, &values, 1, top).unwrap();
        fresh.expand(ctx).unwrap()
    };
    let mut seen = vec![0u32; primes + 1];
    let mut products = 0;
    for level in (0..=top.0).rev().map(Level) {
        let q: Vec<u64> = (bfv.primes("test", level).unwrap().iter())
            .map(|q| u64::from(q.value()))
            .collect();
        let reference = Reference::new(q.clone(), plain, n);
        let mut noise = super::Noise::fresh(bfv.params(), top).unwrap();
        noise = noise.switch_to(level).unwrap();
        let (fresh, mut a) = (noise.clone(), ev.switch_to(&encrypt(0), level).unwrap());
        for d in 1u32.. {
            noise = noise.mul(&fresh).unwrap();
            if noise.sd_log2() > -6.0 - f64::from(d) {
                break;
            }
            products += 1;
            let b = ev.switch_to(&encrypt(1000 * u64::from(d)), level).unwrap();
            let ours = ev.mul(&a, &b).unwrap();
            let theirs = reference.mul(&components(&bfv, &a), &components(&bfv, &b));
            let decrypt = |ct: &Ciphertext<Cpu>| {
                let decrypted = bfv.decrypt(&sk, packing, ct).unwrap();
                decrypted.release(Release::Owner).unwrap()
            };
            assert_eq!(decrypt(&ours), decrypt(&ciphertext(&bfv, level, &theirs)));
            for (ours, theirs) in components(&bfv, &ours).iter().zip(&theirs) {
                for k in 0..n {
                    // One integer for all primes of Q, in 0..=k.
                    let difference = sub(ours[0][k], theirs[0][k], q[0]);
                    assert!(difference <= q.len() as u64, "t = {plain}: {difference}");
                    for (i, q) in q.iter().enumerate() {
                        assert_eq!(sub(ours[i][k], theirs[i][k], *q), difference);
                    }
                    seen[difference as usize] += 1;
                }
            }
            (a, noise) = (ev.relinearise(&ours).unwrap(), noise.relinearise().unwrap());
        }
    }
    println!("t = {plain}: {products} products, differences {seen:?}");
    assert!(products > 0 && seen[1..].iter().any(|count| *count > 0));
}

#[test]
fn products_agree_for_a_prime_with_slots() {
    compare(5, 6, 786_433, Packing::Slots);
    compare(6, 4, 65_537, Packing::Slots);
}

#[test]
fn products_agree_for_powers_of_two() {
    compare(4, 5, 2, Packing::Coefficients);
    compare(5, 6, 1 << 16, Packing::Coefficients);
    compare(5, 7, 1 << 64, Packing::Coefficients);
}

#[test]
fn products_agree_for_composite_moduli() {
    compare(5, 5, 15, Packing::Coefficients);
    compare(5, 6, 999_999_999, Packing::Coefficients);
    compare(4, 6, 1_000_000_006, Packing::Coefficients);
}
