//! Products of encrypted matrices, by packing.
//!
//! A [`MatmulPlan`] computes Y_b = X_b W for encrypted X_b and a plain W, of any shape:
//!
//! 1. [`MatmulPlan::new`] with a [`Shape`] and a [`Packing`];
//! 2. [`encode_weights`](MatmulPlan::encode_weights) on the server, from f32, f16, bf16 or i8 [`Weights`];
//! 3. [`encrypt_inputs`](MatmulPlan::encrypt_inputs) on the client;
//! 4. [`run`](MatmulPlan::run), for inputs of one client or of several that have different keys ([`Inputs::join`]);
//! 5. [`decrypt_outputs`](MatmulPlan::decrypt_outputs).
//!
//! Inside of circuits, [`ColumnWeights`] and [`Columns`] work on ciphertexts that are there already: affine maps, scores Q K^T and
//! weighted sums in column packing, all requests at once; [`TiledColumns`] does so for any numbers of queries and keys.
//! [`SingleAttention`] has scores and weighted sums of one request in diagonal packing. docs/matmul.md says which packing wins where.

mod blocks;
mod bound;
pub mod coefficient;
mod column;
mod cost;
mod demands;
mod diagonal;
mod encode;
mod error;
mod halved;
mod layout;
mod operands;
mod plaintexts;
mod plan;
mod rates;
mod run;
mod shape;
mod single;
mod slots;
mod tiled;

pub use blocks::Blocks;
pub use column::{ColumnWeights, Columns};
pub use cost::{Choice, Cost, choose, cost, plans};
pub use diagonal::Diagonal;
pub use error::{MatmulError, Result};
pub use operands::{EncodedWeights, Inputs, Outputs, SeededInputs};
pub use plan::{MatmulPlan, Options, Packing};
pub use rates::Rates;
pub use shape::{Shape, Weights};
pub use single::SingleAttention;
pub use slots::SlotError;
pub use tiled::TiledColumns;
