//! Products of matrices in every packing against the plain product, within the bound that the plan states; and what is refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]
#![cfg(feature = "fallback")]

use cipherformer::{
    arith::Complex,
    backend::cpu::Cpu,
    ckks::{Ckks, Evaluator, Release},
    matmul::{
        ColumnWeights, Columns, Inputs, MatmulError, MatmulPlan, Options, Packing, Rates, Shape,
        SingleAttention, Weights, choose, cost,
    },
    ring::insecure_chain,
    rlwe::{Context, EvaluationKeys, KeyNeeds, Level, Params, RlweError, SecretKey, Spec},
    transformer::{Attention, Head, Progress},
};
use half::{bf16, f16};

fn params(name: &str) -> Params {
    let chain = insecure_chain(name).unwrap();
    Params::insecure(Spec { chain }).unwrap()
}

/// Chains whose rings are small, so that shapes need many tiles and blocks.
const CHAINS: [&str; 2] = ["insecure_n8_single28_l3_d4", "insecure_n10_single28_l3_d2"];

/// Numbers in [-1, 1].
fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn product(shape: Shape, x: &[f64], w: &[f64]) -> Vec<f64> {
    let Shape { k, n, .. } = shape;
    (0..shape.rows() * n)
        .map(|i| (0..k).map(|c| x[i / n * k + c] * w[c * n + i % n]).sum())
        .collect()
}

struct Client {
    ckks: Ckks<Cpu>,
    secret: SecretKey<Cpu>,
    keys: EvaluationKeys<Cpu>,
}

impl Client {
    fn new(ckks: &Ckks<Cpu>, plan: &MatmulPlan) -> Self {
        let ctx = ckks.context();
        let secret = SecretKey::generate(ctx).unwrap();
        let keys = secret.evaluation_keys(&plan.keys()).unwrap().expand(ctx).unwrap();
        Self {
            ckks: ckks.clone(),
            secret,
            keys,
        }
    }

    fn encrypt(&self, plan: &MatmulPlan, x: &[f64]) -> Inputs<Cpu> {
        let sent = plan.encrypt_inputs(&self.ckks, &self.secret, x).unwrap();
        sent.expand(self.ckks.context()).unwrap()
    }
}

fn assert_close(plan: &MatmulPlan, have: &[f64], want: &[f64]) {
    let bound = plan.error_bound();
    let error = have.iter().zip(want).map(|(a, b)| (a - b).abs());
    // `max` would skip a NaN.
    let worst = error.fold(0.0, |a: f64, e| if e > a || e.is_nan() { e } else { a });
    let (shape, packing) = (plan.shape(), plan.packing());
    assert_eq!(have.len(), want.len());
    assert!(
        worst <= bound,
        "{shape} {packing:?}: error {worst:e} above {bound:e}"
    );
}

/// A bound that is far off says nothing. For weights that need rounding, and results enough that none is exact by chance.
fn assert_tight(plan: &MatmulPlan, have: &[f64], want: &[f64]) {
    let worst = have
        .iter()
        .zip(want)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    let (bound, shape, packing) = (plan.error_bound(), plan.shape(), plan.packing());
    assert!(
        worst > bound * 3e-3,
        "{shape} {packing:?}: error {worst:e} far below {bound:e}"
    );
}

