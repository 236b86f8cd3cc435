//! Homomorphic encryption and encrypted transformer inference.

pub mod arith;
pub mod model;
