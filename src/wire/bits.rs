//! Rows of residues at the bits of their prime: residue i is bits `i b .. (i + 1) b` of the row, the lowest bit of the first byte
//! first, b the bits of p - 1. N is at least 16, so that a row is a whole number of bytes.

/// Bits of a residue modulo `p`.
pub(super) fn width(p: u32) -> u32 {
    (32 - p.saturating_sub(1).leading_zeros()).max(1)
}

/// Bytes of a row of `n` residues modulo `p`.
pub(super) fn row_bytes(n: usize, p: u32) -> usize {
    n * width(p) as usize / 8
}

/// Writes the residues to the end of `out`.
pub(super) fn pack(words: &[u32], p: u32, out: &mut Vec<u8>) {
    let (width, mut held, mut bits) = (width(p), 0u64, 0u32);
    for word in words {
        held |= u64::from(*word) << bits;
        bits += width;
        while bits >= 8 {
            out.push(held as u8);
            held >>= 8;
            bits -= 8;
        }
    }
}

/// Reads as many residues as `words` holds; `Err((index, value))` for the first that is not below `p`.
pub(super) fn unpack(bytes: &[u8], p: u32, words: &mut [u32]) -> Result<(), (usize, u32)> {
    let (width, mut held, mut bits) = (width(p), 0u64, 0u32);
    let mask = (1u64 << width) - 1;
    let mut bytes = bytes.iter();
    for (index, word) in words.iter_mut().enumerate() {
        while bits < width {
            held |= u64::from(bytes.next().copied().unwrap_or(0)) << bits;
            bits += 8;
        }
        *word = (held & mask) as u32;
        if *word >= p {
            return Err((index, *word));
        }
        held >>= width;
        bits -= width;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_comes_back(bits in 6u32..30, seed in any::<u64>()) {
            let p = (1u32 << bits) - 1 - (seed as u32 & 7);
            let words: Vec<u32> = (1..=32u64)
                .map(|i| (seed.wrapping_mul(i * i * 2 + 1) >> 20) as u32 % p)
                .collect();
            let mut bytes = Vec::new();
            pack(&words, p, &mut bytes);
            prop_assert_eq!(bytes.len(), row_bytes(32, p));
            let mut back = vec![0; 32];
            prop_assert_eq!(unpack(&bytes, p, &mut back), Ok(()));
            prop_assert_eq!(back, words);
        }
    }

    #[test]
    fn a_residue_is_below_its_prime() {
        let mut bytes = Vec::new();
        let mut words = [1u32; 16];
        words[9] = 97;
        pack(&words, 97, &mut bytes);
        assert_eq!(unpack(&bytes, 97, &mut [0; 16]), Err((9, 97)));
        assert_eq!((width(97), width(65537), width(129)), (7, 17, 8));
    }
}
