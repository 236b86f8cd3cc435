//! The command line program.

mod attention;
mod classify;
mod show;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

/// Encrypted transformer inference.
#[derive(Parser)]
#[command(name = "cipherformer", version, about, long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Tell the language of a text that the evaluating side cannot read
    Classify(ClassifyArgs),
    /// Measure
    #[command(subcommand)]
    Bench(Bench),
}

/// English, French, German, Spanish, Italian or Dutch: client and server run in one process, and only what the server would
/// receive crosses between them.
#[derive(Args)]
struct ClassifyArgs {
    /// The text (up to 64 KiB)
    #[arg(long, conflicts_with = "file", required_unless_present = "file")]
    text: Option<String>,
    /// A UTF-8 file with one text a line
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Print JSON: one object for a text; for a file, one object a line and a summary object last
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Bench {
    /// Encrypted multi-head attention on random weights, column packing
    Attention(AttentionArgs),
}

#[derive(Args)]
struct AttentionArgs {
    /// Tokens of a request (a power of two)
    #[arg(long, default_value_t = 32)]
    tokens: usize,
    /// Heads (divides the features)
    #[arg(long, default_value_t = 2)]
    heads: usize,
    /// Features of the model
    #[arg(long, default_value_t = 32)]
    dim: usize,
    /// Requests computed together (a power of two; tokens * batch is 8192, 16384 or 32768)
    #[arg(long, default_value_t = 256)]
    batch: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What a command can fail with: one line for the user.
type Failure = Box<dyn std::error::Error>;

/// Runs the program with the process's arguments.
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Classify(args) => classify::run(&args),
        Command::Bench(Bench::Attention(args)) => attention::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("cipherformer: {failure}");
            ExitCode::FAILURE
        }
    }
}
