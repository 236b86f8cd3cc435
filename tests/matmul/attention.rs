//! Scores Q K^T and weighted sums of ciphertexts against the plain ones, within the bounds that `SlotError` computes from scale and level.

use cipherformer::{
    arith::Complex,
    backend::{Backend, cpu::Cpu, null::Null},
    ckks::{Ciphertext, Ckks, Evaluator, Release},
    matmul::{ColumnWeights, Columns, SingleAttention, SlotError, TiledColumns, Weights},
    rlwe::{Context, EvaluationKeys, KeyNeeds, Params, SecretKey},
    transformer::{Attention, Head, Progress},
};

use super::{numbers, params, steps};

/// A client and its scheme on some backend.
struct Party<B: Backend> {
    ckks: Ckks<B>,
    secret: SecretKey<B>,
}

impl<B: Backend> Party<B> {
    fn new(backend: B, params: Params) -> Self {
        let ctx = Context::new(backend, params).unwrap();
        let secret = SecretKey::generate(&ctx).unwrap();
        let ckks = Ckks::new(&ctx);
        Self { ckks, secret }
    }

    fn needs(&self) -> KeyNeeds {
        KeyNeeds::new(self.ckks.context().params())
    }

    fn keys(&self, needs: &KeyNeeds) -> EvaluationKeys<B> {
        let keys = self.secret.evaluation_keys(needs).unwrap();
        keys.expand(self.ckks.context()).unwrap()
    }

    /// At the top level, `each` slots a ciphertext.
    fn encrypt(&self, slots: &[Complex], each: usize) -> Ciphertext<B> {
        let (ctx, items) = (self.ckks.context(), slots.len() / each);
        let sent = self.ckks.encrypt(&self.secret, slots, items, ctx.params().top());
        sent.unwrap().expand(ctx).unwrap()
    }

    fn read(&self, ct: &Ciphertext<B>) -> Vec<Complex> {
        let decrypted = self.ckks.decrypt(&self.secret, ct).unwrap();
        decrypted.release(Release::Owner).unwrap()
    }

    /// Of a fresh ciphertext of numbers up to 1.
    fn fresh(&self) -> SlotError {
        let params = self.ckks.context().params();
        SlotError::fresh(params, params.top(), 1.0).unwrap()
    }

    /// Values at the level and scale of `p`, and what is known of them: a product by a constant and a rescale add to the error of a fresh
    /// ciphertext less than that error again.
    fn values(
        &self,
        ev: &Evaluator<'_, B>,
        v: &Ciphertext<B>,
        p: &Ciphertext<B>,
    ) -> (Ciphertext<B>, SlotError) {
        let (level, scale) = (p.level(), p.scale().clone());
        let v = ev.adjust(v, level, &scale).unwrap();
        let fresh = self.fresh();
        let at_level = SlotError::fresh(self.ckks.context().params(), level, 1.0).unwrap();
        // The rounding of the division, sqrt((1 + 2N/3) / 12) at the scale of the level.
        let n = self.ckks.context().params().degree() as f64;
        let rounding = ((1.0 + 2.0 * n / 3.0) / 12.0 * n / 2.0).sqrt() / scale.to_f64();
        let deviation = fresh.deviation.hypot(rounding);
        let error = SlotError {
            level,
            scale,
            deviation,
            ..at_level
        };
        (v, error)
    }
}

/// Errors against a bound, and their largest share of it.
struct Errors {
    worst: f64,
    bound: f64,
    what: String,
}

impl Errors {
    fn new(error: &SlotError, what: String) -> Self {
        let (worst, bound) = (0.0, error.bound());
        Self { worst, bound, what }
    }

    fn see(&mut self, have: f64, want: f64) {
        let error = (have - want).abs();
        assert!(
            error <= self.bound,
            "{}: {have} instead of {want}, bound {:e}",
            self.what,
            self.bound
        );
        self.worst = self.worst.max(error);
    }

    /// A bound that is far off says nothing.
    fn tight(&self) {
        let (what, worst, bound) = (&self.what, self.worst, self.bound);
        assert!(
            worst > bound * 3e-3,
            "{what}: error {worst:e} far below {bound:e}"
        );
    }
}

