//! Transforms of one row modulo one prime.

use super::{
    super::lanes::{Factor, Instructions, LANES, Prime, Words, kernel},
    forward::{self, Canonical, MulAdd},
    inverse,
    plan::{From, InPlace, Plan},
    twiddles::Twiddles,
};
use crate::arith::{ArithError, Modulus, NttTable};

/// The smallest degree that the vector kernels take.
const SMALLEST: usize = 256;

/// Everything about one prime and degree. Rows are canonical before and after.
pub(in crate::backend::cpu) struct Transform {
    modulus: Modulus,
    psi: u32,
    n_inverse: u32,
    kind: Kind,
}

enum Kind {
    /// N < 256, by the plain version.
    Small(NttTable),
    Large {
        forward: Twiddles,
        inverse: Twiddles,
        /// psi^-bitrev(1), the twiddle of the last inverse stage.
        last: u32,
    },
}

/// The words of a row as vectors; N is a multiple of 16.
#[inline(always)]
fn vectors(row: &[u32]) -> &[Words] {
    row.as_chunks::<LANES>().0
}

#[inline(always)]
fn vectors_mut(row: &mut [u32]) -> &mut [Words] {
    row.as_chunks_mut::<LANES>().0
}

kernel! {
    fn forward_in_place(l, m: Modulus, t: &Twiddles, row: &mut [Words]) {
        forward::transform(l, &Prime::new(l, m), t, row, Canonical);
    }
}

kernel! {
    fn forward_low(l, m: Modulus, t: &Twiddles, row: &mut [Words], low: usize) {
        forward::transform_from(l, &Prime::new(l, m), t, row, low, Canonical);
    }
}

kernel! {
    fn forward_mul_add(l, m: Modulus, t: &Twiddles, row: &mut [Words], kept: &[Words], factor: u32) {
        let factor = Factor::splat(l, factor, m.shoup(factor));
        forward::transform(l, &Prime::new(l, m), t, row, MulAdd { kept, factor });
    }
}

kernel! {
    fn inverse_in_place(l, m: Modulus, t: &Twiddles, row: &mut [Words], scale: [u32; 2]) {
        let [sum, difference] = scale;
        let scale = [Factor::splat(l, sum, m.shoup(sum)), Factor::splat(l, difference, m.shoup(difference))];
        inverse::transform(l, &Prime::new(l, m), t, InPlace, row, &scale);
    }
}

kernel! {
    fn inverse_from(l, m: Modulus, t: &Twiddles, from: &[Words], row: &mut [Words], scale: [u32; 2]) {
        let [sum, difference] = scale;
        let scale = [Factor::splat(l, sum, m.shoup(sum)), Factor::splat(l, difference, m.shoup(difference))];
        inverse::transform(l, &Prime::new(l, m), t, From(from), row, &scale);
    }
}

impl Transform {
    /// Errors when p is not 1 modulo 2N.
    pub(super) fn new(modulus: Modulus, log_n: u32) -> Result<Self, ArithError> {
        Ok(Self::of(NttTable::new(modulus, log_n)?))
    }

    /// The transform of degree 2^log_n that gives the evaluations of polynomials in X^gap of this ring, gap = 2^log_gap, once each.
    pub(super) fn sparse(&self, log_n: u32, log_gap: u32) -> Result<Self, ArithError> {
        let root = self.modulus.pow(self.psi, 1 << log_gap);
        NttTable::with_root(self.modulus, log_n, root).map(Self::of)
    }

    fn of(table: NttTable) -> Self {
        let modulus = table.modulus();
        let n_inverse = modulus.inv(table.degree() as u32).unwrap_or_default();
        let psi = table.psi();
        let kind = if table.degree() < SMALLEST {
            Kind::Small(table)
        } else {
            Kind::Large {
                forward: Twiddles::new(table.forward_twiddles()),
                inverse: Twiddles::new(table.inverse_twiddles()),
                last: table.inverse_twiddles()[1][0],
            }
        };
        Self {
            modulus,
            psi,
            n_inverse,
            kind,
        }
    }

    /// The modulus p.
    pub(in crate::backend::cpu) fn modulus(&self) -> Modulus {
        self.modulus
    }

