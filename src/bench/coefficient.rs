//! Encrypted matrix products in BFV with coefficient packing, timed and checked.

use std::{hint::black_box, time::Duration};

use serde::Serialize;

use super::{BenchError, Result, time};
use crate::{
    backend::Backend,
    bfv::{Bfv, Params, Release, Spec},
    matmul::coefficient::{Block, Encrypted, Levels, Output, Plain, Plan, Request, Side},
    rlwe::{KeyNeeds, SecretKey},
    wire,
};

/// What is measured: a request under parameters, with the planner's blocks or given ones.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The parameters, checked for security.
    pub spec: Spec,
    /// The product; one operand plain.
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
    /// Microseconds of the products of all requests with prepared weights, until results can be sent.
    pub median_us: f64,
    /// The same with weights from integers, lifted and transformed while they are used.
    pub fly_us: f64,
    /// Microseconds to prepare weights.
    pub prepare_us: f64,
    /// What the plan predicts for `fly_us`.
    pub predicted_us: f64,
    /// Bytes of files of all requests' inputs.
    pub bytes_up: u64,
    /// Bytes of files of all requests' results.
    pub bytes_down: u64,
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

/// Plans, runs and times one product for about `budget` each way, and compares all results with those of integers.
pub fn measure<B: Backend>(backend: B, ask: &Ask, budget: Duration) -> Result<Measured> {
    let params = Params::new(ask.spec.clone())?;
    let plan = match ask.block {
        Some(block) => Plan::with_block(&params, &ask.request, block)?,
        None => Plan::new(&params, &ask.request)?,
    };
    let (shape, requests, t) = (plan.shape(), ask.request.requests, params.plain());
    let (side, plain, cipher) = match ask.request.encrypted {
        Encrypted::Left => (Side::Left, shape.k * shape.n, shape.m * shape.k),
        Encrypted::Right | Encrypted::Both => (Side::Right, shape.m * shape.k, shape.k * shape.n),
    };
    let name = backend.capabilities().name;
    let bfv = Bfv::new(backend, params)?;
    let ctx = bfv.context();
    let mut state = 1;
    let bound = plan.weight_bound();
    let span = u128::from(bound) * 2 + 1;
    let weights: Vec<i64> = (0..plain)
        .map(|_| ((u128::from(random(&mut state)) % span) as i128 - i128::from(bound)) as i64)
        .collect();
    let (mut secrets, mut keys, mut values, mut inputs, mut bytes_up) = (vec![], vec![], vec![], vec![], 0);
    for _ in 0..requests {
        let secret = SecretKey::generate(ctx)?;
        let needs = plan.keys(KeyNeeds::new(ctx.params()));
        keys.push(secret.evaluation_keys(&needs)?.expand(ctx)?);
        let x: Vec<u64> = (0..cipher)
            .map(|_| (u128::from(random(&mut state)) % t.value()) as u64)
            .collect();
        let sent = plan.encrypt(&bfv, &secret, side, &x)?;
        bytes_up += wire::file_bytes(&sent, &bfv)?;
        inputs.push(sent.expand(ctx)?);
        values.push(x);
        secrets.push(secret);
    }
    let keys: Vec<_> = keys.iter().collect();
    let encoded = plan.weights(&weights)?;
    let prepared = encoded.prepare(&bfv)?;
    let run = |plain: &Plain<'_, B>| -> Result<()> {
        for results in plan.multiply(&bfv, plain, &inputs, &keys)? {
            drop(black_box(results.release(&bfv)?));
        }
        Ok(ctx.backend().wait()?)
    };
    let (ready, fly) = (Plain::Prepared(&prepared), Plain::OnTheFly(&encoded));
    let median_us = time(budget, || run(&ready))?.median_us;
    let fly_us = time(budget, || run(&fly))?.median_us;
    let prepare_us = time(budget, || {
        drop(black_box(plan.weights(&weights)?.prepare(&bfv)?));
        Ok(ctx.backend().wait()?)
    })?
    .median_us;

    let home = (bfv.clone(), plan.clone());
    let residues: Vec<u64> = weights.iter().map(|w| t.residue(i128::from(*w))).collect();
    let (mut bytes_down, mut max_error) = (0, 0);
    let all = plan.multiply(&bfv, &fly, &inputs, &keys)?;
    for ((results, secret), x) in all.into_iter().zip(&secrets).zip(&values) {
        let outputs = results.release(&bfv)?;
        bytes_down += wire::file_bytes(&outputs, &home)?;
        let have = outputs.decrypt(&bfv, secret)?.release(Release::Owner)?;
        for (at, have) in have.into_iter().enumerate() {
            let (row, column) = (at / shape.n, at % shape.n);
            let entry = |c: usize| {
                let (left, right) = (row * shape.k + c, c * shape.n + column);
                let (x_at, w_at) = match side {
                    Side::Left => (left, right),
                    Side::Right => (right, left),
                };
                let w = residues.get(w_at).copied().unwrap_or(0);
                let x = x.get(x_at).copied().unwrap_or(0);
                match t.value().is_power_of_two() {
                    true => x.wrapping_mul(w),
                    false => t.mul(x, w),
                }
            };
            let wanted = match t.value().is_power_of_two() {
                true => (0..shape.k).fold(0u64, |sum, c| sum.wrapping_add(entry(c))) & (t.value() - 1) as u64,
                false => (0..shape.k).fold(0, |sum, c| t.add(sum, entry(c))),
            };
            max_error = max_error.max(have.abs_diff(wanted));
        }
    }
    let levels = plan.levels();
    let log2_q = |level| -> Result<f64> { Ok(ctx.params().level("bench", level)?.log2_q) };
    Ok(Measured {
        scheme: "bfv",
        packing: match plan.output() {
            Output::Cut => "coefficient_cut",
            Output::Packed => "coefficient_packed",
        },
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
        median_us,
        fly_us,
        prepare_us,
        predicted_us: plan.costs().time_us,
        bytes_up,
        bytes_down,
        max_error,
    })
}

impl From<wire::WireError> for BenchError {
    fn from(error: wire::WireError) -> Self {
        Self::Wire(Box::new(error))
    }
}
