//! Costs and the choice among them.

use cipherformer::{
    backend::{Part, cpu::Cpu},
    ckks::Ckks,
    matmul::{MatmulError, MatmulPlan, Options, Packing, Rates, Shape, Weights, choose, cost},
    rlwe::{Context, SecretKey},
};

use super::{CHAINS, numbers, params};

/// Bytes, ciphertexts and keys that a cost names are those that there are, for five shapes; the peak covers inputs and results.
#[test]
fn predicted_bytes_are_those_of_the_objects() {
    let params = params(CHAINS[0]);
    let ctx = Context::new(Cpu::new(), params.clone()).unwrap();
    let ckks = Ckks::new(&ctx);
    for (m, k, n) in [(1, 9, 4), (2, 40, 3), (7, 7, 7), (33, 12, 5), (150, 3, 20)] {
        for packing in Packing::ALL {
            let shape = Shape::new(m, k, n);
            let plan = MatmulPlan::new(shape, packing, &params).unwrap();
            let cost = cost(&plan, "test", &plan.rates(&ctx).unwrap()).unwrap();
            let secret = SecretKey::generate(&ctx).unwrap();
            let seeded = secret.evaluation_keys(&plan.keys()).unwrap();
            let keys = seeded.expand(&ctx).unwrap();
            let sent = plan.encrypt_inputs(&ckks, &secret, &numbers(m * k, 1)).unwrap();
            let w: Vec<f32> = numbers(k * n, 2).iter().map(|w| *w as f32).collect();
            let weights = plan.encode_weights(&ckks, Weights::f32(&w)).unwrap();
            let outputs = plan
                .run(&ckks, &[&keys], &weights, &sent.expand(&ctx).unwrap())
                .unwrap();
            assert_eq!(cost.bytes_up, sent.bytes(&ctx), "{shape} {packing:?}");
            assert_eq!(cost.bytes_down, outputs.bytes(&ctx), "{shape} {packing:?}");
            assert_eq!((cost.keys, cost.key_bytes), (seeded.count(), seeded.bytes(&ctx)));
            let items = outputs.ciphertext().items();
            assert_eq!(cost.ciphertexts_down, items);
            assert!(
                cost.peak_bytes as usize
                    >= 2 * (sent.bytes(&ctx) - 32 * cost.ciphertexts_up) + outputs.bytes(&ctx)
            );
            assert!(cost.run_us > 0.0 && cost.run_us.is_finite() && cost.prepare_us.is_finite());
        }
    }
}

/// Residues are made before a run or in it, and light diagonals are moved to the device.
#[test]
fn parts_are_of_what_is_kept() {
    let params = params(CHAINS[0]);
    let ctx = Context::new(Cpu::new(), params.clone()).unwrap();
    for (packing, light) in [(Packing::Diagonal, true), (Packing::Blocks, false)] {
        for ready in [true, false] {
            let options = Options {
                ready,
                ..Options::default()
            };
            let plan = MatmulPlan::with(Shape::new(3, 9, 7), packing, &params, options).unwrap();
            let rates = plan.rates(&ctx).unwrap();
            let has = |parts: &[Part], name: &str| parts.iter().any(|p| p.name == name && p.count > 0.0);
            assert_eq!(has(&rates.prepare, "residues"), ready);
            assert_eq!(has(&rates.run, "sum of products"), ready);
            assert_eq!(has(&rates.run, "sum of light products"), !ready);
            assert_eq!(has(&rates.prepare, "to the device"), light && !ready);
        }
    }
}

#[test]
fn the_least_cost_within_the_budget_is_chosen() {
    let params = params(CHAINS[0]);
    let shape = Shape::new(4, 5, 6);
    let of = |packing| {
        let plan = MatmulPlan::new(shape, packing, &params).unwrap();
        cost(&plan, "test", &Rates::default()).unwrap()
    };
    let mut costs = vec![of(Packing::Gemm), of(Packing::Blocks)];
    (costs[0].run_us, costs[0].peak_bytes) = (1e6, 1000);
    (costs[1].run_us, costs[1].peak_bytes) = (2e3, 2000);
    assert_eq!(choose(shape, &costs, None).unwrap().index, 1);
    assert_eq!(choose(shape, &costs, Some(1500)).unwrap().index, 0);
    let none = choose(shape, &costs, Some(10)).err();
    assert!(matches!(none, Some(MatmulError::NoPlan { .. })));
    assert!(matches!(
        choose(shape, &[], None).err(),
        Some(MatmulError::NoPlan { .. })
    ));
}
