//! Sigma-attention (arXiv 2311.08610) in column packing, with a polynomial of degree 2 for sigma.
//!
//!   q, k, v = affine(x);  p_tu = (q_t . k_u + shift)^2 + offset per head;  o_t = sum_u p_tu v_u;  result = affine(o).
//!
//! 1/sqrt(d), 1/sqrt(L), normalisation and the leading coefficient of sigma are folded into the affine maps. Levels, for an
//! input at level l: scores l-1; p and v l-2; o and the result l-3. Weight products raise the scale by 2^w each, which the
//! chain's next step absorbs: 2w at the scores, 0 at sigma, w at the sums.

use crate::{
    backend::Backend,
    ckks::{Ciphertext, Evaluator, Result},
    matmul::{ColumnWeights, Columns},
    rlwe::{KeyNeeds, Level, Params, RlweError},
    transformer::{Progress, Stage},
};

/// Constants of one head's polynomial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head {
    /// Added to a score before it is squared.
    pub shift: f64,
    /// Added afterwards.
    pub offset: f64,
}

/// Multi-head attention with its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// The packing.
    pub columns: Columns,
    /// Two diagonals of scores and two features of values in a ciphertext: about two thirds of the key switches, and more keys.
    pub halved: bool,
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
}

impl Attention {
    /// Levels that it uses.
    pub const DEPTH: u32 = 3;

    /// The keys that `forward` uses, for an input at the top level.
    pub fn keys(&self, params: &Params) -> KeyNeeds {
        let needs = KeyNeeds::new(params);
        if self.halved {
            self.columns.halved_keys(needs)
        } else {
            self.columns.attention_keys(needs)
        }
    }

    /// Features of a head.
    fn width(&self) -> usize {
        self.query.outputs / self.heads.len().max(1)
    }

    /// Key switches of `forward`: (rotations, relinearisations).
    pub fn key_switches(&self) -> (usize, usize) {
        let (rotations, products) = if self.halved {
            self.columns.halved_key_switches(self.width())
        } else {
            self.columns.attention_key_switches(self.width())
        };
        (
            self.heads.len() * rotations,
            self.heads.len() * (products + self.columns.tokens()),
        )
    }

    /// Parts that `forward` announces to the progress display.
    pub(super) fn parts(&self) -> usize {
        4 + 3 * self.heads.len()
    }

    /// (score + shift)^2 + offset, a level down.
    fn sigma<B: Backend>(
        ev: &Evaluator<'_, B>,
        head: &Head,
        scores: &Ciphertext<B>,
    ) -> Result<Ciphertext<B>> {
        let square = ev.square(&ev.add_const(scores, head.shift, 0.0)?)?;
        ev.add_const(&ev.relinearise_rescale(&square)?, head.offset, 0.0)
    }

    /// What attention adds to x: one ciphertext a feature, three levels down; the scale is that of the level times 2^w.
    ///
    /// x holds one ciphertext a feature at the canonical scale of its level.
    pub fn forward<B: Backend>(
        &self,
        ev: &Evaluator<'_, B>,
        x: &Ciphertext<B>,
        progress: &mut Progress<'_>,
    ) -> Result<Ciphertext<B>> {
        let top = x.level().0;
        if top < Self::DEPTH {
            let remedy = "encrypt at level 3 or above";
            return Err(
                RlweError::mismatch("attention", "levels", x.level(), Level(Self::DEPTH), remedy).into(),
            );
        }
        progress.expect(self.parts());
        let q = progress.time(Stage::Projections, || self.query.apply(ev, x))?;
        let k = progress.time(Stage::Projections, || self.key.apply(ev, x))?;
        let v = progress.time(Stage::Projections, || {
            let level = Level(top - 2);
            self.value
                .apply(ev, &ev.adjust(x, level, &ev.ckks().scale(level)?.clone())?)
        })?;
        let mut outputs = Vec::with_capacity(self.heads.len());
        for (h, head) in self.heads.iter().enumerate() {
            let of = |all: &Ciphertext<B>| all.slice(h * self.width(), self.width());
            let (q, k, v) = (of(&q)?, of(&k)?, of(&v)?);
            if self.halved {
                let (near, far) = progress.time(Stage::Qk, || self.columns.scores_halved(ev, &q, &k))?;
                let p = progress.time(Stage::Sigma, || {
                    Ok((Self::sigma(ev, head, &near)?, Self::sigma(ev, head, &far)?))
                })?;
                outputs.push(progress.time(Stage::Pv, || {
                    let pairs = self.columns.pair(ev, &v)?;
                    let sums = self.columns.weighted_sum_halved(ev, (&p.0, &p.1), &pairs)?;
                    let (first, second) = self.columns.split(ev, &sums)?;
                    ev.concat(&[first, second])
                })?);
                continue;
            }
            let scores = progress.time(Stage::Qk, || self.columns.scores(ev, &q, &k))?;
            let p = progress.time(Stage::Sigma, || Self::sigma(ev, head, &scores))?;
            outputs.push(progress.time(Stage::Pv, || self.columns.weighted_sum(ev, &p, &v))?);
        }
        progress.time(Stage::Projections, || {
            self.output.apply(ev, &ev.concat(&outputs)?)
        })
    }
}
