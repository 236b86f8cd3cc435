//! CKKS at N = 2^14: PyPI `tenseal` (SEAL inside), timed by `tenseal_peer.py`, whose lines join ours.

use std::{path::Path, process::Command, time::Duration};

use cipherformer::bench::time;
use serde::Deserialize;

use crate::compare::{Comparison, Failure, ours};

/// One line of the script.
#[derive(Deserialize)]
struct Line {
    op: String,
    log_n: u32,
    peer: String,
    peer_us: f64,
}

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tenseal_peer.py");

pub fn compare(
    budget: Duration,
    python: &Path,
    show: &mut impl FnMut(Comparison) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let output = Command::new(python).arg(SCRIPT).output().map_err(|e| {
        format!(
            "{}: {e}; pass the Python of an environment that has tenseal",
            python.display()
        )
    })?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "{SCRIPT}: {}; `pip install tenseal` gives what it needs",
            message.trim()
        )
        .into());
    }
    for line in String::from_utf8(output.stdout)?.lines() {
        let line: Line = serde_json::from_str(line)?;
        for mut case in ours(line.log_n, &[&line.op])? {
            let times = time(budget, || case.run())?;
            show(Comparison::new(
                case.op,
                line.log_n,
                times.min_us,
                &line.peer,
                line.peer_us,
            ))?;
        }
    }
    Ok(())
}
