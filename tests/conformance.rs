//! Every backend of this build against the oracle, and the suite against backends that are wrong.

#![cfg(feature = "fallback")]

use cipherformer::backend::{
    conformance::{Opaque, Report, Scope, run},
    cpu::{Cpu, Instructions},
    null::Null,
};

fn assert_passed(name: &str, report: &Report) {
    println!("{name}: {report}");
    assert!(report.passed(), "{name}: {report}");
}

#[test]
fn cpu() {
    assert_passed("cpu", &run(Cpu::poisoned, &Scope::full()));
}

#[test]
fn every_instruction_set() {
    for instructions in Instructions::available() {
        let make = || Cpu::with_instructions(*instructions).unwrap_or_default();
        assert_passed(instructions.name(), &run(make, &Scope::full()));
    }
}

#[test]
fn opaque_cpu() {
    let report = run(|| Opaque::new(Cpu::poisoned()), &Scope::quick());
    assert_passed("opaque", &report);
}

#[test]
fn a_backend_that_computes_nothing_fails() {
    let report = run(Null::new, &Scope::quick());
    // Only zeros agree with zeros, and then the guards do not.
    assert_eq!(report.failures.len(), report.checks);
}
