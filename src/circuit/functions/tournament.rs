//! The largest of L items and its place, slot by slot, by a tournament of ceil(log2 L) rounds.
//!
//! A round compares neighbours, all pairs in one batch: with s = sign(a - b),
//!
//! ```text
//! max(a, b) = (a + b) / 2 + (a - b) s / 2       a wins by (1 + s) / 2, b by (1 - s) / 2
//! ```
//!
//! and a place's weight is the product of its wins: L - 1 signs in all, where [`ArgMax`](super::ArgMax) takes L (L - 1) / 2 and fewer
//! levels. After a round everything is at one level, where it may be refreshed.

use super::{
    Stage,
    comparison::{Comparison, larger, wins_and_losses},
    function::levels,
};
use crate::{
    circuit::{
        Accuracy, Arithmetic, Circuit, CircuitError, Interval, Result,
        approximate::{Certificate, minimax_sign},
        explain::input_of,
        powers::log2_ceil,
        scaled::{brought_to, product_with_free},
    },
    ring::Scale,
};

/// One input of L items; two results: the largest, one item, and L items, 1 where an item is the largest of its slot and 0 elsewhere.
#[derive(Clone, Debug)]
pub struct Tournament {
    items: usize,
    range: Interval,
    comparison: Comparison,
    gap: f64,
    error: f64,
    place_error: f64,
}

/// Who is left: a value, and the weights of the places that it may be from; none for the one place of an item that has not played.
struct Player<V> {
    value: V,
    places: Vec<Option<V>>,
}

impl Tournament {
    /// For L items of |x| <= range; the sign is by polynomials of odd degrees, right from 2 range 2^-alpha on.
    ///
    /// # Errors
    /// L outside 2..=4096; as [`minimax_sign`]; a sign so rough that values grow from round to round.
    pub fn new(items: usize, range: f64, degrees: &[usize], alpha: f64) -> Result<Self> {
        if !(2..=4096).contains(&items) {
            return Err(CircuitError::Degree {
                operation: "tournament",
                degree: items,
                low: 2,
                high: 4096,
                remedy: "split larger sets into groups",
            });
        }
        let s = minimax_sign(degrees, alpha)?;
        let rounds = f64::from(log2_ceil(items));
        // Values of a round exceed those before it by its error, e = 2 wide relu_error, so that wide = range + rounds e.
        let growth = 2.0 * rounds * s.relu_error();
        if growth > 0.5 {
            return Err(CircuitError::Approximation {
                operation: "tournament",
                what: format!("{rounds} rounds add up to {growth:.2} of the range in errors"),
                remedy: "use higher degrees, or another alpha",
            });
        }
        let wide = range / (1.0 - growth);
        let comparison = Comparison::new(&s, wide)?;
        let half = comparison.interval().half();
        let each = half * s.relu_error();
        Ok(Self {
            items,
            range: Interval::symmetric(range)?,
            comparison,
            // Both sides of a comparison may have taken an error in every round before.
            gap: half * (-alpha).exp2() + 2.0 * (rounds - 1.0) * each,
            error: rounds * each,
            place_error: (1.0 + s.error / 2.0).powf(rounds) - 1.0,
        })
    }

    /// Bound on the error of the largest item, however close others are.
    pub fn error(&self) -> f64 {
        self.error
    }

    /// Bound on the error of the places, where the largest item exceeds all others by [`gap`](Self::gap).
    pub fn place_error(&self) -> f64 {
        self.place_error
    }

    /// What the largest item has to exceed the others by for the places.
    pub fn gap(&self) -> f64 {
        self.gap
    }

    /// How the bound of the sign was found, from which the errors follow.
    pub fn certificate(&self) -> Certificate {
        self.comparison.certificate()
    }

    /// Where inputs may be.
    pub fn interval(&self) -> Interval {
        self.range
    }

    /// Rounds.
    pub fn rounds(&self) -> u32 {
        log2_ceil(self.items)
    }

    /// The degrees of the sign.
    pub fn degrees(&self) -> Vec<usize> {
        self.comparison.degrees()
    }

    /// Its parts, the change of variable of each round apart.
    pub fn stages(&self) -> Vec<Stage> {
        let sign = levels(&self.comparison.stages());
        let round = |i| Stage {
            name: format!("round {i}"),
            depth: sign + 1,
        };
        (1..=self.rounds()).map(round).collect()
    }

    /// Levels for inputs of the canonical scale.
    pub fn depth(&self) -> u32 {
        levels(&self.stages()) + self.rounds() * self.comparison.change_of_canonical()
    }

