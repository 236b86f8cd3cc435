//! Residues to slots: balanced digits sixteen coefficients at a time, their sum as a double-double number, the transform.

use rayon::prelude::*;
use zeroize::Zeroizing;

use super::{
    Cpu,
    embed::{FEWEST, unembed},
    lanes::{Fold, LANES, Lanes, REALS, Reals, Words, kernel},
    memory::Reader,
    ntt::Tables,
    number::{Number, Twofold},
};
use crate::{
    arith::{Complex, Double, Embedding, Modulus},
    backend::{EncodeError, Ref, derived},
    ring::{
        Crt, Scale,
        mixed_radix::{self, Digit},
    },
};

/// Groups of lanes whose digits are computed side by side, since each digit waits for the one before it.
const SIDE: usize = 2;
/// Products of two words below 2^30 that fit 64 bits together with a residue.
const TERMS: usize = 15;
/// Sums are formed as long as all numbers are below 2^900, where products still split.
const MOST_LOG2: i64 = 900;

/// The sum of digits times values, for eight coefficients.
#[inline(always)]
fn sum<L: Lanes + Reals>(
    l: L,
    digits: &[[Words; SIDE]],
    side: usize,
    half: usize,
    values: &[Double],
) -> L::F {
    let mut sum = Twofold::splat(l, Double::ZERO);
    for (digit, value) in digits.iter().zip(values).rev() {
        let (eights, _) = digit[side].as_chunks::<REALS>();
        let digit = l.load_integers(bytemuck::cast_ref(&eights[half]));
        sum = sum.plus(l, Twofold::splat(l, *value).times_real(l, digit));
    }
    sum.first()
}

kernel! {
    /// The centred integers with residues `rows` over the scale of `values`; `false` if one has a digit beyond `values`.
    fn lifted(l, constants: &[Digit], values: &[Double], rows: &[&[Words]], out: &mut [[f64; LANES]]) -> bool {
        let mut folds = Vec::with_capacity(constants.len());
        for digit in constants {
            folds.push(Fold::new(l, digit.modulus));
        }
        let mut found = vec![[l.split_splat(0); SIDE]; constants.len()];
        let mut digits = vec![[[0; LANES]; SIDE]; constants.len()];
        for (at, out) in out.chunks_mut(SIDE).enumerate() {
            for (i, (digit, fold)) in constants.iter().zip(&folds).enumerate() {
                let mut sums = [l.wide_splat(u64::from(digit.start)); SIDE];
                for side in 0..out.len() {
                    let x = l.split(l.load(&rows[i][SIDE * at + side]));
                    sums[side] = l.wide_mul_add(sums[side], x, l.split_splat(digit.own));
                }
                for (j, (factor, found)) in digit.lower.iter().zip(&found).enumerate() {
                    let factor = l.split_splat(*factor);
                    for side in 0..SIDE {
                        if (j + 2) % TERMS == 0 {
                            sums[side] = l.widen(fold.unsigned(l, l.high(sums[side]), l.low(sums[side])));
                        }
                        sums[side] = l.wide_mul_add(sums[side], found[side], factor);
                    }
                }
                let half = l.splat((digit.modulus.value() - 1) / 2);
                for side in 0..SIDE {
                    let d = fold.unsigned(l, l.high(sums[side]), l.low(sums[side]));
                    found[i][side] = l.split(d);
                    l.store(l.sub(d, half), &mut digits[i][side]);
                }
            }
            for (side, out) in out.iter_mut().enumerate() {
                let mut used = digits.len();
                while used > 0 && digits[used - 1][side] == [0; LANES] {
                    used -= 1;
                }
                if used > values.len() {
                    return false;
                }
                let (eights, _) = out.as_chunks_mut::<REALS>();
                for (half, eight) in eights.iter_mut().enumerate() {
                    l.store_reals(sum(l, &digits[..used], side, half, &values[..used]), eight);
                }
            }
        }
        digits.fill([[0; LANES]; SIDE]);
        true
    }
}

