//! Inner products of digits and keys, and key switches from their beginning to their end.

use super::{
    call::{Call, Digit, Switch},
    operand::{Fill, Operand, Shape},
    runner::Runner,
};
use crate::ring::{Conversion, Galois, Step};

/// Digits in use; those of the key run up to the largest and one further.
const DIGITS: [&[u32]; 6] = [
    &[0],
    &[1],
    &[0, 1],
    &[0, 2, 3],
    &[3, 0, 1],
    &[
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27,
        28, 29, 30, 31,
    ],
];

pub(super) fn check(runner: &mut Runner) {
    let cases = if runner.large() { 4 } else { DIGITS.len() };
    for digits in &DIGITS[..cases] {
        for fill in [Fill::Random, Fill::Max] {
            case(runner, digits, fill, [Shape::Dense, Shape::Dense], 1);
            case(runner, digits, fill, [Shape::Gaps, Shape::Swapped], runner.items);
        }
        case(
            runner,
            digits,
            Fill::Random,
            [Shape::Swapped, Shape::SharedItems],
            runner.items,
        );
        case(
            runner,
            digits,
            Fill::Random,
            [Shape::Dense, Shape::SharedPolys],
            1,
        );
    }
    let counts: &[usize] = if runner.large() { &[3] } else { &[1, 2, 3, 6] };
    for count in counts {
        for (fill, kept, moved) in [
            (Fill::Max, 2, 0),
            (Fill::Random, 1, 1),
            (Fill::Random, 2, runner.items),
        ] {
            switch(runner, *count, fill, kept, moved);
        }
    }
}

/// A level of 6 primes in `count` digits and 2 special primes, divided by these and one more, or not at all; an addend of `kept` polynomials
/// on the level's primes but one; `moved` automorphisms, none for 0.
fn switch(runner: &mut Runner, count: usize, fill: Fill, kept: usize, moved: usize) {
    let (level, special) = ([0, 1, 3, 8, 20, 23], [11, 12]);
    let extended: Vec<u32> = level.iter().chain(&special).copied().collect();
    let mut digits = Vec::new();
    for (digit, sources) in level.chunks(level.len().div_ceil(count)).enumerate() {
        let targets: Vec<u32> = (extended.iter().copied())
            .filter(|i| !sources.contains(i))
            .collect();
        let conversion = Conversion::new(&runner.basis, sources, &targets);
        let digit = digit as u32;
        digits.push(Digit { digit, conversion });
    }
    let keys: Vec<Operand> = (0..moved.max(1))
        .map(|_| runner.operand_of(digits.len() + 1, Shape::Gaps, 2, &extended, fill))
        .collect();
    let odd = |runner: &mut Runner| {
        let g = 2 * runner.random.below(runner.degree()) as u32 + 1;
        Galois::new(g, runner.log_n()).unwrap_or(Galois::IDENTITY)
    };
    let elements = match moved {
        0 => vec![Galois::IDENTITY],
        _ => (0..moved).map(|_| odd(runner)).collect(),
    };
    let to = &level[..level.len() - 1];
    let step = Step::new(&runner.basis, &extended, to);
    let factor: Vec<u32> = to.iter().map(|i| runner.prime(*i).value() - 1).collect();
    // Digits that all items share are those of a hoisted set of rotations.
    for (extended_already, polys, primes, shapes) in [
        (false, 1, level.as_slice(), [Shape::Gaps, Shape::Swapped]),
        (
            true,
            digits.len(),
            extended.as_slice(),
            [Shape::Gaps, Shape::Swapped],
        ),
        (true, digits.len(), extended.as_slice(), [Shape::SharedItems; 2]),
        (
            true,
            digits.len(),
            extended.as_slice(),
            [Shape::SharedItems, Shape::Dense],
        ),
    ] {
        let src = runner.operand(shapes[0], polys, primes, fill);
        let addend = runner.operand(shapes[1], kept, to, fill);
        let operands = [src, addend];
        for (step, rows) in [(Some(&step), to), (None, extended.as_slice())] {
            let dst = runner.operand(Shape::Gaps, 2, rows, Fill::Zero);
            let call = Call::KeySwitch(Switch {
                digits: &digits,
                extended: &extended,
                keys: &keys,
                factor: &factor,
                elements: &elements,
                step,
                extended_already,
            });
            runner.check(&call, &dst, &operands);
        }
    }
}

/// The keys have more rows than the digits, in another order, and more digits.
fn case(runner: &mut Runner, digits: &[u32], fill: Fill, shapes: [Shape; 2], keys: usize) {
    let (primes, of_key) = ([5, 0, 23], [23, 9, 0, 20, 5]);
    let held = digits.iter().max().map_or(0, |d| *d as usize + 2);
    let keys: Vec<Operand> = (0..keys)
        .map(|i| {
            let shape = if i % 2 == 0 { Shape::Gaps } else { Shape::Dense };
            runner.operand_of(held, shape, 2, &of_key, fill)
        })
        .collect();
    let dst = runner.operand(shapes[0], 2, &primes, Fill::Zero);
    let src = runner.operand(shapes[1], digits.len(), &primes, fill);
    runner.check(&Call::KeyInnerProduct(digits, &keys), &dst, &[src]);
}
