//! One comparison: the least time of either side, measured in turns so that both meet the same machine.

use std::time::Duration;

use cipherformer::{
    backend::cpu::Cpu,
    bench::{Case, GROUPS, time},
};
use serde::Serialize;

/// What a comparison can fail with.
pub type Failure = Box<dyn std::error::Error>;

/// Turns of each side.
const TURNS: u32 = 3;

/// One line of the result.
#[derive(Serialize)]
pub struct Comparison {
    /// The operation, by cipherformer's name.
    pub op: &'static str,
    /// log2 of the ring degree.
    pub log_n: u32,
    /// Our least microseconds.
    pub ours_us: f64,
    /// The other library.
    pub peer: String,
    /// Its least microseconds.
    pub peer_us: f64,
    /// `peer_us / ours_us`: above 1 we are faster.
    pub ratio: f64,
}

impl Comparison {
    /// Times on both sides.
    pub fn new(op: &'static str, log_n: u32, ours_us: f64, peer: &str, peer_us: f64) -> Self {
        Self {
            op,
            log_n,
            ours_us,
            peer: peer.to_owned(),
            peer_us,
            ratio: peer_us / ours_us,
        }
    }

    /// Times `case` and `peer` in turns.
    pub fn time(
        budget: Duration,
        case: &mut Case,
        name: &str,
        mut peer: impl FnMut(),
    ) -> Result<Self, Failure> {
        let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..TURNS {
            ours = ours.min(time(budget / TURNS, || case.run())?.min_us);
            let turn = time(budget / TURNS, || {
                peer();
                Ok(())
            })?;
            theirs = theirs.min(turn.min_us);
        }
        Ok(Self::new(case.op, case.shape.log_n, ours, name, theirs))
    }
}

/// Our operations of these names in the ring of degree 2^log_n, in this order.
pub fn ours(log_n: u32, ops: &[&str]) -> Result<Vec<Case>, Failure> {
    let mut cases = Vec::new();
    for group in GROUPS.iter().filter(|g| g.log_n == log_n) {
        if group.ops.iter().any(|op| ops.contains(op)) {
            cases.extend(group.load(Cpu::new(), ops)?);
        }
    }
    let place = |case: &Case| ops.iter().position(|op| *op == case.op);
    cases.sort_by_key(place);
    if cases.len() == ops.len() {
        return Ok(cases);
    }
    Err(format!("not all of {ops:?} exist at N = 2^{log_n}").into())
}
