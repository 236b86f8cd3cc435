//! Seeds, the position-addressed uniform row, and private streams; all of them ChaCha20 (Bernstein 2008:
//! 64-bit block counter, 64-bit stream number).
//!
//! **Uniform row.** Coefficient i of row r of (seed, label), modulo p: take the ChaCha20 block with key =
//! seed, stream number = label and block counter = (r << 32) | (i / 4); its 16-byte lane (i mod 4), read as a
//! little-endian 128-bit integer, is reduced modulo p. r is the index of the prime in the parameter set's
//! table of primes. The statistical distance from uniform is below p / 2^128 < 2^-98 per coefficient; nothing
//! is rejected, so that each position stands alone.
//!
//! **Private stream.** ChaCha20 with key = BLAKE3 derive_key("cipherformer v1 " + domain, seed) and stream
//! number = index, from block 0.

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{
    SampleError,
    chacha::{BLOCKS, ChaCha, Words},
};

/// A seed that is published: it expands to the uniform halves of keys and ciphertexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicSeed(pub [u8; 32]);

impl PublicSeed {
    /// A fresh seed from the operating system.
    ///
    /// Errors when the system has no randomness to give; a partly filled seed is never returned.
    pub fn from_os() -> Result<Self, SampleError> {
        let mut bytes = [0; 32];
        fill_from_os(&mut bytes)?;
        Ok(Self(bytes))
    }
}

/// A seed that expands to secrets and errors. Wiped when dropped; neither printed nor copied, and written to no file but
/// that of a secret key.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PrivateSeed([u8; 32]);

impl PrivateSeed {
    /// A fresh seed from the operating system.
    ///
    /// Errors when the system has no randomness to give; a partly filled seed is never returned.
    pub fn from_os() -> Result<Self, SampleError> {
        let mut seed = Self([0; 32]);
        fill_from_os(&mut seed.0)?;
        Ok(seed)
    }

