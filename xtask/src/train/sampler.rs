//! Training examples: a window of pseudo-text and the probability of each language.
//!
//! Half of the text is function words drawn by frequency and half is words of the lists and of the sentences. Some
//! examples are short, some mix two languages and some are noise, so that the model learns when to be unsure.

use cipherformer::model::{ALPHABET, CLASSES, SYMBOLS, Window, windows};

use super::{corpus::Language, rng::Rng};

/// A window and the probabilities to be learnt.
pub type Example = (Window, [f32; CLASSES]);

/// Draws one example.
pub fn example(languages: &[Language], rng: &mut Rng) -> Result<Example, String> {
    let class = rng.below(CLASSES);
    let language = &languages[class];
    let mut target = [0.0; CLASSES];
    target[class] = 1.0;
    let text = match rng.unit() {
        u if u < 0.40 => pseudo_text(language, rng),
        u if u < 0.74 => excerpt(language, rng),
        u if u < 0.88 => short(language, rng),
        u if u < 0.94 => {
            let other = rng.below(CLASSES);
            target[class] = 0.5;
            target[other] += 0.5;
            mixture(language, &languages[other], rng)
        }
        _ => {
            target = [1.0 / CLASSES as f32; CLASSES];
            noise(rng)
        }
    };
    let cut = windows(&text, usize::MAX).map_err(|e| format!("sampled text {text:?}: {e}"))?;
    Ok((*rng.pick(&cut), target))
}

/// Words of a language, without grammar: half function words, half list words.
pub fn pseudo_text(language: &Language, rng: &mut Rng) -> String {
    let count = 6 + rng.below(8);
    join((0..count).map(|_| language.word(rng).clone()))
}

/// A sentence from some word on and the beginning of another, a few words replaced by list words.
fn excerpt(language: &Language, rng: &mut Rng) -> String {
    let first = rng.pick(&language.sentences);
    let second = rng.pick(&language.sentences);
    let start = rng.below(first.len());
    let replaced = if rng.chance(0.5) { 0.0 } else { 0.3 };
    join(first[start..].iter().chain(second).map(|word| {
        if rng.chance(replaced) {
            rng.pick(&language.words).clone()
        } else {
            word.clone()
        }
    }))
}

/// One to four words, or a piece of a sentence of 4 to 32 characters that may end inside a word.
fn short(language: &Language, rng: &mut Rng) -> String {
    if rng.chance(0.5) {
        let count = 1 + rng.below(4);
        return join((0..count).map(|_| language.word(rng).clone()));
    }
    let sentence = rng.pick(&language.sentences);
    let length = 4 + rng.below(29);
    join(sentence[rng.below(sentence.len())..].iter().cloned())
        .chars()
        .take(length)
        .collect()
}

/// Words of two languages by turns.
fn mixture(one: &Language, other: &Language, rng: &mut Rng) -> String {
    let count = 8 + rng.below(6);
    join((0..count).map(|i| {
        if i % 2 == 0 {
            one.word(rng)
        } else {
            other.word(rng)
        }
        .clone()
    }))
}

/// Random letters, plain ones mostly, in words of 1 to 9, or few letters over and over.
pub fn noise(rng: &mut Rng) -> String {
    let letters: Vec<char> = ALPHABET.chars().skip(2).collect();
    let range = if rng.chance(0.8) { 26 } else { letters.len() };
    let pool: Vec<char> = match rng.unit() {
        u if u < 0.7 => letters[..range].to_vec(),
        u if u < 0.85 => (0..1 + rng.below(4)).map(|_| letters[rng.below(range)]).collect(),
        _ => "bcdfghjklmnpqrstvwxz".chars().collect(),
    };
    let count = 1 + rng.below(9);
    join((0..count).map(|_| {
        (0..1 + rng.below(9))
            .map(|_| *rng.pick(&pool))
            .collect::<String>()
    }))
}

/// The window of every text that repeats one, two or three characters without end, each once: the inputs that make
/// the attention sum largest.
pub fn periodic() -> Vec<Window> {
    let mut all = Vec::new();
    for period in 1..=3 {
        for code in 0..SYMBOLS.pow(period) {
            let symbol = |i: u32| code / SYMBOLS.pow(i % period) % SYMBOLS;
            let rotated = |by| {
                (0..period)
                    .map(|i| symbol(i + by) * SYMBOLS.pow(i))
                    .sum::<usize>()
            };
            if (1..period).all(|by| code <= rotated(by)) {
                all.push(std::array::from_fn(|t| {
                    (symbol(t as u32) * SYMBOLS + symbol(t as u32 + 1)) as u16
                }));
            }
        }
    }
    all
}

fn join(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(" ")
}
