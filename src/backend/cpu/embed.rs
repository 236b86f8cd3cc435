//! The slot transform of [`arith::Embedding`](crate::arith::Embedding), eight numbers at a time.
//!
//! Every butterfly has the operands and the roundings of the definition, so that results are equal to the bit. Only the
//! order of butterflies differs: blocks that fit the first-level cache run through all their stages at once. In the last
//! three stages, whose blocks are shorter than a vector, vectors are taken in pairs and their halves exchanged.

use rayon::prelude::*;
use zeroize::Zeroize;

use super::{
    Cpu,
    lanes::{REALS, Reals, kernel},
    memory::{Writer, stride},
    ntt::Tables,
    number::{Number, Single, Twofold},
    scratch::Scratch,
    threads::Share,
};
use crate::{
    arith::{Complex, Double, Eights, Embedding, bit_reverse},
    backend::{EncodeError, Integers, Mut, derived},
};

/// The fewest slots that the kernels take: a pair of vectors.
pub(super) const FEWEST: usize = 2 * REALS;

/// Real and imaginary parts of eight numbers.
type Part<L, N> = [<N as Number<L>>::Stored; 2];

/// Vectors of a block that fits the first-level cache.
const BLOCK: usize = 128;

#[derive(Clone, Copy)]
struct Pair<N> {
    re: N,
    im: N,
}

#[inline(always)]
fn load<L: Reals, N: Number<L>>(l: L, from: &Part<L, N>) -> Pair<N> {
    let (re, im) = (N::load(l, &from[0]), N::load(l, &from[1]));
    Pair { re, im }
}

#[inline(always)]
fn store<L: Reals, N: Number<L>>(l: L, x: Pair<N>, to: &mut Part<L, N>) {
    x.re.store(l, &mut to[0]);
    x.im.store(l, &mut to[1]);
}

#[inline(always)]
fn halves<const T: usize, L: Reals, N: Number<L>>(l: L, x: Pair<N>, y: Pair<N>) -> (Pair<N>, Pair<N>) {
    let (re, im) = (N::halves::<T>(l, x.re, y.re), N::halves::<T>(l, x.im, y.im));
    (Pair { re: re.0, im: im.0 }, Pair { re: re.1, im: im.1 })
}

/// (u + v, (u - v) conj(x)).
#[inline(always)]
fn to_coefficients<L: Reals, N: Number<L>>(l: L, u: Pair<N>, v: Pair<N>, x: Pair<N>) -> (Pair<N>, Pair<N>) {
    let (re, im) = (u.re.plus(l, v.re), u.im.plus(l, v.im));
    let (d, e) = (u.re.minus(l, v.re), u.im.minus(l, v.im));
    let turned = Pair {
        re: d.times(l, x.re).plus(l, e.times(l, x.im)),
        im: e.times(l, x.re).minus(l, d.times(l, x.im)),
    };
    (Pair { re, im }, turned)
}

/// (u + x v, u - x v).
#[inline(always)]
fn to_slots<L: Reals, N: Number<L>>(l: L, u: Pair<N>, v: Pair<N>, x: Pair<N>) -> (Pair<N>, Pair<N>) {
    let re = v.re.times(l, x.re).minus(l, v.im.times(l, x.im));
    let im = v.re.times(l, x.im).plus(l, v.im.times(l, x.re));
    let sum = Pair {
        re: u.re.plus(l, re),
        im: u.im.plus(l, im),
    };
    let difference = Pair {
        re: u.re.minus(l, re),
        im: u.im.minus(l, im),
    };
    (sum, difference)
}

/// One stage over blocks of `len` vectors.
#[inline(always)]
fn stage<const FORWARD: bool, L: Reals, N: Number<L>>(
    l: L,
    w: &mut [Part<L, N>],
    len: usize,
    roots: &Eights<N::Stored>,
) {
    let roots = &roots.whole[len / 2..len];
    for block in w.chunks_exact_mut(len) {
        let (low, high) = block.split_at_mut(len / 2);
        for ((u, v), x) in low.iter_mut().zip(high).zip(roots) {
            let (a, b, x) = (load::<L, N>(l, u), load(l, v), load(l, x));
            let (a, b) = match FORWARD {
                true => to_slots(l, a, b, x),
                false => to_coefficients(l, a, b, x),
            };
            store(l, a, u);
            store(l, b, v);
        }
    }
}

