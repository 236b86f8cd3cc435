//! Embeds the library without its command line program: encrypts x and y, computes x y rotated by three slots on the
//! server's side, decrypts, and fails unless the result is right to 2^-20.

use std::{error::Error, process::ExitCode};

use cipherformer::{
    engine::{Client, Engine},
    rlwe::Params,
};

const SHIFT: usize = 3;
const TOLERANCE: f64 = 1.0 / (1 << 20) as f64;

fn main() -> ExitCode {
    match run() {
        Ok(worst) => {
            println!(
                "embed-check: x y rotated by {SHIFT}, worst error {worst:.1e} of {TOLERANCE:.1e} allowed"
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("embed-check: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<f64, Box<dyn Error>> {
    let engine = Engine::auto(Params::shipped("n13_rational40_l2_d3")?)?;
    let slots = engine.slots();
    let x: Vec<f64> = (0..slots).map(|i| (i as f64 * 0.37).sin()).collect();
    let y: Vec<f64> = (0..slots).map(|i| (i as f64 * 0.11).cos()).collect();

    // The client's side: secret, keys for the server, two ciphertexts.
    let client = Client::generate(&engine)?;
    let keys = client.server_keys(&engine.key_needs().relinearise().rotate([SHIFT as i64]))?;
    let (sent_x, sent_y) = (client.encrypt_real(&x)?, client.encrypt_real(&y)?);

    // The server's side: no secret.
    let product = keys.mul(&sent_x.receive(&engine)?, &sent_y.receive(&engine)?)?;
    let rotated = keys.rotate(&keys.relinearise_rescale(&product)?, SHIFT as i64)?;

    // A key that was never made is an error that names it, not a panic.
    let refused = keys
        .rotate(&rotated, 1)
        .err()
        .ok_or("a rotation without its key was not refused")?;
    if !refused.to_string().contains("KeyNeeds") {
        return Err(format!("the message says no remedy: {refused}").into());
    }

    let decrypted = client.decrypt(&rotated)?;
    let worst = (0..slots)
        .map(|i| {
            let j = (i + SHIFT) % slots;
            (decrypted[i].re - x[j] * y[j]).abs().max(decrypted[i].im.abs())
        })
        .fold(0.0, f64::max);
    // Written so that a result that is not a number fails.
    if !(worst < TOLERANCE) {
        return Err(format!("worst error {worst:e}, allowed {TOLERANCE:e}").into());
    }
    Ok(worst)
}
