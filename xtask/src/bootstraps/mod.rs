//! `cargo xtask bootstrap-report`: what was measured of bootstraps, as `docs/bootstrapping.svg` (time by stage) and as the tables of
//! `docs/bootstrapping.md`, each between two markers. `--check` only compares.
//!
//! | folder below `benches/results/bootstrap/` | results of |
//! |---|---|
//! | itself | `bench bootstrap --json`, a preset a file: times and memory of one thread |
//! | `precision` | the same with `--untimed`: errors of many runs, of bootstraps in a row, of two rounds |
//! | `others` | the same in other ways: more threads, within a budget |
//! | `overflow` | `bench overflow --json` |

mod picture;
mod tables;

use serde_json::Value;

use crate::report::{Report, folder, number, text};

const FOLDER: &str = "benches/results/bootstrap";
const PICTURE: &str = "docs/bootstrapping.svg";
const PAGE: &str = "docs/bootstrapping.md";

/// Stages as they run with the raise first, and their colours.
const STAGES: [(&str, &str); 4] = [
    ("raise", "#8b949e"),
    ("coefficients_to_slots", "#2f81d0"),
    ("modular_reduction", "#2da44e"),
    ("slots_to_coefficients", "#d0702f"),
];

/// Runs the chore.
pub fn run(args: &[String]) -> Result<(), String> {
    let report = Report::new("bootstrap-report", args);
    let below = |name: &str| folder(&format!("{FOLDER}/{name}"));
    let (all, many) = (folder(FOLDER)?, below("precision")?);
    let precise = most_runs(&all, &many)?;
    report.write(PICTURE, &picture::render(&all)?)?;
    report.tables(
        PAGE,
        &[
            ("results", tables::times(&all)?),
            ("other runs", tables::others(&below("others")?)?),
            ("precision", tables::precision(&precise)?),
            ("bootstraps in a row", tables::in_a_row(&many)?),
            ("two rounds", tables::two_rounds(&many)?),
            ("overflow", tables::overflow(&below("overflow")?)?),
        ],
    )
}

/// Seconds of all stages together.
fn total(run: &Value) -> Result<f64, String> {
    let of = |(stage, _): &(&str, &str)| number(run, &["processor_stages", stage]);
    STAGES.iter().map(of).sum()
}

/// Of every preset the result with the most runs, or else what its times were measured with.
fn most_runs(all: &[Value], many: &[Value]) -> Result<Vec<Value>, String> {
    let of = |run: &Value| -> Result<Value, String> {
        let preset = text(run, "preset")?;
        let same = many
            .iter()
            .filter(|other| text(other, "preset").is_ok_and(|name| name == preset));
        let most = same.max_by_key(|other| other.get("runs").and_then(Value::as_u64));
        Ok(most.unwrap_or(run).clone())
    };
    all.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made up.
    pub(super) fn example() -> Value {
        let bits = serde_json::json!({ "mean": 20.0, "worst": 18.5 });
        let told = serde_json::json!({ "mean": 20.3, "worst": 18.0 });
        let kinds = |bits: &Value| {
            tables::KINDS
                .map(|kind| (kind.to_owned(), bits.clone()))
                .into_iter()
                .collect::<Value>()
        };
        let row =
            |n: &u64| serde_json::json!({ "bootstraps": n, "precision_bits": bits, "predicted_bits": told });
        serde_json::json!({
            "preset": "one", "levels_left": 3, "runs": 20, "threads": 1, "budget_bytes": 5e9, "seconds": 4.5, "predicted_seconds": 4.25, "scaled_seconds": 2.25,
            "key_store": { "expanded": 80 },
            "precision_bits": kinds(&bits), "predicted_bits": kinds(&told),
            "processor_stages": { "raise": 0.5, "coefficients_to_slots": 2.0, "modular_reduction": 1.0, "slots_to_coefficients": 0.5 },
            "log_qp": 1700.0, "failure_log2": -138.7, "keys": 42, "key_bytes": 3e9, "seeded_key_bytes": 1.5e9,
            "matrix_bytes": 1e9, "peak_bytes": 7e9,
            "successive": { "random": tables::COUNTS.iter().map(row).collect::<Vec<_>>() },
            "refined": { "power": 14, "precision_bits": { "random": bits }, "predicted_bits": { "random": told } },
        })
    }

    #[test]
    fn many_runs_take_the_place_of_few() {
        let (mut few, mut other) = (example(), example());
        few["runs"] = Value::from(1);
        other["preset"] = Value::from("two");
        let mut fewer = example();
        fewer["runs"] = Value::from(3);
        let many = [fewer.clone(), example(), fewer];
        let chosen = most_runs(&[few, other], &many).unwrap_or_default();
        let runs: Vec<_> = chosen
            .iter()
            .map(|run| (run["preset"].as_str(), run["runs"].as_u64()))
            .collect();
        assert_eq!(runs, [(Some("one"), Some(20)), (Some("two"), Some(20))]);
    }
}
