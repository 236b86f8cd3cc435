//! The encrypted language classifier, 256 windows.

mod common;

fn main() -> std::process::ExitCode {
    common::run("classify")
}
