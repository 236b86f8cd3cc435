//! Bootstraps on rings too small for any security: the sets that tests share.

#![cfg(feature = "fallback")]
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod limits;
mod precision;
mod values;

use std::sync::OnceLock;

use super::{BootstrapKeys, BootstrapSpec, Bootstrapper, SeededBootstrapKeys, preset};
use crate::{
    arith::Complex,
    backend::cpu::Cpu,
    ckks::{Ciphertext, Ckks, Release},
    rlwe::{Context, KeyNeeds, Level, Params, SecretKey},
};

pub(super) struct Set {
    pub(super) ckks: Ckks<Cpu>,
    pub(super) secret: SecretKey<Cpu>,
    pub(super) bootstrapper: Bootstrapper<Cpu>,
    pub(super) keys: BootstrapKeys<Cpu>,
}

impl Set {
    pub(super) fn new(name: &str, change: impl FnOnce(&mut BootstrapSpec)) -> Self {
        let preset = preset(name).unwrap();
        let mut spec = preset.spec.clone();
        change(&mut spec);
        Self::of(preset.params().unwrap(), spec)
    }

    pub(super) fn of(params: Params, spec: BootstrapSpec) -> Self {
        let ctx = Context::new(Cpu::new(), params).unwrap();
        let ckks = Ckks::new(&ctx);
        let secret = SecretKey::insecure_deterministic(&ctx, [7; 32]).unwrap();
        let bootstrapper = Bootstrapper::new(&ckks, &spec).unwrap();
        let needs = KeyNeeds::new(ctx.params());
        let seeded = SeededBootstrapKeys::generate(&secret, &bootstrapper, needs, |_, _| ()).unwrap();
        let keys = seeded.into_keys(&ctx).unwrap();
        Self {
            ckks,
            secret,
            bootstrapper,
            keys,
        }
    }

    pub(super) fn usual() -> &'static Self {
        static SET: OnceLock<Set> = OnceLock::new();
        SET.get_or_init(|| Self::new("insecure-tiny", |_| ()))
    }

    pub(super) fn encrypt(&self, values: &[Complex], items: usize, level: Level) -> Ciphertext<Cpu> {
        let ct = self.ckks.encrypt(&self.secret, values, items, level).unwrap();
        ct.expand(self.ckks.context()).unwrap()
    }

    pub(super) fn error(&self, ct: &Ciphertext<Cpu>, values: &[Complex]) -> f64 {
        let have = self
            .ckks
            .decrypt(&self.secret, ct)
            .unwrap()
            .release(Release::Owner)
            .unwrap();
        assert_eq!(have.len(), values.len());
        let pairs = have.iter().zip(values);
        pairs.map(|(a, b)| (*a - *b).abs()).fold(0.0, f64::max)
    }

    /// Bits of the largest error after a bootstrap from a level.
    pub(super) fn bits(&self, values: &[Complex], items: usize, level: Level) -> f64 {
        let ct = self.encrypt(values, items, level);
        let out = self.bootstrapper.bootstrap(&self.keys, &ct).unwrap();
        assert_eq!(out.level(), self.bootstrapper.output_level());
        assert_eq!(out.scale(), self.ckks.scale(out.level()).unwrap());
        assert_eq!((out.items(), out.slots()), (ct.items(), ct.slots()));
        -self.error(&out, values).log2()
    }
}

pub(super) fn random(count: usize) -> Vec<Complex> {
    let mut state = 9u64;
    let mut next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..count)
        .map(|_| Complex::new(next() * 0.7, next() * 0.7))
        .collect()
}

fn equal(count: usize) -> Vec<Complex> {
    vec![Complex::from(1.0); count]
}
