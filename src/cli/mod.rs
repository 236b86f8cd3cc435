//! The command line program.

#[macro_use]
mod show;

mod bench;
mod classify;
mod conformance;
mod decrypt;
mod device;
mod directory;
mod doctor;
mod encrypt;
mod explain;
mod functions;
mod infer;
mod keygen;
mod matmul;
mod params;
mod request;
mod texts;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::backend::device::BackendChoice;
use device::{ClientDeviceArgs, DeviceArgs};

#[doc(hidden)]
pub use request::Request;

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
    /// Make a secret for a client and evaluation keys for a server
    Keygen(KeygenArgs),
    /// Encrypt texts, on the client
    Encrypt(EncryptArgs),
    /// Classify encrypted texts, on the server
    Infer(InferArgs),
    /// Read the answer, on the client
    Decrypt(DecryptArgs),
    /// Say what a file is
    Explain(ExplainArgs),
    /// Choose parameters, or list the shipped ones
    Params(ParamsArgs),
    /// List the functions that are ready to be evaluated on ciphertexts: interval, degree, depth, error
    Functions(FunctionsArgs),
    /// Products of encrypted matrices
    #[command(subcommand)]
    Matmul(Matmul),
    /// Show what this machine offers, and test it
    Doctor(DoctorArgs),
    /// Compare every operation of every device with its definition: to the bit, decoded slots to 2^-44
    Conformance(ConformanceArgs),
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
    #[command(flatten)]
    device: DeviceArgs,
    /// Print JSON: one object for a text; for a file, one object a line and a summary object last
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct KeygenArgs {
    /// Directory for the secret and the public embedding table; stays with the client. A secret that is there is kept, and what is
    /// missing is made for it
    #[arg(long, value_name = "DIR")]
    client: PathBuf,
    /// Directory for parameters and evaluation keys; goes to the server
    #[arg(long, value_name = "DIR")]
    server: PathBuf,
    /// Make a new secret even if there is one: what was encrypted for that can never be read again
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    device: ClientDeviceArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct EncryptArgs {
    /// The client's directory
    #[arg(long, value_name = "DIR")]
    client: PathBuf,
    /// The text (up to 64 KiB)
    #[arg(long, conflicts_with = "file", required_unless_present = "file")]
    text: Option<String>,
    /// A UTF-8 file with one text a line, any number of them
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// The ciphertexts
    #[arg(long, value_name = "CT")]
    out: PathBuf,
    #[command(flatten)]
    device: ClientDeviceArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct InferArgs {
    /// The server's directory
    #[arg(long, value_name = "DIR")]
    server: PathBuf,
    /// What `encrypt` wrote
    #[arg(long = "in", value_name = "CT")]
    input: PathBuf,
    /// The answer
    #[arg(long, value_name = "CT")]
    out: PathBuf,
    #[command(flatten)]
    device: DeviceArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct DecryptArgs {
    /// The client's directory
    #[arg(long, value_name = "DIR")]
    client: PathBuf,
    /// What `infer` wrote
    #[arg(long = "in", value_name = "CT")]
    input: PathBuf,
    /// Keep what is remembered of the request, so that the answer can be read again
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    device: ClientDeviceArgs,
    /// Print JSON: one object a text
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct ExplainArgs {
    /// Any file that the other commands wrote
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Without a need, lists what is shipped. With one, gives the smallest parameters for it: a shipped chain, or one found for it.
#[derive(Args)]
struct ParamsArgs {
    /// At least this many products one after the other
    #[arg(long, allow_negative_numbers = true, value_parser = params::depth)]
    depth: Option<u32>,
    /// At least this many bits of precision
    #[arg(long, value_name = "BITS", allow_negative_numbers = true, value_parser = params::precision)]
    precision: Option<f64>,
    /// At least this security: 128, 192 or 256 bits, classical, by eprint 2024/463
    #[arg(long, value_name = "BITS", allow_negative_numbers = true, value_parser = params::security)]
    security: Option<u32>,
    /// Room for the keys and ciphertexts of an evaluation, such as 500MB or 2GiB
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true, value_parser = params::memory)]
    memory: Option<u64>,
    /// Ciphertexts in memory at a time [default: 1]
    #[arg(long, value_name = "NUMBER")]
    ciphertexts: Option<usize>,
    /// Rotations that have a key each [default: one for each power of two]
    #[arg(long, value_name = "NUMBER")]
    rotations: Option<usize>,
    /// List the bootstraps that come with the crate, or the one of a name
    #[arg(long, value_name = "NAME", num_args = 0..=1, conflicts_with_all = ["depth", "precision", "security", "memory", "ciphertexts", "rotations"])]
    bootstrap: Option<Option<String>>,
    /// Foretell the time of each bootstrap too, from its parts: each is measured on the CPU. Takes some seconds and up to 1 GB for a bootstrap of
    /// N = 2^16
    #[arg(long, requires = "bootstrap")]
    time: bool,
    /// Threads for which it is foretold
    #[arg(long, default_value_t = 1, requires = "time")]
    threads: usize,
    /// Print JSON, with the chain if one is chosen
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct FunctionsArgs {
    /// Write the curves of their errors to this file, as SVG
    #[arg(long, value_name = "PATH")]
    plot: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct DoctorArgs {
    /// Test this one alone, and fail if it does not work
    #[arg(long, value_name = "BACKEND")]
    backend: Option<BackendChoice>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `doctor` does in a second, in full: all shapes, batches, rings and levels.
#[derive(Args)]
struct ConformanceArgs {
    /// This one alone, and fail if it is not there [default: all, and what is missing is said]
    #[arg(long, value_name = "BACKEND")]
    backend: Option<BackendChoice>,
    /// How much to compare
    #[arg(long, value_enum, default_value_t = conformance::Amount::Standard)]
    scope: conformance::Amount,
    /// Only every N-th part of it, from the I-th: a long comparison in N runs
    #[arg(long, value_name = "I/N", default_value = "1/1")]
    share: conformance::Share,
    /// Print JSON: one object a line and device
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Matmul {
    /// Say what a product takes in each packing, and which one to use
    Plan(MatmulPlanArgs),
}

/// An encrypted m x k matrix of each request times a plain k x n matrix, on this machine.
#[derive(Args)]
struct MatmulPlanArgs {
    /// Rows of a request, such as tokens
    #[arg(long)]
    m: usize,
    /// Features in
    #[arg(long)]
    k: usize,
    /// Features out
    #[arg(long)]
    n: usize,
    /// Requests under one key
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Memory of the server for inputs, results, weights and keys, such as 500MB or 2GiB
    #[arg(long, value_name = "BYTES", value_parser = params::memory)]
    budget: Option<u64>,
    /// Weights as small integers that every run expands, in blocks and diagonals, for a fraction of the memory
    #[arg(long)]
    light: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Bench {
    /// Encrypted products of matrices in every packing, beside the plain product
    Matmul(MatmulArgs),
    /// Encrypted multi-head attention on random weights, in column or diagonal packing
    Attention(AttentionArgs),
    /// What the device can do at best: products of words, and copies
    Ceilings(CeilingsArgs),
    /// Every operation, beside the least time that this machine could take for it
    Ops(OpsArgs),
    /// The integer that raising a ciphertext adds, drawn and held against the formula of failure probabilities
    Overflow(OverflowArgs),
    /// Bootstraps: time by stage, precision by kind of message, levels, failure probability, memory
    Bootstrap(BootstrapArgs),
}

#[derive(Args)]
struct CeilingsArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct OpsArgs {
    /// Only operations that this regular expression finds: in ckks/rotate, or in ckks/rotate/14 with log2 N
    #[arg(long, value_name = "REGEX")]
    only: Option<String>,
    /// Threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Instructions: portable, avx2 or avx512; the best of this processor unless said otherwise
    #[arg(long, value_name = "NAME")]
    instructions: Option<String>,
    /// Seconds for each operation; five runs are the least
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    #[command(flatten)]
    device: DeviceArgs,
    /// Print JSON: one object a line and operation
    #[arg(long)]
    json: bool,
}

/// Without a shape, a list of them.
#[derive(Args)]
struct MatmulArgs {
    /// Rows of a request
    #[arg(long)]
    m: Option<usize>,
    /// Features in
    #[arg(long)]
    k: Option<usize>,
    /// Features out
    #[arg(long)]
    n: Option<usize>,
    /// Requests under one key
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Only this packing
    #[arg(long, value_name = "NAME")]
    packing: Option<bench::matmul::PackingName>,
    /// Which operands are encrypted
    #[arg(long, value_enum, default_value_t = bench::matmul::Encrypted::Left)]
    encrypted: bench::matmul::Encrypted,
    /// Weights as small integers that every run expands, in blocks and diagonals, for a fraction of the memory
    #[arg(long)]
    light: bool,
    /// Hold predictions of the planner against what is measured; without a shape, for twenty of them
    #[arg(long)]
    predict: bool,
    /// Measurements of all products, one round after the other; least times and least predictions count
    #[arg(long, value_name = "N", default_value_t = 1)]
    rounds: usize,
    #[command(flatten)]
    device: DeviceArgs,
    /// Threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Seconds for each time that is measured; five runs are the least
    #[arg(long, default_value_t = 0.3)]
    seconds: f64,
    /// Print JSON: one object a line and product
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct OverflowArgs {
    /// Which bootstrap's parameters
    #[arg(long, value_name = "NAME", default_value = "throughput")]
    preset: String,
    /// Coefficients to draw, at least
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    coefficients: u64,
    /// Threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct BootstrapArgs {
    /// Which bootstrap; without a name, all that are secure, one after the other
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Keep the diagonals of the matrices as residues: more memory, less time
    #[arg(long)]
    expanded: bool,
    /// Memory for keys, matrices and work, such as 5GB; keys that have no room expanded are expanded when they are used
    #[arg(long, value_name = "BYTES", value_parser = params::memory, conflicts_with = "expanded")]
    budget: Option<u64>,
    /// Expand keys whenever they are used, whether or not they have room
    #[arg(long)]
    expand_on_use: bool,
    /// Bootstraps of every kind of message
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Bootstraps of one ciphertext in a row besides, its errors told after each
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    successive: usize,
    /// Bootstraps in two rounds besides, the error of the first multiplied by 2^BITS
    #[arg(long, value_name = "BITS")]
    refined: Option<u32>,
    /// Leave times out: where other programs run too, and only errors are wanted
    #[arg(long)]
    untimed: bool,
    #[command(flatten)]
    device: DeviceArgs,
    /// Print JSON: one object a line and bootstrap
    #[arg(long)]
    json: bool,
}

/// How scores become weights.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum AttentionKind {
    /// A polynomial of degree 2
    Sigma,
    /// PowerSoftmax: fourth powers over their mean
    Power,
}

#[derive(Args)]
struct AttentionArgs {
    /// A named shape, tokens x features: 16x32, 32x64, 64x128, 64x256, 128x256 or 128x768
    #[arg(long, value_name = "NAME", conflicts_with_all = ["tokens", "heads", "dim"])]
    preset: Option<bench::attention::Preset>,
    /// How requests lie in ciphertexts
    #[arg(long, value_enum, default_value_t = bench::attention::Packing::Column)]
    packing: bench::attention::Packing,
    /// Tokens of a request (a power of two in column packing)
    #[arg(long, default_value_t = 32)]
    tokens: usize,
    /// Heads (divides the features)
    #[arg(long, default_value_t = 2)]
    heads: usize,
    /// Features of the model
    #[arg(long, default_value_t = 32)]
    dim: usize,
    /// How scores become weights
    #[arg(long, value_enum, default_value_t = AttentionKind::Sigma)]
    kind: AttentionKind,
    /// Two diagonals of scores and two features of values in a ciphertext: fewer key switches, and more keys
    #[arg(long)]
    halved: bool,
    /// Requests computed together in column packing (a power of two; tokens * batch is 8192, 16384 or 32768) [default: 8192 / tokens, with `--kind power` 16384 / tokens]
    #[arg(long)]
    batch: Option<usize>,
    #[command(flatten)]
    device: DeviceArgs,
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
        Command::Keygen(args) => keygen::run(&args),
        Command::Encrypt(args) => encrypt::run(&args),
        Command::Infer(args) => infer::run(&args),
        Command::Decrypt(args) => decrypt::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Params(args) => params::run(&args),
        Command::Functions(args) => functions::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Matmul(Matmul::Plan(args)) => matmul::run(&args),
        Command::Bench(Bench::Matmul(args)) => bench::matmul::run(&args),
        Command::Conformance(args) => conformance::run(&args),
        Command::Bench(Bench::Attention(args)) => bench::attention::run(&args),
        Command::Bench(Bench::Ceilings(args)) => bench::ceilings::run(&args),
        Command::Bench(Bench::Ops(args)) => bench::ops::run(&args),
        Command::Bench(Bench::Overflow(args)) => bench::overflow::run(&args),
        Command::Bench(Bench::Bootstrap(args)) => bench::bootstrap::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("cipherformer: {failure}");
            ExitCode::FAILURE
        }
    }
}
