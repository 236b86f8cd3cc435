//! `cargo xtask conformance [--quick|--full] [--minutes N] [--jobs N] [--machine NAME]`: every operation of every device that this machine
//! has or can emulate, against its definition: to the bit, decoded slots to 2^-44.
//!
//! The program's `conformance` does it for all devices at once, CUDA on the emulated driver among them. That driver is never put before
//! one that the machine has: a machine with a GPU of NVIDIA's has its own runs, and the emulation others. What `--full` compares is
//! shared out over runs of a part each, so many of them side by side as there are processors (or `--jobs`), each on one thread. Their
//! results are kept below the target folder by commit: a call that was stopped, or had used up its minutes, goes on where it was. The
//! result is written to `benches/results/conformance/`, with the parts that were not run by name. A backend that was skipped, since the
//! machine has no device for it, is an error once all others are judged.

use std::{
    collections::VecDeque,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use cipherformer::backend::{
    conformance::plan,
    device::{BackendKind, Device},
};
use serde_json::{Value, json};

use crate::{
    cuda::{at, emulation, root},
    results,
};

const DIRECTORY: &str = "benches/results/conformance";
/// What `--full` is, for readers of its result.
const FULL: &str = "all operations for N = 2^1, 2^2, 2^4, 2^6, 2^10 and 2^12 to 2^14 in batches of one and three, for 2^15 to 2^17 in batches of \
                    one; of every shipped chain up to N = 2^12 all levels in both batches, beyond in batches of one the highest level \
                    of every kind of steps (digits in use, a digit of one prime, primes removed and brought back) and the lowest, middle \
                    and highest level, in batches of three the lowest and middle level; `what` has every part";

/// What a call is told.
struct Options {
    scope: &'static str,
    machine: Option<String>,
    limit: Duration,
    jobs: usize,
}

impl Options {
    fn new(args: &[String]) -> Result<Self, String> {
        let mut options = Self {
            scope: "standard",
            machine: None,
            limit: Duration::MAX,
            jobs: thread::available_parallelism().map_or(1, usize::from),
        };
        let mut args = args.iter();
        while let Some(flag) = args.next() {
            let mut number = || {
                let number = args.next().and_then(|n| n.parse::<u64>().ok());
                number.ok_or(format!("{flag} wants a number"))
            };
            match flag.as_str() {
                "--quick" => options.scope = "quick",
                "--full" => options.scope = "full",
                "--minutes" => options.limit = Duration::from_secs(60 * number()?),
                "--jobs" => options.jobs = number()?.max(1) as usize,
                "--machine" => options.machine = Some(args.next().ok_or("--machine wants a name")?.clone()),
                _ => {
                    return Err(format!(
                        "{flag} is unknown; there are --quick, --full, --minutes N, --jobs N and --machine NAME"
                    ));
                }
            }
        }
        Ok(options)
    }
}

/// One call of the program.
struct Run<'a> {
    /// Which share of how many.
    share: [usize; 2],
    /// The emulated driver, if it is put before.
    driver: Option<&'a Path>,
    /// Whether it is of the emulated device alone, since others have a run of their own.
    emulated_only: bool,
    /// Where its rows are kept, if they are.
    file: Option<PathBuf>,
    /// Whether it has one thread.
    narrow: bool,
}

/// Runs the chore.
pub fn run(args: &[String]) -> Result<(), String> {
    let options = Options::new(args)?;
    let clock = Instant::now();
    let program = build()?;
    let driver = emulation::library("plain")?;
    let commit = results::commit()?;
    let full = options.scope == "full";
    let what: Vec<String> = plan::full().iter().map(ToString::to_string).collect();
    let shares = if full { what.len() } else { 1 };
    // A tree with changes is never the same twice.
    let kept =
        (full && !commit.ends_with("-dirty")).then(|| results::target().join("conformance").join(&commit));
    if let Some(kept) = &kept {
        fs::create_dir_all(kept).map_err(at(kept.display()))?;
    }
    let own_driver = Device::count(BackendKind::Cuda).is_ok_and(|count| count > 0);
    let drivers: &[Option<&Path>] = if own_driver {
        &[None, Some(&driver)]
    } else {
        &[Some(&driver)]
    };
    // The largest parts come last in the plan, and first here, so that all processors have work to the end.
    let runs = (1..=shares).rev().flat_map(|share| {
        let kept = kept.as_deref();
        drivers.iter().map(move |driver| {
            let emulated_only = own_driver && driver.is_some();
            let name = if emulated_only { "emulated" } else { "machine" };
            Run {
                share: [share, shares],
                driver: *driver,
                emulated_only,
                file: kept.map(|folder| folder.join(format!("{share}-of-{shares}-{name}.json"))),
                narrow: full,
            }
        })
    });
    let runs: Vec<Run> = runs.collect();
    let of_runs = runs.len();
    println!(
        "{:<8} {:<34} {:<9} {:>8} {:>9} {:>6} {:>9} {:>9}",
        "backend", "device", "scope", "checks", "failures", "skips", "seconds", "oracle"
    );
    let found = side_by_side(&program, &options, runs, clock)?;
    let done = found.len();
    let lacks = |share: &usize| found.iter().filter(|(done, _)| done == share).count() < drivers.len();
    let missing: Vec<&String> = (1..=shares)
        .filter(lacks)
        .filter_map(|share| what.get(share - 1))
        .collect();
    let mut rows = Vec::new();
    found
        .into_iter()
        .flat_map(|(_, rows)| rows)
        .for_each(|row| add(&mut rows, row));
    let sum = |key: &str| -> u64 { rows.iter().filter_map(|row| row[key].as_u64()).sum() };
    let (checks, failures, skips) = (sum("checks"), sum("failures"), sum("skips"));
    println!("{done} of {of_runs} runs: {checks} checks, {failures} failures, {skips} parts skipped");
    for part in missing.iter().filter(|_| full) {
        println!("not run: {part}");
    }

    let (date, processor) = (results::date()?, results::processor());
    let mut report = json!({
        "date": date,
        "scope": options.scope,
        "runs": done,
        "of_runs": of_runs,
        "machine": results::machine(&processor)?,
        "commit": commit,
        "checks": checks,
        "failures": failures,
        "skips": skips,
        "devices": rows,
    });
    let path = if full {
        (report["rule"], report["what"], report["not_run"]) = (json!(FULL), json!(what), json!(missing));
        let name = options.machine.unwrap_or_else(|| results::slug(&processor));
        let part = if done < of_runs { "-part" } else { "" };
        root().join(DIRECTORY).join(format!("{date}-{name}{part}.json"))
    } else {
        root().join("target/conformance.json")
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(at(folder.display()))?;
    }
    fs::write(&path, results::pretty(&report)).map_err(at(path.display()))?;
    println!("conformance: wrote {}", path.display());
    if failures > 0 || checks == 0 {
        return Err(format!("{failures} of {checks} checks failed"));
    }
    match skipped(&rows) {
        none if none.is_empty() => Ok(()),
        skipped => Err(format!(
            "SKIPPED, so that nothing is known of it: {}",
            skipped.join("; ")
        )),
    }
}

