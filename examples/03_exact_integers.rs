//! Exact integers: a server computes on numbers it cannot read, and not one bit of the result is wrong.
//!
//! A shop sends encrypted quantities of its sales, and prices; the server returns the encrypted takings of every product, and what
//! is due for their total. CKKS would give 99.99999; BFV gives 100.
//!
//! Run: `cargo run --release --example 03_exact_integers`

use std::{error::Error, time::Instant};

use cipherformer::{
    bfv::{Params, PlainModulus, Release, Spec, sum_keys},
    engine::integers::{Client, Engine, ServerKeys},
    rlwe::Level,
};

fn main() -> Result<(), Box<dyn Error>> {
    // 1. Parameters. All arithmetic is modulo t, centred: results within +-t/2 are exact. This t is a prime of 30 bits and 1 modulo
    //    2N, so that a ciphertext has N = 8192 slots, in two rows of 4096, and one operation works on all of them.
    let t = PlainModulus::with_slots(30, 13)?;
    let engine = Engine::auto(Params::new(Spec::n13(t.value()))?)?;
    println!(
        "t = {}, N = {}, log2 QP = {:.1}, at least {} bits of security",
        t.value(),
        engine.params().degree(),
        engine.params().rlwe().log2_qp(),
        engine.params().rlwe().security_bits()
    );

    // 2. The client makes its secret key, and the keys that the server needs: one for products, and those of a sum over all slots.
    //    They travel as seeds and halves.
    let start = Instant::now();
    let client = Client::generate(&engine)?;
    let slots = 2 * engine.columns();
    let needs = sum_keys(engine.key_needs().relinearise(), slots);
    let keys = client.evaluation_keys(&needs)?;
    println!(
        "{} keys, {:.1} MB, {:.0} ms",
        keys.count(),
        keys.bytes() as f64 / 1e6,
        start.elapsed().as_secs_f64() * 1e3
    );

    // 3. Two vectors of 8192 integers.
    let quantities: Vec<i64> = (0..slots as i64).map(|i| i % 10).collect();
    let prices: Vec<i64> = (0..slots as i64).map(|i| 5 + i * i % 1000).collect();
    let (sent_quantities, sent_prices) = (client.encrypt(&quantities)?, client.encrypt(&prices)?);

    // 4. The server. It holds `keys` and ciphertexts, and no type of its can carry a secret.
    let start = Instant::now();
    let server = ServerKeys::new(&engine, &keys)?;
    let (q, p) = (sent_quantities.receive(&engine)?, sent_prices.receive(&engine)?);

    //    A product has three polynomials; relinearisation makes it two again. A smaller modulus makes the sum over all slots cheaper
    //    and the result shorter.
    let takings = server.relinearise(&server.mul(&q, &p)?)?;
    let takings = server.switch_to(&takings, Level(2))?;
    let total = server.sum(&takings)?;

    //    10 for each unit of the total, and 1000 from last year: integers need no encryption.
    let due = server.add_integer(&server.mul_integer(&total, 10)?, 1000)?;
    println!("server: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);

    // 5. The client decrypts, for itself.
    let products = client.decrypt(&takings)?;
    let expected: Vec<i64> = quantities.iter().zip(&prices).map(|(q, p)| q * p).collect();
    assert_eq!(products, expected);
    println!(
        "takings of product 77: {} x {} = {}",
        quantities[77], prices[77], products[77]
    );

    //    What is due is for the tax office, too. A wrong result would tell something of the key, so that it is given out only if the
    //    noise of the computation is certain to be below 2^-1. That follows from the computation alone: the same verbs again.
    let noise = engine.noise()?;
    let noise = noise.mul(&noise)?.relinearise()?.switch_to(Level(2))?;
    let noise = noise.sum_slots()?.mul_integer(10).add_plain()?;
    println!(
        "noise: 2^{:.1} expected, below 2^{:.1} for certain, exact below 2^-1",
        noise.sd_log2(),
        noise.bound_log2()
    );
    let released = client.release(&due, Release::Exact(&noise))?;
    let sum: i64 = expected.iter().sum();
    assert!(released.iter().all(|d| *d == 10 * sum + 1000));
    println!("due: 10 x {sum} + 1000 = {}, exact", released[0]);
    Ok(())
}
