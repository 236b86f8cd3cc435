//! The primes a chain search chooses from, by size: nearest unused prime, and sets of primes with a given product.

use super::scale::{LOG2_FRACTION_BITS, log2_fixed};
use crate::arith::{MAX_MODULUS_BITS, ntt_primes};

/// Fractional bits of the logarithms a search carries: a scale squares at every level, and 2^40 2^-112 is far below every
/// tolerance.
pub(super) const FRACTION_BITS: u32 = 112;

/// Smaller rings take the primes of this one, which are dense enough and few enough to list.
const SMALLEST_LOG_N: u32 = 12;

/// Smallest prime used, in bits.
pub(super) const LEAST_BITS: f64 = 18.0;

/// The primes p = 1 mod 2N of 18 to 30 bits, ascending, with their logarithms.
pub(super) struct PrimeList {
    pub(super) values: Vec<u32>,
    pub(super) logs: Vec<f64>,
    fixed: Vec<i128>,
    /// First primes of a pair that are tried, unless one meets a sixteenth of the tolerance before.
    firsts: usize,
}

/// Indices into a [`PrimeList`] that are taken.
#[derive(Clone)]
pub(super) struct Used(Vec<u64>);

impl Used {
    pub(super) fn contains(&self, i: usize) -> bool {
        self.0.get(i / 64).is_none_or(|word| word >> (i % 64) & 1 == 1)
    }

    pub(super) fn insert(&mut self, i: usize) {
        if let Some(word) = self.0.get_mut(i / 64) {
            *word |= 1 << (i % 64);
        }
    }
}

impl PrimeList {
    pub(super) fn new(log_n: u32, firsts: usize) -> Self {
        let low = 1 << LEAST_BITS as u32;
        let mut values: Vec<u32> =
            ntt_primes(log_n.max(SMALLEST_LOG_N), low, 1 << MAX_MODULUS_BITS).collect();
        values.reverse();
        let fixed: Vec<i128> = values
            .iter()
            .map(|p| (log2_fixed(*p) >> (LOG2_FRACTION_BITS - FRACTION_BITS)) as i128)
            .collect();
        Self {
            logs: fixed.iter().map(|l| to_bits(*l)).collect(),
            fixed,
            values,
            firsts,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn log(&self, i: usize) -> f64 {
        self.logs.get(i).copied().unwrap_or(f64::NAN)
    }

    pub(super) fn fixed(&self, i: usize) -> i128 {
        self.fixed.get(i).copied().unwrap_or(0)
    }

    /// Sum of the logarithms of some primes.
    pub(super) fn sum(&self, indices: &[usize]) -> f64 {
        indices.iter().map(|i| self.log(*i)).sum()
    }

    pub(super) fn nothing_used(&self) -> Used {
        Used(vec![0; self.len().div_ceil(64)])
    }

    /// Up to `count` primes outside `used` and `except`, nearest to 2^target first.
    pub(super) fn nearest(&self, target: f64, count: usize, used: &Used, except: &[usize]) -> Vec<usize> {
        let free = |i: &usize| !used.contains(*i) && !except.contains(i);
        let at = self.logs.partition_point(|l| *l < target);
        let mut below = (0..at).rev().filter(free).peekable();
        let mut above = (at..self.len()).filter(free).peekable();
        let mut found = Vec::with_capacity(count);
        while found.len() < count {
            let next = match (below.peek(), above.peek()) {
                (Some(b), Some(a)) if target - self.log(*b) <= self.log(*a) - target => below.next(),
                (_, Some(_)) => above.next(),
                (_, None) => below.next(),
            };
            match next {
                Some(i) => found.push(i),
                None => break,
            }
        }
        found
    }

    /// `count` unused primes whose product is within `tolerance` of 2^target in log2: near each other, or, if `spread`, the
    /// first of them as large as possible.
    pub(super) fn product_near(
        &self,
        target: f64,
        count: usize,
        tolerance: f64,
        spread: bool,
        used: &Used,
    ) -> Option<Vec<usize>> {
        let mut chosen: Vec<usize> = Vec::with_capacity(count);
        let mut rest = target;
        for left in (3..=count).rev() {
            let share = rest / left as f64;
            chosen.push(self.nearest(share, 1, used, &chosen).pop()?);
            rest = target - self.sum(&chosen);
        }
        let firsts = match (count, spread) {
            (0 | 1, _) => Vec::new(),
            (_, true) => self.nearest(f64::from(MAX_MODULUS_BITS), self.firsts, used, &chosen),
            (_, false) => self.nearest(rest / 2.0, self.firsts, used, &chosen),
        };
        if firsts.is_empty() {
            let last = self.nearest(rest, 1, used, &chosen).pop()?;
            chosen.push(last);
            return ((self.sum(&chosen) - target).abs() <= tolerance).then_some(chosen);
        }
        let mut best: Option<(f64, [usize; 2])> = None;
        for first in firsts {
            let mut except = chosen.clone();
            except.push(first);
            if let Some(second) = self.nearest(rest - self.log(first), 1, used, &except).pop() {
                let off = (self.log(first) + self.log(second) - rest).abs();
                if off <= tolerance && best.is_none_or(|(least, _)| off < least) {
                    best = Some((off, [first, second]));
                }
                if off <= tolerance / 16.0 {
                    break;
                }
            }
        }
        chosen.extend(best?.1);
        Some(chosen)
    }

    /// `count` unused primes with a product of at least 2^bits, each about 2^(bits / count), close to the least.
    pub(super) fn product_at_least(&self, bits: f64, count: usize, used: &Used) -> Option<Vec<usize>> {
        if count == 0 {
            return (bits <= 0.0).then(Vec::new);
        }
        let share = (bits / count as f64).max(LEAST_BITS);
        let at = self.logs.partition_point(|l| *l < share);
        let free = |i: &usize| !used.contains(*i);
        let mut chosen: Vec<usize> = (at..self.len()).filter(free).take(count).collect();
        let missing = count - chosen.len();
        chosen.extend((0..at).rev().filter(free).take(missing));
        (chosen.len() == count && self.sum(&chosen) >= bits).then_some(chosen)
    }
}

/// Fixed point to f64.
pub(super) fn to_bits(fixed: i128) -> f64 {
    fixed as f64 / (1u128 << FRACTION_BITS) as f64
}

/// f64 (of at most 52 fractional bits) to fixed point.
pub(super) fn to_fixed(bits: f64) -> i128 {
    ((bits * (1u64 << 52) as f64) as i128) << (FRACTION_BITS - 52)
}
