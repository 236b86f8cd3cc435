//! The encrypted operand: matrices to ciphertexts.

use zeroize::Zeroizing;

use super::{CoefficientError, Encrypted, Plan, Result};
use crate::{
    backend::Backend,
    bfv::{Bfv, BfvError, Packing, SeededCiphertext},
    rlwe::SecretKey,
};

/// Which operand of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// m x k.
    Left,
    /// k x n.
    Right,
}

impl Side {
    fn words(self) -> &'static str {
        match self {
            Self::Left => "the left operand",
            Self::Right => "the right operand",
        }
    }
}

impl Plan {
    /// Demands as many values as an operand has entries; gives its width.
    pub(super) fn width(&self, side: Side, given: usize) -> Result<usize> {
        let shape = self.shape();
        let (height, width) = match side {
            Side::Left => (shape.m, shape.k),
            Side::Right => (shape.k, shape.n),
        };
        let wanted = height * width;
        if given != wanted {
            let what = side.words();
            return Err(CoefficientError::Length {
                what,
                given,
                wanted,
                shape,
            });
        }
        Ok(width)
    }

    /// Demands this scheme's parameters.
    pub(super) fn check_scheme<B: Backend>(&self, operation: &'static str, bfv: &Bfv<B>) -> Result<()> {
        let (ours, theirs) = (bfv.params(), self.params());
        (ours.rlwe()).check(operation, "the plan", theirs.rlwe())?;
        if ours.plain() != theirs.plain() {
            return Err(BfvError::Foreign {
                operation,
                what: "the plan",
                theirs: theirs.plain().value(),
                t: ours.plain().value(),
            }
            .into());
        }
        Ok(())
    }

    /// Calls `put(polynomial, coefficient, negated, row, column)` for every entry of the operand that is multiplied from the left, in
    /// terms of the operand as it is given: polynomials `[M][K]`.
    pub(super) fn left_places(&self, mut put: impl FnMut(usize, usize, bool, usize, usize)) {
        let (block, shape, tiles) = (self.block(), self.inner_shape(), self.tiles());
        let n = self.params().degree();
        for a in 0..shape.m {
            for c in 0..shape.k {
                let poly = a / block.rows * tiles.k + c / block.inner;
                let (at, negated) = block.left(n, a % block.rows, c % block.inner);
                let (row, column) = if self.transposes() { (c, a) } else { (a, c) };
                put(poly, at, negated, row, column);
            }
        }
    }

    /// The same for the operand that is multiplied from the right: polynomials `[N'][K]`, [`right_length`] coefficients each.
    ///
    /// [`right_length`]: super::Block::right_length
    pub(super) fn right_places(&self, mut put: impl FnMut(usize, usize, usize, usize)) {
        let (block, shape, tiles) = (self.block(), self.inner_shape(), self.tiles());
        for c in 0..shape.k {
            for d in 0..shape.n {
                let poly = d / block.columns * tiles.k + c / block.inner;
                let at = block.right(c % block.inner, d % block.columns);
                let (row, column) = if self.transposes() { (d, c) } else { (c, d) };
                put(poly, at, row, column);
            }
        }
    }

    /// Encrypts an operand for one request: residues in [0, t), row after row. Half the bytes of whole ciphertexts.
    ///
    /// What was encrypted is cleared from the memory that this uses; what was given is the caller's to clear.
    pub fn encrypt<B: Backend>(
        &self,
        bfv: &Bfv<B>,
        key: &SecretKey<B>,
        side: Side,
        values: &[u64],
    ) -> Result<SeededCiphertext<B>> {
        self.check_scheme("encrypt", bfv)?;
        let encrypted = self.request().encrypted;
        let plain = match side {
            Side::Left => Encrypted::Right,
            Side::Right => Encrypted::Left,
        };
        if encrypted == plain {
            let (operation, remedy) = ("encrypt", "encode the other operand with `Plan::weights`");
            return Err(CoefficientError::Operand {
                operation,
                encrypted,
                remedy,
            });
        }
        let (width, t) = (self.width(side, values.len())?, bfv.plain());
        if let Some(index) = values.iter().position(|v| u128::from(*v) >= t.value()) {
            return Err(BfvError::Value {
                operation: "encrypt",
                index,
                value: values.get(index).copied().unwrap_or(0),
                t: t.value(),
            }
            .into());
        }
        let at = |row: usize, column: usize| values.get(row * width + column).copied().unwrap_or(0);
        let (n, tiles, level) = (self.params().degree(), self.tiles(), self.levels().input);
        let from_left = (side == Side::Left) != self.transposes();
        let (items, length) = match from_left {
            true => (tiles.m * tiles.k, n),
            false => (tiles.n * tiles.k, self.block().right_length()),
        };
        let mut all = Zeroizing::new(vec![0u64; items * length]);
        let mut set = |place: usize, value: u64| {
            if let Some(to) = all.get_mut(place) {
                *to = value;
            }
        };
        match from_left {
            true => self.left_places(|poly, place, negated, row, column| {
                let value = at(row, column);
                let value = if negated {
                    t.residue(-i128::from(value))
                } else {
                    value
                };
                set(poly * n + place, value);
            }),
            false => self.right_places(|poly, place, row, column| {
                set(poly * length + place, at(row, column));
            }),
        }
        Ok(bfv.encrypt(key, Packing::Coefficients, &all, items, level)?)
    }
}
