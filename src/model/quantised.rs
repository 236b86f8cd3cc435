//! The model as an encrypted evaluation sees it: matrices of integers over `2^`[`WEIGHT_BITS`], everything else exact.
//!
//! `W = round(W_f32 * 2^8) / 2^8`, ties away from zero; embeddings, biases, `shift` and `offset` are the `f32` values
//! unchanged. All arithmetic is `f64`.

use super::{
    Affine, CLASSES, HEAD_WIDTH, HEADS, LanguageModel, ModelError, Verdict, WIDTH, WINDOW, Window,
    mean_logits, windows,
};

/// Fractional bits of an integer weight.
pub const WEIGHT_BITS: u32 = 8;

/// An affine map with an integer matrix: `x -> (W_int x) / 2^8 + b`.
#[derive(Debug, Clone, PartialEq)]
pub struct Integers {
    /// Length of `x`.
    pub inputs: usize,
    /// Length of the result.
    pub outputs: usize,
    /// `W_int`, row-major `[outputs][inputs]`.
    pub weight: Vec<i16>,
    /// `b`, `[outputs]`.
    pub bias: Vec<f64>,
}

impl Integers {
    /// `(W_int x) / 2^8 + b`. `x` holds `inputs` values; the result holds `outputs`.
    #[must_use]
    pub fn apply(&self, x: &[f64]) -> Vec<f64> {
        let scale = f64::from(1u32 << WEIGHT_BITS).recip();
        let rows = self.weight.chunks_exact(self.inputs).zip(&self.bias);
        rows.map(|(row, b)| {
            let sum: f64 = row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum();
            sum * scale + b
        })
        .collect()
    }

    /// Largest `|W_int|`.
    #[must_use]
    pub fn largest(&self) -> u16 {
        self.weight.iter().map(|w| w.unsigned_abs()).max().unwrap_or(0)
    }
}

impl From<&Affine> for Integers {
    /// Rounds the matrix; an entry outside `i16`, which a loaded model never has, takes the nearest end of `i16`.
    fn from(map: &Affine) -> Self {
        let scale = (1u32 << WEIGHT_BITS) as f32;
        Self {
            inputs: map.inputs,
            outputs: map.outputs,
            weight: map.weight.iter().map(|w| (w * scale).round() as i16).collect(),
            bias: map.bias.iter().map(|b| f64::from(*b)).collect(),
        }
    }
}

/// The quantised twin of a [`LanguageModel`].
#[derive(Debug, Clone, PartialEq)]
pub struct Quantised {
    /// `E`, row-major `[vocabulary][width]`.
    pub embedding: Vec<f64>,
    /// `Wq, bq`: 32 to 32.
    pub query: Integers,
    /// `Wk, bk`: 32 to 32.
    pub key: Integers,
    /// `Wv, bv`: 32 to 32.
    pub value: Integers,
    /// `Wo, bo`: 32 to 32.
    pub output: Integers,
    /// `W1, b1`: 32 to 64.
    pub up: Integers,
    /// `W2, b2`: 64 to 32.
    pub down: Integers,
    /// `Wh, bh`: 32 to 6.
    pub head: Integers,
    /// Added to a score before squaring, per head.
    pub shift: [f64; HEADS],
    /// Added after squaring, per head.
    pub offset: [f64; HEADS],
    /// Least difference between the two largest probabilities for a language to be named.
    pub margin: f32,
}

impl From<&LanguageModel> for Quantised {
    fn from(model: &LanguageModel) -> Self {
        Self {
            embedding: model.embedding.iter().map(|e| f64::from(*e)).collect(),
            query: Integers::from(&model.query),
            key: Integers::from(&model.key),
            value: Integers::from(&model.value),
            output: Integers::from(&model.output),
            up: Integers::from(&model.up),
            down: Integers::from(&model.down),
            head: Integers::from(&model.head),
            shift: model.shift.map(f64::from),
            offset: model.offset.map(f64::from),
            margin: model.margin,
        }
    }
}

/// Every intermediate value of one window, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Embeddings, `[32][32]` (token, feature).
    pub x: Vec<f64>,
    /// Queries, `[32][32]`.
    pub query: Vec<f64>,
    /// Keys, `[32][32]`.
    pub key: Vec<f64>,
    /// Values, `[32][32]`.
    pub value: Vec<f64>,
    /// `q_t . k_u + shift`, `[2][32][32]` (head, t, u).
    pub score: Vec<f64>,
    /// `p_tu`, `[2][32][32]`.
    pub weight: Vec<f64>,
    /// `o`, `[32][32]` (token, feature).
    pub attended: Vec<f64>,
    /// `y`, `[32][32]`.
    pub y: Vec<f64>,
    /// `h`, `[32][64]`.
    pub hidden: Vec<f64>,
    /// `z`, `[32][32]`.
    pub z: Vec<f64>,
    /// Logits.
    pub logits: [f64; CLASSES],
}

