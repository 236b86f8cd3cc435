//! `doctor`: what this machine offers, and whether encrypted arithmetic works on it.

use std::time::Instant;

use serde_json::json;

use super::{DoctorArgs, Failure};
use crate::{
    arith::Complex,
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

/// Encrypt, multiply, rotate, decrypt, on full vectors.
fn self_test(engine: &Engine) -> Result<PrecisionReport, Failure> {
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

pub(super) fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let clock = Instant::now();
    let engine = Engine::auto(Params::shipped(CHAIN)?)?;
    let device = engine.device();
    let threads = rayon::current_num_threads();
    let report = self_test(&engine)?;
    let took = clock.elapsed().as_secs_f64();
    let bits = report.modulus.min_bits;
    let works = bits >= LEAST_BITS;
    if args.json {
        let object = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "backend": device.name,
            "device": device.device,
            "threads": threads,
            "cpu_features": features(),
            "self_test": {
                "passed": works, "chain": CHAIN, "worst_bits": bits, "mean_bits": report.modulus.mean_bits, "seconds": took,
            },
        });
        say!("{object}");
    } else {
        say!();
        say!("  version    {}", env!("CARGO_PKG_VERSION"));
        say!("  backend    {}: {}", device.name, device.device);
        let features = features();
        let features = if features.is_empty() {
            String::from("portable kernels")
        } else {
            features.join(" ")
        };
        say!("  features   {features}");
        say!(
            "  self test  {}: {} slots squared and rotated, {bits:.1} bits in the worst one, {}",
            if works { "passed" } else { "FAILED" },
            report.slots,
            seconds(took)
        );
    }
    if works {
        Ok(())
    } else {
        Err(format!("self test: {bits:.1} bits in the worst slot, and {LEAST_BITS} are the least; please report this machine").into())
    }
}
