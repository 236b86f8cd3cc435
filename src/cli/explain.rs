//! `explain`: what a file is.

use serde_json::{Value, json};

use super::{ExplainArgs, Failure, texts};
use crate::{
    report::bytes,
    rlwe::Params,
    wire::{Detail, Name, Summary, inspect},
};

pub(super) fn run(args: &ExplainArgs) -> Result<(), Failure> {
    let summary = inspect(&args.file)?;
    if args.json {
        say!("{}", object(&summary));
    } else {
        print(&summary);
    }
    Ok(())
}

fn object(s: &Summary) -> Value {
    let name = |n: Name| (n != Name::default()).then(|| n.to_string());
    let mut object = json!({
        "kind": s.header.kind.name(),
        "version": s.version,
        "parameters": s.parameters,
        "bytes": s.bytes,
        "batches": s.frames,
        "key": name(s.header.stamp.key),
        "request": name(s.header.stamp.request),
    });
    let detail = match &s.detail {
        Detail::Key => Value::Null,
        Detail::EvaluationKeys { count } | Detail::BootstrapKeys { count } => json!({ "keys": count }),
        Detail::Ciphertexts {
            items,
            polys,
            level,
            slots,
            scale_log2,
        } => json!({
            "ciphertexts": items, "polynomials": polys, "level": level, "slots": slots, "scale_log2": scale_log2,
        }),
        Detail::BfvCiphertexts {
            items,
            polys,
            level,
            plain,
        } => json!({
            "ciphertexts": items, "polynomials": polys, "level": level, "plain": plain.to_string(),
        }),
        Detail::CoefficientWeights {
            product,
            bound,
            biased,
        } => json!({
            "m": product.shape.m, "k": product.shape.k, "n": product.shape.n, "encrypted": product.encrypted,
            "plain": product.plain.to_string(), "bound": bound, "bias": biased,
        }),
        Detail::CoefficientOutputs {
            product,
            packed,
            items,
        } => json!({
            "m": product.shape.m, "k": product.shape.k, "n": product.shape.n, "encrypted": product.encrypted,
            "plain": product.plain.to_string(), "packed": packed, "ciphertexts": items,
        }),
        Detail::BfvParameters(spec) => json!({
            "log_n": spec.log_n, "primes": spec.primes, "digits": spec.digits, "plain": spec.plain.to_string(),
        }),
        Detail::Model(model) => json!({
            "sizes": model.config, "weight_bits": model.weight_bits, "margin": model.margin,
        }),
        Detail::Parameters(spec) => match Params::insecure((**spec).clone()) {
            Ok(params) => json!({
                "log_n": params.log_n(), "log_qp": params.log2_qp(), "security_bits": params.security_bits(),
                "levels": params.levels().len(),
            }),
            Err(error) => json!({ "error": error.to_string() }),
        },
    };
    object["detail"] = detail;
    object
}

fn print(s: &Summary) {
    say!();
    say!(
        "  {}, {}, format version {}",
        s.header.kind,
        bytes(s.bytes as usize),
        s.version
    );
    say!("  parameters  {}", s.parameters);
    for (what, name) in [("key", s.header.stamp.key), ("request", s.header.stamp.request)] {
        if name != Name::default() {
            say!("  {what:<11} {name}");
        }
    }
    match &s.detail {
        Detail::Key => {}
        Detail::EvaluationKeys { count } | Detail::BootstrapKeys { count } => {
            say!("  holds       {count} switching keys, seeded");
        }
        Detail::Ciphertexts {
            items,
            polys,
            level,
            slots,
            scale_log2,
        } => {
            let batches = texts::count(s.frames as usize, "batch", "batches");
            let stored = stored(*polys);
            say!("  holds       {batches} of {items} ciphertexts of {slots} slots, {stored}");
            say!("  level       {level}, scale 2^{scale_log2:.2}");
        }
        Detail::BfvCiphertexts {
            items,
            polys,
            level,
            plain,
        } => {
            say!(
                "  holds       {items} ciphertexts modulo t = {plain}, {}",
                stored(*polys)
            );
            say!("  level       {level}");
        }
        Detail::CoefficientWeights {
            product,
            bound,
            biased,
        } => {
            let bias = if *biased { ", with a bias" } else { "" };
            say!("  holds       weights up to {bound} in magnitude{bias}");
            say!(
                "  product     {} modulo t = {}, encrypted: {}",
                product.shape,
                product.plain,
                product.encrypted
            );
        }
        Detail::CoefficientOutputs {
            product,
            packed,
            items,
        } => {
            let how = if *packed { "packed" } else { "cut" };
            say!("  holds       {items} ciphertexts of results, {how}");
            say!(
                "  product     {} modulo t = {}, encrypted: {}",
                product.shape,
                product.plain,
                product.encrypted
            );
        }
        Detail::BfvParameters(spec) => {
            say!("  holds       N = 2^{}, t = {}", spec.log_n, spec.plain);
            say!("  primes      {} in {} digits", spec.primes, spec.digits);
        }
        Detail::Model(model) => {
            let c = model.config;
            say!(
                "  holds       {} tokens of {} features, {} heads, hidden width {}, {} classes",
                c.vocabulary,
                c.width,
                c.heads,
                c.hidden,
                c.classes
            );
            say!(
                "  weights     {} fractional bits; margin {}",
                model.weight_bits,
                model.margin
            );
        }
        Detail::Parameters(spec) => {
            say!();
            match Params::insecure((**spec).clone()) {
                Ok(params) => say!("{}", params.report()),
                Err(error) => say!("  {error}"),
            }
        }
    }
}

fn stored(polys: u32) -> String {
    match polys {
        1 => String::from("one polynomial and a seed each"),
        n => format!("{n} polynomials each"),
    }
}
