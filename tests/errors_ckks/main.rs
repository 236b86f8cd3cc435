//! Every error a caller can run into: its type, its numbers and its whole message; and that nothing panics.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

#[path = "../shared/chain.rs"]
mod chain;
mod keys;
mod levels;
mod secrets;
mod shapes;
mod values;

use cipherformer::{
    arith::Complex,
    backend::cpu::Cpu,
    ckks::{Ciphertext, Ckks},
    ring::{ChainKind, ChainSpec},
    rlwe::{Context, EvaluationKeys, KeyNeeds, Level, SecretKey},
};

use chain::{insecure, uniform};

const LOG_N: u32 = 6;
const HALF: usize = 1 << (LOG_N - 1);
const TOP: Level = Level(2);

fn spec(kind: ChainKind, scale: f64, levels: usize) -> ChainSpec {
    uniform(LOG_N, kind, scale, levels, 2)
}

fn context(spec: &ChainSpec) -> Ckks<Cpu> {
    Ckks::new(&Context::new(Cpu::poisoned(), insecure(spec)).unwrap())
}

struct Set {
    ckks: Ckks<Cpu>,
    sk: SecretKey<Cpu>,
}

impl Set {
    fn new() -> Self {
        Self::of(&spec(ChainKind::Single, 28.0, 3))
    }

    fn of(spec: &ChainSpec) -> Self {
        let ckks = context(spec);
        let sk = SecretKey::generate(ckks.context()).unwrap();
        Self { ckks, sk }
    }

    fn ctx(&self) -> &Context<Cpu> {
        self.ckks.context()
    }

    fn keys(&self, needs: impl FnOnce(KeyNeeds) -> KeyNeeds) -> EvaluationKeys<Cpu> {
        let needs = needs(KeyNeeds::new(self.ctx().params()));
        self.sk
            .evaluation_keys(&needs)
            .unwrap()
            .expand(self.ctx())
            .unwrap()
    }

    fn encrypt(&self, slots: usize, items: usize, level: Level) -> Ciphertext<Cpu> {
        let values = vec![Complex::new(0.5, -0.25); slots * items];
        self.ckks
            .encrypt(&self.sk, &values, items, level)
            .unwrap()
            .expand(self.ctx())
            .unwrap()
    }
}

/// The whole message.
#[track_caller]
fn says<T, E: std::fmt::Display>(result: Result<T, E>, message: &str) {
    match result {
        Ok(_) => panic!("no error, but wanted: {message}"),
        Err(error) => assert_eq!(error.to_string(), message),
    }
}
