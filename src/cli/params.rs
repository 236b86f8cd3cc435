//! `params`: the shipped chains, and what they are good for.
//!
//! Precision: a product of numbers of size 1 with a rescale to level l leaves an error of standard deviation
//! sqrt(3 (1 + hw) / 12) sqrt(N / 2) / D_l in each part of a slot, hw = 2N / 3: the rounding of this rescale, and that of the
//! rescales before it in each factor. The figure is -log2 of it at the level where it is worst.

use serde::Serialize;

use super::{Failure, ParamsArgs};
use crate::{
    report::bytes,
    ring::chains,
    rlwe::{Params, Spec},
};

/// One chain.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    log_n: u32,
    log_qp: f64,
    security_bits: u32,
    /// Products one after the other.
    depth: u32,
    scale_log2: f64,
    precision_bits: f64,
    ciphertext_bytes: usize,
    seeded_ciphertext_bytes: usize,
    seeded_key_bytes: usize,
}

impl Row {
    fn new(name: &'static str, params: &Params) -> Self {
        let (n, top) = (params.degree() as f64, params.top());
        let rows = params.levels().last().map_or(0, |l| l.primes.len());
        let below = &params.levels()[..params.levels().len().saturating_sub(1)];
        let scale = below.iter().map(|l| l.scale.log2()).fold(f64::INFINITY, f64::min);
        let error = (3.0 * (1.0 + 2.0 * n / 3.0) / 12.0).sqrt() * (n / 2.0).sqrt();
        let key_rows = params.primes_up_to(top).len() + params.special().len();
        let digits = params.report().digit_bits.len();
        let row_bytes = 4 * params.degree();
        Self {
            name,
            log_n: params.log_n(),
            log_qp: params.log2_qp(),
            security_bits: params.security_bits(),
            depth: top.0,
            scale_log2: params.levels().last().map_or(0.0, |l| l.scale.log2()),
            precision_bits: scale - error.log2(),
            ciphertext_bytes: 2 * rows * row_bytes,
            seeded_ciphertext_bytes: rows * row_bytes + 32,
            seeded_key_bytes: digits * key_rows * row_bytes + 32,
        }
    }
}

pub(super) fn run(args: &ParamsArgs) -> Result<(), Failure> {
    let mut found = Vec::new();
    for (name, chain) in chains() {
        let row = Row::new(name, &Params::new(Spec { chain })?);
        let deep = args.depth.is_none_or(|depth| row.depth >= depth);
        let precise = args.precision.is_none_or(|bits| row.precision_bits >= bits);
        if deep && precise {
            found.push(row);
        }
    }
    if found.is_empty() {
        return Err(
            "no shipped chain has that depth and precision; ask for less, or make one with `ring::build`"
                .into(),
        );
    }
    if args.json {
        say!("{}", serde_json::to_string(&found)?);
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
    for row in &found {
        say!(
            "  {:<21} {:>3} {:>8.1} {:>9} {:>6} {:>6} {:>10} {:>11} {:>8} {:>11}",
            row.name,
            format!("2^{}", row.log_n),
            row.log_qp,
            format!("{} bits", row.security_bits),
            row.depth,
            format!("2^{:.0}", row.scale_log2),
            format!("{:.0} bits", row.precision_bits),
            bytes(row.ciphertext_bytes),
            bytes(row.seeded_ciphertext_bytes),
            bytes(row.seeded_key_bytes)
        );
    }
    say!();
    say!(
        "  depth: products one after the other; precision: of one product of numbers of size 1, where it is worst"
    );
    say!("  sizes: in memory, 32 bits a residue; files pack residues at the bits of their prime");
    Ok(())
}
