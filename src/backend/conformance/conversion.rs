//! Base conversions, and what is made of them: digits (ModUp), rescaling and ModDown.

use num_bigint::BigUint;

use super::{
    call::{Call, Digit},
    operand::{Fill, Operand, Shape},
    runner::Runner,
};
use crate::ring::{Conversion, Step};

pub(super) fn check(runner: &mut Runner) {
    let counts: Vec<usize> = if runner.large() {
        vec![1, 2, 16, 20]
    } else {
        (1..=20).collect()
    };
    for count in counts {
        let mut order: Vec<u32> = (0..24).collect();
        runner.random.shuffle(&mut order);
        let (sources, others) = order.split_at(count);
        convert(runner, sources, &others[..others.len().min(1 + count % 4)]);
    }
    // So many sources that sums of products pass 2^64.
    let many: Vec<u32> = (0..20).chain(24..44).collect();
    convert(runner, &many, &[44, 20, 45, 46, 47]);
    for digits in 1..=if runner.large() { 2 } else { 5 } {
        mod_up(runner, digits);
    }
    for (from, to) in steps() {
        step(runner, &from, &to);
    }
}

/// From some primes to others.
fn convert(runner: &mut Runner, sources: &[u32], targets: &[u32]) {
    let plain = Conversion::new(&runner.basis, sources, targets);
    let scaled = Conversion::scaled(
        &runner.basis,
        sources,
        targets,
        |q| q.value() - 1,
        |r| r.reduce(0x1234_5678_9abc_def0),
    );
    let dst = runner.operand(Shape::Gaps, 2, targets, Fill::Zero);
    let mut src = |shape, fill| runner.operand(shape, 2, sources, fill);
    let operands = [
        src(Shape::Swapped, Fill::Random),
        src(Shape::Dense, Fill::Max),
        src(Shape::Gaps, Fill::Zero),
        src(Shape::SharedPolys, Fill::Random),
    ];
    let near = near_half(runner, sources);
    let largest = largest(runner, &plain);
    for src in operands.into_iter().chain([near, largest]) {
        let src = [src];
        runner.check(&Call::Convert(&plain), &dst, &src);
        if !runner.large() {
            runner.check(&Call::Convert(&scaled), &dst, &src);
        }
    }
}

/// Integers around Q/2, where v changes.
fn near_half(runner: &mut Runner, sources: &[u32]) -> Operand {
    let product: BigUint = sources.iter().map(|i| runner.prime(*i).value()).product();
    let (half, n) = (product >> 1u32, runner.degree());
    let placed = Operand::place(&mut runner.random, Shape::Dense, runner.items, 2, sources);
    placed.write(n, |_, prime, k| {
        let m = runner.basis.prime(prime);
        let base = (&half % m.value()).iter_u32_digits().next().unwrap_or(0);
        m.add(base, m.reduce_signed(k as i64 - n as i64 / 2))
    })
}

/// The residues for which every y_i is q_i - 1.
fn largest(runner: &mut Runner, c: &Conversion) -> Operand {
    let placed = Operand::place(&mut runner.random, Shape::Dense, runner.items, 2, &c.sources);
    let factor = |prime| (c.sources.iter().zip(&c.source_factor)).find(|(i, _)| **i == prime);
    placed.write(runner.degree(), |_, prime, _| {
        let m = runner.basis.prime(prime);
        m.neg(factor(prime).and_then(|(_, f)| m.inv(*f)).unwrap_or(0))
    })
}

/// A level of 7 primes in `count` digits, and special primes; the same with primes of a digit missing.
fn mod_up(runner: &mut Runner, count: usize) {
    let level: [u32; 7] = [0, 1, 3, 8, 20, 22, 23];
    for missing in [None, Some(3), Some(0)] {
        let level: Vec<u32> = level.into_iter().filter(|i| Some(*i) != missing).collect();
        let extended: Vec<u32> = level.iter().chain(&[11, 12]).copied().collect();
        let mut digits = Vec::new();
        for (digit, sources) in level.chunks(level.len().div_ceil(count)).enumerate() {
            let targets: Vec<u32> = extended
                .iter()
                .copied()
                .filter(|i| !sources.contains(i))
                .collect();
            digits.push(Digit {
                digit: digit as u32,
                conversion: Conversion::new(&runner.basis, sources, &targets),
            });
        }
        for (to, from, fill) in [
            (Shape::Dense, Shape::Gaps, Fill::Random),
            (Shape::Gaps, Shape::SharedItems, Fill::Max),
        ] {
            let dst = runner.operand(to, digits.len(), &extended, Fill::Zero);
            let src = runner.operand(from, 1, &level, fill);
            runner.check(&Call::ModUp(&digits), &dst, &[src]);
        }
        if runner.large() {
            return;
        }
    }
}

/// Dropped primes, special primes, primes that come for those that go, everything at once, nothing.
fn steps() -> Vec<(Vec<u32>, Vec<u32>)> {
    vec![
        (vec![0, 1, 2], vec![0, 1]),
        (vec![0, 1, 2, 3], vec![0]),
        (vec![0, 4, 5, 20, 23], vec![0, 4, 5]),
        (vec![0, 1, 2, 6], vec![0, 1, 3, 22]),
        ((0..20).collect(), vec![18, 19, 20]),
        ((2..20).collect(), vec![0, 1]),
        (vec![0, 21], vec![0, 21]),
        (vec![0, 1], vec![0, 1, 2]),
    ]
}

fn step(runner: &mut Runner, from: &[u32], to: &[u32]) {
    let step = Step::new(&runner.basis, from, to);
    for (out, into, polys, fill) in [
        (Shape::Dense, Shape::Dense, 2, Fill::Max),
        (Shape::Gaps, Shape::Swapped, 2, Fill::Random),
        (Shape::Swapped, Shape::Gaps, 1, Fill::Random),
        (Shape::Dense, Shape::SharedPolys, 3, Fill::Random),
    ] {
        if runner.large() && polys > 1 && out != Shape::Gaps {
            continue;
        }
        let dst = runner.operand(out, polys, to, Fill::Zero);
        let src = runner.operand(into, polys, from, fill);
        runner.check(&Call::Step(&step), &dst, &[src]);
    }
}
