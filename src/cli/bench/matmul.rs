//! `bench matmul`: encrypted products of matrices in every packing, beside the plain product and the planner's prediction; with
//! `--predict`, how well the planner does.

use std::{str::FromStr, time::Duration};

use crate::{
    backend::device::{Device, DeviceBackend, on},
    bench::{
        Ask, BenchError, PlainGemm, ResidueGemm, measure_coefficient, slowness, time, time_on, use_threads,
    },
    ckks::{Ckks, Release},
    cli::{
        Failure, MatmulArgs, device,
        matmul::{Planned, costed, exact},
        show,
    },
    matmul::{
        Cost, MatmulPlan, Packing, Shape, Weights,
        coefficient::{self, Output},
    },
    report::{DeviceReport, MatmulReport, bytes, microseconds},
    rlwe::{Context, SecretKey},
};
use clap::ValueEnum;

/// m, k, n, requests: from a vector to what one request of a transformer's layer is, and many rows.
const SHAPES: [(usize, usize, usize, usize); 5] = [
    (1, 768, 64, 1),
    (16, 256, 256, 1),
    (128, 128, 128, 1),
    (128, 768, 64, 1),
    (4096, 64, 64, 1),
];

/// Bytes that each round leaves to those before: of the heap, and of pages.
const BALLAST: [usize; 2] = [1040, 160 << 20];
/// Shapes that predictions are held against: vectors, single requests, batches, and dimensions that are no powers of two.
const PREDICTED: [(usize, usize, usize, usize); 20] = [
    (1, 64, 64, 1),
    (1, 256, 10, 1),
    (1, 768, 64, 1),
    (1, 100, 300, 1),
    (4, 128, 128, 1),
    (5, 77, 33, 1),
    (8, 768, 16, 1),
    (16, 256, 256, 1),
    (16, 64, 64, 4),
    (32, 32, 96, 1),
    (32, 200, 50, 1),
    (50, 100, 20, 2),
    (64, 64, 256, 1),
    (128, 128, 128, 1),
    (128, 384, 32, 1),
    (200, 64, 64, 1),
    (16, 96, 48, 32),
    (512, 128, 16, 1),
    (1000, 50, 70, 1),
    (2048, 64, 64, 1),
];

/// Which operand is encrypted.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Encrypted {
    /// The left one, in every packing
    Left,
    /// The right one, in coefficient packing
    Right,
    /// Both, in coefficient packing
    Both,
}

impl From<Encrypted> for coefficient::Encrypted {
    fn from(encrypted: Encrypted) -> Self {
        match encrypted {
            Encrypted::Left => Self::Left,
            Encrypted::Right => Self::Right,
            Encrypted::Both => Self::Both,
        }
    }
}

/// A packing by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackingName(&'static str);

impl FromStr for PackingName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let exact = [Output::Cut, Output::Packed].map(Output::packing);
        let all: Vec<_> = Packing::ALL.iter().map(|p| p.name()).chain(exact).collect();
        let found = all.iter().find(|known| **known == name);
        found
            .map(|name| Self(name))
            .ok_or_else(|| format!("no packing is called {name:?}; there are {}", all.join(", ")))
    }
}

/// Numbers in [-1, 1]; nothing secret comes from them.
fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// The largest |have - x w|.
fn largest_error(shape: Shape, x: &[f64], w: &[f64], have: &[f64]) -> f64 {
    let Shape { k, n, .. } = shape;
    let mut worst = 0.0f64;
    let mut want = vec![0.0; n];
    for (x, have) in x.chunks_exact(k).zip(have.chunks_exact(n)) {
        want.fill(0.0);
        for (x, w) in x.iter().zip(w.chunks_exact(n)) {
            want.iter_mut().zip(w).for_each(|(y, w)| *y += x * w);
        }
        for (want, have) in want.iter().zip(have) {
            let error = (want - have).abs();
            worst = if error <= worst { worst } else { error };
        }
    }
    worst
}

/// What all products of a shape are measured with.
struct Setting {
    plain_gemm_us: f64,
    slowness: Option<f64>,
    budget: Duration,
    device: DeviceReport,
    encrypted: coefficient::Encrypted,
    light: bool,
}

impl Setting {
    /// The report of a product that is yet to be measured.
    fn report(&self, shape: Shape, cost: &Cost) -> MatmulReport {
        MatmulReport {
            scheme: cost.scheme,
            packing: cost.packing,
            encrypted: self.encrypted.name(),
            m: shape.m,
            k: shape.k,
            n: shape.n,
            batch: shape.batch,
            chain: cost.chain.clone(),
            log_n: cost.log_n,
            security_bits: cost.security_bits,
            light: self.light,
            device: self.device.clone(),
            threads: rayon::current_num_threads(),
            median_us: f64::NAN,
            min_us: f64::NAN,
            cpu_us: None,
            usual_us: f64::NAN,
            prepare_us: f64::NAN,
            scaled_us: None,
            plain_gemm_us: self.plain_gemm_us,
            ratio: f64::NAN,
            residue_gemm_us: None,
            weight_bytes: 0,
            bytes_up: 0,
            bytes_down: 0,
            key_bytes: 0,
            max_error: f64::NAN,
            error_bound: cost.error_bound,
            predicted_us: cost.run_us,
            predicted_prepare_us: cost.prepare_us,
            predicted_bytes_up: cost.bytes_up,
            predicted_bytes_down: cost.bytes_down,
        }
    }

