//! Variances of noise that differ from slot to slot.
//!
//! The rounding of a division is r_0 + r_1 s, s the secret: slot j has |s(zeta_j)|^2 times the variance of r_1(zeta_j). |s(zeta_j)|^2 is that
//! of a complex number of some N independent terms: its square over the mean has the distribution of a mean of g exponential numbers,
//! Gamma(g) / g, where a slot of few is a mean over g = N/2n. With one, a slot exceeds t with probability 2 x K_1(2 x), x = t / deviation,
//! instead of exp(-x^2): in 2^15 slots the largest error is 1.8 times that of even noise.

use std::collections::BTreeMap;

/// Variances closer than 2^(1/8) are one.
const PER_OCTAVE: f64 = 8.0;

/// Nodes of the distribution of |s(zeta_j)|^2.
const NODES: u32 = 200;

/// A mean of more exponential numbers than this is taken as 1.
const MOST_SHAPE: usize = 64;

/// A variance that is one of several, each with its probability.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mixture(Vec<(f64, f64)>);

impl Mixture {
    /// Of variances and their probabilities: those that are close become their mean.
    pub(super) fn new(parts: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let mut joined = BTreeMap::<i64, (f64, f64)>::new();
        for (variance, share) in parts {
            // The logarithm of 0 is the least integer.
            let sum = joined
                .entry((PER_OCTAVE * variance.log2()).floor() as i64)
                .or_default();
            *sum = (sum.0 + variance * share, sum.1 + share);
        }
        let parts = joined.into_values().filter(|(_, share)| *share > 0.0);
        Self(parts.map(|(sum, share)| (sum / share, share)).collect())
    }

    /// One variance for all.
    pub(super) fn of(variance: f64) -> Self {
        Self(vec![(variance, 1.0)])
    }

    /// The mean.
    pub(super) fn mean(&self) -> f64 {
        self.0.iter().map(|(v, share)| v * share).sum()
    }

    /// The largest variance.
    pub(super) fn largest(&self) -> f64 {
        self.0.iter().map(|(v, _)| *v).fold(0.0, f64::max)
    }

    /// The variance of a sum of two independent errors.
    pub(super) fn plus(&self, other: &Self) -> Self {
        let pairs = |(v, p): &(f64, f64)| {
            let (v, p) = (*v, *p);
            other.0.iter().map(move |(w, q)| (v + w, p * q))
        };
        Self::new(self.0.iter().flat_map(pairs))
    }

    /// Times a mean of `shape` exponential numbers of mean 1.
    pub(super) fn times_exponential(&self, shape: usize) -> Self {
        let nodes = exponential(shape);
        let pairs = |(v, p): &(f64, f64)| {
            let (v, p) = (*v, *p);
            nodes.iter().map(move |(x, q)| (v * x, p * q))
        };
        Self::new(self.0.iter().flat_map(pairs))
    }

    /// The probability that an error of this variance, Gaussian in the complex plane, is farther from 0 than t: sum of shares
    /// exp(-t^2 / v).
    pub(super) fn beyond(&self, t: f64) -> f64 {
        if t <= 0.0 {
            return 1.0;
        }
        let of = |(v, share): &(f64, f64)| share * (-t * t / v).exp();
        self.0.iter().map(of).sum()
    }
}

/// Values of a mean of g exponential numbers with their probabilities, by the midpoint rule on its density x^(g - 1) exp(-g x).
fn exponential(shape: usize) -> Vec<(f64, f64)> {
    if !(1..=MOST_SHAPE).contains(&shape) {
        return vec![(1.0, 1.0)];
    }
    let g = shape as f64;
    // Beyond it less than 2^-40.
    let most = 40.0 / g + 2.0;
    let node = |i: u32| {
        let x = most * (f64::from(i) + 0.5) / f64::from(NODES);
        (x, ((g - 1.0) * x.ln() + g * (1.0 - x)).exp())
    };
    let nodes: Vec<(f64, f64)> = (0..NODES).map(node).collect();
    let total: f64 = nodes.iter().map(|(_, p)| p).sum();
    let mean = nodes.iter().map(|(x, p)| x * p).sum::<f64>() / total;
    nodes.iter().map(|(x, p)| (x / mean, p / total)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(have: f64, want: f64, relative: f64) {
        assert!((have / want - 1.0).abs() < relative, "{have:e}, {want:e}");
    }

    #[test]
    fn products_of_two_gaussians_have_the_tail_of_bessel_s_function() {
        let product = Mixture::of(1.0).times_exponential(1);
        near(product.mean(), 1.0, 1e-12);
        // 2 x K_1(2 x): K_1(2) = 0.13986588, K_1(6) = 1.3439197e-3, K_1(10) = 1.8648773e-5.
        near(product.beyond(1.0), 2.0 * 0.139_865_88, 0.01);
        near(product.beyond(3.0), 6.0 * 1.343_919_7e-3, 0.02);
        near(product.beyond(5.0), 10.0 * 1.864_877_3e-5, 0.04);
        // Means of many are even.
        near(
            Mixture::of(2.0).times_exponential(1024).beyond(2.0),
            (-2f64).exp(),
            1e-12,
        );
        let some = Mixture::of(1.0).times_exponential(16).beyond(3.0);
        assert!(some > (-9f64).exp() && some < product.beyond(3.0), "{some:e}");
    }

    #[test]
    fn sums_have_the_sum_of_the_means() {
        let a = Mixture::new([(1.0, 0.25), (4.0, 0.5), (64.0, 0.25)]);
        let b = Mixture::new([(0.0, 0.5), (8.0, 0.5)]);
        near(a.plus(&b).mean(), a.mean() + b.mean(), 1e-12);
        assert_eq!(a.plus(&b).largest(), 72.0);
        // exp(-t^2 / v) of each.
        let want = 0.25 * (-16f64).exp() + 0.5 * (-4f64).exp() + 0.25 * (-0.25f64).exp();
        near(a.beyond(4.0), want, 1e-12);
        assert_eq!(Mixture::of(0.0).beyond(1.0), 0.0);
        assert_eq!(Mixture::of(0.0).beyond(0.0), 1.0);
    }
}