/// [request][token][feature]
fn dot(q: &[f64], k: &[f64]) -> f64 {
    q.iter().zip(k).map(|(a, b)| a * b).sum()
}

/// Scores, to which a constant is added where a function would be computed: padding that is not 0 any more must not show in the sums.
#[test]
fn columns_of_any_numbers_of_queries_and_keys() {
    let party = Party::new(Cpu::new(), steps());
    let params = party.ckks.context().params().clone();
    for (m, l, d, requests, tiles) in [
        (1, 1, 1, 1, (1, 1)),
        (1, 5, 3, 1, (1, 1)),
        (7, 3, 2, 3, (1, 1)),
        (13, 11, 2, 1, (1, 1)),
        (23, 5, 2, 5, (3, 1)),
        (3, 29, 1, 4, (1, 2)),
        (37, 41, 2, 2, (2, 2)),
        (67, 2, 2, 1, (2, 1)),
        (2, 131, 1, 1, (1, 3)),
    ] {
        let tiled = TiledColumns::new(m, l, d, requests, party.ckks.max_slots()).unwrap();
        assert_eq!((tiled.query_tiles(), tiled.key_tiles()), tiles, "{m} x {l}");
        let keys = party.keys(&tiled.needs(party.needs()));
        let ev = Evaluator::new(&party.ckks, &keys);
        let (q, k) = (numbers(requests * m * d, 1), numbers(requests * l * d, 2));
        let v = numbers(requests * l * d, 3);
        let slots = tiled.columns().slots();
        let p = tiled
            .scores(
                &ev,
                &party.encrypt(&tiled.pack_queries(&q).unwrap(), slots),
                &party.encrypt(&tiled.pack_keys(&k).unwrap(), slots),
            )
            .unwrap();
        let fresh = party.fresh();
        let of_scores = tiled.scores_error(&params, &fresh, &fresh).unwrap();
        let mut errors = Errors::new(&of_scores, format!("scores {m} x {l} x {d} x {requests}"));
        let have = party.read(&p);
        let row = |all: &[f64], b: usize, count: usize, t: usize| all[(b * count + t) * d..][..d].to_vec();
        let score = |b: usize, t: usize, u: usize| dot(&row(&q, b, m, t), &row(&k, b, l, u));
        let mut padded: Vec<bool> = vec![true; have.len()];
        for (b, t, u) in (0..requests * m * l).map(|i| (i / (m * l), i / l % m, i % l)) {
            let (item, slot) = tiled.score_place(t, u, b);
            errors.see(have[item * slots + slot].re, score(b, t, u));
            assert!(padded[item * slots + slot], "two scores at one place");
            padded[item * slots + slot] = false;
        }
        if m * l * requests >= 50 {
            errors.tight();
        }
        // Every other score is one with a query or a key of padding.
        let none = have.iter().zip(&padded).filter(|(_, p)| **p);
        none.for_each(|(z, _)| errors.see(z.re, 0.0));

        let shifted = ev.add_const(&p, 0.3, 0.0).unwrap();
        let known = SlotError {
            largest: of_scores.largest + 0.3,
            ..of_scores
        };
        let (v_ct, of_v) = party.values(&ev, &party.encrypt(&tiled.pack_keys(&v).unwrap(), slots), &p);
        let sums = tiled.weighted_sum(&ev, &shifted, &v_ct).unwrap();
        let of_sums = tiled.weighted_sum_error(&params, &known, &of_v).unwrap();
        assert_eq!((sums.level(), sums.scale()), (of_sums.level, &of_sums.scale));
        let mut errors = Errors::new(&of_sums, format!("sums {m} x {l} x {d} x {requests}"));
        let have = tiled.unpack(&party.read(&sums)).unwrap();
        for (i, have) in have.iter().enumerate() {
            let (b, t, c) = (i / (m * d), i / d % m, i % d);
            let term = |u: usize| (score(b, t, u) + 0.3) * row(&v, b, l, u)[c];
            errors.see(*have, (0..l).map(term).sum());
        }
        assert!(
            errors.bound < 1e-3,
            "{}: a bound of {:e}",
            errors.what,
            errors.bound
        );
    }
}

