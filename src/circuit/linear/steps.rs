//! Baby and giant steps.

use std::collections::{BTreeMap, BTreeSet};

/// What a giant step costs beside a baby step, a key of each counted.
const GIANT: f64 = 1.9;

/// Baby and giant steps of a set of rotations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Rotations of the operand.
    pub baby: Vec<usize>,
    /// Rotations of sums, each with the rotations of the operand in it.
    pub giant: BTreeMap<usize, Vec<usize>>,
}

impl Steps {
    /// The cheapest: rotations are multiples j of one number, taken near zero or from zero on, and j = giant count + baby, babies near
    /// zero or from zero on.
    pub(super) fn new(slots: usize, rotations: &[usize]) -> Self {
        let stride = rotations.iter().fold(slots, |a, b| gcd(a, *b)).max(1);
        let signed = |centred: bool| {
            let of = move |k: &usize| match centred && *k > slots / 2 {
                true => (*k as i64 - slots as i64) / stride as i64,
                false => (*k / stride) as i64,
            };
            rotations.iter().map(of).collect::<Vec<_>>()
        };
        // More babies than this are dearer than sqrt(giants) of each.
        let most = 4 + (3.0 * (rotations.len() as f64).sqrt()) as i64;
        let ways = [signed(true), signed(false)];
        let splits = (1..=most).flat_map(|count| [(count, 0), (count, count / 2)]);
        let all = splits.flat_map(|split| ways.iter().map(move |of| (split, of)));
        let cost = |((count, below), of): &((i64, i64), &Vec<i64>)| {
            let split = of.iter().map(|j| split(*j, *count, *below));
            let (babies, giants): (BTreeSet<i64>, BTreeSet<i64>) = split.unzip();
            let moving = |all: BTreeSet<i64>| all.iter().filter(|j| **j != 0).count() as f64;
            moving(babies) + GIANT * moving(giants)
        };
        let best = all.min_by(|a, b| cost(a).total_cmp(&cost(b)));
        let wrap = |j: i64| (j * stride as i64).rem_euclid(slots as i64) as usize;
        let (mut baby, mut giant) = (BTreeSet::new(), BTreeMap::<usize, Vec<usize>>::new());
        if let Some(((count, below), of)) = best {
            for j in of {
                let (b, g) = split(*j, count, below);
                baby.insert(wrap(b));
                giant.entry(wrap(g)).or_default().push(wrap(b));
            }
        }
        Self {
            baby: baby.into_iter().collect(),
            giant,
        }
    }
}

/// j = giant + baby, giant a multiple of `count`, -below <= baby < count - below.
fn split(j: i64, count: i64, below: i64) -> (i64, i64) {
    let baby = (j + below).rem_euclid(count) - below;
    (baby, j - baby)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(slots: usize, rotations: impl IntoIterator<Item = usize>) -> (usize, usize) {
        let rotations: Vec<usize> = rotations.into_iter().collect();
        let steps = Steps::new(slots, &rotations);
        let mut covered: Vec<usize> = steps
            .giant
            .iter()
            .flat_map(|(g, all)| all.iter().map(move |b| (g + b) % slots))
            .collect();
        covered.sort_unstable();
        assert_eq!(covered, rotations);
        (steps.baby.len(), steps.giant.len())
    }

    #[test]
    fn steps_cover_the_rotations_with_few_keys() {
        let ring = |j: i64| (16 * j).rem_euclid(1024) as usize;
        let mut run: Vec<usize> = (-15..=15).map(ring).collect();
        run.sort_unstable();
        let (baby, giant) = steps(1024, run);
        assert!(baby + giant <= 12, "{baby} + {giant}");
        // A factor of a slot transform: -31 .. 31 in nine babies and seven giants.
        let mut run: Vec<usize> = (-31..=31i64).map(|j| j.rem_euclid(1 << 15) as usize).collect();
        run.sort_unstable();
        assert_eq!(steps(1 << 15, run), (9, 7));
        let (baby, giant) = steps(32, 0..32);
        assert!(baby + giant <= 12, "{baby} + {giant}");
        assert_eq!(steps(8, [0]), (1, 1));
        assert_eq!(steps(8, [3]), (1, 1));
        // Many, in a moment.
        let (baby, giant) = steps(1 << 12, 0..1 << 12);
        assert!(baby + giant <= 140, "{baby} + {giant}");
    }
}
