//! The transform from f(x) = even(x^2) + x odd(x^2), the ChaCha20 block function, and residues of big integers.

use num_bigint::{BigInt, Sign};

use crate::arith::bit_reverse;

fn power(p: u64, base: u64, exponent: u64) -> u64 {
    let half = |e| power(p, base * base % p, e);
    match exponent {
        0 => 1 % p,
        e if e % 2 == 0 => half(e / 2),
        e => base * half(e / 2) % p,
    }
}

/// a^-1 modulo a prime.
pub(super) fn inverse(p: u64, a: u64) -> u64 {
    power(p, a % p, p - 2)
}

/// f at first ratio^i for i < N, where ratio^N = 1; four values and fewer by Horner's rule.
fn values(p: u64, f: &[u64], first: u64, ratio: u64) -> Vec<u64> {
    let n = f.len();
    if n <= 4 {
        let points = std::iter::successors(Some(first), |x| Some(x * ratio % p)).take(n);
        let at = |x: u64| f.iter().rev().fold(0, |sum, c| (sum * x + c) % p);
        return points.map(at).collect();
    }
    let half = |start: usize| {
        let part: Vec<u64> = f.iter().skip(start).step_by(2).copied().collect();
        values(p, &part, first * first % p, ratio * ratio % p)
    };
    let (even, odd) = (half(0), half(1));
    let mut x = first;
    let at = |i: usize| {
        let value = (even[i % (n / 2)] + x * odd[i % (n / 2)]) % p;
        x = x * ratio % p;
        value
    };
    (0..n).map(at).collect()
}

/// eval[bitrev(i)] = f(psi^(2i+1)).
pub(super) fn evaluate(p: u64, psi: u64, f: &[u64]) -> Vec<i128> {
    let bits = f.len().trailing_zeros();
    let natural = values(p, f, psi, psi * psi % p);
    (0..f.len())
        .map(|j| i128::from(natural[bit_reverse(j, bits)]))
        .collect()
}

/// f_k = N^-1 psi^-k sum_i f(psi^(2i+1)) psi^(-2ik).
pub(super) fn interpolate(p: u64, psi: u64, eval: &[u32]) -> Vec<u64> {
    let (n, bits) = (eval.len(), eval.len().trailing_zeros());
    let natural: Vec<u64> = (0..n).map(|i| u64::from(eval[bit_reverse(i, bits)])).collect();
    let back = inverse(p, psi);
    let sums = values(p, &natural, 1, back * back % p);
    let mut factor = inverse(p, n as u64);
    let scaled = |sum: &u64| {
        let f = sum * factor % p;
        factor = factor * back % p;
        f
    };
    sums.iter().map(scaled).collect()
}

/// x mod p in [0, p).
pub(super) fn residue(x: &BigInt, p: u64) -> u64 {
    let r = (x.magnitude() % p).iter_u64_digits().next().unwrap_or(0);
    if x.sign() == Sign::Minus { (p - r) % p } else { r }
}

/// 16 bytes of a ChaCha20 block as a little-endian integer: 64-bit block counter, 64-bit stream number.
pub(super) fn chacha_lane(key: &[u8; 32], stream: u64, counter: u64, lane: u64) -> u128 {
    let mut input = [0u32; 16];
    for (word, text) in input.iter_mut().zip([b"expa", b"nd 3", b"2-by", b"te k"]) {
        *word = u32::from_le_bytes(*text);
    }
    for (word, bytes) in input[4..12].iter_mut().zip(key.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    for (i, word) in [counter, counter >> 32, stream, stream >> 32]
        .into_iter()
        .enumerate()
    {
        input[12 + i] = word as u32;
    }
    let mut x = input;
    for _ in 0..10 {
        for (column, shift) in (0..8).map(|i| (i % 4, i / 4)) {
            let [a, b, c, d] = [0, 1, 2, 3].map(|row| 4 * row + (column + row * shift) % 4);
            for (i, j, k, turn) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
                x[i] = x[i].wrapping_add(x[j]);
                x[k] = (x[k] ^ x[i]).rotate_left(turn);
            }
        }
    }
    let word = |i: usize| u128::from(x[i].wrapping_add(input[i]));
    (0..4).fold(0, |sum, i| sum | (word(4 * lane as usize + i) << (32 * i)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arith::{Modulus, forward_by_definition, ntt_primes, smallest_root};

    #[test]
    fn the_transform_is_its_definition_and_invertible() {
        for log_n in 1..=9 {
            let p = ntt_primes(log_n, 2, 1 << 30).next().unwrap();
            let m = Modulus::new(p).unwrap();
            let psi = smallest_root(m, log_n).unwrap();
            let f: Vec<u32> = (0..1u64 << log_n)
                .map(|i| m.reduce((i + 1).pow(5) * 77_777))
                .collect();
            let wide: Vec<u64> = f.iter().map(|x| u64::from(*x)).collect();
            let eval: Vec<u32> = evaluate(u64::from(p), u64::from(psi), &wide)
                .iter()
                .map(|x| *x as u32)
                .collect();
            assert_eq!(eval, forward_by_definition(m, psi, &f), "N = 2^{log_n}");
            assert_eq!(interpolate(u64::from(p), u64::from(psi), &eval), wide);
        }
    }

    #[test]
    fn the_block_function_matches_the_published_vector() {
        // RFC 8439 2.3.2: counter 1, nonce 00:00:00:09:00:00:00:4a:00:00:00:00, first and last lane.
        let key: [u8; 32] = std::array::from_fn(|i| i as u8);
        let lane = |i| chacha_lane(&key, 0x4a00_0000, 0x0900_0000_0000_0001, i).to_le_bytes();
        assert_eq!(lane(0)[..8], [0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15]);
        assert_eq!(lane(3)[8..], [0xcb, 0xd0, 0x83, 0xe8, 0xa2, 0x50, 0x3c, 0x4e]);
    }
}
