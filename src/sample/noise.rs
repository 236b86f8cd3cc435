//! Secrets and errors: uniform ternary, centred binomial, uniform bytes. Constant time: every coefficient
//! takes the same number of stream bytes and the same instructions, without branches, tables or rejection on
//! its value (a branching sampler leaks the key through one power trace: RevEAL, eprint 2022/204).

use zeroize::Zeroizing;

use super::PrivateStream;

/// Standard deviation of [`centred_binomial`]: sqrt(42 / 4) = sqrt(10.5).
///
/// At least the 3.19 of the Homomorphic Encryption Standard (2018) and of the security tables built on it.
pub const ERROR_STD_DEV: f64 = 3.240_370_349_203_93;

/// Coins on each side of the binomial.
const COINS: u32 = 21;

/// Coefficients sampled from one block of stream bytes.
const BLOCK: usize = 256;

/// out = f(next 64 bits of the stream, little-endian), coefficient by coefficient; the bytes are wiped.
#[inline(always)]
fn fill(stream: &mut PrivateStream, out: &mut [i8], mut f: impl FnMut(u64) -> i8) {
    let mut bytes = Zeroizing::new([0u8; 8 * BLOCK]);
    for chunk in out.chunks_mut(BLOCK) {
        let used = &mut bytes[..8 * chunk.len()];
        stream.fill_bytes(used);
        let (words, _) = used.as_chunks::<8>();
        for (coefficient, word) in chunk.iter_mut().zip(words) {
            *coefficient = f(u64::from_le_bytes(*word));
        }
    }
}

/// Uniform coefficients in {-1, 0, 1}: floor(3 x / 2^64) - 1 of 64 random bits x, bias below 2^-63.
pub fn ternary(stream: &mut PrivateStream, out: &mut [i8]) {
    fill(stream, out, |x| ((3 * u128::from(x)) >> 64) as i8 - 1);
}

/// Coefficients popcount(21 bits) - popcount(21 bits): mean 0, standard deviation [`ERROR_STD_DEV`], in
/// -21..=21.
///
/// The bits are the lowest 42 of each 64 of the stream.
pub fn centred_binomial(stream: &mut PrivateStream, out: &mut [i8]) {
    // With the second half inverted, the ones of both are their difference and 21 more.
    const FIRST: u64 = (1 << COINS) - 1;
    const SECOND: u64 = FIRST << COINS;
    fill(stream, out, |x| {
        ((x ^ SECOND) & (FIRST | SECOND)).count_ones() as i8 - COINS as i8
    });
}

/// `weight` coefficients +-1 at uniform places, all others 0; all +-1 if there are fewer than `weight`.
///
/// Selection sampling: a coefficient is taken with the probability (wanted still) / (coefficients left), from 63 random bits with a
/// bias below 2^-46, and the sign is the 64th. All coefficients pass in order, without branches on their values.
pub fn sparse_ternary(stream: &mut PrivateStream, weight: u32, out: &mut [i8]) {
    let (mut left, mut wanted) = (out.len() as u64, u64::from(weight));
    fill(stream, out, |x| {
        let place = ((u128::from(x >> 1) * u128::from(left)) >> 63) as u64;
        let taken = u64::from(place < wanted);
        (left, wanted) = (left - 1, wanted - taken);
        (taken as i8) * (1 - 2 * (x & 1) as i8)
    });
}

