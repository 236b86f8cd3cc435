//! Encrypted transformer inference.

mod attention;
mod block;
mod language;
mod power;
mod progress;

pub use attention::{Attention, Head};
pub use block::Block;
pub use language::{LanguageClassifier, Requests};
pub use power::PowerAttention;
pub use progress::{Progress, Stage};
