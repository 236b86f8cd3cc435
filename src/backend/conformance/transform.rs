//! Transforms and automorphisms.

use super::{
    call::Call,
    operand::{Fill, Shape},
    runner::Runner,
};
use crate::{backend::Onto, ring::Galois};

const PRIMES: [u32; 4] = [3, 22, 0, 21];

pub(super) fn check(runner: &mut Runner) {
    let fills = [Fill::Random, Fill::Max, Fill::Zero];
    for (shape, polys, count) in [(Shape::Dense, 1, 4), (Shape::Gaps, 2, 2), (Shape::Swapped, 3, 1)] {
        for fill in fills.into_iter().take(if shape == Shape::Dense { 3 } else { 1 }) {
            let dst = runner.operand(shape, polys, &PRIMES[..count], fill);
            for call in [Call::Ntt, Call::Intt, Call::MulI] {
                runner.check(&call, &dst, &[]);
            }
        }
    }
    let all: Vec<u32> = (0..runner.basis.primes().len() as u32).collect();
    let dst = runner.operand_of(1, Shape::Gaps, 1, &all, Fill::Random);
    runner.check(&Call::Ntt, &dst, &[]);
    runner.check(&Call::Intt, &dst, &[]);
    automorphisms(runner);
}

fn automorphisms(runner: &mut Runner) {
    let (log_n, items) = (runner.log_n(), runner.items);
    let odd = |runner: &mut Runner| {
        let g = 2 * runner.random.below(1 << log_n) as u32 + 1;
        Galois::new(g, log_n).unwrap_or(Galois::IDENTITY)
    };
    let mut lists = vec![vec![Galois::conjugation(log_n)], vec![Galois::rotation(1, log_n)]];
    lists.push((0..items).map(|_| odd(runner)).collect());
    if !runner.large() {
        lists.push(vec![Galois::IDENTITY; items]);
        lists.push(vec![odd(runner)]);
        let rotations = (0..items as i64).map(|k| Galois::rotation(1 - k, log_n));
        lists.push(rotations.collect());
    }
    let shapes = [
        (Shape::Dense, Shape::Dense, 2, 2),
        (Shape::Gaps, Shape::SharedItems, 2, 1),
        (Shape::Swapped, Shape::Gaps, 1, 3),
        (Shape::Dense, Shape::SharedPolys, 2, 1),
    ];
    for (i, g) in lists.iter().enumerate() {
        for (to, from, polys, count) in shapes.into_iter().skip(i % 2).step_by(2) {
            let dst = runner.operand(to, polys, &PRIMES[..count], Fill::Random);
            let src = [runner.operand(from, polys, &PRIMES[..count], Fill::Random)];
            runner.check(&Call::Permute(g), &dst, &src);
            runner.check(&Call::PermuteAdd(g), &dst, &src);
        }
    }
    let counts: &[usize] = if runner.large() { &[3] } else { &[0, 1, 2, 5, 18] };
    for (i, count) in counts.iter().enumerate() {
        for onto in [Onto::Zero, Onto::Destination] {
            let fill = fill_of(i);
            let mut g: Vec<Galois> = (0..*count).map(|_| odd(runner)).collect();
            g.iter_mut()
                .skip(1)
                .step_by(3)
                .for_each(|g| *g = Galois::IDENTITY);
            let dst = runner.operand(Shape::Gaps, 2, &PRIMES[..2], fill);
            let shapes = [
                Shape::Dense,
                Shape::Swapped,
                Shape::SharedItems,
                Shape::SharedPolys,
            ];
            let src: Vec<_> = (0..*count)
                .map(|j| runner.operand(shapes[j % 4], 2, &PRIMES[..2], fill))
                .collect();
            runner.check(&Call::PermuteAccumulate(onto, &g), &dst, &src);
        }
    }
}

fn fill_of(i: usize) -> Fill {
    if i.is_multiple_of(2) {
        Fill::Random
    } else {
        Fill::Max
    }
}
