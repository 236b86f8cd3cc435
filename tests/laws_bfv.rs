//! Exactness of every public BFV operation for plaintext moduli of every kind, and equality of backends bit for bit.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

use cipherformer::{
    backend::{Backend, Mut, Ref, Span, cpu::Cpu, oracle::Oracle},
    bfv::{
        Bfv, Ciphertext, Evaluator, Noise, Packing, Params, PlainModulus, Release, Spec,
        packing_automorphisms,
    },
    ring::{Crt, Galois},
    rlwe::{EvaluationKeys, KeyNeeds, Level, SecretKey},
};
use num_bigint::BigInt;
use proptest::prelude::*;

const STEPS: [i64; 3] = [1, -2, 5];

/// 2, 3, odd composite, powers of two up to the largest, an even number, and the largest below 2^64.
const COEFFICIENT_MODULI: [u128; 7] = [2, 3, 1 << 16, 1 << 64, 1_000_000_006, (1 << 64) - 59, 15];
/// A prime that is 1 modulo 2^17, and the largest below 2^30 that is 1 modulo 2^12: a candidate for Q, which leaves it out.
const SLOT_MODULI: [u128; 2] = [786_433, 1_073_692_673];
/// With slots, a prime without, odd composites, powers of two.
const CIRCUIT_MODULI: [u128; 7] = [786_433, 257, 15, 999_999_999, 1 << 20, 1 << 45, 1 << 64];

struct Set<B: Backend> {
    bfv: Bfv<B>,
    sk: SecretKey<B>,
    keys: EvaluationKeys<B>,
    seed: std::cell::Cell<u64>,
}

fn spec(log_n: u32, primes: usize, digits: usize, plain: u128) -> Spec {
    Spec {
        log_n,
        primes,
        digits,
        plain,
    }
}

fn needs(params: &Params) -> KeyNeeds {
    let needs = KeyNeeds::new(params.rlwe())
        .relinearise()
        .rotate(STEPS)
        .conjugate();
    packing_automorphisms(params.rlwe().log_n()).fold(needs, KeyNeeds::automorphism)
}

impl<B: Backend> Set<B> {
    fn with(backend: B, spec: Spec) -> Self {
        let params = Params::insecure(spec).unwrap();
        let bfv = Bfv::new(backend, params).unwrap();
        let sk = SecretKey::insecure_deterministic(bfv.context(), [7; 32]).unwrap();
        let keys = sk.evaluation_keys(&needs(bfv.params())).unwrap();
        let keys = keys.expand(bfv.context()).unwrap();
        let seed = std::cell::Cell::new(1);
        Self { bfv, sk, keys, seed }
    }

