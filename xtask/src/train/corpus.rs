//! What the training text is made of: function words by frequency, word lists, and sentences.

use std::{fs, path::Path};

use cipherformer::model::{LABELS, normalise};

use super::rng::Rng;

/// File names of the Debian word lists, in the order of the labels.
pub const WORD_LISTS: [&str; LABELS.len()] = [
    "american-english",
    "french",
    "ngerman",
    "spanish",
    "italian",
    "dutch",
];

/// The packages they come from.
pub const PACKAGES: &str = "wamerican wfrench wngerman wspanish witalian wdutch";

/// One in so many sentences is kept out of the training, to calibrate the margin.
const CALIBRATION: usize = 10;

/// The material of one language, normalised.
pub struct Language {
    /// Most frequent first.
    function_words: Vec<String>,
    /// Running sums of the weights `1 / (rank + 3)`.
    weights: Vec<f64>,
    /// The word list.
    pub words: Vec<String>,
    /// The words of each training sentence.
    pub sentences: Vec<Vec<String>>,
    /// The sentences kept for calibration, as written.
    pub calibration: Vec<String>,
}

impl Language {
    /// Normalises and sorts out the material. Every list needs at least one usable entry.
    pub fn new(label: &str, function_words: &[String], words: &[String], sentences: Vec<String>) -> Self {
        let mut total = 0.0;
        let weights = (0..function_words.len()).map(|rank| {
            total += 1.0 / (rank as f64 + 3.0);
            total
        });
        let weights = weights.collect();
        let (kept, trained): (Vec<_>, Vec<_>) = sentences
            .into_iter()
            .enumerate()
            .partition(|(i, _)| i % CALIBRATION == CALIBRATION - 1);
        Self {
            function_words: function_words.iter().map(|w| normalise(w)).collect(),
            weights,
            words: words
                .iter()
                .filter(|w| usable(w, label))
                .map(|w| normalise(w))
                .collect(),
            sentences: trained.iter().map(|(_, s)| split(s)).collect(),
            calibration: kept.into_iter().map(|(_, s)| s).collect(),
        }
    }

    /// Number of function words.
    pub fn function_words(&self) -> usize {
        self.function_words.len()
    }

    /// A function word, drawn by its frequency.
    pub fn function_word(&self, rng: &mut Rng) -> &String {
        let total = self.weights.last().copied().unwrap_or(0.0);
        let at = rng.unit() * total;
        let rank = self
            .weights
            .partition_point(|w| *w <= at)
            .min(self.function_words.len() - 1);
        &self.function_words[rank]
    }
}

/// Reads the material of every language.
pub fn load(root: &Path, lists: &Path) -> Result<Vec<Language>, String> {
    LABELS
        .iter()
        .zip(WORD_LISTS)
        .map(|(label, list)| language(root, label, &lists.join(list)))
        .collect()
}

fn language(root: &Path, label: &str, list: &Path) -> Result<Language, String> {
    let function_words = lines(&root.join(format!("data/function-words/{label}.txt")))?;
    let sentences = lines(&root.join(format!("data/sentences/{label}.txt")))?;
    let words = lines(list)
        .map_err(|e| format!("{e}; the training reads Debian's word lists: `apt-get install {PACKAGES}`"))?;
    Ok(Language::new(label, &function_words, &words, sentences))
}

/// Whether a line of a word list is an ordinary word: no name or abbreviation, no English genitive, 3 to 18 letters.
fn usable(word: &str, label: &str) -> bool {
    let start = if label == "de" { 1 } else { 0 };
    let special = word.chars().skip(start).any(char::is_uppercase) || (label == "en" && word.contains('\''));
    let length = word.chars().count();
    !special && (3..=18).contains(&length) && normalise(word).chars().count() == length
}

fn split(sentence: &str) -> Vec<String> {
    normalise(sentence).split(' ').map(str::to_owned).collect()
}

/// The lines of a file that are not empty; an error if there is none.
pub fn lines(path: &Path) -> Result<Vec<String>, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let lines: Vec<String> = text
        .lines()
        .map(str::to_owned)
        .filter(|l| !l.is_empty())
        .collect();
    if lines.is_empty() {
        return Err(format!(
            "{} holds no line: the training needs at least one",
            path.display()
        ));
    }
    Ok(lines)
}
