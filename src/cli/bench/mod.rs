//! `bench`: measurements.

pub(super) mod attention;
pub(super) mod ops;
