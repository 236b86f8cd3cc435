//! Transforms of one row modulo one prime of 30 bits.

mod common;

fn main() -> std::process::ExitCode {
    common::run("ntt")
}
