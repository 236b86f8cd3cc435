//! `infer`: the encrypted classifier, on the server, batch by batch.

use std::time::Instant;

use serde_json::json;

use super::{
    Failure, InferArgs, device, directory,
    directory::ServerSide,
    show,
    texts::{self, BATCH},
};
use crate::{
    backend::{
        Backend,
        device::{Device, on},
    },
    ckks::{Evaluator, SeededCiphertext},
    model::{CLASSES, LanguageModel, Quantised, WIDTH},
    report::{bytes, seconds},
    transformer::LanguageClassifier,
    wire::{Existing, Stamp, Writer},
};

const NO_INPUT: &str = "run `cipherformer encrypt` first, or pass what it wrote";

pub(super) fn run(args: &InferArgs) -> Result<(), Failure> {
    let device = args.device.open()?;
    on!(device.any(), backend => run_on(args, &device, backend.as_ref().clone()))
}

fn run_on<B: Backend>(args: &InferArgs, device: &Device, backend: B) -> Result<(), Failure> {
    directory::output(&args.out, Some(&args.input))?;
    let mut input = directory::input(&args.input, NO_INPUT)?;
    let clock = Instant::now();
    let classifier = LanguageClassifier::new(&Quantised::from(&LanguageModel::builtin()?), BATCH)?;
    let side = directory::server(&args.server, backend, |params| classifier.keys(params))?;
    let ctx = side.ckks.context();
    let mut load = clock.elapsed().as_secs_f64();

    let mut out = Writer::create(&args.out, Existing::Replace)?;
    let (mut batches, mut infer) = (0, 0.0);
    let mut request = None;
    let ev = Evaluator::new(&side.ckks, &side.keys);
    loop {
        let clock = Instant::now();
        let Some((sent, stamp)) = input.next(ctx)? else {
            break;
        };
        check(args, &side, &classifier, &sent, stamp)?;
        request = Some(stamp.request);
        load += clock.elapsed().as_secs_f64();

        let clock = Instant::now();
        let x = sent.expand(ctx)?;
        drop(sent);
        batches += 1;
        let label = if batches == 1 {
            String::from("infer")
        } else {
            format!("batch {batches}")
        };
        let run = show::staged(&label, ctx.backend(), |progress| {
            classifier.infer(&ev, &x, progress)
        })?;
        infer += clock.elapsed().as_secs_f64();
        out.put(&run.result, ctx, stamp)?;
    }
    let size = out.place()?;

    let (rotations, relinearisations) = classifier.key_switches();
    let (rotations, relinearisations) = (rotations * batches, relinearisations * batches);
    let device = device::report(device);
    if args.json {
        let object = json!({
            "out": args.out.display().to_string(),
            "request": request.map(|r| r.to_string()),
            "batches": batches,
            "ciphertexts": batches * CLASSES,
            "bytes": size,
            "backend": device.backend,
            "device": device.device,
            "emulated": device.emulated,
            "why": device.why,
            "rotations": rotations,
            "relinearisations": relinearisations,
            "seconds": { "load": load, "infer": infer },
        });
        say!("{object}");
        return Ok(());
    }
    say!();
    say!(
        "  {}: {} of {CLASSES} ciphertexts, one a language, {}; only the client can read them",
        args.out.display(),
        texts::count(batches, "batch", "batches"),
        bytes(size as usize)
    );
    say!();
    say!(
        "  {}",
        show::dim(&format!(
            "load {}, infer {}; {} key switches, {}",
            seconds(load),
            seconds(infer),
            rotations + relinearisations,
            device::name(&device)
        ))
    );
    device::warn_of_emulation(&device);
    Ok(())
}

/// Demands ciphertexts for these keys and this model.
fn check<B: Backend>(
    args: &InferArgs,
    side: &ServerSide<B>,
    classifier: &LanguageClassifier,
    sent: &SeededCiphertext<B>,
    stamp: Stamp,
) -> Result<(), Failure> {
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
    let top = side.ckks.context().params().top();
    let wanted = (WIDTH, classifier.columns().slots(), top);
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
    Ok(())
}
