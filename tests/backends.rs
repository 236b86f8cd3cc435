//! One computation on several backends: the same bits; and what it costs, on the one that counts.

#![cfg(feature = "fallback")]
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use cipherformer::{
    arith::Complex,
    backend::{
        Backend,
        conformance::Opaque,
        cpu::Cpu,
        null::{Counts, Null, Operation},
        oracle::Oracle,
    },
    circuit::{Basis, Interval, Polynomial, evaluate},
    ckks::{Ciphertext, Ckks, Evaluator, Release},
    ring::ChainKind,
    rlwe::{Context, KeyNeeds, Params, SecretKey},
};

#[path = "shared/chain.rs"]
mod chain;

use chain::{insecure, uniform};

const SLOTS: usize = 128;

fn params(kind: ChainKind, scale: f64, digits: usize) -> Params {
    insecure(&uniform(8, kind, scale, 4, digits))
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

fn words<B: Backend>(ctx: &Context<B>, ct: &Ciphertext<B>) -> Vec<u32> {
    let view = ct.rlwe().view();
    let mut words = vec![0; view.span.count() << ctx.log_n()];
    ctx.backend().download(view, &mut words).unwrap();
    words
}

/// Every operation once: all residues on the way, and the decrypted values.
fn transcript<B: Backend>(backend: B, params: &Params) -> (Vec<Vec<u32>>, Vec<Complex>) {
    let ckks = Ckks::new(&Context::new(backend, params.clone()).unwrap());
    let ctx = ckks.context();
    let sk = SecretKey::insecure_deterministic(ctx, [7; 32]).unwrap();
    let needs = KeyNeeds::new(params).relinearise().rotate([1, 5, -3]).conjugate();
    let keys = sk.evaluation_keys(&needs).unwrap().expand(ctx).unwrap();
    let ev = Evaluator::new(&ckks, &keys);
    let encrypt = |seed| {
        let fresh = ckks.encrypt(&sk, &values(2 * SLOTS, seed), 2, params.top());
        fresh.unwrap().expand(ctx).unwrap()
    };
    let (x, y) = (encrypt(1), encrypt(2));
    let mut steps = Vec::new();
    let mut keep = |ct: Ciphertext<B>| {
        steps.push(words(ctx, &ct));
        ct
    };
    let product = keep(ev.mul(&x, &y).unwrap());
    keep(ev.inner_products(&[(&x, &y), (&y, &y)]).unwrap());
    keep(ev.rescale(&ev.relinearise(&product).unwrap()).unwrap());
    let merged = keep(ev.relinearise_rescale(&product).unwrap());
    for rotated in ev.rotate_hoisted(&merged, &[1, 5, -3, 0]).unwrap() {
        keep(rotated);
    }
    keep(ev.rotate_each(&merged, &[5, 1]).unwrap());
    keep(ev.conjugate(&merged).unwrap());
    keep(ev.mul_i(&ev.neg(&merged).unwrap()).unwrap());
    keep(ev.add_const(&merged, 0.25, -0.5).unwrap());
    let plain = ckks.encode(&values(SLOTS, 3), 1, merged.level(), merged.scale());
    let plain = plain.unwrap();
    let sum = keep(ev.add_plain(&merged, &plain).unwrap());
    let scaled = keep(ev.mul_plain(&sum, &plain).unwrap());
    let pairs = [(&sum, &plain), (&merged, &plain), (&sum, &plain)];
    let summed = keep(ev.inner_product_plain(&pairs).unwrap());
    let twice = ev.add(&scaled, &scaled).unwrap();
    let wanted = ev.add(&twice, &ev.mul_plain(&merged, &plain).unwrap()).unwrap();
    assert_eq!(words(ctx, &summed), words(ctx, &wanted));
    let c: Vec<Complex> = values(8, 4);
    let p = Polynomial::complex(Basis::Chebyshev, Interval::UNIT, &c).unwrap();
    keep(evaluate(&ev, &x, &p).unwrap());
    let groups: Vec<u32> = (0..SLOTS as u32).map(|i| i % 2).collect();
    let q = Polynomial::complex(Basis::Chebyshev, Interval::UNIT, &c[..5]).unwrap();
    keep(evaluate(&ev, &x, &Polynomial::grouped(&[p, q], &groups).unwrap()).unwrap());
    let last = keep(ev.rescale(&scaled).unwrap());
    let last = keep(ev.sub(&ev.add(&last, &last).unwrap(), &last).unwrap());
    let decrypted = ckks.decrypt(&sk, &last).unwrap().release(Release::Owner).unwrap();
    (steps, decrypted)
}

const CHAINS: [(ChainKind, f64, usize); 4] = [
    (ChainKind::Rational, 40.0, 2),
    (ChainKind::Rational, 40.0, 3),
    (ChainKind::Pair, 55.0, 3),
    (ChainKind::Single, 28.0, 1),
];

#[test]
fn oracle_and_opaque_memory_give_the_bits_of_the_cpu() {
    for (kind, scale, digits) in CHAINS {
        let params = params(kind, scale, digits);
        let want = transcript(Cpu::poisoned(), &params);
        for (i, (have, want)) in transcript(Oracle, &params).0.iter().zip(&want.0).enumerate() {
            assert!(
                have == want,
                "oracle, {kind:?}, {digits} digits: step {i} differs"
            );
        }
        assert!(
            transcript(Opaque::new(Cpu::poisoned()), &params) == want,
            "opaque, {kind:?}, {digits} digits"
        );
    }
}

/// What `f` costs on a batch of `ITEMS` fresh ciphertexts of 2 components at the highest level.
fn cost(params: &Params, f: impl FnOnce(&Evaluator<Null>, &Ciphertext<Null>)) -> Counts {
    let backend = Null::new();
    let ckks = Ckks::new(&Context::new(backend.clone(), params.clone()).unwrap());
    let sk = SecretKey::generate(ckks.context()).unwrap();
    let needs = KeyNeeds::new(params).relinearise().rotate([1, 5, -3]);
    let keys = sk
        .evaluation_keys(&needs)
        .unwrap()
        .expand(ckks.context())
        .unwrap();
    let fresh = ckks
        .encrypt(&sk, &values(ITEMS * SLOTS, 1), ITEMS, params.top())
        .unwrap();
    let ct = fresh.expand(ckks.context()).unwrap();
    backend.reset();
    f(&Evaluator::new(&ckks, &keys), &ct);
    backend.counts()
}

const ITEMS: usize = 3;

/// Rows of the highest level, of the special primes, of the level below; rows that both levels share; digits.
fn shape(params: &Params) -> [u64; 5] {
    let top = params.top();
    let level = &params.level("shape", top).unwrap().primes;
    let below = &params.level("shape", top.below().unwrap()).unwrap().primes;
    let shared = below.iter().filter(|i| level.contains(i)).count();
    let mut digits: Vec<u8> = level.iter().map(|i| params.digit_of()[*i as usize]).collect();
    digits.sort_unstable();
    digits.dedup();
    [
        level.len(),
        params.special().len(),
        below.len(),
        shared,
        digits.len(),
    ]
    .map(|n| n as u64)
}

#[test]
fn relinearise_rescale_costs_one_mod_up_and_one_division() {
    for (kind, scale, digits) in CHAINS {
        let params = params(kind, scale, digits);
        let [level, special, below, shared, digits] = shape(&params);
        let counts = cost(&params, |ev, ct| {
            let product = ev.mul(ct, ct).unwrap();
            let before = product.components();
            assert_eq!(
                (before, ev.relinearise_rescale(&product).unwrap().components()),
                (3, 2)
            );
        });
        let (items, extended) = (ITEMS as u64, level + special);
        // ModUp: the rows of the level down, and each digit up in all rows but its own, which sum to those of the level.
        let mod_up = digits * extended;
        // The division: the removed rows of two polynomials down, the rows of the level below up.
        let division = 2 * (extended - shared + below);
        assert_eq!(
            counts.ntts(),
            items * (mod_up + division),
            "{kind:?}, {digits} digits"
        );
        assert_eq!(
            counts.of(Operation::Intt).rows,
            items * (level + 2 * (extended - shared))
        );
        assert_eq!(counts.key_switches, items);
        assert_eq!(counts.of(Operation::KeyInnerProduct).rows, items * 2 * extended);
        assert_eq!(
            (
                counts.of(Operation::ModUp).calls,
                counts.of(Operation::Step).calls
            ),
            (1, 1)
        );
        // The inner product reads the digits of every item and the key once, and writes two polynomials an item.
        let row_bytes = 4 * 2 * SLOTS as u64;
        let tally = counts.of(Operation::KeyInnerProduct);
        assert_eq!(tally.read_bytes, (items + 2) * digits * extended * row_bytes);
        assert_eq!(tally.written_bytes, items * 2 * extended * row_bytes);
    }
}

#[test]
fn hoisted_rotations_share_one_mod_up() {
    for (kind, scale, digits) in CHAINS {
        let params = params(kind, scale, digits);
        let [level, special, _, _, digits] = shape(&params);
        let counts = cost(&params, |ev, ct| {
            assert_eq!(ev.rotate_hoisted(ct, &[1, 5, 0, -3]).unwrap().len(), 4);
        });
        let (items, rotations) = (ITEMS as u64, 3);
        let want = digits * (level + special) + rotations * 2 * (special + level);
        assert_eq!(counts.ntts(), items * want, "{kind:?}, {digits} digits");
        assert_eq!(counts.key_switches, items * rotations);
        assert_eq!(
            counts.of(Operation::Permute).rows,
            items * rotations * 2 * (level + special)
        );
        assert_eq!(counts.of(Operation::ModUp).calls, 1);
    }
}

#[test]
fn counts_follow_memory_and_can_be_printed() {
    let backend = Null::new();
    let first = backend.alloc(8, 10).unwrap();
    let second = backend.alloc(8, 5).unwrap();
    drop(first);
    let third = backend.alloc(8, 1).unwrap();
    let counts = backend.counts();
    assert_eq!((counts.allocations, counts.live_bytes), (3, 6 * 1024));
    assert_eq!(counts.peak_bytes, 15 * 1024);
    backend.reset();
    assert_eq!(backend.counts().peak_bytes, 6 * 1024);
    drop((second, third));
    assert_eq!(backend.counts().live_bytes, 0);
    let params = params(ChainKind::Rational, 40.0, 2);
    let counts = cost(&params, |ev, ct| drop(ev.rotate(ct, 1).unwrap()));
    let (table, json) = (counts.to_string(), serde_json::to_value(&counts).unwrap());
    assert!(table.contains("key_inner_product") && table.contains("key switches 3"));
    assert_eq!(json["operations"]["mod_up"]["calls"], 1);
    assert_eq!(json["key_switches"], 3);
}
