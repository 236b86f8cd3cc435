//! Integers and seeds to rows of residues.

use super::{
    lanes::{Fold, Instructions, LANES, Prime, Words, kernel},
    memory::Writer,
    ntt::Tables,
};
use crate::{
    arith::Modulus,
    backend::Integers,
    sample::{BLOCKS, ChaCha, PublicSeed},
};

kernel! {
    /// Residues of 64-bit integers, whole vectors of them.
    fn residues(l, m: Modulus, values: &[[i64; LANES]], out: &mut [Words]) {
        let fold = Fold::new(l, m);
        for (values, out) in values.iter().zip(out) {
            // Little-endian: low and high words in turn.
            let words: &[Words; 2] = bytemuck::cast_ref(values);
            let (low, high) = l.unzip(l.load(&words[0]), l.load(&words[1]));
            l.store(fold.signed(l, high, low), out);
        }
    }
}

kernel! {
    /// Residues of 32-bit integers, whole vectors of them.
    fn short_residues(l, m: Modulus, values: &[[i32; LANES]], out: &mut [Words]) {
        let prime = Prime::new(l, m);
        let factor = l.split_splat(m.reduce(1 << 32));
        // -2^31 2^32 mod p
        let offset = l.wide_splat(u64::from(m.neg(m.reduce(1 << 63))));
        for (values, out) in values.iter().zip(out) {
            let x = l.add(l.load(bytemuck::cast_ref(values)), l.splat(1 << 31));
            l.store(prime.montgomery(l, l.wide_mul_add(offset, l.split(x), factor)), out);
        }
    }
}

fn lift_long(instructions: Instructions, m: Modulus, values: &[i64], out: &mut [u32]) {
    let ((whole, rest), (rows, last)) = (values.as_chunks(), out.as_chunks_mut());
    residues(instructions, m, whole, rows);
    for (x, v) in last.iter_mut().zip(rest) {
        *x = m.reduce_signed(*v);
    }
}

pub(super) fn lift_short(instructions: Instructions, m: Modulus, values: &[i32], out: &mut [u32]) {
    let ((whole, rest), (rows, last)) = (values.as_chunks(), out.as_chunks_mut());
    short_residues(instructions, m, whole, rows);
    for (x, v) in last.iter_mut().zip(rest) {
        *x = m.reduce_signed(i64::from(*v));
    }
}

/// Word k of the first `length` to place k gap; the others are zero.
pub(super) fn spread(out: &mut [u32], length: usize) {
    let gap = out.len() / length.max(1);
    for k in (0..length).rev().filter(|_| gap > 1) {
        // Place k gap is not before k, so that what is still to move is not yet overwritten.
        let word = out[k];
        out[k * gap..(k + 1) * gap].fill(0);
        out[k * gap] = word;
    }
}

/// `length` integers of each polynomial to the first words of its rows, then whatever `rest` does.
fn lift_then(t: &Tables, dst: Writer, values: Integers, rest: impl Fn(usize, &mut [u32], usize) + Sync) {
    let polys = dst.span.polys;
    let length = values.len() / (dst.span.items * polys).max(1);
    dst.for_each(|item, poly, row, out| {
        let m = t.modulus(&dst.span, row);
        let from = (item * polys + poly) * length..(item * polys + poly + 1) * length;
        match values {
            Integers::I32(v) => lift_short(t.instructions, m, &v[from], &mut out[..length]),
            Integers::I64(v) => lift_long(t.instructions, m, &v[from], &mut out[..length]),
            Integers::I128(v) => {
                for (x, v) in out.iter_mut().zip(&v[from]) {
                    *x = m.reduce_signed_wide(*v);
                }
            }
        }
        rest(row, out, length);
    });
}

/// Integer k of a polynomial goes to coefficient k gap; the others are zero.
pub(super) fn lift(t: &Tables, dst: Writer, values: Integers) {
    lift_then(t, dst, values, |_, out, length| spread(out, length));
}

/// The evaluations of polynomials with these first coefficients.
pub(super) fn evaluate(t: &Tables, dst: Writer, values: Integers) {
    let rows = dst.span.rows;
    lift_then(t, dst, values, |row, out, length| {
        t.prime(rows[row].prime).forward_low(t.instructions, out, length);
    });
}

/// Coefficients of sixteen blocks.
const CHUNK: usize = 4 * BLOCKS;

kernel! {
    /// The row whose blocks begin at `first`: the 128-bit lanes of the blocks modulo p.
    ///
    /// Word 4 j + k of block b belongs to coefficient 4 b + j.
    fn uniform(l, m: Modulus, chacha: &ChaCha, first: u64, out: &mut [u32]) {
        let prime = Prime::new(l, m);
        let power = |k: u64| m.pow(m.reduce(2), 32 * k);
        // 2^32 2^(32 k) mod p
        let powers = [
            l.split_splat(power(1)),
            l.split_splat(power(2)),
            l.split_splat(power(3)),
            l.split_splat(power(4)),
        ];
        let (mut words, mut made) = ([[0; BLOCKS]; 16], [[0; LANES]; CHUNK / LANES]);
        for (chunk, out) in out.chunks_mut(CHUNK).enumerate() {
            chacha.blocks(first + (chunk * BLOCKS) as u64, &mut words);
            let mut residues = [l.splat(0); 4];
            for j in 0..4 {
                let [w0, w1, w2, w3] = [&words[4 * j], &words[4 * j + 1], &words[4 * j + 2], &words[4 * j + 3]];
                let low = l.mul_wide(l.split(l.load(w0)), powers[0]);
                let low = l.wide_mul_add(low, l.split(l.load(w1)), powers[1]);
                let high = l.mul_wide(l.split(l.load(w2)), powers[2]);
                let high = l.wide_mul_add(high, l.split(l.load(w3)), powers[3]);
                let sum = l.add(prime.montgomery(l, low), prime.montgomery(l, high));
                residues[j] = l.reduce_once(sum, prime.p);
            }
            let (a, b) = (l.zip(residues[0], residues[2]), l.zip(residues[1], residues[3]));
            let (low, high) = (l.zip(a.0, b.0), l.zip(a.1, b.1));
            l.store(low.0, &mut made[0]);
            l.store(low.1, &mut made[1]);
            l.store(high.0, &mut made[2]);
            l.store(high.1, &mut made[3]);
            out.copy_from_slice(&made.as_flattened()[..out.len()]);
        }
    }
}

pub(super) fn expand(t: &Tables, dst: Writer, seeds: &[PublicSeed], label: u64) {
    const { assert!(BLOCKS == LANES) };
    dst.for_each(|item, poly, row, out| {
        let chacha = ChaCha::new(&seeds[item].0, label.wrapping_add(poly as u64));
        let first = u64::from(dst.span.rows[row].prime) << 32;
        uniform(t.instructions, t.modulus(&dst.span, row), &chacha, first, out);
    });
}
