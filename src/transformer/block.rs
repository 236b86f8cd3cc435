//! One transformer block with sigma-attention (arXiv 2311.08610) in column packing, all polynomials of degree 2.
//!
//!   q, k, v = affine(x);  p_tu = (q_t . k_u + shift)^2 + offset per head;  o_t = sum_u p_tu v_u;
//!   y = x + affine(o);  z = y + affine(affine(y)^2).
//!
//! 1/sqrt(d), 1/sqrt(L), normalisation and the leading coefficients of the polynomials are folded into the affine maps.
//! Levels, for an input at level l: scores l-1; p and v l-2; o and y l-3; z l-4. Weight products raise the scale by 2^w
//! each, which the chain's next step absorbs: 2w at the scores, 0, w at the sums, 4w at the feed-forward square.

use crate::{
    backend::Backend,
    ckks::{Ciphertext, Evaluator, Result},
    matmul::{ColumnWeights, Columns},
    rlwe::{KeyNeeds, Level, Params, RlweError},
    transformer::{Progress, Stage},
};

/// Levels that a block uses below that of its input.
const DEPTH: u32 = 4;

/// Constants of one head's polynomial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head {
    /// Added to a score before it is squared.
    pub shift: f64,
    /// Added afterwards.
    pub offset: f64,
}

/// A block with its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The packing.
    pub columns: Columns,
    /// One entry a head; the features of the projections are split evenly among them.
    pub heads: Vec<Head>,
    /// x to queries.
    pub query: ColumnWeights,
    /// x to keys.
    pub key: ColumnWeights,
    /// x to values.
    pub value: ColumnWeights,
    /// Heads to features.
    pub output: ColumnWeights,
    /// Feed-forward, before the square.
    pub up: ColumnWeights,
    /// Feed-forward, after it.
    pub down: ColumnWeights,
}

impl Block {
    /// The keys that `forward` uses, for an input at the top level.
    pub fn keys(&self, params: &Params) -> KeyNeeds {
        self.columns.attention_keys(KeyNeeds::new(params))
    }

    /// Key switches of `forward`: (rotations, relinearisations).
    pub fn key_switches(&self) -> (usize, usize) {
        let heads = self.heads.len();
        let (rotations, products) = self
            .columns
            .attention_key_switches(self.query.outputs / heads.max(1));
        (
            heads * rotations,
            heads * (products + self.columns.tokens()) + self.up.outputs,
        )
    }

    /// x to z: one ciphertext a feature, four levels down; the scale is that of the level times 2^w.
    ///
    /// x is at the canonical scale of its level.
    pub fn forward<B: Backend>(
        &self,
        ev: &Evaluator<'_, B>,
        x: &Ciphertext<B>,
        progress: &mut Progress<'_>,
    ) -> Result<Ciphertext<B>> {
        let top = x.level().0;
        if top < DEPTH {
            let remedy = "encrypt at level 4 or above";
            return Err(RlweError::mismatch("block", "levels", x.level(), Level(DEPTH), remedy).into());
        }
        let width = self.query.outputs / self.heads.len().max(1);
        progress.expect(6 + 3 * self.heads.len());
        let q = progress.time(Stage::Projections, || self.query.apply(ev, x))?;
        let k = progress.time(Stage::Projections, || self.key.apply(ev, x))?;
        let v = progress.time(Stage::Projections, || {
            let level = Level(top - 2);
            self.value
                .apply(ev, &ev.adjust(x, level, &ev.ckks().scale(level)?.clone())?)
        })?;
        let mut heads = Vec::with_capacity(self.heads.len());
        for (h, head) in self.heads.iter().enumerate() {
            let of = |all: &Ciphertext<B>| all.slice(h * width, width);
            let scores = progress.time(Stage::Qk, || self.columns.scores(ev, &of(&q)?, &of(&k)?))?;
            let p = progress.time(Stage::Sigma, || {
                let square = ev.square(&ev.add_const(&scores, head.shift, 0.0)?)?;
                ev.add_const(&ev.relinearise_rescale(&square)?, head.offset, 0.0)
            })?;
            heads.push(progress.time(Stage::Pv, || self.columns.weighted_sum(ev, &p, &of(&v)?))?);
        }
        let y = progress.time(Stage::Projections, || {
            let update = self.output.apply(ev, &ev.concat(&heads)?)?;
            ev.add(&ev.adjust(x, update.level(), update.scale())?, &update)
        })?;
        let square = progress.time(Stage::FeedForward, || {
            let h = self.up.apply(ev, &y)?;
            ev.relinearise_rescale(&ev.square(&h)?)
        })?;
        progress.time(Stage::Projections, || {
            let update = self.down.apply(ev, &square)?;
            ev.add(&ev.adjust(&y, update.level(), update.scale())?, &update)
        })
    }
}
