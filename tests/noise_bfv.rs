//! Measured invariant noise against its formulas: within 0.3 bit for the key's own moments, in sequences and trees of products to
//! depth 4; and always within the bound.
//!
//! A coefficient of noise after d products in sequence is a product of d + 1 nearly normal factors at every root, and its square is
//! heavy-tailed: the mean of K values deviates by about sqrt(2^(d+1) (2d)! / d!^2 / K), relatively, 0.09 for d = 4 and K = 2^18, and
//! 0.7 for d = 6: deeper sequences say little. In a tree, sums of independent products take the place of most of the factors.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use cipherformer::{
    backend::cpu::Cpu,
    bfv::{Bfv, Ciphertext, Evaluator, Noise, Packing, Params, Spec, packing_automorphisms},
    matmul::coefficient::{Objective, Output, Plain, Plan, Request, Shape, Side},
    rlwe::{EvaluationKeys, KeyNeeds, Level, SecretKey},
};

struct Set {
    bfv: Bfv<Cpu>,
    sk: SecretKey<Cpu>,
    keys: EvaluationKeys<Cpu>,
    items: usize,
    name: String,
}

impl Set {
    fn new(log_n: u32, primes: usize, plain: u128, key: u8, log_samples: u32) -> Self {
        let spec = Spec {
            log_n,
            primes,
            digits: primes,
            plain,
        };
        let bfv = Bfv::new(Cpu::poisoned(), Params::insecure(spec).unwrap()).unwrap();
        let sk = SecretKey::insecure_deterministic(bfv.context(), [key; 32]).unwrap();
        let needs = KeyNeeds::new(bfv.params().rlwe()).relinearise().rotate([1]);
        let needs = packing_automorphisms(log_n).fold(needs, KeyNeeds::automorphism);
        let keys = sk.evaluation_keys(&needs).unwrap().expand(bfv.context()).unwrap();
        Self {
            items: 1 << (log_samples - log_n),
            name: format!("N = 2^{log_n}, t = {plain}, key {key}"),
            bfv,
            sk,
            keys,
        }
    }

    fn ev(&self) -> Evaluator<'_, Cpu> {
        Evaluator::new(&self.bfv, &self.keys)
    }

    fn encrypt(&self, k: u64) -> Ciphertext<Cpu> {
        let t = self.bfv.plain();
        let value = |i: u64| t.residue(i128::from(i.wrapping_mul(0x9E37_79B9_7F4A_7C15 + 2 * k)));
        let values: Vec<u64> = (0..(self.bfv.params().degree() * self.items) as u64)
            .map(value)
            .collect();
        let top = self.bfv.params().top();
        let fresh = (self.bfv).encrypt(&self.sk, Packing::Coefficients, &values, self.items, top);
        fresh.unwrap().expand(self.bfv.context()).unwrap()
    }

    /// Measured, minus the formulas for this key and for the mean of all keys; the bound always holds.
    fn compare(&self, ct: &Ciphertext<Cpu>, noise: &Noise, what: &str) -> (f64, f64) {
        let measured = self.bfv.measure_noise(&self.sk, ct).unwrap();
        let (own, mean) = (noise.sd_log2_of(&self.sk).unwrap(), noise.sd_log2());
        println!(
            "{}, {what}: sd 2^{:.2}, this key 2^{own:.2}, mean 2^{mean:.2}, max 2^{:.2}, bound 2^{:.2}",
            self.name,
            measured.sd_log2,
            measured.max_log2,
            noise.bound_log2()
        );
        assert!(measured.max_log2 < noise.bound_log2(), "{what}");
        (measured.sd_log2 - own, measured.sd_log2 - mean)
    }
}

/// Products in sequence, each with a fresh factor, until the budget ends or to depth 4; the depth that it reached.
fn chain(set: &Set) -> u32 {
    let ev = set.ev();
    let fresh = Noise::fresh(set.bfv.params(), set.bfv.params().top()).unwrap();
    let (mut a, mut noise) = (set.encrypt(1), fresh.clone());
    assert!(set.compare(&a, &noise, "fresh").0.abs() < 0.3);
    for d in 1.. {
        let product = noise.mul(&fresh).unwrap();
        if product.sd_log2() > -5.0 || d > 4 {
            return d - 1;
        }
        let b = ev.mul(&a, &set.encrypt(1 + u64::from(d))).unwrap();
        (a, noise) = (ev.relinearise(&b).unwrap(), product.relinearise().unwrap());
        let (own, mean) = set.compare(&a, &noise, &format!("product {d}"));
        assert!(own.abs() < 0.3, "{}: {own:.2} bits at depth {d}", set.name);
        // The mean over keys is near enough before a key's own moments matter.
        assert!(
            d > 2 || mean.abs() < 0.3,
            "{}: {mean:.2} bits at depth {d}",
            set.name
        );
    }
    0
}

#[test]
fn products_in_sequence_are_as_noisy_as_the_formulas_say() {
    for key in 1..=3 {
        assert_eq!(chain(&Set::new(10, 6, 65_537, key, 18)), 4);
    }
    for key in 4..=5 {
        assert_eq!(chain(&Set::new(11, 7, 1 << 32, key, 17)), 4);
    }
    assert_eq!(chain(&Set::new(12, 8, 1 << 64, 6, 14)), 2);
    // Odd and composite; and so small that relinearisation and rounding show.
    assert_eq!(chain(&Set::new(10, 4, 999_999_999, 7, 15)), 2);
    assert_eq!(chain(&Set::new(10, 3, 15, 8, 17)), 4);
}

