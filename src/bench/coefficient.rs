//! Encrypted matrix products in BFV with coefficient packing, timed and checked.

use std::{hint::black_box, time::Duration};

use serde::Serialize;

use super::{BenchError, Result, time_on};
use crate::{
    backend::Backend,
    bfv::{Bfv, Ciphertext, Params, PlainModulus, Release, Spec},
    matmul::coefficient::{Block, Encrypted, Levels, Plain, Plan, Request, Results, Shape, Side},
    rlwe::{EvaluationKeys, KeyNeeds, SecretKey},
    wire,
};

/// What is measured: a request under parameters, with the planner's blocks or given ones. Either operand is encrypted, or both.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The parameters, checked for security.
    pub spec: Spec,
    /// The product.
    pub request: Request,
    /// Blocks; `None`: the planner's.
    pub block: Option<Block>,
}

/// One product, measured.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// `bfv`.
    pub scheme: &'static str,
    /// `coefficient_cut` or `coefficient_packed`.
    pub packing: &'static str,
    /// The encrypted operand.
    pub encrypted: Encrypted,
    /// Rows.
    pub m: usize,
    /// Inner dimension.
    pub k: usize,
    /// Columns.
    pub n: usize,
    /// Requests with keys of their own.
    pub batch: usize,
    /// log2 of the ring degree.
    pub log_n: u32,
    /// log2 of t.
    pub log2_t: f64,
    /// log2 of the modulus of inputs, and of results.
    pub log2_q: [f64; 2],
    /// Blocks (b, i, o).
    pub block: [usize; 3],
    /// The levels.
    pub levels: Levels,
    /// The backend's name.
    pub backend: &'static str,
    /// Threads.
    pub threads: usize,
    /// Microseconds of the products of all requests, with prepared weights if one operand is plain, until results can be sent.
    pub median_us: f64,
    /// The least of them.
    pub min_us: f64,
    /// Least microseconds of processor time, as in [`Times`](super::Times).
    pub cpu_us: Option<f64>,
    /// Median microseconds by the lesser of both clocks, as in [`Times`](super::Times).
    pub usual_us: f64,
    /// Median microseconds with weights from integers, lifted and transformed while they are used.
    pub fly_us: Option<f64>,
    /// Usual microseconds to prepare weights; 0 where there are none.
    pub prepare_us: f64,
    /// Bytes of prepared weights in memory; 0 where there are none.
    pub weight_bytes: usize,
    /// What the plan says without any measurement, on the machine of reference: `fly_us`, or `median_us` where both are encrypted.
    pub planned_us: f64,
    /// Bytes of files of all requests' inputs.
    pub bytes_up: u64,
    /// Bytes of files of all requests' results.
    pub bytes_down: u64,
    /// Bytes of files of all requests' keys.
    pub key_bytes: u64,
    /// The largest difference to the product of integers modulo t: 0.
    pub max_error: u64,
}

/// Reproducible numbers (splitmix64).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One client: its secret, its encrypted operands, left before right, and what is in them; a plain one is not among them.
struct Client<B: Backend> {
    secret: SecretKey<B>,
    keys: EvaluationKeys<B>,
    sent: Vec<Ciphertext<B>>,
    values: [Vec<u64>; 2],
}

/// The sides of a product that are encrypted.
fn sides(encrypted: Encrypted) -> &'static [Side] {
    match encrypted {
        Encrypted::Left => &[Side::Left],
        Encrypted::Right => &[Side::Right],
        Encrypted::Both => &[Side::Left, Side::Right],
    }
}

/// Entries of an operand.
fn entries(shape: Shape, side: Side) -> usize {
    match side {
        Side::Left => shape.m * shape.k,
        Side::Right => shape.k * shape.n,
    }
}

/// Bytes of files up, with keys apart.
#[derive(Default)]
struct Sent {
    up: u64,
    keys: u64,
}

impl<B: Backend> Client<B> {
    fn new(bfv: &Bfv<B>, plan: &Plan, state: &mut u64, bytes: &mut Sent) -> Result<Self> {
        let (ctx, shape, t) = (bfv.context(), plan.shape(), bfv.plain());
        let secret = SecretKey::generate(ctx)?;
        let seeded = secret.evaluation_keys(&plan.keys(KeyNeeds::new(ctx.params())))?;
        if seeded.count() > 0 {
            bytes.keys += wire::file_bytes(&seeded, ctx)?;
        }
        let (mut sent, mut values) = (Vec::new(), [Vec::new(), Vec::new()]);
        for side in sides(plan.request().encrypted) {
            let x: Vec<u64> = (0..entries(shape, *side))
                .map(|_| (u128::from(random(state)) % t.value()) as u64)
                .collect();
            let seeded = plan.encrypt(bfv, &secret, *side, &x)?;
            bytes.up += wire::file_bytes(&seeded, bfv)?;
            sent.push(seeded.expand(ctx)?);
            if let Some(to) = values.get_mut(*side as usize) {
                *to = x;
            }
        }
        Ok(Self {
            keys: seeded.expand(ctx)?,
            secret,
            sent,
            values,
        })
    }
}

