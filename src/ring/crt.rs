//! Exact lifting of residues: x = sum_i [x_i (Q/q_i)^-1]_{q_i} (Q/q_i) mod Q, centred in (-Q/2, Q/2].
//!
//! For decoding, for tests and for constants; host only, and as slow as big integers are. Residue blocks are
//! `[row][n]`, one row per prime in the order the primes were given.

use num_bigint::{BigInt, BigUint, Sign};

use super::scale::{LOG2_FRACTION_BITS, Scale, log2_fixed, times_power};
use crate::arith::{ArithError, Modulus};

/// Why residues cannot be lifted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CrtError {
    /// One of the moduli is unusable.
    #[error(transparent)]
    Modulus(#[from] ArithError),
    /// The same prime twice.
    #[error("prime {p} occurs twice among {count} moduli; residues lift only over distinct primes")]
    Duplicate {
        /// The repeated prime.
        p: u32,
        /// How many moduli were given.
        count: usize,
    },
    /// Too few or too many residues.
    #[error("{got} residues for {rows} primes and {n} coefficients; a block has rows * n = {} of them", rows * n)]
    Shape {
        /// Residues given.
        got: usize,
        /// Primes of the basis.
        rows: usize,
        /// Coefficients per row.
        n: usize,
    },
    /// A residue outside [0, p).
    #[error("residue {value} of row {row} is not below its prime {p}; rows are canonical at every boundary")]
    Residue {
        /// The row.
        row: usize,
        /// Its prime.
        p: u32,
        /// What was found.
        value: u32,
    },
}

/// The constants that lift residues modulo a set of distinct primes.
#[derive(Clone, Debug)]
pub struct Crt {
    moduli: Vec<Modulus>,
    product: BigUint,
    half: BigUint,
    /// Q/q_i and its inverse modulo q_i.
    terms: Vec<(BigUint, u32)>,
}

impl Crt {
    /// Prepares the lift over `primes` (distinct, odd, below 2^30).
    ///
    /// # Errors
    /// [`CrtError::Modulus`] for an unusable prime, [`CrtError::Duplicate`] for a repeated one.
    pub fn new(primes: &[u32]) -> Result<Self, CrtError> {
        let moduli = primes
            .iter()
            .map(|p| Modulus::new(*p))
            .collect::<Result<Vec<_>, _>>()?;
        let product = product(primes);
        let mut terms = Vec::with_capacity(moduli.len());
        for m in &moduli {
            let term = &product / m.value();
            let Some(inverse) = m.inv(remainder(&term, m.value())) else {
                return Err(CrtError::Duplicate {
                    p: m.value(),
                    count: primes.len(),
                });
            };
            terms.push((term, inverse));
        }
        let half = &product >> 1u32;
        Ok(Self {
            moduli,
            product,
            half,
            terms,
        })
    }

    /// Q, the product of the primes (1 for none).
    pub fn product(&self) -> &BigUint {
        &self.product
    }

    /// log2(Q).
    pub fn log2(&self) -> f64 {
        log2(&self.product)
    }

    /// The integer in (-Q/2, Q/2] with these residues, one per prime.
    ///
    /// # Errors
    /// [`CrtError::Shape`] for a wrong count, [`CrtError::Residue`] for a residue that is not canonical.
    pub fn lift(&self, residues: &[u32]) -> Result<BigInt, CrtError> {
        self.check(residues, 1)?;
        Ok(self.lift_column(residues.iter().copied()))
    }

    /// The n integers of a block `[row][n]`, in coefficient order.
    ///
    /// # Errors
    /// As [`Crt::lift`].
    pub fn lift_rows(&self, block: &[u32], n: usize) -> Result<Vec<BigInt>, CrtError> {
        self.check(block, n)?;
        Ok((0..n)
            .map(|i| self.lift_column(block.iter().skip(i).step_by(n).copied()))
            .collect())
    }

