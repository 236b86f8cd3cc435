//! The error of products of ciphertexts in slots, from scale and level.
//!
//! With N the ring degree, D the scale of an operand, d features, l keys, Q, K, P, V the largest values, and a deviation s of the real part of
//! a slot's error for each operand:
//!
//! | part | variance of the real part of a slot |
//! |---|---|
//! | fresh, seeded | (10.5 + 1/12) N / 2 D^2 |
//! | a rotation | + (A + R) N / 2 D^2,  A = sum_j N 10.5 Q_j^2 / (12 P^2),  R = (1 + 2N/3) / 12 |
//! | relinearised and rescaled, scales D_a D_b -> D' | A N / 2 (D_a D_b)^2 + R N / 2 D'^2 |
//! | scores | d (K^2 s_q^2 + Q^2 s_k^2 + s_q^2 s_k^2), of rotated operands, and the line above |
//! | sums | l (P^2 + s_p^2) s_v^2 + (l V s_p)^2, and for each giant step the line above and a rotation |
//!
//! Errors of features are taken as independent, and those of scores of one query as they may be, all alike: a query's own error is in all of
//! them. Halved: k + i Rot(k) and v + i v' are complex, which doubles the variances that they enter, and parts are taken apart by a
//! conjugation, a rotation by its noise. [`SlotError::bound`] takes 24.1 deviations, as `src/matmul/bound.rs` derives.

use super::{
    Columns, Result, SingleAttention, TiledColumns,
    bound::{FLOAT, FRESH, PRODUCT_DEVIATIONS, ROUNDING, division_variance, switch_variance},
};
use crate::{
    ckks::step_ratio,
    ring::Scale,
    rlwe::{Level, Params, RlweError},
};

/// What is known of the slots of a ciphertext: how large values are, and how large errors.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotError {
    /// The level.
    pub level: Level,
    /// The scale.
    pub scale: Scale,
    /// The largest magnitude of a value.
    pub largest: f64,
    /// A bound on the standard deviation of the real part of an error, and of the imaginary part.
    pub deviation: f64,
}

impl SlotError {
    /// A fresh ciphertext, encrypted with the secret key at the canonical scale of a level, of values up to `largest`.
    pub fn fresh(params: &Params, level: Level, largest: f64) -> Result<Self> {
        let scale = params.level("error bound", level)?.scale.clone();
        let deviation = slot(params, FRESH + ROUNDING, &scale);
        Ok(Self {
            level,
            scale,
            largest,
            deviation,
        })
    }

    /// A bound that an error exceeds with probability 2^-49 at most: noise, and the precision of encoding and decoding.
    pub fn bound(&self) -> f64 {
        PRODUCT_DEVIATIONS * self.deviation + FLOAT * self.largest
    }

    fn variance(&self) -> f64 {
        self.deviation * self.deviation
    }

    /// Of a rotation or a conjugation at this level and scale.
    fn switched(&self, params: &Params) -> f64 {
        let variance = switch_variance(params, self.level) + division_variance(params);
        slot(params, variance, &self.scale).powi(2)
    }

    /// The product of two operands after its relinearisation and rescale, with its own noise alone.
    fn product(&self, params: &Params, other: &Self) -> Result<Self> {
        let operation = "error bound";
        if self.level != other.level {
            let remedy = "give operands of one level";
            let error = RlweError::mismatch(operation, "levels", self.level, other.level, remedy);
            return Err(error.into());
        }
        let scale = self.scale.mul(&other.scale)?;
        let Some(level) = self.level.below() else {
            return Err(RlweError::LevelsExhausted {
                operation,
                level: self.level,
                scale_log2: scale.log2(),
                log2_q: params.level(operation, self.level)?.log2_q,
            }
            .into());
        };
        let rescaled = scale.mul(step_ratio(params, operation, level)?)?;
        let switch = slot(params, switch_variance(params, self.level), &scale);
        let divided = slot(params, division_variance(params), &rescaled);
        Ok(Self {
            level,
            scale: rescaled,
            largest: self.largest * other.largest,
            deviation: switch.hypot(divided),
        })
    }