/// Values that a circuit gives a bias have it where there are keys only.
#[test]
fn a_bias_of_values_stays_out_of_padding() {
    let party = Party::new(Cpu::new(), steps());
    let (m, l) = (3, 5);
    let tiled = TiledColumns::new(m, l, 1, 3, party.ckks.max_slots()).unwrap();
    let keys = party.keys(&tiled.needs(party.needs()));
    let ev = Evaluator::new(&party.ckks, &keys);
    let slots = tiled.columns().slots();
    let (q, k) = (numbers(3 * m, 1), numbers(3 * l, 2));
    let k_ct = party.encrypt(&tiled.pack_keys(&k).unwrap(), slots);
    let p = tiled
        .scores(
            &ev,
            &party.encrypt(&tiled.pack_queries(&q).unwrap(), slots),
            &k_ct,
        )
        .unwrap();
    let p = ev.add_const(&p, 0.5, 0.0).unwrap();
    let zeros = vec![0.0; 3 * l];
    let v = party.encrypt(&tiled.pack_keys(&zeros).unwrap(), slots);
    let v = ev.adjust(&v, p.level(), p.scale()).unwrap();
    let bias: Vec<Complex> = tiled
        .key_slots()
        .iter()
        .map(|z| Complex::from(0.25 * z.re))
        .collect();
    let bias = party.ckks.encode(&bias, 1, p.level(), p.scale()).unwrap();
    let v = ev.add_plain(&v, &bias).unwrap();
    for (have, present) in party.read(&v).iter().zip(tiled.key_slots()) {
        assert!(
            (have.re - 0.25 * present.re).abs() < 1e-5,
            "{have:?} for {present:?}"
        );
    }
    let have = tiled
        .unpack(&party.read(&tiled.weighted_sum(&ev, &p, &v).unwrap()))
        .unwrap();
    for (i, have) in have.iter().enumerate() {
        let (b, t) = (i / m, i % m);
        let want: f64 = (0..l).map(|u| (q[b * m + t] * k[b * l + u] + 0.5) * 0.25).sum();
        assert!(
            (have - want).abs() < 1e-4,
            "request {b}, query {t}: {have} instead of {want}"
        );
    }
}

/// Rectangular, padded, with features in several ciphertexts, and more tokens than slots.
#[test]
fn scores_and_sums_of_one_request_are_those_of_attention() {
    let party = Party::new(Cpu::new(), params("insecure_n8_rational45_l3_d1"));
    let params = party.ckks.context().params().clone();
    for (m, l, d, one_tile) in [
        (1, 1, 1, true),
        (4, 4, 8, true),
        (3, 5, 6, true),
        (1, 9, 20, true),
        (7, 2, 3, true),
        (5, 11, 40, true),
        (64, 65, 1, true),
        (101, 61, 2, false),
        (3, 131, 2, false),
        (257, 3, 1, false),
        (130, 1, 3, false),
    ] {
        let single = SingleAttention::new(m, l, d, party.ckks.max_slots()).unwrap();
        let tiles = single.query_tiles() * single.key_tiles();
        assert_eq!(tiles == 1, one_tile, "{m} x {l}: {tiles} tiles");
        let keys = party.keys(&single.keys(party.needs()));
        let ev = Evaluator::new(&party.ckks, &keys);
        let (q, k, v) = (numbers(m * d, 1), numbers(l * d, 2), numbers(l * d, 3));
        let slots = single.slots();
        let p = single
            .scores(
                &ev,
                &party.encrypt(&single.pack_queries(&q).unwrap(), slots),
                &party.encrypt(&single.pack_keys(&k).unwrap(), slots),
            )
            .unwrap();
        let fresh = party.fresh();
        let of_scores = single.scores_error(&params, &fresh, &fresh).unwrap();
        let mut errors = Errors::new(&of_scores, format!("scores {m} x {l} x {d}"));
        let have = party.read(&p);
        let score = |t: usize, u: usize| dot(&q[t * d..][..d], &k[u * d..][..d]);
        for (t, u) in (0..m * l).map(|i| (i / l, i % l)) {
            let (item, slot) = single.score_place(t, u);
            errors.see(have[item * slots + slot].re, score(t, u));
        }
        if m * l >= 50 {
            errors.tight();
        }
        let shifted = ev.add_const(&p, 0.3, 0.0).unwrap();
        let known = SlotError {
            largest: of_scores.largest + 0.3,
            ..of_scores
        };
        let (v_ct, of_v) = party.values(&ev, &party.encrypt(&single.pack_keys(&v).unwrap(), slots), &p);
        let sums = single.weighted_sum(&ev, &shifted, &v_ct).unwrap();
        let of_sums = single.weighted_sum_error(&params, &known, &of_v).unwrap();
        let mut errors = Errors::new(&of_sums, format!("sums {m} x {l} x {d}"));
        for (i, have) in single.unpack(&party.read(&sums)).unwrap().iter().enumerate() {
            let term = |u: usize| (score(i / d, u) + 0.3) * v[u * d + i % d];
            errors.see(*have, (0..l).map(term).sum());
        }
    }
}

