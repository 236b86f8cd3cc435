//! `bench ops`: every operation, beside the least time that this machine could take for it.

use std::{any::Any, time::Duration};

use regex_lite::Regex;

use crate::{
    backend::{
        Backend,
        cpu::{Cpu, Instructions},
        device::{BackendKind, Device, DeviceBackend, on},
    },
    bench::{Case, Ceilings, GROUPS, Group, Prediction, slowness, time, use_threads},
    cli::{Failure, OpsArgs, device, show},
    report::{DeviceReport, OperationReport, bar, bytes, microseconds},
};

/// Most threads that one may ask for.
const THREADS: usize = 1024;
/// Longest time for an operation, in seconds.
const LONGEST: f64 = 3600.0;

/// The machine, measured before everything else.
struct Machine {
    device: DeviceReport,
    threads: usize,
    instructions: Option<Instructions>,
    ceilings: Ceilings,
}

/// Groups of which something is wanted, each with what is wanted of it.
fn choose(only: Option<&str>) -> Result<Vec<(&'static Group, Vec<&'static str>)>, Failure> {
    let parse = |text| Regex::new(text).map_err(|e| format!("--only {text:?} is no regular expression: {e}"));
    let only = only.map(parse).transpose()?;
    let wanted = |group: &Group, op: &str| {
        let id = format!("{op}/{}", group.log_n);
        only.as_ref().is_none_or(|r| r.is_match(op) || r.is_match(&id))
    };
    let chosen = GROUPS.iter().map(|group| {
        let ops = group.ops.iter().copied().filter(|op| wanted(group, op));
        (group, ops.collect::<Vec<_>>())
    });
    Ok(chosen.filter(|(_, ops)| !ops.is_empty()).collect())
}

fn known() -> String {
    let mut names: Vec<&str> = GROUPS.iter().flat_map(|g| g.ops).copied().collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

/// Bytes of buffers that a run takes on the CPU: what an empty pool has to get for it.
fn peak_bytes<B: DeviceBackend>(backend: &B, case: &mut Case) -> Result<Option<usize>, Failure> {
    let Some(cpu) = (backend as &dyn Any).downcast_ref::<Cpu>() else {
        return Ok(None);
    };
    cpu.trim();
    let before = cpu.pool_bytes();
    case.run()?;
    Ok(Some(cpu.pool_bytes() - before))
}

fn measure<B: DeviceBackend>(
    backend: &B,
    case: &mut Case,
    machine: &Machine,
    prediction: Option<Prediction>,
    seconds: f64,
) -> Result<OperationReport, Failure> {
    let peak_bytes = peak_bytes(backend, case)?;
    // A shared machine changes its speed within seconds: its scale is taken on both sides of the operation, and the lesser counts, since
    // the greater one would flatter.
    let scale = || (B::KIND == BackendKind::Cpu).then(slowness).flatten();
    let before = scale();
    let times = time(Duration::from_secs_f64(seconds), || case.run())?;
    let slowness = before.zip(scale()).map(|(before, after)| before.min(after));
    Ok(OperationReport {
        op: case.op,
        log_n: case.shape.log_n,
        log_qp: case.shape.log_qp,
        limbs: case.shape.limbs,
        digits: case.shape.digits,
        batch: case.shape.batch,
        threads: machine.threads,
        device: machine.device.clone(),
        instructions: machine.instructions.map(Instructions::name),
        median_us: times.median_us,
        min_us: times.min_us,
        floor_us: machine.ceilings.floor_us(case.work),
        floor_bytes: case.work.bytes,
        peak_bytes,
        moved_bytes: prediction.map(|p| p.moved_bytes),
        a100_predicted_us: prediction.map(|p| p.a100_us),
        slowness,
        scaled_us: slowness.map(|s| times.median_us / s),
        products_per_second: case.weighted.map(|n| n * 1e6 / times.median_us),
    })
}

/// The instructions of that name, without punctuation and in any case.
fn instructions(name: &str) -> Result<Instructions, Failure> {
    let plain = |name: &str| name.replace('-', "").to_lowercase();
    let all = Instructions::available();
    let found = all.iter().find(|i| plain(i.name()) == plain(name)).copied();
    found.ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|i| plain(i.name())).collect();
        format!(
            "this processor has no instructions {name:?}; it has {}",
            names.join(", ")
        )
        .into()
    })
}

