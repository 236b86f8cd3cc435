//! Matrix products on batches of ciphertexts, by packing.

pub mod coefficient;
mod column;

pub use column::{ColumnWeights, Columns};
