//! What can be wrong with a text or a weight file.

use thiserror::Error;

/// Why a text could not be cut into windows or a weight file could not be used.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The text holds no letter of the alphabet.
    #[error(
        "no letter found in a text of {characters} character{}: the model reads Latin letters of its six languages; \
         give it a text with at least one word in them",
        if *characters == 1 { "" } else { "s" }
    )]
    NoLetter {
        /// Characters of the text as given.
        characters: usize,
    },
    /// The text is longer than [`MAX_TEXT_BYTES`](super::MAX_TEXT_BYTES).
    #[error(
        "text of {bytes} bytes is over the limit of {limit}: cut it, a few hundred characters are enough"
    )]
    TextTooLong {
        /// Bytes of the text.
        bytes: usize,
        /// The most bytes taken.
        limit: usize,
    },
    /// No window was asked for.
    #[error("0 windows asked for: the answer is a mean over windows, so ask for at least 1")]
    NoWindow,
    /// A window holds a token that no pair of characters has.
    #[error(
        "token {token} at position {position} is outside the vocabulary of {vocabulary}: make windows with \
         `model::windows`"
    )]
    Token {
        /// Position in the window.
        position: usize,
        /// The token found.
        token: u16,
        /// Number of tokens.
        vocabulary: usize,
    },
    /// The bytes are not a safetensors file.
    #[error("not a readable safetensors file of {bytes} bytes ({reason}): fetch or export the file again")]
    Container {
        /// Bytes given.
        bytes: usize,
        /// What the reader said.
        reason: String,
    },
    /// The description in the file's header is missing or is for another model.
    #[error(
        "weight file describes `{field}` as {found}, this model needs {wanted}: use a file written by \
         `cargo xtask train` of this version"
    )]
    Config {
        /// Entry of the header.
        field: &'static str,
        /// What the file says.
        found: String,
        /// What is needed.
        wanted: String,
    },
    /// The bytes are not those that were written.
    #[error(
        "the checksum in the header is {found:?}, that of the contents {wanted}: the file is damaged or no embedding file; \
         make it again with `cipherformer keygen`"
    )]
    Checksum {
        /// In the header.
        found: String,
        /// Of what is there.
        wanted: String,
    },
    /// A tensor is not in the file.
    #[error("tensor `{tensor}` is missing from the weight file: the model needs all 17 of its tensors")]
    Missing {
        /// Name of the tensor.
        tensor: String,
    },
    /// A tensor has another shape or element type.
    #[error("tensor `{tensor}` is {found}, the model needs {wanted}: the file is for another model")]
    Shape {
        /// Name of the tensor.
        tensor: String,
        /// Type and shape in the file.
        found: String,
        /// Type and shape needed.
        wanted: String,
    },
    /// A value is infinite, not a number, or too large to be held as an integer weight.
    #[error(
        "tensor `{tensor}` holds {value} at index {index}, the limit is a finite value of at most {limit}: the file \
         is damaged or the training diverged"
    )]
    Value {
        /// Name of the tensor.
        tensor: String,
        /// Row-major index of the value.
        index: usize,
        /// The value.
        value: f32,
        /// Largest magnitude taken.
        limit: f32,
    },
}