/// n w in bit-reversed order from slots in natural order.
#[inline(always)]
fn inverse<L: Reals, N: Number<L>>(l: L, w: &mut [Part<L, N>], roots: &Eights<N::Stored>) {
    let mut len = w.len();
    while len > BLOCK {
        stage::<false, L, N>(l, w, len, roots);
        len /= 2;
    }
    let [eight, four, two] = &roots.short;
    let (eight, four, two) = (load::<L, N>(l, eight), load(l, four), load(l, two));
    for block in w.chunks_exact_mut(len) {
        let mut len = len;
        while len > 1 {
            stage::<false, L, N>(l, block, len, roots);
            len /= 2;
        }
        for pair in block.chunks_exact_mut(2) {
            let (x, y) = halves::<4, L, N>(l, load(l, &pair[0]), load(l, &pair[1]));
            let (x, y) = to_coefficients(l, x, y, eight);
            let (x, y) = halves::<2, L, N>(l, x, y);
            let (x, y) = to_coefficients(l, x, y, four);
            let (x, y) = halves::<1, L, N>(l, x, y);
            let (x, y) = to_coefficients(l, x, y, two);
            let (x, y) = halves::<1, L, N>(l, x, y);
            let (x, y) = halves::<2, L, N>(l, x, y);
            let (x, y) = halves::<4, L, N>(l, x, y);
            store(l, x, &mut pair[0]);
            store(l, y, &mut pair[1]);
        }
    }
}

/// Slots in natural order from w in bit-reversed order.
#[inline(always)]
fn forward<L: Reals, N: Number<L>>(l: L, w: &mut [Part<L, N>], roots: &Eights<N::Stored>) {
    let [eight, four, two] = &roots.short;
    let (eight, four, two) = (load::<L, N>(l, eight), load(l, four), load(l, two));
    for block in w.chunks_mut(BLOCK) {
        for pair in block.chunks_exact_mut(2) {
            let (x, y) = halves::<4, L, N>(l, load(l, &pair[0]), load(l, &pair[1]));
            let (x, y) = halves::<2, L, N>(l, x, y);
            let (x, y) = halves::<1, L, N>(l, x, y);
            let (x, y) = to_slots(l, x, y, two);
            let (x, y) = halves::<1, L, N>(l, x, y);
            let (x, y) = to_slots(l, x, y, four);
            let (x, y) = halves::<2, L, N>(l, x, y);
            let (x, y) = to_slots(l, x, y, eight);
            let (x, y) = halves::<4, L, N>(l, x, y);
            store(l, x, &mut pair[0]);
            store(l, y, &mut pair[1]);
        }
        let mut len = 2;
        while len <= block.len() {
            stage::<true, L, N>(l, block, len, roots);
            len *= 2;
        }
    }
    let mut len = 2 * BLOCK;
    while len <= w.len() {
        stage::<true, L, N>(l, w, len, roots);
        len *= 2;
    }
}

/// Rounded real parts, then imaginary parts, of the coefficients times `factor`; whether all are below 2^62. `w` is scratch for as many
/// numbers as there are slots.
#[inline(always)]
fn integers<L: Reals, N: Number<L>>(
    l: L,
    slots: &[Complex],
    roots: &Eights<N::Stored>,
    factor: Double,
    w: &mut [Part<L, N>],
    out: &mut [i64],
) -> bool {
    for (slots, w) in slots.chunks_exact(REALS).zip(&mut *w) {
        let (mut re, mut im) = ([0.0; REALS], [0.0; REALS]);
        for (i, z) in slots.iter().enumerate() {
            (re[i], im[i]) = (z.re, z.im);
        }
        N::from_reals(l, l.load_reals(&re)).store(l, &mut w[0]);
        N::from_reals(l, l.load_reals(&im)).store(l, &mut w[1]);
    }
    inverse::<L, N>(l, w, roots);
    let (factor, limit) = (N::splat(l, factor), Double::ONE.ldexp(62).hi);
    let mut small = l.real(1.0);
    let vectors = w.len();
    // Lanes go far apart, all to one set of the cache: eight vectors fill whole lines before these are written.
    let line = REALS.min(vectors);
    let (re, im) = out.split_at_mut(slots.len());
    for first in (0..vectors).step_by(line) {
        let mut lines = [[[0; REALS]; REALS]; 2];
        for r in 0..line {
            let w = &w[bit_reverse(first + r, vectors.trailing_zeros())];
            for (part, lines) in w.iter().zip(&mut lines) {
                let scaled = N::load(l, part).times(l, factor);
                // Not-a-number is above nothing.
                let below = l.above(l.real(limit), scaled.first());
                small = l.times(small, l.times(below, l.above(scaled.first(), l.real(-limit))));
                let mut rounded = [0; REALS];
                scaled.store_rounded(l, &mut rounded);
                for (line, x) in lines.iter_mut().zip(rounded) {
                    line[r] = x;
                }
            }
        }
        for (out, lines) in [&mut *re, &mut *im].into_iter().zip(&lines) {
            for (i, from) in lines.iter().enumerate() {
                let at = place(first, i, vectors);
                out[at..at + line].copy_from_slice(&from[..line]);
            }
        }
    }
    let mut all = [0.0; REALS];
    l.store_reals(small, &mut all);
    all == [1.0; REALS]
}

