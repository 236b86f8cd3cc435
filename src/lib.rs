//! Homomorphic encryption and encrypted transformer inference.

pub mod arith;
pub mod backend;
pub mod bfv;
pub mod ckks;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "fallback")]
pub mod engine;
pub mod matmul;
pub mod model;
pub mod report;
pub mod ring;
pub mod rlwe;
pub mod sample;
pub mod transformer;
pub mod wire;

/// The example of the README, compiled and run.
#[cfg(all(doctest, feature = "fallback"))]
#[doc = include_str!("../README.md")]
struct Readme;