    /// Scores over `features` features of operands that were rotated; `halved` if two diagonals share a ciphertext.
    fn scores(params: &Params, q: &Self, k: &Self, features: usize, halved: bool) -> Result<Self> {
        let own = q.product(params, k)?;
        let d = features as f64;
        let s_q = q.variance() + q.switched(params);
        // k + i Rot(k): both errors, and the larger value.
        let (twice, turns) = if halved { (2.0, 2.0) } else { (1.0, 1.0) };
        let s_k = twice * k.variance() + turns * k.switched(params);
        let squares = twice * k.largest.powi(2) * s_q + q.largest.powi(2) * s_k + twice * s_q * s_k;
        let split = if halved { own.switched(params) } else { 0.0 };
        Ok(Self {
            largest: d * own.largest,
            deviation: (d * squares + own.variance() + split).sqrt(),
            ..own
        })
    }

    /// Sums over `keys` values, of `giants` sums that are rotated and added; `paired` if two features share a ciphertext.
    fn sums(params: &Params, p: &Self, v: &Self, keys: usize, giants: usize, paired: bool) -> Result<Self> {
        let own = p.product(params, v)?;
        let (l, pair) = (keys as f64, if paired { 2.0 } else { 1.0 });
        let s_v = pair * v.variance() + v.switched(params);
        let alike = pair * (l * v.largest).powi(2) * p.variance();
        let values = l * (p.largest.powi(2) + pair * p.variance()) * s_v;
        let parts = giants as f64;
        let split = if paired { own.switched(params) } else { 0.0 };
        let moved = parts * own.variance() + (parts - 1.0) * own.switched(params) + split;
        Ok(Self {
            largest: l * own.largest,
            deviation: (values + alike + moved).sqrt(),
            ..own
        })
    }
}

/// The deviation of the real part of a slot, from the variance of a coefficient.
fn slot(params: &Params, variance: f64, scale: &Scale) -> f64 {
    (variance * params.degree() as f64 / 2.0).sqrt() / scale.to_f64()
}

impl Columns {
    /// Of [`scores`](Self::scores) over so many features.
    pub fn scores_error(
        self,
        params: &Params,
        q: &SlotError,
        k: &SlotError,
        features: usize,
    ) -> Result<SlotError> {
        SlotError::scores(params, q, k, features, false)
    }

    /// Of [`weighted_sum`](Self::weighted_sum).
    pub fn weighted_sum_error(self, params: &Params, p: &SlotError, v: &SlotError) -> Result<SlotError> {
        SlotError::sums(params, p, v, self.keys(), self.giant(), false)
    }

    /// Of both parts of [`scores_halved`](Self::scores_halved) over so many features.
    pub fn scores_halved_error(
        self,
        params: &Params,
        q: &SlotError,
        k: &SlotError,
        features: usize,
    ) -> Result<SlotError> {
        SlotError::scores(params, q, k, features, true)
    }

    /// Of [`weighted_sum_halved`](Self::weighted_sum_halved) with values that [`pair`](Self::pair) joined, after [`split`](Self::split);
    /// `v` is said of the values before they are joined.
    pub fn weighted_sum_halved_error(
        self,
        params: &Params,
        p: &SlotError,
        v: &SlotError,
    ) -> Result<SlotError> {
        SlotError::sums(params, p, v, self.keys(), self.half_giant(), true)
    }
}

impl TiledColumns {
    /// Of [`scores`](Self::scores).
    pub fn scores_error(self, params: &Params, q: &SlotError, k: &SlotError) -> Result<SlotError> {
        SlotError::scores(params, q, k, self.features(), false)
    }

    /// Of [`weighted_sum`](Self::weighted_sum); `p` is said of the weights of padding too.
    pub fn weighted_sum_error(self, params: &Params, p: &SlotError, v: &SlotError) -> Result<SlotError> {
        let keys = self.key_tiles() * self.columns().keys();
        SlotError::sums(params, p, v, keys, self.columns().giant(), false)
    }
}

impl SingleAttention {
    /// Of [`scores`](Self::scores): log2 F times, an error is added to that of another slot and of a rotation.
    pub fn scores_error(self, params: &Params, q: &SlotError, k: &SlotError) -> Result<SlotError> {
        let one = SlotError::scores(params, q, k, self.items(), false)?;
        let fold = |variance: f64, _| 2.0 * variance + one.switched(params);
        let variance = self.folds().fold(one.variance(), fold);
        Ok(SlotError {
            largest: one.largest * self.width() as f64,
            deviation: variance.sqrt(),
            ..one
        })
    }

    /// Of [`weighted_sum`](Self::weighted_sum); `p` is said of the weights of padding too.
    pub fn weighted_sum_error(self, params: &Params, p: &SlotError, v: &SlotError) -> Result<SlotError> {
        SlotError::sums(params, p, v, self.padded_keys(), 1, false)
    }
}
