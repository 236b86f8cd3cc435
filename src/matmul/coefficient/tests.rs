//! Products equal those of integers, modulo t.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use super::*;
use crate::{
    backend::{
        cpu::Cpu,
        null::{Null, Operation},
    },
    bfv::{Bfv, BfvError, Params, Release, Spec},
    rlwe::{EvaluationKeys, KeyNeeds, RlweError, SecretKey},
};

/// Reproducible numbers (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Residues modulo t; in every fourth matrix all extreme.
    fn residues(&mut self, t: u128, count: usize) -> Vec<u64> {
        let extremes = [(t - 1) as u64, (t / 2) as u64, ((t - 1) / 2) as u64];
        let extreme = self.next().is_multiple_of(4);
        let value = |r: &mut Self| match extreme {
            true => extremes[(r.next() % 3) as usize],
            false => (u128::from(r.next()) % t) as u64,
        };
        (0..count).map(|_| value(self)).collect()
    }

    /// Integers up to a magnitude; in every fourth matrix all extreme.
    fn integers(&mut self, bound: u64, count: usize) -> Vec<i64> {
        let extreme = self.next().is_multiple_of(4);
        let value = |r: &mut Self| {
            let magnitude = match extreme {
                true => bound,
                false => r.next() % (bound + 1),
            };
            let negative = r.next().is_multiple_of(2) || magnitude > i64::MAX as u64;
            if negative {
                (magnitude as i64).wrapping_neg()
            } else {
                magnitude as i64
            }
        };
        (0..count).map(|_| value(self)).collect()
    }
}

/// x w + bias modulo t, entry by entry.
fn expected(t: u128, shape: Shape, x: &[u64], w: &[u64], bias: Option<&[i64]>) -> Vec<u64> {
    let entry = |a: usize, d: usize| {
        let start = bias.map_or(0, |b| i128::from(b[d]).rem_euclid(t as i128) as u128);
        (0..shape.k).fold(start % t, |sum, c| {
            let product = u128::from(x[a * shape.k + c]) * u128::from(w[c * shape.n + d]) % t;
            (sum + product) % t
        })
    };
    (0..shape.m * shape.n)
        .map(|at| entry(at / shape.n, at % shape.n) as u64)
        .collect()
}

struct Party {
    bfv: Bfv<Cpu>,
    random: Random,
}

impl Party {
    fn new(log_n: u32, primes: usize, t: u128) -> Self {
        let spec = Spec {
            log_n,
            primes,
            digits: primes,
            plain: t,
        };
        Self {
            bfv: Bfv::new(Cpu::poisoned(), Params::insecure(spec).unwrap()).unwrap(),
            random: Random(t as u64 ^ u64::from(log_n)),
        }
    }

    fn t(&self) -> u128 {
        self.bfv.plain().value()
    }

    fn keys(&self, plan: &Plan, request: usize) -> (SecretKey<Cpu>, EvaluationKeys<Cpu>) {
        let ctx = self.bfv.context();
        let secret = SecretKey::insecure_deterministic(ctx, [request as u8 + 1; 32]).unwrap();
        let needs = plan.keys(KeyNeeds::new(ctx.params()));
        let keys = secret.evaluation_keys(&needs).unwrap().expand(ctx).unwrap();
        (secret, keys)
    }

