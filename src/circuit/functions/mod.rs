//! Ready-made functions: what each computes, on which interval, at which depth and with which error, as data ([`Function`]).
//!
//! Errors are those of the approximation; noise comes on top, and [`Circuit::explain`](super::Circuit::explain) foretells it.

mod argmax;
mod catalogue;
mod comparison;
mod constructors;
mod division;
mod function;
mod inverse_root;
mod maximum;
mod power_softmax;
mod reciprocal;
mod smooth;
mod stages;
#[cfg(all(test, feature = "fallback"))]
mod tests;
mod tournament;
mod wide;

pub use argmax::ArgMax;
pub use catalogue::{Entry, catalogue, functions};
pub use division::Division;
pub use function::{Function, Stage};
pub use inverse_root::InverseRoot;
pub use maximum::Maximum;
pub use power_softmax::PowerSoftmax;
pub use reciprocal::Reciprocal;
pub use smooth::{erf, gelu, sigmoid, silu};
pub use tournament::Tournament;