#[test]
fn every_packing_computes_awkward_shapes_within_its_bound() {
    let shapes = [
        (1, 1, 1, 1),
        (1, 7, 5, 1),
        (2, 3, 2, 1),
        (5, 13, 11, 3),
        (17, 31, 19, 1),
        (3, 130, 70, 1),
        (1, 300, 3, 1),
        (1, 3, 300, 1),
        (600, 2, 3, 1),
        (300, 5, 2, 2),
    ];
    for name in CHAINS {
        let params = params(name);
        let ckks = Ckks::new(&Context::new(Cpu::new(), params.clone()).unwrap());
        for (m, k, n, batch) in shapes {
            let shape = Shape::new(m, k, n).batch(batch);
            let (x, w) = (numbers(shape.rows() * k, 1), numbers(k * n, 2));
            let single: Vec<f32> = w.iter().map(|w| *w as f32).collect();
            for (packing, ready) in Packing::ALL.into_iter().flat_map(|p| [(p, true), (p, false)]) {
                let options = Options {
                    ready,
                    ..Options::default()
                };
                let plan = MatmulPlan::with(shape, packing, &params, options).unwrap();
                let client = Client::new(&ckks, &plan);
                let weights = plan.encode_weights(&ckks, Weights::f32(&single)).unwrap();
                let inputs = client.encrypt(&plan, &x);
                let outputs = plan.run(&ckks, &[&client.keys], &weights, &inputs).unwrap();
                let have = plan
                    .decrypt_outputs(&ckks, &client.secret, &outputs, Release::Owner)
                    .unwrap();
                assert_close(&plan, &have, &product(shape, &x, &w));
                if have.len() >= 50 {
                    assert_tight(&plan, &have, &product(shape, &x, &w));
                }
            }
        }
    }
}

#[test]
fn clients_with_different_keys_share_a_run() {
    let params = params(CHAINS[0]);
    let ckks = Ckks::new(&Context::new(Cpu::new(), params.clone()).unwrap());
    for (packing, shape) in Packing::ALL
        .into_iter()
        .flat_map(|p| [(p, Shape::new(3, 150, 9)), (p, Shape::new(200, 4, 130))])
    {
        let plan = MatmulPlan::new(shape, packing, &params).unwrap();
        let w = numbers(shape.k * shape.n, 3);
        let single: Vec<f32> = w.iter().map(|w| *w as f32).collect();
        let weights = plan.encode_weights(&ckks, Weights::f32(&single)).unwrap();
        let clients: Vec<Client> = (0..3).map(|_| Client::new(&ckks, &plan)).collect();
        let x: Vec<Vec<f64>> = (0..3).map(|c| numbers(shape.rows() * shape.k, 10 + c)).collect();
        let parts: Vec<_> = clients.iter().zip(&x).map(|(c, x)| c.encrypt(&plan, x)).collect();
        let joined = Inputs::join(&ckks, &parts).unwrap();
        let keys: Vec<_> = clients.iter().map(|c| &c.keys).collect();
        let outputs = plan.run(&ckks, &keys, &weights, &joined).unwrap();
        assert_eq!(outputs.clients(), 3);
        for (c, (client, x)) in clients.iter().zip(&x).enumerate() {
            let own = outputs.client(c).unwrap();
            let have = plan
                .decrypt_outputs(&ckks, &client.secret, &own, Release::Owner)
                .unwrap();
            assert_close(&plan, &have, &product(shape, x, &w));
        }
        let all = plan.decrypt_outputs(&ckks, &clients[0].secret, &outputs, Release::Owner);
        assert!(matches!(all, Err(MatmulError::Keys { clients: 3, keys: 1 })));
    }
}

#[test]
fn integers_and_halves_are_taken_as_they_are() {
    let params = params(CHAINS[1]);
    let ckks = Ckks::new(&Context::new(Cpu::new(), params.clone()).unwrap());
    let shape = Shape::new(3, 8, 4);
    let x = numbers(shape.rows() * shape.k, 5);
    let integers: Vec<i8> = (0..32).map(|i| (i * 37 % 255 - 127) as i8).collect();
    // 127 / 2^7 and all others are half precision numbers, and brain floats are those of 2^-6 and more of them.
    let w: Vec<f64> = integers.iter().map(|i| f64::from(*i) / 128.0).collect();
    let halves: Vec<f16> = w.iter().map(|w| f16::from_f64(*w)).collect();
    let brains: Vec<bf16> = w.iter().map(|w| bf16::from_f64(*w)).collect();
    let transposed: Vec<f32> = (0..32).map(|i| w[i % 8 * 4 + i / 8] as f32).collect();
    for packing in Packing::ALL {
        let plan = MatmulPlan::new(shape, packing, &params).unwrap();
        let client = Client::new(&ckks, &plan);
        let inputs = client.encrypt(&plan, &x);
        let run = |weights: Weights<'_>| {
            let weights = plan.encode_weights(&ckks, weights).unwrap();
            let outputs = plan.run(&ckks, &[&client.keys], &weights, &inputs).unwrap();
            plan.decrypt_outputs(&ckks, &client.secret, &outputs, Release::Owner)
                .unwrap()
        };
        let want = run(Weights::i8(&integers, 7));
        assert_eq!(run(Weights::f16(&halves)), want);
        assert_eq!(run(Weights::bf16(&brains)), want);
        assert_eq!(run(Weights::f32(&transposed).by_output()), want);
        assert_close(&plan, &want, &product(shape, &x, &w));
    }
}

