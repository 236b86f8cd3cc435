//! The rate of 32 x 32 -> 64 bit products, which bounds every kernel from below.
//!
//! Independent chains of products in registers, as many as hide the latency. Compilers find shorter ways to the same result, so
//! each product passes through an empty piece of assembly that they cannot see into.

#[cfg(target_arch = "x86_64")]
use std::arch::{asm, x86_64::*};

use super::Instructions;

/// Chains: the latency of a product, five cycles, times two a cycle, and a few more.
const CHAINS: usize = 12;
/// Odd, so that no chain ends in zeros.
const FACTOR: u32 = 3_141_592_653;

/// The chains in vectors of one set of instructions.
#[cfg(target_arch = "x86_64")]
macro_rules! chains {
    ($name:ident, $feature:literal, $all:ident, $product:ident, $register:ident) => {
        #[target_feature(enable = $feature)]
        fn $name(rounds: usize) {
            let factor = $all(i64::from(FACTOR));
            let mut chains = [factor; CHAINS];
            for _ in 0..rounds {
                for x in &mut chains {
                    *x = $product(*x, factor);
                    // SAFETY: no instruction.
                    unsafe {
                        asm!(
                            "/* {0} */",
                            inout($register) * x,
                            options(nomem, nostack, preserves_flags)
                        )
                    };
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
chains!(avx512, "avx512f", _mm512_set1_epi64, _mm512_mul_epu32, zmm_reg);
#[cfg(target_arch = "x86_64")]
chains!(avx2, "avx2", _mm256_set1_epi64x, _mm256_mul_epu32, ymm_reg);

/// With whatever vectors the compiler has; a shift and a sum beside each product keep it from being simplified.
fn portable(rounds: usize) {
    let mut chains = [u64::from(FACTOR); CHAINS];
    for _ in 0..rounds {
        for x in &mut chains {
            *x = x.wrapping_add((*x >> 32) * u64::from(FACTOR));
        }
    }
    std::hint::black_box(&mut chains);
}

/// Forms `rounds` times a fixed number of products of 32-bit words in 64 bits, and does nothing else. Returns how many products.
pub fn products(instructions: Instructions, rounds: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    if instructions.is_available() {
        match instructions {
            Instructions::Avx512 => {
                // SAFETY: the processor has the instructions.
                unsafe { avx512(rounds) };
                return rounds * CHAINS * 8;
            }
            Instructions::Avx2 => {
                // SAFETY: the processor has the instructions.
                unsafe { avx2(rounds) };
                return rounds * CHAINS * 4;
            }
            Instructions::Portable => (),
        }
    }
    let _ = instructions;
    portable(rounds);
    rounds * CHAINS
}