    /// The lifted integer divided by `scale`, with a relative error below 2^-51.
    ///
    /// # Errors
    /// As [`Crt::lift`].
    pub fn lift_f64(&self, residues: &[u32], scale: &Scale) -> Result<f64, CrtError> {
        Ok(divide(&self.lift(residues)?, scale.mantissa()))
    }

    /// The n integers of a block `[row][n]`, each divided by `scale` as in [`Crt::lift_f64`].
    ///
    /// # Errors
    /// As [`Crt::lift`].
    pub fn lift_rows_f64(&self, block: &[u32], n: usize, scale: &Scale) -> Result<Vec<f64>, CrtError> {
        self.check(block, n)?;
        let mantissa = scale.mantissa();
        Ok((0..n)
            .map(|i| {
                divide(
                    &self.lift_column(block.iter().skip(i).step_by(n).copied()),
                    mantissa,
                )
            })
            .collect())
    }

    fn check(&self, block: &[u32], n: usize) -> Result<(), CrtError> {
        let rows = self.moduli.len();
        if rows.checked_mul(n) != Some(block.len()) {
            return Err(CrtError::Shape {
                got: block.len(),
                rows,
                n,
            });
        }
        for (row, (m, values)) in self.moduli.iter().zip(block.chunks(n.max(1))).enumerate() {
            if let Some(value) = values.iter().find(|v| **v >= m.value()) {
                return Err(CrtError::Residue {
                    row,
                    p: m.value(),
                    value: *value,
                });
            }
        }
        Ok(())
    }

    fn lift_column(&self, residues: impl Iterator<Item = u32>) -> BigInt {
        let mut sum = BigUint::ZERO;
        for ((x, m), (term, inverse)) in residues.zip(&self.moduli).zip(&self.terms) {
            sum += term * m.mul(x, *inverse);
        }
        sum %= &self.product;
        if sum > self.half {
            BigInt::from_biguint(Sign::Minus, &self.product - sum)
        } else {
            BigInt::from(sum)
        }
    }
}

/// The product of `primes`, 1 for none.
pub fn product(primes: &[u32]) -> BigUint {
    primes.iter().fold(BigUint::from(1u32), |q, p| q * *p)
}

/// log2 of a product of primes, summed in fixed point: exact to the last bit of f64 but one.
pub fn log2_product(primes: &[u32]) -> f64 {
    // Each term is below 2^125; 8 fewer fractional bits leave room for more primes than a ring has.
    let sum = primes.iter().map(|p| log2_fixed(*p) >> 12).sum::<u128>();
    sum as f64 / (1u128 << (LOG2_FRACTION_BITS - 12)) as f64
}

/// log2 of a big integer, relative error below 2^-50; negative infinity for 0.
pub fn log2(x: &BigUint) -> f64 {
    let (top, shift) = top_bits(x);
    (top as f64).log2() + shift as f64
}

/// x mod p.
fn remainder(x: &BigUint, p: u32) -> u32 {
    (x % p).iter_u32_digits().next().unwrap_or(0)
}

/// (t, s) with t the leading 64 bits: x = t 2^s up to a relative 2^-63, exact when x < 2^64.
fn top_bits(x: &BigUint) -> (u64, u64) {
    let shift = x.bits().saturating_sub(64);
    ((x >> shift).iter_u64_digits().next().unwrap_or(0), shift)
}

