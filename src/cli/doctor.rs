//! `doctor`: what this machine offers, and whether encrypted arithmetic works on each of its devices.

use std::time::Instant;

use serde::Serialize;
use serde_json::json;

use super::{DoctorArgs, Failure, device, show};
use crate::{
    arith::Complex,
    backend::{
        conformance::{self, Scope},
        device::{BackendChoice, BackendKind, Device, on},
    },
    ckks::PrecisionReport,
    engine::{Client, Engine},
    report::seconds,
    rlwe::Params,
};

/// Small and quick, at full security.
const CHAIN: &str = "n13_rational40_l2_d3";
/// Bits of the worst slot below which the self test fails.
const LEAST_BITS: f64 = 18.0;

/// The vector extensions that the kernels can use.
fn features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        let known = [
            ("avx2", std::arch::is_x86_feature_detected!("avx2")),
            ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
            ("avx512dq", std::arch::is_x86_feature_detected!("avx512dq")),
            ("avx512ifma", std::arch::is_x86_feature_detected!("avx512ifma")),
        ];
        known
            .iter()
            .filter(|(_, has)| *has)
            .map(|(name, _)| *name)
            .collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

/// A device, or a backend that has none here.
#[derive(Serialize)]
struct Finding {
    /// The backend.
    name: &'static str,
    /// What to pass to `--backend`.
    choice: String,
    /// The device in words.
    device: Option<String>,
    /// Whether it can be opened.
    available: bool,
    /// Whether the processor takes the place of a GPU.
    emulated: bool,
    /// None where it cannot be opened.
    self_test: Option<SelfTest>,
    /// What its kernels are, where there is a choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernels: Option<String>,
    /// Why it is as it is, and what to do about it.
    why: String,
}

