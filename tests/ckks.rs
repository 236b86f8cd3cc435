//! Homomorphism of every CKKS operation, on small insecure chains of every kind.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use cipherformer::{
    arith::Complex,
    backend::cpu::Cpu,
    ckks::{Ckks, Evaluator},
    ring::{ChainKind, ChainSpec, build},
    rlwe::{Context, KeyNeeds, Level, Params, SecretKey, Spec},
};

fn context(spec: &ChainSpec) -> Ckks<Cpu> {
    let params = Params::insecure(Spec {
        chain: build(spec).unwrap(),
    })
    .unwrap();
    Ckks::new(&Context::new(Cpu::poisoned(), params).unwrap())
}

fn values(n: usize, seed: u64) -> Vec<Complex> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..n).map(|_| Complex::new(next(), next())).collect()
}

fn assert_close(have: &[Complex], want: &[Complex], bits: f64, what: &str) {
    let worst = have
        .iter()
        .zip(want)
        .map(|(a, b)| (*a - *b).abs())
        .fold(0.0, f64::max);
    assert!(
        worst < 2f64.powf(-bits),
        "{what}: worst error 2^{:.1}, allowed 2^-{bits}",
        worst.log2()
    );
}

#[test]
fn every_operation() {
    for (kind, scale) in [
        (ChainKind::Rational, 40.0),
        (ChainKind::Pair, 55.0),
        (ChainKind::Single, 28.0),
    ] {
        for digits in [1, 2, 3] {
            let spec = ChainSpec {
                log_n: 10,
                kind,
                scale_bits: vec![scale; 4],
                absorbed_bits: vec![0; 3],
                base_bits: scale + 10.0,
                digits,
                special_margin_bits: 2.0,
                max_log2_qp: Some(4000.0),
            };
            let ckks = context(&spec);
            let sk = SecretKey::generate(ckks.context()).unwrap();
            let needs = KeyNeeds::new(ckks.context().params())
                .relinearise()
                .rotate([1, 5, -3])
                .conjugate();
            let keys = sk
                .evaluation_keys(&needs)
                .unwrap()
                .expand(ckks.context())
                .unwrap();
            let ev = Evaluator::new(&ckks, &keys);
            let (x, y) = (values(2 * 512, 1), values(2 * 512, 2));
            let top = ckks.context().params().top();
            let cx = ckks
                .encrypt(&sk, &x, 2, top)
                .unwrap()
                .expand(ckks.context())
                .unwrap();
            let cy = ckks
                .encrypt(&sk, &y, 2, top)
                .unwrap()
                .expand(ckks.context())
                .unwrap();
            let bits = scale - 16.0;
            assert_close(&ckks.decrypt(&sk, &cx).unwrap(), &x, bits, "encrypt");
            let product: Vec<Complex> = x.iter().zip(&y).map(|(a, b)| *a * *b).collect();
            let cp = ev.mul(&cx, &cy).unwrap();
            assert_close(&ckks.decrypt(&sk, &cp).unwrap(), &product, bits, "mul");
            assert_close(
                &ckks.decrypt(&sk, &ev.relinearise(&cp).unwrap()).unwrap(),
                &product,
                bits,
                "relinearise",
            );
            let merged = ev.relinearise_rescale(&cp).unwrap();
            assert_eq!(merged.scale(), ckks.scale(Level(2)).unwrap());
            assert_close(
                &ckks.decrypt(&sk, &merged).unwrap(),
                &product,
                bits - 2.0,
                "relinearise_rescale",
            );
            for (k, want) in [(1, 1), (5, 5), (-3, 509)] {
                let want: Vec<Complex> = x
                    .chunks(512)
                    .flat_map(|s| (0..512).map(move |i| s[(i + want) % 512]))
                    .collect();
                assert_close(
                    &ckks.decrypt(&sk, &ev.rotate(&cx, k).unwrap()).unwrap(),
                    &want,
                    bits,
                    "rotate",
                );
            }
        }
    }
}