/// See [`Backend::decode`](crate::backend::Backend::decode). What the kernels do not take goes to the body.
pub(super) fn decode(
    cpu: &Cpu,
    t: &Tables,
    src: Ref<Cpu>,
    embedding: &Embedding,
    crt: &Crt,
    scale: &Scale,
    slots: &mut [Complex],
) -> Result<(), EncodeError> {
    let rows = Reader::new(src);
    let (n, items) = (1 << t.log_n, src.span.items);
    let count = slots.len() / items.max(1);
    let moduli: Vec<Modulus> = (0..src.span.rows.len())
        .map(|row| t.modulus(&src.span, row))
        .collect();
    let fits =
        count >= FEWEST && n == 2 * embedding.slots() && embedding.is_precise(count, Double::ONE, n).is_ok();
    let Some(constants) = mixed_radix::digits(&moduli).filter(|_| fits && slots.len() == items * count)
    else {
        return derived::decode(cpu, t, src, embedding, crt, scale, slots);
    };
    let values = mixed_radix::values(&moduli, scale, MOST_LOG2);
    let fits = slots.par_chunks_mut(count).enumerate().all(|(item, slots)| {
        let rows: Vec<&[Words]> = (0..moduli.len())
            .map(|row| rows.row(item, 0, row).as_chunks().0)
            .collect();
        let mut coefficients = Zeroizing::new(vec![0.0; n]);
        let (out, _) = coefficients.as_chunks_mut();
        let fits = lifted(t.instructions, &constants, &values, &rows, out);
        unembed(t, embedding, &coefficients, slots);
        fits
    });
    if !fits {
        return derived::decode(cpu, t, src, embedding, crt, scale, slots);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::{Backend, Integers, Mut, Span, compact, cpu::Instructions},
        ring::Basis,
    };

    #[test]
    fn every_instruction_set_decodes_alike_and_as_the_body_does() {
        let log_n = 7;
        let primes: Vec<u32> = crate::arith::ntt_primes(log_n, 2, 1 << 30)
            .take(33)
            .chain(crate::arith::ntt_primes(log_n, 2, 1 << 13).take(2))
            .collect();
        let (embedding, mut state) = (Embedding::new(log_n), 1u64);
        for (count, shift, scale) in [
            (1, 100, Scale::pow2(10)),
            (3, 60, Scale::pow2(40)),
            (18, 0, Scale::pow2(40).times_prime(primes[1], 1).unwrap()),
            (35, 3, Scale::pow2(30)),
            // Beyond what the kernel sums.
            (18, 0, Scale::pow2(-700)),
        ] {
            // Small primes first, so that digits of others exceed them.
            let primes: Vec<u32> = primes.iter().rev().take(count).copied().collect();
            let (crt, rows) = (
                Crt::new(&primes).unwrap(),
                compact(&(0..count as u32).collect::<Vec<_>>()),
            );
            let integers: Vec<i128> = (0..3 << log_n)
                .map(|_| {
                    state = state
                        .wrapping_mul(6364136223846793005)
                        .wrapping_add(1442695040888963407);
                    (i128::from(state as i64) << 63) >> (shift + state % 20)
                })
                .collect();
            let run = |instructions, body: bool, slots: usize| {
                let cpu = Cpu::with_instructions(instructions).unwrap();
                let t = cpu.tables(&Basis::new(log_n, &primes).unwrap()).unwrap();
                let span = Span::dense(3, 1, &rows);
                let mut buffer = cpu.alloc(log_n, span.count()).unwrap();
                cpu.lift(&t, Mut::new(&mut buffer, span), Integers::I128(&integers))
                    .unwrap();
                let mut out = vec![Complex::default(); 3 * slots];
                let src = Ref::new(&buffer, span);
                match body {
                    true => derived::decode(&cpu, &t, src, &embedding, &crt, &scale, &mut out),
                    false => cpu.decode(&t, src, &embedding, &crt, &scale, &mut out),
                }
                .unwrap();
                out
            };
            for slots in [4, 16, 64] {
                let (body, portable) = (
                    run(Instructions::Portable, true, slots),
                    run(Instructions::Portable, false, slots),
                );
                let largest = body.iter().map(|z| z.abs()).fold(0.0, f64::max);
                for (a, b) in body.iter().zip(&portable) {
                    assert!(
                        (*a - *b).abs() <= largest * 2f64.powi(-44),
                        "{a:?} {b:?} of {largest:e}"
                    );
                }
                for instructions in Instructions::available() {
                    assert!(run(*instructions, false, slots) == portable, "{instructions:?}");
                }
            }
        }
    }
}
