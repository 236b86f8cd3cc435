//! The command line program, as a user meets it: good input, bad input, never a panic.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]
#![cfg(feature = "cli")]

use std::{
    path::PathBuf,
    process::{Command, Output},
};

fn cipherformer(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cipherformer"))
        .args(args)
        .output()
        .unwrap()
}

/// Non-zero exit, and a message with all these words; nothing on standard output.
fn refused(args: &[&str], words: &[&str]) {
    let output = cipherformer(args);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{args:?} succeeded");
    assert!(!message.contains("panicked"), "{args:?}: {message}");
    assert!(output.stdout.is_empty(), "{args:?} printed to standard output");
    for word in words {
        assert!(message.contains(word), "{args:?}: no {word:?} in {message:?}");
    }
}

fn file(name: &str, content: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("cipherformer-{}-{name}", std::process::id()));
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn bad_input_is_refused_with_a_remedy() {
    refused(&["classify", "--text", ""], &["letter"]);
    refused(&["classify", "--text", "  1234 !?"], &["letter"]);
    refused(
        &["classify", "--text", &"word ".repeat(14_000)],
        &["70000", "65536"],
    );
    refused(
        &["classify", "--file", "/nonexistent/file.txt"],
        &["/nonexistent/file.txt", "UTF-8"],
    );
    refused(&["classify"], &["--text"]);
    refused(&["classify", "--nonsense"], &["--nonsense"]);
    refused(&["nonsense"], &["nonsense"]);
    refused(
        &["bench", "attention", "--tokens", "3"],
        &["3 tokens", "powers of two"],
    );
    refused(
        &["bench", "attention", "--tokens", "32", "--batch", "1"],
        &["8192", "256"],
    );
    refused(&["bench", "attention", "--heads", "5"], &["5 heads"]);
    refused(&["bench", "attention", "--heads", "0"], &["0 heads"]);
    refused(&["bench", "matmul", "--m", "3"], &["--k"]);
    refused(
        &["bench", "matmul", "--packing", "boxes"],
        &["boxes", "diagonal", "coefficient_cut"],
    );
    refused(&["bench", "attention", "--preset", "3x3"], &["3x3", "128x768"]);
    refused(
        &["bench", "attention", "--packing", "diagonal", "--batch", "2"],
        &["one request"],
    );
    refused(&["matmul", "plan", "--m", "3"], &["--k"]);
    refused(
        &["matmul", "plan", "--m", "0", "--k", "2", "--n", "2"],
        &["dimension is 0"],
    );
    refused(
        &[
            "matmul",
            "plan",
            "--m",
            "9",
            "--k",
            "18446744073709551615",
            "--n",
            "2",
        ],
        &["too large"],
    );
    refused(
        &[
            "matmul", "plan", "--m", "2", "--k", "3", "--n", "4", "--budget", "1kB",
        ],
        &["blocks needs", "allow more bytes"],
    );
    for wrong in ["", "gpu", "cuda:x", "cuda:-1", "cpu:a"] {
        refused(
            &["classify", "--text", "word", "--backend", wrong],
            &["--backend", "cuda"],
        );
    }
    refused(
        &["classify", "--text", "word", "--backend", "cpu:1"],
        &["cpu:1", "there is one", "doctor"],
    );
    let path = file("latin1.txt", b"caf\xe9 au lait\n");
    refused(
        &["classify", "--file", path.to_str().unwrap()],
        &["not UTF-8 at byte 3", "iconv"],
    );
    std::fs::remove_file(path).unwrap();
    let path = file("empty.txt", b"\n\n 12 \n");
    refused(
        &["classify", "--file", path.to_str().unwrap()],
        &["no line holds a text"],
    );
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_need_for_parameters_is_read_with_suspicion() {
    for wrong in ["nan", "-3", "inf", "0", "many"] {
        refused(
            &["params", "--precision", wrong],
            &["--precision", "from 1 to 60"],
        );
        refused(&["params", "--depth", wrong], &["--depth", "from 1 to 43"]);
        refused(&["params", "--security", wrong], &["--security", "128, 192, 256"]);
        refused(&["params", "--memory", wrong], &["--memory", "2GiB"]);
    }
    // What would fit instead.
    refused(
        &["params", "--depth", "5", "--precision", "20", "--memory", "1MB"],
        &["depth 5", "within 1.0 MB", "--memory "],
    );
    refused(
        &[
            "params",
            "--depth",
            "43",
            "--precision",
            "42",
            "--security",
            "256",
        ],
        &["256-bit", "--depth ", "--precision ", "--security 128"],
    );
}

/// Shipped chains, and one that is found for the need; the chain printed is one that a program can use.
#[test]
fn parameters_are_chosen_for_a_need() {
    let choose = |args: &[&str]| -> serde_json::Value {
        let output = cipherformer(&[&["params", "--json"], args].concat());
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {message}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let shipped = choose(&["--depth", "5", "--precision", "25"]);
    assert_eq!(shipped["name"], "n14_rational40_l5_d3");
    let found = choose(&[
        "--depth",
        "2",
        "--precision",
        "14",
        "--security",
        "192",
        "--memory",
        "1GiB",
    ]);
    assert!(found["name"].is_null());
    assert!(found["security_bits"].as_u64().unwrap() >= 192);
    assert!(found["depth"].as_u64().unwrap() >= 2 && found["precision_bits"].as_f64().unwrap() >= 14.0);
    assert!(found["memory_bytes"].as_u64().unwrap() <= 1 << 30);
    let chain = serde_json::from_value(found["chain"].clone()).unwrap();
    let params = cipherformer::rlwe::Params::new(cipherformer::rlwe::Spec { chain }).unwrap();
    assert!(params.security_bits() >= 192);
}

#[cfg(unix)]
#[test]
fn text_that_is_not_utf8_is_refused() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let mut command = Command::new(env!("CARGO_BIN_EXE_cipherformer"));
    let output = command
        .args(["classify", "--text"])
        .arg(OsStr::from_bytes(b"caf\xe9"))
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("UTF-8"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_without_an_end_is_refused() {
    refused(
        &["classify", "--file", "/dev/zero"],
        &["/dev/zero", "split the file"],
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_or_closed_output_is_no_panic() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_cipherformer"))
        .arg("params")
        .stdout(full)
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        message.contains("standard output") && !message.contains("panicked"),
        "{message}"
    );

    let mut child = Command::new(env!("CARGO_BIN_EXE_cipherformer"))
        .arg("params")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
}

#[test]
fn a_file_gives_an_object_a_line_and_a_summary() {
    let text = "The harvest was late this year, and the barns stood empty until October.\n\
                \n\
                Il mercato del pesce apre ogni mattina prima dell'alba vicino al porto.\n\
                4711\n";
    let path = file("lines.txt", text.as_bytes());
    let output = cipherformer(&["classify", "--json", "--file", path.to_str().unwrap()]);
    std::fs::remove_file(path).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines: Vec<serde_json::Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 4);
    assert_eq!((&lines[0]["line"], &lines[0]["label"]), (&1.into(), &"en".into()));
    assert_eq!((&lines[1]["line"], &lines[1]["label"]), (&3.into(), &"it".into()));
    assert_eq!(
        (&lines[2]["line"], &lines[2]["label"]),
        (&4.into(), &"unsure".into())
    );
    assert!(lines[2]["error"].as_str().unwrap().contains("letter"));
    for line in &lines[..2] {
        assert_eq!(line["label"], line["plain_label"]);
        assert!(line["max_abs_error"].as_f64().unwrap() < 1e-3);
        let sum: f64 = line["probabilities"]
            .as_object()
            .unwrap()
            .values()
            .map(|p| p.as_f64().unwrap())
            .sum();
        assert!((sum - 1.0).abs() < 1e-5);
    }
    let summary = &lines[3];
    assert_eq!(
        (&summary["texts"], &summary["skipped"], &summary["failed"]),
        (&2.into(), &1.into(), &1.into())
    );
    assert!(summary["security_bits"].as_u64().unwrap() >= 128);
    for phase in ["keygen", "encrypt", "infer", "decrypt", "total"] {
        assert!(summary["seconds"][phase].as_f64().unwrap() > 0.0);
    }
    assert!(summary["bytes"]["ciphertexts"].as_u64().unwrap() > 0);
    assert!(summary["bytes"]["keys"].as_u64().unwrap() > 0);
}

#[test]
fn functions_are_listed_and_drawn() {
    let output = cipherformer(&["functions", "--json"]);
    assert!(output.status.success());
    let all: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let all = all.as_array().unwrap();
    let gelu = all.iter().find(|f| f["name"] == "gelu").unwrap();
    assert_eq!(
        (gelu["low"].as_f64(), gelu["high"].as_f64()),
        (Some(-8.0), Some(8.0))
    );
    assert_eq!(gelu["depth"], 5);
    assert!(gelu["error"].as_f64().unwrap() < 5e-5);
    let path = file("functions.svg", b"");
    let output = cipherformer(&["functions", "--plot", path.to_str().unwrap()]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && table.lines().count() > all.len());
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("<svg"));
    std::fs::remove_file(path).unwrap();
    refused(
        &["functions", "--plot", "/nonexistent/a.svg"],
        &["/nonexistent/a.svg", "can be written"],
    );
}

/// Shape, packings with their costs, a choice within the budget, and a reason.
#[test]
fn a_product_is_planned() {
    let ask = ["matmul", "plan", "--m", "4", "--k", "30", "--n", "20", "--json"];
    let output = cipherformer(&ask);
    assert!(output.status.success());
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packings = plan["packings"].as_array().unwrap();
    let names: Vec<&str> = packings.iter().map(|p| p["packing"].as_str().unwrap()).collect();
    let exact = ["coefficient_cut", "coefficient_packed"];
    assert_eq!(names[..4], ["column", "diagonal", "blocks", "gemm"]);
    assert_eq!(names[4..], exact);
    for packing in packings {
        for key in ["ciphertexts_up", "bytes_down", "peak_bytes", "products"] {
            assert!(packing[key].as_u64().unwrap() > 0, "{key} of {packing}");
        }
        assert!(packing["run_us"].as_f64().unwrap() > 0.0);
        assert!(packing["security_bits"].as_u64().unwrap() >= 128);
        let rotates = packing["rotations"].as_u64().unwrap() > 0;
        // Diagonals rotate, and packed results are interleaved.
        let name = packing["packing"].as_str().unwrap();
        assert_eq!(
            rotates,
            ["diagonal", "coefficient_packed"].contains(&name),
            "{packing}"
        );
        assert_eq!(packing["scheme"] == "bfv", exact.contains(&name));
        assert_eq!(
            packing["error_bound"].as_f64() == Some(0.0),
            exact.contains(&name)
        );
    }
    let chosen = plan["chosen"].as_str().unwrap();
    assert!(plan["reason"].as_str().unwrap().starts_with(chosen));
    let table = cipherformer(&ask[..8]);
    let text = String::from_utf8(table.stdout).unwrap();
    assert!(text.contains("4 x 30") && text.contains("gemm"), "{text}");
}

/// Every packing has a line, whichever operand is encrypted; exact ones have no error, and bytes are as predicted.
#[test]
fn products_are_measured_beside_the_plain_one() {
    for (encrypted, lines) in [("left", 6), ("right", 2), ("both", 2)] {
        let shape = [
            "--m",
            "3",
            "--k",
            "20",
            "--n",
            "9",
            "--seconds",
            "0",
            "--rounds",
            "2",
            "--backend",
            "cpu",
        ];
        let more = ["bench", "matmul", "--json", "--predict", "--encrypted", encrypted];
        let output = cipherformer(&[&more[..], &shape[..]].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        let all: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let (summaries, products): (Vec<_>, Vec<_>) = all.iter().partition(|l| l["predictions"].is_string());
        assert_eq!((products.len(), summaries.len()), (lines, lines + 1), "{text}");
        for line in products {
            let number = |key: &str| line[key].as_f64().unwrap_or_else(|| panic!("{key} in {line}"));
            for key in ["median_us", "min_us", "plain_gemm_us", "ratio", "predicted_us"] {
                assert!(number(key) > 0.0, "{key} in {line}");
            }
            assert!(number("max_error") <= number("error_bound"), "{line}");
            assert_eq!(line["encrypted"], encrypted);
            assert_eq!(number("error_bound") == 0.0, line["scheme"] == "bfv");
        }
        let all = &summaries[0];
        assert_eq!(all["bytes_within_5_percent"], all["products"], "{text}");
    }
}

/// Light weights are for the two packings of plaintext polynomials, take less memory than ready ones, and change no bound.
#[test]
fn light_weights_are_measured_beside_ready_ones() {
    let ask = "bench matmul --m 3 --k 20 --n 9 --seconds 0 --backend cpu --json";
    let measure = |more: &[&str]| objects(&[&ask.split(' ').collect::<Vec<_>>(), more].concat());
    let (ready, light) = (measure(&[]), measure(&["--light"]));
    assert_eq!(light.len(), 2);
    for light in light {
        let mut same = ready.iter().filter(|line| line["packing"] == light["packing"]);
        let ready = same.next().unwrap();
        assert_eq!((&ready["light"], &light["light"]), (&false.into(), &true.into()));
        assert!(
            number(&light, "weight_bytes") < number(ready, "weight_bytes"),
            "{light}"
        );
        assert!(
            number(&light, "max_error") <= number(&light, "error_bound"),
            "{light}"
        );
        assert_eq!(light["error_bound"], ready["error_bound"]);
    }
}

/// All objects that a command prints, one a line.
fn objects(args: &[&str]) -> Vec<serde_json::Value> {
    let output = cipherformer(args);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {message}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn number(object: &serde_json::Value, key: &str) -> f64 {
    object[key]
        .as_f64()
        .unwrap_or_else(|| panic!("{key} in {object}"))
}

/// log2 of all primes add up to that of their product.
fn primes_add_up(object: &serde_json::Value) {
    let sum = |key: &str| {
        let all = object[key].as_array().unwrap();
        assert!(!all.is_empty(), "{key}");
        all.iter().map(|x| x.as_f64().unwrap()).sum::<f64>()
    };
    let (sum, all) = (sum("log_primes") + sum("log_special"), number(object, "log_qp"));
    assert!((sum - all).abs() < 1e-6, "{sum} {all}");
}

/// Everything that is said of a measured bootstrap, on a ring without security.
#[test]
fn a_bootstrap_is_measured() {
    let ask = [
        "bench",
        "bootstrap",
        "--preset",
        "insecure-tiny",
        "--backend",
        "cpu",
        "--json",
    ];
    let all = objects(&ask);
    let [run] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(run["preset"], "insecure-tiny");
    assert_eq!(
        (run["log_n"].as_u64(), run["slots"].as_u64()),
        (Some(10), Some(512))
    );
    assert_eq!(
        (run["backend"].as_str(), run["threads"].as_u64()),
        (Some("cpu"), Some(1))
    );
    assert_eq!(
        (run["emulated"].as_bool(), run["levels_left"].as_u64()),
        (Some(false), Some(3))
    );
    assert_eq!(run["security_bits"].as_u64(), Some(0));
    let seconds = number(run, "seconds");
    assert!(seconds > 0.0 && seconds < 60.0, "{seconds}");
    let stages = run["stages"].as_object().unwrap();
    let names = [
        "coefficients_to_slots",
        "modular_reduction",
        "raise",
        "slots_to_coefficients",
    ];
    assert_eq!(stages.keys().collect::<Vec<_>>(), names);
    let each = stages.values().map(|s| s.as_f64().unwrap());
    // Medians of stages, whose sum is near the median of the whole.
    assert!(
        each.clone().all(|s| s > 0.0) && each.sum::<f64>() < 3.0 * seconds,
        "{run}"
    );
    let told = run["predicted_stages"].as_object().unwrap();
    assert_eq!(told.keys().collect::<Vec<_>>(), names);
    times_add_up(told.values(), number(run, "predicted_seconds"));
    for kind in ["random", "equal", "one_hot", "alternating", "searched"] {
        let (have, told) = (&run["precision_bits"][kind], &run["predicted_bits"][kind]);
        for key in ["mean", "worst"] {
            let off = number(have, key) - number(told, key);
            assert!(off.abs() < 1.5, "{kind}, {key}: {have} {told}");
        }
        assert!(number(have, "mean") >= number(have, "worst"), "{kind}: {have}");
    }
    assert!(number(&run["precision_bits"]["random"], "worst") > 18.0);
    primes_add_up(run);
    assert!(number(run, "failure_log2") < -128.0);
    // Two halves of each key in use, and the seed of one as they travel.
    let (held, seeded) = (number(run, "key_bytes"), number(run, "seeded_key_bytes"));
    assert!(held > 1.9 * seeded && held < 2.0 * seeded, "{held} {seeded}");
    for key in ["keys", "matrix_bytes", "working_bytes", "log_sparse_qp", "runs"] {
        assert!(number(run, key) > 0.0, "{key}");
    }
    let peak = number(run, "peak_bytes");
    assert!(peak == 0.0 || peak > held, "{peak}");
    let command = run["command"].as_str().unwrap();
    assert!(
        command.starts_with("cipherformer bench bootstrap --preset insecure-tiny"),
        "{command}"
    );
    refused(
        &["bench", "bootstrap", "--preset", "small-ish"],
        &["small-ish", "throughput"],
    );
    refused(&["bench", "bootstrap", "--threads", "0"], &["0 threads"]);
}

/// Positive seconds, and their sum.
fn times_add_up<'a>(each: impl Iterator<Item = &'a serde_json::Value>, sum: f64) {
    let each: Vec<f64> = each.map(|s| s.as_f64().unwrap()).collect();
    assert!(each.iter().all(|s| *s > 0.0), "{each:?}");
    assert!(
        (each.iter().sum::<f64>() - sum).abs() < 1e-9 * sum,
        "{each:?} {sum}"
    );
}

/// The time of a bootstrap is foretold where it is asked for, as the sum of its parts.
#[test]
fn times_of_bootstraps_are_foretold() {
    let ask = ["params", "--bootstrap", "insecure-tiny", "--json"];
    let all = objects(&[&ask[..], &["--time"]].concat());
    let [tiny] = all.as_slice() else { panic!("{all:?}") };
    let time = &tiny["time"];
    assert!(number(time, "threads") >= 1.0);
    let stages = time["stages"].as_array().unwrap();
    assert_eq!(stages.len(), 4);
    let seconds: Vec<serde_json::Value> = (stages.iter())
        .map(|stage| {
            let parts = stage["parts"].as_array().unwrap().iter();
            let us = parts.map(|part| number(part, "count") * number(part, "each_us"));
            serde_json::Value::from(us.sum::<f64>() * 1e-6)
        })
        .collect();
    times_add_up(seconds.iter(), number(time, "predicted_seconds"));
    let output = cipherformer(&[&ask[..3], &["--time"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("time foretold") && text.contains("modular reduction"),
        "{text}"
    );
    // Without it nothing is measured.
    assert!(objects(&ask)[0]["time"].is_null());
    refused(&["params", "--time"], &["--bootstrap"]);
    refused(
        &["params", "--bootstrap", "small-ish"],
        &["small-ish", "throughput"],
    );
}

/// What every preset takes, before anything of it is made.
#[test]
fn presets_of_bootstraps_are_listed_with_what_they_take() {
    let all = objects(&["params", "--bootstrap", "--json"]);
    let names: Vec<&str> = all.iter().map(|p| p["preset"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["throughput", "precision", "masked", "coefficients-first", "small"]
    );
    for preset in &all {
        assert_eq!(preset["security_bits"].as_u64(), Some(128));
        assert!(number(preset, "failure_log2") < -128.0 && number(preset, "levels_left") > 0.0);
        primes_add_up(preset);
        let [keys, seeded, matrices, work, total, least] =
            ["key", "seeded_key", "matrix", "working", "total", "least"]
                .map(|key| number(preset, &format!("{key}_bytes")));
        assert_eq!(total, keys + matrices + work, "{preset}");
        assert!(keys > 1.9 * seeded && keys < 2.0 * seeded, "{preset}");
        assert!(
            matrices > 0.0 && work > 0.0 && seeded + work < least && least < total,
            "{preset}"
        );
        // 8 GB in all, as docs/bootstrapping.md has it measured.
        assert!(total < 8e9, "{preset}");
        for kind in ["random", "equal", "one_hot", "alternating"] {
            assert!(
                number(&preset["predicted_bits"][kind], "worst") > 10.0,
                "{preset}"
            );
        }
    }
    let masked = &all[2];
    let aligned = number(&masked["predicted_bits"]["aligned"], "worst");
    assert!(
        aligned < number(&masked["predicted_bits"]["equal"], "worst") - 5.0,
        "{aligned}"
    );
    let about = masked["about"].as_str().unwrap();
    assert!(
        about.contains(&format!("{aligned:.1} bits for messages aligned with the mask")),
        "{about}"
    );
    assert!(all[0]["predicted_bits"]["aligned"].is_null());
    let output = cipherformer(&["params", "--bootstrap"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("as they travel") && text.contains("log2 of the primes"),
        "{text}"
    );
}

/// PowerSoftmax beside the plain computation, in the smallest shape.
#[test]
fn attention_with_power_softmax_is_measured() {
    let shape = ["--tokens", "2", "--heads", "1", "--dim", "2", "--backend", "cpu"];
    let ask = ["bench", "attention", "--kind", "power", "--json"];
    let all = objects(&[&ask[..], &shape[..]].concat());
    let [run] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(
        (run["kind"].as_str(), run["backend"].as_str()),
        (Some("power"), Some("cpu"))
    );
    for (key, want) in [
        ("tokens", 2),
        ("heads", 1),
        ("dim", 2),
        ("power", 4),
        ("security_bits", 128),
    ] {
        assert_eq!(run[key].as_u64(), Some(want), "{key} in {run}");
    }
    for key in [
        "qk_seconds",
        "softmax_seconds",
        "pv_seconds",
        "projections_seconds",
        "total_seconds",
    ] {
        assert!(number(run, key) > 0.0, "{key} in {run}");
    }
    assert!(number(run, "softmax_levels") < number(run, "levels"));
    let (error, most) = (number(run, "max_abs_error"), number(run, "max_abs_output"));
    assert!(
        most > 0.0 && error <= 4.0 * number(run, "weight_error") * most + 1e-4,
        "{run}"
    );
    for key in [
        "rotations",
        "relinearisations",
        "ciphertext_bytes",
        "key_bytes",
        "range",
        "eps",
    ] {
        assert!(number(run, key) > 0.0, "{key} in {run}");
    }
}

/// A GPU that is asked for and not there is an error that says what is missing; `auto` goes on without.
#[test]
fn a_missing_gpu_is_refused_with_a_remedy() {
    use cipherformer::backend::device::{BackendKind, Device, DeviceError};
    for kind in BackendKind::ALL {
        let words: &[&str] = match Device::open(kind.device(0)) {
            Ok(_) => continue,
            Err(DeviceError::NotBuilt { .. }) => &["build with"],
            Err(DeviceError::NoDriver { .. }) => &["install", "use another backend"],
            Err(_) => &[],
        };
        for command in [
            &["classify", "--text", "word"][..],
            &["doctor"],
            &["conformance"],
            &["bench", "ops"],
            &["bench", "attention"],
            &["bench", "matmul"],
            &["bench", "ceilings"],
            &["bench", "bootstrap", "--preset", "insecure-tiny"],
        ] {
            let output = cipherformer(&[command, &["--backend", kind.name()]].concat());
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{command:?}: {message}");
            for word in words.iter().chain([&kind.name()]) {
                assert!(message.contains(word), "{command:?}: no {word:?} in {message:?}");
            }
        }
    }
}
