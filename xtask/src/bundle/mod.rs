//! `cargo xtask bundle [--no-wgpu] [FOLDER]`: what a machine with an NVIDIA GPU and without Rust is tested and measured with.
//!
//! A folder of stripped programs: the command line, which holds the benchmarks too, and the tests of devices; and `run.sh`, which runs them in
//! turn, prints a table and writes JSON. It needs nothing but a Linux on x86-64 with glibc, and for its GPU steps the driver. `--no-wgpu` leaves
//! out the wgpu backend and its tests, so that programs of the default features, which may be built already, will do.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    cuda::{at, run as run_command},
    results,
};

/// Bytes that the folder may have.
const MOST_BYTES: u64 = 48 << 20;
const SCRIPT: &str = include_str!("run.sh");
const README: &str = include_str!("README.md");
/// Tests of devices, the one that needs the feature `wgpu` last.
const TESTS: [&str; 3] = ["cuda", "devices", "wgpu"];

/// A program to bundle: its folder, its name, and where cargo put it.
struct Program {
    folder: &'static str,
    name: String,
    path: PathBuf,
}

/// Runs the chore.
pub fn run(args: &[String]) -> Result<(), String> {
    let (flags, folders): (Vec<&String>, Vec<&String>) = args.iter().partition(|a| a.starts_with("--"));
    let folder = match folders[..] {
        [] => results::target().join("bundle"),
        [folder] => PathBuf::from(folder),
        _ => return Err(String::from("bundle takes one folder")),
    };
    if let Some(flag) = flags.iter().find(|flag| **flag != "--no-wgpu") {
        return Err(format!("{flag} is unknown; there is --no-wgpu"));
    }
    let programs = build(flags.is_empty())?;
    clear(&folder)?;
    for program in &programs {
        let to = folder.join(program.folder);
        fs::create_dir_all(&to).map_err(at(to.display()))?;
        strip(&program.path, &to.join(&program.name))?;
    }
    write(&folder.join("run.sh"), SCRIPT)?;
    executable(&folder.join("run.sh"))?;
    write(&folder.join("README.md"), README)?;
    let origin =
        json!({ "commit": results::commit()?, "date": results::date()?, "rustc": results::rustc()? });
    write(&folder.join("origin.json"), &format!("{origin}\n"))?;

    let mut all = 0;
    for (path, bytes) in sizes(&folder)? {
        println!("{:>8.2} MiB  {path}", bytes as f64 / f64::from(1 << 20));
        all += bytes;
    }
    println!(
        "{:>8.2} MiB  {}, of {} MiB at most",
        all as f64 / f64::from(1 << 20),
        folder.display(),
        MOST_BYTES >> 20
    );
    if all > MOST_BYTES {
        return Err(format!("the bundle has {all} bytes, and may have {MOST_BYTES}"));
    }
    Ok(())
}

/// Builds everything for release, and says where it is.
fn build(wgpu: bool) -> Result<Vec<Program>, String> {
    let mut cargo = results::cargo();
    cargo.args(["build", "--release", "--bin", "cipherformer"]);
    cargo.arg("--message-format=json-render-diagnostics");
    if wgpu {
        cargo.args(["--features", "wgpu"]);
    }
    for name in &TESTS[..TESTS.len() - usize::from(!wgpu)] {
        cargo.args(["--test", name]);
    }
    let output = cargo
        .stderr(Stdio::inherit())
        .output()
        .map_err(at("cargo build"))?;
    if !output.status.success() {
        return Err(format!("cargo build: {}", output.status));
    }
    let text = String::from_utf8(output.stdout).map_err(at("cargo build"))?;
    let messages = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    let programs: Vec<Program> = messages.filter_map(|m| program(&m)).collect();
    if programs.is_empty() {
        return Err(String::from("cargo built no program"));
    }
    Ok(programs)
}

/// What a message of cargo says of a program.
fn program(message: &Value) -> Option<Program> {
    let path = PathBuf::from(message["executable"].as_str()?);
    let folder = match message["target"]["kind"][0].as_str()? {
        "bin" => "bin",
        "test" => "tests",
        _ => return None,
    };
    Some(Program {
        folder,
        name: message["target"]["name"].as_str()?.to_owned(),
        path,
    })
}

/// A copy without symbols.
fn strip(from: &Path, to: &Path) -> Result<(), String> {
    let strip = std::env::var_os("STRIP").unwrap_or("strip".into());
    run_command(Command::new(strip).arg("-o").arg(to).arg(from))
}

/// Removes what a former run made, and nothing else.
fn clear(folder: &Path) -> Result<(), String> {
    if !folder.exists() {
        return Ok(());
    }
    if !folder.join("origin.json").exists() {
        return Err(format!(
            "{} is there and is no bundle; remove it, or name another folder",
            folder.display()
        ));
    }
    fs::remove_dir_all(folder).map_err(at(folder.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(at(path.display()))
}

#[cfg(unix)]
fn executable(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(at(path.display()))
}

#[cfg(not(unix))]
fn executable(_: &Path) -> Result<(), String> {
    Ok(())
}

/// Files below a folder with their bytes, by name.
fn sizes(folder: &Path) -> Result<Vec<(String, u64)>, String> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).map_err(at(next.display()))? {
            let path = entry.map_err(at(next.display()))?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = fs::metadata(&path).map_err(at(path.display()))?.len();
            let name = path.strip_prefix(folder).unwrap_or(&path);
            files.push((name.display().to_string(), bytes));
        }
    }
    files.sort();
    Ok(files)
}
