//! What a product costs before it runs: counts of the counting backend, and times of its parts on this machine ([`Rates`]).
//!
//! [`Cost`] knows no scheme and no packing by type, so that [`choose`] compares whatever is costed.

use serde::Serialize;

use super::{
    EncodedWeights, Inputs, MatmulError, MatmulPlan, Options, Packing, Rates, Result, Shape, layout::Layout,
};
use crate::{
    backend::{
        Backend,
        null::{Counts, Null},
    },
    ckks::Ckks,
    rlwe::{self, Context, EvaluationKeys, Params, SecretKey},
};

/// Bytes a second of the link by which [`choose`] weighs bytes against time: 1 Gbit/s.
const LINK: f64 = 125e6;

/// What one product takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// `ckks` or `bfv`.
    pub scheme: &'static str,
    /// The packing.
    pub packing: &'static str,
    /// Name of the chain.
    pub chain: String,
    /// log2 of the ring degree.
    pub log_n: u32,
    /// Classical security in bits.
    pub security_bits: u32,
    /// The level of inputs and result.
    pub level: u32,
    /// Bits by which weights raise the scale: what a rescale afterwards removes.
    pub weight_bits: u32,
    /// Levels that the product uses: none, since nothing is rescaled.
    pub levels: u32,
    /// Ciphertexts from client to server.
    pub ciphertexts_up: usize,
    /// Ciphertexts back.
    pub ciphertexts_down: usize,
    /// Rotations.
    pub rotations: u64,
    /// Products of a ciphertext and a plaintext; of a ciphertext and an integer where weights are integers.
    pub products: u64,
    /// Rotation keys.
    pub keys: usize,
    /// Bytes of inputs, seeded.
    pub bytes_up: usize,
    /// Bytes of results.
    pub bytes_down: usize,
    /// Bytes of keys, seeded, sent once.
    pub key_bytes: usize,
    /// The most bytes in use on the server, weights and keys included.
    pub peak_bytes: u64,
    /// Predicted microseconds of encoding the weights.
    pub prepare_us: f64,
    /// Predicted microseconds of the product.
    pub run_us: f64,
    /// What these times are sums of.
    pub parts: Rates,
    /// Bound on the error of an entry.
    pub error_bound: f64,
}

impl Cost {
    /// Microseconds of the server, and of bytes both ways at 1 Gbit/s.
    pub fn total_us(&self) -> f64 {
        self.run_us + (self.bytes_up + self.bytes_down) as f64 / LINK * 1e6
    }
}

/// A choice among costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// Index of the chosen one.
    pub index: usize,
    /// Why, in a sentence.
    pub reason: String,
}

/// The least [`total_us`](Cost::total_us) within a budget of bytes in use; an error says what every other one needs.
pub fn choose(shape: Shape, costs: &[Cost], budget: Option<u64>) -> Result<Choice> {
    let fits = |c: &Cost| budget.is_none_or(|b| c.peak_bytes <= b);
    let mut within: Vec<(usize, &Cost)> = costs.iter().enumerate().filter(|(_, c)| fits(c)).collect();
    within.sort_by(|a, b| a.1.total_us().total_cmp(&b.1.total_us()));
    let Some((index, best)) = within.first() else {
        let each = costs
            .iter()
            .map(|c| format!("{} needs {} bytes", c.packing, c.peak_bytes));
        let why = match costs {
            [] => String::from("no packing holds it with these parameters"),
            _ => each.collect::<Vec<_>>().join(", "),
        };
        let shape = shape.to_string();
        return Err(MatmulError::NoPlan { shape, why });
    };
    let ms = |us: f64| format!("{:.1} ms", us / 1e3);
    let transfer = best.total_us() - best.run_us;
    let mut reason = format!(
        "{} takes least: {} of work and {} of transfer at 1 Gbit/s",
        best.packing,
        ms(best.run_us),
        ms(transfer)
    );
    if let Some((_, next)) = within.get(1) {
        let times = next.total_us() / best.total_us();
        reason += &format!("; {} takes {times:.1} times as long", next.packing);
    }
    let left = costs.len() - within.len();
    if left > 0 {
        reason += &format!("; {left} did not fit the budget");
    }
    Ok(Choice {
        index: *index,
        reason,
    })
}

