//! A ciphertext without any level left is refreshed, and computed on again.
//!
//! The ring of this example is far too small for any security, so that it runs in a second. The parameters of
//! `cipherformer params --bootstrap` are secure; theirs take gigabytes of keys and seconds.

use cipherformer::{
    arith::Complex,
    backend::cpu::Cpu,
    circuit::bootstrap::{Bootstrapper, SeededBootstrapKeys, preset},
    ckks::{Ckks, Evaluator, Release},
    rlwe::{Context, KeyNeeds, Level, SecretKey},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let preset = preset("insecure-tiny")?;
    let ctx = Context::new(Cpu::new(), preset.params()?)?;
    let ckks = Ckks::new(&ctx);
    let bootstrapper = Bootstrapper::new(&ckks, &preset.spec)?;
    println!("insecure: {}", preset.about);
    println!(
        "a bootstrap leaves {}; it fails with probability 2^{:.1}",
        bootstrapper.output_level(),
        bootstrapper.failure_log2()
    );

    // The client: a secret, and the keys that the bootstrap says it needs.
    let secret = SecretKey::generate(&ctx)?;
    let seeded =
        SeededBootstrapKeys::generate(&secret, &bootstrapper, KeyNeeds::new(ctx.params()), |_, _| ())?;
    println!(
        "{} keys, {} kB as they travel",
        seeded.evaluation.count() + 2,
        seeded.bytes(&ctx) / 1000
    );
    let values: Vec<Complex> = (0..preset.spec.slots)
        .map(|i| Complex::from((i as f64 / 40.0).sin()))
        .collect();
    let ct = ckks.encrypt(&secret, &values, 1, Level(0))?.expand(&ctx)?;

    // The server: x at level 0 allows no product any more; refreshed, x^2 is one rescale away.
    let keys = seeded.into_keys(&ctx)?;
    let fresh = bootstrapper.bootstrap(&keys, &ct)?;
    let ev = Evaluator::new(&ckks, &keys.evaluation);
    let square = ev.relinearise_rescale(&ev.square(&fresh)?)?;
    println!(
        "from {} to {}, squared at {}",
        ct.level(),
        fresh.level(),
        square.level()
    );

    // The client again.
    let have = ckks.decrypt(&secret, &square)?.release(Release::Owner)?;
    let error = have
        .iter()
        .zip(&values)
        .map(|(have, x)| (have.re - x.re * x.re).abs())
        .fold(0.0, f64::max);
    println!(
        "x^2 = {:.6} for x = {:.6}; largest error 2^{:.1}",
        have[20].re,
        values[20].re,
        error.log2()
    );
    assert!(error < 1e-4);
    Ok(())
}
