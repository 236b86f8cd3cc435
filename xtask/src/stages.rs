//! `cargo xtask bootstrap-report`: the results of `bench bootstrap --json` in `benches/results/bootstrap/` (times and memory) and in its folder
//! `precision` (errors of many runs, without times), as `docs/bootstrapping.svg` (time by stage) and as the tables of
//! `docs/bootstrapping.md`, each between two markers. `--check` only compares.
//!
//! One bar a preset. Colours are legible on light and on dark ground.

use std::{fmt::Write, fs};

use serde_json::Value;

use crate::results;

const FOLDER: &str = "benches/results/bootstrap";
const PRECISION: &str = "benches/results/bootstrap/precision";
const PICTURE: &str = "docs/bootstrapping.svg";
const PAGE: &str = "docs/bootstrapping.md";

const WIDTH: f64 = 760.0;
const TOP: f64 = 84.0;
const ROW: f64 = 34.0;
const BAR: f64 = 20.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 70.0;

/// Stages as they run with the raise first, and their colours.
const STAGES: [(&str, &str); 4] = [
    ("raise", "#8b949e"),
    ("coefficients_to_slots", "#2f81d0"),
    ("modular_reduction", "#2da44e"),
    ("slots_to_coefficients", "#d0702f"),
];

/// Kinds of messages, as columns.
const KINDS: [&str; 5] = ["random", "equal", "one_hot", "alternating", "searched"];

/// Numbers of bootstraps in a row, as columns.
const COUNTS: [u64; 5] = [1, 2, 3, 5, 10];

/// Precision of one bootstrap as measured and as foretold, in a table's order.
const ROWS: [(&str, &str); 2] = [("measured", "precision_bits"), ("foretold", "predicted_bits")];

