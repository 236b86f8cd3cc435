//! Balanced mixed-radix digits: x = sum_i e_i M_i, M_i = q_0 .. q_(i-1), |e_i| <= (q_i - 1) / 2.
//!
//! Odd moduli have exactly one such form for every centred x. Adding h = (Q - 1) / 2, whose digits are all (q_i - 1) / 2, makes
//! the digits those of Garner's algorithm (IRE Trans. EC-8, 1959) for x + h in [0, Q):
//!
//!   d_i = (x + h - sum_(j<i) d_j M_j) M_i^-1 mod q_i,   e_i = d_i - (q_i - 1) / 2.
//!
//! |x| is below M_(k+1) / 2 with k the highest digit that is not zero, so that few digits tell a small x from large ones.

use num_bigint::BigUint;

use super::scale::{Scale, times_power};
use crate::arith::{Double, Modulus};

/// The constants of one digit.
pub(crate) struct Digit {
    /// q_i.
    pub(crate) modulus: Modulus,
    /// h M_i^-1 mod q_i.
    pub(crate) start: u32,
    /// M_i^-1 mod q_i.
    pub(crate) own: u32,
    /// -M_j M_i^-1 mod q_i for j < i.
    pub(crate) lower: Vec<u32>,
}

/// The constants of a list of distinct primes; `None` if one occurs twice.
pub(crate) fn digits(moduli: &[Modulus]) -> Option<Vec<Digit>> {
    let digit = |(i, m): (usize, &Modulus)| {
        let products = moduli[..i].iter().scan(1, |product, q| {
            let before = *product;
            *product = m.mul(before, m.reduce(u64::from(q.value())));
            Some(before)
        });
        let products: Vec<u32> = products.collect();
        let whole = match (products.last(), i.checked_sub(1)) {
            (Some(product), Some(last)) => m.mul(*product, m.reduce(u64::from(moduli[last].value()))),
            _ => 1,
        };
        let own = m.inv(whole)?;
        Some(Digit {
            modulus: *m,
            // h = -1/2 mod q_i
            start: m.mul((m.value() - 1) / 2, own),
            own,
            lower: products
                .iter()
                .map(|product| m.neg(m.mul(*product, own)))
                .collect(),
        })
    };
    moduli.iter().enumerate().map(digit).collect()
}

/// M_i / scale with a relative error below 2^-100, as long as it is a double-double number below 2^`most`.
pub(crate) fn values(moduli: &[Modulus], scale: &Scale, most: i64) -> Vec<Double> {
    let (m, e) = scale.mantissa();
    let mut product = BigUint::from(1u32);
    let mut values = Vec::with_capacity(moduli.len());
    for q in moduli {
        // product 2^shift / m has 127 or 128 bits; scale = m 2^(e - 127).
        let shift = 255 - product.bits() as i64;
        let numerator = if shift >= 0 {
            &product << shift
        } else {
            &product >> -shift
        };
        let quotient = numerator / m;
        let words: Vec<u64> = quotient.iter_u64_digits().collect();
        let whole = words.iter().rev().fold(0u128, |x, w| (x << 64) | u128::from(*w));
        let exponent = 127 - e - shift + 2;
        if exponent + 128 > most {
            break;
        }
        let part = Double::from_i128((whole >> 2) as i128);
        values.push(Double {
            hi: times_power(part.hi, exponent),
            lo: times_power(part.lo, exponent),
        });
        product *= q.value();
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Crt;

    #[test]
    fn digits_are_those_of_the_number() {
        let primes = [1_073_479_681u32, 12289, 1_072_496_641, 7, 268_369_921, 40961];
        let moduli: Vec<Modulus> = primes.iter().map(|p| Modulus::new(*p).unwrap()).collect();
        let (digits, crt) = (digits(&moduli).unwrap(), Crt::new(&primes).unwrap());
        let mut state = 3u64;
        for round in 0..200 {
            let residues: Vec<u32> = primes
                .iter()
                .map(|p| {
                    state = state
                        .wrapping_mul(6364136223846793005)
                        .wrapping_add(1442695040888963407);
                    [0, p - 1, (p - 1) / 2, (state >> 33) as u32 % p]
                        [((state >> 20) as usize % 4) | (round % 4)]
                })
                .collect();
            let mut found: Vec<u32> = Vec::new();
            let (mut sum, mut product) = (num_bigint::BigInt::ZERO, num_bigint::BigInt::from(1));
            for (digit, x) in digits.iter().zip(&residues) {
                let m = digit.modulus;
                let d = digit
                    .lower
                    .iter()
                    .zip(&found)
                    .fold(m.add(digit.start, m.mul(*x, digit.own)), |sum, (c, d)| {
                        m.add(sum, m.mul(*c, m.reduce(u64::from(*d))))
                    });
                found.push(d);
                sum += (i64::from(d) - i64::from((m.value() - 1) / 2)) * &product;
                product *= m.value();
            }
            assert_eq!(sum, crt.lift(&residues).unwrap());
        }
        assert!(super::digits(&[moduli[0], moduli[1], moduli[0]]).is_none());
    }

    #[test]
    fn values_are_products_over_the_scale() {
        let primes = [1_073_479_681u32, 1_072_496_641, 1_071_513_601];
        let moduli: Vec<Modulus> = primes.iter().map(|p| Modulus::new(*p).unwrap()).collect();
        for (two, exponent) in [(0, 0), (40, 0), (3, 1), (-5, 2), (0, -1)] {
            let scale = Scale::pow2(two).times_prime(primes[1], exponent).unwrap();
            let (hi, lo) = scale.to_parts();
            let mut wanted = Double::ONE / Double { hi, lo };
            for (value, p) in values(&moduli, &scale, 900).into_iter().zip(primes) {
                let error = (value / wanted - Double::ONE).hi.abs();
                assert!(error < 2f64.powi(-97), "{error:e}");
                wanted = wanted.mul_f64(f64::from(p));
            }
        }
        let long: Vec<Modulus> = crate::arith::ntt_primes(5, 1 << 29, 1 << 30)
            .take(40)
            .map(|p| Modulus::new(p).unwrap())
            .collect();
        let values = values(&long, &Scale::pow2(30), 900);
        assert!(
            values.len() == 31 && values.iter().all(|v| v.hi < 2f64.powi(900)),
            "{}",
            values.len()
        );
    }
}
