//! Texts of the user, and how they fill batches.

use std::{fs, io::Read, path::Path};

use super::Failure;
use crate::report::bytes;

/// Windows of a batch: 32 tokens times 256 fill the slots of N = 2^14.
pub(super) const BATCH: usize = 256;
/// Windows that one line of a file may take.
pub(super) const WINDOWS_OF_A_LINE: usize = 8;
/// Largest file.
const MAX_FILE_BYTES: u64 = 64 << 20;

const FILE_REMEDY: &str = "pass a UTF-8 text file with one text a line";

const NAMES: [(&str, &str); 6] = [
    ("en", "English"),
    ("fr", "French"),
    ("de", "German"),
    ("es", "Spanish"),
    ("it", "Italian"),
    ("nl", "Dutch"),
];

/// The language of a label.
pub(super) fn language(label: &str) -> &str {
    NAMES
        .iter()
        .find(|(code, _)| *code == label)
        .map_or(label, |(_, name)| name)
}

/// A file of texts.
pub(super) fn content(path: &Path) -> Result<String, Failure> {
    // Devices and pipes say nothing of their length, so that reading itself is bounded.
    let mut content = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut content));
    read.map_err(|e| format!("{}: {e}; {FILE_REMEDY}", path.display()))?;
    if content.len() as u64 > MAX_FILE_BYTES {
        let most = bytes(MAX_FILE_BYTES as usize);
        return Err(format!(
            "{}: more than {most}, which are the most; split the file",
            path.display()
        )
        .into());
    }
    let content = match content.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => rest.to_vec(),
        None => content,
    };
    String::from_utf8(content).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        format!(
            "{}: not UTF-8 at byte {at}; convert it, for example with iconv -t UTF-8",
            path.display()
        )
        .into()
    })
}

/// The lines that hold something, with their numbers from 1.
pub(super) fn lines(content: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = content.lines().enumerate().map(|(i, line)| (i + 1, line));
    numbered.filter(|(_, line)| !line.trim().is_empty())
}

/// What to say of a file without any text.
pub(super) fn no_text(path: &Path) -> Failure {
    let most = bytes(crate::model::MAX_TEXT_BYTES);
    format!(
        "{}: no line holds a text (letters, at most {most}); {FILE_REMEDY}",
        path.display()
    )
    .into()
}

/// A number of things.
pub(super) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
