//! `params --bootstrap`: the bootstraps that come with the crate, and what each takes before there is anything of it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Failure;
use crate::{
    backend::{Backend, cpu::Cpu, null::Null},
    circuit::bootstrap::{
        BootstrapSpec, Bootstrapper, Memory, Prediction, Preset, StageTime, Time, messages, preset, presets,
    },
    ckks::Ckks,
    cli::{bench::start_threads, texts::count},
    report::{Moduli, bytes, seconds},
    rlwe::{Context, Encapsulation, KeyNeeds, Level},
};

/// A preset with what is known of it beforehand.
#[derive(Serialize)]
struct Row {
    preset: &'static str,
    chain: &'static str,
    about: String,
    log_n: u32,
    spec: BootstrapSpec,
    levels_left: u32,
    scale_log2: f64,
    #[serde(flatten)]
    moduli: Moduli,
    failure_log2: f64,
    /// By kind of message.
    predicted_bits: BTreeMap<&'static str, Prediction>,
    /// Switching keys, and the two of the encapsulation.
    keys: usize,
    /// In use, and as they travel.
    key_bytes: usize,
    seeded_key_bytes: usize,
    matrix_bytes: usize,
    working_bytes: usize,
    /// Of keys in use, matrices and work of one ciphertext.
    total_bytes: usize,
    /// With keys expanded on use: the least budget.
    least_bytes: usize,
    /// Of one bootstrap on this machine, and the threads for which it is foretold; absent unless it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Foretold>,
}

/// The time of a bootstrap.
#[derive(Serialize)]
struct Foretold {
    threads: usize,
    predicted_seconds: f64,
    stages: Vec<StageTime>,
}

impl Row {
    /// `timed` says that the backend computes, and its time is wanted.
    fn new<B: Backend>(preset: &Preset, backend: B, timed: bool) -> Result<Self, Failure> {
        let (params, spec) = (preset.params()?, &preset.spec);
        let ckks = Ckks::new(&Context::new(backend, params.clone())?);
        let bootstrapper = Bootstrapper::new(&ckks, spec)?;
        let mut predicted = BTreeMap::new();
        let aligned = bootstrapper.aligned_message().map(|message| ("aligned", message));
        for (kind, message) in messages(spec.slots, 0).into_iter().chain(aligned) {
            predicted.insert(kind, bootstrapper.predict(&message, 1)?);
        }
        let mut about = preset.about.to_owned();
        if let Some(aligned) = predicted.get("aligned") {
            about += &format!("; {:.1} bits for messages aligned with the mask", aligned.worst);
        }
        let (memory, keys) = (bootstrapper.memory(1)?, bootstrapper.key_bytes()?);
        let Memory {
            matrices, working, ..
        } = memory;
        Ok(Self {
            preset: preset.name,
            chain: preset.chain,
            about,
            log_n: params.log_n(),
            spec: spec.clone(),
            levels_left: bootstrapper.output_level().0,
            scale_log2: ckks.scale(Level(0))?.log2(),
            moduli: Moduli::new(&params, Encapsulation::new(&params)?.log2_qp()),
            failure_log2: bootstrapper.failure_log2(),
            predicted_bits: predicted,
            keys: bootstrapper.add_needs(KeyNeeds::new(&params)).count() + 2,
            key_bytes: memory.keys,
            seeded_key_bytes: keys.seeded + keys.raise_seeded,
            matrix_bytes: matrices,
            working_bytes: working,
            total_bytes: memory.total(),
            least_bytes: bootstrapper.least_budget(1, 1)?,
            time: match timed {
                true => Some(Foretold::new(&bootstrapper.time(1)?)),
                false => None,
            },
        })
    }

    fn print(&self) {
        say!(
            "  {:<20}{:>6}{:>8}{:>8}{:>7.0}{:>9.1}{:>7}{:>11.1}{:>10}",
            self.preset,
            format!("2^{}", self.log_n),
            self.spec.slots,
            self.levels_left,
            self.scale_log2,
            self.moduli.log_qp,
            self.moduli.security_bits,
            self.moduli.log_sparse_qp,
            format!("2^{:.1}", self.failure_log2)
        );
        say!("      {}", self.about);
        let bits = (self.predicted_bits.iter())
            .map(|(kind, p)| format!("{} {:.1}, {:.1}", kind.replace('_', " "), p.mean, p.worst));
        say!(
            "      bits foretold, mean and worst: {}",
            bits.collect::<Vec<_>>().join("; ")
        );
        say!(
            "      memory: {} keys {} in use, {} as they travel; matrices {}; work {}; in all {}, or {} with keys expanded on use",
            self.keys,
            bytes(self.key_bytes),
            bytes(self.seeded_key_bytes),
            bytes(self.matrix_bytes),
            bytes(self.working_bytes),
            bytes(self.total_bytes),
            bytes(self.least_bytes)
        );
        if let Some(time) = &self.time {
            let each = time.stages.iter().map(|stage| {
                let name = stage.stage.name().replace('_', " ");
                format!("{name} {}", seconds(stage.seconds()))
            });
            say!(
                "      time foretold: {} on {} of this machine: {}",
                seconds(time.predicted_seconds),
                count(time.threads, "thread", "threads"),
                each.collect::<Vec<_>>().join(", ")
            );
        }
        let list = |primes: &[f64]| {
            let each: Vec<String> = primes.iter().map(|log2| format!("{log2:.2}")).collect();
            each.join(" ")
        };
        say!("      log2 of the primes: {}", list(&self.moduli.log_primes));
        say!("      of the special ones: {}", list(&self.moduli.log_special));
    }
}

impl Foretold {
    fn new(time: &Time) -> Self {
        Self {
            threads: rayon::current_num_threads(),
            predicted_seconds: time.seconds(),
            stages: time.stages.clone(),
        }
    }
}

/// All secure presets, or the one of a name; with times on so many threads, if they are wanted.
pub(super) fn list(name: Option<&str>, threads: Option<usize>, json: bool) -> Result<(), Failure> {
    if let Some(threads) = threads {
        start_threads(threads)?;
    }
    let chosen = match name {
        Some(name) => vec![preset(name)?],
        None => presets(),
    };
    if !json {
        say!();
        say!(
            "  {:<20}{:>6}{:>8}{:>8}{:>7}{:>9}{:>7}{:>11}{:>10}",
            "name",
            "N",
            "slots",
            "levels",
            "scale",
            "log2 QP",
            "bits",
            "log2 q0p0",
            "failure"
        );
    }
    for preset in chosen {
        let row = match threads.is_some() {
            true => Row::new(&preset, Cpu::new(), true)?,
            false => Row::new(&preset, Null::new(), false)?,
        };
        if json {
            say!("{}", serde_json::to_string(&row)?);
        } else {
            row.print();
        }
    }
    if !json {
        say!();
        say!(
            "  bits: classical security by eprint 2024/463; failure: probability that a bootstrap of one ciphertext goes wrong"
        );
        say!(
            "  memory: matrices as they are kept unless expanded to residues; released buffers, which the CPU keeps for reuse where there is no budget, not counted"
        );
        if threads.is_some() {
            say!("  time: of one ciphertext, keys expanded, diagonals lifted to residues when they are used");
        }
        say!("  times and precision as measured: `cipherformer bench bootstrap --preset NAME`");
        say!();
    }
    Ok(())
}
