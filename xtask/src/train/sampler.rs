//! Training examples: a window of pseudo-text and the probability of each language.
//!
//! Half of the words are function words drawn by frequency, half are words of the lists and of the sentences. Some
//! examples are short, some mix two languages and some are noise, so that the model learns when to be unsure.

use std::ops::AddAssign;

use cipherformer::model::{ALPHABET, CLASSES, SYMBOLS, Window, windows};

use super::{corpus::Language, rng::Rng};

/// A window and what is to be learnt of it.
pub struct Example {
    /// The window.
    pub window: Window,
    /// The probabilities to be learnt.
    pub target: [f32; CLASSES],
    /// The words of the text that the window was cut from; none for random letters.
    pub words: Words,
}

/// How many words came from where.
#[derive(Clone, Copy, Default)]
pub struct Words {
    /// From the function-word lists.
    pub function: usize,
    /// From the Debian word lists.
    pub list: usize,
    /// From the sentences.
    pub sentence: usize,
}

impl Words {
    /// Number of words.
    pub fn total(&self) -> usize {
        self.function + self.list + self.sentence
    }
}

impl AddAssign for Words {
    fn add_assign(&mut self, other: Self) {
        self.function += other.function;
        self.list += other.list;
        self.sentence += other.sentence;
    }
}

/// Share of function words among the words without grammar: more than half, because sentences come on top.
const FUNCTION: f64 = 0.68;

/// Draws one example.
pub fn example(languages: &[Language], rng: &mut Rng) -> Result<Example, String> {
    let class = rng.below(CLASSES);
    let language = &languages[class];
    let mut target = [0.0; CLASSES];
    target[class] = 1.0;
    let (text, words) = match rng.unit() {
        u if u < 0.46 => plain(language, rng),
        u if u < 0.60 => excerpt(language, 0.0, rng),
        u if u < 0.74 => excerpt(language, 0.5, rng),
        u if u < 0.88 => short(language, rng),
        u if u < 0.94 => {
            let other = rng.below(CLASSES);
            target[class] = 0.5;
            target[other] += 0.5;
            mixture(language, &languages[other], rng)
        }
        _ => {
            target = [1.0 / CLASSES as f32; CLASSES];
            (noise(rng), Words::default())
        }
    };
    let cut = windows(&text, usize::MAX).map_err(|e| format!("sampled text {text:?}: {e}"))?;
    Ok(Example {
        window: *rng.pick(&cut),
        target,
        words,
    })
}

/// A text in the making, and where its words come from.
#[derive(Default)]
struct Draft {
    text: Vec<String>,
    words: Words,
}

impl Draft {
    fn function(&mut self, language: &Language, rng: &mut Rng) {
        self.text.push(language.function_word(rng).clone());
        self.words.function += 1;
    }

    fn list(&mut self, language: &Language, rng: &mut Rng) {
        self.text.push(rng.pick(&language.words).clone());
        self.words.list += 1;
    }

    fn sentence(&mut self, word: String) {
        self.text.push(word);
        self.words.sentence += 1;
    }

    /// A function word with probability `share`, otherwise a word of the list.
    fn either(&mut self, language: &Language, share: f64, rng: &mut Rng) {
        if rng.chance(share) {
            self.function(language, rng);
        } else {
            self.list(language, rng);
        }
    }

    fn done(self) -> (String, Words) {
        (self.text.join(" "), self.words)
    }
}

/// Six to thirteen words: the length of a text that fills a window.
fn length(rng: &mut Rng) -> usize {
    6 + rng.below(8)
}

/// Function words and list words of a language, without grammar.
fn plain(language: &Language, rng: &mut Rng) -> (String, Words) {
    let mut draft = Draft::default();
    for _ in 0..length(rng) {
        draft.either(language, FUNCTION, rng);
    }
    draft.done()
}

/// A sentence from some word on and the beginning of another; every other time, three words of ten are replaced by
/// list words. With probability `between`, a function word comes before the next word.
fn excerpt(language: &Language, between: f64, rng: &mut Rng) -> (String, Words) {
    let first = rng.pick(&language.sentences);
    let second = rng.pick(&language.sentences);
    let start = rng.below(first.len());
    let replaced = if rng.chance(0.5) { 0.0 } else { 0.3 };
    let mut draft = Draft::default();
    let mut rest = first[start..].iter().chain(second);
    for _ in 0..length(rng) {
        if rng.chance(between) {
            draft.function(language, rng);
            continue;
        }
        let Some(word) = rest.next() else { break };
        if rng.chance(replaced) {
            draft.list(language, rng);
        } else {
            draft.sentence(word.clone());
        }
    }
    draft.done()
}

/// One to four words, or a piece of a sentence of 4 to 32 characters that may end inside a word.
fn short(language: &Language, rng: &mut Rng) -> (String, Words) {
    let mut draft = Draft::default();
    if rng.chance(0.5) {
        for _ in 0..1 + rng.below(4) {
            draft.either(language, 0.5, rng);
        }
        return draft.done();
    }
    let sentence = rng.pick(&language.sentences);
    let mut left = 4 + rng.below(29);
    for word in &sentence[rng.below(sentence.len())..] {
        if left == 0 {
            break;
        }
        draft.sentence(word.chars().take(left).collect());
        left = left.saturating_sub(word.chars().count() + 1);
    }
    draft.done()
}

/// Words of two languages by turns.
fn mixture(one: &Language, other: &Language, rng: &mut Rng) -> (String, Words) {
    let mut draft = Draft::default();
    for i in 0..8 + rng.below(6) {
        draft.either(if i % 2 == 0 { one } else { other }, 0.5, rng);
    }
    draft.done()
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use cipherformer::model::LABELS;

    use super::*;
    use crate::train::corpus::lines;

    #[test]
    fn half_of_the_words_drawn_are_function_words() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data");
        let words = ["lorem", "ipsum", "dolor"].map(str::to_owned);
        let languages = LABELS.map(|label| {
            let read = |folder| lines(&data.join(format!("{folder}/{label}.txt"))).unwrap();
            Language::new(label, &read("function-words"), &words, read("sentences"))
        });
        let mut rng = Rng::new(1);
        let mut words = Words::default();
        for _ in 0..20_000 {
            words += example(&languages, &mut rng).unwrap().words;
        }
        let share = words.function as f64 / words.total() as f64;
        assert!((share - 0.5).abs() < 0.01, "{share}");
    }
}
