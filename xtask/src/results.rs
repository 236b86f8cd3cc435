//! `cargo xtask bench-results [--machine NAME] [--tenseal PYTHON]`: times every operation and every peer, writes
//! `benches/results/DATE-NAME-Ncore-cpu.json`, and draws the chart from it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::chart;

const DIRECTORY: &str = "benches/results";

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The results file with the last date.
pub fn latest() -> Result<PathBuf, String> {
    let directory = root().join(DIRECTORY);
    let entries = fs::read_dir(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    let files = entries.filter_map(|e| e.ok().map(|e| e.path()));
    let files = files.filter(|f| f.extension().is_some_and(|e| e == "json"));
    files
        .max()
        .ok_or_else(|| format!("{DIRECTORY} is empty; run `cargo xtask bench-results`"))
}

/// Runs the chore.
pub fn run(args: &[String]) -> Result<(), String> {
    let (mut machine, mut tenseal) = (None, None);
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let value = args
            .next()
            .ok_or_else(|| format!("{flag} wants a value"))?
            .clone();
        match flag.as_str() {
            "--machine" => machine = Some(value),
            "--tenseal" => tenseal = Some(value),
            _ => {
                return Err(format!(
                    "{flag} is unknown; there are --machine NAME and --tenseal PYTHON"
                ));
            }
        }
    }
    let processor = processor();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let date = date()?;
    let operations = lines(&[
        "--package",
        "cipherformer",
        "--",
        "bench",
        "ops",
        "--json",
        "--backend",
        "cpu",
    ])?;
    let mut peers = vec!["--package", "peers", "--", "--json"];
    peers.extend(
        tenseal
            .as_deref()
            .into_iter()
            .flat_map(|python| ["--tenseal", python]),
    );
    let peers = lines(&peers)?;
    let results = json!({
        "date": date,
        "machine": self::machine(&processor)?,
        "rustc": rustc()?,
        "commit": commit()?,
        "operations": operations,
        "peers": peers,
    });
    let name = machine.unwrap_or_else(|| slug(&processor));
    let path = root()
        .join(DIRECTORY)
        .join(format!("{date}-{name}-{cores}core-cpu.json"));
    let write =
        |text: String| fs::create_dir_all(root().join(DIRECTORY)).and_then(|()| fs::write(&path, text));
    write(pretty(&results)).map_err(|e| format!("{}: {e}", path.display()))?;
    println!("bench-results: wrote {}", path.display());
    chart::draw(&path)
}

/// Today.
pub fn date() -> Result<String, String> {
    output("date", &["-u", "+%F"])
}

/// What is measured.
pub fn commit() -> Result<String, String> {
    output("git", &["describe", "--always", "--dirty", "--abbrev=12"])
}

/// The compiler.
pub fn rustc() -> Result<String, String> {
    output("rustc", &["--version"])
}

/// What it is measured on.
pub fn machine(processor: &str) -> Result<Value, String> {
    Ok(json!({
        "processor": processor,
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "memory_gib": memory_gib(),
        "system": output("uname", &["-srm"])?,
    }))
}

/// Cargo, in the root of the repository.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// The target folder.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The JSON lines of a program of this workspace.
fn lines(args: &[&str]) -> Result<Vec<Value>, String> {
    let all: Vec<&str> = ["run", "--quiet", "--release"]
        .iter()
        .chain(args)
        .copied()
        .collect();
    let text = output("cargo", &all)?;
    text.lines()
        .map(|line| serde_json::from_str(line).map_err(|e| format!("{line}: {e}")))
        .collect()
}

/// What a program printed, without the space around it.
fn output(program: &str, args: &[&str]) -> Result<String, String> {
    let run = || format!("{program} {}", args.join(" "));
    let output = (Command::new(program)
        .args(args)
        .current_dir(root())
        .stderr(std::process::Stdio::inherit()))
    .output()
    .map_err(|e| format!("{}: {e}", run()))?;
    if !output.status.success() {
        return Err(format!("{}: {}", run(), output.status));
    }
    let text = String::from_utf8(output.stdout).map_err(|e| format!("{}: {e}", run()))?;
    Ok(text.trim().to_owned())
}

/// A line of a file of /proc, after its colon.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|l| l.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The processor in words.
pub fn processor() -> String {
    field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

fn memory_gib() -> Option<u64> {
    let kib: u64 = field("/proc/meminfo", "MemTotal")?
        .split(' ')
        .next()?
        .parse()
        .ok()?;
    Some((kib + (1 << 19)) >> 20)
}

/// Letters and digits of a name, in lower case, with dashes between the words.
pub fn slug(name: &str) -> String {
    let plain = name.replace("(R)", "").replace("(TM)", "").to_lowercase();
    let words: Vec<&str> = plain
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|w| !w.is_empty())
        .collect();
    words.join("-")
}

/// An object a line for the rows of lists, so that differences between runs read well.
pub fn pretty(results: &Value) -> String {
    let mut text = String::from("{\n");
    let fields = results.as_object().into_iter().flatten();
    let fields: Vec<String> = fields
        .map(|(key, value)| match value.as_array() {
            Some(rows) => {
                let rows: Vec<String> = rows.iter().map(|row| format!("    {row}")).collect();
                format!("  {key:?}: [\n{}\n  ]", rows.join(",\n"))
            }
            None => format!("  {key:?}: {value}"),
        })
        .collect();
    text.push_str(&fields.join(",\n"));
    text.push_str("\n}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_was_measured() {
        let results = json!({ "date": "2026-01-01", "machine": { "cores": 2 }, "operations": [{ "op": "a" }, { "op": "b" }], "peers": [] });
        let text = pretty(&results);
        assert_eq!(serde_json::from_str::<Value>(&text).ok(), Some(results));
        assert_eq!(text.lines().filter(|l| l.contains("\"op\"")).count(), 2);
    }

    #[test]
    fn names_of_processors_become_names_of_files() {
        assert_eq!(slug("Intel(R) Xeon(R) Processor"), "intel-xeon-processor");
        assert_eq!(slug("AMD EPYC 9B45 @ 2.6GHz"), "amd-epyc-9b45-2-6ghz");
    }
}
