//! CKKS operations on one full ciphertext.

mod common;

fn main() -> std::process::ExitCode {
    common::run("ckks")
}
