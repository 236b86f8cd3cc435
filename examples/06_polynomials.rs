//! Functions of encrypted numbers: a polynomial near GELU, its cost and noise beforehand, and a division.
//!
//! `cargo run --release --example 06_polynomials`

use cipherformer::{
    arith::Complex,
    backend::cpu::Cpu,
    circuit::{
        Circuit, Interval, Polynomial,
        approximate::minimax,
        functions::{Function, gelu},
    },
    ckks::{Ciphertext, Ckks, Evaluator, Release},
    rlwe::{Context, KeyNeeds, Params, SecretKey},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Thirteen levels of 40 bits at 128 bits of security; products of ciphertexts need one key.
    let params = Params::shipped("n15_rational40_l13_d3")?;
    let ckks = Ckks::new(&Context::new(Cpu::new(), params.clone())?);
    let secret = SecretKey::generate(ckks.context())?;
    let keys = secret.evaluation_keys(&KeyNeeds::new(&params).relinearise())?;
    let keys = keys.expand(ckks.context())?;
    let server = Evaluator::new(&ckks, &keys);

    // A ciphertext is added to and multiplied, nothing else, so a function becomes a polynomial: the one with the least largest error
    // on an interval that the inputs never leave. The interval decides about the degree, and the degree about the depth.
    for (range, degree) in [(4.0, 15), (8.0, 15), (8.0, 31)] {
        let best = minimax(gelu, Interval::symmetric(range)?, degree)?;
        println!(
            "gelu on {:>8}, degree {degree}: depth {}, error {:.1e}",
            best.polynomial.interval().to_string(),
            best.polynomial.depth(),
            best.error
        );
    }

    // The usual functions are ready-made. What one costs and how noisy it will be is known before it runs: the same code runs on
    // levels, scales and sample points instead of ciphertexts.
    let activation = Function::gelu(8.0, 31)?;
    let x: Vec<f64> = activation.interval().points(ckks.max_slots()).collect();
    let samples: Vec<f64> = activation.interval().points(33).collect();
    println!("\n{}", activation.explain(&params, params.top(), 1, &[samples])?);
    println!(
        "  error of the approximation {:.1e}, one level more because [-8, 8] has to be scaled to [-1, 1]\n",
        activation.error()
    );

    let encrypted = encrypt(&ckks, &secret, &x)?;
    let y = activation.apply(&server, &[encrypted])?.remove(0);
    let worst = worst(&ckks, &secret, &y, |i| gelu(x[i]))?;
    println!(
        "gelu of {} encrypted numbers: largest error {worst:.1e}, at {}",
        x.len(),
        y.level()
    );
    assert!(worst < activation.error() + 1e-5);

    // An input that is -1 to 1 by construction, x / 8 here, saves the level; folding the 1/8 into the weights before costs nothing.
    let scaled: Vec<f64> = x.iter().map(|x| x / 8.0).collect();
    let encrypted = encrypt(&ckks, &secret, &scaled)?;
    let y = activation.of_unit()?.apply(&server, &[encrypted])?.remove(0);
    println!("the same of x / 8: at {}", y.level());

    // Two polynomials of one variable share its powers; coefficients are your own.
    let unit = Interval::UNIT;
    let (p, q) = (
        Polynomial::chebyshev(unit, &[0.0, 1.0, 0.0, 0.25, 0.0, -0.5])?,
        Polynomial::chebyshev(unit, &[0.5, 0.0, 0.125, 0.0, 0.25])?,
    );
    let encrypted = encrypt(&ckks, &secret, &scaled)?;
    let both = cipherformer::circuit::evaluate_all(&server, &encrypted, &[&p, &q], &Default::default())?;
    println!(
        "two polynomials: levels {} and {}",
        both[0].level().0,
        both[1].level().0
    );

    // Iterations divide: each round is a level, and the interval says how many there are. Nothing tells from a ciphertext that a value
    // is outside. A rehearsal on known values does, before anything is computed.
    let inverse = Function::reciprocal(1.0 / 64.0, 1.0, 12.0)?;
    println!(
        "\nreciprocal on {}: depth {}, relative error {:.1e}",
        inverse.interval(),
        inverse.depth(),
        inverse.error()
    );
    let mut b: Vec<f64> = inverse.interval().points(ckks.max_slots()).collect();
    let y = inverse
        .apply_debug(&server, &[encrypt(&ckks, &secret, &b)?], &[b.clone()])?
        .remove(0);
    let largest = worst_of(&ckks, &secret, &y, |i| 1.0 / b[i], |want| want)?;
    println!("largest relative error {largest:.1e}");
    assert!(largest < inverse.error() + 1e-5);
    b[5] = 1.25;
    match inverse.apply_debug(&server, &[encrypt(&ckks, &secret, &b)?], &[b]) {
        Ok(_) => return Err("a value outside went unnoticed".into()),
        Err(fault) => println!("debugging: {fault}"),
    }
    Ok(())
}

fn encrypt(
    ckks: &Ckks<Cpu>,
    secret: &SecretKey<Cpu>,
    x: &[f64],
) -> Result<Ciphertext<Cpu>, Box<dyn std::error::Error>> {
    let values: Vec<Complex> = x.iter().map(|x| Complex::from(*x)).collect();
    let top = ckks.context().params().top();
    Ok(ckks.encrypt(secret, &values, 1, top)?.expand(ckks.context())?)
}

fn worst(
    ckks: &Ckks<Cpu>,
    secret: &SecretKey<Cpu>,
    y: &Ciphertext<Cpu>,
    want: impl Fn(usize) -> f64,
) -> Result<f64, Box<dyn std::error::Error>> {
    worst_of(ckks, secret, y, want, |_| 1.0)
}

fn worst_of(
    ckks: &Ckks<Cpu>,
    secret: &SecretKey<Cpu>,
    y: &Ciphertext<Cpu>,
    want: impl Fn(usize) -> f64,
    unit: impl Fn(f64) -> f64,
) -> Result<f64, Box<dyn std::error::Error>> {
    let have = ckks.decrypt(secret, y)?.release(Release::Owner)?;
    let error = |(i, y): (usize, &Complex)| (*y - Complex::from(want(i))).abs() / unit(want(i));
    Ok(have.iter().enumerate().map(error).fold(0.0, f64::max))
}
