//! Writes the table of shipped chains, `src/ring/tables.rs`, from the specifications in `src/ring/shipped.rs`.
//!
//! `cargo xtask chains` builds, checks and writes; `--check` only compares with the file; `--print` shows every chain.

use std::{fmt::Write, fs, path::Path};

use cipherformer::ring::{ChainKind, ChainSpec, ChainTable, build, shipped};

const FILE: &str = "src/ring/tables.rs";

/// Runs the chore.
pub fn run(args: &[String]) -> Result<(), String> {
    let has = |flag: &str| args.iter().any(|a| a == flag);
    let mut text = String::from(
        "//! The chains that come with the crate, written by `cargo xtask chains` from the specifications in `shipped.rs`.\n\n\
         use super::{chain::ChainKind, shipped::Stored};\n\n",
    );
    let print = |name: &str, table: &ChainTable| -> Result<(), String> {
        let report = table.check_insecure().map_err(|e| format!("{name}: {e}"))?;
        if has("--print") {
            println!("{name}: {report}\n");
        } else {
            println!("{name}: {}", report.summary());
        }
        Ok(())
    };
    text.push_str("/// At least 128 bits of security.\npub(super) const CHAINS: &[Stored] = &[\n");
    for (name, spec) in shipped::specs() {
        let table = made(&name, &spec)?;
        table.check().map_err(|e| format!("{name}: {e}"))?;
        print(&name, &table)?;
        append(&mut text, &name, &table).map_err(|e| e.to_string())?;
    }
    text.push_str("];\n\n/// For tests on small rings: no security at all.\npub(super) const INSECURE: &[Stored] = &[\n");
    for (name, spec) in shipped::insecure_specs() {
        let table = made(&name, &spec)?;
        print(&name, &table)?;
        append(&mut text, &name, &table).map_err(|e| e.to_string())?;
    }
    text.push_str("];\n");

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(FILE);
    let old = fs::read_to_string(&path).unwrap_or_default();
    if old == text {
        println!("chains: {FILE} is up to date");
        return Ok(());
    }
    if has("--check") {
        return Err(format!(
            "{FILE} differs from what its specifications give; run `cargo xtask chains`"
        ));
    }
    fs::write(&path, text).map_err(|e| format!("{FILE}: {e}"))?;
    println!("chains: wrote {FILE}");
    Ok(())
}

fn made(name: &str, spec: &ChainSpec) -> Result<ChainTable, String> {
    build(spec).map_err(|e| format!("{name}: {e}"))
}

fn append(text: &mut String, name: &str, table: &ChainTable) -> std::fmt::Result {
    let kind = match table.kind {
        ChainKind::Single => "Single",
        ChainKind::Pair => "Pair",
        ChainKind::Rational => "Rational",
        ChainKind::Mixed => "Mixed",
    };
    writeln!(
        text,
        "    Stored {{\n        name: \"{name}\",\n        log_n: {},",
        table.log_n
    )?;
    writeln!(text, "        kind: ChainKind::{kind},")?;
    writeln!(text, "        primes: &{:?},", table.primes)?;
    writeln!(text, "        special: &{:?},", table.special)?;
    writeln!(text, "        digit_of: &{:?},", table.digit_of)?;
    writeln!(text, "        levels: &[")?;
    for level in &table.levels {
        writeln!(
            text,
            "            (&{:?}, {:?}, {}),",
            level.primes, level.nominal_bits, level.absorbed_bits
        )?;
    }
    writeln!(text, "        ],\n    }},")
}