    fn ev(&self) -> Evaluator<'_, B> {
        Evaluator::new(&self.bfv, &self.keys)
    }

    fn t(&self) -> PlainModulus {
        self.bfv.plain()
    }

    fn top(&self) -> Level {
        self.bfv.params().top()
    }

    fn n(&self) -> usize {
        self.bfv.params().degree()
    }

    fn random(&self) -> u64 {
        let state = (self.seed.get())
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        self.seed.set(state);
        state >> 32
    }

    /// Random residues, with the extreme ones among them.
    fn values(&self, count: usize) -> Vec<u64> {
        let t = self.t().value();
        let extremes = [0, t - 1, t / 2, (t / 2 + 1) % t, 1];
        let value = |_| match self.random() % 8 {
            i @ 0..=4 => extremes[i as usize] as u64,
            _ => ((u128::from(self.random()) << 32 | u128::from(self.random())) % t) as u64,
        };
        (0..count).map(value).collect()
    }

    fn encrypt(&self, packing: Packing, values: &[u64], items: usize, level: Level) -> Ciphertext<B> {
        let fresh = self.bfv.encrypt(&self.sk, packing, values, items, level).unwrap();
        fresh.expand(self.bfv.context()).unwrap()
    }

    #[track_caller]
    fn is(&self, packing: Packing, ct: &Ciphertext<B>, want: &[u64]) {
        let have = self
            .bfv
            .decrypt(&self.sk, packing, ct)
            .unwrap()
            .release(Release::Owner)
            .unwrap();
        assert!(have == want, "t = {}, {packing:?}", self.t().value());
    }

    fn words(&self, ct: &Ciphertext<B>) -> Vec<u32> {
        let view = ct.rlwe().view();
        let mut words = vec![0; view.span.count() * self.n()];
        self.bfv.context().backend().download(view, &mut words).unwrap();
        words
    }

    /// a b as the packing multiplies, item by item.
    fn times(&self, packing: Packing, a: &[u64], b: &[u64]) -> Vec<u64> {
        let (t, n) = (self.t(), self.n());
        if packing == Packing::Slots {
            return a.iter().zip(b).map(|(a, b)| t.mul(*a, *b)).collect();
        }
        let mut all = Vec::new();
        for (a, b) in a.chunks(n).zip(b.chunks(n)) {
            let mut product = vec![0u64; n];
            for (i, a) in a.iter().enumerate() {
                for (j, b) in b.iter().enumerate() {
                    let term = t.mul(*a, *b);
                    let signed = if i + j < n {
                        i128::from(term)
                    } else {
                        -i128::from(term)
                    };
                    let to = &mut product[(i + j) % n];
                    *to = t.residue(i128::from(*to) + signed);
                }
            }
            all.extend(product);
        }
        all
    }

    fn zip(&self, a: &[u64], b: &[u64], sign: i128) -> Vec<u64> {
        let sum = |(a, b): (&u64, &u64)| self.t().residue(i128::from(*a) + sign * i128::from(*b));
        a.iter().zip(b).map(sum).collect()
    }
}

/// Every operation but rotations, on `items` ciphertexts.
fn laws<B: Backend>(set: &Set<B>, packing: Packing, items: usize) {
    let (ev, bfv, n, t, top) = (set.ev(), &set.bfv, set.n(), set.t(), set.top());
    let (x, y) = (set.values(n * items), set.values(n * items));
    let (a, b) = (
        set.encrypt(packing, &x, items, top),
        set.encrypt(packing, &y, items, top),
    );
    set.is(packing, &a, &x);
    let pk = set.sk.public_key().unwrap();
    set.is(
        packing,
        &bfv.encrypt_public(&pk, packing, &x, items, top).unwrap(),
        &x,
    );
    set.is(packing, &ev.add(&a, &b).unwrap(), &set.zip(&x, &y, 1));
    set.is(packing, &ev.sub(&a, &b).unwrap(), &set.zip(&x, &y, -1));
    set.is(
        packing,
        &ev.neg(&a).unwrap(),
        &set.zip(&vec![0; n * items], &x, -1),
    );
    // One plaintext an item, and one for all.
    let sum = bfv.addend(packing, &y, items, top).unwrap();
    set.is(packing, &ev.add_plain(&a, &sum).unwrap(), &set.zip(&x, &y, 1));
    let one = bfv.addend(packing, &y[..n], 1, top).unwrap();
    let all = y[..n].repeat(items);
    set.is(packing, &ev.add_plain(&a, &one).unwrap(), &set.zip(&x, &all, 1));
    let factor = bfv.factor(packing, &y, items, top).unwrap();
    set.is(
        packing,
        &ev.mul_plain(&a, &factor).unwrap(),
        &set.times(packing, &x, &y),
    );
    let one = bfv.factor(packing, &y[..n], 1, top).unwrap();
    set.is(
        packing,
        &ev.mul_plain(&a, &one).unwrap(),
        &set.times(packing, &x, &all),
    );
    // Both at once: x y for each item's own plaintext, and for the shared one.
    set.is(
        packing,
        &ev.inner_product_plain(&[(&a, &factor), (&a, &one)]).unwrap(),
        &set.zip(&set.times(packing, &x, &y), &set.times(packing, &x, &all), 1),
    );
    for c in set.values(3) {
        let scaled: Vec<u64> = x.iter().map(|x| t.mul(*x, c)).collect();
        set.is(packing, &ev.mul_integer(&a, c).unwrap(), &scaled);
        let constant: Vec<u64> = (0..n * items)
            .map(|i| {
                if packing == Packing::Slots || i % n == 0 {
                    c
                } else {
                    0
                }
            })
            .collect();
        set.is(
            packing,
            &ev.add_integer(&a, c).unwrap(),
            &set.zip(&x, &constant, 1),
        );
    }
    // Products, before and after relinearisation, at the top and after a switch to every level.
    let (xy, xx) = (set.times(packing, &x, &y), set.times(packing, &x, &x));
    let product = ev.mul(&a, &b).unwrap();
    set.is(packing, &product, &xy);
    let product = ev.relinearise(&product).unwrap();
    set.is(packing, &product, &xy);
    let square = ev.square(&a).unwrap();
    set.is(packing, &square, &xx);
    let difference = ev.sub(&ev.relinearise(&square).unwrap(), &product).unwrap();
    set.is(packing, &difference, &set.zip(&xx, &xy, -1));
    for level in (0..=top.0).map(Level) {
        let lower = ev.switch_to(&a, level).unwrap();
        assert_eq!(lower.level(), level);
        set.is(packing, &lower, &x);
        set.is(packing, &set.encrypt(packing, &y, items, level), &y);
    }
    if top.0 > 0 {
        let below = Level(top.0 - 1);
        let lower = ev.mul(
            &ev.switch_to(&a, below).unwrap(),
            &ev.switch_to(&b, below).unwrap(),
        );
        set.is(packing, &ev.relinearise(&lower.unwrap()).unwrap(), &xy);
    }
    // Nothing changed memory that is shared.
    set.is(packing, &a, &x);
    let joined = ev.concat(&[a.slice(items - 1, 1).unwrap(), b.clone()]).unwrap();
    set.is(packing, &joined, &[&x[n * (items - 1)..], &y[..]].concat());
    set.is(packing, &b.every(0, 0, 2).unwrap(), &y[..n].repeat(2));
}

