//! The file formats: what any version wrote stays readable, and no bytes whatever do harm.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]
#![cfg(feature = "fallback")]

mod bfv;
mod coefficient;
mod damage;
mod faults;
mod files;
mod golden;
mod keyfile;
mod model;
mod mutations;
mod objects;
mod sizes;
