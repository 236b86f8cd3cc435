//! A whole classification on a ring of any size, for tests that compare backends: the shipped model, and a chain shaped as its own.

use cipherformer::{
    backend::Backend,
    ckks::{Ckks, Evaluator, Release},
    model::{Embedding, LanguageModel, Quantised, WIDTH, WINDOW, Window, windows},
    ring::{ChainKind, ChainSpec, build},
    rlwe::{Context, Params, SecretKey, Spec},
    transformer::{LanguageClassifier, Progress, Requests},
};

const TEXTS: [&str; 3] = [
    "The harvest was late this year, and the barns stood empty until October.",
    "Le train de nuit pour Lyon est parti avec une heure de retard.",
    "Der Zug nach Hamburg hatte gestern wieder eine halbe Stunde Verspätung.",
];

/// The residues of the encrypted logits, one ciphertext a language, of texts in a batch of N / 64 windows. Keys and ciphertexts are the
/// same on every backend; logits are off by less than 1e-3 from those of the quantised model in the clear.
pub fn residues<B: Backend>(backend: B, log_n: u32) -> Vec<u32> {
    let spec = ChainSpec {
        log_n,
        kind: ChainKind::Rational,
        scale_bits: vec![37.0, 38.0, 37.0, 38.0, 38.0],
        absorbed_bits: vec![32, 8, 0, 16],
        base_bits: 65.0,
        digits: 2,
        special_margin_bits: 2.0,
        max_log2_qp: Some(4000.0),
    };
    let params = Params::insecure(Spec {
        chain: build(&spec).unwrap(),
    })
    .unwrap();
    let ckks = Ckks::new(&Context::new(backend, params.clone()).unwrap());
    let ctx = ckks.context();
    let model = LanguageModel::builtin().unwrap();
    let quantised = Quantised::from(&model);
    let classifier = LanguageClassifier::new(&quantised, (1 << (log_n - 1)) / WINDOW).unwrap();
    let secret = SecretKey::insecure_deterministic(ctx, [7; 32]).unwrap();
    let keys = secret.evaluation_keys(&classifier.keys(&params)).unwrap();
    let keys = keys.expand(ctx).unwrap();

    let batch: Vec<Window> = TEXTS.iter().flat_map(|text| windows(text, 8).unwrap()).collect();
    let requests = Requests::new(&Embedding::from(&model), classifier.columns(), &batch).unwrap();
    let x = ckks
        .encrypt(&secret, requests.values(), WIDTH, params.top())
        .unwrap();
    let x = x.expand(ctx).unwrap();
    let mut quiet = |_, _, _| ();
    let evaluator = Evaluator::new(&ckks, &keys);
    let result = classifier
        .infer(&evaluator, &x, &mut Progress::new(&mut quiet))
        .unwrap();

    let slots = ckks.decrypt(&secret, &result).unwrap();
    let logits = requests.logits(&slots.release(Release::Owner).unwrap());
    assert_eq!(logits.len(), batch.len());
    for (window, have) in batch.iter().zip(&logits) {
        for (have, want) in have.iter().zip(quantised.forward(window).unwrap()) {
            assert!((have - want).abs() < 1e-3, "{have}, and {want} in the clear");
        }
    }
    let view = result.rlwe().view();
    let mut words = vec![0; view.span.count() << ctx.log_n()];
    ctx.backend().download(view, &mut words).unwrap();
    words
}
