//! Products of ciphertexts, sums of products over many terms, and products with matrices of small integers.

use super::{
    call::Call,
    operand::{Fill, Operand, Shape},
    runner::Runner,
};
use crate::backend::{Entries, Integers, Matrix, Onto};

const PRIMES: [u32; 3] = [4, 22, 0];

pub(super) fn check(runner: &mut Runner) {
    let terms: &[usize] = if runner.large() {
        &[1, 3]
    } else {
        &[1, 2, 7, 8, 9, 17]
    };
    for terms in terms {
        for fill in [Fill::Random, Fill::Max] {
            tensor(runner, *terms, fill, [Shape::Dense; 3]);
        }
        tensor(
            runner,
            *terms,
            Fill::Random,
            [Shape::Gaps, Shape::Swapped, Shape::Gaps],
        );
        tensor(
            runner,
            *terms,
            Fill::Random,
            [Shape::Swapped, Shape::SharedItems, Shape::SharedPolys],
        );
    }
    let tiles: &[[usize; 3]] = if runner.large() {
        &[[2, 3, 2]]
    } else {
        &[
            [1, 1, 1],
            [1, 16, 2],
            [2, 17, 3],
            [3, 9, 1],
            [4, 26, 2],
            [5, 2, 3],
            // Sums of sixteen are reduced twice.
            [1, 33, 2],
        ]
    };
    for tile in tiles {
        for fill in [Fill::Random, Fill::Max] {
            block_product(runner, *tile, 2, fill, [Shape::Dense; 3]);
        }
        let shapes = [Shape::Gaps, Shape::Swapped, Shape::Gaps];
        block_product(runner, *tile, 2, Fill::Random, shapes);
        let shapes = [Shape::Swapped, Shape::SharedItems, Shape::Swapped];
        block_product(runner, *tile, 1, Fill::Random, shapes);
        let shapes = [Shape::Swapped, Shape::SharedPolys, Shape::SharedItems];
        block_product(runner, *tile, 3, Fill::Max, shapes);
    }
    // Lengths from two integers up to all coefficients: gaps beyond a vector, of one, and none.
    for tile in tiles {
        for log in (1..=runner.log_n()).step_by(if runner.large() { 4 } else { 1 }) {
            let shapes = [Shape::Gaps, Shape::Swapped];
            sparse_product(runner, *tile, 1 << log, 2, Fill::Random, shapes);
        }
        let shapes = [Shape::Dense, Shape::SharedItems];
        sparse_product(runner, *tile, 2, 1, Fill::Random, shapes);
        // All words at p - 1: the largest sums.
        for polys in [1, 2] {
            sparse_product(runner, *tile, 2, polys, Fill::Max, [Shape::Gaps, Shape::Swapped]);
        }
    }
    // Lengths from one integer up to all coefficients, and more terms than one pass takes.
    let terms: &[usize] = if runner.large() { &[3] } else { &[1, 3] };
    for terms in terms {
        for log in (0..=runner.log_n()).step_by(if runner.large() { 4 } else { 1 }) {
            let shapes = [Shape::Gaps, Shape::Swapped];
            light_product(runner, *terms, 1 << log, 2, Fill::Random, shapes);
        }
    }
    let length = runner.degree();
    let terms: &[usize] = if runner.large() { &[19] } else { &[0, 17, 35] };
    for terms in terms {
        for fill in [Fill::Random, Fill::Max] {
            light_product(runner, *terms, length, 2, fill, [Shape::Dense; 2]);
        }
        for (polys, shapes) in [
            (3, [Shape::Swapped, Shape::SharedPolys]),
            (2, [Shape::Gaps, Shape::SharedItems]),
            (1, [Shape::Dense, Shape::Gaps]),
        ] {
            light_product(runner, *terms, length / 2, polys, Fill::Random, shapes);
        }
    }
    let terms: &[usize] = if runner.large() {
        &[19]
    } else {
        &[0, 1, 2, 6, 7, 8, 9, 12, 17, 35]
    };
    for terms in terms {
        for fill in [Fill::Random, Fill::Max] {
            for onto in [Onto::Zero, Onto::Destination] {
                sum(runner, *terms, onto, 2, fill, [Shape::Dense; 3]);
                let shapes = [Shape::Gaps, Shape::Gaps, Shape::SharedPolys];
                sum(runner, *terms, onto, 2, fill, shapes);
            }
        }
        for (polys, shapes) in [
            (3, [Shape::Swapped, Shape::Swapped, Shape::SharedPolys]),
            (2, [Shape::Dense, Shape::SharedItems, Shape::SharedPolys]),
            (1, [Shape::Gaps, Shape::SharedPolys, Shape::SharedItems]),
        ] {
            sum(runner, *terms, Onto::Zero, polys, Fill::Random, shapes);
        }
    }
    let sizes: &[(usize, usize)] = if runner.large() {
        &[(3, 5)]
    } else {
        &[(1, 1), (3, 2), (4, 9), (9, 4), (5, 33)]
    };
    for (outputs, inputs) in sizes {
        gemm(runner, *outputs, *inputs);
    }
}

