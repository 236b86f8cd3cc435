//! The kernels whose threads share memory and that the fused operations of larger rings do not launch, each by name: small transforms, base
//! conversions alone, products with small integers, and sums of products with light plaintexts.

use cipherformer::{
    arith::ntt_primes,
    backend::{Backend, Entries, Light, Matrix, Mut, Ref, Span, compact, cpu::Cpu},
    ring::{Basis, Conversion},
};
use libtest_mimic::Failed;

use super::{EMULATION, faults::Faults, open, work::Outcome};

/// Transforms of one block, of half a conversion's block, and the smallest ring of two passes.
const DEGREES: [u32; 4] = [6, 8, 11, 12];
/// Primes of the sources of a conversion, and of its targets: more than one group of sixteen.
const SOURCES: usize = 4;
const TARGETS: usize = 18;
/// More than one slice of 32 inputs, and more than one group of 16 outputs.
const INPUTS: usize = 37;
const OUTPUTS: usize = 19;
/// Products of a sum, two polynomials each.
const TERMS: usize = 3;

/// A conversion, an inverse and a forward transform of its targets, a product with small integers, and a sum of light products.
fn work<B: Backend>(b: &B, log_n: u32) -> Outcome<Vec<u32>> {
    let primes: Vec<u32> = ntt_primes(log_n, 2, 1 << 30).take(SOURCES + TARGETS).collect();
    let basis = Basis::new(log_n, &primes)?;
    let t = b.tables(&basis)?;
    let (all, n) = ((0..primes.len() as u32).collect::<Vec<u32>>(), 1usize << log_n);
    let (from, to) = all.split_at(SOURCES);
    let [source, target] = [from, to].map(compact);
    let [source, target] = [&source, &target].map(|rows| Span::dense(1, 1, rows));
    let words = |span: Span| -> Vec<u32> {
        let word = |i: usize, p: u32| ((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as u32 % p;
        let rows = (0..span.items).flat_map(|item| span.rows.iter().map(move |row| (item, row)));
        rows.flat_map(|(item, row)| (0..n).map(move |x| (item * n + x, row.prime)))
            .map(|(i, prime)| word(i, primes[prime as usize]))
            .collect()
    };
    let mut x = b.alloc(log_n, source.count())?;
    b.upload(Mut::new(&mut x, source), &words(source))?;
    let mut y = b.alloc(log_n, target.count())?;
    let conversion = b.conversion(&t, &Conversion::new(&basis, from, to))?;
    b.convert(&t, Mut::new(&mut y, target), Ref::new(&x, source), &conversion)?;
    b.ntt(&t, Mut::new(&mut y, target))?;
    b.intt(&t, Mut::new(&mut x, source))?;

    let rows = compact(&[0, 1]);
    let (inputs, outputs) = (Span::dense(INPUTS, 1, &rows), Span::dense(OUTPUTS, 1, &rows));
    let weights: Vec<i16> = (0..INPUTS * OUTPUTS)
        .map(|i| (i as i16).wrapping_mul(12_345))
        .collect();
    let mut a = b.alloc(log_n, inputs.count())?;
    b.upload(Mut::new(&mut a, inputs), &words(inputs))?;
    let mut c = b.alloc(log_n, outputs.count())?;
    let matrix = Matrix {
        entries: Entries::I16(&weights),
        outputs: OUTPUTS,
        inputs: INPUTS,
    };
    b.gemm(&t, Mut::new(&mut c, outputs), Ref::new(&a, inputs), matrix)?;

    let integers: Vec<i32> = (0..(TERMS << log_n) as i32)
        .map(|i| i.wrapping_mul(0x9e37_79b1_u32 as i32))
        .collect();
    let light = Light {
        buffer: &b.light(TERMS, n, &integers)?,
        first: 0,
        length: n,
    };
    let pair = Span::dense(1, 2, &rows);
    let terms: Vec<Ref<B>> = (0..TERMS)
        .map(|i| {
            Ref::new(
                &a,
                Span {
                    offset: 4 * i,
                    ..pair
                },
            )
        })
        .collect();
    let mut sum = b.alloc(log_n, pair.count())?;
    b.light_product(&t, Mut::new(&mut sum, pair), &terms, light)?;

    let mut results = Vec::new();
    for (buffer, span) in [(&x, source), (&y, target), (&c, outputs), (&sum, pair)] {
        let mut words = vec![0; span.count() << log_n];
        b.download(Ref::new(buffer, span), &mut words)?;
        results.extend(words);
    }
    Ok(results)
}

pub fn kernels_with_shared_memory_give_the_bits_of_the_cpu() -> Result<(), Failed> {
    let device = open();
    let faults = (device.capabilities().device == EMULATION).then(Faults::new);
    let kernels = [
        "convert_rows",
        "gemm_rows",
        "ntt_small",
        "intt_small",
        "light_outer_3",
        "light_inner",
    ];
    let launches = || faults.as_ref().map(|f| kernels.map(|k| f.launches(k)));
    for log_n in DEGREES {
        let before = launches();
        if work(&device, log_n)? != work(&Cpu::new(), log_n)? {
            return Err(format!("N = 2^{log_n}: other bits").into());
        }
        // Rings of one pass and of two have transforms of their own.
        let others = if log_n < 12 { 4..6 } else { 2..4 };
        if let (Some(before), Some(after)) = (before, launches()) {
            for i in (0..kernels.len()).filter(|i| !others.contains(i)) {
                assert!(after[i] > before[i], "N = 2^{log_n}: {} did not run", kernels[i]);
            }
        }
    }
    Ok(())
}
