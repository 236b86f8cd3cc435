//! Small, insecure contexts for the tests of this layer.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use crate::{
    arith::Complex,
    backend::cpu::Cpu,
    ckks::{Ciphertext, Ckks, Evaluator, Release},
    ring::{ChainKind, ChainSpec, build},
    rlwe::{Context, EvaluationKeys, KeyNeeds, Params, SecretKey, Spec},
};

pub(super) struct Set {
    pub(super) ckks: Ckks<Cpu>,
    pub(super) sk: SecretKey<Cpu>,
    pub(super) keys: EvaluationKeys<Cpu>,
}

impl Set {
    pub(super) fn new(kind: ChainKind, scale: f64, levels: usize, log_n: u32) -> Self {
        let spec = ChainSpec {
            log_n,
            kind,
            scale_bits: vec![scale; levels + 1],
            absorbed_bits: vec![0; levels],
            base_bits: scale + 20.0,
            digits: 3,
            special_margin_bits: 2.0,
            max_log2_qp: Some(4000.0),
        };
        let chain = build(&spec).unwrap();
        let ctx = Context::new(Cpu::poisoned(), Params::insecure(Spec { chain }).unwrap()).unwrap();
        let sk = SecretKey::generate(&ctx).unwrap();
        let needs = KeyNeeds::new(ctx.params()).relinearise();
        let keys = sk.evaluation_keys(&needs).unwrap().expand(&ctx).unwrap();
        Self {
            ckks: Ckks::new(&ctx),
            sk,
            keys,
        }
    }

    pub(super) fn pair() -> Self {
        Self::new(ChainKind::Pair, 52.0, 7, 8)
    }

    pub(super) fn rational() -> Self {
        Self::new(ChainKind::Rational, 40.0, 7, 8)
    }

    pub(super) fn ev(&self) -> Evaluator<'_, Cpu> {
        Evaluator::new(&self.ckks, &self.keys)
    }

    pub(super) fn slots(&self) -> usize {
        self.ckks.max_slots()
    }

    pub(super) fn params(&self) -> &Params {
        self.ckks.context().params()
    }

    /// One ciphertext at the top level.
    pub(super) fn encrypt(&self, values: &[f64]) -> Ciphertext<Cpu> {
        self.encrypt_items(values, 1)
    }

    pub(super) fn encrypt_items(&self, values: &[f64], items: usize) -> Ciphertext<Cpu> {
        let values: Vec<Complex> = values.iter().map(|x| (*x).into()).collect();
        let top = self.params().top();
        let fresh = self.ckks.encrypt(&self.sk, &values, items, top).unwrap();
        fresh.expand(self.ckks.context()).unwrap()
    }

    pub(super) fn decrypt(&self, ct: &Ciphertext<Cpu>) -> Vec<Complex> {
        let private = self.ckks.decrypt(&self.sk, ct).unwrap();
        private.release(Release::Owner).unwrap()
    }

    /// Standard deviation in a slot of a rescale's rounding at the top scale.
    pub(super) fn noise(&self) -> f64 {
        let n = self.params().degree() as f64;
        let scale = self.ckks.scale(self.params().top()).unwrap().to_f64();
        (n * (1.0 + 2.0 * n / 3.0) / 12.0).sqrt() / scale
    }

    /// The worst error against `want`.
    pub(super) fn worst(&self, ct: &Ciphertext<Cpu>, want: &[Complex]) -> f64 {
        let have = self.decrypt(ct);
        assert_eq!(have.len(), want.len());
        let errors = have.iter().zip(want).map(|(a, b)| (*a - *b).abs());
        errors.fold(0.0, f64::max)
    }

    pub(super) fn close(&self, what: &str, ct: &Ciphertext<Cpu>, want: &[Complex], bound: f64) {
        let worst = self.worst(ct, want);
        assert!(worst <= bound, "{what}: worst error {worst:e}, allowed {bound:e}");
    }
}
