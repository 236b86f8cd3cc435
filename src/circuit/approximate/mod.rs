//! Polynomials near functions, in the clear.
//!
//! Each [`Approximation`] states a bound on its error, and how the bound was found ([`Certificate`]).

mod bound;
mod compose;
mod interpolate;
mod least_squares;
mod linear;
mod remez;

pub use bound::{Approximation, Certificate};
pub use compose::{Composition, minimax_sign};
pub use interpolate::interpolate;
pub use least_squares::least_squares;
pub use remez::{Parity, Remez, minimax};

pub(crate) use bound::{bound_on, largest_magnitude};
