//! AVX-512 IFMA: eight products of 52 bits added to sums of 64 in one instruction.

use std::arch::x86_64::*;

use super::{Multiply, SHIFT, Tile, product as generic};
use crate::{
    arith::Modulus,
    backend::cpu::lanes::{Avx512, Instructions, Lanes, Words},
};

/// Outputs that share one pass over a block: their sums fill half of the registers.
pub(super) const TILE: usize = 8;

/// The lower 52 bits of products, of which these have 46 at most.
#[derive(Clone, Copy)]
struct Words52(());

impl Multiply<Avx512> for Words52 {
    type Weight = u64;
    const SHIFTED: u64 = 1 << SHIFT;

    /// Each word in 64 bits: the instruction reads 52.
    #[inline(always)]
    fn factors(self, l: Avx512, x: __m512i) -> [__m512i; 2] {
        l.widen(x)
    }
    #[inline(always)]
    fn add(self, _: Avx512, [s0, s1]: [__m512i; 2], [x0, x1]: [__m512i; 2], w: u64) -> [__m512i; 2] {
        // SAFETY: `self` exists only where the processor has the instruction.
        unsafe {
            let w = _mm512_set1_epi64(w as i64);
            [_mm512_madd52lo_epu64(s0, x0, w), _mm512_madd52lo_epu64(s1, x1, w)]
        }
    }
}

/// What [`generic`] computes, compiled for these instructions.
type Product = fn(Modulus, usize, &[Words], &[[u64; TILE]], &mut [Tile<TILE>]);

/// The product with these instructions, if the processor has them and there are outputs enough for a tile.
pub(super) fn product(instructions: Instructions, outputs: usize) -> Option<Product> {
    let wide = instructions == Instructions::Avx512 && Avx512::new().is_some();
    let fits = wide && outputs > super::TILE && is_x86_feature_detected!("avx512ifma");
    fits.then_some(checked)
}

/// What [`product`] gives.
fn checked(m: Modulus, inputs: usize, sources: &[Words], weights: &[[u64; TILE]], out: &mut [Tile<TILE>]) {
    if is_x86_feature_detected!("avx512ifma")
        && let Some(l) = Avx512::new()
    {
        // SAFETY: the processor has the instructions.
        unsafe { compiled(l, m, inputs, sources, weights, out) }
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512ifma,avx2")]
fn compiled(
    l: Avx512,
    m: Modulus,
    inputs: usize,
    sources: &[Words],
    weights: &[[u64; TILE]],
    out: &mut [Tile<TILE>],
) {
    generic((l, Words52(())), m, inputs, sources, weights, out);
}
