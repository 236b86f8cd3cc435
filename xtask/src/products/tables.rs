//! Tables of products of matrices.

use std::{collections::BTreeSet, fmt::Write};

use serde_json::Value;

use super::own;
use crate::report::{number, text};

/// Packings as columns, with their heads.
const PACKINGS: [(&str, &str); 6] = [
    ("column", "column"),
    ("diagonal", "diagonal"),
    ("blocks", "blocks"),
    ("gemm", "gemm"),
    ("coefficient_cut", "coefficient, cut"),
    ("coefficient_packed", "coefficient, packed"),
];

/// Three digits.
fn digits(x: f64) -> String {
    match x {
        x if x >= 99.95 => format!("{x:.0}"),
        x if x >= 9.995 => format!("{x:.1}"),
        x if x >= 0.9995 => format!("{x:.2}"),
        x if x >= 0.09995 => format!("{x:.3}"),
        x => format!("{x:.4}"),
    }
}

/// Milliseconds of microseconds.
fn milliseconds(us: f64) -> String {
    digits(us / 1e3)
}

fn bytes(count: f64) -> String {
    match count {
        b if b >= 1e6 => format!("{:.1} MB", b / 1e6),
        b => format!("{:.0} kB", b / 1e3),
    }
}

fn shape(line: &Value) -> Result<String, String> {
    let [m, k, n, batch] = ["m", "k", "n", "batch"].map(|key| number(line, &[key]));
    let (m, k, n, batch) = (m?, k?, n?, batch?);
    Ok(match batch as u64 {
        1 => format!("{m} x {k} x {n}"),
        batch => format!("{m} x {k} x {n} x {batch}"),
    })
}

/// Shapes in the order of the lines.
fn shapes_of(lines: &[Value]) -> Result<Vec<String>, String> {
    let mut all = lines.iter().map(shape).collect::<Result<Vec<_>, _>>()?;
    all.dedup();
    Ok(all)
}

fn is(line: &Value, of: &str, packing: &str) -> bool {
    shape(line).is_ok_and(|s| s == of) && text(line, "packing").is_ok_and(|p| p == packing)
}

/// Milliseconds and bytes of every packing, four rows a shape; a packing without a line has empty cells.
pub(super) fn shapes(lines: &[Value]) -> Result<String, String> {
    let mut table = format!(
        "| m x k x n | | {} | plain f32 |\n|---|---|{}---:|\n",
        PACKINGS.map(|(_, head)| head).join(" | "),
        "---:|".repeat(PACKINGS.len())
    );
    for of in shapes_of(lines)? {
        let all = PACKINGS.map(|(packing, _)| lines.iter().find(|line| is(line, &of, packing)));
        let row = |cell: &dyn Fn(&Value) -> Result<String, String>| -> Result<String, String> {
            let cells = all.iter().map(|line| line.map_or(Ok(String::new()), cell));
            Ok(cells.collect::<Result<Vec<_>, _>>()?.join(" | "))
        };
        let of_us = |key| move |line: &Value| Ok(milliseconds(number(line, &[key])?));
        let plain = all.iter().flatten().next().map_or(Ok(String::new()), |line| {
            Ok::<_, String>(milliseconds(number(line, &["plain_gemm_us"])?))
        })?;
        let both_ways = |line: &Value| {
            let [up, down] = ["bytes_up", "bytes_down"].map(|key| number(line, &[key]));
            Ok(format!("{} / {}", bytes(up?), bytes(down?)))
        };
        // Not known in a build without the peer's transform.
        let scaled = |line: &Value| {
            let us = line.get("scaled_us").and_then(Value::as_f64);
            Ok(us.map_or(String::new(), milliseconds))
        };
        let rows = [
            (
                of.as_str(),
                "run",
                row(&|line| Ok(milliseconds(own(line)?)))?,
                plain.as_str(),
            ),
            ("", "prepare", row(&of_us("prepare_us"))?, ""),
            ("", "both, scaled", row(&scaled)?, ""),
            ("", "up / down", row(&both_ways)?, ""),
        ];
        for (of, what, cells, plain) in rows {
            let _ = writeln!(table, "| {of} | {what} | {cells} | {plain} |");
        }
    }
    Ok(table)
}

/// Large products beside the plain one, and beside the bare products of residues.
pub(super) fn squares(lines: &[Value]) -> Result<String, String> {
    let mut table = String::from(
        "| m x k x n | packing | N | run, ms | plain f32, ms | ratio | of the bare product of residues |\n\
         |---|---|---:|---:|---:|---:|---:|\n",
    );
    for line in lines {
        let (own, plain) = (own(line)?, number(line, &["plain_gemm_us"])?);
        let bare = line.get("residue_gemm_us").and_then(Value::as_f64);
        let _ = writeln!(
            table,
            "| {} | {} | 2^{} | {} | {} | {:.1} | {} |",
            shape(line)?,
            text(line, "packing")?,
            number(line, &["log_n"])?,
            milliseconds(own),
            milliseconds(plain),
            own / plain,
            bare.map_or(String::new(), |bare| format!("{:.2}", own / bare)),
        );
    }
    Ok(table)
}

