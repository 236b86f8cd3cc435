//! Sums, products and constants, position by position.

use super::{
    call::Call,
    operand::{Fill, Operand, Shape, value},
    runner::Runner,
};

/// Destination and operands.
const SHAPES: [[Shape; 3]; 5] = [
    [Shape::Dense; 3],
    [Shape::Gaps, Shape::Swapped, Shape::Gaps],
    [Shape::Swapped, Shape::Gaps, Shape::SharedItems],
    [Shape::Dense, Shape::SharedPolys, Shape::Swapped],
    [Shape::Gaps, Shape::SharedItems, Shape::SharedPolys],
];

/// Primes of every size, out of order.
const PRIMES: [u32; 5] = [7, 0, 23, 20, 2];

pub(super) fn check(runner: &mut Runner) {
    for (polys, count) in [(1, 5), (3, 2)] {
        for shapes in SHAPES {
            cases(runner, shapes, polys, &PRIMES[..count], [Fill::Random; 3]);
        }
        for fills in [
            [Fill::Max; 3],
            [Fill::Zero; 3],
            [Fill::Max, Fill::Zero, Fill::Max],
        ] {
            cases(runner, SHAPES[0], polys, &PRIMES[..count], fills);
        }
    }
    // Every prime of the basis at once, and its largest residues.
    let all: Vec<u32> = (0..runner.basis.primes().len() as u32).collect();
    if !runner.large() {
        cases(runner, SHAPES[1], 1, &all, [Fill::Max; 3]);
    }
}

fn cases(runner: &mut Runner, shapes: [Shape; 3], polys: usize, primes: &[u32], fills: [Fill; 3]) {
    let mut operand = |i: usize| runner.operand(shapes[i], polys, primes, fills[i]);
    let (dst, a, b): (Operand, Operand, Operand) = (operand(0), operand(1), operand(2));
    let one = std::slice::from_ref(&a);
    let both = [a.clone(), b];
    for call in [Call::Neg, Call::Zero] {
        runner.check(&call, &dst, &[]);
    }
    for call in [Call::Copy, Call::Add, Call::Sub] {
        runner.check(&call, &dst, one);
    }
    for call in [Call::Mul, Call::MulAdd] {
        runner.check(&call, &dst, &both);
    }
    for items in [1, runner.items] {
        let constants: Vec<u32> = (0..items)
            .flat_map(|_| primes)
            .map(|i| {
                let m = runner.prime(*i);
                value(&mut runner.random, m, fills[2])
            })
            .collect();
        runner.check(&Call::MulConst(&constants), &dst, one);
        runner.check(&Call::MulConstAdd(&constants), &dst, one);
        runner.check(&Call::AddConst(&constants), &dst, &[]);
    }
}
