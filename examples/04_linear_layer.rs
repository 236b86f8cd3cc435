//! A linear layer on encrypted inputs: y = x W for a batch of rows, with weights as they lie in a model file.
//!
//! `cargo run --release --example 04_linear_layer`

use cipherformer::{
    backend::cpu::Cpu,
    ckks::{Ckks, Release},
    matmul::{MatmulPlan, Packing, Shape, Weights},
    rlwe::{Context, EvaluationKeys, Params, SecretKey},
};

/// Numbers in [-1, 1] that look random.
fn numbers(count: usize, seed: f64) -> Vec<f64> {
    (0..count).map(|i| (seed + i as f64 * 1.618).sin()).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // 16 rows of 256 features; the layer has 64 outputs. Inputs and weights are at most 1 in magnitude.
    let shape = Shape::new(16, 256, 64);
    let (x, w) = (numbers(16 * 256, 0.1), numbers(256 * 64, 0.7));
    let weights: Vec<f32> = w.iter().map(|w| *w as f32).collect();

    // A ring of degree 2^12 with a modulus of 56 bits is enough for one product.
    let params = Params::shipped("n12_single28_l0_d2")?;
    let ckks = Ckks::new(&Context::new(Cpu::new(), params.clone())?);

    // The plan is public: it fixes the layout, and refuses what would not fit before anything is encrypted.
    // Coefficient blocks need no rotation, so the server needs no keys.
    let plan = MatmulPlan::new(shape, Packing::Blocks, &params)?;
    let (up, down) = plan.ciphertexts();
    println!(
        "{shape}: {up} ciphertexts up, {down} down, weights of {} bits",
        plan.weight_bits()
    );

    // The client encrypts. What travels is half the size of what the server computes on.
    let secret = SecretKey::generate(ckks.context())?;
    let sent = plan.encrypt_inputs(&ckks, &secret, &x)?;
    println!("{} bytes sent", sent.bytes(ckks.context()));

    // The server encodes its weights once, and multiplies.
    let encoded = plan.encode_weights(&ckks, Weights::f32(&weights))?;
    let no_keys = EvaluationKeys::none();
    let result = plan.run(&ckks, &[&no_keys], &encoded, &sent.expand(ckks.context())?)?;

    // The client decrypts, for itself alone.
    let have = plan.decrypt_outputs(&ckks, &secret, &result, Release::Owner)?;
    let mut worst = 0.0f64;
    for (i, have) in have.iter().enumerate() {
        let (row, column) = (i / 64, i % 64);
        let want: f64 = (0..256).map(|c| x[row * 256 + c] * w[c * 64 + column]).sum();
        worst = worst.max((have - want).abs());
    }
    println!(
        "largest error {worst:.1e}, and the plan promises at most {:.1e}",
        plan.error_bound()
    );
    assert!(worst <= plan.error_bound());
    Ok(())
}