impl Quantised {
    /// Logits of one window.
    ///
    /// # Errors
    /// [`ModelError::Token`] for a token outside the vocabulary.
    pub fn forward(&self, window: &Window) -> Result<[f64; CLASSES], ModelError> {
        Ok(self.trace(window)?.logits)
    }

    /// The verdict on a text from at most `max_windows` of its windows.
    ///
    /// # Errors
    /// Those of [`windows`].
    pub fn classify(&self, text: &str, max_windows: usize) -> Result<Verdict, ModelError> {
        let mut logits = Vec::new();
        for window in windows(text, max_windows)? {
            logits.push(self.forward(&window)?.map(|l| l as f32));
        }
        Ok(Verdict::from_logits(&mean_logits(&logits), self.margin))
    }

    /// The forward pass of one window with every intermediate value kept.
    ///
    /// # Errors
    /// [`ModelError::Token`] for a token outside the vocabulary.
    pub fn trace(&self, window: &Window) -> Result<Trace, ModelError> {
        let x = self.embed(window)?;
        let query = map_rows(&self.query, &x);
        let key = map_rows(&self.key, &x);
        let value = map_rows(&self.value, &x);
        let mut score = Vec::with_capacity(HEADS * WINDOW * WINDOW);
        let mut attended = vec![0.0; WINDOW * WIDTH];
        for head in 0..HEADS {
            for t in 0..WINDOW {
                for u in 0..WINDOW {
                    let pair = part(&query, t, head).iter().zip(part(&key, u, head));
                    score.push(pair.map(|(q, k)| q * k).sum::<f64>() + self.shift[head]);
                }
            }
        }
        let weight: Vec<f64> = (score.iter().enumerate())
            .map(|(i, s)| s * s + self.offset[i / (WINDOW * WINDOW)])
            .collect();
        for (i, row) in weight.chunks_exact(WINDOW).enumerate() {
            let (head, t) = (i / WINDOW, i % WINDOW);
            let start = t * WIDTH + head * HEAD_WIDTH;
            for (u, p) in row.iter().enumerate() {
                for (o, v) in attended[start..start + HEAD_WIDTH]
                    .iter_mut()
                    .zip(part(&value, u, head))
                {
                    *o += p * v;
                }
            }
        }
        let y: Vec<f64> = x
            .iter()
            .zip(map_rows(&self.output, &attended))
            .map(|(x, o)| x + o)
            .collect();
        let hidden = map_rows(&self.up, &y);
        let squares: Vec<f64> = hidden.iter().map(|h| h * h).collect();
        let z: Vec<f64> = y
            .iter()
            .zip(map_rows(&self.down, &squares))
            .map(|(y, d)| y + d)
            .collect();
        let mut mean = [0.0; WIDTH];
        for token in z.chunks_exact(WIDTH) {
            for (m, z) in mean.iter_mut().zip(token) {
                *m += z / WINDOW as f64;
            }
        }
        let last = self.head.apply(&mean);
        let logits = std::array::from_fn(|class| last[class]);
        Ok(Trace {
            x,
            query,
            key,
            value,
            score,
            weight,
            attended,
            y,
            hidden,
            z,
            logits,
        })
    }

    fn embed(&self, window: &Window) -> Result<Vec<f64>, ModelError> {
        let mut x = Vec::with_capacity(WINDOW * WIDTH);
        for (position, &token) in window.iter().enumerate() {
            let start = usize::from(token) * WIDTH;
            let row = self.embedding.get(start..start + WIDTH);
            let vocabulary = self.embedding.len() / WIDTH;
            x.extend_from_slice(row.ok_or(ModelError::Token {
                position,
                token,
                vocabulary,
            })?);
        }
        Ok(x)
    }
}

fn map_rows(map: &Integers, rows: &[f64]) -> Vec<f64> {
    rows.chunks_exact(map.inputs)
        .flat_map(|row| map.apply(row))
        .collect()
}

fn part(rows: &[f64], token: usize, head: usize) -> &[f64] {
    let start = token * WIDTH + head * HEAD_WIDTH;
    &rows[start..start + HEAD_WIDTH]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_the_nearest_integer_weight() {
        let map = Affine {
            inputs: 3,
            outputs: 1,
            weight: vec![1.0, -0.5, 0.25 + 1.0 / 512.0],
            bias: vec![0.5],
        };
        let integers = Integers::from(&map);
        assert_eq!(integers.weight, [256, -128, 65]);
        assert_eq!(integers.largest(), 256);
        assert_eq!(integers.apply(&[1.0, 2.0, 0.0]), [0.5]);
    }

    #[test]
    fn stays_close_to_the_f32_model() {
        let model = LanguageModel::builtin().unwrap();
        let twin = Quantised::from(&model);
        for window in windows("The rain stopped before the train arrived at the station", 4).unwrap() {
            let plain = model.forward(&window).unwrap();
            let rounded = twin.forward(&window).unwrap();
            for (a, b) in plain.iter().zip(rounded) {
                assert!((f64::from(*a) - b).abs() < 0.5, "{plain:?} {rounded:?}");
            }
        }
    }
}
