//! Bootstraps on rings too small for any security.

use super::*;
use crate::{
    arith::Complex,
    backend::{Backend, cpu::Cpu},
    ckks::{Ckks, Release},
    ring::insecure_chain,
    rlwe::{Context, KeyNeeds, Level, Params, SecretKey, Spec},
};

const CHAIN: &str = "insecure_n10_boot40_l3_d3";

struct Set<B: Backend> {
    ckks: Ckks<B>,
    secret: SecretKey<B>,
    bootstrapper: Bootstrapper<B>,
    keys: BootstrapKeys<B>,
}

fn spec(slots: usize) -> BootstrapSpec {
    BootstrapSpec {
        to_slots: 2,
        to_coefficients: 2,
        ..BootstrapSpec::new(slots)
    }
}

impl<B: Backend> Set<B> {
    fn new(backend: B, slots: usize) -> Self {
        let chain = insecure_chain(CHAIN).unwrap();
        let params = Params::insecure(Spec { chain }).unwrap();
        let ctx = Context::new(backend, params).unwrap();
        let ckks = Ckks::new(&ctx);
        let secret = SecretKey::insecure_deterministic(&ctx, [7; 32]).unwrap();
        let bootstrapper = Bootstrapper::new(&ckks, &spec(slots)).unwrap();
        let seeded = SeededBootstrapKeys::generate(&secret, &bootstrapper, KeyNeeds::new(ctx.params()), |_, _| ());
        let keys = seeded.unwrap().expand(&ctx).unwrap();
        Self {
            ckks,
            secret,
            bootstrapper,
            keys,
        }
    }

    fn refresh(&self, values: &[Complex], items: usize) -> f64 {
        let ct = self.ckks.encrypt(&self.secret, values, items, Level(0)).unwrap();
        let ct = ct.expand(self.ckks.context()).unwrap();
        let out = self.bootstrapper.bootstrap(&self.keys, &ct).unwrap();
        assert_eq!(out.level(), self.bootstrapper.output_level());
        assert_eq!(out.scale(), self.ckks.scale(out.level()).unwrap());
        assert_eq!((out.items(), out.slots()), (ct.items(), ct.slots()));
        let have = self.ckks.decrypt(&self.secret, &out).unwrap().release(Release::Owner).unwrap();
        let pairs = have.iter().zip(values);
        pairs.map(|(a, b)| (*a - *b).abs()).fold(0.0, f64::max)
    }
}

fn random(count: usize) -> Vec<Complex> {
    let mut state = 9u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..count).map(|_| Complex::new(next() * 0.7, next() * 0.7)).collect()
}

#[test]
fn full_slots() {
    let set = Set::new(Cpu::new(), 512);
    let error = set.refresh(&random(1024), 2);
    println!("error 2^{:.1}", error.log2());
    assert!(error.log2() < -12.0);
}

#[test]
fn sparse_slots() {
    for slots in [2, 64, 256] {
        let set = Set::new(Cpu::new(), slots);
        let error = set.refresh(&random(2 * slots), 2);
        println!("{slots} slots: error 2^{:.1}", error.log2());
        assert!(error.log2() < -12.0);
    }
}
