//! The definition: the forward pass in `f32`, from windows to a verdict.

use super::{CLASSES, HEAD_WIDTH, HEADS, LanguageModel, ModelError, WIDTH, WINDOW, Window, windows};

/// What the model says about a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Index of the most probable language.
    pub best: usize,
    /// Whether the lead over the second is below the margin, so that no language should be named.
    pub unsure: bool,
    /// Probability of each language; they sum to 1.
    pub probabilities: [f32; CLASSES],
    /// Probability of the best language less that of the second.
    pub lead: f32,
}

impl Verdict {
    /// Decides from logits (the mean over the windows of a text), naming a language if it leads by `margin` or more.
    ///
    /// Logits that are not finite give an unsure verdict.
    #[must_use]
    pub fn from_logits(logits: &[f32; CLASSES], margin: f32) -> Self {
        let probabilities = softmax(logits);
        let mut best = 0;
        for class in 1..CLASSES {
            if probabilities[class] > probabilities[best] {
                best = class;
            }
        }
        let others = probabilities
            .iter()
            .enumerate()
            .filter(|(class, _)| *class != best);
        let second = others.map(|(_, p)| *p).fold(0.0, f32::max);
        let lead = probabilities[best] - second;
        Self {
            best,
            unsure: lead.is_nan() || lead < margin,
            probabilities,
            lead,
        }
    }

    /// The language, or `unsure`.
    #[must_use]
    pub fn label<'m>(&self, labels: &'m [String]) -> &'m str {
        match labels.get(self.best) {
            Some(label) if !self.unsure => label,
            _ => "unsure",
        }
    }
}

impl LanguageModel {
    /// Logits of one window.
    ///
    /// # Errors
    /// [`ModelError::Token`] for a token outside the vocabulary.
    pub fn forward(&self, window: &Window) -> Result<[f32; CLASSES], ModelError> {
        let x = self.embed(window)?;
        let rows = |map: &super::Affine| -> Vec<Vec<f32>> {
            x.chunks_exact(WIDTH).map(|token| map.apply(token)).collect()
        };
        let (query, key, value) = (rows(&self.query), rows(&self.key), rows(&self.value));
        let mut mean = [0.0f32; WIDTH];
        for (t, x) in x.chunks_exact(WIDTH).enumerate() {
            let mut attended = [0.0f32; WIDTH];
            for head in 0..HEADS {
                let part = head * HEAD_WIDTH..(head + 1) * HEAD_WIDTH;
                for u in 0..WINDOW {
                    let score = dot(&query[t][part.clone()], &key[u][part.clone()]) + self.shift[head];
                    let weight = score * score + self.offset[head];
                    for (o, v) in attended[part.clone()].iter_mut().zip(&value[u][part.clone()]) {
                        *o += weight * v;
                    }
                }
            }
            let y: Vec<f32> = x
                .iter()
                .zip(self.output.apply(&attended))
                .map(|(x, o)| x + o)
                .collect();
            let activated: Vec<f32> = self.up.apply(&y).iter().map(|h| h * h).collect();
            let down = self.down.apply(&activated);
            for (m, (y, d)) in mean.iter_mut().zip(y.iter().zip(down)) {
                *m += (y + d) / WINDOW as f32;
            }
        }
        let logits = self.head.apply(&mean);
        Ok(std::array::from_fn(|class| logits[class]))
    }

    /// The verdict on a text from at most `max_windows` of its windows.
    ///
    /// # Errors
    /// Those of [`windows`].
    pub fn classify(&self, text: &str, max_windows: usize) -> Result<Verdict, ModelError> {
        let logits = windows(text, max_windows)?
            .iter()
            .map(|w| self.forward(w))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Verdict::from_logits(&mean_logits(&logits), self.margin))
    }
}

/// Mean of the logits of several windows; zeros for none.
#[must_use]
pub fn mean_logits(logits: &[[f32; CLASSES]]) -> [f32; CLASSES] {
    let count = logits.len().max(1) as f32;
    std::array::from_fn(|class| logits.iter().map(|l| l[class]).sum::<f32>() / count)
}

/// Probabilities `exp(l_i) / sum_j exp(l_j)`, computed from the largest logit down.
#[must_use]
pub fn softmax(logits: &[f32; CLASSES]) -> [f32; CLASSES] {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers = logits.map(|l| (l - top).exp());
    let total: f32 = powers.iter().sum();
    powers.map(|p| p / total)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_sums_to_one_and_keeps_the_order() {
        let p = softmax(&[1.0, 2.0, 300.0, -300.0, 0.0, 299.0]);
        assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(p[2] > p[5] && p[5] > p[1]);
    }

    #[test]
    fn verdict_needs_the_margin() {
        let near = Verdict::from_logits(&[1.0, 0.9, 0.0, 0.0, 0.0, 0.0], 0.2);
        assert!(near.unsure && near.best == 0 && near.lead > 0.0);
        let far = Verdict::from_logits(&[0.0, 0.0, 0.0, 9.0, 0.0, 0.0], 0.2);
        assert!(!far.unsure && far.best == 3);
        assert!(Verdict::from_logits(&[f32::NAN; CLASSES], 0.0).unsure);
        assert!(Verdict::from_logits(&[f32::INFINITY; CLASSES], 0.0).unsure);
    }

    #[test]
    fn mean_of_no_windows_is_zero() {
        assert_eq!(mean_logits(&[]), [0.0; CLASSES]);
        assert_eq!(mean_logits(&[[1.0; CLASSES], [3.0; CLASSES]]), [2.0; CLASSES]);
    }
}
