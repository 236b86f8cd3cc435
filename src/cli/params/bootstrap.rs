//! `params --bootstrap`: the bootstraps that come with the crate.

use std::collections::BTreeMap;

use serde_json::json;

use super::Failure;
use crate::{
    backend::null::Null,
    circuit::bootstrap::{Bootstrapper, Preset, messages, presets},
    ckks::Ckks,
    rlwe::{Context, Encapsulation},
};

pub(super) fn list(json: bool) -> Result<(), Failure> {
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
    for preset in presets() {
        let params = preset.params()?;
        let sparse = Encapsulation::new(&params)?.log2_qp();
        let Preset {
            name, spec, about, ..
        } = &preset;
        let left = params.top().0.saturating_sub(spec.depth());
        let scale = params.level("params", crate::rlwe::Level(0))?.scale.log2();
        let failure = spec.failure_log2(params.log_n());
        let ckks = Ckks::new(&Context::new(Null::new(), params.clone())?);
        let bootstrapper = Bootstrapper::new(&ckks, spec)?;
        let mut predicted = BTreeMap::new();
        for (kind, message) in messages(spec.slots, 0) {
            predicted.insert(kind, bootstrapper.predict(&message, 1)?);
        }
        if json {
            say!(
                "{}",
                json!({
                    "preset": name, "chain": preset.chain, "about": about, "log_n": params.log_n(), "spec": spec,
                    "levels_left": left, "scale_log2": scale, "log_qp": params.log2_qp(), "log_sparse_qp": sparse,
                    "security_bits": params.security_bits(), "failure_log2": failure, "predicted_bits": predicted,
                })
            );
            continue;
        }
        say!(
            "  {name:<20}{:>6}{:>8}{left:>8}{scale:>7.0}{:>9.1}{:>7}{sparse:>11.1}{:>10}",
            format!("2^{}", params.log_n()),
            spec.slots,
            params.log2_qp(),
            params.security_bits(),
            format!("2^{failure:.1}")
        );
        say!("      {about}");
        let bits = predicted
            .iter()
            .map(|(kind, p)| format!("{} {:.1}, {:.1}", kind.replace('_', " "), p.mean, p.worst));
        say!(
            "      bits foretold, mean and worst: {}",
            bits.collect::<Vec<_>>().join("; ")
        );
    }
    if !json {
        say!();
        say!(
            "  bits: classical security by eprint 2024/463; failure: probability that a bootstrap of one ciphertext goes wrong"
        );
        say!("  times, precision and memory: `cipherformer bench bootstrap --preset NAME`");
        say!();
    }
    Ok(())
}
