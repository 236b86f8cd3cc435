//! Matrix products in BFV with coefficient packing: no rotation to sum up, no slots, any t from 2 to 2^64.
//!
//! Entries are coefficients, laid out so that one product of polynomials is a b x i block times an i x o block ([`Block`]; Huang, Lu,
//! Hong, Ding, eprint 2022/207 and the works it led to). Larger matrices are tiled; sums over the inner dimension are sums of products in the
//! evaluation domain, reduced once. Results lie i coefficients apart: they travel without the coefficients of c_0 between
//! ([`Output::Cut`]), or i ciphertexts are interleaved into one ([`Output::Packed`]), and at the lowest modulus that leaves decryption
//! certain. `docs/coefficient-packing.md` has the formulas, counts and measured times.
//!
//! ```
//! # #[cfg(feature = "fallback")] fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use cipherformer::{
//!     backend::cpu::Cpu,
//!     bfv::{Bfv, Params, Release, Spec},
//!     matmul::coefficient::{Output, Plain, Plan, Request, Shape, Side},
//!     rlwe::{KeyNeeds, SecretKey},
//! };
//!
//! let params = Params::new(Spec::n13(1 << 37))?;
//! let request = Request::new(Shape::new(2, 3, 2)).output(Output::Packed).weight_bound(1 << 12);
//! let plan = Plan::new(&params, &request)?; // Either side makes it.
//! let bfv = Bfv::new(Cpu::new(), params)?;
//!
//! // The client.
//! let secret = SecretKey::generate(bfv.context())?;
//! let keys = secret.evaluation_keys(&plan.keys(KeyNeeds::new(bfv.params().rlwe())))?;
//! let sent = plan.encrypt(&bfv, &secret, Side::Left, &[1, 2, 3, 4, 5, 6])?;
//!
//! // The server.
//! let weights = plan.weights(&[1, -1, 0, 2, 1, 1])?.with_bias(&[0, 10])?;
//! let (inputs, keys) = (sent.expand(bfv.context())?, keys.expand(bfv.context())?);
//! let results = plan.multiply(&bfv, &Plain::OnTheFly(&weights), &[inputs], &[&keys])?;
//!
//! // The client again.
//! for results in results {
//!     let outputs = results.release(&bfv)?;
//!     let product = outputs.decrypt(&bfv, &secret)?.release_centred(Release::Owner)?;
//!     assert_eq!(product, [4, 16, 10, 22]);
//! }
//! # Ok(()) }
//! # #[cfg(not(feature = "fallback"))] fn main() {}
//! ```
//!
//! # Exactness
//!
//! A plan bounds the noise of results whatever the operands, by [`Noise`](crate::bfv::Noise), and is refused before any work when no level
//! leaves it below 1/2: a result is never wrong, but with probability 2^-128 over the key.
//!
//! # What results tell the owner of the key
//!
//! The noise of results depends on the plain operand, and so does c_1 of an unmasked result, which is a sum of products of ciphertexts
//! that the client knows with weights that it does not. *Results as they are released here hide nothing of the plain operand from
//! the client.* Between parties that do not trust one another they need a fresh encryption of zero, noise that floods theirs
//! ([`Request::headroom_bits`] keeps room for it), and masks: [`Results`] is the place for these. That is a protocol's task, not this
//! module's.

mod cost;
mod error;
mod operand;
mod output;
mod plan;
mod rates;
mod request;
mod run;
mod search;
mod shape;
#[cfg(all(test, feature = "fallback"))]
mod tests;
mod weights;

pub use cost::Costs;
pub use error::CoefficientError;
pub use operand::Side;
pub(crate) use output::{Body, Cut};
pub use output::{Outputs, Results};
pub use plan::{Levels, Plan};
pub use request::{Encrypted, Objective, Output, Request};
pub use shape::{Block, Shape};
pub use weights::{Plain, Prepared, Weights};

/// Result of planning and computing.
pub type Result<T> = std::result::Result<T, CoefficientError>;
