//! `cargo xtask conformance [--quick|--full] [--machine NAME]`: every operation of every device that this machine has or can emulate,
//! against its definition, to the bit.
//!
//! The program's `conformance` does it: once as it is, for the CPU with each set of instructions and for what GPUs there are, and once
//! on the emulated driver of CUDA, which is never put before the first run. The result of `--full` is written to
//! `benches/results/conformance/`.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    cuda::{at, emulation, root},
    results,
};

const DIRECTORY: &str = "benches/results/conformance";

/// Runs the chore.
pub fn run(args: &[String]) -> Result<(), String> {
    let (mut scope, mut machine) = ("standard", None);
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        match flag.as_str() {
            "--quick" => scope = "quick",
            "--full" => scope = "full",
            "--machine" => machine = Some(args.next().ok_or("--machine wants a name")?.clone()),
            _ => {
                return Err(format!(
                    "{flag} is unknown; there are --quick, --full and --machine NAME"
                ));
            }
        }
    }
    let program = build()?;
    let driver = emulation::library("plain")?;
    println!(
        "{:<8} {:<34} {:<9} {:>8} {:>9} {:>6} {:>9}",
        "backend", "device", "scope", "checks", "failures", "skips", "seconds"
    );
    let mut rows = judge(&program, scope, None)?;
    rows.extend(judge(&program, scope, Some(&driver))?);
    let sum = |key: &str| -> u64 { rows.iter().filter_map(|row| row[key].as_u64()).sum() };
    let (checks, failures, skips) = (sum("checks"), sum("failures"), sum("skips"));
    println!("{checks} checks, {failures} failures, {skips} parts skipped");

    let (date, processor) = (results::date()?, results::processor());
    let report = json!({
        "date": date,
        "scope": scope,
        "machine": results::machine(&processor)?,
        "commit": results::commit()?,
        "checks": checks,
        "failures": failures,
        "skips": skips,
        "devices": rows,
    });
    let path = match scope {
        "full" => {
            let name = machine.unwrap_or_else(|| results::slug(&processor));
            root().join(DIRECTORY).join(format!("{date}-{name}.json"))
        }
        _ => root().join("target/conformance.json"),
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(at(folder.display()))?;
    }
    fs::write(&path, results::pretty(&report)).map_err(at(path.display()))?;
    println!("conformance: wrote {}", path.display());
    if failures > 0 || checks == 0 {
        return Err(format!("{failures} of {checks} checks failed"));
    }
    Ok(())
}

/// The program in its release build, with every backend.
fn build() -> Result<PathBuf, String> {
    let mut cargo = results::cargo();
    crate::cuda::run(cargo.args([
        "build",
        "--quiet",
        "--release",
        "--features",
        "wgpu",
        "--bin",
        "cipherformer",
    ]))?;
    Ok(results::target().join("release/cipherformer"))
}

/// The program's findings, printed as they come: of the machine as it is, or of the CUDA backend on an emulated driver.
fn judge(program: &Path, scope: &str, driver: Option<&Path>) -> Result<Vec<Value>, String> {
    let mut command = Command::new(program);
    command.args(["conformance", "--json", "--scope", scope]);
    if let Some(driver) = driver {
        command.args(["--backend", "cuda"]).env("LD_LIBRARY_PATH", driver);
    }
    let mut child = (command.stdout(Stdio::piped()).spawn()).map_err(at(program.display()))?;
    let mut rows = Vec::new();
    for line in child
        .stdout
        .take()
        .into_iter()
        .flat_map(|s| BufReader::new(s).lines())
    {
        let line = line.map_err(at(program.display()))?;
        let row: Value = serde_json::from_str(&line).map_err(|e| format!("{line}: {e}"))?;
        print(&row);
        rows.push(row);
    }
    child.wait().map_err(at(program.display()))?;
    // What failed is in the rows; a run without any says so itself.
    match rows.is_empty() {
        true => Err(String::from("conformance found nothing to say")),
        false => Ok(rows),
    }
}

fn print(row: &Value) {
    let text = |key: &str| row[key].as_str().unwrap_or("-");
    println!(
        "{:<8} {:<34} {:<9} {:>8} {:>9} {:>6} {:>9.1}",
        text("choice"),
        text("device"),
        text("scope"),
        row["checks"],
        row["failures"],
        row["skips"],
        row["seconds"].as_f64().unwrap_or(0.0)
    );
    for finding in row["findings"].as_array().into_iter().flatten() {
        println!("         {finding}");
    }
    if !text("why").is_empty() {
        println!("         {}", text("why"));
    }
}
