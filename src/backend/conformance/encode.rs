//! Integers, seeds and slots to rows.

use super::{
    call::Call,
    operand::{Fill, Operand, Random, Shape},
    runner::Runner,
};
use crate::{
    arith::{Complex, Double, Embedding},
    backend::Integers,
    ring::{Crt, Scale},
    sample::PublicSeed,
};

const PRIMES: [u32; 4] = [1, 23, 19, 20];
/// Primes of a level at which digits of a decoding do not all fit the memory of a block.
const MANY: u32 = 45;

pub(super) fn check(runner: &mut Runner) {
    for (shape, polys) in [(Shape::Dense, 1), (Shape::Gaps, 2), (Shape::Swapped, 2)] {
        let dst = runner.operand(shape, polys, &PRIMES, Fill::Zero);
        let n = runner.degree();
        for length in [n, n / 2, n / 4, n / 16, n / 128, 1] {
            if length > 0 {
                lift(runner, &dst, length * polys * runner.items);
            }
        }
        expand(runner, &dst);
    }
    // A row of a prime far down the table, and the last stream numbers.
    let all: Vec<u32> = (0..runner.basis.primes().len() as u32).rev().collect();
    let dst = runner.operand_of(1, Shape::Dense, 1, &all, Fill::Zero);
    runner.check(&Call::Expand(&[PublicSeed([0xff; 32])], u64::MAX), &dst, &[]);
    embed(runner);
    decode(runner);
}

/// Random integers of every magnitude, after the extremes.
fn lift(runner: &mut Runner, dst: &Operand, count: usize) {
    let mut wide: Vec<i128> = vec![i128::MIN, i128::MAX, 0, -1, 1];
    while wide.len() < count {
        let random = &mut runner.random;
        let value = ((u128::from(random.next()) << 64) | u128::from(random.next())) as i128;
        wide.push(value >> random.below(128));
    }
    wide.truncate(count);
    let mut long: Vec<i64> = wide.iter().map(|x| *x as i64).collect();
    let mut short: Vec<i32> = wide.iter().map(|x| *x as i32).collect();
    for (i, (l, s)) in [(i64::MIN, i32::MIN), (i64::MAX, i32::MAX)]
        .into_iter()
        .enumerate()
        .take(count)
    {
        (long[i], short[i]) = (l, s);
    }
    for values in [Integers::I128(&wide), Integers::I64(&long), Integers::I32(&short)] {
        runner.check(&Call::Lift(values), dst, &[]);
        runner.check(&Call::Evaluate(values), dst, &[]);
    }
}

fn expand(runner: &mut Runner, dst: &Operand) {
    let mut seed = || PublicSeed(std::array::from_fn(|_| runner.random.next() as u8));
    let seeds: Vec<PublicSeed> = (0..dst.span().items).map(|_| seed()).collect();
    for label in [0, 1 << 40] {
        runner.check(&Call::Expand(&seeds, label), dst, &[]);
    }
}

/// Every number of slots, at scales for f64 and for double-double arithmetic.
fn embed(runner: &mut Runner) {
    let embedding = Embedding::new(runner.log_n());
    let most = embedding.slots();
    let dst = runner.operand(Shape::Gaps, 1, &PRIMES, Fill::Zero);
    for slots in (0..32).map(|i| 1usize << i).take_while(|n| *n <= most) {
        let random = &mut runner.random;
        let mut part = || (random.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
        let values: Vec<Complex> = (0..slots * dst.span().items)
            .map(|_| Complex::new(part(), part()))
            .collect();
        for bits in [20, 45, 55] {
            let scale = Double::ONE.ldexp(bits);
            runner.check(&Call::Embed(&embedding, &values, scale), &dst, &[]);
        }
    }
}

/// Slots of residues of any size modulo few primes, and of integers below 2^100 modulo so many that their product is beyond f64.
fn decode(runner: &mut Runner) {
    let embedding = Embedding::new(runner.log_n());
    let most = embedding.slots();
    let counts = match runner.large() {
        true => vec![most],
        false => vec![most, most / 8, 1],
    };
    let many: Vec<u32> = (0..MANY.min(runner.basis.primes().len() as u32)).collect();
    for count in counts.into_iter().filter(|count| *count > 0) {
        let few = runner.operand(Shape::Gaps, 1, &PRIMES, Fill::Random);
        decode_all(runner, &embedding, &few, &PRIMES, count);
        let seed = runner.random.next();
        let placed = Operand::place(&mut runner.random, Shape::Gaps, runner.items, 1, &many);
        let residue = |item: usize, prime: u32, k: usize| {
            let mut own = Random(seed ^ (((item as u64) << 32) | k as u64));
            let wide = (u128::from(own.next()) << 64) | u128::from(own.next());
            let p = i128::from(runner.prime(prime).value());
            ((wide as i128) >> 28).rem_euclid(p) as u32
        };
        let integers = placed.write(runner.degree(), residue);
        decode_all(runner, &embedding, &integers, &many, count);
    }
}

fn decode_all(runner: &mut Runner, embedding: &Embedding, src: &Operand, primes: &[u32], count: usize) {
    let moduli: Vec<u32> = primes.iter().map(|i| runner.prime(*i).value()).collect();
    let Ok(crt) = Crt::new(&moduli) else {
        return runner.unusable("decode", primes);
    };
    for bits in [20, 45] {
        let call = Call::Decode(embedding, &crt, &Scale::pow2(bits), count);
        runner.check(&call, src, std::slice::from_ref(src));
    }
}