fn rotations<B: Backend>(set: &Set<B>, items: usize) {
    let (ev, n) = (set.ev(), set.n());
    let x = set.values(n * items);
    let a = set.encrypt(Packing::Slots, &x, items, set.top());
    let columns = |row: &[u64], k: i64| -> Vec<u64> {
        let half = row.len();
        let at = |j: usize| (j as i64 + k).rem_euclid(half as i64) as usize;
        (0..half).map(|j| row[at(j)]).collect()
    };
    for k in STEPS.into_iter().chain([0]) {
        let want: Vec<u64> = x.chunks(n / 2).flat_map(|row| columns(row, k)).collect();
        set.is(Packing::Slots, &ev.rotate_columns(&a, k).unwrap(), &want);
    }
    let swapped: Vec<u64> = x
        .chunks(n)
        .flat_map(|x| [&x[n / 2..], &x[..n / 2]].concat())
        .collect();
    set.is(Packing::Slots, &ev.swap_rows(&a).unwrap(), &swapped);
    // The same automorphism on coefficients.
    let c = set.encrypt(Packing::Coefficients, &x, items, set.top());
    let moved = ev.automorphism(&c, Galois::rotation(1, n.ilog2())).unwrap();
    let signed: Vec<i128> = x.iter().map(|x| i128::from(*x)).collect();
    let want: Vec<u64> = signed
        .chunks(n)
        .flat_map(|x| Galois::rotation(1, n.ilog2()).apply_to_coefficients(x))
        .map(|x| set.t().residue(x))
        .collect();
    set.is(Packing::Coefficients, &moved, &want);
}

