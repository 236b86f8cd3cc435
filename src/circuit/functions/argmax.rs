//! The place of the largest of L items, slot by slot, as a one-hot vector.
//!
//! c_ij = (1 + sign(x_i - x_j)) / 2 for i < j, c_ji = 1 - c_ij, all in one batch of L (L - 1) / 2 items; item i of the result is the
//! product of c_ij over j, in a tree of ceil(log2(L - 1)) levels.

use super::{
    Stage,
    comparison::{Comparison, wins_and_losses},
    function::levels,
};
use crate::circuit::{
    Accuracy, Arithmetic, Circuit, CircuitError, Interval, Result,
    approximate::{Certificate, minimax_sign},
    explain::input_of,
    powers::log2_ceil,
    scaled::brought_to,
};

/// One input of L items; the result has L items: 1 where an item is the largest of its slot, 0 elsewhere.
#[derive(Clone, Debug)]
pub struct ArgMax {
    items: usize,
    range: Interval,
    comparison: Comparison,
    gap: f64,
    error: f64,
}

impl ArgMax {
    /// For L items of |x| <= range that differ by at least 2 range 2^-alpha.
    ///
    /// # Errors
    /// L outside 2..=64; else as [`minimax_sign`].
    pub fn new(items: usize, range: f64, degrees: &[usize], alpha: f64) -> Result<Self> {
        if !(2..=64).contains(&items) {
            let remedy = "all pairs are compared; split larger sets into groups";
            return Err(CircuitError::Degree {
                operation: "argmax",
                degree: items,
                low: 2,
                high: 64,
                remedy,
            });
        }
        let s = minimax_sign(degrees, alpha)?;
        let comparison = Comparison::new(&s, range)?;
        Ok(Self {
            items,
            range: Interval::symmetric(range)?,
            gap: comparison.interval().half() * (-alpha).exp2(),
            // L - 1 factors within e / 2 of 0 or 1, each below 1 + e / 2.
            error: (1.0 + s.error / 2.0).powi(items as i32 - 1) - 1.0,
            comparison,
        })
    }

    /// Bound on the error of the approximation, for items that differ by `gap`.
    pub fn error(&self) -> f64 {
        self.error
    }

    /// What items have to differ by.
    pub fn gap(&self) -> f64 {
        self.gap
    }

    /// The degrees of the sign.
    pub fn degrees(&self) -> Vec<usize> {
        self.comparison.degrees()
    }

    /// How the bound of the sign was found, from which the error follows.
    pub fn certificate(&self) -> Certificate {
        self.comparison.certificate()
    }

    /// Where inputs may be.
    pub fn interval(&self) -> Interval {
        self.range
    }

    /// Its parts, the change of variable apart.
    pub fn stages(&self) -> Vec<Stage> {
        let product = (self.items > 2).then(|| Stage {
            name: String::from("products of comparisons"),
            depth: log2_ceil(self.items - 1),
        });
        self.comparison.stages().into_iter().chain(product).collect()
    }

    /// Levels for inputs of the canonical scale.
    pub fn depth(&self) -> u32 {
        levels(&self.stages()) + self.comparison.change_of_canonical()
    }
}

impl Circuit for ArgMax {
    fn name(&self) -> String {
        String::from("argmax")
    }

    fn accuracy(&self) -> Vec<Accuracy> {
        vec![Accuracy {
            error: self.error(),
            relative: false,
        }]
    }

    fn run<A: Arithmetic>(&self, m: &mut A, all: &[A::Value]) -> Result<Vec<A::Value>> {
        let x = input_of(m, "argmax", self.items, self.range, all)?;
        let pairs: Vec<(usize, usize)> = (0..self.items)
            .flat_map(|i| (i + 1..self.items).map(move |j| (i, j)))
            .collect();
        let pick = |m: &mut A, which: Vec<usize>| {
            let parts = which.into_iter().map(|i| m.every(&x, i, 1, 1));
            let parts = parts.collect::<Result<Vec<_>>>()?;
            m.concat(&parts)
        };
        let left = pick(m, pairs.iter().map(|(i, _)| *i).collect())?;
        let right = pick(m, pairs.iter().map(|(_, j)| *j).collect())?;
        let difference = m.sub(&left, &right)?;
        let needed = levels(&self.stages()) + self.comparison.change_cost(m, &difference)?;
        if m.level(&x).0 < needed {
            return Err(CircuitError::Levels {
                operation: self.name(),
                level: m.level(&x),
                needed,
                remedy: format!("refresh (bootstrap) the inputs at level {needed} or above"),
            });
        }
        let half_sign = self.comparison.half_sign(m, &difference)?;
        let [wins, losses] = wins_and_losses(m, &half_sign)?;
        let mut factors: Vec<Vec<A::Value>> = vec![Vec::new(); self.items];
        for (place, (i, j)) in pairs.iter().enumerate() {
            for (who, of) in [(i, &wins), (j, &losses)] {
                let factor = m.every(of, place, 1, 1)?;
                if let Some(factors) = factors.get_mut(*who) {
                    factors.push(factor);
                }
            }
        }
        let rounds = log2_ceil(self.items - 1);
        for _ in 0..rounds {
            factors = multiply_pairs(m, factors)?;
        }
        let one = |f: Vec<A::Value>| f.into_iter().next();
        let parts: Vec<A::Value> = factors.into_iter().filter_map(one).collect();
        Ok(vec![m.concat(&parts)?])
    }
}

/// Neighbours multiplied, all in one batch; what is left over is brought down to the products.
fn multiply_pairs<A: Arithmetic>(m: &mut A, factors: Vec<Vec<A::Value>>) -> Result<Vec<Vec<A::Value>>> {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for pair in factors.iter().flat_map(|f| f.chunks_exact(2)) {
        if let [a, b] = pair {
            left.push(a.clone());
            right.push(b.clone());
        }
    }
    let (left, right) = (m.concat(&left)?, m.concat(&right)?);
    let product = m.mul(&left, &right)?;
    let product = m.relinearise_rescale(&product)?;
    let (level, scale) = (m.level(&product), m.scale(&product));
    let (mut place, mut next) = (0, Vec::with_capacity(factors.len()));
    for f in &factors {
        let mut row = Vec::with_capacity(f.len().div_ceil(2));
        for _ in 0..f.len() / 2 {
            row.push(m.every(&product, place, 1, 1)?);
            place += 1;
        }
        if let [last] = f.chunks_exact(2).remainder() {
            row.push(brought_to(m, last, level, &scale)?);
        }
        next.push(row);
    }
    Ok(next)
}