/// Runs the chore.
pub fn run(args: &[String]) -> Result<(), String> {
    let check = args.iter().any(|a| a == "--check");
    let (all, many) = (load(FOLDER)?, load(PRECISION)?);
    let precise = most_runs(&all, &many)?;
    let mut page = fs::read_to_string(results::root().join(PAGE)).map_err(|e| format!("{PAGE}: {e}"))?;
    for (name, table) in [
        ("results", table(&all)?),
        ("precision", precision(&precise)?),
        ("bootstraps in a row", in_a_row(&precise)?),
        ("two rounds", two_rounds(&precise)?),
    ] {
        page = with_table(&page, name, &table)?;
    }
    for (path, text) in [(PICTURE, render(&all)?), (PAGE, page)] {
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

fn render(all: &[Value]) -> Result<String, String> {
    let mut longest = 0.0f64;
    for run in all {
        longest = longest.max(total(run)?);
    }
    if longest <= 0.0 {
        return Err(format!(
            "nothing to draw: {FOLDER} has no results with positive times"
        ));
    }
    let (bottom, scale) = (TOP + ROW * all.len() as f64, (WIDTH - LEFT - RIGHT) / longest);
    let title = "Time of a bootstrap by stage";
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>{title}</title>\n\
         <style>\n\
         text {{ fill: #6e7781 }} .head {{ font-size: 15px; font-weight: bold }}\n\
         @media (prefers-color-scheme: dark) {{ text {{ fill: #b1bac4 }} }}\n\
         </style>\n\
         <text class=\"head\" x=\"12\" y=\"24\">{title}</text>\n\
         <text x=\"12\" y=\"44\">seconds of one processor, one ciphertext, median</text>\n",
        bottom + 12.0
    );
    let mut at = 12.0;
    for (stage, colour) in STAGES {
        let name = stage.replace('_', " ");
        let _ = writeln!(
            svg,
            "<rect fill=\"{colour}\" x=\"{at:.0}\" y=\"56\" width=\"12\" height=\"12\"/><text x=\"{:.0}\" y=\"66\">{name}</text>",
            at + 18.0
        );
        at += 44.0 + 6.4 * name.len() as f64;
    }
    for (i, run) in all.iter().enumerate() {
        let (y, mut x) = (TOP + ROW * i as f64, LEFT);
        let label = text(run, "preset")?;
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 10.0,
            y + 14.0
        );
        for (stage, colour) in STAGES {
            let seconds = number(run, &["processor_stages", stage])?;
            let width = seconds * scale;
            let _ = writeln!(
                svg,
                "<rect fill=\"{colour}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\"><title>{seconds:.2} s</title></rect>"
            );
            x += width;
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\">{:.2} s</text>",
            x + 6.0,
            y + 14.0,
            total(run)?
        );
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// Of every preset the result with many runs, or else what its times were measured with.
fn most_runs(all: &[Value], many: &[Value]) -> Result<Vec<Value>, String> {
    let of = |run: &Value| -> Result<Value, String> {
        let preset = text(run, "preset")?;
        let found = many
            .iter()
            .find(|other| text(other, "preset").is_ok_and(|name| name == preset));
        Ok(found.unwrap_or(run).clone())
    };
    all.iter().map(of).collect()
}

/// Mean and worst of an object of bits.
fn bits(of: &Value) -> Result<String, String> {
    Ok(format!(
        "{:.1}, {:.1}",
        number(of, &["mean"])?,
        number(of, &["worst"])?
    ))
}

fn at<'a>(run: &'a Value, key: &str) -> Result<&'a Value, String> {
    run.get(key).ok_or(format!("no {key:?} in {run}"))
}

/// Times and memory of all presets.
fn table(all: &[Value]) -> Result<String, String> {
    let mut table = String::from(
        "| preset | levels | seconds | log2 QP | failure | keys | in use | as they travel | matrices | peak |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for run in all {
        let mut cells = vec![
            format!("`{}`", text(run, "preset")?),
            format!("{}", number(run, &["levels_left"])?),
            format!("{:.2}", total(run)?),
            format!("{:.1}", number(run, &["log_qp"])?),
            format!("2^{:.1}", number(run, &["failure_log2"])?),
            format!("{}", number(run, &["keys"])?),
        ];
        for key in ["key_bytes", "seeded_key_bytes", "matrix_bytes", "peak_bytes"] {
            cells.push(format!("{:.2} GB", number(run, &[key])? / 1e9));
        }
        let _ = writeln!(table, "| {} |", cells.join(" | "));
    }
    Ok(table)
}

/// Precision by kind of message.
fn precision(all: &[Value]) -> Result<String, String> {
    let mut table = format!(
        "| preset | runs | | {} |\n|---|---|---|{}\n",
        KINDS.map(|kind| kind.replace('_', "-")).join(" | "),
        "---|".repeat(KINDS.len())
    );
    for run in all {
        for (name, of) in ROWS {
            let kinds = at(run, of)?;
            // A message that was not measured has an empty cell.
            let cells = KINDS.map(|kind| kinds.get(kind).map_or(Ok(String::new()), bits));
            let cells = cells.into_iter().collect::<Result<Vec<_>, _>>()?;
            let _ = writeln!(
                table,
                "| `{}` | {} | {name} | {} |",
                text(run, "preset")?,
                number(run, &["runs"])?,
                cells.join(" | ")
            );
        }
    }
    Ok(table)
}

/// Precision after some bootstraps of one ciphertext.
fn in_a_row(all: &[Value]) -> Result<String, String> {
    let mut table = format!(
        "| preset | message | | {} |\n|---|---|---|{}\n",
        COUNTS.map(|n| n.to_string()).join(" | "),
        "---|".repeat(COUNTS.len())
    );
    for run in all {
        let kinds = run
            .get("successive")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        for (kind, row) in kinds {
            for (name, of) in ROWS {
                let of_count = |count: u64| {
                    let mut rows = row.as_array().into_iter().flatten();
                    let found = rows.find(|one| one.get("bootstraps").and_then(Value::as_u64) == Some(count));
                    bits(at(
                        found.ok_or(format!("no {count} bootstraps in a row in {row}"))?,
                        of,
                    )?)
                };
                let cells = COUNTS.map(of_count).into_iter().collect::<Result<Vec<_>, _>>()?;
                let preset = text(run, "preset")?;
                let _ = writeln!(table, "| `{preset}` | {kind} | {name} | {} |", cells.join(" | "));
            }
        }
    }
    Ok(table)
}

/// Precision of two rounds, where they were measured.
fn two_rounds(all: &[Value]) -> Result<String, String> {
    let mut table = String::from("| preset | p | message | measured | foretold |\n|---|---|---|---|---|\n");
    for run in all {
        let Some(refined) = run.get("refined").filter(|refined| !refined.is_null()) else {
            continue;
        };
        let [measured, foretold] = ROWS.map(|(_, of)| at(refined, of));
        for (kind, have) in measured?.as_object().into_iter().flatten() {
            let told = bits(at(foretold.clone()?, kind)?)?;
            let (preset, power) = (text(run, "preset")?, number(refined, &["power"])?);
            let _ = writeln!(
                table,
                "| `{preset}` | {power} | {kind} | {} | {told} |",
                bits(have)?
            );
        }
    }
    Ok(table)
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
    fn example() -> Value {
        let bits = serde_json::json!({ "mean": 20.0, "worst": 18.5 });
        let told = serde_json::json!({ "mean": 20.3, "worst": 18.0 });
        let kinds = |bits: &Value| {
            KINDS
                .map(|kind| (kind.to_owned(), bits.clone()))
                .into_iter()
                .collect::<Value>()
        };
        let row =
            |n: &u64| serde_json::json!({ "bootstraps": n, "precision_bits": bits, "predicted_bits": told });
        serde_json::json!({
            "preset": "one", "levels_left": 3, "runs": 20,
            "precision_bits": kinds(&bits), "predicted_bits": kinds(&told),
            "processor_stages": { "raise": 0.5, "coefficients_to_slots": 2.0, "modular_reduction": 1.0, "slots_to_coefficients": 0.5 },
            "log_qp": 1700.0, "failure_log2": -138.7, "keys": 42, "key_bytes": 3e9, "seeded_key_bytes": 1.5e9,
            "matrix_bytes": 1e9, "peak_bytes": 7e9,
            "successive": { "random": COUNTS.iter().map(row).collect::<Vec<_>>() },
            "refined": { "power": 14, "precision_bits": { "random": bits }, "predicted_bits": { "random": told } },
        })
    }

    #[test]
    fn every_stage_has_its_share() {
        let svg = render(&[example()]).unwrap_or_default();
        // Half of the width for half of the time.
        assert!(svg.contains(&format!(
            "width=\"{:.1}\" height=\"{BAR}\"",
            (WIDTH - LEFT - RIGHT) / 2.0
        )));
        assert!(render(&[]).is_err());
    }

    #[test]
    fn tables_have_what_was_measured_beside_what_was_foretold() {
        let run = [example()];
        let table = table(&run).unwrap_or_default();
        assert!(table.contains("| `one` | 3 | 4.00 | 1700.0 |"), "{table}");
        let precision = precision(&run).unwrap_or_default();
        assert!(
            precision.contains("| `one` | 20 | measured | 20.0, 18.5 |"),
            "{precision}"
        );
        assert!(
            precision.contains("| `one` | 20 | foretold | 20.3, 18.0 |"),
            "{precision}"
        );
        let row = in_a_row(&run).unwrap_or_default();
        assert!(
            row.contains("| `one` | random | measured | 20.0, 18.5 |"),
            "{row}"
        );
        let rounds = two_rounds(&run).unwrap_or_default();
        assert!(
            rounds.contains("| `one` | 14 | random | 20.0, 18.5 | 20.3, 18.0 |"),
            "{rounds}"
        );
        let mut without = example();
        without["refined"] = Value::Null;
        assert_eq!(
            two_rounds(std::slice::from_ref(&without))
                .unwrap_or_default()
                .lines()
                .count(),
            2
        );
        without["successive"]["random"][0]["bootstraps"] = Value::from(11);
        assert!(in_a_row(&[without]).is_err());
    }

    #[test]
    fn many_runs_take_the_place_of_few() {
        let (mut few, mut other) = (example(), example());
        few["runs"] = Value::from(1);
        other["preset"] = Value::from("two");
        let chosen = most_runs(&[few, other], &[example()]).unwrap_or_default();
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
