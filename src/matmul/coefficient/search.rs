//! The choice of blocks and levels.

use std::collections::{BTreeSet, HashMap};

use super::{
    Block, CoefficientError, Costs, Encrypted, Levels, Objective, Output, Request, Result,
    plan::{Choice, bound},
};
use crate::{
    bfv::{Noise, Params},
    rlwe::Level,
};

/// Parts of a dimension that are tried besides powers of two.
const PARTS: usize = 64;

/// The noise of a product of two blocks, summed over the inner dimension.
fn product(params: &Params, request: &Request, block: Block, level: Level) -> Result<Noise> {
    let (fresh, shape) = (Noise::fresh(params, level)?, request.inner_shape());
    Ok(match request.encrypted {
        Encrypted::Both => {
            let sum = fresh.mul(&fresh)?.sum(block.tiles(shape).k);
            sum.relinearise()?
        }
        // Every entry of `columns` columns of the plain operand meets every coefficient of the noise once.
        _ => fresh.mul_plain(shape.k * block.columns, bound(params, request) as f64),
    })
}

/// What happens to a product until it is sent.
fn way_down(product: &Noise, block: Block, output: Output, packing: Level, to: Level) -> Result<Noise> {
    let noise = match output {
        Output::Cut => product.clone(),
        Output::Packed => product.switch_to(packing)?.interleave(block.inner)?,
    };
    Ok(noise.switch_to(to)?.add_plain()?)
}

/// The noise of results.
pub(super) fn noise(params: &Params, request: &Request, choice: Choice) -> Result<Noise> {
    let Choice {
        block,
        output,
        levels,
    } = choice;
    let product = product(params, request, block, levels.input)?;
    way_down(&product, block, output, levels.packing, levels.output)
}

/// What levels depend on, besides parameters and request.
type Key = (Output, usize, usize, usize);

/// Finds levels, and remembers what it found.
struct Feasible<'a> {
    params: &'a Params,
    request: &'a Request,
    known: HashMap<Key, Vec<Levels>>,
    /// log2 of the smallest bound on the noise of all that was tried.
    least: f64,
}

impl Feasible<'_> {
    /// Levels that leave decryption certain: the lowest input level, and higher ones where they let results go lower.
    fn levels(&mut self, block: Block, output: Output) -> Result<Vec<Levels>> {
        let inner = match output {
            Output::Cut => 1,
            Output::Packed => block.inner,
        };
        let tiles = block.tiles(self.request.inner_shape()).k;
        let key = (output, block.columns, inner, tiles);
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let (mut found, mut lowest): (Vec<Levels>, _) = (Vec::new(), self.params.top().0 + 1);
        for input in (0..=self.params.top().0).map(Level) {
            let product = product(self.params, self.request, block, input)?;
            if product.bound_log2() >= -1.0 {
                self.least = self.least.min(product.bound_log2());
                continue;
            }
            let packings = match output {
                Output::Cut => input.0..=input.0,
                Output::Packed => 0..=input.0,
            };
            for packing in packings.map(Level) {
                for to in (0..=packing.0.min(lowest.saturating_sub(1))).map(Level) {
                    let bound = way_down(&product, block, output, packing, to)?.bound_log2();
                    self.least = self.least.min(bound);
                    if bound < -1.0 - f64::from(self.request.headroom_bits) {
                        lowest = to.0;
                        found.push(Levels {
                            input,
                            packing,
                            output: to,
                        });
                        break;
                    }
                }
                if lowest == 0 {
                    break;
                }
            }
            if lowest == 0 {
                break;
            }
        }
        self.known.insert(key, found.clone());
        Ok(found)
    }
}

/// Sizes of a block in a dimension, up to `most`.
fn sizes(dimension: usize, most: usize) -> BTreeSet<usize> {
    let parts = (1..=PARTS.min(dimension)).map(|parts| dimension.div_ceil(parts));
    let powers = (0..=dimension.next_power_of_two().ilog2()).map(|e| 1 << e);
    parts.chain(powers).filter(|size| *size <= most).collect()
}

/// Blocks worth trying: for rows and an inner dimension, as many columns as fit, evenly shared out.
fn blocks(params: &Params, request: &Request) -> Vec<Block> {
    let (n, shape) = (params.degree(), request.inner_shape());
    let mut all = Vec::new();
    for rows in sizes(shape.m, n) {
        for inner in sizes(shape.k, n / rows) {
            let most = (n / (rows * inner)).min(shape.n);
            let columns = shape.n.div_ceil(shape.n.div_ceil(most));
            all.push(Block::new(rows, inner, columns));
        }
    }
    all
}

/// What is to be small, in order.
fn rank(objective: Objective, costs: &Costs) -> [f64; 3] {
    let (up, down) = (costs.bytes_up as f64, costs.bytes_down as f64);
    let first = match objective {
        Objective::Time => costs.time_us,
        Objective::BytesUp => up,
        Objective::BytesDown => down,
        Objective::Bytes => up + down,
    };
    [first, costs.time_us, up + down]
}

/// The best of all blocks, or of the levels of one.
pub(super) fn best(params: &Params, request: &Request, block: Option<Block>) -> Result<Choice> {
    let outputs = match request.output {
        Some(Output::Cut) => &[Output::Cut][..],
        Some(Output::Packed) => &[Output::Packed],
        None => &[Output::Cut, Output::Packed],
    };
    let candidates = match block {
        Some(block) => vec![block],
        None => blocks(params, request),
    };
    let mut feasible = Feasible {
        params,
        request,
        known: HashMap::new(),
        least: f64::INFINITY,
    };
    let mut best: Option<([f64; 3], Choice)> = None;
    for block in candidates {
        for output in outputs {
            if *output == Output::Packed && !block.inner.is_power_of_two() {
                continue;
            }
            for levels in feasible.levels(block, *output)? {
                let costs = Costs::new(params, request, block, *output, levels)?;
                let rank = rank(request.objective, &costs);
                if best.as_ref().is_none_or(|(least, _)| rank < *least) {
                    let output = *output;
                    let choice = Choice {
                        block,
                        output,
                        levels,
                    };
                    best = Some((rank, choice));
                }
            }
        }
    }
    best.map(|(_, choice)| choice)
        .ok_or_else(|| CoefficientError::Noise {
            shape: request.shape,
            weight_log2: (bound(params, request) as f64).log2(),
            bound_log2: feasible.least,
            wanted: 1 + request.headroom_bits,
            t_log2: params.plain().log2(),
            log2_q: (params.rlwe().level("plan", params.top())).map_or(0.0, |l| l.log2_q),
        })
}
