//! Homomorphic encryption and encrypted transformer inference.

pub mod arith;
pub mod backend;
pub mod ckks;
pub mod ring;
pub mod rlwe;
pub mod sample;