impl MatmulPlan {
    /// Products of a ciphertext and a plaintext, or an integer.
    fn plain_products(&self) -> u64 {
        let Shape { k, n, .. } = self.shape;
        let all = match &self.layout {
            Layout::Features(l) => k * n * l.tiles,
            Layout::Blocks(l) => {
                l.row_blocks(self.shape) * l.inner_blocks(self.shape) * l.output_blocks(self.shape)
            }
            Layout::Diagonal(l) => l.tiles * l.inputs * l.outputs * l.diagonals,
        };
        all as u64
    }

    /// A run on the counting backend.
    pub(super) fn count(&self) -> Result<Counts> {
        let null = Null::new();
        let ctx = Context::new(null.clone(), self.params.clone())?;
        let ckks = Ckks::new(&ctx);
        let keys = match self.rotations().is_empty() {
            true => EvaluationKeys::none(),
            false => {
                let secret = SecretKey::generate(&ctx)?;
                secret.evaluation_keys(&self.keys())?.expand(&ctx)?
            }
        };
        let weights: EncodedWeights<Null> = self.blank_weights(&ckks)?;
        let (items, _) = self.ciphertexts();
        let inner = rlwe::Ciphertext::build(&ctx, "matmul", self.level, items, 2, |_| Ok(()))?;
        let inputs: Inputs<Null> = self.blank_inputs(inner)?;
        null.reset();
        drop(self.run(&ckks, &[&keys], &weights, &inputs)?);
        Ok(null.counts())
    }
}

/// Counts and predicts a plan; `rates` were measured for it.
pub fn cost(plan: &MatmulPlan, chain: &str, rates: &Rates) -> Result<Cost> {
    let run = plan.count()?;
    let (up, down) = plan.ciphertexts();
    let (params, log_n) = (&plan.params, plan.params.log_n());
    let rows = params.level("matmul", plan.level)?.primes.len();
    let row_bytes = 4usize << log_n;
    let rotations = plan.rotations();
    let digits = params.primes_up_to(plan.level);
    let count = digits
        .iter()
        .filter_map(|i| params.digit_of().get(*i as usize))
        .collect::<std::collections::BTreeSet<_>>();
    let key = count.len() * (digits.len() + params.special().len()) * row_bytes + 32;
    Ok(Cost {
        scheme: "ckks",
        packing: plan.packing.name(),
        chain: chain.to_owned(),
        log_n,
        security_bits: params.security_bits(),
        level: plan.level.0,
        weight_bits: plan.weight_bits,
        levels: 0,
        ciphertexts_up: up,
        ciphertexts_down: down,
        rotations: run.key_switches,
        products: plan.plain_products(),
        keys: rotations.len(),
        bytes_up: up * (rows * row_bytes + 32),
        bytes_down: down * 2 * rows * row_bytes,
        key_bytes: rotations.len() * key,
        peak_bytes: run.peak_bytes,
        prepare_us: rates.prepare_us(),
        run_us: rates.run_us(),
        parts: rates.clone(),
        error_bound: plan.error_bound(),
    })
}

/// The cheapest plan of each of some packings on the given chains, each costed on contexts that `context` makes of parameters. What no chain
/// holds is left out.
pub fn plans<B: Backend>(
    shape: Shape,
    packings: &[Packing],
    options: Options,
    chains: &[(&str, Params)],
    mut context: impl FnMut(&Params) -> Result<Context<B>>,
) -> Result<Vec<(MatmulPlan, Cost)>> {
    shape.check()?;
    let mut all = Vec::new();
    for packing in packings {
        let mut best: Option<(MatmulPlan, Cost)> = None;
        let mut last = None;
        for (name, params) in chains {
            // Of several chains of one degree the first that holds the product is the smallest.
            if last == Some(params.log_n()) {
                continue;
            }
            let Ok(plan) = MatmulPlan::with(shape, *packing, params, options) else {
                continue;
            };
            last = Some(params.log_n());
            let rates = plan.rates(&context(params)?)?;
            let cost = cost(&plan, name, &rates)?;
            if best.as_ref().is_none_or(|(_, b)| cost.total_us() < b.total_us()) {
                best = Some((plan, cost));
            }
        }
        all.extend(best);
    }
    Ok(all)
}
