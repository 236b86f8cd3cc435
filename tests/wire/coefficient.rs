//! Coefficient packing in files: products of which every part went through one, and what must not be taken for them.

use cipherformer::{
    backend::cpu::Cpu,
    bfv::{Bfv, Release, SeededCiphertext},
    matmul::coefficient::{Output, Outputs, Plain, Plan, Request, Shape, Side, Weights},
    rlwe::{KeyNeeds, SecretKey, SeededEvaluationKeys},
    wire::{self, Name, Record, Stamp},
};

use super::objects::{Home, Parts, home, make, plan};

fn pass<C, T: Record<C>>(value: &T, home: &C, stamp: Stamp) -> T {
    let bytes = wire::to_bytes(value, home, stamp).unwrap();
    assert_eq!(wire::file_bytes(value, home).unwrap(), bytes.len() as u64);
    wire::from_bytes(&bytes, home).unwrap().0
}

#[test]
fn loaded_objects_compute() {
    let Home { bfv, cut, packed, .. } = home();
    let ctx = bfv.context();
    let secret = SecretKey::generate(ctx).unwrap();
    let stamp = Stamp {
        key: Name(secret.name()),
        ..Stamp::default()
    };
    for plan in [cut, packed] {
        let x: Vec<u64> = (0..15).map(|i| i * 4001).collect();
        let w: Vec<i64> = (0..15).map(|i| 40 * i - 280).collect();
        let weights = plan.weights(&w).unwrap().with_bias(&[1, -2, 3]).unwrap();
        let weights: Weights = pass(&weights, &plan, Stamp::default());
        assert_eq!(
            (weights.values(), weights.bias()),
            (w.clone(), Some(&[1, -2, 3][..]))
        );
        let keys = secret
            .evaluation_keys(&plan.keys(KeyNeeds::new(ctx.params())))
            .unwrap();
        let keys: SeededEvaluationKeys<Cpu> = pass(&keys, ctx, stamp);
        let keys = keys.expand(ctx).unwrap();
        let sent = plan.encrypt(&bfv, &secret, Side::Left, &x).unwrap();
        let sent: SeededCiphertext<Cpu> = pass(&sent, &bfv, stamp);
        let inputs = [sent.expand(ctx).unwrap()];
        let plain = Plain::OnTheFly(&weights);
        let results = plan.multiply(&bfv, &plain, &inputs, &[&keys]).unwrap();
        for results in results {
            let outputs = results.release(&bfv).unwrap();
            let outputs: Outputs<Cpu> = pass(&outputs, &(bfv.clone(), plan.clone()), stamp);
            let decrypted = outputs.decrypt(&bfv, &secret).unwrap();
            let have = decrypted.release(Release::Exact(plan.noise())).unwrap();
            for (at, have) in have.into_iter().enumerate() {
                let (row, column) = (at / 3, at % 3);
                let terms = (0..5).map(|c| i128::from(x[row * 5 + c]) * i128::from(w[c * 3 + column]));
                let sum = terms.sum::<i128>() + [1, -2, 3][column];
                assert_eq!(i128::from(have), sum.rem_euclid(65537));
            }
        }
    }
}

fn message<C, T: Record<C>>(bytes: &[u8], home: &C) -> String {
    let loaded = wire::from_bytes::<C, T>(bytes, home);
    loaded.map(|_| ()).unwrap_err().to_string()
}

#[test]
fn faults_are_named() {
    let home = home();
    let objects = make(&home);
    let parts = |name: &str| Parts::new(objects.iter().find(|o| o.name == name).unwrap());
    let weights = |n: usize, at: usize, new: &[u8], word: &str| {
        let bytes = parts("coefficient_weights_biased").with(n, at, new).sealed();
        let message = message::<_, Weights>(&bytes, &home.cut);
        assert!(message.contains(word), "no {word:?} in {message:?}");
    };
    weights(0, 3, &[9], "plaintext modulus");
    weights(0, 16, &[4], "shape of the product is 4x5x3");
    weights(0, 28, &[1], "the plan has the left operand");
    weights(0, 28, &[7], "encrypted operand is 7");
    weights(0, 32, &[45], "bound on weights");
    weights(0, 40, &[2], "whether there is a bias");
    weights(0, 40, &[0], "weights: ");
    weights(1, 28, &[0xff, 0x7f], "a weight is 32767");
    weights(2, 0, &[0xff, 0xff, 0x7f], "a bias is 8388607");
    let outputs = |n: usize, at: usize, new: &[u8], word: &str| {
        let bytes = parts("coefficient_outputs_cut").with(n, at, new).sealed();
        let message = message::<_, Outputs<Cpu>>(&bytes, &(home.bfv.clone(), home.cut.clone()));
        assert!(message.contains(word), "no {word:?} in {message:?}");
    };
    outputs(0, 20, &[6], "shape of the product is 3x6x3");
    outputs(0, 32, &[1], "how results travel");
    outputs(0, 36, &[9], "rows of a block");
    outputs(0, 48, &[200], "level");
    outputs(0, 52, &[200], "number of ciphertexts");
    outputs(0, 56, &[200], "length of a ciphertext");
    outputs(1, 0, &[0xff; 8], "residue");
    // The last residues of a row of c_0 that is filled up to whole bytes.
    assert!(!home.cut.needed(0).len().is_multiple_of(8));
    outputs(1, 29, &[1], "end of a row");
}

/// Files of another plan, of which only the plan tells.
#[test]
fn other_plans_are_refused() {
    let home = home();
    let other = Plan::new(
        home.bfv.params(),
        &Request::new(Shape::new(3, 5, 3)).weight_bound(301),
    )
    .unwrap();
    let more = Request::new(Shape::new(3, 6, 3))
        .output(Output::Packed)
        .weight_bound(300);
    let more = Plan::new(home.bfv.params(), &more).unwrap();
    for object in make(&home) {
        if object.name.starts_with("coefficient_weights") {
            assert!(message::<_, Weights>(&object.bytes, &other).contains("301"));
            assert!(message::<_, Weights>(&object.bytes, &more).contains("3x6x3"));
        }
        if object.name.starts_with("coefficient_outputs") {
            let found = message::<_, Outputs<Cpu>>(&object.bytes, &(home.bfv.clone(), more.clone()));
            assert!(found.contains("3x6x3"));
        }
    }
    let weights = plan(&home.bfv, Output::Cut).weights(&[1; 15]).unwrap();
    assert!(wire::to_bytes(&weights, &other, Stamp::default()).is_err());
    let spec = cipherformer::bfv::Spec {
        plain: 65539,
        ..super::objects::bfv_spec()
    };
    let params = cipherformer::bfv::Params::insecure(spec).unwrap();
    let foreign = Bfv::new(Cpu::new(), params).unwrap();
    let theirs = plan(&foreign, Output::Cut);
    for object in make(&home)
        .iter()
        .filter(|o| o.name.starts_with("coefficient_weights"))
    {
        assert!(message::<_, Weights>(&object.bytes, &theirs).contains("65539"));
    }
}