/// Where bit reversal puts lane i of vector bitrev(r).
#[inline(always)]
fn place(r: usize, i: usize, vectors: usize) -> usize {
    r + vectors * bit_reverse(i, REALS.trailing_zeros())
}

kernel! {
    fn single_integers(
        l,
        slots: &[Complex],
        roots: &Eights<[f64; REALS]>,
        factor: Double,
        w: &mut [[[f64; REALS]; 2]],
        out: &mut [i64],
    ) -> bool {
        integers::<L, Single<L>>(l, slots, roots, factor, w, out)
    }
}

kernel! {
    fn twofold_integers(
        l,
        slots: &[Complex],
        roots: &Eights<[[f64; REALS]; 2]>,
        factor: Double,
        w: &mut [[[[f64; REALS]; 2]; 2]],
        out: &mut [i64],
    ) -> bool {
        integers::<L, Twofold<L>>(l, slots, roots, factor, w, out)
    }
}

kernel! {
    /// Slots of w in bit-reversed order, in place; w = (real, imaginary) parts of eight at a time.
    fn single_slots(l, w: &mut [[[f64; REALS]; 2]], roots: &Eights<[f64; REALS]>) {
        forward::<L, Single<L>>(l, w, roots);
    }
}

/// See [`Backend::embed`](crate::backend::Backend::embed). What the kernels do not take, and what does not fit, goes to the body.
pub(super) fn embed(
    cpu: &Cpu,
    t: &Tables,
    mut dst: Mut<Cpu>,
    embedding: &Embedding,
    slots: &[Complex],
    scale: Double,
) -> Result<(), EncodeError> {
    let (items, instructions) = (dst.span.items, t.instructions);
    let count = slots.len() / items.max(1);
    let precise = embedding.is_precise(count, scale, 1 << t.log_n).ok();
    let Some(precise) = precise.filter(|_| count >= FEWEST && slots.len() == items * count) else {
        return derived::embed(cpu, t, dst, embedding, slots, scale);
    };
    let factor = scale.ldexp(-(count.trailing_zeros() as i32));
    // Words of the integers of an item, two of 64 bits a slot, and of its numbers: two or four f64 a slot.
    let (whole, numbers) = (4 * count, if precise { 8 * count } else { 4 * count });
    let words = items * (whole + numbers);
    let n = 1 << t.log_n;
    let scratch = Scratch::new(&cpu.pool, words.div_ceil(stride(n)), n);
    // SAFETY: nobody else has these rows.
    let words = unsafe { &mut scratch.rows(0, words.div_ceil(stride(n)))[..words] };
    let (integers, parts) = words.split_at_mut(items * whole);
    let integers: &mut [i64] = bytemuck::cast_slice_mut(integers);
    let one = |((integers, parts), slots): ((&mut [i64], &mut [u32]), &[Complex])| match precise {
        true => {
            let w = bytemuck::cast_slice_mut(parts);
            twofold_integers(
                instructions,
                slots,
                embedding.precise_eights(),
                factor,
                w,
                integers,
            )
        }
        false => {
            let w = bytemuck::cast_slice_mut(parts);
            single_integers(instructions, slots, embedding.eights(), factor, w, integers)
        }
    };
    let fits = match Share::new() {
        Share::Alone => {
            let each = integers.chunks_mut(2 * count).zip(parts.chunks_mut(numbers));
            each.zip(slots.chunks(count)).all(one)
        }
        Share::Threads => {
            let each = integers
                .par_chunks_mut(2 * count)
                .zip(parts.par_chunks_mut(numbers));
            each.zip(slots.par_chunks(count)).all(one)
        }
    };
    if fits {
        super::encode::lift(t, Writer::new(dst.again()), Integers::I64(integers));
    }
    // A message may be secret: what the pool takes back holds nothing of it.
    integers.zeroize();
    parts.zeroize();
    match fits {
        true => Ok(()),
        false => derived::embed(cpu, t, dst, embedding, slots, scale),
    }
}

