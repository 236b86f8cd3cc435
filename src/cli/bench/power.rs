//! `bench attention --kind power`: attention with PowerSoftmax on random weights, checked against the plain computation.

use std::time::Instant;

use super::attention::{Packing, shape};
use crate::{
    arith::Complex,
    backend::{
        Backend,
        device::{Device, DeviceBackend, on},
        null::Null,
    },
    bench::AttentionShape,
    circuit::functions::PowerSoftmax,
    ckks::{Ciphertext, Ckks, Evaluator, Release},
    cli::{AttentionArgs, Failure, device, show},
    matmul::{ColumnWeights, Columns},
    report::{PowerAttentionReport, bar, bytes, seconds},
    ring::{ChainKind, ChainSpec, build},
    rlwe::{Context, EvaluationKeys, Params, SecretKey, Spec},
    transformer::{PowerAttention, Progress, Stage},
};

const WEIGHT_BITS: u32 = 8;
const SCALE_BITS: f64 = 40.0;
const POWER: usize = 4;
/// Added to the mean of the powers.
const EPS: f64 = 1e-3;
/// Bits of the division.
const BITS: f64 = 10.0;
/// The range of scores beside the largest of this input: a model would have it from its training.
const ROOM: f64 = 1.05;

/// Uniform in [-1, 1); nothing secret comes from it.
fn generator(mut state: u64) -> impl FnMut() -> f64 {
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// A map of `dim` features whose outputs are about `size` times as large as its inputs.
fn map(dim: usize, size: f64, next: &mut impl FnMut() -> f64) -> ColumnWeights {
    let range = size * (3.0 / dim as f64).sqrt() * f64::from(1u32 << WEIGHT_BITS);
    ColumnWeights {
        outputs: dim,
        inputs: dim,
        weights: (0..dim * dim).map(|_| (next() * range).round() as i16).collect(),
        weight_bits: WEIGHT_BITS,
        bias: (0..dim).map(|_| 0.1 * next()).collect(),
    }
}

/// A chain of as many levels; the first step takes up the weights of queries and keys.
fn params(log_n: u32, levels: u32) -> Result<Params, Failure> {
    let mut absorbed_bits = vec![0; levels as usize];
    if let Some(last) = absorbed_bits.last_mut() {
        *last = 2 * WEIGHT_BITS as i32;
    }
    let spec = ChainSpec {
        log_n,
        kind: ChainKind::Rational,
        scale_bits: vec![SCALE_BITS; levels as usize + 1],
        absorbed_bits,
        base_bits: SCALE_BITS + f64::from(WEIGHT_BITS) + 10.0,
        digits: 3,
        special_margin_bits: 2.0,
        max_log2_qp: None,
    };
    Ok(Params::new(Spec { chain: build(&spec)? })?)
}

/// The plain computation of one request.
struct Plain<'a> {
    attention: &'a PowerAttention,
    rows: Vec<Vec<f64>>,
}

impl<'a> Plain<'a> {
    fn new(attention: &'a PowerAttention, x: &[f64], request: usize) -> Self {
        let (columns, dim) = (attention.columns, attention.query.inputs);
        let feature = |c: usize, t: usize| x[c * columns.slots() + columns.slot(t, request)];
        let row = |t: usize| (0..dim).map(|c| feature(c, t)).collect();
        let rows = (0..columns.tokens()).map(row).collect();
        Self { attention, rows }
    }

    fn map(&self, map: &ColumnWeights) -> Vec<Vec<f64>> {
        self.rows.iter().map(|x| apply(map, x)).collect()
    }

    /// Scores by head, token and token.
    fn scores(&self) -> Vec<Vec<Vec<f64>>> {
        let (q, k) = (self.map(&self.attention.query), self.map(&self.attention.key));
        let width = self.attention.query.outputs / self.attention.heads;
        let product = |q: &[f64], k: &[f64]| q.iter().zip(k).map(|(a, b)| a * b).sum::<f64>();
        let head = |h: usize| {
            let of = h * width..(h + 1) * width;
            let of_token = |q: &Vec<f64>| {
                k.iter()
                    .map(|k| product(&q[of.clone()], &k[of.clone()]))
                    .collect()
            };
            q.iter().map(of_token).collect()
        };
        (0..self.attention.heads).map(head).collect()
    }

    /// Results by token and feature.
    fn results(&self) -> Vec<Vec<f64>> {
        let (v, scores) = (self.map(&self.attention.value), self.scores());
        let width = self.attention.value.outputs / self.attention.heads;
        let token = |t: usize| {
            let mut o = vec![0.0; self.attention.value.outputs];
            for (h, (scores, o)) in scores.iter().zip(o.chunks_mut(width)).enumerate() {
                let weights = self.attention.softmax.reference(&scores[t]);
                for (p, v) in weights.iter().zip(&v) {
                    let pairs = o.iter_mut().zip(&v[h * width..]);
                    pairs.for_each(|(o, v)| *o += p * v);
                }
            }
            apply(&self.attention.output, &o)
        };
        (0..self.rows.len()).map(token).collect()
    }
}