#[test]
fn bad_shapes_bounds_and_levels_are_refused_by_the_plan() {
    let params = params(CHAINS[0]);
    let plan = |m, k, n, batch| MatmulPlan::new(Shape::new(m, k, n).batch(batch), Packing::Column, &params);
    for shape in [(0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0)] {
        let refused = plan(shape.0, shape.1, shape.2, shape.3);
        assert!(matches!(
            refused,
            Err(MatmulError::Shape {
                why: "a dimension is 0",
                ..
            })
        ));
    }
    for shape in [
        (usize::MAX, 2, 2, 2),
        (2, usize::MAX, 2, 1),
        (2, 2, usize::MAX, 1),
        (1 << 21, 1 << 20, 1, 1),
    ] {
        let refused = plan(shape.0, shape.1, shape.2, shape.3);
        assert!(matches!(
            refused,
            Err(MatmulError::Shape {
                why: "the matrices are too large",
                ..
            })
        ));
    }
    assert!(matches!(
        plan(1, 1, 1, 129),
        Err(MatmulError::Batch {
            batch: 256,
            slots: 128
        })
    ));
    assert!(plan(1, 1, 1, 128).is_ok());
    let with = |options: Options| MatmulPlan::with(Shape::new(2, 3, 4), Packing::Blocks, &params, options);
    for bound in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
        let options = Options {
            input_bound: bound,
            ..Options::default()
        };
        assert!(matches!(
            with(options),
            Err(MatmulError::Bound { what: "inputs", .. })
        ));
        let options = Options {
            weight_bound: bound,
            ..Options::default()
        };
        assert!(matches!(
            with(options),
            Err(MatmulError::Bound { what: "weights", .. })
        ));
    }
    let huge = Options {
        input_bound: 2f64.powi(90),
        ..Options::default()
    };
    assert!(matches!(with(huge), Err(MatmulError::Room { least: 6, .. })));
    let low = Options {
        level: Some(Level(99)),
        ..Options::default()
    };
    assert!(matches!(
        with(low),
        Err(MatmulError::Rlwe(RlweError::NoLevel { .. }))
    ));
    // Level 0 of 40 bits and scale 2^28 leaves no 16 bits for diagonals.
    let narrow = Options {
        level: Some(Level(0)),
        ..Options::default()
    };
    let diagonal = MatmulPlan::with(Shape::new(2, 3, 4), Packing::Diagonal, &params, narrow);
    assert!(matches!(diagonal, Err(MatmulError::Room { level: Level(0), .. })));
}

#[test]
fn bad_values_are_refused_before_any_work() {
    let params = params(CHAINS[0]);
    let ckks = Ckks::new(&Context::new(Cpu::new(), params.clone()).unwrap());
    for packing in Packing::ALL {
        let plan = MatmulPlan::new(Shape::new(2, 3, 4), packing, &params).unwrap();
        let client = Client::new(&ckks, &plan);
        for (at, bad) in [
            (0, f32::NAN),
            (5, f32::INFINITY),
            (11, 1.5),
            (7, f32::NEG_INFINITY),
        ] {
            let mut w = [0.5f32; 12];
            w[at] = bad;
            let refused = plan.encode_weights(&ckks, Weights::f32(&w)).err();
            assert!(matches!(refused, Some(MatmulError::Value { what: "weight", index, .. }) if index == at));
            let mut x = [0.5f64; 6];
            x[at % 6] = f64::from(bad);
            let refused = plan.encrypt_inputs(&ckks, &client.secret, &x).err();
            assert!(
                matches!(refused, Some(MatmulError::Value { what: "input", index, .. }) if index == at % 6)
            );
        }
        let short = plan.encode_weights(&ckks, Weights::f32(&[0.0; 11])).err();
        assert!(matches!(
            short,
            Some(MatmulError::Length {
                given: 11,
                wanted: 12,
                ..
            })
        ));
        let short = plan.encrypt_inputs(&ckks, &client.secret, &[0.0; 7]).err();
        assert!(matches!(
            short,
            Some(MatmulError::Length {
                given: 7,
                wanted: 6,
                ..
            })
        ));
    }
}

