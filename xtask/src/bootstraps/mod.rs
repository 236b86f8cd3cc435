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

use std::fs;

use serde_json::Value;

use crate::results;

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
    let check = args.iter().any(|a| a == "--check");
    let below = |folder: &str| load(&format!("{FOLDER}/{folder}"));
    let (all, many) = (load(FOLDER)?, below("precision")?);
    let precise = most_runs(&all, &many)?;
    let mut page = fs::read_to_string(results::root().join(PAGE)).map_err(|e| format!("{PAGE}: {e}"))?;
    for (name, table) in [
        ("results", tables::times(&all)?),
        ("other runs", tables::others(&below("others")?)?),
        ("precision", tables::precision(&precise)?),
        ("bootstraps in a row", tables::in_a_row(&many)?),
        ("two rounds", tables::two_rounds(&many)?),
        ("overflow", tables::overflow(&below("overflow")?)?),
    ] {
        page = with_table(&page, name, &table)?;
    }
    for (path, text) in [(PICTURE, picture::render(&all)?), (PAGE, page)] {
        let to = results::root().join(path);
        let old = fs::read_to_string(&to).unwrap_or_default();
        if old == text {
            println!("bootstrap-report: {path} is up to date");
        } else if check {
            return Err(format!(
                "{path} differs from the results; run `cargo xtask bootstrap-report`"
            ));
        } else {
            fs::write(&to, text).map_err(|e| format!("{path}: {e}"))?;
            println!("bootstrap-report: wrote {path}");
        }
    }
    Ok(())
}

/// All results of a folder, by file name.
fn load(folder: &str) -> Result<Vec<Value>, String> {
    let files = fs::read_dir(results::root().join(folder)).map_err(|e| format!("{folder}: {e}"))?;
    let mut files: Vec<_> = files.filter_map(|f| Some(f.ok()?.path())).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "json"));
    files.sort();
    let read = |file: &std::path::PathBuf| {
        let fault = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
        let text = fs::read_to_string(file).map_err(|e| fault(&e))?;
        serde_json::from_str(&text).map_err(|e| fault(&e))
    };
    files.iter().map(read).collect()
}

fn text<'a>(run: &'a Value, key: &str) -> Result<&'a str, String> {
    (run.get(key).and_then(Value::as_str)).ok_or(format!("no text {key:?} in {run}"))
}

fn number(run: &Value, keys: &[&str]) -> Result<f64, String> {
    let found = keys.iter().try_fold(run, |at, key| at.get(*key));
    (found.and_then(Value::as_f64)).ok_or(format!("no number {keys:?} in {run}"))
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

/// The page with another table between the markers of a name.
fn with_table(page: &str, name: &str, table: &str) -> Result<String, String> {
    let [start, end] = [format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->\n")];
    let missing = || format!("{PAGE} has no lines {start:?} and {end:?}");
    let (before, rest) = page.split_once(&start).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    Ok(format!("{before}{start}{table}{end}{after}"))
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
            "preset": "one", "levels_left": 3, "runs": 20, "threads": 1, "budget_bytes": 5e9, "seconds": 4.5, "scaled_seconds": 2.25,
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

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let page = "a\n<!-- x -->\nold\n<!-- end of x -->\nb\n";
        let new = with_table(page, "x", "new\n").unwrap_or_default();
        assert_eq!(new, page.replace("old", "new"));
        assert!(with_table("", "x", "").is_err());
    }
}
