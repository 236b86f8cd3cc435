//! Measured invariant noise against its formulas: standard deviations within 0.3 bit.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use cipherformer::{
    backend::cpu::Cpu,
    bfv::{Bfv, Evaluator, Packing, Params, Spec},
    rlwe::{KeyNeeds, SecretKey},
};

fn check(log_n: u32, primes: usize, plain: u128) {
    let spec = Spec {
        log_n,
        primes,
        digits: primes,
        plain,
    };
    let bfv = Bfv::new(Cpu::poisoned(), Params::insecure(spec).unwrap()).unwrap();
    let (ctx, top, n) = (bfv.context(), bfv.params().top(), bfv.params().degree());
    let sk = SecretKey::generate(ctx).unwrap();
    let keys = sk.evaluation_keys(&KeyNeeds::new(bfv.params().rlwe()).relinearise());
    let keys = keys.unwrap().expand(ctx).unwrap();
    let ev = Evaluator::new(&bfv, &keys);
    let items = (1 << 14) / n;
    let encrypt = |k: u64| {
        let value = |i: u64| {
            bfv.plain()
                .residue(i128::from(i.wrapping_mul(0x9E37_79B9_7F4A_7C15 + 2 * k)))
        };
        let values: Vec<u64> = (0..(n * items) as u64).map(value).collect();
        let fresh = bfv.encrypt(&sk, Packing::Coefficients, &values, items, top);
        fresh.unwrap().expand(ctx).unwrap()
    };
    let mut a = encrypt(1);
    let fresh = bfv.fresh_noise_log2(top).unwrap();
    let mut predicted = fresh;
    let mut depth = 0;
    let near = |ct: &_, predicted: f64, what: &str| {
        let noise = bfv.noise(&sk, ct).unwrap();
        println!(
            "N = 2^{log_n}, t = {plain}, {what}: sd 2^{:.2}, formula 2^{predicted:.2}, budget {:.1} bits",
            noise.sd_log2,
            noise.budget_bits()
        );
        assert!((noise.sd_log2 - predicted).abs() < 0.3);
    };
    near(&a, predicted, "fresh");
    loop {
        depth += 1;
        predicted = bfv.product_noise_log2(predicted, fresh, depth);
        if predicted > -5.0 {
            break;
        }
        // A fresh factor each time: the formula is for independent ones.
        let product = ev.mul(&a, &encrypt(1 + u64::from(depth))).unwrap();
        near(&product, predicted, &format!("product {depth}"));
        a = ev.relinearise(&product).unwrap();
        near(&a, predicted, &format!("product {depth}, relinearised"));
    }
    assert!(depth > 1);
}

#[test]
fn noise_is_what_the_formulas_say() {
    check(10, 6, 65_537);
    check(11, 7, 1 << 32);
    check(12, 8, 1 << 64);
}
