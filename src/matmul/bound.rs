//! The error of a result, from scale and level.
//!
//! With f = `weight_bits`, D the scale of inputs, |x| <= X, |w| <= W:
//!
//! | part | coefficients | slots |
//! |---|---|---|
//! | rounding of weights, certain | k X 2^-(f+1) | the same in column packing |
//! | rounding of weights, deviation | | in diagonals, X sqrt(2 b D' N/24) 2^-f for b D' products |
//! | rounding of inputs, certain | k (W + 2^-f) / 2D | |
//! | noise of inputs, deviation | (W + 2^-f) sqrt(k o V) / D | (W + 2^-f) sqrt(k (V + 1/12) N/2) / D |
//! | key switches, divisions | | as noise of the result's scale D 2^f |
//!
//! V = 10.5 is the variance of fresh errors; o is the number of outputs that share a block. Rounding of slots counts as noise, since it
//! goes to coefficients first. A deviation is taken eight times: a Gaussian exceeds that with probability 2^-49.

use super::{MatmulPlan, Packing, layout::Layout};

/// Variance of errors of encryption.
const FRESH: f64 = 10.5;
/// Deviations that are never seen.
const DEVIATIONS: f64 = 8.0;
/// Relative precision of encoding and decoding in f64, with room.
const FLOAT: f64 = 1.0 / (1u64 << 40) as f64;

impl MatmulPlan {
    /// A bound on the error of every entry of the result, which holds for each with probability 1 - 2^-49 or more.
    pub fn error_bound(&self) -> f64 {
        let (x, w) = (self.options.input_bound, self.options.weight_bound);
        let (k, n) = (self.shape.k as f64, self.params.degree() as f64);
        let unit = f64::from(self.weight_bits).exp2();
        let level = self.params.levels().get(self.level.0 as usize);
        let scale = level.map_or(1.0, |l| l.scale.to_f64());
        let weight = w + 1.0 / unit;
        let float = FLOAT * k * x * w;
        let rounding = k * x / (2.0 * unit);
        float
            + match &self.layout {
                Layout::Features(_) if self.packing == Packing::Column => {
                    let slot = (k * (FRESH + 1.0 / 12.0) * n / 2.0).sqrt();
                    rounding + DEVIATIONS * weight * slot / scale
                }
                Layout::Features(_) => {
                    rounding + k * weight / (2.0 * scale) + DEVIATIONS * weight * (k * FRESH).sqrt() / scale
                }
                Layout::Blocks(blocks) => {
                    let terms = k * blocks.outputs as f64;
                    rounding
                        + k * weight / (2.0 * scale)
                        + DEVIATIONS * weight * (terms * FRESH).sqrt() / scale
                }
                Layout::Diagonal(layout) => {
                    let switch = self.switch_variance();
                    let divided = (1.0 + 2.0 * n / 3.0) / 12.0;
                    let products = (layout.inputs * layout.diagonals) as f64;
                    let parts = (layout.features / layout.diagonals) as f64;
                    let pair = if layout.pairs_features { 2.0 } else { 1.0 };
                    // Of coefficients, each times sqrt(N/2) in a part of a slot.
                    let inputs =
                        weight * (pair * products * parts * (FRESH + 1.0 / 12.0 + switch)).sqrt() / scale;
                    let weights = x * (2.0 * products * parts / 12.0).sqrt() / unit;
                    let giant = parts * layout.giant() as f64;
                    let result = ((giant + 1.0) * (switch + divided)).sqrt() / (scale * unit);
                    DEVIATIONS * (inputs + weights + result) * (n / 2.0).sqrt()
                }
            }
    }

    /// Of a key switch before its division: sum_j N V Q_j^2 / (12 P^2).
    fn switch_variance(&self) -> f64 {
        let basis = self.params.basis();
        let log2 = |i: &u32| f64::from(basis.prime(*i).value()).log2();
        let special: f64 = self.params.special().iter().map(log2).sum();
        let mut digits = std::collections::BTreeMap::<u8, f64>::new();
        let level = self.params.levels().get(self.level.0 as usize);
        for i in level.iter().flat_map(|l| &l.primes) {
            let digit = self.params.digit_of().get(*i as usize).copied().unwrap_or(0);
            *digits.entry(digit).or_default() += log2(i);
        }
        let n = self.params.degree() as f64;
        digits
            .values()
            .map(|q| n * FRESH / 12.0 * (2.0 * (q - special)).exp2())
            .sum()
    }
}
