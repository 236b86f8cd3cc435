//! Coefficient blocks: products of matrices as products of polynomials, without rotations (Cheetah, eprint 2022/207).
//!
//! A block of b rows, i features in and o features out with b i o <= N:
//!
//! ```text
//! x~[a i o + c]         = X[a][c]
//! w~[d i + (i - 1) - c] = W[c][d]
//! (x~ w~)[a i o + d i + i - 1] = (X W)[a][d]
//! ```
//!
//! All other coefficients of the product are sums that nobody needs; those that wrap around X^N + 1 land below i - 1, where no result is.
//! Blocks along k are added, so that one result takes ceil(k/i) products of a ciphertext and a plaintext.

use super::{Shape, layout::Place};

/// The sizes of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// Rows b.
    pub rows: usize,
    /// Features in, i.
    pub inner: usize,
    /// Features out, o.
    pub outputs: usize,
}

/// What [`Blocks::choose`] minimises: picoseconds a coefficient of a transform of a plaintext, of a product with both components, and of
/// four bytes at 1 Gbit/s. Only their ratios count.
const TRANSFORM: f64 = 700.0;
const PRODUCT: f64 = 700.0;
const TRANSFER: f64 = 32_000.0;

impl Blocks {
    /// ceil(R/b).
    pub fn row_blocks(self, shape: Shape) -> usize {
        shape.rows().div_ceil(self.rows)
    }

    /// ceil(k/i).
    pub fn inner_blocks(self, shape: Shape) -> usize {
        shape.k.div_ceil(self.inner)
    }

    /// ceil(n/o).
    pub fn output_blocks(self, shape: Shape) -> usize {
        shape.n.div_ceil(self.outputs)
    }

    /// Polynomials that cost something: (ciphertexts in, ciphertexts out, plaintexts, products).
    fn counts(self, shape: Shape) -> [f64; 4] {
        let (r, k, n) = (
            self.row_blocks(shape) as f64,
            self.inner_blocks(shape) as f64,
            self.output_blocks(shape) as f64,
        );
        [r * k, r * n, k * n, r * k * n]
    }

    /// The block of least cost: time of the server, and bytes both ways (one component in, two out).
    pub(super) fn choose(shape: Shape, degree: usize) -> Self {
        let cost = |block: &Self| {
            let [up, down, plain, products] = block.counts(shape);
            plain * TRANSFORM + products * PRODUCT + (up + 2.0 * down) * TRANSFER
        };
        let mut best: Option<(f64, Self)> = None;
        for inner in pieces(shape.k, degree) {
            for outputs in pieces(shape.n, degree / inner) {
                let rows = (degree / (inner * outputs)).min(shape.rows());
                let block = Self { rows, inner, outputs };
                let cost = cost(&block);
                if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                    best = Some((cost, block));
                }
            }
        }
        let single = Self {
            rows: 1,
            inner: 1,
            outputs: 1,
        };
        best.map_or(single, |(_, block)| block)
    }

    pub(super) fn input(self, shape: Shape, row: usize, feature: usize) -> Place {
        let of_row = row / self.rows * self.inner_blocks(shape);
        Place {
            item: of_row + feature / self.inner,
            at: row % self.rows * self.inner * self.outputs + feature % self.inner,
            imaginary: false,
        }
    }

    pub(super) fn output(self, shape: Shape, row: usize, feature: usize) -> Place {
        let of_row = row / self.rows * self.output_blocks(shape);
        let within = (row % self.rows * self.outputs + feature % self.outputs) * self.inner;
        Place {
            item: of_row + feature / self.outputs,
            at: within + self.inner - 1,
            imaginary: false,
        }
    }

    /// w~ of all blocks along k for one block of outputs, `degree` coefficients each; `weights` is `[k][n]`.
    pub(super) fn plaintexts(
        self,
        shape: Shape,
        weights: &[i16],
        block: usize,
        degree: usize,
        out: &mut [i32],
    ) {
        out.fill(0);
        let first = block * self.outputs;
        let count = self.outputs.min(shape.n - first);
        for (c, row) in weights.chunks_exact(shape.n).enumerate() {
            let (piece, c) = (c / self.inner, c % self.inner);
            let Some(to) = out.get_mut(piece * degree..(piece + 1) * degree) else {
                return;
            };
            let from = row.iter().skip(first).take(count);
            let at = to.iter_mut().skip(self.inner - 1 - c).step_by(self.inner);
            at.zip(from).for_each(|(to, w)| *to = i32::from(*w));
        }
    }
}

/// Sizes worth trying for cutting `whole` into pieces of at most `most`: those that fill their pieces evenly, largest first.
fn pieces(whole: usize, most: usize) -> Vec<usize> {
    let mut sizes = Vec::new();
    let mut count = whole.div_ceil(most.max(1)).max(1);
    while count <= whole {
        let size = whole.div_ceil(count);
        sizes.push(size);
        // The least number of pieces that makes them smaller.
        count = if size == 1 {
            whole + 1
        } else {
            whole.div_ceil(size - 1)
        };
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_all_even_cuts() {
        assert_eq!(pieces(7, 100), [7, 4, 3, 2, 1]);
        assert_eq!(pieces(7, 3), [3, 2, 1]);
        assert_eq!(pieces(1, 1), [1]);
    }

    /// The definition, in the integers: x~ w~ modulo X^N + 1, read where the results should be.
    #[test]
    fn blocks_compute_the_product() {
        let degree = 64;
        for (m, k, n, batch) in [
            (1, 1, 1, 1),
            (5, 7, 3, 2),
            (13, 11, 17, 1),
            (3, 64, 64, 1),
            (70, 2, 1, 1),
            (1, 130, 5, 3),
        ] {
            let shape = Shape::new(m, k, n).batch(batch);
            let block = Blocks::choose(shape, degree);
            assert!(block.rows * block.inner * block.outputs <= degree);
            let x = |r: usize, c: usize| (r * 31 + c * 17) as i64 % 19 - 9;
            let w: Vec<i16> = (0..k * n).map(|i| (i * 13 % 23) as i16 - 11).collect();
            let pieces = block.inner_blocks(shape);
            let mut inputs = vec![vec![0i64; degree]; block.row_blocks(shape) * pieces];
            for r in 0..shape.rows() {
                for c in 0..k {
                    let place = block.input(shape, r, c);
                    inputs[place.item][place.at] = x(r, c);
                }
            }
            let mut plain = vec![0; pieces * degree];
            for o in 0..n {
                block.plaintexts(shape, &w, o / block.outputs, degree, &mut plain);
                for r in 0..shape.rows() {
                    let mut sum = 0i64;
                    let place = block.output(shape, r, o);
                    for piece in 0..pieces {
                        let x = &inputs[r / block.rows * pieces + piece];
                        for (i, x) in x.iter().enumerate() {
                            let j = (place.at + degree - i) % degree;
                            let w = i64::from(plain[piece * degree + j]);
                            sum += if i + j == place.at { x * w } else { -x * w };
                        }
                    }
                    let want: i64 = (0..k).map(|c| x(r, c) * i64::from(w[c * n + o])).sum();
                    assert_eq!(sum, want, "{shape} {block:?} row {r} output {o}");
                    assert_eq!(
                        place.item,
                        r / block.rows * block.output_blocks(shape) + o / block.outputs
                    );
                }
            }
        }
    }
}
