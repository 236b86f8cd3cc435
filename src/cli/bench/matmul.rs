//! `bench matmul`: encrypted products of matrices in every packing, beside the plain product and the planner's prediction.

use std::time::Duration;

use crate::{
    backend::{Backend, cpu::Cpu},
    bench::{BenchError, PlainGemm, ResidueGemm, slowness, time, use_threads},
    ckks::{Ckks, Release},
    cli::{Failure, MatmulArgs, matmul::costed, show},
    matmul::{Cost, MatmulPlan, Options, Packing, Shape, Weights},
    report::{MatmulReport, bytes, microseconds},
    rlwe::{Context, SecretKey},
};

/// m, k, n, requests: from a vector to what one request of a transformer's layer is, and many rows.
const SHAPES: [(usize, usize, usize, usize); 5] = [
    (1, 768, 64, 1),
    (16, 256, 256, 1),
    (128, 128, 128, 1),
    (128, 768, 64, 1),
    (4096, 64, 64, 1),
];

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

fn measure(
    plan: &MatmulPlan,
    cost: &Cost,
    plain_gemm_us: f64,
    slowness: Option<f64>,
    budget: Duration,
) -> Result<MatmulReport, Failure> {
    let shape = plan.shape();
    let ckks = Ckks::new(&Context::new(Cpu::new(), plan.params().clone())?);
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
    let prepare = time(budget, || {
        drop(plan.encode_weights(&ckks, Weights::f32(&single))?);
        Ok(ctx.backend().wait()?)
    })?;
    let run = time(budget, || {
        drop(plan.run(&ckks, &[&keys], &weights, &inputs)?);
        Ok::<(), BenchError>(ctx.backend().wait()?)
    })?;
    let outputs = plan.run(&ckks, &[&keys], &weights, &inputs)?;
    let have = plan.decrypt_outputs(&ckks, &secret, &outputs, Release::Owner)?;
    let residue_gemm_us = match plan.packing() {
        Packing::Column | Packing::Gemm => {
            let mut bare = ResidueGemm::new(ctx, plan)?;
            Some(time(budget, || bare.run())?.median_us)
        }
        _ => None,
    };
    let both = run.median_us + prepare.median_us;
    Ok(MatmulReport {
        scheme: cost.scheme,
        packing: cost.packing,
        m: shape.m,
        k: shape.k,
        n: shape.n,
        batch: shape.batch,
        chain: cost.chain.clone(),
        log_n: cost.log_n,
        security_bits: cost.security_bits,
        backend: ctx.backend().capabilities().name,
        threads: rayon::current_num_threads(),
        median_us: run.median_us,
        prepare_us: prepare.median_us,
        scaled_us: slowness.map(|s| both / s),
        plain_gemm_us,
        ratio: run.median_us / plain_gemm_us,
        residue_gemm_us,
        bytes_up: sent.bytes(ctx),
        bytes_down: outputs.bytes(ctx),
        key_bytes: seeded_keys.bytes(ctx),
        max_error: largest_error(shape, &x, &w, &have),
        error_bound: cost.error_bound,
        predicted_us: cost.run_us,
        predicted_prepare_us: cost.prepare_us,
        predicted_bytes_up: cost.bytes_up,
        predicted_bytes_down: cost.bytes_down,
    })
}

pub(crate) fn run(args: &MatmulArgs) -> Result<(), Failure> {
    if !(1..=1024).contains(&args.threads) || !(0.0..=3600.0).contains(&args.seconds) {
        return Err("choose 1 to 1024 threads and 0 to 3600 seconds for each product".into());
    }
    let one = [args.m, args.k, args.n];
    let shapes: Vec<Shape> = if one.iter().any(Option::is_some) {
        let [Some(m), Some(k), Some(n)] = one else {
            return Err("a shape needs --m, --k and --n; leave all out for a list of shapes".into());
        };
        vec![Shape::new(m, k, n).batch(args.batch)]
    } else {
        SHAPES
            .iter()
            .map(|(m, k, n, b)| Shape::new(*m, *k, *n).batch(*b))
            .collect()
    };
    if let Some(name) = &args.packing
        && !Packing::ALL.iter().any(|p| p.name() == name)
    {
        let all: Vec<_> = Packing::ALL.iter().map(|p| p.name()).collect();
        return Err(format!("no packing is called {name:?}; there are {}", all.join(", ")).into());
    }
    if !use_threads(args.threads) {
        return Err("the number of threads is set already; this is a defect, please report it".into());
    }
    let bar = show::progress("bench");
    bar.set_length(shapes.len() as u64);
    let (slowness, budget) = (slowness(), Duration::from_secs_f64(args.seconds));
    let mut reports = Vec::new();
    for shape in shapes {
        bar.set_message(format!("{shape}"));
        let mut plain = PlainGemm::new(shape.rows(), shape.k, shape.n);
        let plain_us = time(budget, || {
            plain.run();
            Ok(())
        })?;
        for (plan, cost) in costed(shape, Options::default())? {
            if args.packing.as_deref().is_some_and(|p| p != cost.packing) {
                continue;
            }
            let report = measure(&plan, &cost, plain_us.median_us, slowness, budget)?;
            if args.json {
                say!("{}", serde_json::to_string(&report)?);
            } else {
                reports.push(report);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if !args.json {
        print(&reports, slowness);
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
        "  {:<22}{:<10}{:>6}{:>10}{:>10}{:>11}{:>10}{:>8}{:>9}{:>9}{:>10}",
        "m x k x n x requests",
        "packing",
        "N",
        "prepare",
        "run",
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
            "  {:<22}{:<10}{:>6}{:>10}{:>10}{:>11}{:>10}{:>8.0}{:>9}{:>9}{:>10.1e}",
            if shape == last { "" } else { &shape },
            r.packing,
            format!("2^{}", r.log_n),
            microseconds(r.prepare_us),
            microseconds(r.median_us),
            microseconds(r.predicted_us),
            microseconds(r.plain_gemm_us),
            r.ratio,
            bytes(r.bytes_up),
            bytes(r.bytes_down),
            r.max_error
        );
        last = shape;
    }
    let near = |r: &&MatmulReport| (r.predicted_us / r.median_us - 1.0).abs() <= 0.25;
    let count = reports.iter().filter(near).count();
    say!();
    say!(
        "  {count} of {} predicted times within 25 % of those measured",
        reports.len()
    );
}
