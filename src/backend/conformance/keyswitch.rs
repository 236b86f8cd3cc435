//! Inner products of digits and keys.

use super::{
    call::Call,
    operand::{Fill, Operand, Shape},
    runner::Runner,
};
use crate::backend::Backend;

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

pub(super) fn check<B: Backend>(runner: &mut Runner<B>) {
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
}

/// The keys have more rows than the digits, in another order, and more digits.
fn case<B: Backend>(runner: &mut Runner<B>, digits: &[u32], fill: Fill, shapes: [Shape; 2], keys: usize) {
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
