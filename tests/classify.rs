//! The encrypted classifier against its plain twins, on the held-out sentences.

#![cfg(feature = "fallback")]

use cipherformer::{
    backend::cpu::Cpu,
    ckks::{Ckks, Evaluator},
    model::{Embedding, LanguageModel, Quantised, Verdict, WIDTH, Window, heldout, mean_logits, windows},
    rlwe::{Context, Level, Params, SecretKey},
    transformer::{LanguageClassifier, Progress, Requests},
};

/// One full batch: encrypted and plain labels agree on at least 99.5 % of the sentences, and no logit of any window is off by
/// 1e-3 from the quantised model.
#[test]
fn encrypted_labels_are_the_plain_ones() {
    let params = Params::shipped("langid").unwrap();
    assert!(params.security_bits() >= 128);
    let ckks = Ckks::new(&Context::new(Cpu::poisoned(), params.clone()).unwrap());
    let ctx = ckks.context();
    let model = LanguageModel::builtin().unwrap();
    let quantised = Quantised::from(&model);
    let classifier = LanguageClassifier::new(&quantised, 256).unwrap();
    let secret = SecretKey::generate(ctx).unwrap();
    let keys = secret
        .evaluation_keys(&classifier.keys(&params))
        .unwrap()
        .expand(ctx)
        .unwrap();

    // Every second sentence, so that all languages are there.
    let texts: Vec<Vec<Window>> = heldout()
        .iter()
        .step_by(2)
        .map(|(_, s)| windows(s, 8).unwrap())
        .collect();
    let mut batch: Vec<Window> = Vec::new();
    let mut counted = Vec::new();
    for text in &texts {
        if batch.len() + text.len() <= 256 {
            batch.extend(text);
            counted.push(text);
        }
    }
    assert!(
        counted.len() >= 80,
        "only {} sentences in the batch",
        counted.len()
    );
    let requests = Requests::new(&Embedding::from(&model), classifier.columns(), &batch).unwrap();
    let x = ckks
        .encrypt(&secret, requests.values(), WIDTH, params.top())
        .unwrap()
        .expand(ctx)
        .unwrap();
    let mut show = |_, _, _| ();
    let result = classifier
        .infer(&Evaluator::new(&ckks, &keys), &x, &mut Progress::new(&mut show))
        .unwrap();
    assert_eq!(result.level(), Level(0));
    let logits = requests.logits(&ckks.decrypt(&secret, &result).unwrap());

    let mut worst = 0.0f64;
    for (window, have) in batch.iter().zip(&logits) {
        let want = quantised.forward(window).unwrap();
        worst = want
            .iter()
            .zip(have)
            .map(|(w, h)| (w - h).abs())
            .fold(worst, f64::max);
    }
    assert!(worst < 1e-3, "worst logit error {worst:e}");

    let mut at = 0;
    let mut disagree = 0;
    for text in &counted {
        let own: Vec<[f32; 6]> = logits[at..at + text.len()]
            .iter()
            .map(|l| l.map(|v| v as f32))
            .collect();
        at += text.len();
        let plain: Vec<[f32; 6]> = text.iter().map(|w| model.forward(w).unwrap()).collect();
        let label = |l: &[[f32; 6]]| {
            Verdict::from_logits(&mean_logits(l), model.margin)
                .label(&model.labels)
                .to_owned()
        };
        disagree += usize::from(label(&own) != label(&plain));
    }
    assert!(
        disagree * 200 <= counted.len(),
        "{disagree} of {} labels differ",
        counted.len()
    );
}