    /// A round: half as many players.
    fn round<A: Arithmetic>(
        &self,
        m: &mut A,
        players: Vec<Player<A::Value>>,
    ) -> Result<Vec<Player<A::Value>>> {
        let side = |m: &mut A, which: usize| {
            let values = players.chunks_exact(2).filter_map(|pair| pair.get(which));
            m.concat(&values.map(|p| p.value.clone()).collect::<Vec<_>>())
        };
        let (left, right) = (side(m, 0)?, side(m, 1)?);
        let (difference, sum) = (m.sub(&left, &right)?, m.add(&left, &right)?);
        let half_sign = self.comparison.half_sign(m, &difference)?;
        let largest = larger(m, &half_sign, &difference, &sum)?;
        let (level, scale) = (m.level(&largest), m.scale(&largest));

        let [wins, losses] = wins_and_losses(m, &half_sign)?;
        // All products of weights in one batch, in the order of players and their places.
        let (mut weights, mut factors) = (Vec::new(), Vec::new());
        for (i, player) in players.iter().take(players.len() / 2 * 2).enumerate() {
            let of = if i.is_multiple_of(2) { &wins } else { &losses };
            for weight in player.places.iter().flatten() {
                weights.push(weight.clone());
                factors.push(m.every(of, i / 2, 1, 1)?);
            }
        }
        let products = match weights.is_empty() {
            true => None,
            false => {
                let (weights, factors) = (m.concat(&weights)?, m.concat(&factors)?);
                let (product, _) = product_with_free(m, &factors, &weights, &Scale::pow2(0))?;
                Some(m.relinearise_rescale(&product)?)
            }
        };
        let (mut taken, mut next) = (0, Vec::with_capacity(players.len().div_ceil(2)));
        for (i, player) in players.into_iter().enumerate() {
            let (pair, first) = (i / 2, i.is_multiple_of(2));
            let plays = pair < m.items(&largest);
            let mut places = Vec::with_capacity(player.places.len());
            for weight in &player.places {
                places.push(match (weight, &products, plays) {
                    (Some(_), Some(products), true) => {
                        taken += 1;
                        Some(m.every(products, taken - 1, 1, 1)?)
                    }
                    (Some(weight), _, _) => Some(brought_to(m, weight, level, &scale)?),
                    (None, _, true) => {
                        let own = m.every(if first { &wins } else { &losses }, pair, 1, 1)?;
                        Some(brought_to(m, &own, level, &scale)?)
                    }
                    (None, _, false) => None,
                });
            }
            match (plays, first) {
                (true, true) => next.push(Player {
                    value: m.every(&largest, pair, 1, 1)?,
                    places,
                }),
                (true, false) => {
                    if let Some(winner) = next.last_mut() {
                        winner.places.extend(places);
                    }
                }
                // One without an opponent goes on as it is.
                (false, _) => next.push(Player {
                    value: brought_to(m, &player.value, level, &scale)?,
                    places,
                }),
            }
        }
        Ok(next)
    }
}

impl Circuit for Tournament {
    fn name(&self) -> String {
        format!("tournament of {}", self.items)
    }

    fn accuracy(&self) -> Vec<Accuracy> {
        let of = |error| Accuracy {
            error,
            relative: false,
        };
        vec![of(self.error()), of(self.place_error())]
    }

    fn run<A: Arithmetic>(&self, m: &mut A, all: &[A::Value]) -> Result<Vec<A::Value>> {
        let x = input_of(m, "tournament", self.items, self.range, all)?;
        let first = self.comparison.change_cost(m, &x)?;
        let later = (self.rounds() - 1) * self.comparison.change_of_canonical();
        let needed = levels(&self.stages()) + first + later;
        if m.level(&x).0 < needed {
            return Err(CircuitError::Levels {
                operation: self.name(),
                level: m.level(&x),
                needed,
                remedy: format!(
                    "refresh (bootstrap) the inputs at level {needed} or above, or compare groups and refresh what is left of each"
                ),
            });
        }
        let player = |i| -> Result<Player<A::Value>> {
            Ok(Player {
                value: m.every(&x, i, 1, 1)?,
                places: vec![None],
            })
        };
        let mut players = (0..self.items).map(player).collect::<Result<Vec<_>>>()?;
        while players.len() > 1 {
            players = self.round(m, players)?;
        }
        let empty = || CircuitError::mismatch("tournament", "items", 0, 2, "pass at least two");
        let winner = players.pop().ok_or_else(empty)?;
        let places: Vec<A::Value> = winner.places.into_iter().flatten().collect();
        Ok(vec![winner.value, m.concat(&places)?])
    }
}
