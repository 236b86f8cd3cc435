//! What measured results become: tables between two markers of a page, and pictures. Every report compares them with what is there, or
//! writes them.

use std::{fmt::Display, fs, path::PathBuf};

use serde_json::Value;

use crate::results;

/// A report: its name, and whether it only compares.
pub struct Report {
    name: &'static str,
    check: bool,
}

impl Report {
    /// From the arguments of the chore of that name.
    pub fn new(name: &'static str, args: &[String]) -> Self {
        let check = args.iter().any(|a| a == "--check");
        Self { name, check }
    }

    /// Writes a file, unless it is what it should be; with `--check` another text is an error.
    pub fn write(&self, path: &str, text: &str) -> Result<(), String> {
        let (name, to) = (self.name, results::root().join(path));
        let old = fs::read_to_string(&to).unwrap_or_default();
        if old == text {
            println!("{name}: {path} is up to date");
        } else if self.check {
            return Err(format!(
                "{path} differs from the results; run `cargo xtask {name}`"
            ));
        } else {
            fs::write(&to, text).map_err(|e| format!("{path}: {e}"))?;
            println!("{name}: wrote {path}");
        }
        Ok(())
    }

    /// Puts tables between the markers of their names into a page.
    pub fn tables(&self, path: &str, tables: &[(&str, String)]) -> Result<(), String> {
        let page = fs::read_to_string(results::root().join(path)).map_err(|e| format!("{path}: {e}"))?;
        let new = tables.iter().try_fold(page, |page, (name, table)| {
            with_table(&page, name, table).map_err(|e| format!("{path}: {e}"))
        })?;
        self.write(path, &new)
    }
}

/// The page with another table between the markers of a name.
fn with_table(page: &str, name: &str, table: &str) -> Result<String, String> {
    let [start, end] = [format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->\n")];
    let missing = || format!("no lines {start:?} and {end:?}");
    let (before, rest) = page.split_once(&start).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    Ok(format!("{before}{start}{table}{end}{after}"))
}

/// An error that names a file.
fn fault(file: &str, e: &dyn Display) -> String {
    format!("{file}: {e}")
}

/// All results of a folder, one a file, by file name.
pub fn folder(folder: &str) -> Result<Vec<Value>, String> {
    let files = fs::read_dir(results::root().join(folder)).map_err(|e| fault(folder, &e))?;
    let mut files: Vec<PathBuf> = files.filter_map(|f| Some(f.ok()?.path())).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "json"));
    files.sort();
    let read = |file: &PathBuf| {
        let name = file.display().to_string();
        let text = fs::read_to_string(file).map_err(|e| fault(&name, &e))?;
        serde_json::from_str(&text).map_err(|e| fault(&name, &e))
    };
    files.iter().map(read).collect()
}

/// All results of a file, one a line.
pub fn lines(file: &str) -> Result<Vec<Value>, String> {
    let text = fs::read_to_string(results::root().join(file)).map_err(|e| fault(file, &e))?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| serde_json::from_str(line).map_err(|e| fault(file, &e)))
        .collect()
}

/// The text at a key.
pub fn text<'a>(run: &'a Value, key: &str) -> Result<&'a str, String> {
    (run.get(key).and_then(Value::as_str)).ok_or(format!("no text {key:?} in {run}"))
}

/// The number at the end of a path of keys.
pub fn number(run: &Value, keys: &[&str]) -> Result<f64, String> {
    let found = keys.iter().try_fold(run, |at, key| at.get(*key));
    (found.and_then(Value::as_f64)).ok_or(format!("no number {keys:?} in {run}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let page = "a\n<!-- x -->\nold\n<!-- end of x -->\nb\n";
        let new = with_table(page, "x", "new\n").unwrap_or_default();
        assert_eq!(new, page.replace("old", "new"));
        assert!(with_table("", "x", "").is_err());
    }
}