/// Full scores and those with two diagonals and two features in a ciphertext, with as many keys as tokens and with fewer.
#[test]
fn halved_scores_and_sums_are_those_of_attention() {
    let party = Party::new(Cpu::new(), params("insecure_n10_rational35_l4_d4"));
    let params = party.ckks.context().params().clone();
    const D: usize = 4;
    for (tokens, count) in [(2, 2), (4, 4), (16, 16), (32, 32), (32, 8), (16, 2)] {
        let columns = Columns::with_keys(tokens, count, party.ckks.max_slots() / tokens).unwrap();
        let keys = party.keys(&columns.halved_keys(party.needs()));
        let ev = Evaluator::new(&party.ckks, &keys);
        let mut all: Vec<Vec<f64>> = (0..3).map(|i| numbers(D * columns.slots(), i)).collect();
        // Keys and values repeat.
        let (batch, slots) = (columns.batch(), columns.slots());
        for all in &mut all[1..] {
            for i in 0..all.len() {
                let (c, t, b) = (i / slots, i % slots / batch, i % batch);
                all[i] = all[c * slots + columns.slot(t % count, b)];
            }
        }
        let encrypt = |i: usize| {
            let slots: Vec<Complex> = all[i].iter().map(|x| Complex::from(*x)).collect();
            party.encrypt(&slots, columns.slots())
        };
        let (near, far) = columns.scores_halved(&ev, &encrypt(0), &encrypt(1)).unwrap();
        assert_eq!((near.items(), far.items()), (count / 2, count / 2));
        let halves = [party.read(&near), party.read(&far)];
        let at = |i: usize, f: usize, t: usize, b: usize| all[i][f * slots + columns.slot(t, b)];
        let score = |t, u, b| (0..D).map(|f| at(0, f, t, b) * at(1, f, u, b)).sum::<f64>();
        let fresh = party.fresh();
        let of_scores = columns.scores_halved_error(&params, &fresh, &fresh, D).unwrap();
        let mut errors = Errors::new(&of_scores, format!("halved scores {tokens} x {count}"));
        for b in 0..batch {
            for (t, u) in (0..tokens * count).map(|i| (i / count, i % count)) {
                let (item, half, token) = columns.halved_place(t, u);
                let have = halves[half][item * slots + columns.slot(token, b)];
                errors.see(have.re, score(t, u, b));
                errors.see(have.im, 0.0);
            }
        }
        errors.tight();
        let (v, of_v) = party.values(&ev, &encrypt(2), &near);
        let sums = columns
            .weighted_sum_halved(&ev, (&near, &far), &columns.pair(&ev, &v).unwrap())
            .unwrap();
        let (first, second) = columns.split(&ev, &sums).unwrap();
        let parts = [party.read(&first), party.read(&second)];
        let of_sums = columns
            .weighted_sum_halved_error(&params, &of_scores, &of_v)
            .unwrap();
        let mut errors = Errors::new(&of_sums, format!("halved sums {tokens} x {count}"));
        for b in 0..batch {
            for (t, c) in (0..tokens * D).map(|i| (i / D, i % D)) {
                let want: f64 = (0..count).map(|u| score(t, u, b) * at(2, c, u, b)).sum();
                let have = parts[c / (D / 2)][c % (D / 2) * slots + columns.slot(t, b)].re;
                errors.see(have, want);
            }
        }
    }
}

