//! How large a modulus a ring degree carries: the 2024 guideline table, as data.
//!
//! Source: Bossuat, Cammarota, Cheon, Chillotti, Curtis, Dai, Gong, Hales, Kim, Kumara, Lee, Lu, Maple, Pedrouzo-Ulloa,
//! Player, Scharle, Song, Yang and Yun, "Security Guidelines for Implementing Homomorphic Encryption", eprint 2024/463,
//! table 5.2: uniform ternary secret, error of standard deviation 3.19, any number of samples, classical attacks
//! (primal uSVP, BDD, dual hybrid; lattice reduction cost MATZOV). It does not hold for sparse secrets. The modulus
//! is the largest under which any key exists: the product of all chain primes and all special primes.

use num_bigint::BigUint;

use super::crt;

/// Security levels of the table, in bits.
pub const TIERS: [u32; 3] = [128, 192, 256];

/// (log2 N, largest log2(QP) for 128, 192 and 256 bits; 0 where the table has none).
pub const TERNARY_CLASSICAL: [(u32, [u32; 3]); 8] = [
    (10, [26, 0, 0]),
    (11, [53, 36, 27]),
    (12, [106, 73, 56]),
    (13, [214, 147, 114]),
    (14, [430, 297, 230]),
    (15, [868, 597, 462]),
    (16, [1747, 1199, 929]),
    (17, [3523, 2411, 1866]),
];

/// Why a modulus is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SecurityError {
    /// The table has no entry for this degree and level.
    #[error(
        "no bound for N = 2^{log_n} at {bits} bits: eprint 2024/463 table 5.2 covers N = 2^10..2^17 at 128, 192 and \
         256 bits (2^10 at 128 only)"
    )]
    NoBound {
        /// log2 of the ring degree.
        log_n: u32,
        /// Security asked for.
        bits: u32,
    },
    /// The modulus is too large.
    #[error(
        "log2(QP) = {log2_qp:.2} exceeds {bound}, the bound of eprint 2024/463 table 5.2 for N = 2^{log_n} at {bits} \
         bits, by {:.2}; use fewer levels, a smaller scale, more digits (smaller P) or N = 2^{}",
        log2_qp - f64::from(*bound), log_n + 1
    )]
    Modulus {
        /// log2 of the ring degree.
        log_n: u32,
        /// Security asked for.
        bits: u32,
        /// log2 of the modulus.
        log2_qp: f64,
        /// The bound on it.
        bound: u32,
    },
}

/// The largest log2(QP) with `bits` (128, 192 or 256) bits of classical security at N = 2^log_n; `None` where the
/// table has no entry.
pub fn max_log2_qp(log_n: u32, bits: u32) -> Option<u32> {
    let tier = TIERS.iter().position(|t| *t == bits)?;
    let (_, bounds) = TERNARY_CLASSICAL.iter().find(|(n, _)| *n == log_n)?;
    bounds.get(tier).copied().filter(|bound| *bound > 0)
}

/// The highest tier of the table that log2(QP) meets: 256, 192, 128, or 0 when it is below 128 bits or the degree is
/// not in the table.
pub fn classical_bits(log_n: u32, log2_qp: f64) -> u32 {
    let meets = |bits: &&u32| max_log2_qp(log_n, **bits).is_some_and(|bound| log2_qp <= f64::from(bound));
    TIERS.iter().rev().find(meets).copied().unwrap_or(0)
}

/// An interpolation of the table, not a bound: linear in 1 / log2(QP) between two tiers of one degree. `None` outside the
/// tiers. It gives 131.6 and 130.7 bits for (2^16, 1703) and (2^16, 1713.95), where the lattice estimator gave 131.5
/// and 130.7 for the primal attack.
pub fn interpolated_bits(log_n: u32, log2_qp: f64) -> Option<f64> {
    TIERS.windows(2).find_map(|pair| {
        let [low, high] = [*pair.first()?, *pair.last()?];
        let [large, small] = [max_log2_qp(log_n, low)?, max_log2_qp(log_n, high)?].map(f64::from);
        let part = (1.0 / log2_qp - 1.0 / large) / (1.0 / small - 1.0 / large);
        (0.0..=1.0)
            .contains(&part)
            .then(|| f64::from(low) + part * f64::from(high - low))
    })
}

/// Checks the exact product of `primes` (chain primes and special primes together) against the table.
///
/// # Errors
/// [`SecurityError::NoBound`] for a degree or level outside the table, [`SecurityError::Modulus`] when the product is
/// larger than 2^bound.
pub fn check(log_n: u32, primes: &[u32], bits: u32) -> Result<(), SecurityError> {
    let bound = max_log2_qp(log_n, bits).ok_or(SecurityError::NoBound { log_n, bits })?;
    let product = crt::product(primes);
    if product > BigUint::from(1u32) << bound {
        return Err(SecurityError::Modulus {
            log_n,
            bits,
            log2_qp: crt::log2_product(primes),
            bound,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_grow_with_the_degree_and_shrink_with_the_level() {
        for pair in TERNARY_CLASSICAL.windows(2) {
            assert_eq!(pair[0].0 + 1, pair[1].0);
            assert!(pair[0].1.iter().zip(pair[1].1).all(|(a, b)| *a < b));
        }
        for (_, bounds) in TERNARY_CLASSICAL {
            assert!(bounds[0] > bounds[1] && bounds[1] >= bounds[2]);
        }
    }

    #[test]
    fn tiers_are_met_exactly_at_the_bound() {
        assert_eq!(classical_bits(14, 430.0), 128);
        assert_eq!(classical_bits(14, 430.001), 0);
        assert_eq!(classical_bits(14, 297.0), 192);
        assert_eq!(classical_bits(14, 10.0), 256);
        assert_eq!(classical_bits(10, 20.0), 128);
        assert_eq!(classical_bits(9, 1.0), 0);
        assert_eq!(max_log2_qp(10, 192), None);
        assert_eq!(max_log2_qp(16, 128), Some(1747));
        assert_eq!(max_log2_qp(16, 100), None);
    }

    #[test]
    fn interpolation_agrees_with_the_estimator() {
        for (log_n, log2_qp, want) in [(16, 1703.0, 131.5), (16, 1713.95, 130.7), (16, 1747.0, 128.0)] {
            let got = interpolated_bits(log_n, log2_qp).unwrap();
            assert!((got - want).abs() < 0.2, "{got} {want}");
        }
        assert_eq!(interpolated_bits(16, 1748.0), None);
        assert_eq!(interpolated_bits(16, 100.0), None);
    }

    #[test]
    fn exact_products_are_checked() {
        let primes = [1_073_479_681u32; 8];
        assert_eq!(check(14, &primes, 128), Ok(()));
        assert!(matches!(
            check(13, &primes, 128),
            Err(SecurityError::Modulus { bound: 214, .. })
        ));
        assert!(matches!(
            check(9, &primes, 128),
            Err(SecurityError::NoBound { .. })
        ));
    }
}
