//! The search behind [`build`](super::build): from the top level down, a beam of partial chains.
//!
//! Primes of the top level have no value until a step removes them ("fresh"); then they are chosen so that the step meets
//! its scale, whatever the steps above missed: errors double from level to level and are corrected by each. A rational
//! step removes fresh primes and primes that came back, and adds primes removed earlier (free) or new ones (their bits are
//! wasted in U). A partial chain is judged by the rows of its levels, wasted bits, and the room its fresh primes have
//! left: level l needs base + (bits of all steps below l) bits in |S_l| primes below 2^30.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    chain::{ChainError, ChainKind, ChainSpec, ChainTable},
    chain_assembly::assemble,
    chain_primes::{LEAST_BITS, PrimeList, Used, to_bits, to_fixed},
    security::{self, SecurityError},
};
use crate::arith::MAX_MODULUS_BITS;

/// Partial chains kept per level.
const WIDTH: usize = 24;
/// Plans looked at per level, and when nothing fitted.
const MOST_PLANS: usize = 30_000;
const FALLBACK_PLANS: usize = 1000;
/// Partial chains kept that look alike.
const ALIKE: usize = 2;
/// The last levels, where few fresh primes are left, keep this many times more.
const LAST_LEVELS: usize = 2;
const LAST_FACTOR: usize = 2;
/// Most rows a level may have above the least possible.
const SPARE_ROWS: usize = 2;
/// Costs of a wasted bit of U, in rows, tried first, and when nothing fitted.
const QUICK_WASTE_COSTS: [f64; 2] = [0.01, 0.5];
const THRIFTY_WASTE_COSTS: [f64; 2] = [5.0, 50.0];
/// Most levels of a chain that gets the second round: it is slow.
const FALLBACK_LEVELS: usize = 8;
/// Cost of adding a prime in a step, in rows.
const ADDITION_COST: f64 = 0.2;
/// Costs of a prime whose value is fixed, in rows, tried in turn.
const CHOSEN_COSTS: [f64; 3] = [0.0, 0.06, 0.25];
/// Worth of a row's unused room, in rows.
const ROOM_WORTH: f64 = 0.4;

/// A step, as indices into the prime list.
#[derive(Clone, Default)]
pub(super) struct Step {
    pub(super) removed: Vec<usize>,
    pub(super) added: Vec<usize>,
}

/// A complete chain: the steps from the top, and the primes of level 0.
pub(super) struct Draft {
    pub(super) steps: Vec<Step>,
    pub(super) base: Vec<usize>,
}

#[derive(Clone)]
struct Partial {
    /// log2 of the exact scale, fixed point.
    scale: i128,
    fresh: usize,
    pinned: Vec<usize>,
    pool: Vec<usize>,
    used: Used,
    steps: Vec<Step>,
    cost: f64,
}

/// A step before its fresh primes have values.
#[derive(Clone)]
struct Plan<'a> {
    from: &'a Partial,
    leaving: Vec<usize>,
    returning: Vec<usize>,
    terminals: Vec<usize>,
    /// How many fresh primes are removed, and the bits of their product.
    fresh: usize,
    rest: f64,
    /// Whether one of them is as large as possible.
    spread: bool,
    cost: f64,
    rank: f64,
}

impl Plan<'_> {
    /// The primes with a value that the level below has.
    fn pinned(&self) -> Vec<usize> {
        let stay = self.from.pinned.iter().filter(|i| !self.leaving.contains(i));
        stay.chain(&self.returning)
            .chain(&self.terminals)
            .copied()
            .collect()
    }
}

struct Search<'a> {
    spec: &'a ChainSpec,
    primes: PrimeList,
    /// Bits that level l must have at least.
    need: Vec<f64>,
    /// Bits a fresh prime has at most, on average.
    room: f64,
    attempt: Attempt,
}

