//! A bootstrap on any backend, for tests that compare residues: everything in it comes from fixed seeds.

use cipherformer::{
    arith::Complex,
    backend::Backend,
    circuit::bootstrap::{BootstrapSpec, Bootstrapper, SeededBootstrapKeys, preset},
    ckks::{Ckks, Release},
    rlwe::{Context, KeyNeeds, SecretKey},
};

/// A bootstrap on an insecure ring.
pub struct Case {
    preset: &'static str,
    /// Of N/2 slots, or of fewer, with a trace and both parts in one ciphertext.
    slots: usize,
    mask: bool,
    /// Bits of the largest error, at least.
    bits: f64,
}

/// 16 slots: a trace of five rotations, two matrices each way.
pub const FEW_SLOTS: Case = Case {
    preset: "insecure-tiny",
    slots: 16,
    mask: false,
    bits: 15.0,
};

/// All slots with a mask: real and imaginary parts are two items.
pub const ALL_SLOTS: Case = Case {
    preset: "insecure-tiny",
    slots: 512,
    mask: true,
    bits: 18.0,
};

/// An arcsine.
pub const ARCSINE: Case = Case {
    preset: "insecure-precision",
    slots: 8,
    mask: false,
    bits: 24.0,
};

/// The matrices back come first.
pub const MATRICES_FIRST: Case = Case {
    preset: "insecure-first",
    slots: 8,
    mask: false,
    bits: 15.0,
};

impl Case {
    /// Residues of the refreshed ciphertext, whose values are checked.
    pub fn run<B: Backend>(&self, backend: B) -> Result<Vec<u32>, Box<dyn std::error::Error>> {
        let preset = preset(self.preset)?;
        let ctx = Context::new(backend, preset.params()?)?;
        let ckks = Ckks::new(&ctx);
        let secret = SecretKey::insecure_deterministic(&ctx, [7; 32])?;
        let spec = BootstrapSpec {
            slots: self.slots,
            mask: self.mask,
            ..preset.spec
        };
        let bootstrapper = Bootstrapper::new(&ckks, &spec)?;
        let needs = KeyNeeds::new(ctx.params());
        let keys = SeededBootstrapKeys::generate(&secret, &bootstrapper, needs, |_, _| ())?;
        let keys = keys.into_keys(&ctx)?;
        let value = |i: usize| {
            let part = |k: usize| (i * k % 101) as f64 / 101.0 - 0.5;
            Complex::new(part(37), part(59))
        };
        let values: Vec<Complex> = (0..self.slots).map(value).collect();
        let ct = ckks
            .encrypt(&secret, &values, 1, spec.input_level())?
            .expand(&ctx)?;
        let out = bootstrapper.bootstrap(&keys, &ct)?;
        let have = ckks.decrypt(&secret, &out)?.release(Release::Owner)?;
        let errors = have.iter().zip(&values).map(|(a, b)| (*a - *b).abs());
        let bits = -errors.fold(0.0, f64::max).log2();
        assert!(
            bits > self.bits,
            "{}, {} slots: {bits:.1} bits",
            self.preset,
            self.slots
        );
        let view = out.rlwe().view();
        let mut words = vec![0; view.span.count() << ctx.log_n()];
        ctx.backend().download(view, &mut words)?;
        Ok(words)
    }
}
