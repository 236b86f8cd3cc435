//! The operations of `cipherformer::bench` under criterion: identifiers carry the floor, throughput is in the floor's products, so
//! that "elem/s" compares with the products a second that the machine can form (`cipherformer bench ops` prints that rate).
//! CIPHERFORMER_BACKEND names the device, as `--backend` does: cpu unless it is there.

use std::process::ExitCode;

use cipherformer::{
    backend::device::{BackendChoice, Device, DeviceBackend, Job},
    bench::{Ceilings, GROUPS, Result, use_threads},
};
use criterion::{BenchmarkId, Criterion, Throughput};

/// Benchmarks every operation of this name or family, on as many threads as RAYON_NUM_THREADS says, or one.
pub fn run(family: &str) -> ExitCode {
    let threads = std::env::var("RAYON_NUM_THREADS").ok();
    use_threads(threads.and_then(|t| t.parse().ok()).unwrap_or(1));
    let mut criterion = Criterion::default().configure_from_args();
    match on_device(&mut criterion, family) {
        Ok(()) => {
            criterion.final_summary();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{family}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The benchmarks of a family.
struct Benchmarks<'a> {
    criterion: &'a mut Criterion,
    family: &'a str,
}

impl Job for Benchmarks<'_> {
    type Output = Result<()>;

    fn run<B: DeviceBackend>(self, backend: &B) -> Result<()> {
        all(self.criterion, self.family, backend)
    }
}

fn on_device(criterion: &mut Criterion, family: &str) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let choice = match std::env::var("CIPHERFORMER_BACKEND") {
        Ok(name) => name.parse()?,
        Err(_) => BackendChoice::CPU,
    };
    let device = Device::open(choice)?;
    eprintln!("{family}: {}", device.capabilities().device);
    Ok(device.run(Benchmarks { criterion, family })?)
}

fn all<B: DeviceBackend>(criterion: &mut Criterion, family: &str, backend: &B) -> Result<()> {
    let ceilings = Ceilings::of(backend)?;
    let of_family = |op: &str| op.split('/').next() == Some(family);
    let mut benchmarks = criterion.benchmark_group(family);
    benchmarks.sample_size(10);
    for group in GROUPS.iter().filter(|g| g.ops.iter().any(|op| of_family(op))) {
        for mut case in group.load(backend.clone(), group.ops)? {
            if !of_family(case.op) {
                continue;
            }
            let op = case
                .op
                .strip_prefix(family)
                .unwrap_or(case.op)
                .trim_start_matches('/');
            let floor = cipherformer::report::microseconds(ceilings.floor_us(case.work));
            let parameter = format!("2^{}, floor {floor}", group.log_n);
            let id = if op.is_empty() {
                BenchmarkId::from_parameter(parameter)
            } else {
                BenchmarkId::new(op, parameter)
            };
            benchmarks.throughput(Throughput::Elements(case.work.products as u64));
            let mut outcome = Ok(());
            benchmarks.bench_function(id, |b| {
                b.iter(|| {
                    if outcome.is_ok() {
                        outcome = case.run();
                    }
                });
            });
            outcome?;
        }
    }
    benchmarks.finish();
    Ok(())
}
