//! What the fuzz targets do with their input, and what they demand of the library. A body panics where a promise is broken.
//!
//! * [`parse`]: any bytes as a file. * [`check`]: a file whose seals are right whatever else is wrong with it. * [`compute`]: what
//!   loads is used, on two backends. * [`infer`]: the classifier on loaded weights and ciphertexts. * [`text`]: the readers of weights, JSON
//!   and text.
//!
//! [`frame`] is the form in which files are mutated, [`mutate`] mutates it, [`seeds`] makes valid files of every kind.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a target reports by panicking")]

pub mod check;
pub mod compute;
pub mod frame;
pub mod home;
pub mod infer;
pub mod mutate;
pub mod parse;
pub mod seeds;
pub mod text;
