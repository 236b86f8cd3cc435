//! Text to tokens: a token is an overlapping pair of characters of the normalised text.
//!
//! `token_t = first * SYMBOLS + second` for the characters `c_t, c_(t+1)`, indices into [`ALPHABET`]. A window is
//! [`WINDOW`] consecutive tokens, so 33 characters.

use super::ModelError;

/// The characters the model reads, in index order; the space comes first.
pub const ALPHABET: &str = " 'abcdefghijklmnopqrstuvwxyzàáâäæçèéêëìíîïñòóôöœßùúûüÿ";

/// Number of characters in [`ALPHABET`].
pub const SYMBOLS: usize = 54;

/// Tokens per window.
pub const WINDOW: usize = 32;

/// Longest text taken, in bytes.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;

/// One window: [`WINDOW`] tokens, each below `SYMBOLS * SYMBOLS`.
pub type Window = [u16; WINDOW];

/// Lower-cases, maps what the alphabet lacks to a space, and makes every run of spaces one space; no space at
/// either end.
///
/// Typographic apostrophes become `'`, and a letter followed by a combining accent becomes the accented letter.
#[must_use]
pub fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_lowercase) {
        if let Some(composed) = out.chars().next_back().and_then(|base| compose(base, c)) {
            out.pop();
            out.push(composed);
            continue;
        }
        let c = match c {
            '\u{2019}' | '\u{2018}' | '\u{02bc}' => '\'',
            c if symbol(c).is_some() => c,
            _ => ' ',
        };
        if c != ' ' || !(out.is_empty() || out.ends_with(' ')) {
            out.push(c);
        }
    }
    if out.ends_with(' ') {
        out.pop();
    }
    out
}

/// Cuts a text into at most `max` windows.
///
/// A text of up to [`WINDOW`] characters is repeated around, one space between, to fill one window. A longer one
/// gives consecutive windows, the last aligned to the end; of more than `max`, evenly spaced ones are kept, the first
/// among them.
///
/// # Errors
/// [`ModelError::TextTooLong`] above [`MAX_TEXT_BYTES`], [`ModelError::NoLetter`] without a letter of the alphabet,
/// [`ModelError::NoWindow`] for `max == 0`.
pub fn windows(text: &str, max: usize) -> Result<Vec<Window>, ModelError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(ModelError::TextTooLong {
            bytes: text.len(),
            limit: MAX_TEXT_BYTES,
        });
    }
    if max == 0 {
        return Err(ModelError::NoWindow);
    }
    let mut symbols: Vec<u16> = normalise(text).chars().filter_map(symbol).collect();
    if symbols.iter().all(|&s| s < FIRST_LETTER) {
        return Err(ModelError::NoLetter {
            characters: text.chars().count(),
        });
    }
    if symbols.len() <= WINDOW {
        symbols.push(SPACE);
        return Ok(vec![window(&symbols, 0)]);
    }
    let pairs = symbols.len() - 1;
    let count = pairs.div_ceil(WINDOW);
    let kept = count.min(max);
    let starts = (0..kept).map(|i| {
        let index = if kept == 1 {
            0
        } else {
            i * (count - 1) / (kept - 1)
        };
        (index * WINDOW).min(pairs - WINDOW)
    });
    Ok(starts.map(|start| window(&symbols, start)).collect())
}

const SPACE: u16 = 0;
const FIRST_LETTER: u16 = 2;

fn window(symbols: &[u16], start: usize) -> Window {
    let at = |t: usize| symbols[(start + t) % symbols.len()];
    std::array::from_fn(|t| at(t) * SYMBOLS as u16 + at(t + 1))
}

fn symbol(c: char) -> Option<u16> {
    match c {
        'a'..='z' => Some(c as u16 - 'a' as u16 + FIRST_LETTER),
        _ => ALPHABET.chars().position(|a| a == c).map(|i| i as u16),
    }
}

/// The letter of the alphabet made of a base letter and a combining mark.
fn compose(base: char, mark: char) -> Option<char> {
    let (bases, composed) = match mark {
        '\u{300}' => ("aeiou", "àèìòù"),
        '\u{301}' => ("aeiou", "áéíóú"),
        '\u{302}' => ("aeiou", "âêîôû"),
        '\u{303}' => ("n", "ñ"),
        '\u{308}' => ("aeiouy", "äëïöüÿ"),
        '\u{327}' => ("c", "ç"),
        _ => return None,
    };
    composed.chars().nth(bases.chars().position(|b| b == base)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spell(window: &Window) -> String {
        let letters: Vec<char> = ALPHABET.chars().collect();
        let mut out: String = window.iter().map(|&t| letters[t as usize / SYMBOLS]).collect();
        out.push(letters[window[WINDOW - 1] as usize % SYMBOLS]);
        out
    }

    #[test]
    fn alphabet_has_the_declared_size_and_order() {
        assert_eq!(ALPHABET.chars().count(), SYMBOLS);
        for (i, c) in ALPHABET.chars().enumerate() {
            assert_eq!(symbol(c), Some(i as u16), "{c}");
        }
    }

    #[test]
    fn normalise_keeps_letters_and_collapses_the_rest() {
        assert_eq!(normalise("  L’Été,  c'est 42 % \n mieux! "), "l'été c'est mieux");
        assert_eq!(normalise("STRASSE ẞ Œuvre"), "strasse ß œuvre");
        assert_eq!(normalise("e\u{301}cole man\u{303}ana x\u{301}"), "école mañana x");
        assert_eq!(normalise("日本 12"), "");
    }

    #[test]
    fn short_text_goes_around() {
        let w = windows("ab c", 4).unwrap();
        assert_eq!(w.len(), 1);
        assert_eq!(spell(&w[0]), "ab c ab c ab c ab c ab c ab c ab ");
    }

    #[test]
    fn window_boundaries() {
        let text: String = "abcdefghijklmnopqrstuvwxyz".chars().cycle().take(200).collect();
        for (length, count) in [(32, 1), (33, 1), (34, 2), (65, 2), (66, 3), (97, 3)] {
            let w = windows(&text[..length], 99).unwrap();
            assert_eq!(w.len(), count, "{length}");
            if length > 32 {
                assert_eq!(spell(&w[count - 1]), text[length - 33..length]);
                assert_eq!(spell(&w[0]), text[..33]);
            }
        }
        let all = windows(&text, 99).unwrap();
        let some = windows(&text, 3).unwrap();
        assert_eq!((all.len(), some.len()), (7, 3));
        assert_eq!([some[0], some[1], some[2]], [all[0], all[3], all[6]]);
        assert_eq!(windows(&text, 1).unwrap(), [all[0]]);
    }

    #[test]
    fn refusals_are_typed() {
        assert_eq!(windows("", 1), Err(ModelError::NoLetter { characters: 0 }));
        assert_eq!(windows("12'34", 1), Err(ModelError::NoLetter { characters: 5 }));
        assert_eq!(windows("a", 0), Err(ModelError::NoWindow));
        let long = "a".repeat(MAX_TEXT_BYTES + 1);
        assert_eq!(
            windows(&long, 1),
            Err(ModelError::TextTooLong {
                bytes: MAX_TEXT_BYTES + 1,
                limit: MAX_TEXT_BYTES
            })
        );
        assert!(windows(&long[1..], 1).is_ok());
    }
}
