//! Words of 64 bits to residues.
//!
//! Kernels keep vectors out of closures: what `core` calls with one (`array::map`, `from_fn`) is compiled without the
//! instructions that the kernel was compiled for.

use super::{Lanes, Prime};
use crate::arith::Modulus;

/// (high 2^32 + low) mod p as Montgomery's reduction of high (2^64 mod p) + low (2^32 mod p), which is below 2 p 2^32.
#[derive(Clone, Copy)]
pub(in crate::backend::cpu) struct Fold<L: Lanes> {
    prime: Prime<L>,
    /// 2^64 mod p.
    high: L::Split,
    /// 2^32 mod p.
    low: L::Split,
    /// -2^95 mod p: takes 2^63 away again.
    offset: L::Wide,
}

impl<L: Lanes> Fold<L> {
    /// For a modulus.
    #[inline(always)]
    pub(in crate::backend::cpu) fn new(l: L, m: Modulus) -> Self {
        let power = |e| m.pow(m.reduce(2), e);
        Self {
            prime: Prime::new(l, m),
            high: l.split_splat(power(64)),
            low: l.split_splat(power(32)),
            offset: l.wide_splat(u64::from(m.neg(power(95)))),
        }
    }

    /// The residue of an unsigned word.
    #[inline(always)]
    pub(in crate::backend::cpu) fn unsigned(&self, l: L, high: L::V, low: L::V) -> L::V {
        let sum = l.mul_wide(l.split(low), self.low);
        let sum = l.wide_mul_add(sum, l.split(high), self.high);
        self.prime.montgomery(l, sum)
    }

    /// The residue of a signed word: that of the unsigned one 2^63 above it, less 2^63.
    #[inline(always)]
    pub(in crate::backend::cpu) fn signed(&self, l: L, high: L::V, low: L::V) -> L::V {
        let high = l.add(high, l.splat(1 << 31));
        let sum = l.wide_mul_add(self.offset, l.split(low), self.low);
        let sum = l.wide_mul_add(sum, l.split(high), self.high);
        self.prime.montgomery(l, sum)
    }

    /// x - y of residues.
    #[inline(always)]
    pub(in crate::backend::cpu) fn sub(&self, l: L, x: L::V, y: L::V) -> L::V {
        let difference = l.sub(x, y);
        l.min(difference, l.add(difference, self.prime.p))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Instructions, LANES, Words, kernel},
        *,
    };

    kernel! {
        /// Unsigned and signed residues of high 2^32 + low.
        fn residues(l, m: Modulus, high: &Words, low: &Words) -> [Words; 2] {
            let (fold, mut out) = (Fold::new(l, m), [[0; LANES]; 2]);
            let (high, low) = (l.load(high), l.load(low));
            l.store(fold.unsigned(l, high, low), &mut out[0]);
            l.store(fold.signed(l, high, low), &mut out[1]);
            out
        }
    }

    #[test]
    fn words_of_every_size_become_residues() {
        let mut state = 1u64;
        let mut word = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            [state >> (state % 63), u64::MAX, 0, 1 << 63, (1 << 63) - 1, state][(state >> 40) as usize % 6]
        };
        for p in [3, 12289, 1_073_479_681, 1_073_741_789] {
            let m = Modulus::new(p).unwrap();
            for _ in 0..100 {
                let words: [u64; LANES] = std::array::from_fn(|_| word());
                let (high, low) = (words.map(|x| (x >> 32) as u32), words.map(|x| x as u32));
                let wanted = [
                    words.map(|x| m.reduce(x)),
                    words.map(|x| m.reduce_signed(x as i64)),
                ];
                for instructions in Instructions::available() {
                    assert_eq!(
                        residues(*instructions, m, &high, &low),
                        wanted,
                        "{instructions:?}, p = {p}"
                    );
                }
            }
        }
    }
}