    /// Runs a plan on random operands, and demands the integer product from every request.
    fn check(&mut self, plan: &Plan) {
        let (shape, t, plan_bound) = (plan.shape(), self.t(), plan.weight_bound());
        let (requests, encrypted) = (plan.request().requests, plan.request().encrypted);
        let residue = |w: &i64| i128::from(*w).rem_euclid(t as i128) as u64;
        let bias: Vec<i64> = self.random.integers((t / 2) as u64, shape.n);
        let parties: Vec<_> = (0..requests).map(|i| self.keys(plan, i)).collect();
        let keys: Vec<_> = parties.iter().map(|(_, keys)| keys).collect();
        let (bfv, mut wanted) = (self.bfv.clone(), Vec::new());
        let encrypt = |secret: &SecretKey<Cpu>, side, values: &[u64]| {
            let sent = plan.encrypt(&bfv, secret, side, values).unwrap();
            sent.expand(bfv.context()).unwrap()
        };
        let results = if encrypted == Encrypted::Both {
            let (mut left, mut right) = (Vec::new(), Vec::new());
            for (secret, _) in &parties {
                let x = self.random.residues(t, shape.m * shape.k);
                let w = self.random.residues(t, shape.k * shape.n);
                left.push(encrypt(secret, Side::Left, &x));
                right.push(encrypt(secret, Side::Right, &w));
                wanted.push(expected(t, shape, &x, &w, None));
            }
            let results = plan.multiply_encrypted(&self.bfv, &left, &right, &keys).unwrap();
            results.into_iter().map(|r| vec![r]).collect::<Vec<_>>()
        } else {
            let (side, plain, cipher) = match encrypted {
                Encrypted::Left => (Side::Left, shape.k * shape.n, shape.m * shape.k),
                _ => (Side::Right, shape.m * shape.k, shape.k * shape.n),
            };
            let values = self.random.integers(plan_bound, plain);
            let weights = plan.weights(&values).unwrap().with_bias(&bias).unwrap();
            let plain: Vec<u64> = values.iter().map(residue).collect();
            let mut inputs = Vec::new();
            for (secret, _) in &parties {
                let x = self.random.residues(t, cipher);
                inputs.push(encrypt(secret, side, &x));
                let (left, right) = match side {
                    Side::Left => (&x, &plain),
                    Side::Right => (&plain, &x),
                };
                wanted.push(expected(t, shape, left, right, Some(&bias)));
            }
            let prepared = weights.prepare(&self.bfv).unwrap();
            let run = |plain: Plain<'_, Cpu>| plan.multiply(&self.bfv, &plain, &inputs, &keys).unwrap();
            let (fly, ready) = (run(Plain::OnTheFly(&weights)), run(Plain::Prepared(&prepared)));
            fly.into_iter().zip(ready).map(|(a, b)| vec![a, b]).collect()
        };
        for ((results, (secret, _)), wanted) in results.into_iter().zip(&parties).zip(&wanted) {
            for results in results {
                let outputs = results.release(&self.bfv).unwrap();
                let decrypted = outputs.decrypt(&self.bfv, secret).unwrap();
                let have = decrypted.release(Release::Exact(plan.noise())).unwrap();
                assert!(have == *wanted, "{plan:?}");
            }
        }
    }
}

/// Every way to ask, for one scheme and shape.
fn every_way(party: &mut Party, shape: Shape, bound: Option<u64>) {
    for encrypted in [Encrypted::Left, Encrypted::Right] {
        for output in [Output::Cut, Output::Packed] {
            for objective in Objective::ALL {
                let mut request = Request::new(shape).encrypted(encrypted).output(output);
                (request.objective, request.weight_bound) = (objective, bound);
                party.check(&Plan::new(party.bfv.params(), &request).unwrap());
            }
        }
    }
}

#[test]
fn awkward_shapes_and_powers_of_two() {
    let shapes = [
        (1, 1, 1),
        (7, 11, 13),
        (1, 64, 3),
        (64, 1, 5),
        (3, 129, 2),
        (33, 40, 17),
    ];
    for t in [1 << 37, 1 << 16] {
        let mut party = Party::new(6, 5, t);
        for (m, k, n) in shapes {
            every_way(&mut party, Shape::new(m, k, n), None);
        }
    }
}

#[test]
fn odd_moduli_and_small_weights() {
    for t in [3, 65_537, 1_000_003, (1 << 45) - 55] {
        let mut party = Party::new(5, 5, t);
        for (m, k, n) in [(1, 1, 1), (5, 37, 3), (17, 2, 23)] {
            let bound = Some(((t / 2) as u64).min(127));
            every_way(&mut party, Shape::new(m, k, n), bound);
        }
    }
}

#[test]
fn the_largest_moduli() {
    for (t, primes) in [(1 << 59, 6), (1 << 64, 6), ((1 << 64) - 59, 6)] {
        let mut party = Party::new(6, primes, t);
        for (m, k, n) in [(1, 1, 1), (9, 31, 5), (2, 70, 40)] {
            every_way(&mut party, Shape::new(m, k, n), None);
        }
    }
}

