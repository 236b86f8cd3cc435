//! Products of matrices in every packing against the plain product, within the bounds that are computed for them; and what is refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]
#![cfg(feature = "fallback")]

mod attention;
#[path = "../shared/chain.rs"]
mod chain;
mod costs;
mod integers;
mod refused;
#[path = "../shared/matmul.rs"]
mod shared;

use cipherformer::{
    backend::{conformance::Opaque, cpu::Cpu, oracle::Oracle},
    ckks::{Ckks, Release},
    matmul::{Inputs, MatmulError, MatmulPlan, Options, Packing, Shape, Weights},
    ring::{ChainKind, insecure_chain},
    rlwe::{Context, EvaluationKeys, Params, SecretKey, Spec},
};
use half::{bf16, f16};

use chain::{insecure, uniform};

/// The same words by the definitions, and behind handles.
#[test]
fn every_product_gives_the_bits_of_the_oracle() {
    shared::agree(Cpu::new, || Oracle).unwrap();
    shared::agree(|| Opaque::new(Cpu::poisoned()), Cpu::new).unwrap();
}

fn params(name: &str) -> Params {
    let chain = insecure_chain(name).unwrap();
    Params::insecure(Spec { chain }).unwrap()
}

/// N = 2^7 with three steps that absorb no bits of weights.
fn steps() -> Params {
    insecure(&uniform(7, ChainKind::Rational, 40.0, 4, 2))
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
    for (packing, shape) in Packing::ALL.into_iter().flat_map(|p| {
        [
            Shape::new(3, 150, 9),
            Shape::new(200, 4, 130),
            Shape::new(5, 30, 7).batch(3),
        ]
        .map(|s| (p, s))
    }) {
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
