//! BFV: crate `fhe` (fhe.rs) with its fastest transform, the same plaintext modulus, and moduli whose product has as many bits as ours
//! with the special primes, which is what security is judged on.

use std::{error::Error, hint::black_box, time::Duration};

use fhe::bfv::{
    BfvParametersBuilder, Ciphertext, Encoding, EvaluationKeyBuilder, Plaintext, PublicKey,
    RelinearizationKey, SecretKey,
};
use fhe_traits::{FheDecoder, FheDecrypter, FheEncoder, FheEncrypter};

use crate::compare::{Comparison, Failure, ours};

/// The plaintext modulus of our `bench` operations.
const PLAIN: u64 = 786_433;
const NAME: &str = "fhe.rs";
/// log2 N, bits of the moduli.
const SETS: [(u32, &[usize]); 2] = [(13, &[52, 52, 53, 53]), (14, &[52, 52, 52, 52, 53, 53, 53, 53])];

pub fn compare(
    budget: Duration,
    show: &mut impl FnMut(Comparison) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for (log_n, moduli) in SETS {
        set(budget, log_n, moduli, show)?;
    }
    Ok(())
}

fn set(
    budget: Duration,
    log_n: u32,
    moduli: &[usize],
    show: &mut impl FnMut(Comparison) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let params = BfvParametersBuilder::new()
        .set_degree(1 << log_n)
        .set_plaintext_modulus(PLAIN)
        .set_moduli_sizes(moduli)
        .build_arc()?;
    let mut rng = rand::rng();
    let secret = SecretKey::random(&params, &mut rng);
    let public = PublicKey::new(&secret, &mut rng);
    let relinearisation = RelinearizationKey::new(&secret, &mut rng)?;
    let rotation = EvaluationKeyBuilder::new(&secret)?
        .enable_column_rotation(1)?
        .build(&mut rng)?;
    let values: Vec<u64> = (0..1u64 << log_n).map(|i| i * i % PLAIN).collect();
    let plain = Plaintext::try_encode(&values, Encoding::simd(), &params)?;
    let x: Ciphertext = public.try_encrypt(&plain, &mut rng)?;
    let y: Ciphertext = public.try_encrypt(&plain, &mut rng)?;

    let mul = || -> Result<Ciphertext, Box<dyn Error>> {
        let mut product = &x * &y;
        relinearisation.relinearizes(&mut product)?;
        Ok(product)
    };
    // A peer that computed something else would be no peer.
    let have = Vec::<u64>::try_decode(&secret.try_decrypt(&mul()?)?, Encoding::simd())?;
    if have.iter().zip(&values).any(|(have, x)| *have != x * x % PLAIN) {
        return Err(format!("fhe.rs at N = 2^{log_n}: the product is not the product").into());
    }

    let mut cases = ours(log_n, &["bfv/encrypt", "bfv/add", "bfv/mul_relin", "bfv/rotate"])?.into_iter();
    let mut next = || cases.next().ok_or("an operation is missing");
    let encrypt = Comparison::time(budget, &mut next()?, NAME, || {
        let plain = Plaintext::try_encode(&values, Encoding::simd(), &params);
        let ct = plain.map(|p| -> fhe::Result<Ciphertext> { public.try_encrypt(&p, &mut rng) });
        drop(black_box(ct));
    })?;
    show(encrypt)?;
    show(Comparison::time(budget, &mut next()?, NAME, || {
        drop(black_box(black_box(&x) + &y));
    })?)?;
    show(Comparison::time(budget, &mut next()?, NAME, || {
        drop(black_box(mul()));
    })?)?;
    show(Comparison::time(budget, &mut next()?, NAME, || {
        drop(black_box(rotation.rotates_columns_by(&x, 1)));
    })?)
}
