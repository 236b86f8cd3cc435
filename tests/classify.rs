//! The encrypted classifier against its quantised twin.
use cipherformer::{
    backend::cpu::Cpu,
    ckks::{Ckks, Evaluator},
    model::*,
    ring::{ChainKind, ChainSpec, build},
    rlwe::{Context, Params, SecretKey, Spec},
    transformer::{LanguageClassifier, Progress, Requests},
};
use std::time::Instant;
#[test]
fn agrees() {
    let d = 38.0;
    let spec = ChainSpec {
        log_n: 14,
        kind: ChainKind::Rational,
        scale_bits: vec![d; 5],
        absorbed_bits: vec![32, 8, 0, 16],
        base_bits: d + 26.0,
        digits: 2,
        special_margin_bits: 2.0,
        max_log2_qp: None,
    };
    let params = Params::new(Spec {
        chain: build(&spec).unwrap(),
    })
    .unwrap();
    println!("{}", params.report());
    let ckks = Ckks::new(&Context::new(Cpu::new(), params.clone()).unwrap());
    let model = LanguageModel::builtin().unwrap();
    let quantised = Quantised::from(&model);
    let classifier = LanguageClassifier::new(&quantised, 256).unwrap();
    let t = Instant::now();
    let sk = SecretKey::generate(ckks.context()).unwrap();
    let seeded = sk.evaluation_keys(&classifier.keys(&params)).unwrap();
    println!("keygen {:?} {} bytes", t.elapsed(), seeded.bytes(ckks.context()));
    let keys = seeded.expand(ckks.context()).unwrap();
    let ev = Evaluator::new(&ckks, &keys);
    let w: Vec<Window> = heldout()
        .iter()
        .flat_map(|(_, s)| windows(s, 8).unwrap())
        .take(256)
        .collect();
    let requests = Requests::new(&model, classifier.columns(), &w).unwrap();
    let t = Instant::now();
    let ct = ckks.encrypt(&sk, requests.values(), WIDTH, params.top()).unwrap();
    println!("encrypt {:?} {}", t.elapsed(), ct.bytes(ckks.context()));
    let x = ct.expand(ckks.context()).unwrap();
    let t = Instant::now();
    let mut show = |s, d, a| println!("{s:?} {d}/{a} {:?}", t.elapsed());
    let mut progress = Progress::new(&mut show);
    let out = classifier.infer(&ev, &x, &mut progress).unwrap();
    println!("infer {:?} {:?}", t.elapsed(), progress.seconds());
    let t = Instant::now();
    let logits = requests.logits(&ckks.decrypt(&sk, &out).unwrap());
    println!("decrypt {:?}", t.elapsed());
    let mut worst = 0f64;
    for (w, l) in w.iter().zip(&logits) {
        let want = quantised.forward(w).unwrap();
        for (a, b) in want.iter().zip(l) {
            worst = worst.max((a - b).abs());
        }
    }
    println!("worst logit error {worst:e}");
    assert!(worst < 1e-3);
}
