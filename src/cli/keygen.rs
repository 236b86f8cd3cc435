//! `keygen`: the secret for the client, evaluation keys for the server.
//!
//! Order of writing: the client's parameters and embedding table, the secret, the server's parameters, the evaluation keys. Where a secret is,
//! the rest of the client's directory is; where evaluation keys are, the rest of both is. A run that was killed in between has left a
//! secret without evaluation keys, and the next one makes them for that secret. A forced run first removes the old evaluation keys,
//! so that no two halves of different keys come to lie side by side.

use std::{fs, path::Path, time::Instant};

use serde_json::json;

use super::{
    Failure, KeygenArgs,
    directory::{self, CHAIN, EMBEDDING, KEYS, PARAMETERS, SECRET},
    show, texts,
};
use crate::{
    backend::{Backend, device::on},
    model::{Embedding, LanguageModel, Quantised},
    report::{bytes, seconds},
    rlwe::{Context, Params, SecretKey, Spec},
    transformer::LanguageClassifier,
    wire::{self, Existing, KeyFile, Name, Stamp},
};

pub(super) fn run(args: &KeygenArgs) -> Result<(), Failure> {
    let device = args.device.open()?;
    on!(device.any(), backend => run_on(args, backend.as_ref().clone()))
}

fn run_on<B: Backend>(args: &KeygenArgs, backend: B) -> Result<(), Failure> {
    let clock = Instant::now();
    let (client, server) = (&args.client, &args.server);
    prepare(client, server)?;
    let params = Params::shipped(CHAIN)?;
    let ctx = Context::new(backend, params.clone())?;
    let model = LanguageModel::builtin()?;
    let embedding = Embedding::from(&model);
    let keys_path = server.join(KEYS);

    let kept = if args.force {
        remove(&keys_path)?;
        None
    } else {
        kept(args, &ctx, &embedding)?
    };
    let found = kept.is_some();
    parameters(client, &params)?;
    if !holds_embedding(client, &embedding) {
        wire::write_public(&client.join(EMBEDDING), &embedding.to_safetensors()?)?;
    }
    let secret = match kept {
        Some(secret) => secret,
        None => new_secret(client, &ctx, args.force)?,
    };
    let key = Name(secret.name());
    parameters(server, &params)?;
    let needs = LanguageClassifier::new(&Quantised::from(&model), texts::BATCH)?.keys(&params);
    if keys_path.symlink_metadata().is_err() {
        let bar = show::progress("keys");
        let keys = secret.evaluation_keys_with(&needs, |done, all| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        })?;
        bar.finish_and_clear();
        wire::save(&keys_path, &keys, &ctx, stamp(key), Existing::Keep)?;
    }

    let size = fs::metadata(&keys_path)?.len();
    let took = clock.elapsed().as_secs_f64();
    if args.json {
        let object = json!({
            "client": client.display().to_string(),
            "server": server.display().to_string(),
            "key": key.to_string(),
            "secret": if found { "kept" } else { "new" },
            "keys": needs.count(),
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
        "  client  {}: {}, and the public embedding table; keep this directory to yourself",
        client.display(),
        if found {
            "the secret that was there already"
        } else {
            "a new secret"
        }
    );
    say!(
        "  server  {}: parameters and {} evaluation keys, {}; send this directory",
        server.display(),
        needs.count(),
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
    say!();
    say!(
        "  Next: cipherformer encrypt --client {} --text \"..\" --out request.ct",
        client.display()
    );
    Ok(())
}

fn stamp(key: Name) -> Stamp {
    Stamp {
        key,
        ..Stamp::default()
    }
}

/// Makes both directories, neither inside the other, and clears what killed runs left.
fn prepare(client: &Path, server: &Path) -> Result<(), Failure> {
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
    wire::sweep(client);
    wire::sweep(server);
    Ok(())
}

/// The secret that is there and lacks something beside it; none where there is nothing yet.
fn kept<B: Backend>(
    args: &KeygenArgs,
    ctx: &Context<B>,
    embedding: &Embedding,
) -> Result<Option<SecretKey<B>>, Failure> {
    let (secret_path, keys_path) = (args.client.join(SECRET), args.server.join(KEYS));
    let there = |path: &Path| path.symlink_metadata().is_ok();
    let forced = "or pass --force, after which nobody can read what was encrypted for the old one";
    let replace = |e| format!("{e}; choose another directory, {forced}");
    let owner = match there(&keys_path) {
        true => Some(KeyFile::open(&keys_path, ctx).map_err(replace)?.stamp().key),
        false => None,
    };
    if !there(&secret_path) {
        return match owner {
            None => Ok(None),
            Some(key) => Err(format!(
                "{}: exists already, for key {key}, whose secret is not in {}; pass the directory that holds it, choose another --server, \
                 {forced}",
                keys_path.display(),
                args.client.display()
            )
            .into()),
        };
    }
    let (secret, stamp): (SecretKey<B>, _) = wire::load(&secret_path, ctx).map_err(replace)?;
    let own = stamp.key;
    match owner {
        Some(key) if key != own => Err(format!(
            "{}: belongs to key {key}, and {} is key {own}; choose another directory, {forced}",
            keys_path.display(),
            secret_path.display()
        )
        .into()),
        Some(_) if is_complete(args, ctx.params(), embedding) => Err(format!(
            "{}: exists already, and nothing is missing beside it or in {}; choose other directories, {forced}",
            secret_path.display(),
            args.server.display()
        )
        .into()),
        _ => Ok(Some(secret)),
    }
}

fn is_complete(args: &KeygenArgs, params: &Params, embedding: &Embedding) -> bool {
    let parameters = [&args.client, &args.server].map(|dir| holds_parameters(dir, params));
    parameters == [true; 2] && holds_embedding(&args.client, embedding)
}

fn holds_parameters(dir: &Path, params: &Params) -> bool {
    let found: wire::Result<(Spec, _)> = wire::load(&dir.join(PARAMETERS), &());
    found.is_ok_and(|(spec, _)| spec == *params.spec())
}

fn holds_embedding(dir: &Path, embedding: &Embedding) -> bool {
    directory::embedding(dir).is_ok_and(|found| found == *embedding)
}

fn parameters(dir: &Path, params: &Params) -> Result<(), Failure> {
    if !holds_parameters(dir, params) {
        let path = dir.join(PARAMETERS);
        wire::save(&path, params.spec(), &(), Stamp::default(), Existing::Replace)?;
    }
    Ok(())
}

fn new_secret<B: Backend>(client: &Path, ctx: &Context<B>, force: bool) -> Result<SecretKey<B>, Failure> {
    let secret = SecretKey::generate(ctx)?;
    let existing = if force { Existing::Replace } else { Existing::Keep };
    wire::save(
        &client.join(SECRET),
        &secret,
        ctx,
        stamp(Name(secret.name())),
        existing,
    )?;
    Ok(secret)
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(format!(
            "{}: cannot be removed: {e}; choose another directory",
            path.display()
        )
        .into()),
        _ => Ok(()),
    }
}
