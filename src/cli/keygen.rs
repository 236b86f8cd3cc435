//! `keygen`: the secret for the client, evaluation keys for the server.

use std::time::Instant;

use serde_json::json;

use super::{
    Failure, KeygenArgs, classify,
    directory::{self, CHAIN, KEYS, PARAMETERS, SECRET},
    show,
};
use crate::{
    backend::cpu::Cpu,
    model::{LanguageModel, Quantised},
    report::{bytes, seconds},
    rlwe::{Context, Params, SecretKey},
    transformer::LanguageClassifier,
    wire::{self, Existing, Name, Stamp},
};

pub(super) fn run(args: &KeygenArgs) -> Result<(), Failure> {
    let clock = Instant::now();
    let (client, server) = (&args.client, &args.server);
    directory::create(client, true)?;
    directory::create(server, false)?;
    // One inside the other would send the secret along, or put the server's files among the client's.
    let (inner, outer) = (client.canonicalize()?, server.canonicalize()?);
    let nested = inner.starts_with(&outer) || outer.starts_with(&inner);
    if nested || server.join(SECRET).exists() {
        return Err(format!(
            "{}: would hold the secret beside the server's keys; choose two directories, neither inside the other",
            server.display()
        )
        .into());
    }
    let (secret_path, keys_path) = (client.join(SECRET), server.join(KEYS));
    for path in [&secret_path, &keys_path] {
        if !args.force && path.symlink_metadata().is_ok() {
            return Err(format!(
                "{}: exists already, and nobody could use what was encrypted for it; choose another directory, or pass --force",
                path.display()
            )
            .into());
        }
    }
    let existing = if args.force {
        Existing::Replace
    } else {
        Existing::Keep
    };

    let params = Params::shipped(CHAIN)?;
    let ctx = Context::new(Cpu::new(), params.clone())?;
    let model = Quantised::from(&LanguageModel::builtin()?);
    let needs = LanguageClassifier::new(&model, classify::BATCH)?.keys(&params);
    let secret = SecretKey::generate(&ctx)?;
    let bar = show::progress("keys");
    let keys = secret.evaluation_keys_with(&needs, |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();

    let key = Name(secret.name());
    let stamp = Stamp {
        key,
        ..Stamp::default()
    };
    // The secret last: where it is, the rest is.
    wire::save(
        &server.join(PARAMETERS),
        params.spec(),
        &(),
        Stamp::default(),
        Existing::Replace,
    )?;
    wire::save(&keys_path, &keys, &ctx, stamp, existing)?;
    wire::save(
        &client.join(PARAMETERS),
        params.spec(),
        &(),
        Stamp::default(),
        Existing::Replace,
    )?;
    wire::save(&secret_path, &secret, &ctx, stamp, existing)?;

    let size = std::fs::metadata(&keys_path)?.len();
    let took = clock.elapsed().as_secs_f64();
    if args.json {
        let object = json!({
            "client": client.display().to_string(),
            "server": server.display().to_string(),
            "key": key.to_string(),
            "keys": keys.count(),
            "key_bytes": size,
            "security_bits": params.security_bits(),
            "log_n": params.log_n(),
            "log_qp": params.log2_qp(),
            "seconds": took,
        });
        say!("{object}");
        return Ok(());
    }
    say!();
    say!(
        "  client  {}: the secret, for its owner's eyes only",
        secret_path.display()
    );
    say!(
        "  server  {}: parameters and {} evaluation keys, {}; send this directory",
        server.display(),
        keys.count(),
        bytes(size as usize)
    );
    say!();
    say!(
        "  {}",
        show::dim(&format!(
            "key {key}; N = 2^{}, log2 QP = {:.1}, {}-bit security; {}",
            params.log_n(),
            params.log2_qp(),
            params.security_bits(),
            seconds(took)
        ))
    );
    Ok(())
}
