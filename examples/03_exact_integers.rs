//! Exact integers: a server computes on numbers it cannot read, and not one bit of the result is wrong.
//!
//! A shop sends encrypted quantities of its sales, and prices; the server returns the encrypted takings of every product and
//! their total. CKKS would give 99.99999; BFV gives 100.
//!
//! Run: `cargo run --release --example 03_exact_integers`

use std::{error::Error, time::Instant};

use cipherformer::{
    backend::cpu::Cpu,
    bfv::{Bfv, Evaluator, Packing, Params, Spec},
    rlwe::{KeyNeeds, Level, SecretKey},
};

fn main() -> Result<(), Box<dyn Error>> {
    // 1. Parameters. All arithmetic is modulo t: nothing may exceed it, or it wraps around. This t is prime and 1 modulo 2^17,
    //    so a plaintext has N = 8192 slots, in two rows of 4096, and one operation works on all of them.
    let t = 1_073_479_681;
    let params = Params::new(Spec::n13(t))?;
    println!(
        "N = {}, log2 QP = {:.1}, at least {} bits of security",
        params.degree(),
        params.rlwe().log2_qp(),
        params.rlwe().security_bits()
    );
    let bfv = Bfv::new(Cpu::new(), params)?;
    let (ctx, top, slots) = (bfv.context(), bfv.params().top(), bfv.params().degree());

    // 2. The client makes its secret key, and the keys that the server needs: one for products, one for every rotation, and one
    //    that swaps the two rows. They travel as seeds and halves.
    let start = Instant::now();
    let secret = SecretKey::generate(ctx)?;
    let steps = (0..12).map(|k| 1 << k);
    let needs = KeyNeeds::new(bfv.params().rlwe())
        .relinearise()
        .rotate(steps.clone())
        .conjugate();
    let seeded = secret.evaluation_keys(&needs)?;
    println!(
        "{} keys, {:.1} MB, {:.0} ms",
        seeded.count(),
        seeded.bytes(ctx) as f64 / 1e6,
        start.elapsed().as_secs_f64() * 1e3
    );

    // 3. Two vectors of 8192 integers: two items of one batch.
    let quantities: Vec<u64> = (0..slots as u64).map(|i| i % 100).collect();
    let prices: Vec<u64> = (0..slots as u64).map(|i| 5 + i * i % 1000).collect();
    let both = [quantities.clone(), prices.clone()].concat();
    let sent = bfv.encrypt(&secret, Packing::Slots, &both, 2, top)?;

    // 4. The server. It holds `keys` and ciphertexts, and no type of its can carry a secret.
    let start = Instant::now();
    let keys = seeded.expand(ctx)?;
    let server = Evaluator::new(&bfv, &keys);
    let received = sent.expand(ctx)?;
    let (q, p) = (received.slice(0, 1)?, received.slice(1, 1)?);

    //    A product has three polynomials; relinearisation makes it two again.
    let takings = server.relinearise(&server.mul(&q, &p)?)?;

    //    How much noise that leaves is known beforehand: decryption is exact below 2^-1, and this is a standard deviation.
    let fresh = bfv.fresh_noise_log2(top)?;
    let noise = bfv.product_noise_log2(fresh, fresh, 1);
    println!("noise: fresh 2^{fresh:.0}, product 2^{noise:.0}, limit 2^-1");

    //    The sum over all slots: add the rotation by 1, then by 2, 4, ... 2048 columns, then the other row. A smaller modulus
    //    first, which makes rotations cheaper and the result shorter; the noise stays what it is.
    let small = server.switch_to(&takings, Level(bfv.params().top().0 - 1))?;
    let mut total = small.clone();
    for k in steps {
        total = server.add(&total, &server.rotate_columns(&total, k)?)?;
    }
    total = server.add(&total, &server.swap_rows(&total)?)?;

    //    10 % of the total is tax, and 1000 are owed from last year: integers need no encryption.
    let due = server.add_integer(&server.mul_integer(&total, 10)?, 1000)?;
    println!("server: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);

    // 5. The client decrypts. A decryption prints nothing until it is released.
    let products = bfv.decrypt(&secret, Packing::Slots, &small)?.release();
    let due = bfv.decrypt(&secret, Packing::Slots, &due)?.release();

    let expected: Vec<u64> = quantities.iter().zip(&prices).map(|(q, p)| q * p).collect();
    let sum: u64 = expected.iter().sum();
    assert_eq!(products, expected);
    assert!(
        due.iter()
            .all(|d| u128::from(*d) == u128::from(sum * 10 + 1000) % t)
    );
    println!(
        "takings of product 77: {} x {} = {}; total {sum}: exact",
        quantities[77], prices[77], products[77]
    );
    Ok(())
}
