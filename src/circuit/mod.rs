//! Functions of encrypted numbers: polynomials, their approximation, and what is made of them.
//!
//! A [`Polynomial`] is evaluated by Paterson and Stockmeyer's method at depth ceil(log2(d + 1)), with exact scales
//! ([`Powers`]). Circuits are written once, against [`Arithmetic`], and run on ciphertexts ([`Encrypted`]) or on their description
//! ([`Forecast`]): what `explain` reports and what is checked before work starts is the very circuit that then runs.

pub mod approximate;
mod arithmetic;
pub mod bootstrap;
pub mod dft;
mod error;
mod evaluate;
mod explain;
mod forecast;
pub mod functions;
mod interval;
pub mod linear;
mod polynomial;
mod powers;
mod scaled;
#[cfg(all(test, feature = "fallback"))]
mod testing;
mod work;

pub use arithmetic::{Arithmetic, Encrypted};
pub use error::CircuitError;
pub use evaluate::{Output, evaluate, evaluate_all};
pub use explain::{Accuracy, Circuit, Explanation};
pub use forecast::{Cost, Estimate, Forecast};
pub use interval::Interval;
pub use polynomial::{Basis, Polynomial};
pub use powers::Powers;

/// Result of an operation of this layer.
pub type Result<T> = std::result::Result<T, CircuitError>;