fn packing<B: Backend>(set: &Set<B>) {
    let (ev, n) = (set.ev(), set.n());
    let x = set.values(3 * n);
    let a = ev
        .switch_to(&set.encrypt(Packing::Coefficients, &x, 3, set.top()), Level(0))
        .unwrap();
    // Extraction adds no noise, so that it works at the last level; packing is left to the top one.
    let picked = [0, n - 1, n / 2, 1];
    let lwe = set.bfv.extract(&a, &picked).unwrap();
    let want: Vec<u64> = x.chunks(n).flat_map(|x| picked.map(|i| x[i])).collect();
    let opened = set.bfv.decrypt_lwe(&set.sk, &lwe).unwrap();
    assert_eq!(opened.release(Release::Owner).unwrap(), want);
    let a = set.encrypt(Packing::Coefficients, &x, 3, set.top());
    for count in (0..=n.ilog2()).map(|l| 1 << l) {
        let picked: Vec<usize> = (0..count).map(|i| (7 * i + 3) % n).collect();
        let lwe = set.bfv.extract(&a, &picked).unwrap();
        assert_eq!(lwe.items(), 3 * count);
        let packed = ev.pack(&lwe, 3).unwrap();
        let mut want = vec![0; 3 * n];
        for (want, x) in want.chunks_mut(n).zip(x.chunks(n)) {
            for (i, k) in picked.iter().enumerate() {
                want[i * n / count] = x[*k];
            }
        }
        set.is(Packing::Coefficients, &packed, &want);
    }
}

#[test]
fn coefficients_of_every_kind_of_modulus() {
    for (i, t) in COEFFICIENT_MODULI.into_iter().enumerate() {
        let set = Set::with(Cpu::poisoned(), spec(4 + i as u32 % 3, 7, 1 + i % 7, t));
        laws(&set, Packing::Coefficients, 1 + i % 3);
        packing(&set);
    }
}

#[test]
fn slots_and_every_digit_count() {
    for t in SLOT_MODULI {
        for digits in 1..=4 {
            let set = Set::with(Cpu::poisoned(), spec(6, 4, digits, t));
            laws(&set, Packing::Slots, digits);
            laws(&set, Packing::Coefficients, 1);
            rotations(&set, 5 - digits);
        }
        packing(&Set::with(Cpu::poisoned(), spec(5, 4, 2, t)));
    }
}

#[test]
fn a_large_ring() {
    let set = Set::with(Cpu::poisoned(), spec(12, 4, 2, SLOT_MODULI[0]));
    laws(&set, Packing::Slots, 1);
    rotations(&set, 2);
}

