//! The rate of 32 x 32 -> 64 bit products, which bounds every kernel from below.

use super::lanes::kernel;

/// Words of one call: four kilobytes, so that they stay in the nearest cache.
const WORDS: usize = 512;
/// Products that each word takes one after the other, between a load and a store.
const DEPTH: usize = 16;

/// Products that one call of [`products`] forms.
pub const PRODUCTS: usize = WORDS * DEPTH;

kernel! {
    /// Sixteen times: every word times `factor`, of which the lower halves go on.
    fn rounds(l, words: &mut [u64; WORDS], factor: u32) {
        let _ = l;
        for word in words {
            let mut x = *word;
            for _ in 0..DEPTH {
                x = (x & 0xffff_ffff) * u64::from(factor);
            }
            *word = x;
        }
    }
}

/// Words to multiply.
pub struct Words([u64; WORDS]);

impl Default for Words {
    fn default() -> Self {
        Self(std::array::from_fn(|i| i as u64 * 2 + 1))
    }
}

impl super::Cpu {
    /// [`PRODUCTS`] products of 32-bit words in 64 bits, nothing else: what a processor can do at most.
    pub fn products(&self, words: &mut Words, factor: u32) {
        rounds(self.instructions(), &mut words.0, factor);
    }
}
