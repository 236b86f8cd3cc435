//! `infer`: the encrypted classifier, on the server.

use std::time::Instant;

use serde_json::json;

use super::{Failure, InferArgs, classify, directory, show};
use crate::{
    backend::Backend,
    ckks::{Ciphertext, Evaluator, SeededCiphertext},
    model::{LanguageModel, Quantised, WIDTH},
    report::{bytes, seconds},
    transformer::{LanguageClassifier, Progress},
    wire::{self, Existing},
};

pub(super) fn run(args: &InferArgs) -> Result<(), Failure> {
    directory::output(&args.out, Some(&args.input))?;
    let clock = Instant::now();
    let classifier = LanguageClassifier::new(&Quantised::from(&LanguageModel::builtin()?), classify::BATCH)?;
    let side = directory::server(&args.server, |params| classifier.keys(params))?;
    let ctx = side.ckks.context();
    let (sent, stamp): (SeededCiphertext<_>, _) = wire::load(&args.input, ctx)?;
    if stamp.key != side.key {
        return Err(format!(
            "{}: encrypted for key {}, and {} holds the evaluation keys of {}; pass both from one `keygen`",
            args.input.display(),
            stamp.key,
            args.server.display(),
            side.key
        )
        .into());
    }
    let shape = (sent.items(), sent.slots(), sent.level());
    let wanted = (WIDTH, classifier.columns().slots(), ctx.params().top());
    if shape != wanted || sent.scale() != side.ckks.scale(sent.level())? {
        return Err(format!(
            "{}: {} ciphertexts of {} slots at {}, and the model takes {} of {} at {}; make them with `cipherformer encrypt`",
            args.input.display(),
            shape.0,
            shape.1,
            shape.2,
            wanted.0,
            wanted.1,
            wanted.2
        )
        .into());
    }
    let load = clock.elapsed().as_secs_f64();

    let clock = Instant::now();
    let x = sent.expand(ctx)?;
    let bar = show::progress("infer");
    let mut display = |stage, done: usize, of: usize| {
        bar.set_length(of as u64);
        bar.set_message(show::stage(stage));
        bar.set_position(done as u64);
    };
    let ev = Evaluator::new(&side.ckks, &side.keys);
    let result: Ciphertext<_> = classifier.infer(&ev, &x, &mut Progress::new(&mut display))?;
    ctx.backend().wait()?;
    bar.finish_and_clear();
    let infer = clock.elapsed().as_secs_f64();
    wire::save(&args.out, &result, ctx, stamp, Existing::Replace)?;

    let size = std::fs::metadata(&args.out)?.len();
    let (rotations, relinearisations) = classifier.key_switches();
    let backend = ctx.backend().capabilities().name;
    if args.json {
        let object = json!({
            "out": args.out.display().to_string(),
            "request": stamp.request.to_string(),
            "ciphertexts": result.items(),
            "bytes": size,
            "backend": backend,
            "rotations": rotations,
            "relinearisations": relinearisations,
            "seconds": { "load": load, "infer": infer },
        });
        say!("{object}");
        return Ok(());
    }
    say!();
    say!(
        "  {}: {} ciphertexts, one a language, {}; only the client can read them",
        args.out.display(),
        result.items(),
        bytes(size as usize)
    );
    say!();
    say!(
        "  {}",
        show::dim(&format!(
            "load {}, infer {}; {} key switches, {backend} backend",
            seconds(load),
            seconds(infer),
            rotations + relinearisations
        ))
    );
    Ok(())
}
