//! ChaCha20 (Bernstein 2008: 64-bit block counter, 64-bit stream number), sixteen blocks at a time.
//!
//! A vector holds the same word of neighbouring blocks: sixteen with AVX-512, eight with AVX2, four elsewhere. All of it is
//! addition, exclusive or and rotation, so that the versions agree, and none takes a time that depends on the key.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Blocks made at a time.
pub(crate) const BLOCKS: usize = 16;

/// Sixteen words of sixteen blocks: `[word][block]`.
pub(crate) type Words = [[u32; BLOCKS]; 16];

/// "expand 32-byte k".
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// A key and a stream number.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct ChaCha {
    key: [u32; 8],
    stream: u64,
}

impl ChaCha {
    /// The stream of this number under this key.
    pub(crate) fn new(key: &[u8; 32], stream: u64) -> Self {
        let (words, _) = key.as_chunks::<4>();
        let mut key = [0; 8];
        for (word, bytes) in key.iter_mut().zip(words) {
            *word = u32::from_le_bytes(*bytes);
        }
        Self { key, stream }
    }

    /// The blocks from number `first`.
    pub(crate) fn blocks(&self, first: u64, out: &mut Words) {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                // SAFETY: the processor has the instructions.
                return unsafe { x86::avx512(self, first, out) };
            }
            if is_x86_feature_detected!("avx2") {
                // SAFETY: as above.
                return unsafe { x86::avx2(self, first, out) };
            }
        }
        // SAFETY: four words in an array need no instructions.
        unsafe { generate::<[u32; 4], 4>(self, first, out) }
    }
}

/// The same word of W blocks.
trait Vector<const W: usize>: Copy {
    /// # Safety
    /// Of this and all that follow: the processor has the instructions of the type.
    unsafe fn load(words: &[u32; W]) -> Self;
    unsafe fn store(self, words: &mut [u32; W]);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn xor(self, other: Self) -> Self;
    unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self;
}

impl Vector<4> for [u32; 4] {
    #[inline(always)]
    unsafe fn load(words: &[u32; 4]) -> Self {
        *words
    }
    #[inline(always)]
    unsafe fn store(self, words: &mut [u32; 4]) {
        *words = self;
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i].wrapping_add(other[i]))
    }
    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] ^ other[i])
    }
    #[inline(always)]
    unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        self.map(|x| x.rotate_left(LEFT as u32))
    }
}

/// A quarter of a round on words a, b, c, d.
///
/// # Safety
/// The processor has the instructions of V.
#[inline(always)]
unsafe fn quarter<V: Vector<W>, const W: usize>(x: &mut [V; 16], [a, b, c, d]: [usize; 4]) {
    // SAFETY: the caller's.
    unsafe {
        x[a] = x[a].add(x[b]);
        x[d] = x[d].xor(x[a]).rotate::<16, 16>();
        x[c] = x[c].add(x[d]);
        x[b] = x[b].xor(x[c]).rotate::<12, 20>();
        x[a] = x[a].add(x[b]);
        x[d] = x[d].xor(x[a]).rotate::<8, 24>();
        x[c] = x[c].add(x[d]);
        x[b] = x[b].xor(x[c]).rotate::<7, 25>();
    }
}

