//! `bench ops --json`: every line parses and has all its fields.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]
#![cfg(feature = "cli")]

use std::process::{Command, Output};

use serde_json::Value;

fn bench_ops(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cipherformer"))
        .args(["bench", "ops", "--seconds", "0.01"])
        .args(args)
        .output()
        .unwrap()
}

#[test]
fn lines_have_all_fields() {
    let output = bench_ops(&["--json", "--only", "ntt/forward", "--backend", "cpu"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let rings: Vec<u64> = lines.iter().map(|l| l["log_n"].as_u64().unwrap()).collect();
    assert_eq!(rings, [12, 13, 14, 15, 16]);
    for line in &lines {
        assert_eq!(line["op"], "ntt/forward");
        assert_eq!(
            (&line["backend"], &line["emulated"]),
            (&"cpu".into(), &false.into())
        );
        assert!(["portable", "AVX2", "AVX-512"].contains(&line["instructions"].as_str().unwrap()));
        let whole = |key: &str| line[key].as_u64().unwrap_or_else(|| panic!("{key} in {line}"));
        assert_eq!(["limbs", "digits", "batch", "threads"].map(whole), [1, 0, 1, 1]);
        let positive = |key: &str| {
            let value = line[key].as_f64().unwrap_or_else(|| panic!("{key} in {line}"));
            assert!(value > 0.0, "{key} in {line}");
            value
        };
        assert!((29.0..30.0).contains(&positive("log_qp")));
        assert!(positive("min_us") <= positive("median_us"));
        positive("floor_us");
        // In place: the row has its room.
        assert_eq!(whole("peak_bytes"), 0);
        // One row read and written.
        let bytes = 8 << whole("log_n");
        assert_eq!(positive("floor_bytes"), bytes as f64);
        if cfg!(feature = "cuda") {
            assert!(whole("moved_bytes") >= bytes);
            assert!(positive("a100_predicted_us") >= 2.0);
        } else {
            assert!(line["a100_predicted_us"].is_null());
        }
        assert!(line.as_object().unwrap().contains_key("scaled_us"));
        if cfg!(feature = "speed") {
            let scaled = positive("median_us") / positive("slowness");
            assert!((positive("scaled_us") / scaled - 1.0).abs() < 1e-9, "{line}");
        } else {
            assert!(line["scaled_us"].is_null());
        }
        assert_eq!(line.as_object().unwrap().len(), 21, "{line}");
    }
}

/// A sum takes its result and nothing else, rows a little apart.
#[test]
fn memory_of_a_run_is_told() {
    let output = bench_ops(&["--json", "--only", "^bfv/add/13$", "--backend", "cpu"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let line: Value = serde_json::from_str(text.trim()).unwrap();
    let result = 2 * line["limbs"].as_u64().unwrap() * (4 << 13);
    let taken = line["peak_bytes"].as_u64().unwrap();
    assert!(
        (result..result + result / 4).contains(&taken),
        "{taken} for {result}"
    );
}

#[test]
fn the_ring_threads_and_instructions_can_be_chosen() {
    let choice = ["--threads", "2", "--instructions", "portable"];
    let output = bench_ops(&[["--json", "--only", "^ntt/inverse/13$"].as_slice(), &choice].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let line: Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(
        (line["op"].as_str(), line["log_n"].as_u64()),
        (Some("ntt/inverse"), Some(13))
    );
    assert_eq!(
        (line["threads"].as_u64(), &line["instructions"]),
        (Some(2), &"portable".into())
    );
}

#[test]
fn bad_arguments_are_refused_with_a_remedy() {
    for (args, words) in [
        (["--only", "nothing"], ["\"nothing\"", "ckks/rotate"]),
        (["--only", "("], ["regular expression", "group"]),
        (["--instructions", "mmx"], ["\"mmx\"", "portable"]),
        (["--threads", "0"], ["0 threads", "1 to 1024"]),
        (["--threads", "1000000"], ["1000000 threads", "1 to 1024"]),
    ] {
        let output = bench_ops(&args);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && output.stdout.is_empty(), "{args:?}");
        for word in words {
            assert!(message.contains(word), "{args:?}: no {word:?} in {message:?}");
        }
    }
}
