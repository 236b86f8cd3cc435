//! The `cipherformer` command line program.

fn main() -> std::process::ExitCode {
    cipherformer::cli::run()
}
