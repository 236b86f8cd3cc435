//! `decrypt`: the answer, on the client.

use std::collections::BTreeMap;

use super::{
    DecryptArgs, Failure, classify, directory,
    request::{Request, Text},
    show,
};
use crate::{
    ckks::{Ciphertext, Release},
    matmul::Columns,
    model::{CLASSES, LanguageModel, Verdict, WINDOW, mean_logits},
    report::{Answer, bar},
    transformer::Requests,
    wire,
};

pub(super) fn run(args: &DecryptArgs) -> Result<(), Failure> {
    let side = directory::client(&args.client)?;
    let (result, stamp): (Ciphertext<_>, _) = wire::load(&args.input, side.ckks.context())?;
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
    let columns = Columns::new(WINDOW, classify::BATCH)?;
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
    let request = Request::load(&args.client, stamp.request)?;
    let model = LanguageModel::builtin()?;
    let slots = side
        .ckks
        .decrypt(&side.secret, &result)?
        .release(Release::Owner)?;
    let logits = Requests::read(columns, request.windows(), &slots);
    let mut left = logits.as_slice();
    for text in &request.texts {
        let (own, rest) = left.split_at(text.windows);
        left = rest;
        let own: Vec<[f32; CLASSES]> = own.iter().map(|l| l.map(|x| x as f32)).collect();
        let verdict = Verdict::from_logits(&mean_logits(&own), model.margin);
        let answer = answer(text, &verdict, &model);
        match (args.json, &text.line) {
            (true, _) => say!("{}", serde_json::to_string(&answer)?),
            (false, Some(line)) => print_line(*line, &answer),
            (false, None) => print_one(&answer, &verdict, &model),
        }
    }
    Ok(())
}

fn answer(text: &Text, verdict: &Verdict, model: &LanguageModel) -> Answer {
    let named = model.labels.iter().zip(verdict.probabilities);
    let (label, probabilities) = match text.error {
        None => (
            verdict.label(model).to_owned(),
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
        None => say!(
            "{line:>5}  {:<8} {:5.1} %",
            classify::name(&answer.label),
            best * 100.0
        ),
    }
}

fn print_one(answer: &Answer, verdict: &Verdict, model: &LanguageModel) {
    say!();
    let mut order: Vec<(&String, &f64)> = answer.probabilities.iter().collect();
    order.sort_by(|a, b| b.1.total_cmp(a.1));
    for (label, p) in order {
        say!(
            "  {:<8} {:>5.1} %  {}",
            classify::name(label),
            p * 100.0,
            bar(*p, 40)
        );
    }
    say!();
    if verdict.unsure {
        say!(
            "  {}: the best leads by {:.0} %, and naming a language takes {:.0} %. A longer text would help.",
            show::bold("unsure"),
            verdict.lead * 100.0,
            model.margin * 100.0
        );
    } else {
        say!("  {}", show::bold(classify::name(&answer.label)));
    }
}
