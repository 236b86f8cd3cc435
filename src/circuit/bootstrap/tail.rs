//! The distribution of the overflow.
//!
//! A coefficient of (c_0 + c_1 s') / q_0 is the sum S of h + 1 numbers that are uniform in (-1/2, 1/2), h the weight of s'
//! (eprint 2022/024, equation 1):
//!
//! ```text
//! Pr[|S| > K] = 2 / (h + 1)!  sum over i of (-1)^i C(h + 1, i) max((h + 1)/2 - K - i, 0)^(h + 1)
//! ```
//!
//! computed in integers: the sum cancels.

use num_bigint::{BigInt, BigUint};

use crate::ring::log2;

/// log2 of the probability of |S| > `bound` for a secret of weight `weight`; minus infinity where it is impossible, 0 for certainty.
pub fn overflow_tail_log2(weight: u32, bound: f64) -> f64 {
    /// Bits of a number after the binary point.
    const PLACES: u32 = 20;
    let terms = weight.saturating_add(1);
    if !(bound.is_finite() && bound > 0.0) {
        return 0.0;
    }
    // Everything times 2^PLACES: (h + 1)/2 - K - i, rounded up, which only raises the probability.
    let unit = 1i64 << PLACES;
    let start = (f64::from(terms) / 2.0 - bound) * unit as f64;
    let start = start.ceil() as i64;
    let (mut sum, mut binomial) = (BigInt::ZERO, BigInt::from(1u32));
    for i in 0..=terms {
        let base = start - i64::from(i) * unit;
        if base <= 0 {
            break;
        }
        let term = &binomial * BigInt::from(base).pow(terms);
        if i % 2 == 0 {
            sum += term
        } else {
            sum -= term
        }
        binomial = binomial * (terms - i) / (i + 1);
    }
    let factorial = (1..=terms).fold(BigUint::from(1u32), |product, i| product * i);
    let log = log2(sum.magnitude()) - log2(&factorial) - f64::from(PLACES) * f64::from(terms) + 1.0;
    log.min(0.0)
}

/// log2 of a bound on the probability that one bootstrap of N = 2^log_n coefficients leaves [-`bound`, `bound`] anywhere.
pub fn failure_log2(log_n: u32, weight: u32, bound: f64) -> f64 {
    (overflow_tail_log2(weight, bound) + f64::from(log_n)).min(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_probabilities() {
        for (log_n, weight, bound, want) in [
            (16, 32, 12.0, -34.1),
            (16, 32, 14.0, -62.1),
            (16, 32, 15.0, -86.4),
            (16, 32, 16.0, -138.7),
            (16, 64, 20.0, -48.6),
            (16, 192, 28.0, -23.2),
        ] {
            let have = failure_log2(log_n, weight, bound);
            assert!((have - want).abs() < 0.06, "{weight} {bound}: {have} {want}");
        }
        // One number: |S| > 1/4 with probability 1/2.
        assert!((overflow_tail_log2(0, 0.25) + 1.0).abs() < 1e-9);
        // Two: a triangle, |S| > 1/2 with probability 1/4.
        assert!((overflow_tail_log2(1, 0.5) + 2.0).abs() < 1e-9);
        assert_eq!(overflow_tail_log2(32, 16.5), f64::NEG_INFINITY);
        assert_eq!(overflow_tail_log2(32, f64::NAN), 0.0);
    }
}
