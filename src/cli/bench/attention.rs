//! `bench attention`: encrypted multi-head attention on random weights, checked against the plain computation.

use std::{str::FromStr, time::Instant};

use clap::ValueEnum;

use crate::{
    backend::device::{Device, DeviceBackend, on},
    bench::{
        AttentionShape, Ceilings, ColumnAttention, ColumnOperands, DiagonalAttention, DiagonalOperands,
        Prediction, Work,
    },
    ckks::Release,
    cli::{AttentionArgs, AttentionKind, Failure, device, show},
    report::{AttentionReport, AttentionRun, bar, bytes, seconds},
    rlwe::{Context, Params},
    transformer::Stage,
};

/// How requests lie in ciphertexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Packing {
    /// A ciphertext a feature, for as many requests as fill the slots; with projections
    Column,
    /// One request: scores, their function and weighted sums of every head
    Diagonal,
}

/// A named shape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preset(AttentionShape);

impl FromStr for Preset {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = AttentionShape::PRESETS.iter().find(|(known, _)| *known == name);
        let known = || AttentionShape::PRESETS.map(|(name, _)| name).join(", ");
        found
            .map(|(_, shape)| Self(*shape))
            .ok_or_else(|| format!("no shape is called {name:?}; there are {}", known()))
    }
}

impl Preset {
    /// Its shape.
    fn shape(self) -> AttentionShape {
        self.0
    }
}

/// The shape that is asked for, whose heads divide the features.
pub(super) fn shape(args: &AttentionArgs) -> Result<AttentionShape, Failure> {
    let shape = args.preset.map_or(
        AttentionShape {
            tokens: args.tokens,
            dim: args.dim,
            heads: args.heads,
        },
        Preset::shape,
    );
    let AttentionShape { dim, heads, .. } = shape;
    if heads == 0 || dim == 0 || !dim.is_multiple_of(heads) || dim > 4096 {
        return Err(format!(
            "{dim} features for {heads} heads: heads must divide features, of which 4096 are the most"
        )
        .into());
    }
    Ok(shape)
}

/// The shape that is asked for, and the number of requests.
fn asked(args: &AttentionArgs) -> Result<(AttentionShape, usize), Failure> {
    let shape = shape(args)?;
    let tokens = shape.tokens;
    if args.packing == Packing::Diagonal {
        if !(2..=4096).contains(&tokens) || args.batch.is_some_and(|b| b != 1) || args.halved {
            return Err("diagonal packing is for one request of 2 to 4096 tokens, and is not halved".into());
        }
        return Ok((shape, 1));
    }
    let batch = args.batch.unwrap_or_else(|| (1 << 13) / tokens.clamp(1, 1 << 13));
    let slots = tokens.saturating_mul(batch);
    if !(2..=1 << 15).contains(&tokens) || !tokens.is_power_of_two() || !batch.is_power_of_two() {
        return Err(format!(
            "{tokens} tokens x {batch} requests: both must be powers of two, tokens from 2 to 32768; pad them"
        )
        .into());
    }
    if !(1 << 13..=1 << 15).contains(&slots) {
        let (low, high) = ((1 << 13) / tokens, (1 << 15) / tokens);
        return Err(format!(
            "{tokens} tokens x {batch} requests fill {slots} slots; rings from 2^14 to 2^16 have 8192 to 32768: choose --batch from {low} to {high}",
        )
        .into());
    }
    Ok((shape, batch))
}

