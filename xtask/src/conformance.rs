//! `cargo xtask conformance [--quick|--full] [--minutes N] [--machine NAME]`: every operation of every device that this machine has or can
//! emulate, against its definition, to the bit.
//!
//! The program's `conformance` does it: once as it is, for the CPU with each set of instructions and for what GPUs there are, and once
//! on the emulated driver of CUDA, which is never put before the first run. What `--full` compares is shared out over many runs, whose
//! results are kept below the target folder by commit: a run that was stopped, or had used up its minutes, goes on where it was. The
//! result is written to `benches/results/conformance/`, with how many of the runs it is of.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    cuda::{at, emulation, root},
    results,
};

const DIRECTORY: &str = "benches/results/conformance";
/// Shares of `--full`.
const SHARES: usize = 24;

/// Runs the chore.
pub fn run(args: &[String]) -> Result<(), String> {
    let (mut scope, mut machine, mut limit) = ("standard", None, Duration::MAX);
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        match flag.as_str() {
            "--quick" => scope = "quick",
            "--full" => scope = "full",
            "--machine" => machine = Some(args.next().ok_or("--machine wants a name")?.clone()),
            "--minutes" => {
                let minutes = args.next().and_then(|n| n.parse::<u64>().ok());
                limit = Duration::from_secs(60 * minutes.ok_or("--minutes wants a number")?);
            }
            _ => {
                return Err(format!(
                    "{flag} is unknown; there are --quick, --full, --minutes N and --machine NAME"
                ));
            }
        }
    }
    let clock = Instant::now();
    let program = build()?;
    let driver = emulation::library("plain")?;
    let commit = results::commit()?;
    let kept = results::target().join("conformance").join(&commit);
    println!(
        "{:<8} {:<34} {:<9} {:>8} {:>9} {:>6} {:>9}",
        "backend", "device", "scope", "checks", "failures", "skips", "seconds"
    );
    let shares = if scope == "full" { SHARES } else { 1 };
    let (mut rows, mut done) = (Vec::new(), 0);
    for share in 1..=shares {
        for driver in [None, Some(driver.as_path())] {
            let name = if driver.is_some() { "emulated" } else { "machine" };
            let file = kept.join(format!("{share}-of-{shares}-{name}.json"));
            // A tree with changes is never the same twice.
            let known = shares > 1 && !commit.ends_with("-dirty") && file.exists();
            if !known && clock.elapsed() >= limit {
                continue;
            }
            let found = match known {
                true => read(&file)?,
                false => judge(&program, scope, &format!("{share}/{shares}"), driver)?,
            };
            if shares > 1 && !known {
                fs::create_dir_all(&kept).map_err(at(kept.display()))?;
                keep(&file, &found)?;
            }
            found.into_iter().for_each(|row| add(&mut rows, row));
            done += 1;
        }
    }
    let sum = |key: &str| -> u64 { rows.iter().filter_map(|row| row[key].as_u64()).sum() };
    let (checks, failures, skips) = (sum("checks"), sum("failures"), sum("skips"));
    println!(
        "{done} of {} runs: {checks} checks, {failures} failures, {skips} parts skipped",
        2 * shares
    );

    let (date, processor) = (results::date()?, results::processor());
    let report = json!({
        "date": date,
        "scope": scope,
        "runs": done,
        "of_runs": 2 * shares,
        "machine": results::machine(&processor)?,
        "commit": commit,
        "checks": checks,
        "failures": failures,
        "skips": skips,
        "devices": rows,
    });
    let path = match scope {
        "full" => {
            let name = machine.unwrap_or_else(|| results::slug(&processor));
            let part = if done < 2 * shares { "-part" } else { "" };
            root().join(DIRECTORY).join(format!("{date}-{name}{part}.json"))
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

/// Keeps the rows of a run: under another name first, so that a call that is stopped meanwhile leaves no half of them.
fn keep(file: &Path, rows: &[Value]) -> Result<(), String> {
    let part = file.with_extension("json.part");
    fs::write(&part, Value::from(rows).to_string()).map_err(at(part.display()))?;
    fs::rename(&part, file).map_err(at(file.display()))
}

/// The rows of a run that was kept.
fn read(file: &Path) -> Result<Vec<Value>, String> {
    let text = fs::read_to_string(file).map_err(at(file.display()))?;
    serde_json::from_str(&text).map_err(at(file.display()))
}

/// Adds what a run found of a device to what others did.
fn add(rows: &mut Vec<Value>, row: Value) {
    let same = |other: &&mut Value| ["choice", "device"].iter().all(|key| other[*key] == row[*key]);
    let Some(all) = rows.iter_mut().find(same) else {
        rows.push(row);
        return;
    };
    for key in ["parts", "checks", "failures", "skips"] {
        all[key] = json!(all[key].as_u64().unwrap_or(0) + row[key].as_u64().unwrap_or(0));
    }
    all["seconds"] = json!(all["seconds"].as_f64().unwrap_or(0.0) + row["seconds"].as_f64().unwrap_or(0.0));
    if let (Some(all), Some(found)) = (all["findings"].as_array_mut(), row["findings"].as_array()) {
        all.extend_from_slice(found);
    }
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
fn judge(program: &Path, scope: &str, share: &str, driver: Option<&Path>) -> Result<Vec<Value>, String> {
    let mut command = Command::new(program);
    command.args(["conformance", "--json", "--scope", scope, "--share", share]);
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