    /// The root that defines the evaluation points.
    pub(in crate::backend::cpu) fn psi(&self) -> u32 {
        self.psi
    }

    /// row = NTT(row), for words below 2p.
    pub(in crate::backend::cpu) fn forward(&self, i: Instructions, row: &mut [u32]) {
        match &self.kind {
            Kind::Small(table) => table.forward(row),
            Kind::Large { forward, .. } => forward_in_place(i, self.modulus, forward, vectors_mut(row)),
        }
    }

    /// row = NTT of the polynomial whose first coefficients are the first `length` words of the row, which are below 2p, and whose
    /// others are zero, whatever the row holds there.
    pub(in crate::backend::cpu) fn forward_low(&self, i: Instructions, row: &mut [u32], length: usize) {
        match &self.kind {
            Kind::Small(table) => {
                row[length..].fill(0);
                table.forward(row);
            }
            Kind::Large { forward, .. } => {
                let low = Plan::new(vectors(row)).skipped(length.div_ceil(LANES));
                row[length..low * LANES].fill(0);
                forward_low(i, self.modulus, forward, vectors_mut(row), low);
            }
        }
    }

    /// row = NTT(row) + kept factor, for words of `row` below 2p, any words of `kept`, and factor < p.
    pub(in crate::backend::cpu) fn forward_mul_add(
        &self,
        i: Instructions,
        row: &mut [u32],
        kept: &[u32],
        factor: u32,
    ) {
        let m = self.modulus;
        match &self.kind {
            Kind::Small(table) => {
                table.forward(row);
                for (x, y) in row.iter_mut().zip(kept) {
                    *x = m.reduce(u64::from(*y) * u64::from(factor) + u64::from(*x));
                }
            }
            Kind::Large { forward, .. } => {
                forward_mul_add(i, m, forward, vectors_mut(row), vectors(kept), factor);
            }
        }
    }

    /// row = INTT(row).
    pub(in crate::backend::cpu) fn inverse(&self, i: Instructions, row: &mut [u32]) {
        match &self.kind {
            Kind::Small(table) => table.inverse(row),
            Kind::Large { inverse, last, .. } => {
                let scale = [self.n_inverse, self.modulus.mul(self.n_inverse, *last)];
                inverse_in_place(i, self.modulus, inverse, vectors_mut(row), scale);
            }
        }
    }

