//! `decrypt`: the answer, on the client. A request is forgotten once its answer has been read.

use std::collections::BTreeMap;

use super::{
    DecryptArgs, Failure, directory,
    directory::ClientSide,
    request::{Request, Text},
    show,
    texts::{self, BATCH, language},
};
use crate::{
    backend::{Backend, device::on},
    ckks::{Ciphertext, Release},
    matmul::Columns,
    model::{CLASSES, Embedding, Verdict, WINDOW, mean_logits},
    report::Answer,
    transformer::Requests,
    wire::{Name, Stamp},
};

const NO_INPUT: &str = "run `cipherformer infer` first, or pass what it wrote";

pub(super) fn run(args: &DecryptArgs) -> Result<(), Failure> {
    let device = args.device.open()?;
    on!(device.any(), backend => run_on(args, backend.as_ref().clone()))
}

fn run_on<B: Backend>(args: &DecryptArgs, backend: B) -> Result<(), Failure> {
    let side = directory::client(&args.client, backend)?;
    let (request, name, logits) = read(args, &side)?;
    let mut left = logits.as_slice();
    for text in &request.texts {
        let (own, rest) = left.split_at(text.windows);
        left = rest;
        let verdict = Verdict::from_logits(&mean_logits(own), side.embedding.margin);
        let answer = answer(text, &verdict, &side.embedding);
        match (args.json, &text.line) {
            (true, _) => say!("{}", serde_json::to_string(&answer)?),
            (false, Some(line)) => print_line(*line, &answer),
            (false, None) => print_one(&answer, &verdict, &side.embedding),
        }
    }
    if !args.keep {
        Request::remove(&args.client, name)?;
    }
    Ok(())
}

/// The request, and the logits of all its windows; one batch of ciphertexts is in memory at a time.
fn read<B: Backend>(
    args: &DecryptArgs,
    side: &ClientSide<B>,
) -> Result<(Request, Name, Vec<[f32; CLASSES]>), Failure> {
    let mut input = directory::input(&args.input, NO_INPUT)?;
    let columns = Columns::new(WINDOW, BATCH)?;
    let (mut found, mut batches) = (None, 0);
    let mut logits = Vec::new();
    while let Some((result, stamp)) = input.next::<_, Ciphertext<_>>(side.ckks.context())? {
        check(args, side, columns, &result, stamp)?;
        let (request, _) = match &mut found {
            Some(found) => found,
            none => none.insert((Request::load(&args.client, stamp.request)?, stamp.request)),
        };
        batches += 1;
        let left = request.windows() - logits.len();
        if left == 0 {
            return Err(wrong_count(args, request, batches));
        }
        let slots = side
            .ckks
            .decrypt(&side.secret, &result)?
            .release(Release::Owner)?;
        let read = Requests::read(columns, left.min(BATCH), &slots);
        logits.extend(read.into_iter().map(|l| l.map(|x| x as f32)));
    }
    match found {
        Some((request, name)) if request.windows() == logits.len() => Ok((request, name, logits)),
        Some((request, _)) => Err(wrong_count(args, &request, batches)),
        None => Err(format!("{}: holds no answer; {NO_INPUT}", args.input.display()).into()),
    }
}

fn wrong_count(args: &DecryptArgs, request: &Request, found: usize) -> Failure {
    format!(
        "{}: {} found, and the request had {}; the file is cut off or another's: fetch it again",
        args.input.display(),
        texts::count(found, "batch", "batches"),
        request.windows().div_ceil(BATCH)
    )
    .into()
}

/// Demands an answer for this secret.
fn check<B: Backend>(
    args: &DecryptArgs,
    side: &ClientSide<B>,
    columns: Columns,
    result: &Ciphertext<B>,
    stamp: Stamp,
) -> Result<(), Failure> {
    if stamp.key != side.key {
        return Err(format!(
            "{}: encrypted for key {}, and {} holds the secret of {}; pass the directory that encrypted the texts",
            args.input.display(),
            stamp.key,
            args.client.display(),
            side.key
        )
        .into());
    }
    if (result.items(), result.slots()) != (CLASSES, columns.slots()) {
        return Err(format!(
            "{}: {} ciphertexts of {} slots, and an answer has {CLASSES} of {}; pass what `cipherformer infer` wrote",
            args.input.display(),
            result.items(),
            result.slots(),
            columns.slots()
        )
        .into());
    }
    Ok(())
}

fn answer(text: &Text, verdict: &Verdict, model: &Embedding) -> Answer {
    let named = model.labels.iter().zip(verdict.probabilities);
    let (label, probabilities) = match text.error {
        None => (
            verdict.label(&model.labels).to_owned(),
            named.map(|(l, p)| (l.clone(), f64::from(p))).collect(),
        ),
        Some(_) => (String::from("unsure"), BTreeMap::new()),
    };
    Answer {
        line: text.line,
        label,
        probabilities,
        windows: text.windows,
        error: text.error.clone(),
    }
}

fn print_line(line: usize, answer: &Answer) {
    let best = answer.probabilities.values().copied().fold(0.0, f64::max);
    match &answer.error {
        Some(error) => say!("{line:>5}  - {error}"),
        None => say!("{line:>5}  {:<8} {:5.1} %", language(&answer.label), best * 100.0),
    }
}

fn print_one(answer: &Answer, verdict: &Verdict, model: &Embedding) {
    say!();
    show::probabilities(&answer.probabilities);
    show::verdict(verdict, &answer.label, model.margin);
}
