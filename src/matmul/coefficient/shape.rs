//! Shapes of products, and blocks of them.

use serde::{Deserialize, Serialize};

use super::{CoefficientError, Result};

/// log2 of the largest dimension.
const LIMIT_LOG2: u32 = 24;
/// log2 of the most entries of a matrix.
const ENTRIES_LOG2: u32 = 34;

/// An m x k matrix times a k x n matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// Rows of the left operand and of the product.
    pub m: usize,
    /// Columns of the left operand, rows of the right one.
    pub k: usize,
    /// Columns of the right operand and of the product.
    pub n: usize,
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}", self.m, self.k, self.n)
    }
}

impl Shape {
    /// m x k times k x n.
    pub fn new(m: usize, k: usize, n: usize) -> Self {
        Self { m, k, n }
    }

    /// The shape of the transposed product, right operand first.
    pub fn transposed(self) -> Self {
        Self {
            m: self.n,
            n: self.m,
            ..self
        }
    }

    pub(super) fn check(self) -> Result<()> {
        let Self { m, k, n } = self;
        let dimension = |d: usize| (1..=1 << LIMIT_LOG2).contains(&d);
        let entries = |a: usize, b: usize| a as u64 * b as u64 <= 1 << ENTRIES_LOG2;
        if [m, k, n].into_iter().all(dimension) && entries(m, k) && entries(k, n) && entries(m, n) {
            return Ok(());
        }
        Err(CoefficientError::Shape {
            shape: self,
            limit_log2: LIMIT_LOG2,
            entries_log2: ENTRIES_LOG2,
        })
    }
}

/// What one product of polynomials computes: a b x i block times an i x o block, b i o <= N.
///
/// | operand | entry | coefficient |
/// |---|---|---|
/// | left (b x i) | (a, c) | a i o + c - (i - 1) |
/// | right (i x o) | (c, d) | d i + (i - 1) - c |
/// | product (b x o) | (a, d) | (a o + d) i |
///
/// An exponent -e below zero is N - e with the sign changed. Terms of equal c meet at (a o + d) i; the others are off by c - c', which is
/// no multiple of i, and what wraps around N stays clear of the results. The right polynomial has degree below i o.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Block {
    /// Rows of the left operand, b.
    pub rows: usize,
    /// The inner dimension, i.
    pub inner: usize,
    /// Columns of the right operand, o.
    pub columns: usize,
}

impl Block {
    /// A block (b, i, o).
    pub fn new(rows: usize, inner: usize, columns: usize) -> Self {
        Self { rows, inner, columns }
    }

    /// Coefficients of a product, b i o; none when they cannot be counted.
    pub(super) fn coefficients(self) -> Option<usize> {
        self.rows.checked_mul(self.inner)?.checked_mul(self.columns)
    }

    /// Blocks that cover each dimension.
    pub(super) fn tiles(self, shape: Shape) -> Shape {
        Shape {
            m: shape.m.div_ceil(self.rows),
            k: shape.k.div_ceil(self.inner),
            n: shape.n.div_ceil(self.columns),
        }
    }

    /// The coefficient of entry (a, c) of a left block, and whether its sign changes.
    pub(super) fn left(self, n: usize, a: usize, c: usize) -> (usize, bool) {
        let (at, back) = (a * self.inner * self.columns + c, self.inner - 1);
        if at < back {
            (n + at - back, true)
        } else {
            (at - back, false)
        }
    }

    /// The coefficient of entry (c, d) of a right block.
    pub(super) fn right(self, c: usize, d: usize) -> usize {
        d * self.inner + self.inner - 1 - c
    }

    /// First coefficients of a right block: a power of two.
    pub(super) fn right_length(self) -> usize {
        (self.inner * self.columns).next_power_of_two()
    }

    /// The coefficient of entry (a, d) of a product.
    pub fn result(self, a: usize, d: usize) -> usize {
        (a * self.columns + d) * self.inner
    }
}