/// The slots of a polynomial from its coefficients, [`FEWEST`] or more.
pub(super) fn unembed(t: &Tables, embedding: &Embedding, coefficients: &[f64], slots: &mut [Complex]) {
    let (count, half) = (slots.len(), coefficients.len() / 2);
    let gap = half / count;
    let mut w = vec![[[0.0; REALS]; 2]; count / REALS];
    let vectors = w.len();
    for r in 0..vectors {
        let [re, im] = &mut w[bit_reverse(r, vectors.trailing_zeros())];
        for (i, (re, im)) in re.iter_mut().zip(im).enumerate() {
            let at = place(r, i, vectors) * gap;
            (*re, *im) = (coefficients[at], coefficients[half + at]);
        }
    }
    single_slots(t.instructions, &mut w, embedding.eights());
    for (slots, [re, im]) in slots.chunks_mut(REALS).zip(&w) {
        for ((z, re), im) in slots.iter_mut().zip(re).zip(im) {
            *z = Complex::new(*re, *im);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::{Backend, Ref, Span, compact, cpu::Instructions},
        ring::Basis,
    };

    /// The rows of an encoding, by the backend or by the body.
    fn rows(
        cpu: &Cpu,
        log_n: u32,
        slots: &[Complex],
        items: usize,
        scale: Double,
        body: bool,
    ) -> Result<Vec<u32>, String> {
        let primes: Vec<u32> = crate::arith::ntt_primes(log_n, 1 << 20, 1 << 30)
            .take(3)
            .collect();
        let t = cpu.tables(&Basis::new(log_n, &primes).unwrap()).unwrap();
        let rows = compact(&[0, 1, 2]);
        let span = Span::dense(items, 1, &rows);
        let mut buffer = cpu.alloc(log_n, span.count()).unwrap();
        let (dst, embedding) = (Mut::new(&mut buffer, span), Embedding::new(log_n));
        match body {
            true => derived::embed(cpu, &t, dst, &embedding, slots, scale),
            false => cpu.embed(&t, dst, &embedding, slots, scale),
        }
        .map_err(|e| e.to_string())?;
        let mut words = vec![0; span.count() << log_n];
        cpu.download(Ref::new(&buffer, span), &mut words).unwrap();
        Ok(words)
    }

    fn values(count: usize, mut part: impl FnMut(usize) -> f64) -> Vec<Complex> {
        (0..count)
            .map(|i| Complex::new(part(2 * i), part(2 * i + 1)))
            .collect()
    }

    #[test]
    fn every_instruction_set_encodes_as_the_definition_does() {
        let mut state = 9u64;
        let mut random = move |_| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let x = (state >> 11) as f64 / 2f64.powi(52) - 1.0;
            // Ties, tiny and huge numbers among the others.
            match state >> 3 & 15 {
                0 => 0.5,
                1 => -0.0,
                2 => x * 2f64.powi(-60),
                3 => x * 64.0,
                _ => x,
            }
        };
        for instructions in Instructions::available() {
            let cpu = Cpu::with_instructions(*instructions).unwrap();
            for (log_n, items) in [(5, 3), (9, 2), (12, 1)] {
                for log_slots in [1, 3, 4, 5, log_n - 1].into_iter().filter(|s| *s < log_n) {
                    for bits in [0, 20, 45, 46, 53] {
                        let slots = values(items << log_slots, &mut random);
                        let scale = Double::ONE.ldexp(bits);
                        let have = rows(&cpu, log_n, &slots, items, scale, false);
                        let want = rows(&cpu, log_n, &slots, items, scale, true);
                        assert!(want.is_ok());
                        assert!(
                            have == want,
                            "{instructions:?}, N = 2^{log_n}, 2^{log_slots} slots, 2^{bits}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_as_by_the_definition() {
        let one = values(32, |_| 1.0);
        let mut infinite = one.clone();
        infinite[7].im = f64::INFINITY;
        let mut large = one.clone();
        large[31].re = 1e300;
        for (slots, bits) in [
            (&infinite, 30),
            (&infinite, 50),
            (&one, 63),
            (&large, 10),
            (&large, 60),
            (&one, 300),
        ] {
            let scale = Double::ONE.ldexp(bits);
            let have = rows(&Cpu::new(), 6, slots, 1, scale, false);
            assert!(have.is_err());
            assert_eq!(have, rows(&Cpu::new(), 6, slots, 1, scale, true));
        }
    }

    #[test]
    fn slots_are_read_as_the_definition_does() {
        for instructions in Instructions::available() {
            let cpu = Cpu::with_instructions(*instructions).unwrap();
            for (log_n, log_slots) in [(5, 4), (8, 4), (8, 7), (13, 12)] {
                let basis = Basis::new(
                    log_n,
                    &[crate::arith::ntt_primes(log_n, 2, 1 << 30).next().unwrap()],
                );
                let t = cpu.tables(&basis.unwrap()).unwrap();
                let embedding = Embedding::new(log_n);
                let coefficients: Vec<f64> = (0..1 << log_n).map(|i| ((i * i) as f64).sin()).collect();
                let mut have = vec![Complex::default(); 1 << log_slots];
                let mut want = have.clone();
                unembed(&t, &embedding, &coefficients, &mut have);
                embedding.unembed(&coefficients, &mut want).unwrap();
                assert!(
                    have == want,
                    "{instructions:?}, N = 2^{log_n}, 2^{log_slots} slots"
                );
            }
        }
    }
}
