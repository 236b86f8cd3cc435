//! Homomorphic encryption (CKKS and BFV on 30-bit limbs) and transformer inference on encrypted data.
//!
//! # Where to begin
//!
#![cfg_attr(
    feature = "fallback",
    doc = "* [`engine`]: the short way in. [`Engine`](engine::Engine), [`Client`](engine::Client), [`ServerKeys`](engine::ServerKeys)."
)]
#![cfg_attr(
    not(feature = "fallback"),
    doc = "* `engine`: the short way in; it needs the feature `fallback`, which this build is without."
)]
//! * [`ckks`]: approximate arithmetic on vectors of complex numbers, in full. [`bfv`]: exact integers.
//! * [`circuit`]: polynomials and functions on ciphertexts.
//! * [`matmul`] and [`transformer`]: matrix products and attention on batches of ciphertexts; [`model`]: their plain twins.
//! * [`wire`]: files and messages, validated before use.
//!
//! # What lies below
//!
//! * [`rlwe`]: parameters, keys, encryption, key switching, free of any scheme; its security rests on [`ring::security`].
//! * [`backend`]: the contract that devices compute by, with the CPU, an oracle and a counting backend.
//! * [`ring`], [`sample`], [`arith`]: modulus chains and exact scales; randomness; word arithmetic.
//!
//! A module uses only those below it. `docs/architecture.md` says why things are as they are, `docs/numerics.md` what every
//! backend agrees on to the bit, and `SECURITY.md` what is promised and what is not: above all, never show exact CKKS
//! decryptions to anyone but the owner of the key.
//!
//! Features: `fallback` (the CPU backend and `engine`), `cuda` and `wgpu` (backends for GPUs), `cli` (the program), `bench`
//! (timed operations and their floors), `speed` (times on a scale that machines share), `diagnostics` (measured BFV noise).

pub mod arith;
pub mod backend;
#[cfg(feature = "bench")]
pub mod bench;
pub mod bfv;
pub mod circuit;
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
