//! What is refused, and that nothing ran before.

use cipherformer::{
    arith::Complex,
    backend::{cpu::Cpu, null::Null},
    ckks::{Ciphertext, Ckks, CkksError, Evaluator, Release},
    matmul::{
        ColumnWeights, Columns, Inputs, MatmulError, MatmulPlan, Options, Packing, Shape, SingleAttention,
        TiledColumns, Weights,
    },
    ring::{ChainKind, ChainSpec},
    rlwe::{Context, EvaluationKeys, KeyNeeds, Level, Params, RlweError, SecretKey},
};

use super::{
    CHAINS, Client,
    chain::{insecure, uniform},
    numbers, params,
};

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

/// Parameters that differ in the digits of their keys alone: as many levels, primes and bits.
fn alike(digits: usize) -> Params {
    insecure(&ChainSpec {
        base_bits: 60.0,
        ..uniform(8, ChainKind::Rational, 40.0, 2, digits)
    })
}

/// Whether an error came before any operation of the backend.
fn idle<T, E>(null: &Null, run: impl FnOnce() -> Result<T, E>) -> E {
    null.reset();
    let error = run().err().unwrap();
    assert!(null.counts().operations.is_empty(), "{}", null.counts());
    error
}

/// Weights, inputs and results of other parameters are refused, though shape, level and bits are the same.
#[test]
fn operands_of_other_parameters_are_refused() {
    let null = Null::new();
    let (ours, theirs) = (alike(2), alike(3));
    let ckks = |params: &Params| Ckks::new(&Context::new(null.clone(), params.clone()).unwrap());
    let (here, there) = (ckks(&ours), ckks(&theirs));
    let shape = Shape::new(3, 12, 7);
    let (x, w) = (numbers(36, 1), vec![0.5f32; 84]);
    for packing in Packing::ALL {
        let plan = |params| MatmulPlan::new(shape, packing, params).unwrap();
        let (plan, other) = (plan(&ours), plan(&theirs));
        assert_eq!(
            (plan.level(), plan.weight_bits()),
            (other.level(), other.weight_bits())
        );
        let made = |plan: &MatmulPlan, ckks: &Ckks<Null>| {
            let secret = SecretKey::generate(ckks.context()).unwrap();
            let weights = plan.encode_weights(ckks, Weights::f32(&w)).unwrap();
            let inputs = plan.encrypt_inputs(ckks, &secret, &x).unwrap();
            let keys = secret.evaluation_keys(&plan.keys()).unwrap();
            let (inputs, keys) = (inputs.expand(ckks.context()), keys.expand(ckks.context()));
            (secret, weights, inputs.unwrap(), keys.unwrap())
        };
        let (secret, weights, inputs, keys) = made(&plan, &here);
        let (_, their_weights, their_inputs, their_keys) = made(&other, &there);
        let foreign = |e: MatmulError, named: &str| match e {
            MatmulError::Rlwe(RlweError::Foreign { what, .. }) => assert_eq!(what, named),
            other => panic!("{other}"),
        };
        let run = |weights, inputs, keys: &EvaluationKeys<Null>| {
            idle(&null, || plan.run(&here, &[keys], weights, inputs))
        };
        foreign(run(&their_weights, &inputs, &keys), "weights");
        foreign(run(&weights, &their_inputs, &keys), "inputs");
        if packing == Packing::Diagonal {
            foreign(run(&weights, &inputs, &their_keys), "the key");
        }
        foreign(
            idle(&null, || plan.run(&there, &[&keys], &weights, &inputs)),
            "the context",
        );
        foreign(
            idle(&null, || plan.encode_weights(&there, Weights::f32(&w))),
            "the context",
        );
        foreign(
            idle(&null, || plan.encrypt_inputs(&there, &secret, &x)),
            "the context",
        );
        foreign(idle(&null, || Inputs::join(&there, &[inputs])), "the context");
        let outputs = other
            .run(&there, &[&their_keys], &their_weights, &their_inputs)
            .unwrap();
        let read = || plan.decrypt_outputs(&here, &secret, &outputs, Release::Owner);
        foreign(idle(&null, read), "outputs");
    }
}