/// All sixteen blocks, W at a time.
///
/// Vectors stay out of closures: `core` would compile what calls them without the instructions.
///
/// # Safety
/// The processor has the instructions of V.
#[inline(always)]
unsafe fn generate<V: Vector<W>, const W: usize>(of: &ChaCha, first: u64, out: &mut Words) {
    let mut words = [0; 16];
    words[..4].copy_from_slice(&CONSTANTS);
    words[4..12].copy_from_slice(&of.key);
    words[14] = of.stream as u32;
    words[15] = (of.stream >> 32) as u32;
    for at in (0..BLOCKS).step_by(W) {
        let (mut low, mut high) = ([0; W], [0; W]);
        for (i, (low, high)) in low.iter_mut().zip(&mut high).enumerate() {
            let counter = first.wrapping_add((at + i) as u64);
            (*low, *high) = (counter as u32, (counter >> 32) as u32);
        }
        // SAFETY: the caller's.
        unsafe {
            let mut input = [V::load(&low); 16];
            input[13] = V::load(&high);
            for i in 0..16 {
                if i != 12 && i != 13 {
                    input[i] = V::load(&[words[i]; W]);
                }
            }
            let mut x = input;
            for _ in 0..10 {
                for i in 0..4 {
                    quarter(&mut x, [i, 4 + i, 8 + i, 12 + i]);
                }
                for i in 0..4 {
                    quarter(&mut x, [i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4]);
                }
            }
            for i in 0..16 {
                let (_, to) = out[i].split_at_mut(at);
                if let Some(to) = to.first_chunk_mut::<W>() {
                    x[i].add(input[i]).store(to);
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{ChaCha, Vector, Words, generate};

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512(of: &ChaCha, first: u64, out: &mut Words) {
        // SAFETY: this function is compiled for the instructions.
        unsafe { generate::<__m512i, 16>(of, first, out) }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn avx2(of: &ChaCha, first: u64, out: &mut Words) {
        // SAFETY: this function is compiled for the instructions.
        unsafe { generate::<__m256i, 8>(of, first, out) }
    }

    // SAFETY of both: the caller's; memory is reached through references to whole arrays, unaligned.
    impl Vector<16> for __m512i {
        #[inline(always)]
        unsafe fn load(words: &[u32; 16]) -> Self {
            unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
        }
        #[inline(always)]
        unsafe fn store(self, words: &mut [u32; 16]) {
            unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), self) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe { _mm512_add_epi32(self, other) }
        }
        #[inline(always)]
        unsafe fn xor(self, other: Self) -> Self {
            unsafe { _mm512_xor_si512(self, other) }
        }
        #[inline(always)]
        unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
            unsafe { _mm512_rol_epi32::<LEFT>(self) }
        }
    }

    impl Vector<8> for __m256i {
        #[inline(always)]
        unsafe fn load(words: &[u32; 8]) -> Self {
            unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
        }
        #[inline(always)]
        unsafe fn store(self, words: &mut [u32; 8]) {
            unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), self) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe { _mm256_add_epi32(self, other) }
        }
        #[inline(always)]
        unsafe fn xor(self, other: Self) -> Self {
            unsafe { _mm256_xor_si256(self, other) }
        }
        #[inline(always)]
        unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
            unsafe { _mm256_or_si256(_mm256_slli_epi32::<LEFT>(self), _mm256_srli_epi32::<RIGHT>(self)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Block by block, from the text of the definition.
    fn plain(of: &ChaCha, counter: u64) -> [u32; 16] {
        let mut input = [0; 16];
        input[..4].copy_from_slice(&CONSTANTS);
        input[4..12].copy_from_slice(&of.key);
        let pair = |x: u64| [x as u32, (x >> 32) as u32];
        input[12..14].copy_from_slice(&pair(counter));
        input[14..].copy_from_slice(&pair(of.stream));
        let mut x = input;
        let mut quarter = |a: usize, b: usize, c: usize, d: usize| {
            for (i, j, k, turn) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
                x[i] = x[i].wrapping_add(x[j]);
                x[k] = (x[k] ^ x[i]).rotate_left(turn);
            }
        };
        for _ in 0..10 {
            for i in 0..4 {
                quarter(i, 4 + i, 8 + i, 12 + i);
            }
            for i in 0..4 {
                quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
            }
        }
        std::array::from_fn(|i| x[i].wrapping_add(input[i]))
    }

    #[test]
    fn every_version_makes_the_blocks_of_the_definition() {
        let key = std::array::from_fn(|i| (11 * i + 3) as u8);
        for (stream, first) in [(0, 0), (7, u64::from(u32::MAX) - 5), (u64::MAX, u64::MAX - 3)] {
            let of = ChaCha::new(&key, stream);
            let mut versions = vec![[[0; BLOCKS]; 16]; 2];
            of.blocks(first, &mut versions[0]);
            // SAFETY: arrays need no instructions.
            unsafe { generate::<[u32; 4], 4>(&of, first, &mut versions[1]) };
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                versions.push([[0; BLOCKS]; 16]);
                // SAFETY: the processor has the instructions.
                unsafe { x86::avx2(&of, first, &mut versions[2]) };
            }
            for words in versions {
                for block in 0..BLOCKS {
                    let wanted = plain(&of, first.wrapping_add(block as u64));
                    assert_eq!(
                        words.map(|word| word[block]),
                        wanted,
                        "block {block} of stream {stream}"
                    );
                }
            }
        }
    }
}