    /// One product of real numbers.
    fn approximate<B: DeviceBackend>(
        &self,
        backend: &B,
        plan: &MatmulPlan,
        report: &mut MatmulReport,
    ) -> Result<(), Failure> {
        let (shape, budget) = (plan.shape(), self.budget);
        let ckks = Ckks::new(&Context::new(backend.clone(), plan.params().clone())?);
        let ctx = ckks.context();
        let secret = SecretKey::generate(ctx)?;
        let (x, w) = (numbers(shape.rows() * shape.k, 1), numbers(shape.k * shape.n, 2));
        let single: Vec<f32> = w.iter().map(|w| *w as f32).collect();
        let w: Vec<f64> = single.iter().map(|w| f64::from(*w)).collect();
        let seeded_keys = secret.evaluation_keys(&plan.keys())?;
        let keys = seeded_keys.expand(ctx)?;
        let sent = plan.encrypt_inputs(&ckks, &secret, &x)?;
        let inputs = sent.expand(ctx)?;
        let weights = plan.encode_weights(&ckks, Weights::f32(&single))?;
        let prepare = time_on(ctx.backend(), budget, || {
            drop(plan.encode_weights(&ckks, Weights::f32(&single))?);
            Ok(ctx.backend().wait()?)
        })?;
        let run = time_on(ctx.backend(), budget, || {
            drop(plan.run(&ckks, &[&keys], &weights, &inputs)?);
            Ok::<(), BenchError>(ctx.backend().wait()?)
        })?;
        let outputs = plan.run(&ckks, &[&keys], &weights, &inputs)?;
        let have = plan.decrypt_outputs(&ckks, &secret, &outputs, Release::Owner)?;
        if matches!(plan.packing(), Packing::Column | Packing::Gemm) {
            let mut bare = ResidueGemm::new(ctx, plan)?;
            let times = time_on(ctx.backend(), budget, || bare.run())?;
            report.residue_gemm_us = Some(times.own_us());
        }
        (report.median_us, report.min_us, report.cpu_us) = (run.median_us, run.min_us, run.cpu_us);
        (report.usual_us, report.prepare_us) = (run.usual_us, prepare.usual_us);
        report.weight_bytes = weights.bytes(ctx);
        (report.bytes_up, report.bytes_down) = (sent.bytes(ctx), outputs.bytes(ctx));
        report.key_bytes = seeded_keys.bytes(ctx);
        report.max_error = largest_error(shape, &x, &w, &have);
        Ok(())
    }

    /// One product of integers.
    fn exact<B: DeviceBackend>(
        &self,
        backend: &B,
        plan: &coefficient::Plan,
        report: &mut MatmulReport,
    ) -> Result<(), Failure> {
        let ask = Ask {
            spec: exact(),
            request: *plan.request(),
            block: Some(plan.block()),
        };
        let measured = measure_coefficient(backend.clone(), &ask, self.budget)?;
        (report.median_us, report.min_us) = (measured.median_us, measured.min_us);
        (report.cpu_us, report.usual_us) = (measured.cpu_us, measured.usual_us);
        report.prepare_us = measured.prepare_us;
        report.weight_bytes = measured.weight_bytes;
        let files = [measured.bytes_up, measured.bytes_down, measured.key_bytes].map(usize::try_from);
        let [Ok(up), Ok(down), Ok(keys)] = files else {
            return Err("more bytes than this machine counts".into());
        };
        (report.bytes_up, report.bytes_down, report.key_bytes) = (up, down, keys);
        report.max_error = measured.max_error as f64;
        Ok(())
    }

    /// Measures a plan.
    fn measure<B: DeviceBackend>(
        &self,
        backend: &B,
        (shape, planned, cost): (Shape, &Planned, &Cost),
    ) -> Result<MatmulReport, Failure> {
        let mut report = self.report(shape, cost);
        match planned {
            Planned::Ckks(plan) => self.approximate(backend, plan, &mut report)?,
            Planned::Bfv(plan) => self.exact(backend, plan, &mut report)?,
        }
        report.ratio = report.median_us / report.plain_gemm_us;
        report.scaled_us = self.slowness.map(|s| (report.median_us + report.prepare_us) / s);
        Ok(report)
    }
}

fn shapes(args: &MatmulArgs) -> Result<Vec<Shape>, Failure> {
    match [args.m, args.k, args.n] {
        [None, None, None] => {
            let all: &[_] = if args.predict { &PREDICTED } else { &SHAPES };
            Ok(all
                .iter()
                .map(|(m, k, n, b)| Shape::new(*m, *k, *n).batch(*b))
                .collect())
        }
        [Some(m), Some(k), Some(n)] => Ok(vec![Shape::new(m, k, n).batch(args.batch)]),
        _ => Err("a shape needs --m, --k and --n; leave all out for a list of shapes".into()),
    }
}