pub(crate) fn run(args: &AttentionArgs) -> Result<(), Failure> {
    if args.kind == AttentionKind::Power {
        return super::power::run(args);
    }
    let (shape, batch) = asked(args)?;
    let device = args.device.open()?;
    let report = match args.packing {
        Packing::Column => {
            let column = ColumnAttention::new(shape, batch, args.halved)?;
            on!(device.any(), backend => column_on(&column, shape, &device, backend.as_ref().clone()))?
        }
        Packing::Diagonal => {
            let diagonal = DiagonalAttention::new(shape)?;
            on!(device.any(), backend => diagonal_on(&diagonal, shape, &device, backend.as_ref().clone()))?
        }
    };
    if args.json {
        say!("{}", serde_json::to_string(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}

/// What an A100 would take, by the kernels of the CUDA backend; nothing in a build without it.
fn predict(column: &ColumnAttention) -> Result<Option<Prediction>, Failure> {
    #[cfg(feature = "cuda")]
    {
        let backend = crate::backend::cuda::Cuda::counting();
        let operands = ColumnOperands::new(backend.clone(), column)?;
        backend.launches();
        operands.run(column, &mut crate::transformer::Progress::new(&mut |_, _, _| ()))?;
        Ok(Some(Prediction::new(&backend.launches())))
    }
    #[cfg(not(feature = "cuda"))]
    {
        let _ = column;
        Ok(None)
    }
}

/// The seconds of a stage; nothing for one that did not come.
pub(super) fn of(times: &[(Stage, f64)], stage: Stage) -> Option<f64> {
    let same = times.iter().filter(|(s, _)| *s == stage);
    same.map(|(_, t)| *t).reduce(|sum, t| sum + t)
}

/// What every kind of attention reports, but for key switches, levels, bytes and errors.
pub(super) fn measured(
    (shape, batch): (AttentionShape, usize),
    packing: &'static str,
    (device, params): (&Device, &Params),
    (total, times): (f64, &[(Stage, f64)]),
) -> AttentionRun {
    AttentionRun {
        tokens: shape.tokens,
        heads: shape.heads,
        dim: shape.dim,
        batch,
        packing,
        device: device::report(device),
        threads: rayon::current_num_threads(),
        security_bits: params.security_bits(),
        log_n: params.log_n(),
        log_qp: params.log2_qp(),
        qk_seconds: of(times, Stage::Qk).unwrap_or(0.0),
        pv_seconds: of(times, Stage::Pv).unwrap_or(0.0),
        projections_seconds: of(times, Stage::Projections),
        total_seconds: total,
        seconds_per_request: total / batch as f64,
        rotations: 0,
        relinearisations: 0,
        levels: 0,
        ciphertext_bytes: 0,
        key_bytes: 0,
        max_abs_error: f64::NAN,
        max_abs_output: f64::NAN,
    }
}

/// The report of a run with a polynomial of the scores.
fn report<B: DeviceBackend>(
    run: AttentionRun,
    ctx: &Context<B>,
    work: Work,
    times: &[(Stage, f64)],
    prediction: Option<Prediction>,
) -> Result<AttentionReport, Failure> {
    let ceilings = Ceilings::of(ctx.backend())?;
    Ok(AttentionReport {
        sigma_seconds: of(times, Stage::Sigma).unwrap_or(0.0),
        floor_seconds: ceilings.floor_us(work) / 1e6,
        floor_bytes: work.bytes,
        moved_bytes: prediction.map(|p| p.moved_bytes),
        a100_predicted_seconds: prediction.map(|p| p.a100_us / 1e6),
        key_switches: run.rotations + run.relinearisations,
        run,
    })
}

/// Many requests.
fn column_on<B: DeviceBackend>(
    column: &ColumnAttention,
    shape: AttentionShape,
    device: &Device,
    backend: B,
) -> Result<AttentionReport, Failure> {
    let attention = &column.attention;
    let (work, prediction) = (column.work()?, predict(column)?);
    let operands = ColumnOperands::new(backend, column)?;
    let ctx = operands.ckks.context().clone();
    let timed = show::staged("attention", ctx.backend(), |progress| {
        operands.run(column, progress)
    })?;
    let (result, times) = (timed.result, timed.stages);

    let decrypted = (operands.ckks)
        .decrypt(&operands.secret, &result)?
        .release(Release::Owner)?;
    let asked = (shape, attention.columns.batch());
    let packing = if attention.halved {
        "column_halved"
    } else {
        "column"
    };
    let (rotations, relinearisations) = attention.key_switches();
    let (max_abs_error, max_abs_output) = column.compare(&decrypted);
    let run = AttentionRun {
        rotations,
        relinearisations,
        levels: column.params.top().0 - result.level().0,
        ciphertext_bytes: operands.sent.bytes(&ctx),
        key_bytes: operands.sent_keys.bytes(&ctx),
        max_abs_error,
        max_abs_output,
        ..measured(asked, packing, (device, &column.params), (timed.seconds, &times))
    };
    report(run, &ctx, work, &times, prediction)
}

/// One request.
fn diagonal_on<B: DeviceBackend>(
    diagonal: &DiagonalAttention,
    shape: AttentionShape,
    device: &Device,
    backend: B,
) -> Result<AttentionReport, Failure> {
    let work = diagonal.work()?;
    let operands = DiagonalOperands::new(backend, diagonal)?;
    let ctx = operands.ckks.context().clone();
    let bar = show::progress("attention");
    bar.set_length(3 * diagonal.heads as u64);
    let mut times = Vec::new();
    ctx.backend().wait()?;
    let clock = Instant::now();
    let results = operands.run(diagonal, &mut |stage, seconds| {
        bar.set_message(show::stage(stage));
        bar.inc(1);
        times.push((stage, seconds));
    })?;
    let total = clock.elapsed().as_secs_f64();
    bar.finish_and_clear();

    let (rotations, relinearisations) = diagonal.key_switches();
    let (max_abs_error, max_abs_output) = diagonal.compare(&operands.decrypt(&results)?)?;
    let top = diagonal.params.top();
    let lowest = results.iter().map(|ct| ct.level()).min().unwrap_or(top);
    let run = AttentionRun {
        rotations,
        relinearisations,
        levels: top.0 - lowest.0,
        ciphertext_bytes: operands.sent_bytes,
        key_bytes: operands.sent_keys.bytes(&ctx),
        max_abs_error,
        max_abs_output,
        ..measured(
            (shape, 1),
            "diagonal",
            (device, &diagonal.params),
            (total, &times),
        )
    };
    report(run, &ctx, work, &times, None)
}

/// What was computed on what, and the seconds of each part; `weights` are how scores become weights.
pub(super) fn print_run(r: &AttentionRun, weights: (&str, f64)) {
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
    let projections = r.projections_seconds.map(|s| ("projections", s));
    let parts = [("Q K^T", r.qk_seconds), weights, ("scores V", r.pv_seconds)];
    for (name, s) in projections.into_iter().chain(parts) {
        let share = s / r.total_seconds;
        say!(
            "  {name:<12} {:>8}  {:>3.0} %  {}",
            seconds(s),
            share * 100.0,
            bar(share, 40)
        );
    }
    say!(
        "  {:<12} {:>8}         {} a request",
        "total",
        seconds(r.total_seconds),
        seconds(r.seconds_per_request)
    );
}

/// How exact it was.
pub(super) fn print_errors(r: &AttentionRun) {
    say!(
        "  largest error {:.1e} for outputs up to {:.2}",
        r.max_abs_error,
        r.max_abs_output
    );
}

fn print(r: &AttentionReport) {
    print_run(&r.run, ("sigma", r.sigma_seconds));
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
    device::warn_of_emulation(&r.run.device);
    say!();
    say!(
        "  {} key switches ({} rotations, {} relinearisations), {} levels; {} of ciphertexts, {} of keys",
        r.key_switches,
        r.run.rotations,
        r.run.relinearisations,
        r.run.levels,
        bytes(r.run.ciphertext_bytes),
        bytes(r.run.key_bytes)
    );
    print_errors(&r.run);
}
