//! The plain language-identification transformer: text to windows, weights, and two forward passes.
//!
//! One block, no softmax and no normalisation at inference time: every scale, shift and batch statistic of the
//! training is folded into the affine maps, so that the formulas below are exact and made of additions and
//! multiplications only. That is the form an encrypted evaluation runs.
//!
//! ```text
//! x_t = E[token_t]                                        t = 0..32, width 32
//! q = Wq x + bq,  k = Wk x + bk,  v = Wv x + bv           2 heads of 16 features
//! p_tu = (q_t . k_u + shift_h)^2 + offset_h               per head
//! o_t = sum_u p_tu v_u
//! y = x + Wo o + bo
//! h = W1 y + b1,  z = y + W2 (h * h) + b2                 hidden width 64
//! logits = Wh mean_t(z) + bh                              en fr de es it nl
//! ```
//!
//! It is sigma-attention, `sigma(Q K^T / sqrt(d)) V / sqrt(L)` with a quadratic `sigma` (Zimerman et al.,
//! arXiv 2311.08610), and a quadratic activation, both written as completed squares.
//!
//! [`LanguageModel`] holds `f32` weights and is the definition; [`Quantised`] holds the same matrices as integers
//! over `2^`[`WEIGHT_BITS`] and computes in `f64`; its [`Trace`] names every intermediate value. [`Embedding`] is what a client needs.

pub mod embedding;
pub mod error;
pub mod forward;
pub mod heldout;
pub mod quantised;
pub mod ranges;
pub mod text;
pub mod weights;

pub use embedding::Embedding;
pub use error::ModelError;
pub use forward::{Verdict, mean_logits, softmax};
pub use heldout::heldout;
pub use quantised::{Integers, Quantised, Trace, WEIGHT_BITS};
pub use ranges::Ranges;
pub use text::{ALPHABET, MAX_TEXT_BYTES, SYMBOLS, WINDOW, Window, normalise, windows};
pub(crate) use weights::VALUE_LIMIT;
pub use weights::{
    Affine, CLASSES, Config, HEAD_WIDTH, HEADS, HIDDEN, LABELS, LanguageModel, VOCABULARY, WIDTH,
};
