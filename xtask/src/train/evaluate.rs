//! What is measured of a trained model: accuracy, agreement of its two forms, and the margin.

use std::collections::HashSet;

use cipherformer::model::{CLASSES, LanguageModel, ModelError, Quantised, Verdict, heldout, normalise};

use super::{corpus::Language, rng::Rng, sampler};

/// Most windows of a text that are looked at.
pub const WINDOWS: usize = 64;

/// Characters of a calibration piece: the shortest text for which the accuracy is promised.
const PIECE: usize = 32;

/// Versions of a calibration sentence with three words of ten replaced by list words.
pub const VARIANTS: usize = 9;

/// Lengths of the accuracy table, in characters.
pub const TABLE: [usize; 4] = [12, 20, 32, 64];

/// Right answers and all answers, per language.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct Score {
    /// Named the right language first.
    pub right: [usize; CLASSES],
    /// Texts.
    pub all: [usize; CLASSES],
}

impl Score {
    /// Share of right answers.
    pub fn accuracy(&self) -> f64 {
        self.right.iter().sum::<usize>() as f64 / self.total().max(1) as f64
    }

    /// Number of texts.
    pub fn total(&self) -> usize {
        self.all.iter().sum()
    }
}

/// Scores the held-out sentences, cut to their first `characters` if given.
pub fn score(model: &LanguageModel, characters: Option<usize>) -> Result<Score, String> {
    let mut score = Score::default();
    for (language, sentence) in heldout() {
        let verdict = classify(model, &prefix(sentence, characters))?;
        score.all[*language] += 1;
        score.right[*language] += usize::from(verdict.best == *language);
    }
    Ok(score)
}

/// How often the quantised twin names the same language first, over the held-out sentences whole and cut to the
/// lengths of [`TABLE`]; the largest difference of a logit of a whole sentence's first window.
pub struct Agreement {
    /// Whole sentences with the same answer, of [`heldout`].
    pub whole: usize,
    /// Cut sentences with the same answer.
    pub cut: usize,
    /// Largest difference between a probability of the two forms, over the whole sentences.
    pub probability: f32,
}

/// Compares the two forms of the model.
pub fn agreement(model: &LanguageModel) -> Result<Agreement, String> {
    let twin = Quantised::from(model);
    let mut agreement = Agreement {
        whole: 0,
        cut: 0,
        probability: 0.0,
    };
    for (_, sentence) in heldout() {
        for characters in [None].into_iter().chain(TABLE.map(Some)) {
            let text = prefix(sentence, characters);
            let rounded = twin.classify(&text, WINDOWS).map_err(|e| e.to_string())?;
            let plain = classify(model, &text)?;
            let same = usize::from(plain.best == rounded.best);
            if characters.is_some() {
                agreement.cut += same;
                continue;
            }
            agreement.whole += same;
            for (a, b) in plain.probabilities.iter().zip(rounded.probabilities) {
                agreement.probability = agreement.probability.max((a - b).abs());
            }
        }
    }
    Ok(agreement)
}

/// The texts a margin is calibrated on, none of them trained on or held out.
pub struct Calibration {
    /// Sentences kept out of the training, whole and cut into pieces of 32 characters, and the same with words replaced.
    pub pieces: Vec<String>,
    /// Random letters.
    pub noise: Vec<String>,
    /// Words that stand in two or more of the word lists, by themselves.
    pub shared: Vec<String>,
}

impl Calibration {
    /// Collects the kept sentences and draws the rest.
    pub fn new(languages: &[Language], rng: &mut Rng) -> Self {
        let mut pieces = Vec::new();
        for language in languages {
            for sentence in &language.calibration {
                for variant in 0..=VARIANTS {
                    let replaced = if variant == 0 { 0.0 } else { 0.3 };
                    let words = normalise(sentence);
                    let words = words.split(' ').map(|word| {
                        if rng.chance(replaced) {
                            rng.pick(&language.words).as_str()
                        } else {
                            word
                        }
                    });
                    let text = words.collect::<Vec<_>>().join(" ");
                    let characters: Vec<char> = text.chars().collect();
                    pieces.extend(
                        characters
                            .chunks_exact(PIECE)
                            .map(|c| c.iter().collect::<String>()),
                    );
                    pieces.push(text);
                }
            }
        }
        let noise = (0..1000).map(|_| sampler::noise(rng)).collect();
        let mut seen = HashSet::new();
        let mut shared: Vec<&String> = Vec::new();
        for language in languages {
            let own: HashSet<&String> = language.words.iter().collect();
            shared.extend(language.words.iter().filter(|w| seen.contains(*w)));
            seen.extend(own);
        }
        let shared = (0..1000).map(|_| (*rng.pick(&shared)).clone()).collect();
        Self {
            pieces,
            noise,
            shared,
        }
    }

    /// The largest margin, in hundredths up to 0.9, that leaves at most `allowed` of the pieces unsure.
    pub fn margin(&self, model: &LanguageModel, allowed: f64) -> Result<f32, String> {
        let leads = leads(model, &self.pieces)?;
        let fits = |margin: &f32| share_below(&leads, *margin) <= allowed;
        Ok((0..=90)
            .map(|hundredths| hundredths as f32 / 100.0)
            .filter(fits)
            .fold(0.0, f32::max))
    }
}

/// Share of texts whose lead is below `margin`.
pub fn unsure(model: &LanguageModel, texts: &[String], margin: f32) -> Result<f64, String> {
    Ok(share_below(&leads(model, texts)?, margin))
}

fn leads(model: &LanguageModel, texts: &[String]) -> Result<Vec<f32>, String> {
    texts.iter().map(|text| Ok(classify(model, text)?.lead)).collect()
}

fn share_below(leads: &[f32], margin: f32) -> f64 {
    leads.iter().filter(|lead| **lead < margin).count() as f64 / leads.len().max(1) as f64
}

/// The verdict on a text.
pub fn classify(model: &LanguageModel, text: &str) -> Result<Verdict, String> {
    model
        .classify(text, WINDOWS)
        .map_err(|e: ModelError| format!("{text:?}: {e}"))
}

fn prefix(sentence: &str, characters: Option<usize>) -> String {
    match characters {
        Some(count) => normalise(sentence).chars().take(count).collect(),
        None => sentence.to_owned(),
    }
}