/// W x + b.
fn apply(map: &ColumnWeights, x: &[f64]) -> Vec<f64> {
    let unit = f64::from(1u32 << map.weight_bits).recip();
    let rows = map.weights.chunks_exact(map.inputs).zip(&map.bias);
    rows.map(|(row, b)| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>() * unit + b)
        .collect()
}

pub(super) fn run(args: &AttentionArgs) -> Result<(), Failure> {
    let AttentionShape { tokens, dim, heads } = shape(args)?;
    if args.halved || args.packing == Packing::Diagonal {
        return Err("PowerSoftmax is measured in column packing: leave out --halved and --packing".into());
    }
    let batch = args.batch.unwrap_or_else(|| (1 << 14) / tokens.clamp(1, 1 << 14));
    let slots = tokens.saturating_mul(batch);
    if tokens < 2 || ![1 << 14, 1 << 15].contains(&slots) {
        let (low, high) = ((1 << 14) / tokens.max(1), (1 << 15) / tokens.max(1));
        return Err(format!(
            "{tokens} tokens x {batch} requests: the levels of PowerSoftmax take N = 2^15 or 2^16, slots for both: choose --batch from \
             {low} to {high}"
        )
        .into());
    }
    let mut next = generator(2023);
    let columns = Columns::new(tokens, batch)?;
    let of_range = |range| PowerSoftmax::new(tokens, range, POWER, EPS, BITS);
    let mut attention = PowerAttention {
        columns,
        heads,
        softmax: of_range(1.0)?,
        // 1/sqrt(d) of the scores goes to the queries.
        query: map(dim, ((dim / heads) as f64).sqrt().recip(), &mut next),
        key: map(dim, 1.0, &mut next),
        value: map(dim, 1.0, &mut next),
        output: map(dim, 1.0, &mut next),
    };
    let x: Vec<f64> = (0..dim * slots).map(|_| next()).collect();
    let mut range = 0.0f64;
    for request in 0..batch {
        let scores = Plain::new(&attention, &x, request).scores();
        range = scores
            .iter()
            .flatten()
            .flatten()
            .fold(range, |m, s| m.max(s.abs()));
    }
    attention.softmax = of_range(ROOM * range)?;
    let params = params(slots.ilog2() + 1, attention.depth())?;
    let device = args.device.open()?;
    let report =
        on!(device.any(), backend => measure(&attention, &params, &x, &device, backend.as_ref().clone()))?;
    if args.json {
        say!("{}", serde_json::to_string(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}

/// What a server computes, and the client's key for what comes back.
struct Operands<B: Backend> {
    ckks: Ckks<B>,
    secret: SecretKey<B>,
    keys: EvaluationKeys<B>,
    x: Ciphertext<B>,
    /// Of ciphertexts and keys as they are sent.
    sent_bytes: [usize; 2],
}

impl<B: Backend> Operands<B> {
    fn new(backend: B, params: &Params, attention: &PowerAttention, x: &[f64]) -> Result<Self, Failure> {
        let ckks = Ckks::new(&Context::new(backend, params.clone())?);
        let ctx = ckks.context();
        let secret = SecretKey::generate(ctx)?;
        let keys = secret.evaluation_keys(&attention.keys(params))?;
        let slots: Vec<Complex> = x.iter().map(|v| Complex::from(*v)).collect();
        let sent = ckks.encrypt(&secret, &slots, attention.query.inputs, params.top())?;
        let sent_bytes = [sent.bytes(ctx), keys.bytes(ctx)];
        Ok(Self {
            x: sent.expand(ctx)?,
            keys: keys.into_keys(ctx)?,
            secret,
            sent_bytes,
            ckks,
        })
    }

    fn run(&self, attention: &PowerAttention, progress: &mut Progress<'_>) -> Result<Ciphertext<B>, Failure> {
        let ev = Evaluator::new(&self.ckks, &self.keys);
        let result = attention.forward(&ev, &self.x, progress)?;
        self.ckks.context().backend().wait()?;
        Ok(result)
    }
}

/// Key switches of the very same run, counted.
fn key_switches(params: &Params, attention: &PowerAttention, x: &[f64]) -> Result<usize, Failure> {
    let backend = Null::new();
    let operands = Operands::new(backend.clone(), params, attention, x)?;
    backend.reset();
    operands.run(attention, &mut Progress::new(&mut |_, _, _| ()))?;
    Ok(backend.counts().key_switches as usize)
}

fn measure<B: DeviceBackend>(
    attention: &PowerAttention,
    params: &Params,
    x: &[f64],
    device: &Device,
    backend: B,
) -> Result<PowerAttentionReport, Failure> {
    let switches = key_switches(params, attention, x)?;
    let operands = Operands::new(backend, params, attention, x)?;
    let ctx = operands.ckks.context().clone();
    let bar = show::progress("attention");
    let mut display = |stage, done: usize, of: usize| {
        bar.set_length(of as u64);
        bar.set_message(show::stage(stage));
        bar.set_position(done as u64);
    };
    let wait = || Ok(ctx.backend().wait()?);
    let mut progress = Progress::waiting(&mut display, &wait);
    ctx.backend().wait()?;
    let clock = Instant::now();
    let result = operands.run(attention, &mut progress)?;
    let total_seconds = clock.elapsed().as_secs_f64();
    let of = |stage| {
        let found = progress.seconds().iter().find(|(s, _)| *s == stage);
        found.map_or(0.0, |(_, t)| *t)
    };
    let [qk_seconds, softmax_seconds, pv_seconds, projections_seconds] =
        [Stage::Qk, Stage::Sigma, Stage::Pv, Stage::Projections].map(of);
    bar.finish_and_clear();

    let have = operands.ckks.decrypt(&operands.secret, &result)?;
    let have = have.release(Release::Owner)?;
    let (columns, softmax) = (attention.columns, &attention.softmax);
    let (mut max_abs_error, mut max_abs_output) = (0.0f64, 0.0f64);
    for request in 0..columns.batch() {
        for (t, row) in Plain::new(attention, x, request).results().iter().enumerate() {
            for (c, want) in row.iter().enumerate() {
                let have = have.get(c * columns.slots() + columns.slot(t, request));
                let error = have.map_or(f64::INFINITY, |z| (z.re - want).abs());
                max_abs_error = if error.is_finite() {
                    max_abs_error.max(error)
                } else {
                    f64::INFINITY
                };
                max_abs_output = max_abs_output.max(want.abs());
            }
        }
    }
    Ok(PowerAttentionReport {
        kind: "power",
        tokens: columns.tokens(),
        heads: attention.heads,
        dim: attention.query.inputs,
        batch: columns.batch(),
        packing: "column",
        device: device::report(device),
        threads: rayon::current_num_threads(),
        security_bits: params.security_bits(),
        log_n: params.log_n(),
        log_qp: params.log2_qp(),
        power: softmax.power(),
        range: softmax.interval().high(),
        eps: softmax.eps(),
        weight_error: softmax.error(),
        qk_seconds,
        softmax_seconds,
        pv_seconds,
        projections_seconds,
        total_seconds,
        seconds_per_request: total_seconds / columns.batch() as f64,
        rotations: attention.rotations(),
        relinearisations: switches - attention.rotations(),
        levels: params.top().0 - result.level().0,
        softmax_levels: softmax.depth(),
        ciphertext_bytes: operands.sent_bytes[0],
        key_bytes: operands.sent_bytes[1],
        max_abs_error,
        max_abs_output,
    })
}

fn print(r: &PowerAttentionReport) {
    say!();
    say!(
        "  {} tokens, {} features, {} heads, {} requests at once; {} packing, {}, {} threads",
        r.tokens,
        r.dim,
        r.heads,
        r.batch,
        r.packing,
        device::name(&r.device),
        r.threads
    );
    say!(
        "  N = 2^{}, log2 QP = {:.1}, {}-bit security",
        r.log_n,
        r.log_qp,
        r.security_bits
    );
    say!();
    for (name, s) in [
        ("projections", r.projections_seconds),
        ("Q K^T", r.qk_seconds),
        ("softmax", r.softmax_seconds),
        ("scores V", r.pv_seconds),
    ] {
        let share = s / r.total_seconds;
        say!(
            "  {name:<12} {:>8}  {:>3.0} %  {}",
            seconds(s),
            share * 100.0,
            bar(share, 40)
        );
    }
    let (total, each) = (seconds(r.total_seconds), seconds(r.seconds_per_request));
    say!("  {:<12} {total:>8}         {each} a request", "total");
    device::warn_of_emulation(&r.device);
    say!();
    say!(
        "  weights: powers {} of scores up to {:.2}, over their mean and {:.0e}; off by {:.1e} of themselves at most",
        r.power,
        r.range,
        r.eps,
        r.weight_error
    );
    say!(
        "  {} rotations, {} relinearisations, {} levels, {} of them for the weights; {} of ciphertexts, {} of keys",
        r.rotations,
        r.relinearisations,
        r.levels,
        r.softmax_levels,
        bytes(r.ciphertext_bytes),
        bytes(r.key_bytes)
    );
    say!(
        "  largest error {:.1e} for outputs up to {:.2}",
        r.max_abs_error,
        r.max_abs_output
    );
}