/// Every kind of bad input of a product with a plain matrix, on the backend that counts.
#[test]
fn nothing_runs_before_an_error_of_a_plain_product() {
    let null = Null::new();
    let params = params(CHAINS[0]);
    let ctx = Context::new(null.clone(), params.clone()).unwrap();
    let ckks = Ckks::new(&ctx);
    let secret = SecretKey::generate(&ctx).unwrap();
    for packing in Packing::ALL {
        let shape = Shape::new(2, 60, 40);
        let plan = MatmulPlan::new(shape, packing, &params).unwrap();
        let good = plan
            .encode_weights(&ckks, Weights::f32(&vec![0.5; 2400]))
            .unwrap();
        let inputs = plan.encrypt_inputs(&ckks, &secret, &[0.5; 120]).unwrap();
        let inputs = inputs.expand(&ctx).unwrap();
        for bad in [f32::NAN, f32::INFINITY, 1.5] {
            let mut w = vec![0.5; 2400];
            w[77] = bad;
            let error = idle(&null, || plan.encode_weights(&ckks, Weights::f32(&w)));
            assert!(matches!(error, MatmulError::Value { index: 77, .. }));
            let mut x = [0.5; 120];
            x[77] = f64::from(bad);
            let error = idle(&null, || plan.encrypt_inputs(&ckks, &secret, &x));
            assert!(matches!(error, MatmulError::Value { index: 77, .. }));
        }
        let error = idle(&null, || plan.encode_weights(&ckks, Weights::f32(&[0.5; 7])));
        assert!(matches!(error, MatmulError::Length { given: 7, .. }));
        let error = idle(&null, || plan.encrypt_inputs(&ckks, &secret, &[0.5; 7]));
        assert!(matches!(error, MatmulError::Length { given: 7, .. }));
        // Overflow of shapes and scales, and more requests than slots, are found by the plan, without a backend.
        let other = MatmulPlan::new(shape.batch(2), packing, &params).unwrap();
        let of_other = other.encrypt_inputs(&ckks, &secret, &[0.5; 240]).unwrap();
        let of_other = of_other.expand(&ctx).unwrap();
        let error = idle(&null, || other.run(&ckks, &[], &good, &of_other));
        assert!(matches!(error, MatmulError::Foreign { what: "weights", .. }));
        let error = idle(&null, || plan.run(&ckks, &[], &good, &of_other));
        assert!(matches!(error, MatmulError::Foreign { what: "inputs", .. }));
        let error = idle(&null, || Inputs::join(&ckks, &[inputs, of_other]));
        assert!(matches!(error, MatmulError::Foreign { what: "inputs", .. }));
        let error = idle(&null, || Inputs::<Null>::join(&ckks, &[]));
        assert!(matches!(error, MatmulError::NoInputs));
    }
    let plan = MatmulPlan::new(Shape::new(2, 60, 40), Packing::Diagonal, &params).unwrap();
    let weights = plan
        .encode_weights(&ckks, Weights::f32(&vec![0.5; 2400]))
        .unwrap();
    let inputs = plan.encrypt_inputs(&ckks, &secret, &[0.5; 120]).unwrap();
    let inputs = inputs.expand(&ctx).unwrap();
    let keys = |needs: &KeyNeeds| secret.evaluation_keys(needs).unwrap().expand(&ctx).unwrap();
    let rotations = plan.rotations();
    for (skip, step) in rotations.iter().enumerate() {
        let others = rotations.iter().filter(|s| *s != step).copied();
        let keys = keys(&KeyNeeds::new(&params).rotate(others));
        let error = idle(&null, || plan.run(&ckks, &[&keys], &weights, &inputs));
        assert!(
            matches!(error, MatmulError::Rlwe(RlweError::MissingKey { .. })),
            "key {skip}"
        );
    }
    let short = keys(&KeyNeeds::new(&params).up_to(Level(0)).rotate(rotations));
    let error = idle(&null, || plan.run(&ckks, &[&short], &weights, &inputs));
    assert!(matches!(error, MatmulError::Rlwe(RlweError::KeyLevel { .. })));
    let error = idle(&null, || plan.run(&ckks, &[], &weights, &inputs));
    assert!(matches!(error, MatmulError::Keys { clients: 1, keys: 0 }));
}