/// One setting of the search.
#[derive(Clone, Copy, Default)]
struct Attempt {
    /// Costs, in rows, of a wasted bit of U and of a prime whose value is fixed: it can no longer correct a scale.
    waste_cost: f64,
    chosen_cost: f64,
    /// Rows at the top.
    rows: usize,
    /// Most rows of a level above the least possible.
    spare_rows: usize,
    /// Partial chains kept per level.
    width: usize,
    /// Only for when nothing fitted before.
    fallback: bool,
}

/// See [`build`](super::build).
pub(super) fn search(spec: &ChainSpec) -> Result<ChainTable, ChainError> {
    let limit = super::chain_spec::validate(spec)?;
    let primes = PrimeList::new(
        spec.log_n,
        if matches!(spec.kind, ChainKind::Pair | ChainKind::Mixed) {
            256
        } else {
            128
        },
    );
    let mut need = vec![spec.base_bits];
    for level in 1..spec.scale_bits.len() {
        need.push(need.last().copied().unwrap_or(0.0) + spec.step_bits(level));
    }
    let whole = need.last().copied().unwrap_or(0.0);
    if whole > limit {
        return Err(too_large(spec, whole, limit));
    }
    // P has about as many bits as a digit: the largest primes are kept for it.
    let largest = f64::from(MAX_MODULUS_BITS);
    let kept = ((whole / spec.digits as f64 + spec.special_margin_bits) / largest).ceil() as usize + 1;
    let rows = (whole / largest).ceil() as usize;
    let highest = primes.logs.iter().rev().skip(kept).take(rows);
    let room = highest.clone().sum::<f64>() / highest.len().max(1) as f64;
    let mut reserved = primes.nothing_used();
    (primes.len().saturating_sub(kept)..primes.len()).for_each(|i| reserved.insert(i));

    let mut search = Search {
        spec,
        primes,
        need,
        room,
        attempt: Attempt::default(),
    };
    let mut lowest = spec.scale_bits.len() - 1;
    let (mut best, mut smallest, mut exhausted): (Option<(f64, ChainTable)>, f64, _) =
        (None, f64::INFINITY, None);
    for attempt in search.attempts() {
        if attempt.fallback && best.is_some() {
            break;
        }
        search.attempt = attempt;
        let (partials, reached) = search.run(&reserved);
        lowest = lowest.min(reached);
        for partial in partials {
            let assembled = search
                .draft(partial)
                .and_then(|d| assemble(spec, &search.primes, &d));
            match assembled {
                Ok((table, cost, log2_up)) => {
                    smallest = smallest.min(log2_up);
                    if log2_up <= limit && best.as_ref().is_none_or(|(least, _)| cost < *least - 1e-9) {
                        best = Some((cost, table));
                    }
                }
                Err(error) => exhausted = Some(error),
            }
        }
    }
    match (best, exhausted) {
        (Some((_, table)), _) => Ok(table),
        (None, _) if smallest.is_finite() => Err(too_large(spec, smallest, limit)),
        (None, Some(error)) if lowest == 0 => Err(error),
        _ => Err(ChainError::Unreachable {
            log_n: spec.log_n,
            level: lowest.max(1),
            step_bits: spec.step_bits(lowest.max(1)),
            tolerance_log2: spec.kind.tolerance_bits().log2() as i32,
            alternative: match spec.kind {
                ChainKind::Rational | ChainKind::Mixed => "pair or single chain",
                ChainKind::Single | ChainKind::Pair => "rational chain",
            },
        }),
    }
}

fn too_large(spec: &ChainSpec, log2_qp: f64, limit: f64) -> ChainError {
    ChainError::TooLarge {
        log_n: spec.log_n,
        log2_qp,
        limit,
        digits: spec.digits,
    }
}

