//! The memory traffic of the CUDA backend's operations: what it would launch, counted without a GPU.

use std::fmt::Write;

use cipherformer::bench::traffic::{A100_BYTES_PER_SECOND, Traffic, UNFUSED_LIMBS, measure};

use crate::cuda::{at, root};

const PAGE: &str = "docs/gpu.md";
const BEGIN: &str = "<!-- made by `cargo xtask traffic --write` -->\n";
const END: &str = "<!-- end -->\n";

/// Prints the tables; `--json` as data, `--write` into docs/gpu.md, `--check` compares with what is there.
pub fn run(args: &[String]) -> Result<(), String> {
    let all = measure().map_err(|e| e.to_string())?;
    let has = |flag: &str| args.iter().any(|a| a == flag);
    if has("--json") {
        let operations: Vec<_> = all.iter().map(json).collect();
        let text = serde_json::to_string_pretty(&operations).map_err(|e| e.to_string())?;
        println!("{text}");
        return Ok(());
    }
    let text = tables(&all).map_err(|e| e.to_string())?;
    if !has("--write") && !has("--check") {
        print!("{text}");
        return Ok(());
    }
    let path = root().join(PAGE);
    let page = std::fs::read_to_string(&path).map_err(at(path.display()))?;
    let missing = || format!("{PAGE} lacks the lines {BEGIN:?} and {END:?}");
    let (before, rest) = page.split_once(BEGIN).ok_or_else(missing)?;
    let (have, after) = rest.split_once(END).ok_or_else(missing)?;
    if has("--write") {
        std::fs::write(&path, [before, BEGIN, &text, END, after].concat()).map_err(at(path.display()))
    } else if have == text {
        println!("{PAGE} is up to date");
        Ok(())
    } else {
        Err(format!(
            "{PAGE} is stale; run `cargo xtask traffic --write` and commit it"
        ))
    }
}

fn mib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

/// A summary, then every kernel of every operation.
fn tables(all: &[Traffic]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(
        text,
        "\n| operation | launches | MiB moved | rows | of unfused | tables, MiB | floor, MiB | A100, predicted |\n|---|---|---|---|---|---|---|---|"
    )?;
    for t in all {
        let moved = t.moved_bytes() as f64;
        let unfused = match t.unfused_bytes {
            Some(bytes) => format!("{:.0} %", 100.0 * moved / bytes as f64),
            None => String::new(),
        };
        writeln!(
            text,
            "| {} | {} | {:.1} | {:.0} | {unfused} | {:.1} | {:.1} | {:.0} us |",
            t.operation,
            t.launches.len(),
            mib(moved),
            t.limbs(t.moved_bytes()),
            mib(t.table_bytes() as f64),
            mib(t.floor_bytes),
            t.predicted_microseconds(),
        )?;
    }
    if let Some(product) = all.first() {
        let limbs = product.limbs(product.moved_bytes() + product.table_bytes());
        writeln!(
            text,
            "\n{}: {limbs:.0} rows with tables, {:.0} % of the {UNFUSED_LIMBS:.0} of an unfused engine. Predictions are bytes \
             over {:.2} TB/s, not measurements.",
            product.operation,
            100.0 * limbs / UNFUSED_LIMBS,
            A100_BYTES_PER_SECOND / 1e12
        )?;
    }
    for t in all {
        writeln!(
            text,
            "\n{}:\n\n| kernel | launches | rows read | rows written | tables |\n|---|---|---|---|---|",
            t.operation
        )?;
        for (name, k) in t.kernels() {
            writeln!(
                text,
                "| `{name}` | {} | {:.1} | {:.1} | {:.1} |",
                k.launches,
                t.limbs(k.read_bytes),
                t.limbs(k.written_bytes),
                t.limbs(k.table_bytes)
            )?;
        }
    }
    writeln!(text)?;
    Ok(text)
}

fn json(t: &Traffic) -> serde_json::Value {
    let kernels: serde_json::Map<String, serde_json::Value> = (t.kernels().into_iter())
        .map(|(name, k)| {
            let value = serde_json::json!({
                "launches": k.launches,
                "read_bytes": k.read_bytes,
                "written_bytes": k.written_bytes,
                "table_bytes": k.table_bytes,
            });
            (name.to_owned(), value)
        })
        .collect();
    serde_json::json!({
        "operation": t.operation,
        "log_n": t.log_n,
        "launches": t.launches.len(),
        "moved_bytes": t.moved_bytes(),
        "table_bytes": t.table_bytes(),
        "unfused_bytes": t.unfused_bytes,
        "floor_bytes": t.floor_bytes,
        "predicted_a100_us": t.predicted_microseconds(),
        "kernels": kernels,
    })
}
