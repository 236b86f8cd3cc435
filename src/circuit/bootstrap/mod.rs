//! Bootstrapping of CKKS: a ciphertext of level 0 becomes one of the same values at a high level (Cheon, Han, Kim, Kim, Song,
//! eprint 2018/153; Bossuat, Mouchet, Troncoso-Pastoriza, Hubaux, eprint 2020/1203; Bossuat, Troncoso-Pastoriza, Hubaux, eprint
//! 2022/024).
//!
//! ```text
//! raise              phase m  ->  q_0 I + m modulo Q             through an ephemeral sparse secret
//! trace              to the subring of the slots                  if they are fewer than N/2
//! coefficients to slots    slots hold x = I + m / q_0, over K + 1/4    real and imaginary parts apart
//! modular reduction        sin(2 pi x), near 2 pi m / q_0           cosine by a polynomial, double angles
//! slots to coefficients    m
//! ```
//!
//! **The sine.** x - 1/4 lies in an interval that is symmetric but for what m adds, and
//! sin(2 pi x) = cos(2 pi (x - 1/4)) is even there. With y = (x - 1/4) / (K + 1/4) and u = T_2(y) = 2 y^2 - 1,
//! c = cos(2 pi (x - 1/4) / 2^r) is an entire function of u: interpolated at degree 31 for K = 16 and r = 2 it is exact to 2^-50, where
//! a polynomial of the same depth in y with r = 3 reaches 2^-30 even with its nodes around integers (eprint 2020/890). r
//! double angles c <- 2 c^2 - 1 follow; each multiplies earlier errors by 4, and there is one fewer. Slots hold sqrt(2) y, whose square less 1 is
//! u: a doubling after the rescale would double its noise, which the reduction magnifies most.
//!
//! Levels: matrices + 1 + ceil(log2(degree + 1)) + r + ceil(log2(arcsine degree + 1)) + matrices.
//!
//! **Failure.** Of all N coefficients none exceeds K but for a probability that [`failure_log2`] computes: a bootstrap that fails
//! gives wrong values, without a word.

mod debug;
mod distortion;
#[cfg(test)]
mod faults;
mod keys;
mod memory;
mod messages;
mod mixture;
mod overflow;
mod plan;
mod predict;
mod prepare;
mod preset;
mod refine;
mod run;
mod searched;
mod sine;
mod spec;
mod tail;
#[cfg(test)]
mod tests;
mod time;
mod vectors;

pub use keys::{BootstrapKeys, SeededBootstrapKeys};
pub use memory::{KeyBytes, Memory};
pub use messages::messages;
pub use overflow::{Fit, Overflow};
pub use plan::Bootstrapper;
pub use predict::Prediction;
pub use preset::{Preset, insecure_presets, preset, presets};
pub use run::Stage;
pub use spec::{BootstrapSpec, Order};
pub use tail::{failure_log2, overflow_tail_log2};
pub use time::{StageTime, Time};