/// The next bytes of the stream.
pub fn uniform_bytes(stream: &mut PrivateStream, out: &mut [u8]) {
    stream.fill_bytes(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::PrivateSeed;

    const SAMPLES: usize = 1 << 20;

    fn stream(seed: u8) -> PrivateStream {
        PrivateSeed::insecure_from_bytes([seed; 32]).stream("noise test", 4)
    }

    fn sample(seed: u8, f: impl Fn(&mut PrivateStream, &mut [i8])) -> Vec<i8> {
        let mut out = vec![0; SAMPLES];
        f(&mut stream(seed), &mut out);
        out
    }

    fn mean(x: &[i8], f: impl Fn(f64) -> f64) -> f64 {
        x.iter().map(|v| f(f64::from(*v))).sum::<f64>() / x.len() as f64
    }

    /// Sum over values v of (count - expected)^2 / expected.
    fn chi_square(x: &[i8], probability: &[(i8, f64)]) -> f64 {
        let term = |(v, p): &(i8, f64)| {
            let expected = p * x.len() as f64;
            let count = x.iter().filter(|y| *y == v).count() as f64;
            (count - expected).powi(2) / expected
        };
        probability.iter().map(term).sum()
    }

    #[test]
    fn ternary_is_uniform() {
        for seed in 0..4 {
            let x = sample(seed, ternary);
            assert!(x.iter().all(|v| (-1..=1).contains(v)));
            // 2 degrees of freedom: above 30 with probability 3e-7.
            assert!(chi_square(&x, &[(-1, 1.0 / 3.0), (0, 1.0 / 3.0), (1, 1.0 / 3.0)]) < 30.0);
            for n in [1 << 12, 1 << 16] {
                let weight = x[..n].iter().filter(|v| **v != 0).count() as f64;
                let (expected, deviation) = (2.0 * n as f64 / 3.0, (2.0 * n as f64 / 9.0).sqrt());
                assert!((weight - expected).abs() < 5.0 * deviation, "{weight} of {n}");
            }
        }
    }

    #[test]
    fn sparse_secrets_have_their_weight_anywhere_and_both_signs() {
        let (n, weight, rounds) = (256, 32, 4096);
        let (mut places, mut plus) = (vec![0u32; n], 0u32);
        let mut stream = stream(3);
        for _ in 0..rounds {
            let mut x = vec![0i8; n];
            sparse_ternary(&mut stream, weight, &mut x);
            assert_eq!(x.iter().filter(|v| **v != 0).count(), weight as usize);
            assert!(x.iter().all(|v| (-1..=1).contains(v)));
            plus += x.iter().filter(|v| **v == 1).count() as u32;
            places
                .iter_mut()
                .zip(&x)
                .for_each(|(p, v)| *p += u32::from(*v != 0));
        }
        // Binomial: 4096 draws of probability 1/8, deviation 21.2; 6.5 of them for 256 places are exceeded with probability 2e-8.
        let deviation = (f64::from(rounds) * 0.125 * 0.875).sqrt();
        assert!(
            places
                .iter()
                .all(|p| (f64::from(*p) - 512.0).abs() < 6.5 * deviation),
            "{places:?}"
        );
        let all = f64::from(rounds * weight);
        assert!((f64::from(plus) - all / 2.0).abs() < 6.0 * all.sqrt() / 2.0);
        let mut few = vec![0i8; 8];
        sparse_ternary(&mut stream, weight, &mut few);
        assert!(few.iter().all(|v| v.abs() == 1));
    }

    /// C(42, 21 + v) / 2^42.
    fn binomial_probability(v: i8) -> f64 {
        let k = (21 + v) as u32;
        (0..k).fold(1.0, |c, i| c * f64::from(42 - i) / f64::from(i + 1)) / 2f64.powi(42)
    }

    #[test]
    fn centred_binomial_has_its_moments_and_frequencies() {
        assert!((ERROR_STD_DEV.powi(2) - 10.5).abs() < 1e-12);
        let total: f64 = (-21..=21).map(binomial_probability).sum();
        assert!((total - 1.0).abs() < 1e-12);
        for seed in 0..4 {
            let x = sample(seed, centred_binomial);
            assert!(mean(&x, |v| v).abs() < 5.0 * ERROR_STD_DEV / (SAMPLES as f64).sqrt());
            let variance = mean(&x, |v| v * v);
            assert!((variance / 10.5 - 1.0).abs() < 0.01, "{variance}");
            // E v^4 = 3 s^4 - 2 s^4 / 42 for 42 coins of +-1/2.
            let fourth = mean(&x, |v| v.powi(4));
            assert!(
                (fourth / (110.25 * (3.0 - 2.0 / 42.0)) - 1.0).abs() < 0.02,
                "{fourth}"
            );
            let table: Vec<(i8, f64)> = (-14..=14).map(|v| (v, binomial_probability(v))).collect();
            // 28 degrees of freedom: above 87 with probability 6e-8.
            assert!(chi_square(&x, &table) < 87.0);
        }
    }

    #[test]
    fn neighbours_are_uncorrelated() {
        let x = sample(8, centred_binomial);
        for lag in [1, 2, 7, 256] {
            let products = x
                .iter()
                .zip(&x[lag..])
                .map(|(a, b)| f64::from(*a) * f64::from(*b));
            let correlation = products.sum::<f64>() / (10.5 * (SAMPLES - lag) as f64);
            assert!(
                correlation.abs() < 5.0 / (SAMPLES as f64).sqrt(),
                "lag {lag}: {correlation}"
            );
        }
    }

    #[test]
    fn extremes_of_the_random_word_map_to_the_extremes() {
        let ternary = |x: u64| ((3 * u128::from(x)) >> 64) as i8 - 1;
        assert_eq!(
            [0, u64::MAX / 3, u64::MAX / 3 + 1, u64::MAX].map(ternary),
            [-1, -1, 0, 1]
        );
    }

    #[test]
    fn samples_do_not_depend_on_how_they_are_asked_for() {
        let (mut whole, mut parts) = (vec![0; 700], vec![0; 700]);
        ternary(&mut stream(1), &mut whole);
        let mut pieces = stream(1);
        for part in parts.chunks_mut(100) {
            ternary(&mut pieces, part);
        }
        assert_eq!(whole, parts);
        let mut bytes = [0; 40];
        uniform_bytes(&mut stream(1), &mut bytes);
        let first = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        assert_eq!(whole[0], ((3 * u128::from(first)) >> 64) as i8 - 1);
    }

    #[test]
    fn committed_samples_are_reproduced() {
        let (mut secret, mut error) = ([0; 12], [0; 12]);
        ternary(&mut stream(2), &mut secret);
        centred_binomial(&mut stream(3), &mut error);
        assert_eq!((secret, error), (KNOWN_TERNARY, KNOWN_BINOMIAL));
    }

    const KNOWN_TERNARY: [i8; 12] = [0, 1, 0, 0, 0, 1, 0, 0, -1, -1, 0, 1];
    const KNOWN_BINOMIAL: [i8; 12] = [-3, 6, -3, 0, -3, 3, -3, -2, -5, 8, 2, -6];
}
