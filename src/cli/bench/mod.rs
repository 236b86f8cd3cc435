//! `bench`: measurements.

pub(super) mod attention;
pub(super) mod bootstrap;
pub(super) mod ceilings;
pub(super) mod matmul;
pub(super) mod ops;
pub(super) mod overflow;
mod power;
mod precision;
mod predictions;
