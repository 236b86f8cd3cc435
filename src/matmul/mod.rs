//! Matrix products on batches of ciphertexts, by packing.

mod column;

pub use column::{ColumnWeights, Columns};
