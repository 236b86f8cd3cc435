//! Scores of attention, Q K^T, where both are encrypted: column packing, two diagonals in a ciphertext.
//!
//! `cargo run --release --example 05_attention_scores`

use cipherformer::{
    arith::Complex,
    backend::cpu::Cpu,
    ckks::{Ckks, Evaluator, Release},
    matmul::Columns,
    rlwe::{Context, KeyNeeds, Params, SecretKey},
};

const TOKENS: usize = 16;
const FEATURES: usize = 4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let params = Params::shipped("n13_rational40_l2_d3")?;
    let ckks = Ckks::new(&Context::new(Cpu::new(), params.clone())?);
    // 16 tokens of 256 requests fill the 4096 slots: slot t B + b of ciphertext c is feature c of token t of request b.
    let columns = Columns::new(TOKENS, ckks.max_slots() / TOKENS)?;
    println!("{} requests at once", columns.batch());

    let value = |seed: f64, feature: usize, token: usize, request: usize| {
        (seed + feature as f64 * 1.3 + token as f64 * 0.7 + request as f64 * 0.2).sin()
    };
    let pack = |seed: f64| -> Vec<Complex> {
        let mut slots = vec![Complex::default(); FEATURES * columns.slots()];
        for (i, slot) in slots.iter_mut().enumerate() {
            let (feature, at) = (i / columns.slots(), i % columns.slots());
            *slot = Complex::from(value(seed, feature, at / columns.batch(), at % columns.batch()));
        }
        slots
    };
    let secret = SecretKey::generate(ckks.context())?;
    let encrypt = |seed: f64| -> Result<_, Box<dyn std::error::Error>> {
        let sent = ckks.encrypt(&secret, &pack(seed), FEATURES, params.top())?;
        Ok(sent.expand(ckks.context())?)
    };
    let (queries, keys) = (encrypt(0.1)?, encrypt(2.3)?);

    // The keys that the products need: rotations by tokens, conjugation and relinearisation.
    let needs = columns.halved_keys(KeyNeeds::new(&params));
    let evaluation = secret.evaluation_keys(&needs)?.expand(ckks.context())?;
    let server = Evaluator::new(&ckks, &evaluation);

    // Diagonal r of Q K^T holds the scores of token t and token t + r. Half of them come as real parts, half as imaginary ones.
    let (near, far) = columns.scores_halved(&server, &queries, &keys)?;
    println!("{} + {} ciphertexts of scores", near.items(), far.items());

    let decrypt = |ct| -> Result<Vec<Complex>, Box<dyn std::error::Error>> {
        Ok(ckks.decrypt(&secret, ct)?.release(Release::Owner)?)
    };
    let halves = [decrypt(&near)?, decrypt(&far)?];
    let mut worst = 0.0f64;
    for request in 0..columns.batch() {
        for (t, u) in (0..TOKENS * TOKENS).map(|i| (i / TOKENS, i % TOKENS)) {
            let (item, half, token) = columns.halved_place(t, u);
            let have = halves[half][item * columns.slots() + columns.slot(token, request)].re;
            let of = |f| value(0.1, f, t, request) * value(2.3, f, u, request);
            let want: f64 = (0..FEATURES).map(of).sum();
            worst = worst.max((have - want).abs());
        }
    }
    println!(
        "{} scores, largest error {worst:.1e}",
        TOKENS * TOKENS * columns.batch()
    );
    assert!(worst < 1e-5);
    Ok(())
}
