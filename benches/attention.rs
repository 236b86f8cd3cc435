//! Encrypted attention of 16 tokens, 32 features and two heads: the layer in column packing for 512 requests, scores and sums of one request in
//! diagonal packing.

mod common;

fn main() -> std::process::ExitCode {
    common::run("attention")
}