fn tensor(runner: &mut Runner, terms: usize, fill: Fill, shapes: [Shape; 3]) {
    let items = runner.items;
    let dst = runner.operand(shapes[0], 3, &PRIMES, Fill::Zero);
    let a = runner.operand_of(items * terms, shapes[1], 2, &PRIMES, fill);
    let b = runner.operand_of(items * terms, shapes[2], 2, &PRIMES, fill);
    runner.check(&Call::Tensor(terms), &dst, &[a, b]);
}

/// Rows of a, terms of a sum, columns of b.
fn block_product(
    runner: &mut Runner,
    [rows, terms, columns]: [usize; 3],
    polys: usize,
    fill: Fill,
    shapes: [Shape; 3],
) {
    let dst = runner.operand_of(rows * columns, shapes[0], polys, &PRIMES, Fill::Zero);
    let a = runner.operand_of(rows * terms, shapes[1], polys, &PRIMES, fill);
    let b = runner.operand_of(columns * terms, shapes[2], 1, &PRIMES, fill);
    runner.check(&Call::BlockProduct(terms), &dst, &[a, b]);
}

/// Rows of a, terms of a sum, columns of b, which are polynomials of `length` coefficients: the constant -1 for `Fill::Max`, p - 1 in
/// every evaluation.
fn sparse_product(
    runner: &mut Runner,
    [rows, terms, columns]: [usize; 3],
    length: usize,
    polys: usize,
    fill: Fill,
    shapes: [Shape; 2],
) {
    let dst = runner.operand_of(rows * columns, shapes[0], polys, &PRIMES, Fill::Zero);
    let a = runner.operand_of(rows * terms, shapes[1], polys, &PRIMES, fill);
    let items = columns * terms;
    let mut values = vec![0i64; items * length];
    if fill == Fill::Max {
        values.iter_mut().step_by(length).for_each(|v| *v = -1);
    } else {
        values.fill_with(|| runner.random.next() as i64);
        (values[0], values[1]) = (i64::MIN, i64::MAX);
    }
    let call = Call::SparseProduct(terms, items, Integers::I64(&values));
    runner.check(&call, &dst, &[a]);
}

/// Operands, each times one of the polynomials from the second on of `length` coefficients: -1 and nothing else for `Fill::Max`, which is
/// p - 1 in every evaluation.
fn light_product(
    runner: &mut Runner,
    terms: usize,
    length: usize,
    polys: usize,
    fill: Fill,
    shapes: [Shape; 2],
) {
    let dst = runner.operand(shapes[0], polys, &PRIMES, Fill::Zero);
    let operands: Vec<Operand> = (0..terms)
        .map(|_| runner.operand(shapes[1], polys, &PRIMES, fill))
        .collect();
    let count = terms + 2;
    let mut values = vec![0i32; count * length];
    if fill == Fill::Max {
        values.iter_mut().step_by(length).for_each(|v| *v = -1);
    } else {
        values.fill_with(|| runner.random.next() as i32);
        (values[length], values[2 * length - 1]) = (i32::MIN, i32::MAX);
    }
    runner.check(&Call::LightProduct(1, &values, count), &dst, &operands);
}

/// Two pairs of operands, of which as many items as there are terms are summed.
fn sum(runner: &mut Runner, terms: usize, onto: Onto, polys: usize, fill: Fill, shapes: [Shape; 3]) {
    let dst = runner.operand(shapes[0], polys, &PRIMES, fill);
    let items = runner.items * terms.max(1);
    let factors = [shapes[1], shapes[2], Shape::Dense, shapes[2]];
    let factors = factors.map(|shape| runner.operand_of(items, shape, polys, &PRIMES, fill));
    runner.check(&Call::MulAccumulate(onto, terms), &dst, &factors);
}

fn gemm(runner: &mut Runner, outputs: usize, inputs: usize) {
    let mut bytes: Vec<i8> = (0..outputs * inputs)
        .map(|_| runner.random.next() as i8)
        .collect();
    let mut words: Vec<i16> = bytes
        .iter()
        .map(|b| (i16::from(*b) << 8) | (runner.random.next() as i16 & 0xff))
        .collect();
    (bytes[0], words[0]) = (i8::MIN, i16::MIN);
    let least = (vec![i8::MIN; bytes.len()], vec![i16::MIN; bytes.len()]);
    let most = (vec![i8::MAX; bytes.len()], vec![i16::MAX; bytes.len()]);
    for (to, from, polys, fill) in [
        (Shape::Dense, Shape::Dense, 2, Fill::Max),
        (Shape::Gaps, Shape::Swapped, 2, Fill::Random),
        (Shape::Swapped, Shape::Gaps, 1, Fill::Random),
        (Shape::Dense, Shape::SharedItems, 1, Fill::Random),
    ] {
        let dst = runner.operand_of(outputs, to, polys, &PRIMES, Fill::Zero);
        let src = [runner.operand_of(inputs, from, polys, &PRIMES, fill)];
        for (bytes, words) in [(&bytes, &words), (&least.0, &least.1), (&most.0, &most.1)] {
            for entries in [Entries::I8(bytes), Entries::I16(words)] {
                let weights = Matrix {
                    outputs,
                    inputs,
                    entries,
                };
                runner.check(&Call::Gemm(weights), &dst, &src);
            }
        }
    }
}
