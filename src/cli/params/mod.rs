//! `params`: the shipped chains, and the choice of parameters for a need.

mod bootstrap;
mod choose;
mod plan;
mod wish;

use serde_json::json;

pub(super) use self::wish::{depth, memory, precision, security};
use self::{
    choose::{Choice, choose},
    plan::{Plan, Workload},
};
use super::{Failure, ParamsArgs};
use crate::{
    report::bytes,
    ring::{ChainKind, ChainTable, chains, security::max_log2_qp},
    rlwe::{Params, Spec},
};

/// What the parameters are for.
#[derive(Clone, Debug)]
struct Wish {
    /// Products one after the other.
    depth: u32,
    /// Bits of one product of numbers of size 1.
    precision: f64,
    /// Classical bits by the 2024 table.
    security: u32,
    /// Bytes for expanded keys and ciphertexts.
    memory: Option<u64>,
    work: Workload,
}

pub(super) fn run(args: &ParamsArgs) -> Result<(), Failure> {
    if let Some(name) = &args.bootstrap {
        return bootstrap::list(name.as_deref(), args.time.then_some(args.threads), args.json);
    }
    let asked = args.depth.is_some()
        || args.precision.is_some()
        || args.security.is_some()
        || args.memory.is_some()
        || args.ciphertexts.is_some()
        || args.rotations.is_some();
    if !asked {
        return list(args.json);
    }
    let wish = Wish {
        depth: args.depth.unwrap_or(1),
        precision: args.precision.unwrap_or(1.0),
        security: args.security.unwrap_or(128),
        memory: args.memory,
        work: Workload {
            ciphertexts: args.ciphertexts.unwrap_or(1),
            rotations: args.rotations,
        },
    };
    let choice = choose(&wish)?;
    let plan = Plan::new(&choice.params, &wish.work);
    if args.json {
        let mut object = plan.json();
        object["name"] = json!(choice.name);
        object["chain"] = serde_json::to_value(&choice.params.spec().chain)?;
        say!("{object}");
    } else {
        print(&choice, &plan, &wish);
    }
    Ok(())
}

fn shipped() -> Result<Vec<(&'static str, Params)>, Failure> {
    let params = |(name, chain): (&'static str, ChainTable)| Ok((name, Params::new(Spec { chain })?));
    // Mixed chains are those of bootstraps, which `--bootstrap` lists.
    let usual = chains().filter(|(_, chain)| chain.kind != ChainKind::Mixed);
    usual.map(params).collect()
}

fn print(choice: &Choice, plan: &Plan, wish: &Wish) {
    let params = &choice.params;
    say!();
    match choice.name {
        Some(name) => say!("  {name}, which comes with the crate: Params::shipped(\"{name}\")"),
        None => say!(
            "  found for this need, not among the shipped chains: Params::new(Spec {{ chain }}) of the chain in --json"
        ),
    }
    say!();
    let bound = max_log2_qp(params.log_n(), wish.security).unwrap_or_default();
    say!(
        "  ring         N = 2^{}, {} slots; log2 QP = {:.1} of the {bound} that keep {} bits",
        params.log_n(),
        params.degree() / 2,
        params.log2_qp(),
        wish.security
    );
    say!(
        "  security     {} bits, classical, by eprint 2024/463",
        params.security_bits()
    );
    say!("  depth        {} products one after the other", plan.depth);
    say!(
        "  precision    {:.0} bits in a product of numbers of size 1, scale 2^{:.0}",
        plan.precision_bits,
        plan.scale_log2
    );
    let size = |n: u64| bytes(n as usize);
    say!(
        "  ciphertext   {} in memory; fresh and seeded, {} in a file",
        size(plan.ciphertext_bytes),
        size(plan.seeded_ciphertext_file_bytes)
    );
    say!(
        "  keys         {}: relinearisation and {} rotations; {} in memory, seeded {} in a file",
        plan.keys,
        plan.keys - 1,
        size(plan.keys_bytes),
        size(plan.seeded_keys_file_bytes)
    );
    let budget = wish.memory.map_or(String::new(), |m| format!(" of {}", size(m)));
    say!(
        "  memory       {}{budget}: keys, and {} at the highest level",
        size(plan.memory_bytes),
        super::texts::count(plan.ciphertexts, "ciphertext", "ciphertexts")
    );
    say!();
    for line in params.report().to_string().lines() {
        say!("  {line}");
    }
}

/// All shipped chains.
fn list(json: bool) -> Result<(), Failure> {
    let work = Workload {
        ciphertexts: 1,
        rotations: Some(0),
    };
    let plans: Vec<(&str, Plan)> = shipped()?
        .into_iter()
        .map(|(name, params)| (name, Plan::new(&params, &work)))
        .collect();
    if json {
        let objects: Vec<_> = plans
            .iter()
            .map(|(name, plan)| {
                let mut object = plan.json();
                object["name"] = json!(name);
                object
            })
            .collect();
        say!("{}", serde_json::to_string(&objects)?);
        return Ok(());
    }
    say!();
    say!(
        "  {:<21} {:>4} {:>8} {:>9} {:>6} {:>6} {:>10} {:>11} {:>8} {:>11}",
        "name",
        "N",
        "log2 QP",
        "security",
        "depth",
        "scale",
        "precision",
        "ciphertext",
        "seeded",
        "seeded key"
    );
    for (name, plan) in &plans {
        say!(
            "  {:<21} {:>3} {:>8.1} {:>9} {:>6} {:>6} {:>10} {:>11} {:>8} {:>11}",
            name,
            format!("2^{}", plan.log_n),
            plan.log_qp,
            format!("{} bits", plan.security_bits),
            plan.depth,
            format!("2^{:.0}", plan.scale_log2),
            format!("{:.0} bits", plan.precision_bits),
            bytes(plan.ciphertext_bytes as usize),
            bytes(plan.seeded_ciphertext_file_bytes as usize),
            bytes(plan.seeded_keys_file_bytes as usize)
        );
    }
    say!();
    say!(
        "  depth: products one after the other; precision: of one product of numbers of size 1, where it is worst"
    );
    say!("  ciphertext: in memory, at the highest level; seeded ciphertext and key: in a file");
    say!("  To choose: --depth, --precision, --security, --memory with --ciphertexts and --rotations");
    Ok(())
}
