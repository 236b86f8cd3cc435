//! Matrices of integers times encrypted vectors, by diagonals (Halevi, Shoup, CRYPTO 2014), and sums over all slots.
//!
//! With x_j in column j, (W x)_i = sum_k W_{i, i+k} x_{i+k}: diagonal k times x rotated by k, for -(rows - 1) <= k < columns. What
//! is outside of the matrix is 0 in the diagonals, so that nothing has to be repeated or padded in x. With k = g b + j,
//! 0 <= j < b, the rotations by g b are taken out of the sums over j, with diagonals rotated back by as much:
//!
//! ```text
//! W x = sum_g rot(g b, sum_j rot(-g b, diagonal(g b + j)) rot(j, x))
//! ```
//!
//! The rotations by j share their digits. Both rows of slots are multiplied, each as a vector of its own.

use super::{BfvError, Ciphertext, Evaluator, Noise, Packing, Result};
use crate::{backend::Backend, rlwe::KeyNeeds};

/// A matrix of integers known to whoever computes with it.
pub struct Matrix {
    rows: usize,
    columns: usize,
    /// W_ij at i `columns` + j.
    values: Vec<i64>,
}

/// Rotations by 1, 2, 4, .. below `columns`.
fn doublings(columns: usize) -> impl Iterator<Item = i64> {
    (0..columns.ilog2()).map(|i| 1 << i)
}

impl Matrix {
    /// W with W_ij at i `columns` + j.
    pub fn new(rows: usize, columns: usize, values: Vec<i64>) -> Result<Self> {
        if rows == 0 || columns == 0 || rows.checked_mul(columns) != Some(values.len()) {
            return Err(BfvError::Length {
                operation: "matrix",
                given: values.len(),
                wanted: format!("{rows} times {columns}, both at least 1"),
                remedy: "pass all rows, one after the other",
            });
        }
        Ok(Self {
            rows,
            columns,
            values,
        })
    }

    /// b: a power of two near the root of the number of diagonals.
    fn baby_steps(&self) -> i64 {
        1 << (self.rows + self.columns - 1).ilog2().div_ceil(2)
    }

    /// The g of all giant steps.
    fn giant_steps(&self) -> std::ops::RangeInclusive<i64> {
        let b = self.baby_steps();
        (1 - self.rows as i64).div_euclid(b)..=(self.columns as i64 - 1).div_euclid(b)
    }

    /// The keys of a product with this matrix.
    pub fn keys(&self, needs: KeyNeeds) -> KeyNeeds {
        let b = self.baby_steps();
        needs
            .rotate(1..b.min(self.columns as i64 + self.rows as i64))
            .rotate(self.giant_steps().filter(|g| *g != 0).map(|g| g * b))
    }

    /// Diagonal k rotated right by `shift`, in both rows of `half` slots; none when the matrix has no such diagonal.
    fn diagonal(&self, k: i64, shift: i64, half: usize) -> Option<Vec<i64>> {
        let mut all = vec![0i64; half];
        let mut any = false;
        for i in 0..self.rows {
            let column = i as i64 + k;
            if let Some(j) = usize::try_from(column).ok().filter(|j| *j < self.columns) {
                let at = (i as i64 + shift).rem_euclid(half as i64) as usize;
                if let (Some(to), Some(w)) = (all.get_mut(at), self.values.get(i * self.columns + j)) {
                    (*to, any) = (*w, true);
                }
            }
        }
        all.extend_from_within(..);
        any.then_some(all)
    }
}

impl<B: Backend> Evaluator<'_, B> {
    /// W x for x in the first columns of each row of slots; the result is in the first ones, with 0 behind it.
    ///
    /// Needs the keys of [`Matrix::keys`]. Noise: [`Noise::mul_matrix`].
    pub fn mul_matrix(&self, w: &Matrix, x: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        let (operation, half) = ("mul_matrix", self.bfv().params().degree() / 2);
        if w.rows.max(w.columns) > half {
            return Err(BfvError::Length {
                operation,
                given: w.rows.max(w.columns),
                wanted: format!("at most {half} rows and columns"),
                remedy: "cut the matrix into blocks",
            });
        }
        let b = w.baby_steps();
        let rotated = self.rotate_columns_many(x, &(0..b).collect::<Vec<_>>())?;
        let mut result: Option<Ciphertext<B>> = None;
        for g in w.giant_steps() {
            let mut sum: Option<Ciphertext<B>> = None;
            for (j, x) in (0..).zip(&rotated) {
                let Some(diagonal) = w.diagonal(g * b + j, g * b, half) else {
                    continue;
                };
                let residues = self.bfv().residues(operation, &diagonal)?;
                let factor = (self.bfv()).factor(Packing::Slots, &residues, 1, x.level())?;
                let term = self.mul_plain(x, &factor)?;
                sum = Some(match sum {
                    Some(sum) => self.add(&sum, &term)?,
                    None => term,
                });
            }
            let Some(sum) = sum else { continue };
            let term = self.rotate_columns(&sum, g * b)?;
            result = Some(match result {
                Some(result) => self.add(&result, &term)?,
                None => term,
            });
        }
        // A matrix has at least one entry, so there is a diagonal.
        result.map_or_else(|| self.mul_integer(x, 0), Ok)
    }

    /// The sum of all N slots, in every slot. Needs the keys of [`sum_keys`].
    pub fn sum_slots(&self, a: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        let mut sum = a.clone();
        for k in doublings(self.bfv().params().degree() / 2) {
            sum = self.add(&sum, &self.rotate_columns(&sum, k)?)?;
        }
        self.add(&sum, &self.swap_rows(&sum)?)
    }
}

/// The keys of [`Evaluator::sum_slots`] for a ring of degree `n`.
pub fn sum_keys(needs: KeyNeeds, n: usize) -> KeyNeeds {
    needs.rotate(doublings(n / 2)).conjugate()
}

impl Noise {
    /// Of W x.
    pub fn mul_matrix(&self, w: &Matrix) -> Result<Self> {
        let (n, t) = (self.params().degree(), self.params().plain().value() as f64);
        let one = self.automorphism()?.mul_plain(n, t / 2.0);
        let b = w.baby_steps();
        let mut result: Option<Self> = None;
        for g in w.giant_steps() {
            let diagonals = (g * b..(g + 1) * b).filter(|k| w.diagonal(*k, 0, n / 2).is_some());
            let Some(sum) = one.sum_of(diagonals.count())? else {
                continue;
            };
            let sum = sum.automorphism()?;
            result = Some(match result {
                Some(result) => result.add(&sum)?,
                None => sum,
            });
        }
        Ok(result.unwrap_or_else(|| self.clone()))
    }

    /// Of a sum of `count` such ciphertexts.
    fn sum_of(&self, count: usize) -> Result<Option<Self>> {
        let mut sum = None;
        for _ in 0..count {
            sum = Some(match sum {
                Some(sum) => self.add(&sum)?,
                None => self.clone(),
            });
        }
        Ok(sum)
    }

    /// Of the sum of all slots.
    pub fn sum_slots(&self) -> Result<Self> {
        let mut sum = self.clone();
        for _ in 0..=doublings(self.params().degree() / 2).count() {
            sum = sum.add(&sum.automorphism()?)?;
        }
        Ok(sum)
    }
}
