//! The negacyclic number-theoretic transform modulo one prime: its twiddles, a plain version, and the definition beside them.
//!
//! For f in Z_p[X]/(X^N + 1) in natural coefficient order, `forward` gives eval[bitrev(i)] = f(psi^(2i+1)),
//! psi the smallest primitive 2N-th root of unity; `inverse` is its inverse, 1/N included.
//! Butterflies: Cooley-Tukey down, Gentleman-Sande up, with psi^bitrev(i) as twiddles, so that no reordering is
//! needed (Longa, Naehrig, eprint 2016/504). Values are lazy in [0, 4p) between stages (Harvey, arXiv 1205.2926), and
//! canonical at entry and exit; p < 2^30 keeps 4p within a word.

use super::{ArithError, Modulus, bit_reverse, smallest_root};

/// Cooley-Tukey: (x + w y, x - w y); x, y < 4p in and out.
#[inline(always)]
fn down(m: Modulus, x: u32, y: u32, [w, companion]: [u32; 2]) -> (u32, u32) {
    let two_p = 2 * m.value();
    let u = x.min(x.wrapping_sub(two_p));
    let v = m.mul_shoup_lazy(y, w, companion);
    (u + v, u + two_p - v)
}

/// Gentleman-Sande: (x + y, w (x - y)); x, y < 2p in and out.
#[inline(always)]
fn up(m: Modulus, x: u32, y: u32, [w, companion]: [u32; 2]) -> (u32, u32) {
    let two_p = 2 * m.value();
    let sum = x + y;
    (
        sum.min(sum.wrapping_sub(two_p)),
        m.mul_shoup_lazy(x + two_p - y, w, companion),
    )
}

/// A stage whose butterflies are `half` apart; group g takes twiddle g.
#[inline(always)]
fn stage(
    butterfly: impl Fn(Modulus, u32, u32, [u32; 2]) -> (u32, u32),
    m: Modulus,
    a: &mut [u32],
    half: usize,
    twiddles: &[[u32; 2]],
) {
    for (group, w) in a.chunks_exact_mut(2 * half).zip(twiddles) {
        let (low, high) = group.split_at_mut(half);
        for (x, y) in low.iter_mut().zip(high) {
            (*x, *y) = butterfly(m, *x, *y, *w);
        }
    }
}

/// x < 4p to its residue.
#[inline(always)]
fn canonical(m: Modulus, x: u32) -> u32 {
    let r = x.min(x.wrapping_sub(2 * m.value()));
    r.min(r.wrapping_sub(m.value()))
}

/// Twiddle factors of one prime and ring degree N.
#[derive(Debug)]
pub struct NttTable {
    modulus: Modulus,
    log_n: u32,
    psi: u32,
    /// (psi^bitrev(i), Shoup companion), i < N.
    forward: Vec<[u32; 2]>,
    /// (psi^-bitrev(i), Shoup companion), i < N.
    inverse: Vec<[u32; 2]>,
    /// N^-1, and N^-1 psi^-bitrev(1): the last inverse stage with 1/N folded in, each with its companion.
    last: [[u32; 2]; 2],
}

fn check_degree(log_n: u32) -> Result<(), ArithError> {
    match (1..=17).contains(&log_n) {
        true => Ok(()),
        false => Err(ArithError::Degree { log_n }),
    }
}

impl NttTable {
    /// Tables for `Z_p[X]/(X^N + 1)`, N = 2^log_n, 1 <= log_n <= 17; errors when p is not 1 mod 2N.
    pub fn new(modulus: Modulus, log_n: u32) -> Result<Self, ArithError> {
        check_degree(log_n)?;
        Self::with_root(modulus, log_n, smallest_root(modulus, log_n)?)
    }

    /// The same with another root than the smallest, a primitive 2N-th one. With the root psi^gap of a ring of degree N gap, psi that
    /// ring's own, evaluation j of f is evaluation j gap + i, i < gap, of f(X^gap) there.
    pub fn with_root(modulus: Modulus, log_n: u32, psi: u32) -> Result<Self, ArithError> {
        let no_root = ArithError::NoRoot {
            p: modulus.value(),
            log_n,
        };
        check_degree(log_n)?;
        if modulus.pow(psi, 1 << log_n) != modulus.value() - 1 {
            return Err(no_root);
        }
        let psi_inverse = modulus.inv(psi).ok_or(no_root.clone())?;
        let pair = |w: u32| [w, modulus.shoup(w)];
        let powers = |base: u32| {
            let mut table = vec![[0; 2]; 1 << log_n];
            let mut power = 1;
            for i in 0..1 << log_n {
                table[bit_reverse(i, log_n)] = pair(power);
                power = modulus.mul(power, base);
            }
            table
        };
        let (forward, inverse) = (powers(psi), powers(psi_inverse));
        let n_inverse = modulus.inv(1 << log_n).ok_or(no_root)?;
        let last = [pair(n_inverse), pair(modulus.mul(n_inverse, inverse[1][0]))];
        Ok(Self {
            modulus,
            log_n,
            psi,
            forward,
            inverse,
            last,
        })
    }

    /// The modulus p.
    pub fn modulus(&self) -> Modulus {
        self.modulus
    }

    /// The ring degree N.
    pub fn degree(&self) -> usize {
        1 << self.log_n
    }

    /// The root psi that defines the evaluation points.
    pub fn psi(&self) -> u32 {
        self.psi
    }

    /// (psi^bitrev(i), Shoup companion), i < N.
    pub fn forward_twiddles(&self) -> &[[u32; 2]] {
        &self.forward
    }