/// round(t a b / Q) modulo Q with big integers, from the operands' own residues.
#[test]
fn products_equal_those_of_integers() {
    for (t, primes) in [(1u128 << 64, 4), (65_537, 3), (3, 1), (1_000_000_006, 3)] {
        let set = Set::with(Cpu::poisoned(), spec(4, primes, 1, t));
        let (n, ctx, items) = (set.n(), set.bfv.context(), 3);
        let (rows, q) = {
            let level = set.bfv.params().rlwe().levels().last().unwrap();
            let basis = set.bfv.params().rlwe().basis();
            let q: Vec<u32> = level.primes.iter().map(|i| basis.prime(*i).value()).collect();
            (ctx.level("test", set.top()).unwrap().rows.clone(), q)
        };
        let crt = Crt::new(&q).unwrap();
        let modulus = BigInt::from(crt.product().clone());
        let x = set.values(n * items);
        let a = set.encrypt(Packing::Coefficients, &x, items, set.top());
        let b = set
            .ev()
            .neg(&set.encrypt(Packing::Coefficients, &x, items, set.top()))
            .unwrap();
        let lift = |ct: &Ciphertext<Cpu>| -> Vec<Vec<BigInt>> {
            let (span, words) = (ct.rlwe().view().span, set.words(ct));
            let mut buffer = ctx.backend().alloc(ctx.log_n(), span.count()).unwrap();
            let dense = Span::dense(span.items, span.polys, &rows);
            ctx.backend()
                .upload(Mut::new(&mut buffer, dense), &words)
                .unwrap();
            ctx.backend()
                .intt(ctx.tables(), Mut::new(&mut buffer, dense))
                .unwrap();
            let mut words = words;
            let back = Ref::new(&buffer, dense);
            ctx.backend().download(back, &mut words).unwrap();
            words
                .chunks(rows.len() * n)
                .map(|block| crt.lift_rows(block, n).unwrap())
                .collect()
        };
        let times = |a: &[BigInt], b: &[BigInt]| -> Vec<BigInt> {
            let mut out = vec![BigInt::ZERO; n];
            for i in 0..n {
                for j in 0..n {
                    let term = &a[i] * &b[j];
                    if i + j < n {
                        out[i + j] += term;
                    } else {
                        out[i + j - n] -= term;
                    }
                }
            }
            out
        };
        let scale = |x: BigInt| -> BigInt {
            // floor((2 t x + Q) / 2 Q), then centred modulo Q.
            let floor = |x: BigInt, y: &BigInt| {
                let r = ((&x % y) + y) % y;
                (x - r) / y
            };
            let rounded = floor(x * BigInt::from(2 * t) + &modulus, &(&modulus * 2));
            let r = ((&rounded % &modulus) + &modulus) % &modulus;
            if &r * 2 > modulus { r - &modulus } else { r }
        };
        let (left, right) = (lift(&a), lift(&b));
        let product = lift(&set.ev().mul(&a, &b).unwrap());
        for item in 0..items {
            let (a, b, have) = (
                &left[2 * item..][..2],
                &right[2 * item..][..2],
                &product[3 * item..][..3],
            );
            let middle = times(&a[0], &b[1]).into_iter().zip(times(&a[1], &b[0]));
            let want = [
                times(&a[0], &b[0]),
                middle.map(|(x, y)| x + y).collect(),
                times(&a[1], &b[1]),
            ];
            for (want, have) in want.into_iter().zip(have) {
                let want: Vec<BigInt> = want.into_iter().map(scale).collect();
                assert!(&want == have, "t = {t}");
            }
        }
    }
}

