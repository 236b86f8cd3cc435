//! The held-out sentences: written for the test alone, never seen in training.

use std::sync::OnceLock;

use super::LABELS;

const TABLE: &str = include_str!("../../data/heldout.tsv");

/// Every held-out sentence with the index of its language in [`LABELS`].
#[must_use]
pub fn heldout() -> &'static [(usize, &'static str)] {
    static ROWS: OnceLock<Vec<(usize, &'static str)>> = OnceLock::new();
    ROWS.get_or_init(|| TABLE.lines().filter_map(row).collect())
}

fn row(line: &'static str) -> Option<(usize, &'static str)> {
    let (label, sentence) = line.split_once('\t')?;
    Some((LABELS.iter().position(|l| *l == label)?, sentence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_labelled_sentence_of_32_characters_or_more() {
        assert_eq!(heldout().len(), TABLE.lines().count());
        for language in 0..LABELS.len() {
            assert!(heldout().iter().filter(|(l, _)| *l == language).count() >= 45);
        }
        for (_, sentence) in heldout() {
            assert!(sentence.chars().count() >= 32, "{sentence}");
        }
    }
}