/// Key switches are as many as the shapes say.
#[test]
fn key_switches_are_counted() {
    for (m, l, d, requests) in [(5, 9, 3, 2), (37, 41, 2, 2), (40, 3, 1, 1), (2, 100, 2, 1)] {
        let null = Null::new();
        let party = Party::new(null.clone(), steps());
        let most = party.ckks.max_slots();
        let counted = |run: &dyn Fn()| {
            null.reset();
            run();
            null.counts().key_switches
        };
        let tiled = TiledColumns::new(m, l, d, requests, most).unwrap();
        let (keys, slots) = (party.keys(&tiled.needs(party.needs())), tiled.columns().slots());
        let ev = Evaluator::new(&party.ckks, &keys);
        let q = party.encrypt(&tiled.pack_queries(&numbers(requests * m * d, 1)).unwrap(), slots);
        let k = party.encrypt(&tiled.pack_keys(&numbers(requests * l * d, 1)).unwrap(), slots);
        let p = tiled.scores(&ev, &q, &k).unwrap();
        let v = ev.adjust(&k, p.level(), p.scale()).unwrap();
        let have = counted(&|| {
            tiled.scores(&ev, &q, &k).unwrap();
            tiled.weighted_sum(&ev, &p, &v).unwrap();
        });
        let (rotations, relinearisations) = tiled.key_switches();
        assert_eq!(have as usize, rotations + relinearisations, "columns {m} x {l}");

        let single = SingleAttention::new(m, l, d, most).unwrap();
        let keys = party.keys(&single.keys(party.needs()));
        let ev = Evaluator::new(&party.ckks, &keys);
        let q = party.encrypt(&single.pack_queries(&numbers(m * d, 1)).unwrap(), single.slots());
        let k = party.encrypt(&single.pack_keys(&numbers(l * d, 1)).unwrap(), single.slots());
        let p = single.scores(&ev, &q, &k).unwrap();
        let v = ev.adjust(&k, p.level(), p.scale()).unwrap();
        let have = counted(&|| {
            single.scores(&ev, &q, &k).unwrap();
            single.weighted_sum(&ev, &p, &v).unwrap();
        });
        let (rotations, relinearisations) = single.key_switches();
        assert_eq!(have as usize, rotations + relinearisations, "single {m} x {l}");
    }
}

/// Attention with two diagonals in a ciphertext gives what attention gives, with fewer key switches.
#[test]
fn halved_attention_is_attention() {
    let party = Party::new(Cpu::new(), params("insecure_n7_rational38_l4_d2"));
    let columns = Columns::new(8, 8).unwrap();
    let map = |seed| {
        let w: Vec<f32> = numbers(16, seed).iter().map(|w| *w as f32 / 2.0).collect();
        ColumnWeights::encode(Weights::f32(&w), (4, 4), 1.0, 8).unwrap()
    };
    let [query, key, value, output] = [1, 2, 3, 4].map(map);
    let head = Head {
        shift: 0.5,
        offset: -0.1,
    };
    let full = Attention {
        columns,
        halved: false,
        heads: vec![head; 2],
        query,
        key,
        value,
        output,
    };
    let halved = Attention {
        halved: true,
        ..full.clone()
    };
    let count = |a: &Attention| a.key_switches().0 + a.key_switches().1;
    assert!(count(&halved) < count(&full));
    let x: Vec<Complex> = numbers(4 * 64, 5).into_iter().map(Complex::from).collect();
    let x = party.encrypt(&x, 64);
    let run = |attention: &Attention| {
        let keys = party.keys(&attention.keys(party.ckks.context().params()));
        let mut silent = |_, _, _| ();
        let ev = Evaluator::new(&party.ckks, &keys);
        let y = attention.forward(&ev, &x, &mut Progress::new(&mut silent));
        party.read(&y.unwrap())
    };
    let (a, b) = (run(&full), run(&halved));
    let largest = a.iter().map(|z| z.re.abs()).fold(0.0, f64::max);
    assert!(largest > 0.1);
    for (a, b) in a.iter().zip(&b) {
        assert!((a.re - b.re).abs() < 1e-4, "{} and {}", a.re, b.re);
    }
}
