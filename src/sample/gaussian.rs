//! The discrete Gaussian on the integers, exactly: P(x) proportional to exp(-x^2 / (2 sigma^2)), sigma = 2^k (Canonne, Kamath,
//! Steinke, arXiv 2004.00010).
//!
//! Integers and random bits only: no floating point, whose errors at a large sigma would show what the noise is to hide. With
//! sigma a power of two every probability splits into events on k random bits: exp(-a b) is "exp of minus" the event that an
//! a-coin and a b-coin both fall, and exp(-(a + b)) = exp(-a) exp(-b). The running time depends on the noise, not on what it is added to.

use zeroize::Zeroizing;

use super::PrivateStream;

/// The largest k.
pub const MAX_GAUSSIAN_LOG2: u32 = 100;

struct Coins<'a> {
    stream: &'a mut PrivateStream,
    log2: u32,
}

impl Coins<'_> {
    /// k uniform bits.
    fn uniform(&mut self) -> u128 {
        let mut bytes = Zeroizing::new([0u8; 16]);
        self.stream.fill_bytes(bytes.as_mut());
        u128::from_le_bytes(*bytes) & ((1 << self.log2) - 1)
    }

    fn byte(&mut self) -> u8 {
        let mut byte = Zeroizing::new([0u8]);
        self.stream.fill_bytes(byte.as_mut());
        byte[0]
    }

    fn half(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Probability x / 2^k, x <= 2^k.
    fn fraction(&mut self, x: u128) -> bool {
        self.uniform() < x
    }

    /// Probability 1 / n, 1 <= n <= 256.
    fn one_in(&mut self, n: u32) -> bool {
        let limit = 256 / n * n;
        loop {
            let x = u32::from(self.byte());
            if x < limit {
                return x % n == 0;
            }
        }
    }

    /// Probability exp(-p) for an event of probability p: the first n at which "event, and one in n" fails is odd.
    fn exp_minus(&mut self, mut event: impl FnMut(&mut Self) -> bool) -> bool {
        // n > 256 happens with probability below 1 / 256!.
        (1..=256)
            .find(|n| !(event(self) && self.one_in(*n)))
            .is_some_and(|n| n % 2 == 1)
    }

    /// P(x) proportional to exp(-|x| / 2^k).
    fn laplace(&mut self) -> i128 {
        loop {
            let low = self.uniform();
            if !self.exp_minus(|c| c.fraction(low)) {
                continue;
            }
            let mut high = 0u128;
            while self.exp_minus(|_| true) {
                high += 1;
            }
            let magnitude = (low + (high << self.log2)) as i128;
            match self.half() {
                false => return magnitude,
                true if magnitude != 0 => return -magnitude,
                true => {}
            }
        }
    }

    fn gaussian(&mut self) -> i128 {
        loop {
            let x = self.laplace();
            // (|x| / sigma - 1)^2 / 2 = (h + l)^2 / 2 = h^2 / 2 + h l + l^2 / 2, l in [0, 1).
            let sigma = 1u128 << self.log2;
            let d = x.unsigned_abs().abs_diff(sigma);
            let (h, l) = (d >> self.log2, d & (sigma - 1));
            if (0..h * h).all(|_| self.exp_minus(Self::half))
                && (0..h).all(|_| self.exp_minus(|c| c.fraction(l)))
                && self.exp_minus(|c| c.half() && c.fraction(l) && c.fraction(l))
            {
                return x;
            }
        }
    }
}

/// Independent samples of standard deviation 2^`log2_sigma`, at most 2^[`MAX_GAUSSIAN_LOG2`].
pub fn discrete_gaussian(stream: &mut PrivateStream, log2_sigma: u32, out: &mut [i128]) {
    let log2 = log2_sigma.min(MAX_GAUSSIAN_LOG2);
    let mut coins = Coins { stream, log2 };
    out.iter_mut().for_each(|x| *x = coins.gaussian());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::PrivateSeed;

    fn sample(log2: u32, count: usize) -> Vec<i128> {
        let mut stream = PrivateSeed::insecure_from_bytes([9; 32]).stream("gaussian test", u64::from(log2));
        let mut out = vec![0; count];
        discrete_gaussian(&mut stream, log2, &mut out);
        out
    }

    /// Counts of every value against the definition.
    #[test]
    fn small_deviations_have_the_exact_distribution() {
        const COUNT: usize = 1 << 18;
        for log2 in 0..4 {
            let samples = sample(log2, COUNT);
            let weight = |x: i128| (-(x as f64).powi(2) / 2.0 / f64::from(1 << (2 * log2))).exp();
            let total: f64 = (-400..=400).map(weight).sum();
            let (mut chi_square, mut freedom) = (0.0, 0.0);
            for x in -40i128..=40 {
                let expected = COUNT as f64 * weight(x) / total;
                if expected > 20.0 {
                    let have = samples.iter().filter(|y| **y == x).count() as f64;
                    chi_square += (have - expected).powi(2) / expected;
                    freedom += 1.0;
                }
            }
            // Mean `freedom`, variance 2 `freedom`: 5 deviations.
            assert!(
                chi_square < freedom + 5.0 * (2.0f64 * freedom).sqrt(),
                "sigma 2^{log2}: {chi_square} of {freedom}"
            );
            assert!(freedom >= 7.0);
        }
    }

    #[test]
    fn large_deviations_have_the_moments() {
        const COUNT: usize = 1 << 16;
        for log2 in [20, 53, 64, MAX_GAUSSIAN_LOG2] {
            let scaled: Vec<f64> = (sample(log2, COUNT).iter())
                .map(|x| *x as f64 / f64::from(log2).exp2())
                .collect();
            let mean = |p: i32| scaled.iter().map(|x| x.powi(p)).sum::<f64>() / COUNT as f64;
            // Deviations of the means of 2^16: 2^-8 sqrt(1, 2, 15 and 96).
            for (power, want, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0f64)] {
                assert!(
                    (mean(power) - want).abs() < 5.0 / 256.0 * variance.sqrt(),
                    "2^{log2}, {power}"
                );
            }
            // The lowest bits are uniform: nothing was computed in floating point.
            let odd = sample(log2, COUNT).iter().filter(|x| **x & 1 == 1).count() as f64;
            assert!((odd / COUNT as f64 - 0.5).abs() < 5.0 / 512.0);
        }
    }
}
