//! Encrypted transformer inference.

mod block;
mod language;
mod progress;

pub use block::{Block, Head};
pub use language::{LanguageClassifier, Requests};
pub use progress::{Progress, Stage};