/// x / (m 2^(e - 127)) for 2^127 <= m < 2^128: a 64-bit quotient of the leading bits, then one rounding.
fn divide(x: &BigInt, (m, e): (u128, i64)) -> f64 {
    let (top, shift) = top_bits(x.magnitude());
    if top == 0 {
        return 0.0;
    }
    let lead = top.leading_zeros();
    let numerator = u128::from(top << lead) << 64;
    let quotient = numerator / (m >> 64);
    // x = (top << lead) 2^(shift - lead), scale = (m >> 64) 2^(e - 63); the quotient carries 2^64 more.
    let exponent = shift as i64 - i64::from(lead) - e + 63 - 64;
    let value = times_power(quotient as f64, exponent);
    if x.sign() == Sign::Minus { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PRIMES: [u32; 7] = [
        1_073_479_681,
        1_072_496_641,
        1_071_513_601,
        12289,
        40961,
        268_369_921,
        7,
    ];

    fn residues(x: &BigInt, primes: &[u32]) -> Vec<u32> {
        primes
            .iter()
            .map(|p| {
                let p = BigInt::from(*p);
                let r = ((x % &p) + &p) % &p;
                r.magnitude().iter_u32_digits().next().unwrap_or(0)
            })
            .collect()
    }

    #[test]
    fn refuses_wrong_shapes_primes_and_residues() {
        assert!(matches!(
            Crt::new(&[7, 12289, 7]),
            Err(CrtError::Duplicate { p: 7, count: 3 })
        ));
        assert!(matches!(Crt::new(&[9]), Err(CrtError::Modulus(_))));
        let crt = Crt::new(&[7, 12289]).unwrap();
        assert!(matches!(
            crt.lift(&[1]),
            Err(CrtError::Shape {
                got: 1,
                rows: 2,
                n: 1
            })
        ));
        assert!(matches!(
            crt.lift(&[7, 1]),
            Err(CrtError::Residue {
                row: 0,
                p: 7,
                value: 7
            })
        ));
        assert!(crt.lift_rows(&[1, 2, 3], 2).is_err());
        assert!(crt.lift_rows(&[], usize::MAX).is_err());
    }

    #[test]
    fn lifts_every_residue_pair_of_a_small_basis() {
        let crt = Crt::new(&[3, 5]).unwrap();
        for x in -7i32..=7 {
            let pair = [x.rem_euclid(3) as u32, x.rem_euclid(5) as u32];
            assert_eq!(crt.lift(&pair).unwrap(), BigInt::from(x));
        }
    }

    proptest! {
        #[test]
        fn lift_inverts_reduction(words in prop::collection::vec(any::<u32>(), 1..6), negative: bool, rows in 5..=7usize) {
            let crt = Crt::new(&PRIMES[..rows]).unwrap();
            let sign = if negative { Sign::Minus } else { Sign::Plus };
            let x = BigInt::from_biguint(sign, BigUint::new(words) % (crt.product() >> 1u32));
            let r = residues(&x, &PRIMES[..rows]);
            prop_assert_eq!(crt.lift(&r).unwrap(), x.clone());
            let block: Vec<u32> = r.iter().flat_map(|v| [0, *v]).collect();
            prop_assert_eq!(crt.lift_rows(&block, 2).unwrap(), vec![BigInt::ZERO, x.clone()]);
            let value = crt.lift_f64(&r, &Scale::pow2(0)).unwrap();
            prop_assert_eq!(crt.lift_rows_f64(&block, 2, &Scale::pow2(0)).unwrap(), vec![0.0, value]);
        }

        /// Against integers: round(2^80 x / scale) computed with big integers.
        #[test]
        fn quotient_by_a_scale_is_accurate(words in prop::collection::vec(any::<u32>(), 1..6), e in 0i64..8) {
            let crt = Crt::new(&PRIMES).unwrap();
            let x = BigInt::from(BigUint::new(words) % (crt.product() >> 1u32));
            let scale = Scale::pow2(3).times_prime(1_073_479_681, e).unwrap();
            let got = crt.lift_f64(&residues(&x, &PRIMES), &scale).unwrap();
            let divisor = BigInt::from(8) * BigInt::from(1_073_479_681).pow(e as u32);
            let shifted: BigInt = (&x << 300u32) / divisor;
            let (top, shift) = top_bits(shifted.magnitude());
            let want = times_power(top as f64, shift as i64 - 300);
            prop_assert!((got - want).abs() <= want * 2f64.powi(-51), "{} {}", got, want);
        }
    }

    #[test]
    fn logarithms_agree() {
        let crt = Crt::new(&PRIMES).unwrap();
        assert!((crt.log2() - log2_product(&PRIMES)).abs() < 1e-12);
        assert_eq!(log2(&BigUint::ZERO), f64::NEG_INFINITY);
        assert_eq!(log2_product(&[]), 0.0);
    }
}
