//! The error of a result, from scale and level.
//!
//! With f = `weight_bits`, D the scale of inputs, |x| <= X, |w| <= W:
//!
//! | part | coefficients | slots |
//! |---|---|---|
//! | rounding of weights, certain | k X 2^-(f+1) | the same in column packing |
//! | rounding of weights, deviation | | in diagonals, X sqrt(k N/12) 2^-f, half the k where features are paired |
//! | rounding of inputs, certain | k (W + 2^-f) / 2D | |
//! | noise of inputs, deviation | (W + 2^-f) sqrt(k o V) / D | (W + 2^-f) sqrt(k (V + 1/12) N/2) / D |
//! | key switches, divisions | | as noise of the result's scale D 2^f |
//!
//! V = 10.5 is the variance of fresh errors; o is the number of outputs that share a block. Rounding of slots counts as noise, since it
//! goes to coefficients first. A deviation of errors of encryption and of rounding is taken eight times: a Gaussian exceeds that with
//! probability 2^-49.
//!
//! Key switches and divisions make products: r_1 s after a division, digits times errors of the key. In slot j such a product is
//! r_1(zeta_j) s(zeta_j), normal with the variance |s(zeta_j)|^2 of its own slot, which is exponential over the slots. A normal number of
//! exponential variance is a Laplace number: it exceeds x deviations with probability exp(-sqrt(2) x), which is 2^-49 at 24.1. Sums of
//! independent ones have lighter tails; those that share s(zeta_j) are Laplace again.

use super::{MatmulPlan, Packing, layout::Layout};
use crate::rlwe::{Level, Params};

/// Variance of errors of encryption.
pub(super) const FRESH: f64 = 10.5;
/// Variance of a rounding to integers.
pub(super) const ROUNDING: f64 = 1.0 / 12.0;
/// Deviations that a normal number exceeds with probability 2^-49.
const DEVIATIONS: f64 = 8.0;
/// Deviations that a Laplace number exceeds with probability 2^-49.
pub(super) const PRODUCT_DEVIATIONS: f64 = 24.1;
/// Relative precision of encoding and decoding in f64, with room.
pub(super) const FLOAT: f64 = 1.0 / (1u64 << 40) as f64;

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
                    let slot = (k * (FRESH + ROUNDING) * n / 2.0).sqrt();
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
                    let switch = switch_variance(&self.params, self.level);
                    let divided = division_variance(&self.params);
                    let parts = (layout.features / layout.diagonals) as f64;
                    let pair = if layout.pairs_features { 2.0 } else { 1.0 };
                    // Of coefficients, each times sqrt(N/2) in a part of a slot. Of k weights and k inputs a result has, all others are
                    // zero; paired, two of them are in one product.
                    let inputs = weight * (k * (FRESH + ROUNDING)).sqrt() / scale;
                    let turned = weight * (k * switch).sqrt() / scale;
                    let weights = x * (2.0 * (k / pair).ceil() * ROUNDING).sqrt() / unit;
                    let giant = parts * layout.giant() as f64;
                    let result = ((giant + 1.0) * (switch + divided)).sqrt() / (scale * unit);
                    let normal = DEVIATIONS * (inputs + weights);
                    (normal + PRODUCT_DEVIATIONS * (turned + result)) * (n / 2.0).sqrt()
                }
            }
    }
}

/// Of a key switch before its division, in units of P: sum_j N V Q_j^2 / (12 P^2).
pub(super) fn switch_variance(params: &Params, level: Level) -> f64 {
    let basis = params.basis();
    let log2 = |i: &u32| f64::from(basis.prime(*i).value()).log2();
    let special: f64 = params.special().iter().map(log2).sum();
    let mut digits = std::collections::BTreeMap::<u8, f64>::new();
    let level = params.levels().get(level.0 as usize);
    for i in level.iter().flat_map(|l| &l.primes) {
        let digit = params.digit_of().get(*i as usize).copied().unwrap_or(0);
        *digits.entry(digit).or_default() += log2(i);
    }
    let n = params.degree() as f64;
    digits
        .values()
        .map(|q| n * FRESH * ROUNDING * (2.0 * (q - special)).exp2())
        .sum()
}

/// Of the rounding of a division, r_0 + r_1 s: (1 + 2N/3) / 12.
pub(super) fn division_variance(params: &Params) -> f64 {
    (1.0 + 2.0 * params.degree() as f64 / 3.0) * ROUNDING
}