/// Ready weights beside light ones.
pub(super) fn weights(lines: &[Value]) -> Result<String, String> {
    let mut table = String::from(
        "| m x k x n | packing | ready: run, ms | prepare, ms | memory | light: run, ms | prepare, ms | memory | run, light over ready |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    let packings: BTreeSet<&str> = lines
        .iter()
        .filter_map(|line| text(line, "packing").ok())
        .collect();
    let mut shapes = Vec::new();
    for line in lines {
        let of = shape(line)?;
        if !shapes.contains(&of) {
            shapes.push(of);
        }
    }
    for of in &shapes {
        for packing in &packings {
            let find = |light: bool| {
                let mut these = lines.iter().filter(|line| is(line, of, packing));
                these.find(|line| line.get("light").and_then(Value::as_bool) == Some(light))
            };
            let (Some(ready), Some(light)) = (find(false), find(true)) else {
                continue;
            };
            let cells = |line: &Value| -> Result<String, String> {
                let (prepare, memory) = (number(line, &["prepare_us"])?, number(line, &["weight_bytes"])?);
                let [run, prepare] = [own(line)?, prepare].map(milliseconds);
                Ok(format!("{run} | {prepare} | {}", bytes(memory)))
            };
            let ratio = own(light)? / own(ready)?;
            let (ready, light) = (cells(ready)?, cells(light)?);
            let _ = writeln!(table, "| {of} | {packing} | {ready} | {light} | {ratio:.2} |");
        }
    }
    Ok(table)
}

/// How many predictions hold, by packing.
pub(super) fn predictions(lines: &[Value]) -> Result<String, String> {
    let mut table = String::from(
        "| packing | products | run within 25 % | predicted / measured | preparation within 25 % | predicted / measured | bytes within 5 % |\n\
         |---|---:|---:|---:|---:|---:|---:|\n",
    );
    for line in lines.iter().filter(|line| line.get("predictions").is_some()) {
        let of = |key| number(line, &[key]);
        let range =
            |least, most| -> Result<String, String> { Ok(format!("{:.2} to {:.2}", of(least)?, of(most)?)) };
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} | {} | {} |",
            text(line, "predictions")?,
            of("products")?,
            of("time_within_25_percent")?,
            range("least_ratio", "largest_ratio")?,
            of("prepare_within_25_percent")?,
            range("least_prepare_ratio", "largest_prepare_ratio")?,
            of("bytes_within_5_percent")?,
        );
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(packing: &str, light: bool, us: f64) -> Value {
        json!({
            "packing": packing, "m": 2, "k": 3, "n": 4, "batch": 1, "log_n": 12, "light": light, "min_us": us, "cpu_us": null,
            "prepare_us": 500.0, "scaled_us": null, "plain_gemm_us": 2.0, "residue_gemm_us": us / 2.0, "weight_bytes": 4096,
            "bytes_up": 33000, "bytes_down": 1200000,
        })
    }

    #[test]
    fn every_packing_has_a_column_and_every_shape_four_rows() {
        let table = shapes(&[line("column", false, 1500.0), line("gemm", false, 20.0)]).unwrap_or_default();
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(rows.len(), 2 + 4);
        assert!(rows.iter().all(|row| row.matches('|').count() == 10), "{table}");
        assert_eq!(
            rows.get(2),
            Some(&"| 2 x 3 x 4 | run | 1.50 |  |  | 0.0200 |  |  | 0.0020 |")
        );
        assert!(table.contains("33 kB / 1.2 MB"));
    }

    #[test]
    fn ready_weights_stand_beside_light_ones() {
        let table = weights(&[
            line("diagonal", false, 1e3),
            line("diagonal", true, 1.5e3),
            line("gemm", false, 1.0),
        ]);
        let row = table.unwrap_or_default().lines().nth(2).map(str::to_owned);
        let wanted = "| 2 x 3 x 4 | diagonal | 1.00 | 0.500 | 4 kB | 1.50 | 0.500 | 4 kB | 1.50 |";
        assert_eq!(row.as_deref(), Some(wanted));
    }

    #[test]
    fn ratios_are_of_a_product_by_itself() {
        let table = squares(&[line("gemm", false, 20.0)]).unwrap_or_default();
        assert!(
            table.ends_with("| 2 x 3 x 4 | gemm | 2^12 | 0.0200 | 0.0020 | 10.0 | 2.00 |\n"),
            "{table}"
        );
    }

    #[test]
    fn only_summaries_are_predictions() {
        let summary = json!({
            "predictions": "all", "products": 6, "time_within_25_percent": 5, "least_ratio": 0.71, "largest_ratio": 1.0,
            "prepare_within_25_percent": 6, "least_prepare_ratio": 0.9, "largest_prepare_ratio": 1.1, "bytes_within_5_percent": 6,
        });
        let table = predictions(&[line("gemm", false, 1.0), summary]).unwrap_or_default();
        assert!(
            table.ends_with("| all | 6 | 5 | 0.71 to 1.00 | 6 | 0.90 to 1.10 | 6 |\n"),
            "{table}"
        );
        assert_eq!(table.lines().count(), 3);
    }
}
