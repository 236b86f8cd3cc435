//! `bench bootstrap`: time by stage, precision by kind of message, memory.

use std::{collections::BTreeMap, time::Instant};

use crate::{
    backend::{
        clock::processor_seconds,
        device::{Device, DeviceBackend, on},
    },
    bench::slowness,
    circuit::bootstrap::{Bootstrapper, Preset, SeededBootstrapKeys, Time, preset, presets},
    ckks::Ckks,
    cli::{
        BootstrapArgs, Failure,
        bench::{
            precision::{Bench, Errors},
            start_threads,
        },
        device, show,
    },
    report::{Bits, BootstrapReport, Moduli, bar, bytes, seconds},
    rlwe::{Context, Encapsulation, Expansion, KeyNeeds, KeyStore, SecretKey},
};

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Lets the most memory that this process had, as /proc has it, start anew at what it has now: so that measurements in one process do not
/// count those before them. False where the system does not do that.
fn restart_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// The most memory that this process had on the host, by /proc, since it started or since the last [`restart_peak`].
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib = line.and_then(|l| l.split_whitespace().next()?.parse::<usize>().ok());
    kib.unwrap_or(0) * 1024
}

/// Medians by stage.
fn medians(stages: BTreeMap<&'static str, Vec<f64>>) -> BTreeMap<&'static str, f64> {
    (stages.into_iter())
        .map(|(stage, times)| (stage, median(times)))
        .collect()
}

/// What measures it again.
fn command(preset: &Preset, args: &BootstrapArgs, backend: &str) -> String {
    let mut command = format!(
        "cipherformer bench bootstrap --preset {} --runs {} --threads {} --backend {backend}",
        preset.name, args.runs, args.threads
    );
    if args.expanded {
        command += " --expanded";
    }
    if let Some(budget) = args.budget {
        command += &format!(" --budget {budget}");
    }
    if args.expand_on_use {
        command += " --expand-on-use";
    }
    if args.successive > 0 {
        command += &format!(" --successive {}", args.successive);
    }
    if let Some(bits) = args.refined {
        command += &format!(" --refined {bits}");
    }
    if args.untimed {
        command += " --untimed";
    }
    command + " --json"
}

/// `first` says that the process measured nothing before.
fn measure<B: DeviceBackend>(
    preset: &Preset,
    args: &BootstrapArgs,
    first: bool,
    device: &Device,
    backend: B,
) -> Result<BootstrapReport, Failure> {
    // What a measurement before this one left is not for this one.
    backend.trim();
    let own_peak = restart_peak() || first;
    let progress = show::progress("bootstrap");
    let params = preset.params()?;
    let ctx = Context::new(backend, params)?;
    let (ckks, params) = (Ckks::new(&ctx), ctx.params());
    progress.set_message(format!("{}: matrices", preset.name));
    let mut bootstrapper = Bootstrapper::new(&ckks, &preset.spec)?;
    // Known before anything large is made.
    let predicted = bootstrapper.key_bytes()?;
    let room = match args.budget {
        Some(budget) => {
            let budget = usize::try_from(budget)?;
            let room = bootstrapper.key_budget(1, 1, budget)?;
            bootstrapper = bootstrapper.within(budget);
            room
        }
        None if args.expand_on_use => KeyStore::<B>::least_budget(predicted.seeded, predicted.largest, 1),
        None => usize::MAX,
    };
    let (store, expansion) = match args.expand_on_use {
        true => (KeyStore::new(room), Expansion::OnUse),
        false => (KeyStore::new(room), Expansion::WhereItFits),
    };
    let secret = SecretKey::generate(&ctx)?;
    let seeded =
        SeededBootstrapKeys::generate(&secret, &bootstrapper, KeyNeeds::new(params), |done, all| {
            progress.set_length(all as u64);
            progress.set_position(done as u64);
            progress.set_message(format!("{}: keys", preset.name));
        })?;
    let (count, seeded_bytes) = (seeded.evaluation.count() + 2, seeded.bytes(&ctx));
    let keys = seeded.hold(&ctx, &store, expansion)?;
    if args.expanded {
        bootstrapper = bootstrapper.expanded()?;
    }

    progress.set_message(format!("{}: search", preset.name));
    let bench = Bench {
        ckks: &ckks,
        secret: &secret,
        bootstrapper: &bootstrapper,
        keys: &keys,
    };
    let searched = bootstrapper.searched_message()?;
    let first_messages = bench.messages(0, &searched);
    progress.set_length((args.runs * first_messages.len()) as u64);
    progress.set_position(0);
    // Parts are measured with expanded keys.
    let mut peak_before = 0;
    let expanded = keys.bytes() == predicted.expanded + predicted.raise;
    let told = match expanded && !args.untimed {
        true => {
            progress.set_message(format!("{}: time", preset.name));
            peak_before = peak_bytes();
            let told = bootstrapper.time(1)?;
            ctx.backend().trim();
            // What the prediction takes is not for this report.
            restart_peak();
            Some(told)
        }
        false => None,
    };
    let mut total = Vec::new();
    let mut stages: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    let mut processor: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    let mut errors: BTreeMap<&'static str, Errors> = BTreeMap::new();
    for run in 0..args.runs {
        for (kind, values) in bench.messages(run, &searched) {
            progress.set_message(format!("{}: {kind}", preset.name));
            let ct = bench.encrypt(&values, preset.spec.input_level())?;
            let start = Instant::now();
            let (mut last, mut busy) = (start, processor_seconds());
            let out = bootstrapper.bootstrap_with(&keys, &ct, |stage| {
                ctx.backend().wait().map_err(crate::ckks::CkksError::from)?;
                stages
                    .entry(stage.name())
                    .or_default()
                    .push(last.elapsed().as_secs_f64());
                if let Some((now, before)) = processor_seconds().zip(busy) {
                    processor.entry(stage.name()).or_default().push(now - before);
                    busy = Some(now);
                }
                last = Instant::now();
                Ok(())
            })?;
            total.push(start.elapsed().as_secs_f64());
            bench.add(errors.entry(kind).or_default(), &out, &values)?;
            progress.inc(1);
        }
    }
    progress.set_message(format!("{}: in a row", preset.name));
    let successive = bench.successive(&first_messages, args.successive, || progress.tick())?;
    let refined = match args.refined {
        Some(power) => {
            progress.set_message(format!("{}: two rounds", preset.name));
            Some(bench.refined(&first_messages, power, || progress.tick())?)
        }
        None => None,
    };
    progress.finish_and_clear();
    let time = (!args.untimed).then(|| median(total));
    if args.untimed {
        stages.clear();
    }
    let device = device::report(device);
    if args.untimed || args.threads != 1 || device.backend != "cpu" {
        processor.clear();
    }
    let memory = bootstrapper.memory(1)?;
    Ok(BootstrapReport {
        preset: preset.name,
        log_n: params.log_n(),
        slots: preset.spec.slots,
        command: command(preset, args, device.backend),
        device,
        threads: args.threads,
        seconds: time,
        predicted_seconds: told.as_ref().map(Time::seconds),
        scaled_seconds: time.zip(slowness()).map(|(time, s)| time / s),
        stages: medians(stages),
        predicted_stages: (told.iter().flat_map(|told| &told.stages))
            .map(|stage| (stage.stage.name(), stage.seconds()))
            .collect(),
        processor_stages: medians(processor),
        precision_bits: errors.iter().map(|(kind, sums)| (*kind, sums.bits())).collect(),
        predicted_bits: bench.foretold(&first_messages, args.runs)?,
        runs: args.runs,
        successive,
        refined,
        levels_left: bootstrapper.output_level().0,
        moduli: Moduli::new(params, Encapsulation::new(params)?.log2_qp()),
        failure_log2: bootstrapper.failure_log2(),
        keys: count,
        key_bytes: keys.bytes(),
        key_store: store.counts(),
        matrix_bytes: memory.matrices,
        working_bytes: memory.working,
        budget_bytes: args.budget,
        seeded_key_bytes: seeded_bytes,
        peak_bytes: if own_peak {
            peak_bytes().max(peak_before)
        } else {
            0
        },
    })
}

pub(crate) fn run(args: &BootstrapArgs) -> Result<(), Failure> {
    if !(1..=1000).contains(&args.runs) {
        return Err(format!("{} runs: choose 1 to 1000", args.runs).into());
    }
    if args.successive > 1000 {
        return Err(format!("{} in a row: choose at most 1000", args.successive).into());
    }
    let chosen = match &args.preset {
        Some(name) => vec![preset(name)?],
        None => presets(),
    };
    start_threads(args.threads)?;
    let device = args.device.open()?;
    for (i, preset) in chosen.iter().enumerate() {
        let report =
            on!(device.any(), backend => measure(preset, args, i == 0, &device, backend.as_ref().clone()))?;
        if args.json {
            say!("{}", serde_json::to_string(&report)?);
        } else {
            print(&report, preset);
        }
    }
    Ok(())
}

fn print(r: &BootstrapReport, preset: &Preset) {
    say!();
    say!("  {}: {}", show::bold(r.preset), preset.about);
    say!(
        "  N = 2^{}, {} slots, log2 QP = {:.1}, {} bits of security; {}, {} threads",
        r.log_n,
        r.slots,
        r.moduli.log_qp,
        r.moduli.security_bits,
        device::name(&r.device),
        r.threads
    );
    device::warn_of_emulation(&r.device);
    say!();
    let order = [
        "raise",
        "coefficients_to_slots",
        "modular_reduction",
        "slots_to_coefficients",
    ];
    let total = r.seconds.unwrap_or(f64::NAN);
    for (stage, time) in order.iter().filter_map(|s| Some((s, r.stages.get(s)?))) {
        let share = time / total;
        let name = stage.replace('_', " ");
        say!(
            "  {name:<24}{:>9}  {:>3.0} %  {}",
            seconds(*time),
            share * 100.0,
            bar(share, 40)
        );
    }
    let scaled = r
        .scaled_seconds
        .map_or(String::new(), |s| format!("         {} scaled", seconds(s)));
    if let Some(total) = r.seconds {
        say!("  {:<24}{:>9}{scaled}", "total", seconds(total));
        if let Some(told) = r.predicted_seconds {
            say!("  {:<24}{:>9}", "foretold", seconds(told));
        }
        say!();
    }
    let columns = ["mean", "worst", "foretold", "worst"];
    say!(
        "  {:<24}{:>9}{:>9}{:>12}{:>9}",
        "bits of precision",
        columns[0],
        columns[1],
        columns[2],
        columns[3]
    );
    let line = |name: &str, have: &Bits, told: &Bits| {
        say!(
            "  {:<24}{:>9.1}{:>9.1}{:>12.1}{:>9.1}",
            name,
            have.mean,
            have.worst,
            told.mean,
            told.worst
        );
    };
    for ((kind, bits), told) in r.precision_bits.iter().zip(r.predicted_bits.values()) {
        line(&kind.replace('_', " "), bits, told);
    }
    for (kind, row) in &r.successive {
        for one in row {
            let name = format!("{kind}, {} in a row", one.bootstraps);
            line(&name, &one.precision_bits, &one.predicted_bits);
        }
    }
    if let Some(refined) = &r.refined {
        for ((kind, bits), told) in refined.precision_bits.iter().zip(refined.predicted_bits.values()) {
            line(&format!("{kind}, by 2^{}", refined.power), bits, told);
        }
    }
    say!();
    let peak = match r.peak_bytes {
        0 => String::from("not known"),
        peak => bytes(peak),
    };
    say!(
        "  {} levels left; fails with probability 2^{:.1}; {} keys, {} as held, {} as they travel; matrices {}, work {}; peak {peak}",
        r.levels_left,
        r.failure_log2,
        r.keys,
        bytes(r.key_bytes),
        bytes(r.seeded_key_bytes),
        bytes(r.matrix_bytes),
        bytes(r.working_bytes)
    );
    if r.key_store.expanded > 0 {
        say!(
            "  keys were expanded {} times for their use, found expanded {} times; at most {} of keys at a time",
            r.key_store.expanded,
            r.key_store.found,
            bytes(r.key_store.peak_bytes)
        );
    }
}
