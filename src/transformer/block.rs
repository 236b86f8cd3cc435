//! One transformer block: attention, then a feed-forward layer with the square as activation, both with residual sums.
//!
//!   y = x + attention(x);  z = y + affine(affine(y)^2).
//!
//! For an input at level l, y is at l-3 and z at l-4. The chain's last step absorbs 4w bits: both factors of the square
//! carry 2^2w, one 2^w from the attention's output map and one from the feed-forward map.

use crate::{
    backend::Backend,
    ckks::{Ciphertext, Evaluator, Result},
    matmul::ColumnWeights,
    rlwe::{Level, RlweError},
    transformer::{Attention, Progress, Stage},
};

/// A block with its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The attention layer.
    pub attention: Attention,
    /// Feed-forward, before the square.
    pub up: ColumnWeights,
    /// Feed-forward, after it.
    pub down: ColumnWeights,
}

impl Block {
    /// Levels that it uses.
    pub const DEPTH: u32 = Attention::DEPTH + 1;

    /// Key switches of `forward`: (rotations, relinearisations).
    pub fn key_switches(&self) -> (usize, usize) {
        let (rotations, relinearisations) = self.attention.key_switches();
        (rotations, relinearisations + self.up.outputs)
    }

    /// x to z: one ciphertext a feature, four levels down; the scale is that of the level times 2^w.
    ///
    /// x holds one ciphertext a feature at the canonical scale of its level.
    pub fn forward<B: Backend>(
        &self,
        ev: &Evaluator<'_, B>,
        x: &Ciphertext<B>,
        progress: &mut Progress<'_>,
    ) -> Result<Ciphertext<B>> {
        if x.level().0 < Self::DEPTH {
            let remedy = "encrypt at level 4 or above";
            return Err(RlweError::mismatch("block", "levels", x.level(), Level(Self::DEPTH), remedy).into());
        }
        progress.expect(3);
        let update = self.attention.forward(ev, x, progress)?;
        let y = progress.time(Stage::Projections, || {
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