#[test]
fn missing_and_short_keys_and_other_plans_are_refused_before_any_work() {
    let params = params(CHAINS[0]);
    let ckks = Ckks::new(&Context::new(Cpu::new(), params.clone()).unwrap());
    let shape = Shape::new(2, 60, 40);
    let plan = MatmulPlan::new(shape, Packing::Diagonal, &params).unwrap();
    assert!(plan.rotations().len() > 2);
    let client = Client::new(&ckks, &plan);
    let weights = plan
        .encode_weights(&ckks, Weights::f32(&vec![0.25; 2400]))
        .unwrap();
    let inputs = client.encrypt(&plan, &[0.5; 120]);
    let none = plan
        .run(&ckks, &[&EvaluationKeys::none()], &weights, &inputs)
        .err();
    assert!(matches!(
        none,
        Some(MatmulError::Rlwe(RlweError::MissingKey { .. }))
    ));
    let some = KeyNeeds::new(&params).rotate(plan.rotations().into_iter().skip(1));
    let some = client
        .secret
        .evaluation_keys(&some)
        .unwrap()
        .expand(ckks.context())
        .unwrap();
    let missing = plan.run(&ckks, &[&some], &weights, &inputs).err();
    assert!(matches!(
        missing,
        Some(MatmulError::Rlwe(RlweError::MissingKey { .. }))
    ));
    let short = KeyNeeds::new(&params).up_to(Level(0)).rotate(plan.rotations());
    let short = client
        .secret
        .evaluation_keys(&short)
        .unwrap()
        .expand(ckks.context())
        .unwrap();
    let refused = plan.run(&ckks, &[&short], &weights, &inputs).err();
    assert!(matches!(
        refused,
        Some(MatmulError::Rlwe(RlweError::KeyLevel { .. }))
    ));
    let keys = plan.run(&ckks, &[], &weights, &inputs).err();
    assert!(matches!(keys, Some(MatmulError::Keys { clients: 1, keys: 0 })));
    let other = MatmulPlan::new(shape.batch(2), Packing::Diagonal, &params).unwrap();
    let refused = other.run(&ckks, &[&client.keys], &weights, &inputs).err();
    assert!(matches!(
        refused,
        Some(MatmulError::Foreign { what: "weights", .. })
    ));
}

