//! The scale that machines share: a peer's transform.

use std::{hint::black_box, time::Duration};

use tfhe_ntt::prime32::Plan;

use super::time;
use crate::arith::ntt_primes;

const LOG_N: u32 = 14;
/// Microseconds on the machine of reference.
const REFERENCE_US: f64 = 9.1;
const BUDGET: Duration = Duration::from_millis(60);

pub(super) fn slowness() -> Option<f64> {
    let p = ntt_primes(LOG_N, 1 << 29, 1 << 30).next()?;
    let plan = Plan::try_new(1 << LOG_N, p)?;
    let mut row: Vec<u32> = (0..1u32 << LOG_N)
        .map(|i| i.wrapping_mul(2_654_435_761) % p)
        .collect();
    let times = time(BUDGET, || {
        plan.fwd(black_box(&mut row));
        Ok(())
    });
    // The least: a median measured while something else runs would flatter everything that is divided by it.
    times.ok().map(|t| t.min_us / REFERENCE_US)
}
