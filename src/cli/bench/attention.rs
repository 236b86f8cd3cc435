//! `bench attention`: encrypted multi-head attention on random weights, checked against the plain computation.

use std::time::Instant;

use crate::{
    arith::Complex,
    backend::{
        Backend,
        device::{Device, DeviceBackend, on},
        null::Null,
    },
    bench::{Ceilings, Prediction, Work},
    ckks::{Ciphertext, Ckks, Evaluator, Release, SeededCiphertext},
    cli::{AttentionArgs, AttentionKind, Failure, device, show},
    matmul::{ColumnWeights, Columns},
    report::{AttentionReport, bytes, seconds},
    ring::{ChainKind, ChainSpec, build},
    rlwe::{Context, EvaluationKeys, Params, SecretKey, SeededEvaluationKeys, Spec},
    transformer::{Attention, Head, Progress, Stage},
};

const WEIGHT_BITS: u32 = 8;
const SCALE_BITS: f64 = 38.0;

/// A small generator for weights and inputs; nothing secret comes from it.
struct Random(u64);

impl Random {
    /// Uniform in [-1, 1).
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// A map whose outputs are about as large as its inputs.
    fn map(&mut self, outputs: usize, inputs: usize, size: f64) -> ColumnWeights {
        let range = size * (3.0 / inputs as f64).sqrt() * f64::from(1u32 << WEIGHT_BITS);
        let weights = (0..outputs * inputs)
            .map(|_| (self.next() * range).round() as i16)
            .collect();
        let bias = (0..outputs).map(|_| 0.1 * self.next()).collect();
        ColumnWeights {
            outputs,
            inputs,
            weights,
            weight_bits: WEIGHT_BITS,
            bias,
        }
    }
}

/// The chain of the classifier, for any ring degree: the three steps of attention, 2w, 0 and w bits of weights absorbed.
fn params(log_n: u32) -> Result<Params, Failure> {
    if log_n == 14 {
        return Ok(Params::shipped("langid")?);
    }
    let spec = ChainSpec {
        log_n,
        kind: ChainKind::Rational,
        scale_bits: vec![SCALE_BITS; 4],
        absorbed_bits: [WEIGHT_BITS, 0, 2 * WEIGHT_BITS].map(u32::cast_signed).into(),
        base_bits: SCALE_BITS + f64::from(WEIGHT_BITS) + 10.0,
        digits: 2,
        special_margin_bits: 2.0,
        max_log2_qp: None,
    };
    Ok(Params::new(Spec { chain: build(&spec)? })?)
}

fn check(args: &AttentionArgs) -> Result<u32, Failure> {
    let slots = args.tokens.saturating_mul(args.batch);
    if !(2..=1 << 15).contains(&args.tokens)
        || !args.tokens.is_power_of_two()
        || !args.batch.is_power_of_two()
    {
        let (tokens, batch) = (args.tokens, args.batch);
        return Err(format!(
            "{tokens} tokens x {batch} requests: both must be powers of two, tokens from 2 to 32768; pad them"
        )
        .into());
    }
    if !(1 << 13..=1 << 15).contains(&slots) {
        let (low, high) = ((1 << 13) / args.tokens, (1 << 15) / args.tokens);
        return Err(format!(
            "{} tokens x {} requests fill {slots} slots; rings from 2^14 to 2^16 have 8192 to 32768: choose --batch from {low} to {high}",
            args.tokens, args.batch
        )
        .into());
    }
    if args.heads == 0 || args.dim == 0 || !args.dim.is_multiple_of(args.heads) || args.dim > 4096 {
        let (dim, heads) = (args.dim, args.heads);
        return Err(format!(
            "{dim} features for {heads} heads: heads must divide features, of which 4096 are the most"
        )
        .into());
    }
    Ok(slots.trailing_zeros() + 1)
}

pub(crate) fn run(args: &AttentionArgs) -> Result<(), Failure> {
    if args.kind == AttentionKind::Power {
        return super::power::run(args);
    }
    let log_n = check(args)?;
    let device = args.device.open()?;
    on!(device.any(), backend => run_on(args, log_n, &device, backend.as_ref().clone()))
}

/// Both sides' keys, and the request.
struct Operands<B: Backend> {
    ckks: Ckks<B>,
    secret: SecretKey<B>,
    sent_keys: SeededEvaluationKeys<B>,
    keys: EvaluationKeys<B>,
    sent: SeededCiphertext<B>,
    encrypted: Ciphertext<B>,
}