#[test]
fn both_operands_encrypted() {
    for (t, primes) in [(65_537, 6), (1 << 37, 8), (1 << 64, 12)] {
        let mut party = Party::new(5, primes, t);
        for (m, k, n) in [(1, 1, 1), (3, 5, 7), (11, 40, 3)] {
            for output in [Output::Cut, Output::Packed] {
                for objective in Objective::ALL {
                    let request = Request::new(Shape::new(m, k, n)).encrypted(Encrypted::Both);
                    let request = request.output(output).objective(objective);
                    party.check(&Plan::new(party.bfv.params(), &request).unwrap());
                }
            }
        }
    }
}

#[test]
fn requests_with_keys_of_their_own_share_weights() {
    let mut party = Party::new(6, 4, 1 << 20);
    for encrypted in [Encrypted::Left, Encrypted::Right, Encrypted::Both] {
        for output in [Output::Cut, Output::Packed] {
            let request = Request::new(Shape::new(5, 21, 9))
                .encrypted(encrypted)
                .output(output);
            let plan = Plan::new(party.bfv.params(), &request.requests(3)).unwrap();
            party.check(&plan);
        }
    }
}

#[test]
fn chosen_blocks_and_groups_that_are_not_full() {
    let mut party = Party::new(6, 4, 1 << 20);
    let shape = Shape::new(6, 20, 7);
    for (b, i, o, output) in [
        (1, 1, 1, Output::Packed),
        (2, 8, 4, Output::Packed),
        (1, 16, 2, Output::Packed),
        (3, 4, 5, Output::Packed),
        (1, 64, 1, Output::Packed),
        (3, 7, 3, Output::Cut),
        (4, 5, 3, Output::Cut),
        (1, 63, 1, Output::Cut),
        (7, 3, 3, Output::Cut),
    ] {
        for encrypted in [Encrypted::Left, Encrypted::Right] {
            let request = Request::new(shape).encrypted(encrypted).output(output);
            let block = Block::new(b, i, o);
            let plan = Plan::with_block(party.bfv.params(), &request, block).unwrap();
            assert_eq!(plan.block(), block);
            party.check(&plan);
        }
    }
}

#[test]
fn objectives_order_what_they_name() {
    let params = Params::new(Spec::n13(1 << 37)).unwrap();
    let request = Request::new(Shape::new(128, 768, 768)).weight_bound(1 << 12);
    let costs = Objective::ALL.map(|o| *Plan::new(&params, &request.objective(o)).unwrap().costs());
    for other in costs {
        assert!(costs[0].time_us <= other.time_us);
        assert!(costs[1].bytes_up <= other.bytes_up);
        assert!(costs[2].bytes_down <= other.bytes_down);
        let all = |c: Costs| c.bytes_up + c.bytes_down;
        assert!(all(costs[3]) <= all(other));
    }
}

/// Ciphertexts up, down, products and automorphisms of the blocks that the literature chooses at N = 2^13.
#[test]
fn counts_of_known_blocks() {
    let params = Params::new(Spec::n13(1 << 37)).unwrap();
    for ((m, k, n), (b, i, o), output, wanted) in [
        ((128, 128, 128), (128, 8, 8), Output::Cut, [16, 16, 256, 0]),
        ((128, 768, 768), (128, 8, 8), Output::Cut, [96, 96, 9216, 0]),
        ((128, 768, 3072), (128, 4, 16), Output::Cut, [192, 192, 36864, 0]),
        ((128, 128, 128), (128, 64, 1), Output::Packed, [2, 2, 256, 126]),
        ((128, 768, 768), (128, 64, 1), Output::Packed, [12, 12, 9216, 756]),
        (
            (128, 768, 3072),
            (128, 64, 1),
            Output::Packed,
            [12, 48, 36864, 3024],
        ),
        (
            (128, 3072, 768),
            (128, 64, 1),
            Output::Packed,
            [48, 12, 36864, 756],
        ),
    ] {
        let request = Request::new(Shape::new(m, k, n))
            .output(output)
            .weight_bound(1 << 12);
        let plan = Plan::with_block(&params, &request, Block::new(b, i, o)).unwrap();
        let c = plan.costs();
        let have = [c.ciphertexts_up, c.ciphertexts_down, c.products, c.automorphisms];
        assert_eq!(have, wanted, "{m}x{k}x{n} ({b}, {i}, {o})");
    }
}