/// Scores and weighted sums with two diagonals and two features in a ciphertext, against the plain ones.
#[test]
fn halved_scores_and_sums_are_those_of_attention() {
    let params = params("insecure_n10_rational35_l4_d4");
    let ctx = Context::new(Cpu::new(), params.clone()).unwrap();
    let ckks = Ckks::new(&ctx);
    const D: usize = 4;
    for tokens in [2, 4, 16, 32] {
        let columns = Columns::new(tokens, ckks.max_slots() / tokens).unwrap();
        let secret = SecretKey::generate(&ctx).unwrap();
        let needs = columns.halved_keys(KeyNeeds::new(&params));
        let keys = secret.evaluation_keys(&needs).unwrap().expand(&ctx).unwrap();
        let ev = Evaluator::new(&ckks, &keys);
        let all: Vec<Vec<f64>> = (0..3).map(|i| numbers(D * columns.slots(), i)).collect();
        let encrypt = |i: usize| {
            let slots: Vec<Complex> = all[i].iter().map(|x| Complex::from(*x)).collect();
            let sent = ckks.encrypt(&secret, &slots, D, params.top()).unwrap();
            sent.expand(&ctx).unwrap()
        };
        let (near, far) = columns.scores_halved(&ev, &encrypt(0), &encrypt(1)).unwrap();
        assert_eq!((near.items(), far.items()), (tokens / 2, tokens / 2));
        let read = |ct| {
            ckks.decrypt(&secret, ct)
                .unwrap()
                .release(Release::Owner)
                .unwrap()
        };
        let halves = [read(&near), read(&far)];
        let at = |i: usize, f: usize, t: usize, b: usize| all[i][f * columns.slots() + columns.slot(t, b)];
        let score = |t, u, b| (0..D).map(|f| at(0, f, t, b) * at(1, f, u, b)).sum::<f64>();
        for b in 0..columns.batch() {
            for (t, u) in (0..tokens * tokens).map(|i| (i / tokens, i % tokens)) {
                let (item, half, token) = columns.halved_place(t, u);
                let have = halves[half][item * columns.slots() + columns.slot(token, b)];
                assert!((have.re - score(t, u, b)).abs() < 1e-5 && have.im.abs() < 1e-5);
            }
        }
        let v = ev.adjust(&encrypt(2), near.level(), near.scale()).unwrap();
        let sums = columns
            .weighted_sum_halved(&ev, (&near, &far), &columns.pair(&ev, &v).unwrap())
            .unwrap();
        let (first, second) = columns.split(&ev, &sums).unwrap();
        let parts = [read(&first), read(&second)];
        for b in 0..columns.batch() {
            for (t, c) in (0..tokens * D).map(|i| (i / D, i % D)) {
                let want: f64 = (0..tokens).map(|u| score(t, u, b) * at(2, c, u, b)).sum();
                let have = parts[c / (D / 2)][c % (D / 2) * columns.slots() + columns.slot(t, b)].re;
                assert!(
                    (have - want).abs() < 1e-4,
                    "{tokens} tokens: {have} instead of {want}"
                );
            }
        }
    }
}

#[test]
fn column_weights_come_from_arrays_with_an_exact_scale() {
    let w = [0.5f32, -0.25, 1.0, 0.125, -1.0, 0.75];
    let map = ColumnWeights::encode(Weights::f32(&w), (2, 3), 1.0, 8).unwrap();
    assert_eq!((map.outputs, map.inputs, map.weight_bits), (3, 2, 8));
    assert_eq!(map.weights, [128, 32, -64, -256, 256, 192]);
    let refused = ColumnWeights::encode(Weights::f32(&[f32::NAN; 6]), (2, 3), 1.0, 8);
    assert!(matches!(refused, Err(MatmulError::Value { index: 0, .. })));
    let refused = ColumnWeights::encode(Weights::f32(&w), (2, 3), 0.5, 8);
    assert!(matches!(refused, Err(MatmulError::Value { index: 2, .. })));
    let refused = ColumnWeights::encode(Weights::f32(&w), (2, 3), 1e9, 8);
    assert!(matches!(refused, Err(MatmulError::Bound { .. })));
}

