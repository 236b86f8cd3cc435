//! `matmul plan`: what an encrypted product of matrices takes in each packing, and which one to use.

use serde_json::json;

use super::{Failure, MatmulPlanArgs, show};
use crate::{
    backend::cpu::Cpu,
    matmul::{Cost, MatmulPlan, Options, Shape, choose, plans},
    report::{bytes, microseconds},
    rlwe::{Context, Params},
};

/// Shipped chains with room for a product, by ring degree; longer ones only cost more.
const CHAINS: &[&str] = &["n12_single28_l0_d2", "n13_single28_l4_d3", "n14_rational35_l6_d3"];

/// The chains that products are planned on.
pub(super) fn chains() -> Result<Vec<(&'static str, Params)>, Failure> {
    let each = CHAINS.iter().map(|name| Ok((*name, Params::shipped(name)?)));
    each.collect()
}

/// All plans of a product on this machine, with their costs.
pub(super) fn costed(shape: Shape, options: Options) -> Result<Vec<(MatmulPlan, Cost)>, Failure> {
    let context = |params: &Params| Ok(Context::new(Cpu::new(), params.clone())?);
    Ok(plans(shape, options, &chains()?, context)?)
}

pub(super) fn run(args: &MatmulPlanArgs) -> Result<(), Failure> {
    let shape = Shape::new(args.m, args.k, args.n).batch(args.batch);
    let all = costed(shape, Options::default())?;
    let costs: Vec<Cost> = all.into_iter().map(|(_, cost)| cost).collect();
    let choice = choose(shape, &costs, args.budget)?;
    if args.json {
        let chosen = costs.get(choice.index).map(|c| c.packing);
        say!(
            "{}",
            json!({
                "m": args.m, "k": args.k, "n": args.n, "batch": args.batch, "budget_bytes": args.budget,
                "threads": rayon::current_num_threads(),
                "packings": costs, "chosen": chosen, "reason": choice.reason,
            })
        );
        return Ok(());
    }
    print(shape, &costs, choice.index, &choice.reason);
    Ok(())
}

fn print(shape: Shape, costs: &[Cost], chosen: usize, reason: &str) {
    say!();
    say!(
        "  {shape}, on {} threads of this machine",
        rayon::current_num_threads()
    );
    say!();
    let head = format!(
        "  {:<10}{:>7}{:>12}{:>7}{:>10}{:>9}{:>9}{:>9}{:>9}{:>10}{:>10}{:>10}",
        "packing",
        "N",
        "ct up/down",
        "rot",
        "products",
        "up",
        "down",
        "keys",
        "memory",
        "prepare",
        "run",
        "error"
    );
    say!("{}", show::bold(&head));
    for (i, c) in costs.iter().enumerate() {
        let line = format!(
            "  {:<10}{:>7}{:>12}{:>7}{:>10}{:>9}{:>9}{:>9}{:>9}{:>10}{:>10}{:>10.1e}",
            c.packing,
            format!("2^{}", c.log_n),
            format!("{}/{}", c.ciphertexts_up, c.ciphertexts_down),
            c.rotations,
            c.products,
            bytes(c.bytes_up),
            bytes(c.bytes_down),
            bytes(c.key_bytes),
            bytes(usize::try_from(c.peak_bytes).unwrap_or(usize::MAX)),
            microseconds(c.prepare_us),
            microseconds(c.run_us),
            c.error_bound
        );
        say!("{}", if i == chosen { show::bold(&line) } else { line });
    }
    say!();
    say!("  {reason}");
    if let Some(c) = costs.get(chosen) {
        let (chain, bits, weights) = (&c.chain, c.security_bits, c.weight_bits);
        say!(
            "  {chain}, level {}, {bits}-bit security; weights of {weights} fractional bits, no level used",
            c.level
        );
    }
    say!(
        "  products: of a ciphertext and a plaintext, or an integer; inputs and weights at most 1 in magnitude"
    );
}
