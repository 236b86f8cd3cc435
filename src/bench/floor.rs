//! The floor of an operation: what no implementation of the same algorithm does without, at the machine's own measured rates.
//!
//! floor = max(products / product rate, bytes / copy rate)
//!
//! *Products* are those of 32-bit words in 64 bits. One modulo p with a fixed factor takes three (Shoup: one upper and two lower
//! words), and so does Montgomery's reduction with the product before it; sums of products are reduced once. Lower-word products
//! count like full ones, since they fill the same multipliers, and so do products of two f64. *Bytes* are those of distinct
//! operands and results, 4 a residue, each read or written once. The rates are those of [`Ceilings`](super::Ceilings).
//!
//! With B = (N/2) log2 N butterflies a row, l rows of a ciphertext, k special primes, d digits of sizes a_j:
//!
//! | part | products |
//! |---|---|
//! | transform of r rows | 3 B r |
//! | conversion from s to t rows | N (3 s + s t + 2 t) |
//! | sum of T products in r rows | N r (T + 2) |
//! | digits | transform(l) + sum over j of conversion(a_j, l + k - a_j) + transform(l + k - a_j) |
//! | inner product with the key | 2 sums of d products in l + k rows |
//! | division, R removed primes, result of t rows | transform(R) + conversion(R, t) + transform(t) + 3 N t |
//! | slot transform | 4 (N/4) log2 (N/2) of f64 |
//!
//! Additions, permutations, samples of noise and the host's rounding count for nothing.

use std::ops::{Add, Mul};

use crate::{backend::Backend, rlwe::LevelContext};

/// Products of a modular product by a fixed factor.
const MODULAR: f64 = 3.0;
/// Products of a reduction.
const REDUCTION: f64 = 2.0;
/// Bytes of a residue.
const WORD: f64 = 4.0;

/// What an operation cannot do without.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Products of 32-bit words in 64 bits.
    pub products: f64,
    /// Bytes of operands and results.
    pub bytes: f64,
}

impl Add for Work {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            products: self.products + other.products,
            bytes: self.bytes + other.bytes,
        }
    }
}

impl Mul<Work> for usize {
    type Output = Work;

    fn mul(self, work: Work) -> Work {
        Work {
            products: self as f64 * work.products,
            bytes: self as f64 * work.bytes,
        }
    }
}

/// Work in one ring.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    log_n: u32,
}

impl Ring {
    /// The ring of degree 2^log_n.
    pub fn new(log_n: u32) -> Self {
        Self { log_n }
    }

    fn products(self, per_coefficient: f64) -> Work {
        let products = per_coefficient * f64::from(1u32 << self.log_n);
        Work { products, bytes: 0.0 }
    }

    /// Rows read or written.
    pub fn moved(self, rows: usize) -> Work {
        self.moved_bytes(rows as f64 * WORD)
    }

    /// Bytes a coefficient, read or written.
    pub fn moved_bytes(self, per_coefficient: f64) -> Work {
        let bytes = per_coefficient * f64::from(1u32 << self.log_n);
        Work { products: 0.0, bytes }
    }

    /// Transforms of rows.
    pub fn transform(self, rows: usize) -> Work {
        self.products(MODULAR * rows as f64 * f64::from(self.log_n) / 2.0)
    }

    /// Products by fixed factors.
    pub fn scale(self, rows: usize) -> Work {
        self.products(MODULAR * rows as f64)
    }

    /// Sums of `terms` products.
    pub fn sums(self, terms: usize, rows: usize) -> Work {
        self.products((terms as f64 + REDUCTION) * rows as f64)
    }

    /// Base conversion.
    pub fn conversion(self, sources: usize, targets: usize) -> Work {
        self.scale(sources) + self.sums(sources, targets)
    }

    /// From slots to coefficients or back.
    pub fn embedding(self) -> Work {
        self.products(f64::from(self.log_n - 1))
    }

    /// The three components of a product of two ciphertexts.
    pub fn tensor(self, rows: usize) -> Work {
        self.sums(1, rows) + self.sums(2, rows) + self.sums(1, rows)
    }

    /// Division of one polynomial by `removed` primes; the result has `rows`.
    pub fn division(self, removed: usize, rows: usize) -> Work {
        self.transform(removed) + self.conversion(removed, rows) + self.transform(rows) + self.scale(rows)
    }

    /// The digits of one polynomial, extended.
    pub fn digits<B: Backend>(self, level: &LevelContext<B>) -> Work {
        let one = |s: usize, t: usize| self.conversion(s, t) + self.transform(t);
        (level.digits.iter()).fold(self.transform(level.rows.len()), |sum, d| {
            sum + one(d.sources.len(), d.targets.len())
        })
    }

    /// The inner product of digits and key, and the key's bytes.
    pub fn inner_product<B: Backend>(self, level: &LevelContext<B>) -> Work {
        let (digits, rows) = (level.digits.len(), level.extended.len());
        2 * (self.sums(digits, rows) + self.moved(digits * rows))
    }

    /// Division of both components by the special primes.
    pub fn mod_down<B: Backend>(self, level: &LevelContext<B>) -> Work {
        let rows = level.rows.len();
        2 * self.division(level.extended.len() - rows, rows)
    }

    /// A whole key switch of one polynomial, the key's bytes included.
    pub fn key_switch<B: Backend>(self, level: &LevelContext<B>) -> Work {
        self.digits(level) + self.inner_product(level) + self.mod_down(level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_by_hand() {
        let ring = Ring::new(4);
        // 32 butterflies of 3 products a row.
        assert_eq!(ring.transform(2).products, 192.0);
        // 3 sources by 3 products, 3 x 5 terms, 5 reductions of 2; 16 coefficients.
        assert_eq!(ring.conversion(3, 5).products, 16.0 * (9.0 + 15.0 + 10.0));
        // a0 b0, a1 b1: 3 each; the middle one: 2 products and a reduction.
        assert_eq!(ring.tensor(1).products, 16.0 * 10.0);
        assert_eq!(ring.moved(3).bytes, 192.0);
        // N/4 = 4 complex butterflies in each of log2(N/2) = 3 stages, 4 products each.
        assert_eq!(ring.embedding().products, 48.0);
        assert_eq!(
            2 * (ring.moved(1) + ring.scale(1)),
            Work {
                products: 96.0,
                bytes: 128.0
            }
        );
    }
}
