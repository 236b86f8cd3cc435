//! How large every intermediate value gets: what an encrypted evaluation must leave room for.

use super::{HEAD_WIDTH, HEADS, ModelError, Quantised, Trace, WIDTH, Window};

/// Largest magnitude of each intermediate value, over whatever was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Ranges {
    /// Embeddings `x`.
    pub x: f64,
    /// Queries `q`.
    pub query: f64,
    /// Keys `k`.
    pub key: f64,
    /// Values `v`.
    pub value: f64,
    /// Scores with their shift, `s + shift`.
    pub score: f64,
    /// Attention weights `p`.
    pub weight: f64,
    /// Attended values `o`.
    pub attended: f64,
    /// Residual stream after attention, `y`.
    pub y: f64,
    /// Feed-forward values before the square, `h`.
    pub hidden: f64,
    /// Residual stream after the feed-forward layer, `z`.
    pub z: f64,
    /// Logits.
    pub logits: f64,
}

impl Ranges {
    /// What the model is trained to stay within.
    pub const TARGET: Self = Self {
        x: 8.0,
        query: 8.0,
        key: 8.0,
        value: 8.0,
        score: 8.0,
        weight: 64.0,
        attended: 32.0,
        y: 16.0,
        hidden: 8.0,
        z: 16.0,
        logits: 32.0,
    };

    /// The ranges of one window.
    #[must_use]
    pub fn of(trace: &Trace) -> Self {
        Self {
            x: largest(&trace.x),
            query: largest(&trace.query),
            key: largest(&trace.key),
            value: largest(&trace.value),
            score: largest(&trace.score),
            weight: largest(&trace.weight),
            attended: largest(&trace.attended),
            y: largest(&trace.y),
            hidden: largest(&trace.hidden),
            z: largest(&trace.z),
            logits: largest(&trace.logits),
        }
    }

    /// The ranges over many windows.
    ///
    /// # Errors
    /// [`ModelError::Token`] for a token outside the vocabulary.
    pub fn over<'w>(
        model: &Quantised,
        windows: impl IntoIterator<Item = &'w Window>,
    ) -> Result<Self, ModelError> {
        let mut all = Self::default();
        for window in windows {
            all = all.max(&Self::of(&model.trace(window)?));
        }
        Ok(all)
    }

    /// The ranges no input whatever can exceed, for what depends on one token or on a pair of tokens: `x`, `q`, `k`, `v`,
    /// the scores and the attention weights, found by going through every token and every pair. The rest is 0.
    ///
    /// Cost: `vocabulary^2 * width` multiplications, 0.3 billion.
    #[must_use]
    pub fn of_every_pair(model: &Quantised) -> Self {
        let rows = |map: &super::Integers| -> Vec<Vec<f64>> {
            model
                .embedding
                .chunks_exact(WIDTH)
                .map(|x| map.apply(x))
                .collect()
        };
        let (query, key, value) = (rows(&model.query), rows(&model.key), rows(&model.value));
        let most = |rows: &[Vec<f64>]| rows.iter().map(|r| largest(r)).fold(0.0, f64::max);
        let mut all = Self {
            x: largest(&model.embedding),
            query: most(&query),
            key: most(&key),
            value: most(&value),
            ..Self::default()
        };
        for head in 0..HEADS {
            let part = head * HEAD_WIDTH..(head + 1) * HEAD_WIDTH;
            for q in &query {
                for k in &key {
                    let pair = q[part.clone()].iter().zip(&k[part.clone()]);
                    let score = pair.map(|(q, k)| q * k).sum::<f64>() + model.shift[head];
                    all.score = all.score.max(score.abs());
                    all.weight = all.weight.max((score * score + model.offset[head]).abs());
                }
            }
        }
        all
    }

    /// The larger of two, value by value.
    #[must_use]
    pub fn max(&self, other: &Self) -> Self {
        Self {
            x: self.x.max(other.x),
            query: self.query.max(other.query),
            key: self.key.max(other.key),
            value: self.value.max(other.value),
            score: self.score.max(other.score),
            weight: self.weight.max(other.weight),
            attended: self.attended.max(other.attended),
            y: self.y.max(other.y),
            hidden: self.hidden.max(other.hidden),
            z: self.z.max(other.z),
            logits: self.logits.max(other.logits),
        }
    }

    /// Name and value of each range, in the order of the computation.
    #[must_use]
    pub fn rows(&self) -> [(&'static str, f64); 11] {
        [
            ("x", self.x),
            ("q", self.query),
            ("k", self.key),
            ("v", self.value),
            ("s + shift", self.score),
            ("p", self.weight),
            ("o", self.attended),
            ("y", self.y),
            ("h", self.hidden),
            ("z", self.z),
            ("logits", self.logits),
        ]
    }

    /// Whether every value is at most that of `limit`.
    #[must_use]
    pub fn within(&self, limit: &Self) -> bool {
        self.rows()
            .iter()
            .zip(limit.rows())
            .all(|((_, value), (_, most))| *value <= most)
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m, v| v.abs().max(m))
}
