//! Linear maps of slots.
//!
//! y_j = sum over k of d_k\[j\] x_(j+k): a matrix by its generalised diagonals ([`Diagonals`]), evaluated as
//!
//! ```text
//! sum over g of rot_g ( sum over b of rot_-g(d_(g+b)) rot_b(x) ),      k = g + b
//! ```
//!
//! baby steps b and giant steps g (Halevi, Shoup, eprint 2018/244), with one ModUp for all baby steps, sums modulo Q P, and one
//! division at the end (double hoisting, Bossuat et al., eprint 2020/1203): a giant step costs a division of one component and one
//! ModUp, a baby step only its inner product with the key. [`Transform`] is a matrix prepared for a level. Sums of slots at equal
//! distances, and copies to them, need no plaintexts and fewer rotations: [`Fold`].

mod diagonals;
mod fold;
mod steps;
mod transform;
mod work;

pub use diagonals::Diagonals;
pub use fold::Fold;
pub use steps::Steps;
pub(crate) use transform::Spread;
pub use transform::Transform;