impl Search<'_> {
    /// The settings to try: few rows first, then few bits.
    fn attempts(&self) -> Vec<Attempt> {
        let top = self.need.len() - 1;
        let kind = self.spec.kind;
        if !self.is_rational() {
            let rows = self.least_rows(0) + top * kind.step_shape().0;
            return vec![Attempt {
                rows,
                width: WIDTH,
                ..Attempt::default()
            }];
        }
        let mut all = Vec::new();
        let mut rounds = vec![(QUICK_WASTE_COSTS, SPARE_ROWS, WIDTH, false)];
        if top <= FALLBACK_LEVELS {
            rounds.push((THRIFTY_WASTE_COSTS, SPARE_ROWS + 1, 3 * WIDTH, true));
        }
        for (waste_costs, spare_rows, width, fallback) in rounds {
            for waste_cost in waste_costs {
                for chosen_cost in CHOSEN_COSTS {
                    let least = self.least_rows(top);
                    all.extend((least..=least + spare_rows).map(|rows| Attempt {
                        waste_cost,
                        chosen_cost,
                        rows,
                        spare_rows,
                        width,
                        fallback,
                    }));
                }
            }
        }
        all
    }

    fn is_rational(&self) -> bool {
        matches!(self.spec.kind, ChainKind::Rational | ChainKind::Mixed)
    }

    /// The fewest rows that a level can have: those that its bits fill, above them two for every pair.
    fn least_rows(&self, level: usize) -> usize {
        let pairs = (1..=level)
            .rev()
            .take_while(|l| self.spec.is_pair_step(*l))
            .count();
        let need = self.need.get(level - pairs).copied().unwrap_or(0.0);
        (need / self.room).ceil() as usize + 2 * pairs
    }

    /// The partial chains of this attempt that reach level 0, and the lowest level reached.
    fn run(&self, reserved: &Used) -> (Vec<Partial>, usize) {
        let top = self.spec.scale_bits.len() - 1;
        let mut beam = vec![Partial {
            scale: to_fixed(self.spec.scale(top)),
            fresh: self.attempt.rows,
            pinned: Vec::new(),
            pool: Vec::new(),
            used: reserved.clone(),
            steps: Vec::new(),
            cost: 0.0,
        }];
        for level in (1..=top).rev() {
            let next = self.descend(&beam, level);
            if next.is_empty() {
                return (next, level);
            }
            beam = next;
        }
        (beam, 0)
    }

    /// The best partial chains after the step down from `level`, at most [`ALIKE`] of those with the same counts and sizes.
    /// Only plans that are good enough get primes.
    fn descend(&self, beam: &[Partial], level: usize) -> Vec<Partial> {
        let wide = if level <= LAST_LEVELS + 1 { LAST_FACTOR } else { 1 };
        let mut plans: Vec<Plan<'_>> = Vec::new();
        for from in beam {
            self.plan(from, level, &mut plans);
        }
        plans.sort_by(|a, b| a.rank.total_cmp(&b.rank));
        let mut alike: BTreeMap<(usize, Vec<i32>), usize> = BTreeMap::new();
        // The same primes in another order have the same scale.
        let mut scales = BTreeSet::new();
        let mut next = Vec::new();
        for plan in plans.into_iter().take(if self.attempt.fallback {
            FALLBACK_PLANS
        } else {
            MOST_PLANS
        }) {
            let pinned = plan.pinned();
            let mut sizes: Vec<i32> = pinned
                .iter()
                .map(|i| (self.primes.log(*i) * 2.0) as i32)
                .collect();
            sizes.sort_unstable();
            let seen = alike.entry((plan.from.fresh - plan.fresh, sizes)).or_default();
            if *seen < ALIKE * wide
                && let Some(partial) = self.realise(&plan, pinned, level)
                && scales.insert((partial.fresh, partial.scale))
            {
                *seen += 1;
                next.push(partial);
                if next.len() == self.attempt.width * wide {
                    break;
                }
            }
        }
        next
    }

    /// All steps down from `level` that leave enough bits and not too many rows below.
    fn plan<'a>(&self, from: &'a Partial, level: usize, out: &mut Vec<Plan<'a>>) {
        let target =
            2 * from.scale + to_fixed(self.spec.absorbed(level)) - to_fixed(self.spec.scale(level - 1));
        let target = to_bits(target);
        let (fewest, most, most_added) = match self.spec.is_pair_step(level) {
            true => ChainKind::Pair.step_shape(),
            false => self.spec.kind.step_shape(),
        };
        let returning = subsets(
            &self.representatives(&from.pool, 2, if level <= LAST_LEVELS { 12 } else { 6 }),
            most_added,
        );
        let leaving = match self.spec.is_pair_step(level) {
            true => vec![Vec::new()],
            false => subsets(&self.representatives(&from.pinned, 3, 6), most),
        };
        for added in &returning {
            for removed in &leaving {
                let rest = target + self.primes.sum(added) - self.primes.sum(removed);
                for fresh in fewest.saturating_sub(removed.len())..=(most - removed.len()).min(from.fresh) {
                    // New primes only add rows and bits: what is too much without them stays so.
                    let rows = from.fresh - fresh + from.pinned.len() + added.len() - removed.len();
                    if rest > fresh as f64 * f64::from(MAX_MODULUS_BITS) + self.tolerance()
                        || self.too_many(rows, level - 1)
                    {
                        continue;
                    }
                    let plan = Plan {
                        from,
                        leaving: removed.clone(),
                        returning: added.clone(),
                        terminals: Vec::new(),
                        fresh,
                        rest,
                        spread: false,
                        cost: 0.0,
                        rank: 0.0,
                    };
                    self.offer(plan.clone(), level, out);
                    if fresh >= 2 {
                        self.offer(
                            Plan {
                                spread: true,
                                ..plan.clone()
                            },
                            level,
                            out,
                        );
                    }
                    for new in 1..=most_added.saturating_sub(added.len()) {
                        self.with_terminals(&plan, new, level, out);
                    }
                }
            }
        }
    }

    /// The plan with `new` primes added that were never used before: from the largest that fresh primes allow, downwards.
    fn with_terminals<'a>(&self, plan: &Plan<'a>, new: usize, level: usize, out: &mut Vec<Plan<'a>>) {
        let from = plan.from;
        let kept = from.fresh - plan.fresh + from.pinned.len() - plan.leaving.len();
        if self.too_many(kept + plan.returning.len() + new, level - 1) {
            return;
        }
        let most = ((plan.fresh as f64 * self.room - plan.rest) / new as f64).min(self.room);
        let mut size = most;
        while size >= LEAST_BITS {
            let terminals = self.primes.nearest(size, new, &plan.from.used, &[]);
            if terminals.len() == new {
                let rest = plan.rest + self.primes.sum(&terminals);
                self.offer(
                    Plan {
                        terminals,
                        rest,
                        ..plan.clone()
                    },
                    level,
                    out,
                );
            }
            if plan.fresh == 0 {
                break;
            }
            size -= 2.0;
        }
    }

    /// Keeps a plan if its fresh primes can have the bits it leaves to them, and the levels below theirs.
    fn offer<'a>(&self, mut plan: Plan<'a>, level: usize, out: &mut Vec<Plan<'a>>) {
        let possible = if plan.fresh == 0 {
            plan.rest.abs() <= self.tolerance()
        } else {
            (LEAST_BITS..=f64::from(MAX_MODULUS_BITS)).contains(&(plan.rest / plan.fresh as f64))
        };
        let left = plan.from.fresh - plan.fresh;
        let returned = plan.returning.len() + plan.terminals.len();
        let rows = left + plan.from.pinned.len() + returned - plan.leaving.len();
        let too_many = self.is_rational() && rows > self.least_rows(level - 1) + SPARE_ROWS;
        if !possible || too_many || plan.fresh + plan.leaving.len() == 0 {
            return;
        }
        let gained = self.primes.sum(&plan.returning) + self.primes.sum(&plan.terminals);
        let pinned = self.primes.sum(&plan.from.pinned) + gained - self.primes.sum(&plan.leaving);
        let below = level - 1;
        let least = self.least_rows(below) as f64 * self.room;
        let need = self
            .need
            .get(below)
            .copied()
            .unwrap_or(0.0)
            .max(least - self.room);
        let spare = left as f64 * self.room + pinned - need;
        // Every step below needs a fresh prime to meet its scale.
        if spare < 0.0 || left + 1 < level {
            return;
        }
        let weight = self.spec.weight(level - 1);
        let waste = self.attempt.waste_cost * self.primes.sum(&plan.terminals);
        plan.cost = plan.from.cost + weight * rows as f64 + ADDITION_COST * returned as f64 + waste;
        let chosen = (rows - left) as f64;
        plan.rank = plan.cost + weight * (self.attempt.chosen_cost * chosen - ROOM_WORTH * spare / self.room);
        out.push(plan);
    }

    fn too_many(&self, rows: usize, level: usize) -> bool {
        self.is_rational() && rows > self.least_rows(level) + self.attempt.spare_rows
    }

    fn tolerance(&self) -> f64 {
        self.spec.kind.tolerance_bits() * 0.99
    }

    /// Gives the fresh primes of a plan their values.
    fn realise(&self, plan: &Plan<'_>, pinned: Vec<usize>, level: usize) -> Option<Partial> {
        let mut used = plan.from.used.clone();
        plan.terminals.iter().for_each(|i| used.insert(*i));
        let fresh = match plan.fresh {
            0 => Vec::new(),
            count => self
                .primes
                .product_near(plan.rest, count, self.tolerance(), plan.spread, &used)?,
        };
        fresh.iter().for_each(|i| used.insert(*i));
        let step = Step {
            removed: [plan.leaving.as_slice(), &fresh].concat(),
            added: [plan.returning.as_slice(), &plan.terminals].concat(),
        };
        let sum = |indices: &[usize]| indices.iter().map(|i| self.primes.fixed(*i)).sum::<i128>();
        let absorbed = to_fixed(self.spec.absorbed(level));
        let mut pool: Vec<usize> = plan.from.pool.clone();
        pool.retain(|i| !plan.returning.contains(i));
        pool.extend(&step.removed);
        Some(Partial {
            scale: 2 * plan.from.scale + absorbed + sum(&step.added) - sum(&step.removed),
            fresh: plan.from.fresh - fresh.len(),
            pinned,
            pool,
            used,
            cost: plan.cost,
            steps: plan.from.steps.iter().cloned().chain([step]).collect(),
        })
    }

    /// A few of each size (to a quarter bit), the latest first, at most `limit` in all.
    fn representatives(&self, from: &[usize], each: usize, limit: usize) -> Vec<usize> {
        let mut sizes: BTreeMap<i32, usize> = BTreeMap::new();
        let mut kept: Vec<usize> = from.to_vec();
        kept.reverse();
        kept.retain(|i| {
            let count = sizes.entry((self.primes.log(*i) * 4.0) as i32).or_default();
            *count += 1;
            *count <= each
        });
        kept.truncate(limit);
        kept
    }

    /// Gives the fresh primes left at level 0 their values.
    fn draft(&self, partial: Partial) -> Result<Draft, ChainError> {
        let bits = self.spec.base_bits - self.primes.sum(&partial.pinned);
        let Some(chosen) = self.primes.product_at_least(bits, partial.fresh, &partial.used) else {
            return Err(ChainError::Exhausted {
                log_n: self.spec.log_n,
                part: "base",
                bits,
            });
        };
        Ok(Draft {
            steps: partial.steps,
            base: [partial.pinned, chosen].concat(),
        })
    }
}

/// All subsets of at most `most` elements.
fn subsets(items: &[usize], most: usize) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = vec![Vec::new()];
    for item in items {
        let longer: Vec<Vec<usize>> = all
            .iter()
            .filter(|s| s.len() < most)
            .map(|s| s.iter().copied().chain([*item]).collect())
            .collect();
        all.extend(longer);
    }
    all
}

/// The bound that a specification is held to.
pub(super) fn limit(spec: &ChainSpec) -> Result<f64, ChainError> {
    let table = security::max_log2_qp(spec.log_n, 128).map(f64::from);
    let no_bound = SecurityError::NoBound {
        log_n: spec.log_n,
        bits: 128,
    };
    spec.max_log2_qp.or(table).ok_or(ChainError::Security(no_bound))
}