/// The counting backend sees as many key switches and products as a plan says.
#[test]
fn counts_are_what_runs() {
    let spec = Spec {
        log_n: 6,
        primes: 4,
        digits: 4,
        plain: 1 << 20,
    };
    let backend = Null::new();
    let bfv = Bfv::new(backend.clone(), Params::insecure(spec).unwrap()).unwrap();
    let ctx = bfv.context();
    let secret = SecretKey::insecure_deterministic(ctx, [1; 32]).unwrap();
    for (m, k, n) in [(1, 1, 1), (5, 21, 9), (3, 129, 2), (33, 40, 17)] {
        for output in [Output::Cut, Output::Packed] {
            for requests in [1, 3] {
                let request = Request::new(Shape::new(m, k, n))
                    .output(output)
                    .requests(requests);
                let plan = Plan::new(bfv.params(), &request).unwrap();
                let needs = plan.keys(KeyNeeds::new(ctx.params()));
                assert_eq!(needs.count(), plan.costs().keys);
                let keys = secret.evaluation_keys(&needs).unwrap().expand(ctx).unwrap();
                let sent = plan.encrypt(&bfv, &secret, Side::Left, &vec![0; m * k]).unwrap();
                assert_eq!(requests * sent.items(), plan.costs().ciphertexts_up);
                let inputs = vec![sent.expand(ctx).unwrap(); requests];
                let weights = plan.weights(&vec![0; k * n]).unwrap();
                let (plain, keys) = (Plain::OnTheFly(&weights), vec![&keys; requests]);
                backend.reset();
                let results = plan.multiply(&bfv, &plain, &inputs, &keys).unwrap();
                let (counts, costs) = (backend.counts(), plan.costs());
                assert_eq!(counts.key_switches, costs.automorphisms as u64);
                let rows = ctx.level("test", plan.levels().input).unwrap().rows.len() as u64;
                let sums = counts.of(Operation::BlockProduct).rows / (2 * rows);
                assert_eq!(sums * plan.tiles().k as u64, costs.products as u64);
                let evaluated = counts.of(Operation::Evaluate).rows / rows;
                assert_eq!(evaluated, costs.plain_polynomials as u64);
                let down: usize = results.iter().map(|r| r.ciphertexts().items()).sum();
                assert_eq!(down, costs.ciphertexts_down);
            }
        }
    }
}

/// Costs name what the plan counts, memory for operands and results at least, and times that there are.
#[test]
fn costs_of_plans_are_complete() {
    let spec = Spec {
        log_n: 6,
        primes: 6,
        digits: 6,
        plain: 65_537,
    };
    let bfv = Bfv::new(Cpu::new(), Params::insecure(spec).unwrap()).unwrap();
    for encrypted in [Encrypted::Left, Encrypted::Right, Encrypted::Both] {
        for (output, requests) in [(Output::Cut, 1), (Output::Packed, 1), (Output::Packed, 3)] {
            let request = Request::new(Shape::new(9, 40, 13))
                .encrypted(encrypted)
                .output(output)
                .requests(requests);
            let plan = Plan::new(bfv.params(), &request).unwrap();
            let rates = plan.rates(&bfv).unwrap();
            let (cost, costs) = (plan.cost(&rates).unwrap(), plan.costs());
            assert_eq!(
                (cost.keys, cost.key_bytes, cost.bytes_up, cost.bytes_down),
                (costs.keys, costs.key_bytes, costs.bytes_up, costs.bytes_down)
            );
            assert!(cost.run_us > 0.0 && cost.run_us.is_finite(), "{cost:?}");
            assert_eq!(cost.prepare_us > 0.0, encrypted != Encrypted::Both, "{cost:?}");
            let rows = |level| bfv.context().level("test", level).unwrap().rows.len() as u64;
            let levels = plan.levels();
            let held = costs.ciphertexts_up as u64 * rows(levels.input)
                + costs.ciphertexts_down as u64 * rows(levels.output)
                + costs.plain_polynomials as u64 * rows(levels.input) / 2;
            assert!(cost.peak_bytes >= 2 * held * (4 << 6), "{cost:?}");
        }
    }
}

