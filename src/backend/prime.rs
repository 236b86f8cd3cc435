//! One prime as the kernels of a GPU take it: constants of reduction, and twiddles.
//!
//! Words in Montgomery's form are 2^32 x mod p. Each backend lays the constants out in its own order.

use super::{BackendError, Result};
use crate::arith::{Modulus, bit_reverse, smallest_root};

/// A prime p in a ring of degree N = 2^log_n, with the primitive 2N-th root of unity psi.
pub(super) struct PrimeTables {
    /// p.
    pub(super) p: u32,
    /// 1 / p mod 2^32.
    pub(super) inverse: u32,
    /// b, the bits of p: 2^(b - 1) < p < 2^b.
    pub(super) bits: u32,
    /// floor(2^(2 b + 1) / p), below 2^32.
    pub(super) mu: u32,
    /// 1 / N mod p, canonical.
    pub(super) n_inverse: u32,
    /// psi^(N / 2), a square root of -1, in Montgomery's form.
    pub(super) i: u32,
    /// psi^bitrev(k) for k < N, in Montgomery's form.
    pub(super) forward: Vec<u32>,
    /// psi^-bitrev(k) for k < N, in Montgomery's form.
    pub(super) backward: Vec<u32>,
}

impl PrimeTables {
    /// The prime of a modulus in the ring of degree 2^log_n, log_n > 0. psi is the gap-th power of the root of the ring of degree
    /// 2^of = 2^log_n gap.
    pub(super) fn new(m: Modulus, [log_n, of]: [u32; 2]) -> Result<Self> {
        let no_root = BackendError::Unsupported { need: "this basis" };
        let root = smallest_root(m, of).map_err(|_| no_root.clone())?;
        let psi = m.pow(root, 1 << (of - log_n));
        let inverse = |x| m.inv(x).ok_or(no_root.clone());
        let powers = |base: u32| {
            let mut table = vec![0; 1 << log_n];
            let mut power = montgomery(m, 1);
            for k in 0..1 << log_n {
                table[bit_reverse(k, log_n)] = power;
                power = m.mul(power, base);
            }
            table
        };
        let (p, bits) = (m.value(), u32::BITS - m.value().leading_zeros());
        Ok(Self {
            p,
            // Newton's iteration: p is its own inverse modulo 8.
            inverse: (0..4).fold(p, |x, _| x.wrapping_mul(2u32.wrapping_sub(p.wrapping_mul(x)))),
            bits,
            mu: ((1u64 << (2 * bits + 1)) / u64::from(p)) as u32,
            n_inverse: inverse(m.reduce(1 << log_n))?,
            i: montgomery(m, m.pow(psi, 1 << (log_n - 1))),
            forward: powers(psi),
            backward: powers(inverse(psi)?),
        })
    }
}

/// 2^32 x mod p: Montgomery's form of a residue.
pub(super) fn montgomery(m: Modulus, x: u32) -> u32 {
    m.reduce(u64::from(x) << 32)
}
