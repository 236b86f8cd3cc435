//! Encrypted transformer inference.

mod attention;
mod block;
mod language;
mod plain;
mod power;
mod progress;

pub use attention::{Attention, Head};
pub use block::Block;
pub use language::{LanguageClassifier, Requests};
pub use plain::PlainAttention;
#[cfg(feature = "bench")]
pub(crate) use plain::affine;
pub use power::PowerAttention;
pub use progress::{Progress, Stage};
