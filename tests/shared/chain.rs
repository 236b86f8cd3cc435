//! Chains of small rings that are no secret to anyone, for tests alone.

use cipherformer::{
    ring::{ChainKind, ChainSpec, build},
    rlwe::{Params, Spec},
};

/// Levels of one scale, which absorb no bits, above a base of ten bits more.
pub fn uniform(log_n: u32, kind: ChainKind, scale_bits: f64, levels: usize, digits: usize) -> ChainSpec {
    ChainSpec {
        log_n,
        kind,
        scale_bits: vec![scale_bits; levels],
        absorbed_bits: vec![0; levels - 1],
        base_bits: scale_bits + 10.0,
        digits,
        special_margin_bits: 2.0,
        max_log2_qp: Some(4000.0),
    }
}

/// Its parameters, whatever their security.
pub fn insecure(spec: &ChainSpec) -> Params {
    let chain = build(spec).unwrap();
    Params::insecure(Spec { chain }).unwrap()
}
