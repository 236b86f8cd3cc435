//! Arithmetic on numbers that the computing side cannot read.
//!
//! `cargo run --release --example 01_arithmetic`

use cipherformer::{
    arith::Complex,
    engine::{Client, Engine},
    rlwe::Params,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A shipped chain: ring degree 2^13, scale 2^40, two products one after the other, at least 128 bits of security.
    let engine = Engine::auto(Params::shipped("n13_rational40_l2_d3")?)?;

    // The client makes a secret, and from it the keys that this computation needs: for products, and for one rotation.
    let client = Client::generate(&engine)?;
    let server = client.server_keys(&engine.key_needs().relinearise().rotate([1]))?;

    // A ciphertext holds a vector. Every operation works on all of its numbers at once.
    let (x, y) = ([1.0, 2.0, 3.0, 4.0], [0.5, -0.25, 0.125, 2.0]);
    let encrypted_x = client.encrypt_real(&x)?.receive(&engine)?;
    let encrypted_y = client.encrypt_real(&y)?.receive(&engine)?;

    // From here on, no secret is used.
    // Sums are free. A product has the square of the scale, so it is followed by a rescale, which uses up a level.
    let sum = server.add(&encrypted_x, &encrypted_y)?;
    let product = server.relinearise_rescale(&server.mul(&sum, &encrypted_y)?)?;

    // A product with public numbers needs no key, only the rescale.
    let weights = [2.0, 1.0, 0.5, 0.25].map(Complex::from);
    let weighted = server.rescale(&server.mul_plain(&product, &weights)?)?;

    // Vectors are moved around by rotation: slot i takes what slot i + 1 held.
    let rotated = server.rotate(&weighted, 1)?;
    println!(
        "levels: {} fresh, {} after two products",
        encrypted_x.level(),
        rotated.level()
    );

    let want: Vec<f64> = (0..4)
        .map(|i| (i + 1) % 4)
        .map(|i| (x[i] + y[i]) * y[i] * weights[i].re)
        .collect();
    let have = client.decrypt(&rotated)?;
    for (want, have) in want.iter().zip(&have) {
        println!("{want:>10.6}  {:>10.6}", have.re);
        // The result is approximate: some 25 bits of precision are left of 40 bits of scale.
        assert!((want - have.re).abs() < 1e-5);
    }
    Ok(())
}
