//! Matrices by their generalised diagonals.

use std::collections::BTreeMap;

use crate::{
    arith::Complex,
    circuit::{CircuitError, Result},
};

/// A square matrix on `slots` numbers, y_j = sum over k of d_k\[j\] x_(j+k), indices modulo `slots`.
///
/// A diagonal that repeats is kept as one period, a power of two of entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagonals {
    slots: usize,
    diagonals: BTreeMap<usize, Vec<Complex>>,
}

impl Diagonals {
    /// A matrix from its diagonals, each with its k; those of equal k add up, and lengths are powers of two up to `slots`.
    ///
    /// # Errors
    /// [`CircuitError::Mismatch`] for a number of slots or a length that is no power of two or too large.
    pub fn new(slots: usize, diagonals: impl IntoIterator<Item = (i64, Vec<Complex>)>) -> Result<Self> {
        let mut result = Self {
            slots,
            diagonals: BTreeMap::new(),
        };
        for (k, d) in diagonals {
            if !slots.is_power_of_two() || !d.len().is_power_of_two() || d.len() > slots {
                let remedy = "give powers of two, and one period or all entries of a diagonal";
                return Err(CircuitError::mismatch(
                    "diagonals",
                    "lengths",
                    slots,
                    d.len(),
                    remedy,
                ));
            }
            result.add(k.rem_euclid(slots as i64) as usize, &d);
        }
        Ok(result)
    }

    /// The matrix that moves slot `of[j]` to slot j and multiplies it by `weights[j]`: a permutation, a replication, a selection.
    ///
    /// # Errors
    /// [`CircuitError::Mismatch`] for lengths that differ or are no power of two, or a source that is no slot.
    pub fn gather(of: &[usize], weights: &[f64]) -> Result<Self> {
        let slots = of.len();
        if weights.len() != slots || of.iter().any(|i| *i >= slots) {
            let (left, right) = (format!("{slots} slots"), format!("{} weights", weights.len()));
            let remedy = "give a source below the number of slots and a weight for each slot";
            return Err(CircuitError::mismatch("gather", "lengths", left, right, remedy));
        }
        let mut diagonals: BTreeMap<i64, Vec<Complex>> = BTreeMap::new();
        for ((j, i), w) in of.iter().enumerate().zip(weights) {
            let k = (*i as i64 - j as i64).rem_euclid(slots as i64);
            let zero = || vec![Complex::default(); slots];
            if let Some(entry) = diagonals.entry(k).or_insert_with(zero).get_mut(j) {
                *entry = Complex::from(*w);
            }
        }
        Self::new(slots, diagonals)
    }

    /// The matrix whose entry (row, column) is given by a function: as many diagonals as are not zero.
    ///
    /// # Errors
    /// As [`Diagonals::new`].
    pub fn dense(slots: usize, entry: impl Fn(usize, usize) -> Complex) -> Result<Self> {
        let diagonal = |k: usize| (0..slots).map(|j| entry(j, (j + k) % slots)).collect::<Vec<_>>();
        let all = (0..slots).map(|k| (k as i64, diagonal(k)));
        Self::new(
            slots,
            all.filter(|(_, d)| d.iter().any(|z| *z != Complex::default())),
        )
    }

    /// Numbers that it maps.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// k of every diagonal, ascending, 0 <= k < slots.
    pub fn rotations(&self) -> impl Iterator<Item = usize> + '_ {
        self.diagonals.keys().copied()
    }

    /// One period of diagonal k.
    pub(super) fn get(&self, k: usize) -> Option<&[Complex]> {
        self.diagonals.get(&k).map(Vec::as_slice)
    }

    /// Mean over the rows of the sum of squares: what independent numbers of equal size grow by, squared.
    pub(super) fn gain(&self) -> f64 {
        let square =
            |d: &Vec<Complex>| d.iter().map(|z| z.re * z.re + z.im * z.im).sum::<f64>() / d.len() as f64;
        self.diagonals.values().map(square).sum()
    }

    fn add(&mut self, k: usize, d: &[Complex]) {
        let old = self
            .diagonals
            .remove(&k)
            .unwrap_or_else(|| vec![Complex::default()]);
        let period = old.len().max(d.len());
        let sum = old.iter().cycle().zip(d.iter().cycle()).take(period);
        self.diagonals.insert(k, sum.map(|(a, b)| *a + *b).collect());
    }

    /// This matrix after `first`.
    ///
    /// # Errors
    /// [`CircuitError::Mismatch`] when they map different numbers of slots.
    pub fn after(&self, first: &Self) -> Result<Self> {
        if self.slots != first.slots {
            let remedy = "both map as many slots";
            let (left, right) = (self.slots, first.slots);
            return Err(CircuitError::mismatch(
                "product of matrices",
                "slot counts",
                left,
                right,
                remedy,
            ));
        }
        let mut result = Self {
            slots: self.slots,
            diagonals: BTreeMap::new(),
        };
        for (a, left) in &self.diagonals {
            for (b, right) in &first.diagonals {
                let period = left.len().max(right.len());
                let right = right.iter().cycle().skip(a % right.len());
                let product = left.iter().cycle().zip(right).take(period);
                let product: Vec<Complex> = product.map(|(x, y)| *x * *y).collect();
                result.add((a + b) % self.slots, &product);
            }
        }
        result
            .diagonals
            .retain(|_, d| d.iter().any(|z| *z != Complex::default()));
        Ok(result)
    }

    /// Every entry of column i multiplied by `weights[i mod length]`.
    pub fn times_columns(mut self, weights: &[Complex]) -> Self {
        for (k, d) in &mut self.diagonals {
            let period = d.len().max(weights.len());
            let weights = weights.iter().cycle().skip(k % weights.len().max(1));
            *d = d
                .iter()
                .cycle()
                .zip(weights)
                .take(period)
                .map(|(x, w)| *x * *w)
                .collect();
        }
        self
    }

    /// Every entry of row j multiplied by `weights[j mod length]`.
    pub fn times_rows(mut self, weights: &[Complex]) -> Self {
        for d in self.diagonals.values_mut() {
            let period = d.len().max(weights.len());
            let weighted = d.iter().cycle().zip(weights.iter().cycle()).take(period);
            *d = weighted.map(|(x, w)| *x * *w).collect();
        }
        self
    }

    /// All entries times c.
    pub fn times(self, c: f64) -> Self {
        self.times_rows(&[Complex::from(c)])
    }

    /// The same map on `slots` numbers, more than before, which repeat: the diagonals are those of the smaller matrix.
    pub(crate) fn repeated(mut self, slots: usize) -> Self {
        let old = self.slots;
        let signed = |k: usize| if k > old / 2 { k + slots - old } else { k };
        self.diagonals = self.diagonals.into_iter().map(|(k, d)| (signed(k), d)).collect();
        self.slots = slots;
        self
    }

    /// What the matrix makes of a vector.
    pub fn apply(&self, x: &[Complex]) -> Vec<Complex> {
        let mut y = vec![Complex::default(); self.slots];
        for (k, d) in &self.diagonals {
            let moved = x.iter().cycle().skip(*k);
            for ((y, d), x) in y.iter_mut().zip(d.iter().cycle()).zip(moved) {
                *y = *y + *d * *x;
            }
        }
        y
    }
}
