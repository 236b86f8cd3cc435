//! Diagonal packing: a matrix times slots by its diagonals (Halevi, Shoup, CRYPTO 2014), baby-step giant-step, for few requests.
//!
//! T rows and F features in a ciphertext: slot f T + t. A rotation by j T moves every row j features on, cyclically in f modulo F.
//! Features are cut into blocks of F; for each block of outputs, with D diagonals d = g s + j, 0 <= j < s:
//!
//! ```text
//! y = sum_g Rot_{gsT}( sum_blocks sum_j p_{g,j} Rot_{jT}(x) ),
//! p_{g,j}[f] = W[f + j][(f - g s) mod D]        (rows of the block modulo F)
//! ```
//!
//! With several blocks of outputs D is F. A single block of n <= D < F outputs needs D diagonals only: slot f then holds a part of
//! output f mod D, and log2(F/D) rotations by D T, 2 D T, .. and additions bring the parts together.
//!
//! Slots are complex: rows T to 2T - 1 are the imaginary parts of rows 0 to T - 1, since weights are real. A single row has nothing to
//! pair with, and pairs blocks of features instead: with weights w - i w', the real part of (w - i w') (x + i x') is w x + w' x'.

use super::{Shape, layout::Place};
use crate::arith::Complex;

/// What a giant step costs, in units of a baby step: a division, a ModUp and the inner product with the key against the latter alone.
const GIANT: f64 = 3.0;

/// The sizes of diagonal packing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Diagonal {
    /// T: rows in the slots of one feature.
    pub rows: usize,
    /// F: features of a ciphertext.
    pub features: usize,
    /// D: diagonals of a block.
    pub diagonals: usize,
    /// s: baby steps.
    pub baby: usize,
    /// Tiles of rows.
    pub tiles: usize,
    /// Blocks of features in.
    pub inputs: usize,
    /// Blocks of features out.
    pub outputs: usize,
    /// Whether imaginary parts hold features rather than rows.
    pub pairs_features: bool,
}

impl Diagonal {
    pub(super) fn new(shape: Shape, degree: usize) -> Self {
        let slots = degree / 2;
        let pairs_features = shape.rows() == 1;
        let rows = shape.rows().div_ceil(2).next_power_of_two().min(slots);
        let tiles = shape.rows().div_ceil(2 * rows);
        let pair = if pairs_features { 2 } else { 1 };
        let widest = shape.k.div_ceil(pair).max(shape.n).next_power_of_two();
        let features = widest.min(slots / rows);
        let (inputs, outputs) = (shape.k.div_ceil(pair * features), shape.n.div_ceil(features));
        let diagonals = if outputs == 1 {
            shape.n.next_power_of_two()
        } else {
            features
        };
        let cost = |log: &u32| {
            let (baby, giant) = ((1 << log) - 1, (diagonals >> log) - 1);
            (inputs * baby) as f64 + GIANT * (outputs * giant) as f64
        };
        let all = 0..=diagonals.trailing_zeros();
        let log = all.min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap_or(0);
        Self {
            rows,
            features,
            diagonals,
            baby: 1 << log,
            tiles,
            inputs,
            outputs,
            pairs_features,
        }
    }

    /// Slots of a ciphertext.
    pub fn slots(self) -> usize {
        self.rows * self.features
    }

    /// Giant steps, g = 0 included.
    pub fn giant(self) -> usize {
        self.diagonals / self.baby
    }

    /// Rotations of the hoisted inputs.
    pub(super) fn baby_steps(self) -> impl Iterator<Item = i64> {
        (1..self.baby).map(move |j| (j * self.rows) as i64)
    }

    /// The rotation of giant step g.
    pub(super) fn giant_step(self, g: usize) -> i64 {
        (g * self.baby * self.rows) as i64
    }

    /// Rotations that add the parts of outputs.
    pub(super) fn folds(self) -> impl Iterator<Item = i64> {
        let count = (self.features / self.diagonals).trailing_zeros();
        (0..count).map(move |i| ((self.diagonals * self.rows) << i) as i64)
    }