    /// row = c INTT(from), for c < p; what `row` held does not matter.
    pub(in crate::backend::cpu) fn inverse_scaled(
        &self,
        i: Instructions,
        from: &[u32],
        row: &mut [u32],
        c: u32,
    ) {
        let m = self.modulus;
        match &self.kind {
            Kind::Small(table) => {
                row.copy_from_slice(from);
                table.inverse(row);
                row.iter_mut().for_each(|x| *x = m.mul(*x, c));
            }
            Kind::Large { inverse, last, .. } => {
                let c = m.mul(self.n_inverse, c);
                let scale = [c, m.mul(c, *last)];
                inverse_from(i, m, inverse, vectors(from), vectors_mut(row), scale);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arith::{forward_by_definition, ntt_primes};

    fn pseudo_random(n: usize, bound: u32, seed: u64) -> Vec<u32> {
        let mut state = seed;
        let mut next = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            ((state >> 33) % u64::from(bound)) as u32
        };
        (0..n).map(|_| next()).collect()
    }

    /// The largest primes for a degree, and the smallest.
    fn primes(log_n: u32) -> Vec<u32> {
        let smallest = (1..)
            .map(|k| k * (2 << log_n) + 1)
            .find_map(|p| Modulus::new(p).ok());
        ntt_primes(log_n, 2, 1 << 30)
            .take(2)
            .chain(smallest.map(Modulus::value))
            .collect()
    }

    /// Words below `bound`: extremes in every arrangement that a butterfly can meet, and random ones.
    fn rows(n: usize, bound: u32) -> Vec<Vec<u32>> {
        let top = bound - 1;
        let mut rows = vec![vec![0; n], vec![top; n], pseudo_random(n, bound, 7)];
        for half in [1, 16, n / 2] {
            let arrange = |low, high| {
                (0..n)
                    .map(|i| if i / half % 2 == 0 { low } else { high })
                    .collect()
            };
            rows.push(arrange(0, top));
            rows.push(arrange(top, 0));
        }
        let extreme = |x: &u32| if x.is_multiple_of(2) { 0 } else { top };
        rows.push(pseudo_random(n, bound, 8).iter().map(extreme).collect());
        rows
    }

    /// Evaluation `j` by Horner's rule.
    fn evaluation(m: Modulus, psi: u32, f: &[u32], j: usize) -> u32 {
        let log_n = f.len().trailing_zeros();
        let point = m.pow(psi, 2 * crate::arith::bit_reverse(j, log_n) as u64 + 1);
        f.iter().rev().fold(0, |sum, c| m.add(m.mul(sum, point), *c))
    }

    #[test]
    fn every_size_equals_the_definition_and_the_plain_version() {
        for log_n in 1..=17 {
            let n = 1 << log_n;
            for p in primes(log_n) {
                let m = Modulus::new(p).unwrap();
                let (table, t) = (
                    NttTable::new(m, log_n).unwrap(),
                    Transform::new(m, log_n).unwrap(),
                );
                for (which, f) in rows(n, p).into_iter().enumerate() {
                    let context = format!("N = 2^{log_n}, p = {p}, row {which}");
                    let mut wanted = f.clone();
                    table.forward(&mut wanted);
                    if log_n <= 8 {
                        assert_eq!(wanted, forward_by_definition(m, t.psi(), &f), "{context}");
                    } else {
                        for j in [0, 1, n / 2 - 1, n / 2, n - 1] {
                            assert_eq!(wanted[j], evaluation(m, t.psi(), &f, j), "{context}, {j}");
                        }
                    }
                    for i in Instructions::available() {
                        let mut a = f.clone();
                        t.forward(*i, &mut a);
                        assert!(a == wanted, "{context}, {i:?}");
                        t.inverse(*i, &mut a);
                        assert!(a == f, "{context}, {i:?}, back");
                        // Anything canonical may stand for evaluations.
                        t.inverse(*i, &mut a);
                        let mut back = f.clone();
                        table.inverse(&mut back);
                        assert!(a == back, "{context}, {i:?}, inverse");
                    }
                }
            }
        }
    }

    #[test]
    fn words_below_2p_are_transformed_as_their_residues() {
        for log_n in [3, 8, 9, 14, 15] {
            for p in primes(log_n) {
                let m = Modulus::new(p).unwrap();
                let (table, t) = (
                    NttTable::new(m, log_n).unwrap(),
                    Transform::new(m, log_n).unwrap(),
                );
                for lazy in rows(1 << log_n, 2 * p) {
                    let mut wanted: Vec<u32> = lazy.iter().map(|x| x % p).collect();
                    table.forward(&mut wanted);
                    for i in Instructions::available() {
                        let mut a = lazy.clone();
                        t.forward(*i, &mut a);
                        assert!(a == wanted, "N = 2^{log_n}, p = {p}, {i:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn fused_versions_are_their_parts() {
        for log_n in [2, 8, 9, 13, 14] {
            let n = 1 << log_n;
            for p in primes(log_n) {
                let m = Modulus::new(p).unwrap();
                let t = Transform::new(m, log_n).unwrap();
                for (row, kept) in rows(n, p).into_iter().zip(rows(n, u32::MAX)) {
                    for i in Instructions::available() {
                        let (mut forward, mut inverse) = (row.clone(), row.clone());
                        t.forward(*i, &mut forward);
                        t.inverse(*i, &mut inverse);
                        for c in [0, 1, p / 3, p - 1] {
                            let mut out = row.clone();
                            t.forward_mul_add(*i, &mut out, &kept, c);
                            let sum = |(x, y): (&u32, &u32)| m.add(*x, m.mul(m.reduce(u64::from(*y)), c));
                            let wanted: Vec<u32> = forward.iter().zip(&kept).map(sum).collect();
                            assert!(out == wanted, "N = 2^{log_n}, p = {p}, {i:?}, c = {c}");
                            t.inverse_scaled(*i, &row, &mut out, c);
                            let wanted: Vec<u32> = inverse.iter().map(|x| m.mul(*x, c)).collect();
                            assert!(out == wanted, "N = 2^{log_n}, p = {p}, {i:?}, c = {c}");
                        }
                    }
                }
            }
        }
    }
}
