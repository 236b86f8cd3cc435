//! The slot transform as a product of sparse matrices (Chen, Chillotti, Song, eprint 2018/1043; Cheon, Han, Hhan, eprint 2018/1073).
//!
//! The butterflies of `docs/numerics.md`, for len = 2, 4 .. n, map the coefficients w in bit-reversed order to the slots z:
//! (u, v) <- (u + x v, u - x v) is a matrix with the diagonals 0, len/2 and -len/2, of period len. A run of k of them is a
//! matrix with at most 2^(k+1) - 1 diagonals, whose rotations are multiples of the first len/2. The order stays bit-reversed in
//! between: what works on all slots alike does not care.

use super::{CircuitError, Result, linear::Diagonals};
use crate::arith::{Complex, Embedding};

/// The matrices of w (bit-reversed) -> z for n slots, in the order in which they apply: `matrices` of them, as equal as can be.
///
/// # Errors
/// For n that is no power of two; no matrix, or more than the log2 n butterflies.
pub fn to_slots_of(embedding: &Embedding, n: usize, matrices: usize) -> Result<Vec<Diagonals>> {
    let lens: Vec<usize> = (1..=n.max(1).ilog2()).map(|log| 1 << log).collect();
    let butterfly = |len: usize| {
        let half = len / 2;
        let x = twiddles(embedding, half);
        let zero = vec![Complex::default(); half];
        let one = vec![Complex::from(1.0); half];
        let minus: Vec<Complex> = x.iter().map(|x| -*x).collect();
        let diagonals = [
            (0, [one.clone(), minus].concat()),
            (half as i64, [x, zero.clone()].concat()),
            (-(half as i64), [zero, one].concat()),
        ];
        Diagonals::new(n, diagonals)
    };
    grouped(&lens, matrices, n, butterfly)
}

/// The matrices of z -> n w (bit-reversed): the inverses of the others, without their factors 1/2.
///
/// # Errors
/// For n that is no power of two; no matrix, or more than the log2 n butterflies.
pub fn to_coefficients_of(embedding: &Embedding, n: usize, matrices: usize) -> Result<Vec<Diagonals>> {
    let lens: Vec<usize> = (1..=n.max(1).ilog2()).rev().map(|log| 1 << log).collect();
    let butterfly = |len: usize| {
        let half = len / 2;
        let x: Vec<Complex> = twiddles(embedding, half).iter().map(|x| x.conj()).collect();
        let zero = vec![Complex::default(); half];
        let one = vec![Complex::from(1.0); half];
        let minus: Vec<Complex> = x.iter().map(|x| -*x).collect();
        let diagonals = [
            (0, [one.clone(), minus].concat()),
            (half as i64, [one, zero.clone()].concat()),
            (-(half as i64), [zero, x].concat()),
        ];
        Diagonals::new(n, diagonals)
    };
    grouped(&lens, matrices, n, butterfly)
}

/// exp(2 pi i (5^j mod 8 half) / (8 half)) for j < half.
fn twiddles(embedding: &Embedding, half: usize) -> Vec<Complex> {
    embedding
        .twiddles()
        .iter()
        .skip(half)
        .take(half)
        .copied()
        .collect()
}

/// Products of consecutive butterflies, at least one each.
fn grouped(
    lens: &[usize],
    matrices: usize,
    n: usize,
    butterfly: impl Fn(usize) -> Result<Diagonals>,
) -> Result<Vec<Diagonals>> {
    if !(1..=lens.len()).contains(&matrices) {
        let remedy = "use a matrix for each of log2 slots butterflies at the most, and at least one";
        return Err(CircuitError::mismatch(
            "slot transform",
            "matrices",
            lens.len(),
            matrices,
            remedy,
        ));
    }
    let mut rest = lens;
    let mut all = Vec::new();
    for left in (1..=matrices).rev() {
        let (group, later) = rest.split_at(rest.len().div_ceil(left));
        rest = later;
        let mut product = Diagonals::new(n, [(0, vec![Complex::from(1.0)])])?;
        for len in group {
            product = butterfly(*len)?.after(&product)?;
        }
        all.push(product);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arith::bit_reverse;

    fn close(have: &[Complex], want: &[Complex]) {
        for (have, want) in have.iter().zip(want) {
            assert!((*have - *want).abs() < 1e-11, "{have:?} {want:?}");
        }
    }

    #[test]
    fn the_factors_are_the_embedding() {
        for (log_n, n, matrices) in [(5, 16, 3), (8, 128, 3), (9, 32, 2), (9, 2, 1), (10, 512, 4)] {
            let embedding = Embedding::new(log_n);
            let value = |i: usize| Complex::new((i * i % 17) as f64 / 17.0 - 0.4, (i * 7 % 5) as f64 / 5.0);
            let w: Vec<Complex> = (0..n).map(value).collect();
            // Slot j is sum over k of w_k exp(2 pi i 5^j k / 4n).
            let slot = |j: usize| {
                let root = embedding.rotation_group()[j] as usize % (4 * n);
                (0..n).fold(Complex::default(), |z, k| {
                    let angle = std::f64::consts::TAU * ((root * k) % (4 * n)) as f64 / (4 * n) as f64;
                    z + w[k] * Complex::new(angle.cos(), angle.sin())
                })
            };
            let want: Vec<Complex> = (0..n).map(slot).collect();
            let reversed: Vec<Complex> = (0..n).map(|i| w[bit_reverse(i, n.ilog2())]).collect();
            let forward = to_slots_of(&embedding, n, matrices).unwrap();
            assert_eq!(forward.len(), matrices);
            let z = forward.iter().fold(reversed.clone(), |x, m| m.apply(&x));
            close(&z, &want);
            let back = to_coefficients_of(&embedding, n, matrices).unwrap();
            let back = back.iter().fold(z, |x, m| m.apply(&x));
            let scaled: Vec<Complex> = reversed.iter().map(|w| *w * Complex::from(n as f64)).collect();
            close(&back, &scaled);
        }
        // An identity would take a level for nothing.
        for (n, matrices) in [(2, 2), (512, 10), (512, 0)] {
            let embedding = Embedding::new(10);
            assert!(to_slots_of(&embedding, n, matrices).is_err(), "{matrices} of {n}");
            assert!(
                to_coefficients_of(&embedding, n, matrices).is_err(),
                "{matrices} of {n}"
            );
        }
    }
}
