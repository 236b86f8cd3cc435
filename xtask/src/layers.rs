//! The layer check: a module of the library may use only the modules before it in [`ORDER`].
//!
//! Source of the order: `docs/architecture.md`. The check reads `crate::name` in every source file, comments
//! apart, and fails with the file, the line and both layers.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The layers, lowest first. A file of layer `i` may name layers `0..=i`.
const ORDER: &[&str] = &[
    "error",
    "arith",
    "sample",
    "ring",
    "backend",
    "rlwe",
    "ckks",
    "bfv",
    "circuit",
    "matmul",
    "model",
    "wire",
    "transformer",
    "hybrid",
    "report",
    "engine",
    "cli",
    "main",
];

/// Checks every file below `src/`.
pub fn run(_: &[String]) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    let mut faults = Vec::new();
    for file in &files {
        check(&root, file, &mut faults)?;
    }
    if faults.is_empty() {
        println!("layers: {} files, no upward use", files.len());
        return Ok(());
    }
    Err(format!("{} upward uses:\n{}", faults.len(), faults.join("\n")))
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    for entry in entries {
        let path = entry.map_err(|e| e.to_string())?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn check(root: &Path, file: &Path, faults: &mut Vec<String>) -> Result<(), String> {
    let relative = file.strip_prefix(root).map_err(|e| e.to_string())?;
    let first = relative
        .components()
        .next()
        .map(|c| c.as_os_str().to_string_lossy().into_owned())
        .unwrap_or_default();
    let layer = first.trim_end_matches(".rs");
    if layer == "lib" {
        return Ok(());
    }
    let Some(own) = ORDER.iter().position(|l| *l == layer) else {
        return Err(format!(
            "{}: `{layer}` is not in the layer order",
            relative.display()
        ));
    };
    let text = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for (at, _) in code.match_indices("crate::") {
            let name: String = code[at + 7..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            if let Some(other) = ORDER.iter().position(|l| *l == name)
                && other > own
            {
                faults.push(format!(
                    "  {}:{}: {layer} uses {name}",
                    relative.display(),
                    number + 1
                ));
            }
        }
    }
    Ok(())
}