pub(crate) fn run(args: &OpsArgs) -> Result<(), Failure> {
    let chosen = choose(args.only.as_deref())?;
    if chosen.is_empty() {
        let only = args.only.as_deref().unwrap_or_default();
        return Err(format!("no operation matches {only:?}; there are {}", known()).into());
    }
    if !(1..=THREADS).contains(&args.threads) {
        return Err(format!("{} threads: choose 1 to {THREADS}", args.threads).into());
    }
    if !(0.0..=LONGEST).contains(&args.seconds) {
        return Err(format!("{} seconds for an operation: choose 0 to {LONGEST}", args.seconds).into());
    }
    let asked = args.instructions.as_deref().map(instructions).transpose()?;
    if !use_threads(args.threads) {
        return Err("the number of threads is set already; this is a defect, please report it".into());
    }
    let device = args.device.open()?;
    let Some(asked) = asked else {
        return on!(device.any(), backend => run_on(args, &chosen, &device, None, backend.as_ref()));
    };
    if device.kind() != BackendKind::Cpu {
        return Err("--instructions are those of the CPU backend; add --backend cpu".into());
    }
    let backend = Cpu::with_instructions(asked).unwrap_or_default();
    run_on(args, &chosen, &device, Some(asked), &backend)
}

fn run_on<B: DeviceBackend>(
    args: &OpsArgs,
    chosen: &[(&'static Group, Vec<&'static str>)],
    device: &Device,
    asked: Option<Instructions>,
    backend: &B,
) -> Result<(), Failure> {
    let instructions = (B::KIND == BackendKind::Cpu).then(|| asked.unwrap_or_else(Instructions::best));
    let bar = show::progress("bench");
    bar.set_length(chosen.iter().map(|(_, ops)| ops.len() as u64).sum());
    bar.set_message("the machine itself");
    let machine = Machine {
        device: DeviceReport {
            device: backend.capabilities().device,
            ..device::report(device)
        },
        threads: args.threads,
        instructions,
        ceilings: Ceilings::of(backend)?,
    };
    let mut reports = Vec::new();
    for (group, ops) in chosen {
        bar.set_message(format!("keys and operands, N = 2^{}", group.log_n));
        let predictions = group.predict(ops)?;
        let cases = group.load(backend.clone(), ops)?;
        for (mut case, prediction) in cases.into_iter().zip(predictions) {
            bar.set_message(format!("{}, N = 2^{}", case.op, group.log_n));
            let report = measure(backend, &mut case, &machine, prediction, args.seconds)?;
            bar.inc(1);
            if args.json {
                say!("{}", serde_json::to_string(&report)?);
            } else {
                reports.push(report);
            }
        }
    }
    bar.finish_and_clear();
    if !args.json {
        print(&machine, &reports);
    }
    Ok(())
}

fn print(machine: &Machine, reports: &[OperationReport]) {
    say!();
    say!(
        "  {} backend: {}; {} threads of the host",
        machine.device.backend,
        machine.device.device,
        machine.threads
    );
    device::warn_of_emulation(&machine.device);
    say!(
        "  at best {:.1} G products of 32-bit words a second; copies of {}",
        machine.ceilings.products / 1e9,
        (machine.ceilings.copies.iter())
            .map(|(room, rate)| format!("{} {:.0} GB/s", bytes(*room), rate / 1e9))
            .collect::<Vec<_>>()
            .join(", ")
    );
    let scales = || reports.iter().filter_map(|r| r.slowness);
    if let Some(least) = scales().reduce(f64::min) {
        let most = scales().fold(least, f64::max);
        say!("  times here are {least:.2} to {most:.2} times those of the machine of reference");
    }
    let mut last = "";
    for r in reports {
        let family = r.op.split('/').next().unwrap_or_default();
        if family != last {
            let head = format!(
                "  {:<24}{:>5}{:>9}{:>6}{:>11}{:>11}{:>11}{:>8}{:>11}{:>11}",
                family, "N", "log2 QP", "rows", "median", "least", "floor", "floors", "bytes", "A100"
            );
            say!();
            say!("{}", show::bold(&head));
            last = family;
        }
        let ratio = r.median_us / r.floor_us;
        say!(
            "  {:<24}{:>5}{:>9.0}{:>6}{:>11}{:>11}{:>11}{ratio:>8.1}{:>11}{:>11} {}",
            r.op,
            format!("2^{}", r.log_n),
            r.log_qp,
            r.limbs,
            microseconds(r.median_us),
            microseconds(r.min_us),
            microseconds(r.floor_us),
            bytes(r.floor_bytes as usize),
            r.a100_predicted_us.map_or(String::from("-"), microseconds),
            show::dim(&bar(1.0 / ratio, 12))
        );
        if let Some(rate) = r.products_per_second {
            say!(
                "  {:<24}{:.2} G products of weight and residue a second",
                "",
                rate / 1e9
            );
        }
    }
    say!();
    say!("  floors: median over floor, 1 is the least; the bar is its inverse, full at the floor");
    say!("  bytes:  operands and results, once each");
    say!(
        "  A100:   a prediction, not a measurement: what the CUDA kernels read and write, at 1.94 TB/s; 2 us a launch at least"
    );
}