#[test]
fn backends_agree_bit_for_bit() {
    for (t, digits) in [(786_433u128, 1), (1 << 64, 2), (1000, 4)] {
        let (cpu, oracle) = (
            Set::with(Cpu::poisoned(), spec(4, 4, digits, t)),
            Set::with(Oracle, spec(4, 4, digits, t)),
        );
        fn run<B: Backend>(set: &Set<B>) -> Vec<Vec<u32>> {
            let (ev, c, items) = (set.ev(), Packing::Coefficients, 3);
            let x = set.values(set.n() * items);
            let (a, b) = (
                set.encrypt(c, &x, items, set.top()),
                set.encrypt(c, &x, items, set.top()),
            );
            let product = ev.mul(&a, &b).unwrap();
            let linear = ev.relinearise(&product).unwrap();
            let addend = set.bfv.addend(c, &x, items, set.top()).unwrap();
            let factor = set.bfv.factor(c, &x[..5], 1, set.top()).unwrap();
            let low = ev.switch_to(&linear, Level(0)).unwrap();
            let lwe = set.bfv.extract(&a, &[1, 2]).unwrap();
            let all = [
                ev.sub(&a, &linear).unwrap(),
                ev.square(&linear).unwrap(),
                product,
                ev.add_plain(&a, &addend).unwrap(),
                ev.mul_plain(&a, &factor).unwrap(),
                ev.add_integer(&ev.mul_integer(&a, x[0]).unwrap(), x[1]).unwrap(),
                ev.rotate_columns(&a, 5).unwrap(),
                ev.swap_rows(&a).unwrap(),
                ev.pack(&lwe, 3).unwrap(),
                low,
            ];
            all.iter().map(|ct| set.words(ct)).collect()
        }
        assert!(run(&cpu) == run(&oracle), "t = {t}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(28))]

    /// Random circuits, then products with what came last: exact until the expected noise, doubled by every operation for operands that
    /// are related, is 8 standard deviations below 1/2.
    #[test]
    fn circuits_are_exact_until_the_noise_is_used_up(
        t_index in 0usize..CIRCUIT_MODULI.len(), primes in 4usize..9,
        choices in prop::collection::vec((0u8..5, 0usize..8, 0usize..8), 1..30)
    ) {
        let t = CIRCUIT_MODULI[t_index];
        let set = Set::with(Cpu::poisoned(), spec(5, primes, primes, t));
        let (ev, p) = (set.ev(), if t_index == 0 { Packing::Slots } else { Packing::Coefficients });
        let fresh = Noise::fresh(set.bfv.params(), set.top()).unwrap();
        let start = |_| {
            let x = set.values(set.n() * 2);
            (set.encrypt(p, &x, 2, set.top()), x, fresh.clone(), fresh.clone())
        };
        let mut pool: Vec<_> = (0..3).map(start).collect();
        let more = (0..60).map(|k| (5, 0, k));
        let mut ended = false;
        for (kind, i, j) in choices.into_iter().chain(more) {
            let i = if kind == 5 { pool.len() - 1 } else { i };
            let (a, b) = (&pool[i % pool.len()], &pool[j % pool.len()]);
            let c = [0, 3, 1][j % 3];
            // The values, the noise of independent operands with its bound, and the cautious one.
            let larger = if a.3.sd_log2() > b.3.sd_log2() { &a.3 } else { &b.3 };
            let product = |x: &Noise, y: &Noise| x.mul(y).unwrap().relinearise().unwrap();
            let next = match kind {
                0 => (ev.add(&a.0, &b.0), set.zip(&a.1, &b.1, 1), a.2.add(&b.2).unwrap(), larger.mul_integer(2)),
                1 => (ev.sub(&a.0, &b.0), set.zip(&a.1, &b.1, -1), a.2.add(&b.2).unwrap(), larger.mul_integer(2)),
                3 => (
                    ev.relinearise(&ev.square(&a.0).unwrap()),
                    set.times(p, &a.1, &a.1),
                    a.2.square().unwrap().relinearise().unwrap(),
                    product(&a.3, &a.3).mul_integer(2),
                ),
                4 => {
                    let centred = set.t().centred(c);
                    let values = a.1.iter().map(|x| set.t().mul(*x, c)).collect();
                    (ev.mul_integer(&a.0, c), values, a.2.mul_integer(centred), a.3.mul_integer(2 * centred.max(1)))
                }
                _ => (
                    ev.relinearise(&ev.mul(&a.0, &b.0).unwrap()),
                    set.times(p, &a.1, &b.1),
                    product(&a.2, &b.2),
                    product(&a.3, &b.3).mul_integer(2),
                ),
            };
            if next.3.sd_log2() + 3.0 >= -1.0 {
                ended = true;
                continue;
            }
            set.is(p, next.0.as_ref().unwrap(), &next.1);
            let decrypted = set.bfv.decrypt(&set.sk, p, next.0.as_ref().unwrap()).unwrap();
            prop_assert_eq!(decrypted.release(Release::Exact(&next.2)).is_ok(), next.2.bound_log2() < -1.0);
            pool.push((next.0.unwrap(), next.1, next.2, next.3));
        }
        prop_assert!(ended, "the budget did not end");
    }

    #[test]
    fn plaintext_moduli_reduce_and_centre(t in 2u128..=1 << 64, x: i64) {
        let t = PlainModulus::new(t).unwrap();
        let r = t.residue(x.into());
        prop_assert!(u128::from(r) < t.value());
        let c = t.centred(r);
        prop_assert_eq!(t.residue(c.into()), r);
        prop_assert!(2 * u128::from(c.unsigned_abs()) <= t.value());
    }
}

#[test]
fn presets_are_secure_and_read_back() {
    for t in [65_537u128, 1 << 32, 1 << 64] {
        for spec in [Spec::n13(t), Spec::n14(t)] {
            let params = Params::new(spec.clone()).unwrap();
            assert_eq!(params.rlwe().security_bits(), 128);
            let text = serde_json::to_string(&spec).unwrap();
            assert_eq!(serde_json::from_str::<Spec>(&text).unwrap(), spec);
        }
    }
}