    /// (psi^-bitrev(i), Shoup companion), i < N.
    pub fn inverse_twiddles(&self) -> &[[u32; 2]] {
        &self.inverse
    }

    /// Coefficients in natural order to evaluations in bit-reversed order, in place. Canonical in, canonical out.
    pub fn forward(&self, a: &mut [u32]) {
        debug_assert_eq!(a.len(), self.degree());
        let m = self.modulus;
        for s in 0..self.log_n {
            let groups = 1 << s;
            stage(down, m, a, a.len() >> (s + 1), &self.forward[groups..2 * groups]);
        }
        a.iter_mut().for_each(|x| *x = canonical(m, *x));
    }

    /// Evaluations in bit-reversed order to coefficients in natural order, in place. Canonical in, canonical out.
    pub fn inverse(&self, a: &mut [u32]) {
        debug_assert_eq!(a.len(), self.degree());
        let m = self.modulus;
        for s in (1..self.log_n).rev() {
            let groups = 1 << s;
            stage(up, m, a, a.len() >> (s + 1), &self.inverse[groups..2 * groups]);
        }
        let [one, twist] = self.last;
        let (low, high) = a.split_at_mut(a.len() / 2);
        for (x, y) in low.iter_mut().zip(high) {
            let (u, v) = (*x, *y);
            *x = canonical(m, m.mul_shoup_lazy(u + v, one[0], one[1]));
            *y = canonical(m, m.mul_shoup_lazy(u + 2 * m.value() - v, twist[0], twist[1]));
        }
    }
}

/// The definition of `forward`, with 128-bit products and no table: eval[bitrev(i)] = sum_k f_k psi^((2i+1) k).
/// N^2 multiplications; for tests and the oracle.
pub fn forward_by_definition(modulus: Modulus, psi: u32, f: &[u32]) -> Vec<u32> {
    let (n, p) = (f.len(), u128::from(modulus.value()));
    let mut eval = vec![0; n];
    for i in 0..n {
        let point = u128::from(modulus.pow(psi, 2 * i as u64 + 1));
        let value = f
            .iter()
            .rev()
            .fold(0u128, |sum, c| (sum * point + u128::from(*c)) % p);
        eval[bit_reverse(i, n.trailing_zeros())] = value as u32;
    }
    eval
}

/// The product in `Z_p[X]/(X^N + 1)` by the schoolbook rule, X^N = -1. N^2 multiplications; for tests and the oracle.
pub fn multiply_by_schoolbook(modulus: Modulus, a: &[u32], b: &[u32]) -> Vec<u32> {
    let n = a.len();
    let mut product = vec![0; n];
    for (i, x) in a.iter().enumerate() {
        for (j, y) in b.iter().enumerate() {
            let term = modulus.mul(*x, *y);
            let at = &mut product[(i + j) % n];
            *at = if i + j < n {
                modulus.add(*at, term)
            } else {
                modulus.sub(*at, term)
            };
        }
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arith::ntt_primes;

    fn pseudo_random(n: usize, p: u32, seed: u64) -> Vec<u32> {
        let mut state = seed;
        let step = |state: &mut u64| {
            *state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            ((*state >> 33) % u64::from(p)) as u32
        };
        (0..n).map(|_| step(&mut state)).collect()
    }

    #[test]
    fn forward_is_the_definition_and_inverse_undoes_it() {
        for log_n in 1..=10 {
            for p in ntt_primes(log_n, 2, 1 << 30)
                .take(2)
                .chain(ntt_primes(log_n, 2, 1 << 20).take(1))
            {
                let m = Modulus::new(p).unwrap();
                let table = NttTable::new(m, log_n).unwrap();
                for f in [
                    pseudo_random(1 << log_n, p, 7),
                    vec![p - 1; 1 << log_n],
                    vec![0; 1 << log_n],
                ] {
                    let mut a = f.clone();
                    table.forward(&mut a);
                    assert_eq!(
                        a,
                        forward_by_definition(m, table.psi(), &f),
                        "N = 2^{log_n}, p = {p}"
                    );
                    table.inverse(&mut a);
                    assert_eq!(a, f);
                }
            }
        }
    }

    #[test]
    fn products_of_evaluations_are_negacyclic_convolutions() {
        for log_n in [1, 4, 8, 10] {
            let p = ntt_primes(log_n, 2, 1 << 30).next().unwrap();
            let m = Modulus::new(p).unwrap();
            let table = NttTable::new(m, log_n).unwrap();
            let (a, b) = (pseudo_random(1 << log_n, p, 1), pseudo_random(1 << log_n, p, 2));
            let (mut x, mut y) = (a.clone(), b.clone());
            table.forward(&mut x);
            table.forward(&mut y);
            x.iter_mut().zip(&y).for_each(|(x, y)| *x = m.mul(*x, *y));
            table.inverse(&mut x);
            assert_eq!(x, multiply_by_schoolbook(m, &a, &b));
        }
    }

    #[test]
    fn large_degrees_round_trip() {
        for log_n in [12, 14, 16, 17] {
            let p = ntt_primes(log_n, 2, 1 << 30).next().unwrap();
            let table = NttTable::new(Modulus::new(p).unwrap(), log_n).unwrap();
            let f = pseudo_random(1 << log_n, p, 3);
            let mut a = f.clone();
            table.forward(&mut a);
            assert_ne!(a, f);
            table.inverse(&mut a);
            assert_eq!(a, f);
        }
    }
}
