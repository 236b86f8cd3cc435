//! `bench attention --kind power`: attention with PowerSoftmax on random weights, checked against the plain computation.

use super::attention::{Packing, measured, of, print_errors, print_run, shape};
use crate::{
    arith::Complex,
    backend::{
        Backend,
        device::{Device, DeviceBackend, on},
        null::Null,
    },
    bench::{
        AttentionShape,
        attention::{Random, WEIGHT_BITS, chain},
    },
    circuit::functions::PowerSoftmax,
    ckks::{Ciphertext, Ckks, Evaluator, Release},
    cli::{AttentionArgs, Failure, device, show},
    matmul::Columns,
    report::{AttentionRun, PowerAttentionReport, bytes},
    rlwe::{Context, EvaluationKeys, Params, SecretKey},
    transformer::{PlainAttention, PowerAttention, Progress, Stage},
};

const SCALE_BITS: f64 = 40.0;
const POWER: usize = 4;
/// Added to the mean of the powers.
const EPS: f64 = 1e-3;
/// Bits of the division.
const BITS: f64 = 10.0;
/// The range of scores beside the largest of this input: a model would have it from its training.
const ROOM: f64 = 1.05;

/// A chain of as many levels; the first step takes up the weights of queries and keys.
fn params(log_n: u32, levels: u32) -> Result<Params, Failure> {
    let mut absorbed_bits = vec![0; levels as usize];
    if let Some(last) = absorbed_bits.last_mut() {
        *last = 2 * WEIGHT_BITS as i32;
    }
    Ok(chain(log_n, SCALE_BITS, absorbed_bits, WEIGHT_BITS, 3)?)
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
    let mut random = Random(2023);
    let columns = Columns::new(tokens, batch)?;
    let of_range = |range| PowerSoftmax::new(tokens, range, POWER, EPS, BITS);
    let mut attention = PowerAttention {
        columns,
        heads,
        softmax: of_range(1.0)?,
        // 1/sqrt(d) of the scores goes to the queries.
        query: random.map(dim, dim, ((dim / heads) as f64).sqrt().recip()),
        key: random.map(dim, dim, 1.0),
        value: random.map(dim, dim, 1.0),
        output: random.map(dim, dim, 1.0),
    };
    let x = random.numbers(dim * slots, 1.0);
    let mut range = 0.0f64;
    for request in 0..batch {
        let scores = PlainAttention::new(&attention, &x, request).scores();
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
    let timed = show::staged("attention", ctx.backend(), |progress| {
        operands.run(attention, progress)
    })?;
    let (result, times) = (timed.result, timed.stages);

    let have = operands.ckks.decrypt(&operands.secret, &result)?;
    let have = have.release(Release::Owner)?;
    let (columns, softmax) = (attention.columns, &attention.softmax);
    let (mut max_abs_error, mut max_abs_output) = (0.0f64, 0.0f64);
    for request in 0..columns.batch() {
        for (t, row) in PlainAttention::new(attention, x, request)
            .results()
            .iter()
            .enumerate()
        {
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
    let shape = AttentionShape {
        tokens: columns.tokens(),
        dim: attention.query.inputs,
        heads: attention.heads,
    };
    let asked = (shape, columns.batch());
    let levels = params.top().0 - result.level().0;
    Ok(PowerAttentionReport {
        kind: "power",
        run: AttentionRun {
            rotations: attention.rotations(),
            relinearisations: switches - attention.rotations(),
            levels,
            ciphertext_bytes: operands.sent_bytes[0],
            key_bytes: operands.sent_bytes[1],
            max_abs_error,
            max_abs_output,
            ..measured(asked, "column", (device, params), (timed.seconds, &times))
        },
        power: softmax.power(),
        range: softmax.interval().high(),
        eps: softmax.eps(),
        weight_error: softmax.error(),
        softmax_seconds: of(&times, Stage::Sigma).unwrap_or(0.0),
        // Scores take one.
        softmax_levels: levels - 1,
    })
}

fn print(r: &PowerAttentionReport) {
    print_run(&r.run, ("softmax", r.softmax_seconds));
    device::warn_of_emulation(&r.run.device);
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
        r.run.rotations,
        r.run.relinearisations,
        r.run.levels,
        r.softmax_levels,
        bytes(r.run.ciphertext_bytes),
        bytes(r.run.key_bytes)
    );
    print_errors(&r.run);
}
