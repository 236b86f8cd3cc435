//! Fixed vectors that slots are multiplied by.

use crate::arith::Complex;

/// A fixed vector of +-1: the signs of a multiplicative sequence (splitmix64).
pub(super) fn mask(n: usize) -> Vec<Complex> {
    let sign = |i: u64| {
        let mut x = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Complex::from(if (x ^ (x >> 31)) & 1 == 1 { 1.0 } else { -1.0 })
    };
    (0..n as u64).map(sign).collect()
}

/// 1 in the first `n` slots, c in the others.
pub(super) fn halves(n: usize, c: Complex) -> Vec<Complex> {
    [vec![Complex::from(1.0); n], vec![c; n]].concat()
}
