//! Homomorphic encryption and encrypted transformer inference.

pub mod arith;
pub mod ring;
pub mod rlwe;
