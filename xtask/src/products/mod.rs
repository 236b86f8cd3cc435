//! `cargo xtask matmul-report`: what was measured of products of matrices, as `docs/matmul.svg` (time against rows) and as the tables of
//! `docs/matmul.md`, each between two markers. `--check` only compares.
//!
//! | file in `benches/results/matmul/` | lines of `bench matmul --json` |
//! |---|---|
//! | `shapes.json` | the list of shapes, every packing |
//! | `rows.json` | one k and n, some numbers of rows |
//! | `squares.json` | large products in GEMM packing |
//! | `weights.json` | the list of shapes in blocks and diagonals, with ready weights and with `--light` |
//! | `predictions.json` | `--predict` |
//!
//! `four-primes.json` has lines of the bench `coefficient`, which docs/coefficient-packing.md quotes.

mod picture;
mod tables;

use serde_json::Value;

use crate::report::{Report, lines, number};

const FOLDER: &str = "benches/results/matmul";
const PICTURE: &str = "docs/matmul.svg";
const PAGE: &str = "docs/matmul.md";

/// Runs the chore.
pub fn run(args: &[String]) -> Result<(), String> {
    let report = Report::new("matmul-report", args);
    let of = |name: &str| lines(&format!("{FOLDER}/{name}.json"));
    report.write(PICTURE, &picture::render(&of("rows")?)?)?;
    report.tables(
        PAGE,
        &[
            ("shapes", tables::shapes(&of("shapes")?)?),
            ("squares", tables::squares(&of("squares")?)?),
            ("weights", tables::weights(&of("weights")?)?),
            ("predictions", tables::predictions(&of("predictions")?)?),
        ],
    )
}

/// Microseconds of a product by itself: the least, or processor time where other programs' turns leave that less.
fn own(line: &Value) -> Result<f64, String> {
    let least = number(line, &["min_us"])?;
    let processor = line.get("cpu_us").and_then(Value::as_f64);
    Ok(processor.map_or(least, |us| us.min(least)))
}