    /// The given seed: for reproducible tests only, never for data that must stay secret.
    pub fn insecure_from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The seed in a secret key's file.
    pub(crate) fn from_stored(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    /// What a secret key's file holds.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The stream of one purpose and index, by the file's definition. Different pairs are unrelated streams;
    /// the same pair gives the same bytes again, so a caller must not use one pair for two secrets.
    pub fn stream(&self, domain: &'static str, index: u64) -> PrivateStream {
        let mut hasher = blake3::Hasher::new_derive_key(&format!("cipherformer v1 {domain}"));
        hasher.update(&self.0);
        let mut digest = hasher.finalize();
        let key = Zeroizing::new(*digest.as_bytes());
        digest.zeroize();
        hasher.zeroize();
        let mut rng = ChaCha20Rng::from_seed(*key);
        rng.set_stream(index);
        PrivateStream { rng }
    }
}

/// A stream of private random bytes. Its key and buffer are overwritten when it is dropped.
pub struct PrivateStream {
    rng: ChaCha20Rng,
}

impl PrivateStream {
    /// The next `out.len()` bytes, rounded up to a whole number of 32-bit words of the stream.
    pub fn fill_bytes(&mut self, out: &mut [u8]) {
        self.rng.fill_bytes(out);
    }
}

impl Drop for PrivateStream {
    fn drop(&mut self) {
        self.rng = ChaCha20Rng::from_seed([0; 32]);
        // The generator has no wiping of its own; showing the new state to an opaque reader keeps the write.
        std::hint::black_box(&self.rng);
    }
}

fn fill_from_os(bytes: &mut [u8; 32]) -> Result<(), SampleError> {
    getrandom::fill(bytes).map_err(|reason| SampleError::Entropy {
        wanted_bytes: bytes.len(),
        reason,
    })
}

/// Coefficients 0 .. `out.len()` of row `row` of (seed, label) modulo `modulus_p` (modulo 0 as modulo 1), at most 2^34 of them,
/// by the file's definition and at its pace; backends have faster ways to the same numbers.
pub fn uniform_row(seed: &PublicSeed, label: u64, row: u32, modulus_p: u32, out: &mut [u32]) {
    let (chacha, p) = (ChaCha::new(&seed.0, label), u128::from(modulus_p.max(1)));
    let mut words: Words = [[0; BLOCKS]; 16];
    for (chunk, out) in out.chunks_mut(4 * BLOCKS).enumerate() {
        chacha.blocks((u64::from(row) << 32) + (chunk * BLOCKS) as u64, &mut words);
        for (i, coefficient) in out.iter_mut().enumerate() {
            let word = |k: usize| u128::from(words[4 * (i % 4) + k][i / 4]) << (32 * k);
            *coefficient = ((word(0) | word(1) | word(2) | word(3)) % p) as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8439 2.3 with the original split of the last row: words 12, 13 the counter, 14, 15 the stream
    /// number.
    fn chacha20_block(key: &[u8; 32], counter: u64, stream: u64) -> [u8; 64] {
        let mut input = [
            0x6170_7865,
            0x3320_646e,
            0x7962_2d32,
            0x6b20_6574,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0u32,
        ];
        for (word, bytes) in input[4..12].iter_mut().zip(key.chunks_exact(4)) {
            *word = u32::from_le_bytes(bytes.try_into().unwrap());
        }
        input[12..].copy_from_slice(&[
            counter as u32,
            (counter >> 32) as u32,
            stream as u32,
            (stream >> 32) as u32,
        ]);
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
        let mut out = [0; 64];
        for (bytes, (a, b)) in out.chunks_exact_mut(4).zip(x.iter().zip(input)) {
            bytes.copy_from_slice(&a.wrapping_add(b).to_le_bytes());
        }
        out
    }

    #[test]
    fn plain_block_function_matches_the_published_vector() {
        // RFC 8439 2.3.2: counter 1 and nonce 000000090000004a00000000, that is words 1, 0x09000000,
        // 0x4a000000, 0.
        let key: [u8; 32] = std::array::from_fn(|i| i as u8);
        let block = chacha20_block(&key, 0x0900_0000_0000_0001, 0x4a00_0000);
        assert_eq!(block[..8], [0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15]);
        assert_eq!(block[56..], [0xcb, 0xd0, 0x83, 0xe8, 0xa2, 0x50, 0x3c, 0x4e]);
    }

    fn by_definition(seed: &PublicSeed, label: u64, row: u32, p: u32, i: u64) -> u32 {
        let block = chacha20_block(&seed.0, u64::from(row) << 32 | (i / 4), label);
        let at = 16 * (i % 4) as usize;
        (u128::from_le_bytes(block[at..at + 16].try_into().unwrap()) % u128::from(p)) as u32
    }

    #[test]
    fn uniform_row_is_its_definition() {
        let seed = PublicSeed(std::array::from_fn(|i| (7 * i + 1) as u8));
        for (label, row, p, len) in [
            (0, 0, 1_073_643_521, 1000),
            (0xfedc_ba98_7654_3210, 59, 469_762_049, 129),
            (1 << 32, u32::MAX, 12_289, 3),
            (u64::MAX, 1 << 31, 2, 257),
            (5, 5, u32::MAX, 70),
            (6, 7, 1, 9),
            (8, 9, (1 << 30) - 1, 4096),
        ] {
            let mut out = vec![0; len];
            uniform_row(&seed, label, row, p, &mut out);
            let want: Vec<u32> = (0..len as u64)
                .map(|i| by_definition(&seed, label, row, p, i))
                .collect();
            assert_eq!(out, want, "label {label} row {row} p {p}");
        }
    }

    #[test]
    fn committed_coefficients_are_reproduced() {
        let seed = PublicSeed(std::array::from_fn(|i| i as u8));
        let mut out = [0; 6];
        uniform_row(&seed, 0x0123_4567_89ab_cdef, 3, 1_073_643_521, &mut out);
        assert_eq!(out, KNOWN);
    }

    /// The definition in Python with unbounded integers.
    const KNOWN: [u32; 6] = [
        435_956_189,
        438_506_891,
        1_072_705_057,
        786_127_003,
        421_191_399,
        1_056_256_521,
    ];

    #[test]
    fn uniform_residues_fill_the_range_evenly() {
        let (mut out, p, bins) = (vec![0; 1 << 18], 1_073_643_521u32, 256usize);
        uniform_row(&PublicSeed([3; 32]), 1, 2, p, &mut out);
        let mut counts = vec![0f64; bins];
        for x in &out {
            assert!(*x < p);
            counts[*x as usize * bins / p as usize] += 1.0;
        }
        let expected = out.len() as f64 / bins as f64;
        let chi: f64 = counts.iter().map(|c| (c - expected).powi(2) / expected).sum();
        // 255 degrees of freedom: mean 255, standard deviation 22.6.
        assert!((chi - 255.0).abs() < 5.0 * 22.6, "{chi}");
    }

    fn bytes(seed: u8, domain: &'static str, index: u64) -> Vec<u8> {
        let mut out = vec![0; 4096];
        PrivateSeed::insecure_from_bytes([seed; 32])
            .stream(domain, index)
            .fill_bytes(&mut out);
        out
    }

    #[test]
    fn private_stream_is_its_definition() {
        let key = blake3::derive_key("cipherformer v1 secret key", &[9; 32]);
        let want: Vec<u8> = (0..64).flat_map(|b| chacha20_block(&key, b, 77)).collect();
        assert_eq!(bytes(9, "secret key", 77), want);
    }

    #[test]
    fn seeds_domains_and_indices_give_unrelated_streams() {
        let streams = [
            bytes(1, "a", 0),
            bytes(2, "a", 0),
            bytes(1, "b", 0),
            bytes(1, "a", 1),
            bytes(1, "a", 1 << 32),
        ];
        for (i, x) in streams.iter().enumerate() {
            for y in &streams[..i] {
                let ones: u32 = x.iter().zip(y).map(|(a, b)| (a ^ b).count_ones()).sum();
                // 32768 fair bits: standard deviation 90.5.
                assert!((f64::from(ones) - 16384.0).abs() < 5.0 * 90.5, "{ones}");
                let shared = x
                    .chunks_exact(8)
                    .filter(|w| y.chunks_exact(8).any(|v| v == *w))
                    .count();
                assert_eq!(shared, 0);
            }
        }
        assert_eq!(bytes(1, "a", 0), streams[0]);
    }

    #[test]
    fn seeds_from_the_system_differ() {
        let (a, b) = (PublicSeed::from_os().unwrap(), PublicSeed::from_os().unwrap());
        assert!(a != b && a != PublicSeed([0; 32]));
        let (a, b) = (PrivateSeed::from_os().unwrap(), PrivateSeed::from_os().unwrap());
        assert!(a.0 != b.0 && a.0 != [0; 32]);
    }
}
