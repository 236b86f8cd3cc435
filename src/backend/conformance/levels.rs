//! The steps of a chain of levels, as key switching and rescaling take them: digits extended, special primes divided away, rescaling,
//! and both divisions at once.

use super::{
    call::{Call, Digit},
    operand::{Fill, Shape},
    runner::Runner,
};
use crate::ring::{ChainTable, Conversion, Step};

/// Prime indices of a level and of the special primes, numbered as parameters number them: U first, then P.
struct Level {
    own: Vec<u32>,
    extended: Vec<u32>,
}

impl Level {
    fn new(chain: &ChainTable, level: usize) -> Self {
        let primes = chain.levels.get(level).map_or(&[][..], |l| &l.primes);
        let own: Vec<u32> = primes.iter().map(|i| u32::from(*i)).collect();
        let (first, count) = (chain.primes.len() as u32, chain.special.len() as u32);
        let extended = own.iter().copied().chain(first..first + count).collect();
        Self { own, extended }
    }
}

/// Checks the steps of one level.
pub(super) fn check(runner: &mut Runner, chain: &ChainTable, level: usize) {
    let here = Level::new(chain, level);
    mod_up(runner, chain, &here);
    step(runner, &here.extended, &here.own);
    if let Some(below) = level.checked_sub(1) {
        let below = Level::new(chain, below);
        step(runner, &here.own, &below.own);
        step(runner, &here.extended, &below.own);
    }
}

fn mod_up(runner: &mut Runner, chain: &ChainTable, level: &Level) {
    let digit_of = |i: u32| chain.digit_of.get(i as usize).copied();
    let digits = (0..chain.digits()).filter_map(|digit| {
        let own = |i: &u32| digit_of(*i).map(usize::from) == Some(digit);
        let (sources, targets): (Vec<u32>, Vec<u32>) = level.extended.iter().copied().partition(own);
        (!sources.is_empty()).then(|| Digit {
            digit: digit as u32,
            conversion: Conversion::new(&runner.basis, &sources, &targets),
        })
    });
    let digits: Vec<Digit> = digits.collect();
    let dst = runner.operand(Shape::Dense, digits.len(), &level.extended, Fill::Zero);
    let src = runner.operand(Shape::Dense, 1, &level.own, Fill::Random);
    runner.check(&Call::ModUp(&digits), &dst, &[src]);
}

fn step(runner: &mut Runner, from: &[u32], to: &[u32]) {
    let step = Step::new(&runner.basis, from, to);
    let dst = runner.operand(Shape::Dense, 2, to, Fill::Zero);
    let src = runner.operand(Shape::Dense, 2, from, Fill::Random);
    runner.check(&Call::Step(&step), &dst, &[src]);
}
