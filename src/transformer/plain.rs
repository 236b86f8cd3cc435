//! Attention with PowerSoftmax in the clear, as it is defined: what encrypted results are held against, and where a debug mode looks for scores
//! that are out of range.

use super::{PowerAttention, Progress};
use crate::{
    backend::Backend,
    circuit::{CircuitError, Result},
    ckks::{Ciphertext, Evaluator},
    matmul::ColumnWeights,
};

/// W x + b, with the weights as they are rounded.
pub(crate) fn affine(map: &ColumnWeights, x: &[f64]) -> Vec<f64> {
    let unit = f64::from(1u32 << map.weight_bits).recip();
    let rows = map.weights.chunks_exact(map.inputs.max(1)).zip(&map.bias);
    let sum = |row: &[i16]| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>();
    rows.map(|(row, bias)| sum(row) * unit + bias).collect()
}

/// One request of a batch.
pub struct PlainAttention<'a> {
    attention: &'a PowerAttention,
    /// Features by token.
    rows: Vec<Vec<f64>>,
}

impl<'a> PlainAttention<'a> {
    /// Of x as it is encrypted, `[feature][slot]`; what is missing is 0.
    pub fn new(attention: &'a PowerAttention, x: &[f64], request: usize) -> Self {
        let (columns, dim) = (attention.columns, attention.query.inputs);
        let feature = |c: usize, t: usize| {
            let at = c * columns.slots() + columns.slot(t, request);
            x.get(at).copied().unwrap_or(0.0)
        };
        let row = |t: usize| (0..dim).map(|c| feature(c, t)).collect();
        let rows = (0..columns.tokens()).map(row).collect();
        Self { attention, rows }
    }

    fn map(&self, map: &ColumnWeights) -> Vec<Vec<f64>> {
        self.rows.iter().map(|x| affine(map, x)).collect()
    }

    /// Scores `[head][query's token][key's token]`.
    pub fn scores(&self) -> Vec<Vec<Vec<f64>>> {
        let (q, k) = (self.map(&self.attention.query), self.map(&self.attention.key));
        let width = self.attention.width();
        let product = |q: &[f64], k: &[f64]| q.iter().zip(k).map(|(a, b)| a * b).sum::<f64>();
        let part = |row: &'_ [f64], h: usize| -> Vec<f64> {
            row.get(h * width..(h + 1) * width).unwrap_or_default().to_vec()
        };
        let head = |h: usize| {
            let k: Vec<Vec<f64>> = k.iter().map(|k| part(k, h)).collect();
            let of_token = |q: &Vec<f64>| {
                let q = part(q, h);
                k.iter().map(|k| product(&q, k)).collect()
            };
            q.iter().map(of_token).collect()
        };
        (0..self.attention.heads).map(head).collect()
    }

    /// Results `[token][feature]`.
    pub fn results(&self) -> Vec<Vec<f64>> {
        let (v, scores) = (self.map(&self.attention.value), self.scores());
        let width = self.attention.width();
        let token = |t: usize| {
            let mut o = vec![0.0; self.attention.value.outputs];
            for (h, (scores, o)) in scores.iter().zip(o.chunks_mut(width.max(1))).enumerate() {
                let scores = scores.get(t).map(Vec::as_slice).unwrap_or_default();
                let weights = self.attention.softmax.reference(scores);
                for (p, v) in weights.iter().zip(&v) {
                    let pairs = o.iter_mut().zip(v.iter().skip(h * width));
                    pairs.for_each(|(o, v)| *o += p * v);
                }
            }
            affine(&self.attention.output, &o)
        };
        (0..self.rows.len()).map(token).collect()
    }
}

impl PowerAttention {
    /// [`forward`](Self::forward), with the values of x beside it, `[feature][slot]`: a score outside the interval of the normalisation is named
    /// before work starts. For finding faults: whoever runs this knows the values.
    ///
    /// # Errors
    /// [`CircuitError::Outside`] names the head, the slot of the query's token, the key's token as the item, and the score; as `forward`.
    pub fn forward_debug<B: Backend>(
        &self,
        ev: &Evaluator<'_, B>,
        x: &Ciphertext<B>,
        values: &[f64],
        progress: &mut Progress<'_>,
    ) -> Result<Ciphertext<B>> {
        let want = x.items() * x.slots();
        if values.len() != want || x.slots() != self.columns.slots() {
            let remedy = "pass features times tokens times requests values";
            let (left, right) = (self.query.inputs * self.columns.slots(), values.len());
            return Err(CircuitError::mismatch(
                "forward_debug",
                "lengths",
                left,
                right,
                remedy,
            ));
        }
        for request in 0..self.columns.batch() {
            self.check_scores(values, request)?;
        }
        self.forward(ev, x, progress)
    }

    /// Demands scores of a request within the interval of the normalisation.
    fn check_scores(&self, values: &[f64], request: usize) -> Result<()> {
        let interval = self.softmax.interval();
        for (h, head) in PlainAttention::new(self, values, request)
            .scores()
            .iter()
            .enumerate()
        {
            for (t, row) in head.iter().enumerate() {
                if let Some(item) = row.iter().position(|s| !interval.contains(*s, 0.0)) {
                    return Err(CircuitError::Outside {
                        function: format!("PowerSoftmax of head {h}, a key's token an item"),
                        item,
                        slot: self.columns.slot(t, request),
                        value: row.get(item).copied().unwrap_or(f64::NAN).into(),
                        low: interval.low(),
                        high: interval.high(),
                    });
                }
            }
        }
        Ok(())
    }
}