/// Rectangular, padded, and with features in several ciphertexts.
#[test]
fn scores_and_sums_of_one_request_are_those_of_attention() {
    let params = params("insecure_n8_rational45_l3_d1");
    let ctx = Context::new(Cpu::new(), params.clone()).unwrap();
    let ckks = Ckks::new(&ctx);
    for (m, l, d) in [
        (1, 1, 1),
        (4, 4, 8),
        (3, 5, 6),
        (1, 9, 20),
        (7, 2, 3),
        (5, 11, 40),
    ] {
        let single = SingleAttention::new(m, l, d, ckks.max_slots()).unwrap();
        let secret = SecretKey::generate(&ctx).unwrap();
        let keys = secret
            .evaluation_keys(&single.keys(KeyNeeds::new(&params)))
            .unwrap();
        let keys = keys.expand(&ctx).unwrap();
        let ev = Evaluator::new(&ckks, &keys);
        let (q, k, v) = (numbers(m * d, 1), numbers(l * d, 2), numbers(l * d, 3));
        let encrypt = |slots: Vec<Complex>| {
            let sent = ckks
                .encrypt(&secret, &slots, single.items(), params.top())
                .unwrap();
            sent.expand(&ctx).unwrap()
        };
        let read = |ct| {
            ckks.decrypt(&secret, ct)
                .unwrap()
                .release(Release::Owner)
                .unwrap()
        };
        let p = single
            .scores(
                &ev,
                &encrypt(single.pack_queries(&q)),
                &encrypt(single.pack_keys(&k)),
            )
            .unwrap();
        let have = read(&p);
        let score = |t: usize, u: usize| (0..d).map(|f| q[t * d + f] * k[u * d + f]).sum::<f64>();
        for (t, u) in (0..m * l).map(|i| (i / l, i % l)) {
            let (item, slot) = single.score_place(t, u);
            assert!((have[item * single.slots() + slot].re - score(t, u)).abs() < 1e-6);
        }
        let v_ct = encrypt(single.pack_keys(&v));
        let v_ct = ev.adjust(&v_ct, p.level(), p.scale()).unwrap();
        let sums = single.unpack(&read(&single.weighted_sum(&ev, &p, &v_ct).unwrap()));
        for (i, have) in sums.iter().enumerate() {
            let want: f64 = (0..l).map(|u| score(i / d, u) * v[u * d + i % d]).sum();
            assert!(
                (have - want).abs() < 1e-5,
                "{m} x {l} x {d}: {have} instead of {want}"
            );
        }
    }
    assert!(SingleAttention::new(100, 30, 4, 128).is_err());
    assert!(SingleAttention::new(0, 1, 1, 128).is_err());
}

/// Bytes, ciphertexts and keys that a cost names are those that there are, for twenty shapes; the peak covers inputs and results.
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

/// Attention with two diagonals in a ciphertext gives what attention gives, with fewer key switches.
#[test]
fn halved_attention_is_attention() {
    let params = params("insecure_n7_rational38_l4_d2");
    let ctx = Context::new(Cpu::new(), params.clone()).unwrap();
    let ckks = Ckks::new(&ctx);
    let columns = Columns::new(8, 8).unwrap();
    let map = |seed| {
        let w: Vec<f32> = numbers(16, seed).iter().map(|w| *w as f32 / 2.0).collect();
        ColumnWeights::encode(Weights::f32(&w), (4, 4), 1.0, 8).unwrap()
    };
    let [query, key, value, output] = [1, 2, 3, 4].map(map);
    let head = Head {
        shift: 0.5,
        offset: -0.1,
    };
    let full = Attention {
        columns,
        halved: false,
        heads: vec![head; 2],
        query,
        key,
        value,
        output,
    };
    let halved = Attention {
        halved: true,
        ..full.clone()
    };
    let count = |a: &Attention| a.key_switches().0 + a.key_switches().1;
    assert!(count(&halved) < count(&full));
    let secret = SecretKey::generate(&ctx).unwrap();
    let x: Vec<Complex> = numbers(4 * 64, 5).into_iter().map(Complex::from).collect();
    let x = ckks
        .encrypt(&secret, &x, 4, params.top())
        .unwrap()
        .expand(&ctx)
        .unwrap();
    let run = |attention: &Attention| {
        let keys = secret
            .evaluation_keys(&attention.keys(&params))
            .unwrap()
            .expand(&ctx)
            .unwrap();
        let mut silent = |_, _, _| ();
        let ev = Evaluator::new(&ckks, &keys);
        let y = attention
            .forward(&ev, &x, &mut Progress::new(&mut silent))
            .unwrap();
        ckks.decrypt(&secret, &y)
            .unwrap()
            .release(Release::Owner)
            .unwrap()
    };
    let (a, b) = (run(&full), run(&halved));
    let largest = a.iter().map(|z| z.re.abs()).fold(0.0, f64::max);
    assert!(largest > 0.1);
    for (a, b) in a.iter().zip(&b) {
        assert!((a.re - b.re).abs() < 1e-4, "{} and {}", a.re, b.re);
    }
}