    /// All rotations, each once.
    pub(super) fn rotations(self) -> Vec<i64> {
        let giant = (1..self.giant()).map(|g| self.giant_step(g));
        let mut all: Vec<i64> = self.baby_steps().chain(giant).chain(self.folds()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    pub(super) fn input(self, row: usize, feature: usize) -> Place {
        let (tile, row) = (row / (2 * self.rows), row % (2 * self.rows));
        let pair = if self.pairs_features { 2 } else { 1 };
        let (block, feature) = (feature / (pair * self.features), feature % (pair * self.features));
        Place {
            item: tile * self.inputs + block,
            at: feature % self.features * self.rows + row % self.rows,
            imaginary: row >= self.rows || feature >= self.features,
        }
    }

    pub(super) fn output(self, row: usize, feature: usize) -> Place {
        let (tile, row) = (row / (2 * self.rows), row % (2 * self.rows));
        Place {
            item: tile * self.outputs + feature / self.features,
            at: feature % self.features * self.rows + row % self.rows,
            imaginary: row >= self.rows,
        }
    }

    /// p_{g,j} of a block of inputs and a block of outputs; `weights` is `[k][n]`.
    pub(super) fn plaintext(
        self,
        shape: Shape,
        weights: &[f64],
        (output, g): (usize, usize),
        (input, j): (usize, usize),
        slots: &mut [Complex],
    ) {
        let weight = |row: usize, column: usize| {
            let inside = row < shape.k && column < shape.n;
            let at = inside.then(|| weights.get(row * shape.n + column)).flatten();
            at.copied().unwrap_or(0.0)
        };
        let features = self.features;
        for (f, slots) in slots.chunks_mut(self.rows).enumerate() {
            let row = (f + j) % features;
            let column = output * features + (f + features - g * self.baby % features) % self.diagonals;
            let value = if self.pairs_features {
                let first = input * 2 * features + row;
                Complex::new(weight(first, column), -weight(first + features, column))
            } else {
                Complex::from(weight(input * features + row, column))
            };
            slots.fill(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formula above, in the clear.
    #[test]
    fn diagonals_compute_the_product() {
        for (m, k, n, batch) in [
            (1, 1, 1, 1),
            (1, 5, 3, 1),
            (1, 200, 7, 1),
            (3, 7, 5, 1),
            (4, 64, 8, 2),
            (2, 9, 70, 1),
            (50, 3, 2, 1),
        ] {
            let (shape, degree) = (Shape::new(m, k, n).batch(batch), 64);
            let layout = Diagonal::new(shape, degree);
            let x: Vec<f64> = (0..shape.rows() * k)
                .map(|i| (i * 31 % 19) as f64 - 9.0)
                .collect();
            let w: Vec<f64> = (0..k * n).map(|i| (i * 13 % 23) as f64 - 11.0).collect();
            let (slots, zero) = (layout.slots(), Complex::default());
            let mut inputs = vec![vec![zero; slots]; layout.tiles * layout.inputs];
            for r in 0..shape.rows() {
                for c in 0..k {
                    let place = layout.input(r, c);
                    let slot = &mut inputs[place.item][place.at];
                    *(if place.imaginary {
                        &mut slot.im
                    } else {
                        &mut slot.re
                    }) = x[r * k + c];
                }
            }
            let rotate = |v: &[Complex], by: i64| {
                let mut v = v.to_vec();
                v.rotate_left(by as usize % slots);
                v
            };
            let mut outputs = Vec::new();
            for tile in 0..layout.tiles {
                for o in 0..layout.outputs {
                    let mut y = vec![zero; slots];
                    for g in 0..layout.giant() {
                        let mut sum = vec![zero; slots];
                        for i in 0..layout.inputs {
                            for j in 0..layout.baby {
                                let mut p = vec![zero; slots];
                                layout.plaintext(shape, &w, (o, g), (i, j), &mut p);
                                let x = rotate(&inputs[tile * layout.inputs + i], (j * layout.rows) as i64);
                                sum.iter_mut()
                                    .zip(&p)
                                    .zip(&x)
                                    .for_each(|((s, p), x)| *s = *s + *p * *x);
                            }
                        }
                        let sum = rotate(&sum, layout.giant_step(g));
                        y.iter_mut().zip(&sum).for_each(|(y, s)| *y = *y + *s);
                    }
                    for by in layout.folds() {
                        let turned = rotate(&y, by);
                        y.iter_mut().zip(&turned).for_each(|(y, s)| *y = *y + *s);
                    }
                    outputs.push(y);
                }
            }
            for r in 0..shape.rows() {
                for o in 0..n {
                    let place = layout.output(r, o);
                    let slot = outputs[place.item][place.at];
                    let have = if place.imaginary { slot.im } else { slot.re };
                    let want: f64 = (0..k).map(|c| x[r * k + c] * w[c * n + o]).sum();
                    assert_eq!(have, want, "{shape} {layout:?} row {r} output {o}");
                }
            }
        }
    }
}