impl<B: Backend> Operands<B> {
    fn new(backend: B, params: &Params, attention: &Attention, x: &[f64]) -> Result<Self, Failure> {
        let ckks = Ckks::new(&Context::new(backend, params.clone())?);
        let ctx = ckks.context().clone();
        let secret = SecretKey::generate(&ctx)?;
        let sent_keys = secret.evaluation_keys(&attention.keys(params))?;
        let slots: Vec<Complex> = x.iter().map(|v| Complex::from(*v)).collect();
        let sent = ckks.encrypt(&secret, &slots, attention.query.inputs, params.top())?;
        Ok(Self {
            keys: sent_keys.expand(&ctx)?,
            encrypted: sent.expand(&ctx)?,
            ckks,
            secret,
            sent_keys,
            sent,
        })
    }

    /// Runs it, and waits for the device.
    fn run(&self, attention: &Attention, progress: &mut Progress<'_>) -> Result<Ciphertext<B>, Failure> {
        let ev = Evaluator::new(&self.ckks, &self.keys);
        let result = attention.forward(&ev, &self.encrypted, progress)?;
        self.ckks.context().backend().wait()?;
        Ok(result)
    }
}

/// The same computation, counted: products, and bytes of input and output.
fn count(params: &Params, attention: &Attention, x: &[f64]) -> Result<Work, Failure> {
    let backend = Null::new();
    let operands = Operands::new(backend.clone(), params, attention, x)?;
    let ctx = operands.ckks.context();
    let bytes = |ct: &Ciphertext<Null>| -> Result<f64, Failure> {
        let rows = ctx.level("bench", ct.level())?.rows.len();
        Ok((ct.items() * ct.components() * rows * (4 << ctx.log_n())) as f64)
    };
    backend.reset();
    let result = operands.run(attention, &mut Progress::new(&mut |_, _, _| ()))?;
    Ok(Work {
        products: backend.counts().products as f64,
        bytes: bytes(&operands.encrypted)? + bytes(&result)?,
    })
}

/// What an A100 would take, by the kernels of the CUDA backend; nothing in a build without it.
fn predict(params: &Params, attention: &Attention, x: &[f64]) -> Result<Option<Prediction>, Failure> {
    #[cfg(feature = "cuda")]
    {
        let backend = crate::backend::cuda::Cuda::counting();
        let operands = Operands::new(backend.clone(), params, attention, x)?;
        backend.launches();
        operands.run(attention, &mut Progress::new(&mut |_, _, _| ()))?;
        Ok(Some(Prediction::new(&backend.launches())))
    }
    #[cfg(not(feature = "cuda"))]
    {
        let _ = (params, attention, x);
        Ok(None)
    }
}