/// Whether a device computes right.
#[derive(Serialize)]
struct SelfTest {
    passed: bool,
    /// Parameters of the encrypted part.
    chain: &'static str,
    /// Bits of precision of a squared and rotated vector.
    worst_bits: f64,
    mean_bits: f64,
    /// Operations compared with their definitions, and those that differed.
    checks: usize,
    failures: usize,
    seconds: f64,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Encrypt, multiply, rotate, decrypt, on full vectors.
fn circuit(device: &Device) -> Result<PrecisionReport, Failure> {
    let engine = &Engine::on(device, Params::shipped(CHAIN)?)?;
    let client = Client::generate(engine)?;
    let server = client.server_keys(&engine.key_needs().relinearise().rotate([1]))?;
    let n = engine.slots();
    let value = |i: usize| Complex::new((i as f64).sin(), (i as f64 * 0.7).cos());
    let x: Vec<Complex> = (0..n).map(value).collect();
    let encrypted = client.encrypt(&x, 1)?.receive(engine)?;
    let square = server.relinearise_rescale(&server.mul(&encrypted, &encrypted)?)?;
    let have = client.decrypt(&server.rotate(&square, 1)?)?;
    let want: Vec<Complex> = (0..n).map(|i| value((i + 1) % n)).map(|z| z * z).collect();
    Ok(PrecisionReport::new(&want, &have)?)
}

/// Small operations against their definitions, then a circuit of full size.
fn self_test(device: &Device) -> SelfTest {
    let clock = Instant::now();
    let conformance = on!(device.any(), backend => {
        conformance::run(|| backend.as_ref().clone(), &Scope::quick())
    });
    let (worst_bits, mean_bits, mut error) = match circuit(device) {
        Ok(report) => (report.modulus.min_bits, report.modulus.mean_bits, None),
        Err(error) => (0.0, 0.0, Some(error.to_string())),
    };
    // Written so that a number that is none fails.
    let precise = worst_bits >= LEAST_BITS;
    if !precise && error.is_none() {
        error = Some(format!(
            "{worst_bits:.1} bits in the worst slot, and {LEAST_BITS} are the least"
        ));
    }
    if let Some(failure) = conformance.failures.first() {
        error = Some(format!("not the bits that it has to give: {failure}"));
    }
    SelfTest {
        passed: precise && conformance.passed(),
        chain: CHAIN,
        worst_bits,
        mean_bits,
        checks: conformance.checks,
        failures: conformance.failures.len(),
        seconds: clock.elapsed().as_secs_f64(),
        error,
    }
}

fn missing(kind: BackendKind, choice: BackendChoice, why: String) -> Finding {
    Finding {
        name: kind.name(),
        choice: choice.to_string(),
        device: None,
        available: false,
        emulated: false,
        self_test: None,
        kernels: None,
        why,
    }
}

/// Opens and tests one device.
fn examine(kind: BackendKind, ordinal: usize, auto: BackendChoice) -> Finding {
    let choice = kind.device(ordinal);
    let opened = match Device::open(choice) {
        Ok(device) => device,
        Err(error) => return missing(kind, choice, error.to_string()),
    };
    let test = self_test(&opened);
    let why = match &test.error {
        Some(error) => format!("{error}; do not use it, and please report this machine"),
        None if opened.is_emulated() => String::from(
            "works, but the processor takes the place of a GPU: `auto` never takes it, --backend does",
        ),
        None if choice == auto => String::from("works, and is what `auto` takes"),
        None => String::from("works"),
    };
    Finding {
        name: kind.name(),
        choice: choice.to_string(),
        device: Some(opened.capabilities().device),
        available: true,
        emulated: opened.is_emulated(),
        self_test: Some(test),
        kernels: opened.kernels().map(str::to_owned),
        why,
    }
}

/// All devices of a kind, or why there is none.
fn examine_all(kind: BackendKind, auto: BackendChoice) -> Vec<Finding> {
    match Device::count(kind) {
        Ok(0) => vec![missing(
            kind,
            kind.device(0),
            format!("there is no {kind} device"),
        )],
        Ok(count) => (0..count).map(|i| examine(kind, i, auto)).collect(),
        Err(error) => vec![missing(kind, kind.device(0), error.to_string())],
    }
}

pub(super) fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let bar = show::progress("doctor");
    let auto = Device::auto();
    let findings: Vec<Finding> = match args.backend {
        None => {
            bar.set_length(BackendKind::ALL.len() as u64);
            let examined = BackendKind::ALL.iter().flat_map(|kind| {
                bar.set_message(format!("testing {kind}"));
                let found = examine_all(*kind, auto.choice());
                bar.inc(1);
                found
            });
            examined.collect()
        }
        Some(BackendChoice::Device { kind, ordinal }) => vec![examine(kind, ordinal, auto.choice())],
        Some(BackendChoice::Auto) => vec![examine(auto.kind(), auto.ordinal(), auto.choice())],
    };
    bar.finish_and_clear();
    if args.json {
        let auto = device::report(&auto);
        let object = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "threads": rayon::current_num_threads(),
            "cpu_features": features(),
            "auto": auto,
            "backends": findings,
        });
        say!("{object}");
    } else {
        print(&auto, &findings);
    }
    let wrong = findings.iter().find(|f| match &f.self_test {
        Some(test) => !test.passed,
        // One that is missing is a fault only where it was asked for.
        None => args.backend.is_some(),
    });
    match wrong {
        Some(f) if f.available => Err(format!("self test of {}: {}", f.choice, f.why).into()),
        Some(f) => Err(f.why.clone().into()),
        None => Ok(()),
    }
}

fn print(auto: &Device, findings: &[Finding]) {
    let features = features();
    let features = if features.is_empty() {
        String::from("portable kernels")
    } else {
        features.join(" ")
    };
    say!();
    say!(
        "  cipherformer {}, {} threads, {features}",
        env!("CARGO_PKG_VERSION"),
        rayon::current_num_threads()
    );
    say!();
    say!(
        "{}",
        show::bold(&format!(
            "  {:<9} {:<38} {:<10} {:>10} {:>8} {:>8}",
            "backend", "device", "self test", "bits", "checks", "time"
        ))
    );
    for f in findings {
        let device = f.device.as_deref().unwrap_or("-");
        let device: String = device.chars().take(38).collect();
        match &f.self_test {
            Some(t) => say!(
                "  {:<9} {device:<38} {:<10} {:>10.1} {:>8} {:>8}",
                f.choice,
                if t.passed { "passed" } else { "FAILED" },
                t.worst_bits,
                t.checks,
                seconds(t.seconds)
            ),
            None => say!("  {:<9} {device:<38} {:<10}", f.choice, "-"),
        }
        say!("  {:<9} {}", "", show::dim(&f.why));
        if let Some(kernels) = &f.kernels {
            say!("  {:<9} {}", "", show::dim(&format!("kernels: {kernels}")));
        }
    }
    say!();
    say!(
        "  auto takes {}: {}",
        show::bold(&auto.choice().to_string()),
        auto.why()
    );
    say!(
        "  {}",
        show::dim(&format!(
            "bits: precision of the worst slot of a squared and rotated vector ({CHAIN}); checks: operations compared with their \
             definitions"
        ))
    );
}