pub(crate) fn run(args: &MatmulArgs) -> Result<(), Failure> {
    if !(1..=1024).contains(&args.threads) || !(0.0..=3600.0).contains(&args.seconds) {
        return Err("choose 1 to 1024 threads and 0 to 3600 seconds for each product".into());
    }
    if !(1..=1000).contains(&args.rounds) {
        return Err("choose 1 to 1000 rounds".into());
    }
    let shapes = shapes(args)?;
    if !use_threads(args.threads) {
        return Err("the number of threads is set already; this is a defect, please report it".into());
    }
    let device = args.device.open()?;
    on!(device.any(), backend => run_on(args, &shapes, &device, backend.as_ref()))
}

fn run_on<B: DeviceBackend>(
    args: &MatmulArgs,
    shapes: &[Shape],
    device: &Device,
    backend: &B,
) -> Result<(), Failure> {
    let bar = show::progress("bench");
    bar.set_length((shapes.len() * args.rounds) as u64);
    let mut setting = Setting {
        plain_gemm_us: f64::NAN,
        slowness: slowness(),
        budget: Duration::from_secs_f64(args.seconds),
        device: device::report(device),
        encrypted: args.encrypted.into(),
        light: args.light,
    };
    // What is chosen first is measured in every round.
    let mut chosen: Vec<Vec<(Planned, Cost, Vec<MatmulReport>)>> = Vec::new();
    // Times differ up to twofold between processes, and hardly within one, most likely by where their memory lies: each round has other
    // addresses and other pages.
    let mut ballast = Vec::new();
    for round in 0..args.rounds {
        if round > 0 {
            backend.trim();
            ballast.extend(BALLAST.map(|bytes| vec![1u8; bytes]));
        }
        for (i, shape) in shapes.iter().enumerate() {
            bar.set_message(format!("{shape}"));
            let mut plain = PlainGemm::new(shape.rows(), shape.k, shape.n);
            let times = time(setting.budget, || {
                plain.run();
                Ok(())
            })?;
            setting.plain_gemm_us = times.median_us;
            if chosen.len() == i {
                let mut all = costed(*shape, setting.encrypted, args.light, backend)?;
                all.retain(|(_, cost)| args.packing.is_none_or(|p| p.0 == cost.packing));
                chosen.push(
                    all.into_iter()
                        .map(|(plan, cost)| (plan, cost, Vec::new()))
                        .collect(),
                );
            }
            for (plan, cost, measured) in chosen.get_mut(i).into_iter().flatten() {
                backend.trim();
                if round > 0 {
                    *cost = plan.cost(backend, &cost.chain)?;
                }
                measured.push(setting.measure(backend, (*shape, plan, cost))?);
                if args.json
                    && round + 1 == args.rounds
                    && let Some(report) = MatmulReport::of_rounds(measured)
                {
                    say!("{}", serde_json::to_string(&report)?);
                }
            }
            bar.inc(1);
        }
    }
    let products = chosen.iter().flatten();
    let reports: Vec<MatmulReport> = products
        .filter_map(|(_, _, measured)| MatmulReport::of_rounds(measured))
        .collect();
    bar.finish_and_clear();
    if !args.json {
        print(&reports, setting.slowness);
    }
    if args.predict {
        super::predictions::print(&reports, args.json);
    }
    Ok(())
}

fn print(reports: &[MatmulReport], slowness: Option<f64>) {
    say!();
    if let Some(slowness) = slowness {
        say!("  times here are {slowness:.2} times those of the machine of reference");
        say!();
    }
    let head = format!(
        "  {:<22}{:<19}{:>6}{:>10}{:>10}{:>10}{:>11}{:>10}{:>8}{:>9}{:>9}{:>10}",
        "m x k x n x requests",
        "packing",
        "N",
        "prepare",
        "run",
        "usual",
        "predicted",
        "plain",
        "ratio",
        "up",
        "down",
        "error"
    );
    say!("{}", show::bold(&head));
    let mut last = String::new();
    for r in reports {
        let shape = format!("{} x {} x {} x {}", r.m, r.k, r.n, r.batch);
        say!(
            "  {:<22}{:<19}{:>6}{:>10}{:>10}{:>10}{:>11}{:>10}{:>8.0}{:>9}{:>9}{:>10.1e}",
            if shape == last { "" } else { &shape },
            r.packing,
            format!("2^{}", r.log_n),
            microseconds(r.prepare_us),
            microseconds(r.median_us),
            microseconds(r.usual_us),
            microseconds(r.predicted_us),
            microseconds(r.plain_gemm_us),
            r.ratio,
            bytes(r.bytes_up),
            bytes(r.bytes_down),
            r.max_error
        );
        last = shape;
    }
}
