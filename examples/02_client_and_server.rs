//! Two sides that exchange nothing but bytes: the client asks for the variance of its numbers.
//!
//! `cargo run --release --example 02_client_and_server`

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use cipherformer::{
    engine::{Client, Engine, ServerKeys},
    rlwe::Params,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Both sides know the parameters; nothing about them is secret.
fn engine() -> Result<Engine, Failure> {
    Ok(Engine::auto(Params::shipped("n13_rational40_l2_d3")?)?)
}

const COUNT: usize = 8;

/// mean(x^2) - mean(x)^2, of numbers that this function never sees. It gets keys once, then requests.
fn server(inbox: &Receiver<Vec<u8>>, outbox: &Sender<Vec<u8>>) -> Result<(), Failure> {
    let engine = engine()?;
    // Whatever arrives is checked before it is used: kind, parameters, sizes, every residue, checksum.
    let keys = ServerKeys::from_bytes(&engine, &inbox.recv()?)?;
    for request in inbox {
        let x = keys.receive(&request)?;
        let square = keys.relinearise_rescale(&keys.mul(&x, &x)?)?;
        let mut sum = x;
        let mut sum_of_squares = square;
        // After rotations by 1, 2 and 4, every slot holds the sum of all eight.
        for step in [1, 2, 4] {
            sum = keys.add(&sum, &keys.rotate(&sum, step)?)?;
            sum_of_squares = keys.add(&sum_of_squares, &keys.rotate(&sum_of_squares, step)?)?;
        }
        // COUNT^2 times the variance: COUNT sum(x^2) - sum(x)^2, both at one level and one scale.
        let square_of_sum = keys.relinearise_rescale(&keys.mul(&sum, &sum)?)?;
        let mut scaled = sum_of_squares.clone();
        for _ in 1..COUNT {
            scaled = keys.add(&scaled, &sum_of_squares)?;
        }
        outbox.send(keys.answer(&keys.sub(&scaled, &square_of_sum)?)?)?;
    }
    Ok(())
}

fn client(outbox: Sender<Vec<u8>>, inbox: &Receiver<Vec<u8>>) -> Result<(), Failure> {
    let engine = engine()?;
    let client = Client::generate(&engine)?;
    let needs = engine.key_needs().relinearise().rotate([1, 2, 4]);
    let keys = client.server_keys(&needs)?.to_bytes()?;
    println!("keys     {:>9} bytes, sent once", keys.len());
    outbox.send(keys)?;

    let numbers: [f64; COUNT] = [2.5, -1.0, 0.0, 3.5, 1.25, -2.0, 0.75, 1.0];
    let request = client.encrypt_real(&numbers)?.to_bytes(&engine)?;
    println!("request  {:>9} bytes", request.len());
    outbox.send(request)?;

    let answer = inbox.recv()?;
    println!("answer   {:>9} bytes", answer.len());
    let decrypted = client.decrypt(&client.receive(&answer)?)?;
    let have = decrypted.first().map_or(f64::NAN, |z| z.re) / (COUNT * COUNT) as f64;

    let mean = numbers.iter().sum::<f64>() / COUNT as f64;
    let want = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / COUNT as f64;
    println!("variance {have:.6}, in plain {want:.6}");
    assert!((have - want).abs() < 1e-5);

    // A damaged answer is an error with a reason, not a wrong number.
    let mut damaged = answer;
    if let Some(byte) = damaged.get_mut(5000) {
        *byte ^= 1;
    }
    match client.receive(&damaged) {
        Ok(_) => return Err("a damaged answer was accepted".into()),
        Err(error) => println!("a flipped bit: {error}"),
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let (to_server, from_client) = channel();
    let (to_client, from_server) = channel();
    let server = thread::spawn(move || server(&from_client, &to_client));
    // The client hangs up when it is done, and the server ends.
    client(to_server, &from_server)?;
    server.join().map_err(|_| "the server ended early")?
}
