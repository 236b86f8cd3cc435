//! Transforms of one row: crate `tfhe-ntt`, primes of 32-bit and 64-bit words.
//!
//! A prime of 60 bits does the work of two of ours: our time is scaled by its bits over 30. Its inverse is followed by the division by
//! N that ours includes.

use std::{hint::black_box, time::Duration};

use cipherformer::arith::ntt_primes;
use tfhe_ntt::{prime::largest_prime_in_arithmetic_progression64, prime32, prime64};

use crate::compare::{Comparison, Failure, ours};

/// Bits of our primes.
const BITS: u32 = 30;
/// Bits of 64-bit primes: those that have instructions of their own, and nearly the largest.
const WIDE: [u32; 2] = [50, 60];

pub fn compare(
    budget: Duration,
    show: &mut impl FnMut(Comparison) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for log_n in 12..=16 {
        let n = 1 << log_n;
        let mut cases = ours(log_n, &["ntt/forward", "ntt/inverse"])?;
        let missing = || format!("tfhe-ntt has no plan for N = 2^{log_n}");
        let p = ntt_primes(log_n, 1 << 29, 1 << BITS).next().ok_or_else(missing)?;
        let plan = prime32::Plan::try_new(n, p).ok_or_else(missing)?;
        let mut row: Vec<u32> = (0..n as u32).map(|i| i.wrapping_mul(2_654_435_761) % p).collect();
        for (forward, case) in [true, false].into_iter().zip(&mut cases) {
            show(Comparison::time(budget, case, "tfhe-ntt prime32", || {
                let row = black_box(&mut row);
                if forward {
                    plan.fwd(row);
                } else {
                    plan.inv(row);
                    plan.normalize(row);
                }
            })?)?;
        }
        for bits in WIDE {
            let step = 2 * n as u64;
            let p = largest_prime_in_arithmetic_progression64(step, 1, 1 << (bits - 1), 1 << bits);
            let p = p.ok_or_else(missing)?;
            let plan = prime64::Plan::try_new(n, p).ok_or_else(missing)?;
            let mut row: Vec<u64> = (0..n as u64)
                .map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % p)
                .collect();
            for (forward, case) in [true, false].into_iter().zip(&mut cases) {
                let name = format!("tfhe-ntt prime64, {bits} bits");
                let times = Comparison::time(budget, case, &name, || {
                    let row = black_box(&mut row);
                    if forward {
                        plan.fwd(row);
                    } else {
                        plan.inv(row);
                        plan.normalize(row);
                    }
                })?;
                let ours_us = times.ours_us * f64::from(bits) / f64::from(BITS);
                show(Comparison::new(times.op, log_n, ours_us, &name, times.peer_us))?;
            }
        }
    }
    Ok(())
}
