//! The CUDA kernels without a GPU: their image, their emulation, their static budget.

pub mod budget;
pub mod emulation;
pub mod image;
mod launches;
mod nvrtc;
mod wheels;

use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where what these chores make is kept.
fn workshop() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| root().join("target")).join("cuda")
}

/// `error` with the place where it happened.
pub fn at<E: std::fmt::Display>(place: impl std::fmt::Display) -> impl FnOnce(E) -> String {
    move |error| format!("{place}: {error}")
}

/// Runs a command to its end.
pub fn run(command: &mut std::process::Command) -> Result<(), String> {
    let status = command.status().map_err(at(format!("{command:?}")))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?} failed: {status}"))
    }
}

/// Names of the kernels in an image, in order.
fn entries(ptx: &str) -> impl Iterator<Item = &str> {
    ptx.lines()
        .filter_map(|l| l.trim_start().strip_prefix(".visible .entry ")?.split('(').next())
}