/// Backends without a single check, and why.
fn skipped(rows: &[Value]) -> Vec<String> {
    let of = |kind: BackendKind| rows.iter().filter(move |row| row["backend"] == kind.name());
    let unjudged = BackendKind::ALL
        .iter()
        .copied()
        .filter(|kind| of(*kind).all(|row| row["checks"].as_u64().unwrap_or(0) == 0));
    let why = |kind: BackendKind| {
        of(kind)
            .find_map(|row| row["why"].as_str())
            .unwrap_or("no run of it")
            .to_owned()
    };
    unjudged
        .map(|kind| format!("{}: {}", kind.name(), why(kind)))
        .collect()
}

/// The rows of runs, with their shares, as many at a time as there are jobs; after the limit, of those alone that are kept. The first error ends all.
fn side_by_side(
    program: &Path,
    options: &Options,
    runs: Vec<Run>,
    clock: Instant,
) -> Result<Vec<(usize, Vec<Value>)>, String> {
    let waiting = Mutex::new(VecDeque::from(runs));
    let take = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let worker = || {
        let mut found = Vec::new();
        while let Some(run) = take() {
            let known = run.file.as_deref().filter(|file| file.exists());
            if let Some(file) = known {
                found.push((run.share[0], read(file)?));
            } else if clock.elapsed() < options.limit {
                let rows = judge(program, options.scope, &run).inspect_err(|_| while take().is_some() {})?;
                if let Some(file) = &run.file {
                    keep(file, &rows)?;
                }
                found.push((run.share[0], rows));
            }
        }
        Ok::<_, String>(found)
    };
    let jobs = if options.scope == "full" { options.jobs } else { 1 };
    let found = thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(worker)).collect();
        let join =
            |w: thread::ScopedJoinHandle<_>| w.join().unwrap_or_else(|_| Err(String::from("a worker died")));
        workers.into_iter().map(join).collect::<Result<Vec<_>, String>>()
    })?;
    Ok(found.into_iter().flatten().collect())
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
    for key in ["seconds", "oracle_seconds"] {
        all[key] = json!(all[key].as_f64().unwrap_or(0.0) + row[key].as_f64().unwrap_or(0.0));
    }
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

/// The program's findings, printed as they come.
fn judge(program: &Path, scope: &str, run: &Run) -> Result<Vec<Value>, String> {
    let mut command = Command::new(program);
    let [share, of] = run.share;
    command.args([
        "conformance",
        "--json",
        "--scope",
        scope,
        "--share",
        &format!("{share}/{of}"),
    ]);
    if let Some(driver) = run.driver {
        command.env("LD_LIBRARY_PATH", driver);
    }
    if run.emulated_only {
        command.args(["--backend", "cuda"]);
    }
    if run.narrow {
        // One thread each, lavapipe's too: the runs beside it have the others.
        command.env("RAYON_NUM_THREADS", "1").env("LP_NUM_THREADS", "1");
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
    let number = |key: &str| row[key].as_u64().unwrap_or(0);
    println!(
        "{:<8} {:<34} {:<9} {:>8} {:>9} {:>6} {:>9.1} {:>9.1}",
        text("choice"),
        text("device"),
        text("scope"),
        number("checks"),
        number("failures"),
        number("skips"),
        row["seconds"].as_f64().unwrap_or(0.0),
        row["oracle_seconds"].as_f64().unwrap_or(0.0)
    );
    for finding in row["findings"].as_array().into_iter().flatten() {
        println!("         {finding}");
    }
    if !text("why").is_empty() {
        println!("         {}", text("why"));
    }
}