/// The largest difference of `have` from the product of matrices of residues.
fn largest_error(t: PlainModulus, shape: Shape, [x, w]: [&[u64]; 2], have: &[u64]) -> u64 {
    let entry = |row: usize, column: usize| {
        let pairs = (0..shape.k).map(|c| (x.get(row * shape.k + c), w.get(c * shape.n + column)));
        pairs.fold(0u64, |sum, (x, w)| {
            let (x, w) = (x.copied().unwrap_or(0), w.copied().unwrap_or(0));
            match t.value().is_power_of_two() {
                // Modulo 2^64, of which t divides.
                true => sum.wrapping_add(x.wrapping_mul(w)),
                false => t.add(sum, t.mul(x, w)),
            }
        })
    };
    let mask = if t.value().is_power_of_two() {
        (t.value() - 1) as u64
    } else {
        u64::MAX
    };
    let wanted = (0..shape.m * shape.n).map(|i| entry(i / shape.n, i % shape.n) & mask);
    have.iter()
        .zip(wanted)
        .map(|(a, b)| a.abs_diff(b))
        .max()
        .unwrap_or(0)
}

/// Plans, runs and times one product for about `budget` each way, and compares all results with those of integers.
pub fn measure<B: Backend>(backend: B, ask: &Ask, budget: Duration) -> Result<Measured> {
    let params = Params::new(ask.spec.clone())?;
    let plan = match ask.block {
        Some(block) => Plan::with_block(&params, &ask.request, block)?,
        None => Plan::new(&params, &ask.request)?,
    };
    let (shape, requests, t) = (plan.shape(), ask.request.requests, params.plain());
    let name = backend.capabilities().name;
    let bfv = Bfv::new(backend, params)?;
    let ctx = bfv.context();
    let (mut state, mut sent) = (1, Sent::default());
    let span = u128::from(plan.weight_bound()) * 2 + 1;
    let plain = match ask.request.encrypted {
        Encrypted::Left => entries(shape, Side::Right),
        Encrypted::Right => entries(shape, Side::Left),
        Encrypted::Both => 0,
    };
    let weights: Vec<i64> = (0..plain)
        .map(|_| ((u128::from(random(&mut state)) % span) as i128 - i128::from(plan.weight_bound())) as i64)
        .collect();
    let clients: Vec<Client<B>> = (0..requests)
        .map(|_| Client::new(&bfv, &plan, &mut state, &mut sent))
        .collect::<Result<_>>()?;
    let keys: Vec<_> = clients.iter().map(|c| &c.keys).collect();
    let operand =
        |i: usize| -> Vec<Ciphertext<B>> { clients.iter().filter_map(|c| c.sent.get(i).cloned()).collect() };
    let (first, second) = (operand(0), operand(1));
    let finish = |results: Vec<Results<B>>| -> Result<()> {
        for results in results {
            drop(black_box(results.release(&bfv)?));
        }
        Ok(ctx.backend().wait()?)
    };
    let (run, fly_us, prepare_us, weight_bytes);
    let all = if ask.request.encrypted == Encrypted::Both {
        run = time_on(ctx.backend(), budget, || {
            finish(plan.multiply_encrypted(&bfv, &first, &second, &keys)?)
        })?;
        (fly_us, prepare_us, weight_bytes) = (None, 0.0, 0);
        plan.multiply_encrypted(&bfv, &first, &second, &keys)?
    } else {
        let encoded = plan.weights(&weights)?;
        let prepared = encoded.prepare(&bfv)?;
        weight_bytes = prepared.bytes(&bfv)?;
        let (ready, fly) = (Plain::Prepared(&prepared), Plain::OnTheFly(&encoded));
        run = time_on(ctx.backend(), budget, || {
            finish(plan.multiply(&bfv, &ready, &first, &keys)?)
        })?;
        let times = time_on(ctx.backend(), budget, || {
            finish(plan.multiply(&bfv, &fly, &first, &keys)?)
        })?;
        fly_us = Some(times.median_us);
        let prepare = time_on(ctx.backend(), budget, || {
            drop(black_box(plan.weights(&weights)?.prepare(&bfv)?));
            Ok(ctx.backend().wait()?)
        })?;
        prepare_us = prepare.usual_us;
        plan.multiply(&bfv, &fly, &first, &keys)?
    };

    let home = (bfv.clone(), plan.clone());
    let residues: Vec<u64> = weights.iter().map(|w| t.residue(i128::from(*w))).collect();
    let (mut bytes_down, mut max_error) = (0, 0);
    for (results, client) in all.into_iter().zip(&clients) {
        let outputs = results.release(&bfv)?;
        bytes_down += wire::file_bytes(&outputs, &home)?;
        let have = outputs.decrypt(&bfv, &client.secret)?.release(Release::Owner)?;
        let both = client.values.each_ref();
        let operands = both.map(|v| if v.is_empty() { residues.as_slice() } else { v });
        max_error = max_error.max(largest_error(t, shape, operands, &have));
    }
    let levels = plan.levels();
    let log2_q = |level| -> Result<f64> { Ok(ctx.params().level("bench", level)?.log2_q) };
    Ok(Measured {
        scheme: "bfv",
        packing: plan.output().packing(),
        encrypted: ask.request.encrypted,
        m: shape.m,
        k: shape.k,
        n: shape.n,
        batch: requests,
        log_n: ctx.log_n(),
        log2_t: t.log2(),
        log2_q: [log2_q(levels.input)?, log2_q(levels.output)?],
        block: [plan.block().rows, plan.block().inner, plan.block().columns],
        levels,
        backend: name,
        threads: rayon::current_num_threads(),
        median_us: run.median_us,
        min_us: run.min_us,
        cpu_us: run.cpu_us,
        usual_us: run.usual_us,
        fly_us,
        prepare_us,
        weight_bytes,
        planned_us: plan.costs().time_us,
        bytes_up: sent.up,
        bytes_down,
        key_bytes: sent.keys,
        max_error,
    })
}

impl From<wire::WireError> for BenchError {
    fn from(error: wire::WireError) -> Self {
        Self::Wire(Box::new(error))
    }
}
