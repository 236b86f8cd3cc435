//! An encrypted 128 x 768 matrix times a plain 768 x 64, by packing.

mod common;

fn main() -> std::process::ExitCode {
    common::run("matmul")
}
