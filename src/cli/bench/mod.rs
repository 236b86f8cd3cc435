//! `bench`: measurements.

pub(super) mod attention;
pub(super) mod ceilings;
pub(super) mod ops;
