//! Tables: times and memory, precision, overflow.

use std::fmt::Write;

use serde_json::Value;

use super::total;
use crate::report::{number, text};

/// Kinds of messages, as columns.
pub(super) const KINDS: [&str; 5] = ["random", "equal", "one_hot", "alternating", "searched"];

/// Numbers of bootstraps in a row, as columns.
pub(super) const COUNTS: [u64; 5] = [1, 2, 3, 5, 10];

/// Precision of one bootstrap as measured and as foretold, in a table's order.
const ROWS: [(&str, &str); 2] = [("measured", "precision_bits"), ("foretold", "predicted_bits")];

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

/// Seconds of the processor on the machine of reference, where the run told how much slower its own is.
fn scaled(run: &Value) -> Result<String, String> {
    match at(run, "scaled_seconds")?.as_f64() {
        Some(scaled) => Ok(format!(
            "{:.2}",
            total(run)? * scaled / number(run, &["seconds"])?
        )),
        None => Ok(String::new()),
    }
}

/// Times and memory of all presets.
pub(super) fn times(all: &[Value]) -> Result<String, String> {
    let mut table = String::from(
        "| preset | levels | seconds | foretold | scaled | log2 QP | failure | keys | in use | as they travel | matrices | peak |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for run in all {
        let mut cells = vec![
            format!("`{}`", text(run, "preset")?),
            format!("{}", number(run, &["levels_left"])?),
            format!("{:.2}", total(run)?),
            format!("{:.2}", number(run, &["predicted_seconds"])?),
            scaled(run)?,
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

/// Runs in other ways: by the clock, with the keys that each bootstrap expanded.
pub(super) fn others(all: &[Value]) -> Result<String, String> {
    let mut table = String::from(
        "| preset | threads | budget | seconds by the clock | foretold | scaled | keys expanded in the run | peak |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for run in all {
        let gigabytes = |key: &str| number(run, &[key]).map(|bytes| format!("{:.2} GB", bytes / 1e9));
        let scaled = at(run, "scaled_seconds")?.as_f64();
        let cells = [
            format!("`{}`", text(run, "preset")?),
            format!("{}", number(run, &["threads"])?),
            gigabytes("budget_bytes").unwrap_or_else(|_| String::from("none")),
            format!("{:.2}", number(run, &["seconds"])?),
            format!("{:.2}", number(run, &["predicted_seconds"])?),
            scaled.map_or(String::new(), |scaled| format!("{scaled:.2}")),
            format!("{}", number(run, &["key_store", "expanded"])?),
            gigabytes("peak_bytes")?,
        ];
        let _ = writeln!(table, "| {} |", cells.join(" | "));
    }
    Ok(table)
}

/// Precision by kind of message.
pub(super) fn precision(all: &[Value]) -> Result<String, String> {
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
pub(super) fn in_a_row(all: &[Value]) -> Result<String, String> {
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
pub(super) fn two_rounds(all: &[Value]) -> Result<String, String> {
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

/// Overflows as drawn and by the formula, up to the largest that was drawn.
pub(super) fn overflow(all: &[Value]) -> Result<String, String> {
    let mut table = String::new();
    for run in all {
        let list = |key: &str| {
            at(run, key)?
                .as_array()
                .ok_or(format!("{key} is no list in {run}"))
        };
        let (drawn, expected) = (list("drawn")?, list("expected")?);
        let last = drawn
            .iter()
            .rposition(|n| n.as_u64() != Some(0))
            .unwrap_or_default();
        let line = |head: &str, cells: Vec<String>| format!("| {head} | {} |\n", cells.join(" | "));
        let numbers = |list: &[Value], digits: usize| -> Vec<String> {
            let some = list.iter().take(last + 1).filter_map(Value::as_f64);
            some.map(|n| format!("{n:.digits$}")).collect()
        };
        table += &line("abs(I)", (0..=last).map(|i| i.to_string()).collect());
        table += &format!("|---|{}\n", "---|".repeat(last + 1));
        table += &line(&format!("drawn, `{}`", text(run, "preset")?), numbers(drawn, 0));
        table += &line("by the formula", numbers(expected, 1));
        let _ = writeln!(
            table,
            "\n{} coefficients under {} sparse secrets: chi-square {:.2} with {} degrees of freedom, which independent draws exceed \
             with\nprobability {:.2}; {} are outside [-16, 16].",
            number(run, &["draws"])?,
            number(run, &["secrets"])?,
            number(run, &["fit", "chi_square"])?,
            number(run, &["fit", "freedom"])?,
            number(run, &["fit", "probability"])?,
            number(run, &["outside"])?
        );
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::{super::tests::example, *};

    #[test]
    fn tables_have_what_was_measured_beside_what_was_foretold() {
        let run = [example()];
        let times = times(&run).unwrap_or_default();
        assert!(times.contains("| `one` | 3 | 4.00 | 4.25 | 2.00 | 1700.0 |"), "{times}");
        let others = others(&run).unwrap_or_default();
        assert!(
            others.contains("| `one` | 1 | 5.00 GB | 4.50 | 4.25 | 2.25 | 80 | 7.00 GB |"),
            "{others}"
        );
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
    fn overflows_end_with_the_last_one_drawn() {
        let run = serde_json::json!({
            "preset": "one", "draws": 12, "secrets": 2, "drawn": [8, 0, 4, 0], "expected": [7.25, 3.5, 1.125, 0.125], "outside": 0,
            "fit": { "chi_square": 5.934, "freedom": 8, "probability": 0.654 },
        });
        let table = overflow(&[run]).unwrap_or_default();
        for line in [
            "| abs(I) | 0 | 1 | 2 |",
            "| drawn, `one` | 8 | 0 | 4 |",
            "| by the formula | 7.2 | 3.5 | 1.1 |",
        ] {
            assert!(table.lines().any(|l| l == line), "{line} in {table}");
        }
        assert!(
            table.contains("12 coefficients under 2 sparse secrets: chi-square 5.93 with 8"),
            "{table}"
        );
    }
}
