//! Homomorphic encryption and encrypted transformer inference.

pub mod arith;
pub mod backend;
pub mod ckks;
pub mod matmul;
pub mod model;
pub mod ring;
pub mod rlwe;
pub mod sample;
pub mod transformer;
