//! `params` and `doctor`: what they claim is what is measured.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]
#![cfg(feature = "cli")]

use std::process::Command;

use cipherformer::{
    arith::Complex,
    backend::device::BackendKind,
    ckks::PrecisionReport,
    engine::{Client, Encrypted, Engine},
    rlwe::Params,
};
use serde_json::Value;

fn json(args: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_cipherformer"))
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// log2 of the measured error of a product of two products, all values of size 1.
fn measured(name: &str) -> f64 {
    let engine = Engine::auto(Params::shipped(name).unwrap()).unwrap();
    let client = Client::generate(&engine).unwrap();
    let server = client.server_keys(&engine.key_needs().relinearise()).unwrap();
    let unit = |i: usize, speed: f64| {
        let angle = speed * i as f64;
        Complex::new(angle.cos(), angle.sin())
    };
    let n = engine.slots();
    let factors: Vec<Vec<Complex>> = [0.3, 1.1, 2.0, 2.7]
        .map(|speed| (0..n).map(|i| unit(i, speed)).collect())
        .into();
    let encrypt = |k: usize| client.encrypt(&factors[k], 1).unwrap().receive(&engine).unwrap();
    let times =
        |a: &Encrypted, b: &Encrypted| server.relinearise_rescale(&server.mul(a, b).unwrap()).unwrap();
    let (left, right) = (times(&encrypt(0), &encrypt(1)), times(&encrypt(2), &encrypt(3)));
    let have = client.decrypt(&times(&left, &right)).unwrap();
    let want: Vec<Complex> = (0..n)
        .map(|i| factors[0][i] * factors[1][i] * factors[2][i] * factors[3][i])
        .collect();
    -PrecisionReport::new(&want, &have).unwrap().real.error_std_log2
}

#[test]
fn the_precision_of_params_is_what_is_measured() {
    let rows = json(&["params", "--json"]);
    for name in ["n13_rational40_l2_d3", "n14_rational45_l5_d3"] {
        let row = rows
            .as_array()
            .unwrap()
            .iter()
            .find(|r| r["name"] == name)
            .unwrap();
        let (claimed, measured) = (row["precision_bits"].as_f64().unwrap(), measured(name));
        assert!(
            (claimed - measured).abs() < 0.5,
            "{name}: {claimed:.2} claimed, {measured:.2} measured"
        );
        assert!(row["security_bits"].as_u64().unwrap() >= 128);
    }
}

#[test]
fn params_chooses_by_depth_and_precision() {
    let chosen = json(&["params", "--json", "--depth", "5", "--precision", "30"]);
    assert!(chosen["depth"].as_u64().unwrap() >= 5);
    assert!(chosen["precision_bits"].as_f64().unwrap() >= 30.0);
    assert!(chosen["security_bits"].as_u64().unwrap() >= 128);
}

#[test]
fn doctor_tests_the_machine() {
    let report = json(&["doctor", "--json"]);
    assert!(report["threads"].as_u64().unwrap() >= 1);
    let auto = &report["auto"];
    assert!(!auto["why"].as_str().unwrap().is_empty());
    assert_eq!(auto["emulated"], false);
    let backends = report["backends"].as_array().unwrap();
    for kind in BackendKind::ALL {
        let rows = || backends.iter().filter(|b| b["name"] == kind.name());
        assert!(rows().count() >= 1, "{kind} is missing");
        for row in rows() {
            assert!(!row["why"].as_str().unwrap().is_empty());
            let test = &row["self_test"];
            match row["available"].as_bool().unwrap() {
                true => {
                    assert_eq!((&test["passed"], &test["failures"]), (&true.into(), &0.into()));
                    assert!(test["worst_bits"].as_f64().unwrap() >= 18.0);
                    assert!(test["checks"].as_u64().unwrap() > 1000);
                    assert!(row["device"].is_string());
                }
                false => assert!(test.is_null() && row["device"].is_null()),
            }
        }
    }
    let chosen = backends.iter().find(|b| b["device"] == auto["device"]).unwrap();
    assert_eq!(
        (&chosen["name"], &chosen["available"]),
        (&auto["backend"], &true.into())
    );
}

#[test]
fn doctor_tests_one_backend_and_says_so_by_its_status() {
    let one = json(&["doctor", "--json", "--backend", "cpu"]);
    let backends = one["backends"].as_array().unwrap();
    assert_eq!((backends.len(), &backends[0]["choice"]), (1, &"cpu".into()));
    let missing = Command::new(env!("CARGO_BIN_EXE_cipherformer"))
        .args(["doctor", "--json", "--backend", "cpu:9"])
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&missing.stdout).unwrap();
    assert_eq!(report["backends"][0]["available"], false);
}

#[test]
fn conformance_has_a_line_a_device() {
    let output = Command::new(env!("CARGO_BIN_EXE_cipherformer"))
        .args(["conformance", "--json", "--scope", "quick"])
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    for kind in BackendKind::ALL {
        assert!(
            rows.iter().any(|r| r["backend"] == kind.name()),
            "{kind} is missing"
        );
    }
    for row in &rows {
        assert_eq!(row["failures"], 0);
        // Either it was run, or it says why not and how much that left out.
        let (checks, skips) = (row["checks"].as_u64().unwrap(), row["skips"].as_u64().unwrap());
        assert!((checks > 1000) != (skips > 0), "{row}");
        assert_eq!(skips > 0, !row["why"].as_str().unwrap().is_empty());
    }
}