#[test]
fn lwe_ciphertexts_of_results() {
    let mut party = Party::new(6, 4, 1 << 20);
    let (shape, t) = (Shape::new(5, 9, 4), party.t());
    for output in [Output::Cut, Output::Packed] {
        let request = Request::new(shape).output(output);
        let plan = Plan::new(party.bfv.params(), &request).unwrap();
        let (secret, keys) = party.keys(&plan, 0);
        let x = party.random.residues(t, 45);
        let w = party.random.integers(1000, 36);
        let residues: Vec<u64> = w
            .iter()
            .map(|w| party.bfv.plain().residue(i128::from(*w)))
            .collect();
        let sent = plan.encrypt(&party.bfv, &secret, Side::Left, &x).unwrap();
        let inputs = [sent.expand(party.bfv.context()).unwrap()];
        let weights = plan.weights(&w).unwrap();
        let results = plan
            .multiply(&party.bfv, &Plain::OnTheFly(&weights), &inputs, &[&keys])
            .unwrap();
        let lwe = results[0].extract(&party.bfv).unwrap();
        let values: Vec<Vec<u64>> = (lwe.iter())
            .map(|l| {
                party
                    .bfv
                    .decrypt_lwe(&secret, l)
                    .unwrap()
                    .release(Release::Owner)
                    .unwrap()
            })
            .collect();
        let wanted = expected(t, shape, &x, &residues, None);
        for (at, wanted) in wanted.iter().enumerate() {
            let (ciphertext, coefficient) = plan.place(at / 4, at % 4);
            let index = match output {
                Output::Cut => plan
                    .needed(ciphertext)
                    .iter()
                    .position(|c| *c == coefficient)
                    .unwrap(),
                Output::Packed => coefficient,
            };
            assert_eq!(values[ciphertext][index], *wanted);
        }
    }
}

#[test]
fn masks_are_added_before_release() {
    let mut party = Party::new(6, 4, 1 << 20);
    let (shape, t) = (Shape::new(3, 9, 4), party.t());
    let plan = Plan::new(party.bfv.params(), &Request::new(shape).headroom_bits(8)).unwrap();
    assert!(plan.noise().bound_log2() < -9.0);
    let (secret, keys) = party.keys(&plan, 0);
    let x = party.random.residues(t, 27);
    let mask = party.random.residues(t, 12);
    let weights = plan.weights(&[1; 36]).unwrap();
    let sent = plan.encrypt(&party.bfv, &secret, Side::Left, &x).unwrap();
    let inputs = [sent.expand(party.bfv.context()).unwrap()];
    let results = plan
        .multiply(&party.bfv, &Plain::OnTheFly(&weights), &inputs, &[&keys])
        .unwrap();
    let wanted = expected(t, shape, &x, &[1; 36], None);
    let wanted: Vec<u64> = wanted
        .iter()
        .zip(&mask)
        .map(|(a, b)| party.bfv.plain().add(*a, *b))
        .collect();
    for results in results {
        let masked = results
            .add(&party.bfv, &plan.addend(&party.bfv, &mask).unwrap())
            .unwrap();
        let outputs = masked.release(&party.bfv).unwrap();
        let have = outputs
            .decrypt(&party.bfv, &secret)
            .unwrap()
            .release(Release::Owner)
            .unwrap();
        assert_eq!(have, wanted);
    }
}