/// Trees of products, the operands as deep as one another.
#[test]
fn products_in_trees_are_as_noisy_as_the_formulas_say() {
    for key in 9..=11 {
        let set = Set::new(10, 6, 65_537, key, 15);
        let ev = set.ev();
        let mut noise = Noise::fresh(set.bfv.params(), set.bfv.params().top()).unwrap();
        let mut row: Vec<_> = (1..=16).map(|k| set.encrypt(k)).collect();
        for depth in 1..=4 {
            let pair = |pair: &[Ciphertext<Cpu>]| ev.mul(&pair[0], &pair[1]).unwrap();
            row = (row.chunks(2).map(pair))
                .map(|product| ev.relinearise(&product).unwrap())
                .collect();
            noise = noise.mul(&noise).unwrap().relinearise().unwrap();
            let all = ev.concat(&row).unwrap();
            let error = set.compare(&all, &noise, &format!("tree of depth {depth}")).0;
            assert!(error.abs() < 0.3, "key {key}: {error:.2} bits at depth {depth}");
        }
    }
}

#[test]
fn every_operation_is_as_noisy_as_the_formulas_say() {
    let set = Set::new(10, 5, 1 << 20, 10, 14);
    let (ev, bfv) = (set.ev(), &set.bfv);
    let (n, top, c) = (1usize << 10, bfv.params().top(), Packing::Coefficients);
    let fresh = Noise::fresh(bfv.params(), top).unwrap();
    let (a, b) = (set.encrypt(1), set.encrypt(2));
    let near = |ct: &Ciphertext<Cpu>, noise: Noise, what: &str| {
        let error = set.compare(ct, &noise, what).0;
        assert!(error.abs() < 0.3, "{what}: {error:.2} bits");
    };
    near(&ev.sub(&a, &b).unwrap(), fresh.add(&fresh).unwrap(), "difference");
    let pk = set.sk.public_key().unwrap();
    let public = bfv
        .encrypt_public(&pk, c, &vec![1; set.items], set.items, top)
        .unwrap();
    near(
        &public,
        Noise::fresh_public(bfv.params(), top).unwrap(),
        "public key",
    );
    let values: Vec<u64> = (0..n as u64)
        .map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 44)
        .collect();
    let factor = bfv.factor(c, &values, 1, top).unwrap();
    near(
        &ev.mul_plain(&a, &factor).unwrap(),
        fresh.mul_plain(n, f64::from(1 << 19)),
        "times a plaintext",
    );
    let addend = bfv.addend(c, &values, 1, top).unwrap();
    near(
        &ev.add_plain(&a, &addend).unwrap(),
        fresh.add_plain().unwrap(),
        "plus a plaintext",
    );
    near(
        &ev.mul_integer(&a, 1000).unwrap(),
        fresh.mul_integer(1000),
        "times an integer",
    );
    let square = ev.relinearise(&ev.square(&a).unwrap()).unwrap();
    near(&square, fresh.square().unwrap().relinearise().unwrap(), "square");
    near(
        &ev.rotate_columns(&a, 1).unwrap(),
        fresh.automorphism().unwrap(),
        "rotation",
    );
    for level in (0..top.0).map(Level) {
        let lower = ev.switch_to(&a, level).unwrap();
        near(&lower, fresh.switch_to(level).unwrap(), &format!("at {level}"));
    }
    // Coefficients that have nothing to do with one another, or differences that are switched would vanish.
    let picked: Vec<usize> = values.iter().map(|v| *v as usize % n).collect();
    for count in [1, 8, n] {
        let lwe = bfv.extract(&a.slice(0, 4).unwrap(), &picked[..count]).unwrap();
        near(
            &ev.pack(&lwe, 4).unwrap(),
            fresh.pack(count).unwrap(),
            &format!("{count} packed"),
        );
    }
}

#[test]
fn interleaving_is_as_noisy_as_the_formula_says() {
    let set = Set::new(10, 4, 1 << 20, 12, 14);
    let fresh = Noise::fresh(set.bfv.params(), set.bfv.params().top()).unwrap();
    for count in [2, 4, 8, 16] {
        let a = set.encrypt(count as u64).slice(0, count).unwrap();
        let all = set.ev().interleave(&a, count).unwrap();
        let error = set.compare(
            &all,
            &fresh.interleave(count).unwrap(),
            &format!("{count} interleaved"),
        );
        assert!(error.0.abs() < 0.3, "{count}: {:.2} bits", error.0);
    }
}

/// Of matrix products with random and with the largest weights.
#[test]
fn results_of_coefficient_packing_stay_within_their_bound() {
    let set = Set::new(8, 4, 1 << 30, 13, 8);
    let ctx = set.bfv.context();
    let (shape, bound) = (Shape::new(9, 70, 33), 1 << 20);
    for objective in Objective::ALL {
        let request = Request::new(shape).output(Output::Packed).objective(objective);
        let plan = Plan::new(set.bfv.params(), &request.weight_bound(bound)).unwrap();
        let residues: Vec<u64> = (0..630u64)
            .map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 34)
            .collect();
        let sent = plan.encrypt(&set.bfv, &set.sk, Side::Left, &residues).unwrap();
        let inputs = [sent.expand(ctx).unwrap()];
        for largest in [false, true] {
            let weight = |i: i64| match largest {
                true => bound as i64,
                false => i.wrapping_mul(0x1E37_79B9_7F4A_7C15) >> 43,
            };
            let weights = plan.weights(&(0..2310).map(weight).collect::<Vec<_>>()).unwrap();
            let plain = Plain::OnTheFly(&weights);
            let results = plan.multiply(&set.bfv, &plain, &inputs, &[&set.keys]).unwrap();
            for results in results {
                set.compare(
                    results.ciphertexts(),
                    plan.noise(),
                    &format!("{objective:?}, largest: {largest}"),
                );
            }
        }
    }
}
