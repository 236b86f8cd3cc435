//! Encrypted attention, 256 windows of 32 tokens.

mod common;

fn main() -> std::process::ExitCode {
    common::run("attention")
}
