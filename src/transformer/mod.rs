//! Encrypted transformer inference.

mod attention;
mod block;
mod language;
mod progress;

pub use attention::{Attention, Head};
pub use block::Block;
pub use language::{LanguageClassifier, Requests};
pub use progress::{Progress, Stage};