type Operation<'a> = &'a dyn Fn(&Evaluator<'_, Null>) -> Result<(), CkksError>;

/// Demands that each key of `needs` is missed, and a key below the level, before anything runs.
fn every_key_is_demanded(
    null: &Null,
    (ckks, secret): (&Ckks<Null>, &SecretKey<Null>),
    (rotations, conjugates): (&[i64], bool),
    operation: Operation<'_>,
) {
    let (ctx, params) = (ckks.context(), ckks.context().params());
    let keys = |needs: &KeyNeeds| secret.evaluation_keys(needs).unwrap().expand(ctx).unwrap();
    let conjugate = |needs: KeyNeeds| if conjugates { needs.conjugate() } else { needs };
    let refused = |needs: &KeyNeeds, short: bool| {
        let keys = keys(needs);
        let error = idle(null, || operation(&Evaluator::new(ckks, &keys)));
        match error {
            CkksError::Rlwe(RlweError::MissingKey { .. }) => assert!(!short),
            CkksError::Rlwe(RlweError::KeyLevel { .. }) => assert!(short),
            other => panic!("{other}"),
        }
    };
    let all = |needs: KeyNeeds| conjugate(needs.relinearise().rotate(rotations.iter().copied()));
    operation(&Evaluator::new(ckks, &keys(&all(KeyNeeds::new(params))))).unwrap();
    refused(&all(KeyNeeds::new(params).up_to(Level(0))), true);
    refused(
        &conjugate(KeyNeeds::new(params).rotate(rotations.iter().copied())),
        false,
    );
    for step in rotations {
        let others = rotations.iter().filter(|s| *s != step).copied();
        refused(
            &conjugate(KeyNeeds::new(params).relinearise().rotate(others)),
            false,
        );
    }
    if conjugates {
        refused(
            &KeyNeeds::new(params)
                .relinearise()
                .rotate(rotations.iter().copied()),
            false,
        );
    }
}

/// Missing and short keys of products of ciphertexts; operands of other shapes, levels, scales and parameters; no level left.
#[test]
fn nothing_runs_before_an_error_of_a_product_of_ciphertexts() {
    let null = Null::new();
    let params = params("insecure_n7_rational38_l4_d2");
    let ctx = Context::new(null.clone(), params.clone()).unwrap();
    let ckks = Ckks::new(&ctx);
    let secret = SecretKey::generate(&ctx).unwrap();
    let encrypt = |items: usize, slots: usize, level: Level| -> Ciphertext<Null> {
        let zeros = vec![Complex::default(); items * slots];
        let sent = ckks.encrypt(&secret, &zeros, items, level).unwrap();
        sent.expand(&ctx).unwrap()
    };
    let party = (&ckks, &secret);
    let top = params.top();

    let columns = Columns::with_keys(16, 8, 4).unwrap();
    let (q, p, half) = (encrypt(3, 64, top), encrypt(8, 64, top), encrypt(4, 64, top));
    // s = 4 baby steps, 2 giant steps; halved 2 and 2.
    let scores = |ev: &Evaluator<'_, Null>| columns.scores(ev, &q, &q).map(drop);
    every_key_is_demanded(&null, party, (&[4, 8, 12, 48], false), &scores);
    let sums = |ev: &Evaluator<'_, Null>| columns.weighted_sum(ev, &p, &q).map(drop);
    every_key_is_demanded(&null, party, (&[4, 8, 12, 16], false), &sums);
    let scores = |ev: &Evaluator<'_, Null>| columns.scores_halved(ev, &q, &q).map(drop);
    every_key_is_demanded(&null, party, (&[4, 16, 56], true), &scores);
    let sums = |ev: &Evaluator<'_, Null>| columns.weighted_sum_halved(ev, (&half, &half), &q).map(drop);
    every_key_is_demanded(&null, party, (&[4, 8, 16, 20], false), &sums);
    let tiled = TiledColumns::new(20, 19, 1, 4, 64).unwrap();
    let (queries, scores_of) = (encrypt(2, 64, top), encrypt(64, 64, top));
    let scores = |ev: &Evaluator<'_, Null>| tiled.scores(ev, &queries, &queries).map(drop);
    every_key_is_demanded(&null, party, (&[4, 8, 12, 16, 20, 24, 28, 32], false), &scores);
    let sums = |ev: &Evaluator<'_, Null>| tiled.weighted_sum(ev, &scores_of, &queries).map(drop);
    every_key_is_demanded(&null, party, (&[4, 8, 12, 16, 20, 24, 28, 32], false), &sums);
    let single = SingleAttention::new(3, 4, 5, 64).unwrap();
    let (x, weights) = (encrypt(1, 64, top), encrypt(4, 64, top));
    let scores = |ev: &Evaluator<'_, Null>| single.scores(ev, &x, &x).map(drop);
    every_key_is_demanded(&null, party, (&[1, 2, 3, 8, 16, 32], false), &scores);
    let sums = |ev: &Evaluator<'_, Null>| single.weighted_sum(ev, &weights, &x).map(drop);
    every_key_is_demanded(&null, party, (&[1, 2, 3], false), &sums);

    // Operands.
    let needs = single.keys(tiled.needs(columns.halved_keys(columns.attention_keys(KeyNeeds::new(&params)))));
    let keys = secret.evaluation_keys(&needs).unwrap().expand(&ctx).unwrap();
    let ev = Evaluator::new(&ckks, &keys);
    let low = encrypt(3, 64, Level(0));
    let bad: [(&Ciphertext<Null>, &Ciphertext<Null>); 4] = [
        (&q, &encrypt(3, 32, top)),
        (&q, &encrypt(2, 64, top)),
        (&q, &encrypt(3, 64, Level(top.0 - 1))),
        (&low, &low),
    ];
    for (a, b) in bad {
        idle(&null, || columns.scores(&ev, a, b));
        idle(&null, || columns.scores_halved(&ev, a, b));
        idle(&null, || tiled.scores(&ev, a, b));
        idle(&null, || single.scores(&ev, a, b));
    }
    let other = encrypt(1, 32, top);
    let of = |x: &Ciphertext<Null>, more: u32| x.clone().divided_by_pow2(more).unwrap();
    idle(&null, || columns.weighted_sum(&ev, &q, &q));
    idle(&null, || columns.weighted_sum(&ev, &p, &low));
    idle(&null, || columns.weighted_sum(&ev, &of(&p, 400), &q));
    idle(&null, || {
        columns.weighted_sum_halved(&ev, (&half, &of(&half, 1)), &q)
    });
    idle(&null, || columns.weighted_sum_halved(&ev, (&half, &q), &q));
    idle(&null, || tiled.weighted_sum(&ev, &p, &queries));
    idle(&null, || single.weighted_sum(&ev, &p, &x));
    idle(&null, || columns.sum_tokens(&ev, &other));
    idle(&null, || columns.pair(&ev, &q));
}

/// Shapes that overflow, are empty, or have other numbers than were given.
#[test]
fn shapes_of_attention_are_checked() {
    for (tokens, batch) in [
        (1 << 40, 1 << 40),
        (1 << 62, 4),
        (3, 4),
        (4, 0),
        (0, 4),
        (1 << 16, 2),
    ] {
        assert!(Columns::new(tokens, batch).is_err(), "{tokens} x {batch}");
    }
    assert!(Columns::with_keys(4, 8, 2).is_err());
    let huge = usize::MAX;
    for (m, l, d, slots) in [
        (0, 1, 1, 128),
        (1, 0, 1, 128),
        (1, 1, 0, 128),
        (1, 1, 1, 100),
        (1, 1, 1, 0),
        (1, 1, (1 << 63) + 1, 128),
        (huge, huge, 1, 128),
        (1, huge, 2, 128),
        (1 << 33, 1, 1, 128),
        (1 << 20, 1 << 20, 1, 128),
    ] {
        assert!(SingleAttention::new(m, l, d, slots).is_err(), "{m} x {l} x {d}");
        assert!(TiledColumns::new(m, l, d, 1, slots).is_err(), "{m} x {l} x {d}");
    }
    assert!(TiledColumns::new(1, 1, 1, 0, 128).is_err());
    assert!(TiledColumns::new(1, 1, 1, 129, 128).is_err());
    assert!(TiledColumns::new(1, 1, 1, huge, 128).is_err());
    let single = SingleAttention::new(3, 5, 2, 64).unwrap();
    let tiled = TiledColumns::new(3, 5, 2, 2, 64).unwrap();
    let wrong = |e: Option<CkksError>| assert!(matches!(e, Some(CkksError::Length { .. })));
    for count in [0, 5, 7, 9, 11, 19, 21] {
        wrong(single.pack_queries(&vec![0.0; count]).err());
        wrong(single.pack_keys(&vec![0.0; count]).err());
        wrong(single.unpack(&vec![Complex::default(); count]).err());
        wrong(tiled.pack_queries(&vec![0.0; count]).err());
        wrong(tiled.pack_keys(&vec![0.0; count]).err());
        wrong(tiled.unpack(&vec![Complex::default(); count]).err());
    }
}
