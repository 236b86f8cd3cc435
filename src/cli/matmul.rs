//! `matmul plan`: what an encrypted product of matrices takes in each packing, approximate and exact, and which one to use.

use serde_json::json;

use super::{Failure, MatmulPlanArgs, show};
use crate::{
    backend::{Backend, cpu::Cpu},
    bfv::{self, Bfv},
    matmul::{
        Cost, MatmulPlan, Options, Packing, Shape, choose,
        coefficient::{self, Encrypted, Output, Request},
        cost, plans,
    },
    report::{bytes, microseconds},
    rlwe::{Context, Params},
};

/// Shipped chains with room for a product, by ring degree; longer ones only cost more.
const CHAINS: &[&str] = &["n12_single28_l0_d2", "n13_single28_l4_d3", "n14_rational35_l6_d3"];

/// Exact products: modulo 2^37, with weights up to 2^12. Inputs of 12 bits and sums of 4096 products fit.
const PLAIN: u128 = 1 << 37;
const WEIGHT_BOUND: u64 = 1 << 12;

/// The chains that products are planned on.
fn chains() -> Result<Vec<(&'static str, Params)>, Failure> {
    let each = CHAINS.iter().map(|name| Ok((*name, Params::shipped(name)?)));
    each.collect()
}

/// The parameters of exact products.
pub(super) fn exact() -> bfv::Spec {
    bfv::Spec::n13(PLAIN)
}

/// An exact product: requests under one key are rows.
fn request(shape: Shape, encrypted: Encrypted, output: Output) -> Request {
    Request::new(coefficient::Shape::new(shape.rows(), shape.k, shape.n))
        .encrypted(encrypted)
        .output(output)
        .weight_bound(WEIGHT_BOUND)
}

/// A product in some packing.
pub(super) enum Planned {
    /// Approximate.
    Ckks(MatmulPlan),
    /// Exact.
    Bfv(coefficient::Plan),
}

impl Planned {
    /// Measures its rates on a backend, and predicts it.
    pub(super) fn cost<B: Backend + Clone>(&self, backend: &B, chain: &str) -> Result<Cost, Failure> {
        Ok(match self {
            Self::Ckks(plan) => {
                let ctx = Context::new(backend.clone(), plan.params().clone())?;
                cost(plan, chain, &plan.rates(&ctx)?)?
            }
            Self::Bfv(plan) => {
                let bfv = Bfv::new(backend.clone(), plan.params().clone())?;
                plan.cost(&plan.rates(&bfv)?)?
            }
        })
    }
}

/// All plans of a product on a backend, with their costs; packings of CKKS are for encrypted left operands. `light` keeps weights as small
/// integers that every run expands, and leaves out packings that have no such choice.
pub(super) fn costed<B: Backend + Clone>(
    shape: Shape,
    encrypted: Encrypted,
    light: bool,
    backend: &B,
) -> Result<Vec<(Planned, Cost)>, Failure> {
    let mut all = Vec::new();
    if encrypted == Encrypted::Left {
        let context = |params: &Params| Ok(Context::new(backend.clone(), params.clone())?);
        let options = Options {
            ready: !light,
            ..Options::default()
        };
        let packings: &[Packing] = if light {
            &[Packing::Diagonal, Packing::Blocks]
        } else {
            &Packing::ALL
        };
        let ckks = plans(shape, packings, options, &chains()?, context)?;
        all.extend(ckks.into_iter().map(|(plan, cost)| (Planned::Ckks(plan), cost)));
    }
    if light {
        return Ok(all);
    }
    let params = bfv::Params::new(exact())?;
    for output in [Output::Cut, Output::Packed] {
        // What these parameters do not hold is left out.
        let Ok(plan) = coefficient::Plan::new(&params, &request(shape, encrypted, output)) else {
            continue;
        };
        let planned = Planned::Bfv(plan);
        let cost = planned.cost(backend, "")?;
        all.push((planned, cost));
    }
    Ok(all)
}

pub(super) fn run(args: &MatmulPlanArgs) -> Result<(), Failure> {
    let shape = Shape::new(args.m, args.k, args.n).batch(args.batch);
    let all = costed(shape, Encrypted::Left, args.light, &Cpu::new())?;
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
        "  {:<19}{:>6}{:>7}{:>12}{:>7}{:>10}{:>9}{:>9}{:>6}{:>10}{:>9}{:>10}{:>10}{:>10}",
        "packing",
        "N",
        "levels",
        "ct up/down",
        "rot",
        "products",
        "up",
        "down",
        "keys",
        "key bytes",
        "memory",
        "prepare",
        "run",
        "error"
    );
    say!("{}", show::bold(&head));
    for (i, c) in costs.iter().enumerate() {
        let line = format!(
            "  {:<19}{:>6}{:>7}{:>12}{:>7}{:>10}{:>9}{:>9}{:>6}{:>10}{:>9}{:>10}{:>10}{:>10.1e}",
            c.packing,
            format!("2^{}", c.log_n),
            c.levels,
            format!("{}/{}", c.ciphertexts_up, c.ciphertexts_down),
            c.rotations,
            c.products,
            bytes(c.bytes_up),
            bytes(c.bytes_down),
            c.keys,
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
        let weights = match c.scheme {
            "bfv" => format!(
                "integers modulo 2^{}, weights up to {WEIGHT_BOUND}",
                PLAIN.ilog2()
            ),
            _ => format!("weights of {weights} fractional bits, no level used"),
        };
        say!("  {chain}, level {}, {bits}-bit security; {weights}", c.level);
    }
    say!(
        "  products: of a ciphertext and a plaintext, or an integer; inputs and weights at most 1 in magnitude, exact integers in"
    );
    say!(
        "  coefficient packing; rot: rotations, or automorphisms that interleave results, and keys: how many keys they take;"
    );
    say!(
        "  levels: those that a product goes down, in coefficient packing to the modulus at which results travel"
    );
}