#[test]
fn what_cannot_work_is_refused_before_any_work() {
    let party = Party::new(6, 4, 1 << 20);
    let params = party.bfv.params().clone();
    let refused = |request: Request| Plan::new(&params, &request).unwrap_err();
    let base = Request::new(Shape::new(5, 9, 4)).output(Output::Packed);
    let shape = |m, k, n| Request {
        shape: Shape::new(m, k, n),
        ..base
    };
    for request in [
        shape(0, 1, 1),
        shape(1, usize::MAX, 1),
        shape(1 << 24, 1 << 24, 1),
    ] {
        assert!(matches!(refused(request), CoefficientError::Shape { .. }));
    }
    assert!(matches!(
        refused(base.requests(0)),
        CoefficientError::Requests { .. }
    ));
    for bound in [0, (1 << 19) + 1, u64::MAX] {
        let error = refused(base.weight_bound(bound));
        assert!(matches!(error, CoefficientError::WeightBound { .. }), "{error}");
    }
    let error = refused(base.headroom_bits(200));
    assert!(
        matches!(error, CoefficientError::Noise { wanted: 201, .. }),
        "{error}"
    );
    for (b, i, o) in [(5, 5, 5), (0, 1, 1), (usize::MAX, 2, 1), (1, 3, 1)] {
        let error = Plan::with_block(&params, &base, Block::new(b, i, o)).unwrap_err();
        assert!(matches!(error, CoefficientError::Block { .. }), "{error}");
    }

    let plan = Plan::with_block(&params, &base.weight_bound(100).requests(2), Block::new(5, 4, 2)).unwrap();
    let error = plan.weights(&[101; 36]).unwrap_err();
    assert!(
        matches!(error, CoefficientError::Weight { value: 101, .. }),
        "{error}"
    );
    assert!(matches!(
        plan.weights(&[1; 35]),
        Err(CoefficientError::Length { given: 35, .. })
    ));
    let weights = plan.weights(&[1; 36]).unwrap();
    let too_long = weights.clone().with_bias(&[0; 5]);
    assert!(matches!(too_long, Err(CoefficientError::Length { .. })));
    let too_large = weights.clone().with_bias(&[1 << 20; 4]);
    assert!(matches!(
        too_large,
        Err(CoefficientError::Bfv(BfvError::Integer { .. }))
    ));

    let (secret, keys) = party.keys(&plan, 0);
    let right = plan.encrypt(&party.bfv, &secret, Side::Right, &[0; 36]);
    assert!(matches!(right, Err(CoefficientError::Operand { .. })));
    let large = plan.encrypt(&party.bfv, &secret, Side::Left, &[1 << 20; 45]);
    assert!(matches!(
        large,
        Err(CoefficientError::Bfv(BfvError::Value { .. }))
    ));
    let sent = plan.encrypt(&party.bfv, &secret, Side::Left, &[1; 45]).unwrap();
    let input = sent.expand(party.bfv.context()).unwrap();
    let multiply = |inputs: &[crate::bfv::Ciphertext<Cpu>], keys: &[&EvaluationKeys<Cpu>]| {
        let results = plan.multiply(&party.bfv, &Plain::OnTheFly(&weights), inputs, keys);
        results.err().unwrap()
    };
    let two = [input.clone(), input.clone()];
    let error = multiply(&two[..1], &[&keys]);
    assert!(
        matches!(error, CoefficientError::Mismatch { what: "requests", .. }),
        "{error}"
    );
    let error = multiply(&two, &[&keys]);
    assert!(
        matches!(
            error,
            CoefficientError::Mismatch {
                what: "evaluation keys",
                ..
            }
        ),
        "{error}"
    );
    let none = EvaluationKeys::none();
    let error = multiply(&two, &[&keys, &none]);
    let missing = matches!(error, CoefficientError::Rlwe(RlweError::MissingKey { .. }));
    assert!(missing, "{error}");
    let short = [input.clone(), input.slice(0, 1).unwrap()];
    let error = multiply(&short, &[&keys, &keys]);
    assert!(matches!(error, CoefficientError::Mismatch { .. }), "{error}");
    let other = Plan::new(&params, &base.weight_bound(99))
        .unwrap()
        .weights(&[1; 36])
        .unwrap();
    let error = plan.multiply(&party.bfv, &Plain::OnTheFly(&other), &two, &[&keys, &keys]);
    assert!(matches!(error.err().unwrap(), CoefficientError::Mismatch { .. }));
}