fn run_on<B: DeviceBackend>(
    args: &AttentionArgs,
    log_n: u32,
    device: &Device,
    backend: B,
) -> Result<(), Failure> {
    let (dim, columns) = (args.dim, Columns::new(args.tokens, args.batch)?);
    let mut random = Random(2023);
    // 1/sqrt(d) of the scores goes to the queries, 1/sqrt(L) of the sums to the values.
    let head_width = (dim / args.heads) as f64;
    let attention = Attention {
        columns,
        halved: args.halved,
        heads: vec![
            Head {
                shift: 0.5,
                offset: -0.1
            };
            args.heads
        ],
        query: random.map(dim, dim, head_width.sqrt().recip()),
        key: random.map(dim, dim, 1.0),
        value: random.map(dim, dim, (args.tokens as f64).sqrt().recip()),
        output: random.map(dim, dim, 1.0),
    };
    let x: Vec<f64> = (0..dim * columns.slots()).map(|_| random.next()).collect();

    let params = params(log_n)?;
    let work = count(&params, &attention, &x)?;
    let prediction = predict(&params, &attention, &x)?;
    let ceilings = Ceilings::of(&backend)?;
    let operands = Operands::new(backend, &params, &attention, &x)?;
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
    let result = operands.run(&attention, &mut progress)?;
    let total = clock.elapsed().as_secs_f64();
    let of = |stage| {
        progress
            .seconds()
            .iter()
            .find(|(s, _)| *s == stage)
            .map_or(0.0, |(_, t)| *t)
    };
    let times = [Stage::Qk, Stage::Sigma, Stage::Pv, Stage::Projections].map(of);
    bar.finish_and_clear();

    let decrypted = (operands.ckks)
        .decrypt(&operands.secret, &result)?
        .release(Release::Owner)?;
    let (max_abs_error, max_abs_output) = compare(&attention, &x, &decrypted);
    let (rotations, relinearisations) = attention.key_switches();
    let [qk_seconds, sigma_seconds, pv_seconds, projections_seconds] = times;
    let report = AttentionReport {
        tokens: args.tokens,
        heads: args.heads,
        dim,
        batch: args.batch,
        packing: if args.halved { "column_halved" } else { "column" },
        device: device::report(device),
        threads: rayon::current_num_threads(),
        security_bits: params.security_bits(),
        log_n,
        log_qp: params.log2_qp(),
        qk_seconds,
        sigma_seconds,
        pv_seconds,
        projections_seconds,
        total_seconds: total,
        floor_seconds: ceilings.floor_us(work) / 1e6,
        floor_bytes: work.bytes,
        moved_bytes: prediction.map(|p| p.moved_bytes),
        a100_predicted_seconds: prediction.map(|p| p.a100_us / 1e6),
        seconds_per_request: total / args.batch as f64,
        rotations,
        relinearisations,
        key_switches: rotations + relinearisations,
        levels: Attention::DEPTH,
        ciphertext_bytes: operands.sent.bytes(&ctx),
        key_bytes: operands.sent_keys.bytes(&ctx),
        max_abs_error,
        max_abs_output,
    };
    if args.json {
        say!("{}", serde_json::to_string(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}

/// (largest error, largest output) over all requests, tokens and features, against f64 arithmetic.
fn compare(attention: &Attention, x: &[f64], have: &[Complex]) -> (f64, f64) {
    let columns = attention.columns;
    let (tokens, dim, slots) = (columns.tokens(), attention.query.inputs, columns.slots());
    let apply = |map: &ColumnWeights, x: &[f64]| -> Vec<f64> {
        let unit = f64::from(1u32 << map.weight_bits).recip();
        let row = |o: usize| map.weights[o * map.inputs..][..map.inputs].iter().zip(x);
        (0..map.outputs)
            .map(|o| row(o).map(|(w, x)| f64::from(*w) * x).sum::<f64>() * unit + map.bias[o])
            .collect()
    };
    let width = attention.query.outputs / attention.heads.len();
    let (mut error, mut largest) = (0.0f64, 0.0f64);
    for b in 0..columns.batch() {
        let rows: Vec<Vec<f64>> = (0..tokens)
            .map(|t| (0..dim).map(|c| x[c * slots + columns.slot(t, b)]).collect())
            .collect();
        let map = |m: &ColumnWeights| rows.iter().map(|x| apply(m, x)).collect::<Vec<_>>();
        let (q, k, v) = (map(&attention.query), map(&attention.key), map(&attention.value));
        for (t, q) in q.iter().enumerate() {
            let mut o = vec![0.0; attention.value.outputs];
            for (h, head) in attention.heads.iter().enumerate() {
                for (k, v) in k.iter().zip(&v) {
                    let of = h * width..(h + 1) * width;
                    let s: f64 = q[of.clone()].iter().zip(&k[of.clone()]).map(|(a, b)| a * b).sum();
                    let p = (s + head.shift).powi(2) + head.offset;
                    o[of.clone()]
                        .iter_mut()
                        .zip(&v[of])
                        .for_each(|(o, v)| *o += p * v);
                }
            }
            for (c, want) in apply(&attention.output, &o).iter().enumerate() {
                let have = have
                    .get(c * slots + columns.slot(t, b))
                    .map_or(f64::NAN, |z| z.re);
                error = error.max(if have.is_finite() {
                    (have - want).abs()
                } else {
                    f64::INFINITY
                });
                largest = largest.max(want.abs());
            }
        }
    }
    (error, largest)
}

fn print(r: &AttentionReport) {
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
    let parts = [
        ("projections", r.projections_seconds),
        ("Q K^T", r.qk_seconds),
        ("sigma", r.sigma_seconds),
        ("scores V", r.pv_seconds),
    ];
    for (name, s) in parts {
        let share = s / r.total_seconds;
        say!(
            "  {name:<12} {:>8}  {:>3.0} %  {}",
            seconds(s),
            share * 100.0,
            crate::report::bar(share, 40)
        );
    }
    say!(
        "  {:<12} {:>8}         {} a request",
        "total",
        seconds(r.total_seconds),
        seconds(r.seconds_per_request)
    );
    say!();
    say!(
        "  {:<12} {:>8}         the least for its {} of input and output, and its products, on this device",
        "floor",
        seconds(r.floor_seconds),
        bytes(r.floor_bytes as usize)
    );
    if let (Some(s), Some(moved)) = (r.a100_predicted_seconds, r.moved_bytes) {
        say!(
            "  {:<12} {:>8}         a prediction, not a measurement: {} moved by the CUDA kernels, at 1.94 TB/s",
            "A100",
            seconds(s),
            bytes(moved as usize)
        );
    }
    device::warn_of_emulation(&r.device);
    say!();
    say!(
        "  {} key switches ({} rotations, {} relinearisations), {} levels; {} of ciphertexts, {} of keys",
        r.key_switches,
        r.rotations,
        r.relinearisations,
        r.levels,
        bytes(r.ciphertext_bytes),
        bytes(r.key_bytes)
    );
    say!(
        "  largest error {:.1e} for outputs up to {:.2}",
        r.max_abs_error,
        r.max_abs_output
    );
}
