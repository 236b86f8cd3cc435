//! Products of matrices on any backend, for tests that compare residues: every packing, both kinds of operands, everything from fixed
//! seeds. Results are decrypted and held against the plain product on the way, so that equal words are equal results.

use cipherformer::{
    arith::Complex,
    backend::Backend,
    bfv::{self, Bfv},
    ckks::{Ciphertext, Ckks, Evaluator, Release},
    matmul::{
        ColumnWeights, Columns, Inputs, MatmulPlan, Options, Packing, Shape, SingleAttention, TiledColumns,
        Weights,
        coefficient::{self, Encrypted, Output, Plain, Request, Side},
    },
    ring::insecure_chain,
    rlwe::{self, Context, EvaluationKeys, KeyNeeds, Params, SecretKey, Spec},
    transformer::{Attention, Head, Progress},
};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Residues of results, each with what it is.
pub type Transcript = Vec<(String, Vec<u32>)>;

fn words<B: Backend>(ctx: &Context<B>, ct: &rlwe::Ciphertext<B>) -> Outcome<Vec<u32>> {
    let view = ct.view();
    let mut words = vec![0; view.span.count() << ctx.log_n()];
    ctx.backend().download(view, &mut words)?;
    Ok(words)
}

/// Numbers in [-1, 1] that look random.
fn number(i: usize) -> f64 {
    (i * i % 4093 + i * 59) as f64 % 101.0 / 50.5 - 1.0
}

/// A context, a client of fixed seed, and the keys that are asked for.
struct Scheme<B: Backend> {
    ckks: Ckks<B>,
    secret: SecretKey<B>,
}

impl<B: Backend> Scheme<B> {
    fn new(backend: B, chain: &str) -> Outcome<Self> {
        let chain = insecure_chain(chain).ok_or("no such chain")?;
        let ctx = Context::new(backend, Params::insecure(Spec { chain })?)?;
        let secret = SecretKey::insecure_deterministic(&ctx, [7; 32])?;
        let ckks = Ckks::new(&ctx);
        Ok(Self { ckks, secret })
    }

    fn needs(&self) -> KeyNeeds {
        KeyNeeds::new(self.ckks.context().params())
    }

    fn keys(&self, needs: &KeyNeeds) -> Outcome<EvaluationKeys<B>> {
        let keys = self.secret.evaluation_keys(needs)?;
        Ok(keys.expand(self.ckks.context())?)
    }

    fn encrypt(&self, slots: &[Complex], each: usize) -> Outcome<Ciphertext<B>> {
        let ctx = self.ckks.context();
        let sent = (self.ckks).encrypt(&self.secret, slots, slots.len() / each, ctx.params().top())?;
        Ok(sent.expand(ctx)?)
    }

    fn words(&self, ct: &Ciphertext<B>) -> Outcome<Vec<u32>> {
        words(self.ckks.context(), ct.rlwe())
    }
}

/// All packings of products with plain matrices, weights ready and not, for two clients of two requests each.
pub fn plain_products<B: Backend>(backend: B) -> Outcome<Transcript> {
    let scheme = Scheme::new(backend, "insecure_n8_single28_l3_d4")?;
    let (ckks, ctx) = (&scheme.ckks, scheme.ckks.context());
    let shape = Shape::new(3, 37, 19).batch(2);
    let w: Vec<f32> = (0..shape.k * shape.n).map(|i| number(i) as f32).collect();
    let others = SecretKey::insecure_deterministic(ctx, [8; 32])?;
    let secrets = [&scheme.secret, &others];
    let mut all = Vec::new();
    for (packing, ready) in Packing::ALL.into_iter().flat_map(|p| [(p, true), (p, false)]) {
        let options = Options {
            ready,
            ..Options::default()
        };
        let plan = MatmulPlan::with(shape, packing, ctx.params(), options)?;
        let weights = plan.encode_weights(ckks, Weights::f32(&w))?;
        let count = shape.rows() * shape.k;
        let x = |client: usize| (0..count).map(|i| number(i + 1000 * client)).collect::<Vec<_>>();
        let (mut inputs, mut keys) = (Vec::new(), Vec::new());
        for (client, secret) in secrets.iter().enumerate() {
            inputs.push(plan.encrypt_inputs(ckks, secret, &x(client))?.expand(ctx)?);
            keys.push(secret.evaluation_keys(&plan.keys())?.expand(ctx)?);
        }
        let keys: Vec<_> = keys.iter().collect();
        let outputs = plan.run(ckks, &keys, &weights, &Inputs::join(ckks, &inputs)?)?;
        for (client, secret) in secrets.iter().enumerate() {
            let have = plan.decrypt_outputs(ckks, secret, &outputs.client(client)?, Release::Owner)?;
            let x = x(client);
            for (i, have) in have.iter().enumerate() {
                let (row, column) = (i / shape.n, i % shape.n);
                let term = |c| x[row * shape.k + c] * f64::from(w[c * shape.n + column]);
                let error = (have - (0..shape.k).map(term).sum::<f64>()).abs();
                assert!(error <= plan.error_bound(), "{packing:?}: {error}");
            }
        }
        let name = format!("{} packing, weights ready: {ready}", packing.name());
        all.push((name, words(ctx, outputs.ciphertext().rlwe())?));
    }
    Ok(all)
}

/// Coefficient packing: left, right and both operands encrypted, cut and packed, for two requests with keys of their own.
pub fn integer_products<B: Backend>(backend: B) -> Outcome<Transcript> {
    let spec = bfv::Spec {
        log_n: 6,
        primes: 7,
        digits: 7,
        plain: 1 << 20,
    };
    let bfv = Bfv::new(backend, bfv::Params::insecure(spec)?)?;
    let (ctx, t) = (bfv.context(), 1u64 << 20);
    let shape = coefficient::Shape::new(5, 21, 9);
    let residue = |i: usize| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) % t;
    let left: Vec<u64> = (0..shape.m * shape.k).map(residue).collect();
    let right: Vec<u64> = (0..shape.k * shape.n).map(|i| residue(i + 977)).collect();
    let centred = |v: &[u64]| -> Vec<i64> {
        let half = t / 2;
        let of = |x: &u64| {
            if *x < half {
                *x as i64
            } else {
                *x as i64 - t as i64
            }
        };
        v.iter().map(of).collect()
    };
    let entry = |i: usize| {
        let (row, column) = (i / shape.n, i % shape.n);
        let term = |c: usize| left[row * shape.k + c] * right[c * shape.n + column] % t;
        (0..shape.k).map(term).sum::<u64>() % t
    };
    let want: Vec<u64> = (0..shape.m * shape.n).map(entry).collect();
    let secrets = [
        SecretKey::insecure_deterministic(ctx, [1; 32])?,
        SecretKey::insecure_deterministic(ctx, [2; 32])?,
    ];
    let mut all = Vec::new();
    for encrypted in [Encrypted::Left, Encrypted::Right, Encrypted::Both] {
        for output in [Output::Cut, Output::Packed] {
            let request = Request::new(shape).encrypted(encrypted).output(output);
            let plan = coefficient::Plan::new(bfv.params(), &request.requests(2))?;
            let needs = plan.keys(KeyNeeds::new(ctx.params()));
            let mut keys = Vec::new();
            for secret in &secrets {
                keys.push(secret.evaluation_keys(&needs)?.expand(ctx)?);
            }
            let keys: Vec<_> = keys.iter().collect();
            let encrypt = |side, values: &[u64]| -> Outcome<Vec<bfv::Ciphertext<B>>> {
                let one = |s| -> Outcome<_> { Ok(plan.encrypt(&bfv, s, side, values)?.expand(ctx)?) };
                secrets.iter().map(one).collect()
            };
            let name = |what: &str| format!("{} encrypted, {output:?}, {what}", encrypted.name());
            let runs = match encrypted {
                Encrypted::Both => {
                    let (x, w) = (encrypt(Side::Left, &left)?, encrypt(Side::Right, &right)?);
                    vec![(name("both"), plan.multiply_encrypted(&bfv, &x, &w, &keys)?)]
                }
                Encrypted::Left | Encrypted::Right => {
                    let (side, cipher, plain) = match encrypted {
                        Encrypted::Left => (Side::Left, &left, &right),
                        _ => (Side::Right, &right, &left),
                    };
                    let inputs = encrypt(side, cipher)?;
                    let weights = plan.weights(&centred(plain))?;
                    let prepared = weights.prepare(&bfv)?;
                    let run = |plain: Plain<'_, B>| plan.multiply(&bfv, &plain, &inputs, &keys);
                    vec![
                        (name("on the fly"), run(Plain::OnTheFly(&weights))?),
                        (name("prepared"), run(Plain::Prepared(&prepared))?),
                    ]
                }
            };
            for (name, results) in runs {
                for (results, secret) in results.into_iter().zip(&secrets) {
                    all.push((name.clone(), words(ctx, results.ciphertexts().rlwe())?));
                    let have = results.release(&bfv)?.decrypt(&bfv, secret)?;
                    assert!(have.release(bfv::Release::Owner)? == want, "{name}");
                }
            }
        }
    }
    Ok(all)
}

/// Scores and weighted sums of ciphertexts: full and halved columns, rectangular ones in tiles, one request in diagonal packing in tiles,
/// and attention with halved scores.
pub fn attention<B: Backend>(backend: B) -> Outcome<Transcript> {
    let scheme = Scheme::new(backend, "insecure_n7_rational38_l4_d2")?;
    let ckks = &scheme.ckks;
    let mut all = Vec::new();
    let slots = |count: usize, seed: usize| -> Vec<Complex> {
        (0..count).map(|i| Complex::from(number(i + seed))).collect()
    };

    for (tokens, keys) in [(8, 8), (8, 4)] {
        let columns = Columns::with_keys(tokens, keys, 8)?;
        let needs = columns.halved_keys(columns.attention_keys(scheme.needs()));
        let held = scheme.keys(&needs)?;
        let ev = Evaluator::new(ckks, &held);
        let operand = |seed| scheme.encrypt(&slots(2 * columns.slots(), seed), columns.slots());
        let (q, k, v) = (operand(1)?, operand(2)?, operand(3)?);
        let name = |what: &str| format!("{what}, {tokens} tokens and {keys} keys");
        let p = columns.scores(&ev, &q, &k)?;
        all.push((name("scores"), scheme.words(&p)?));
        let v = ev.adjust(&v, p.level(), p.scale())?;
        let sums = columns.weighted_sum(&ev, &p, &v)?;
        all.push((name("weighted sums"), scheme.words(&sums)?));
        let (near, far) = columns.scores_halved(&ev, &q, &k)?;
        all.push((
            name("halved scores"),
            scheme.words(&ev.concat(&[near.clone(), far.clone()])?)?,
        ));
        let pairs = columns.pair(&ev, &v)?;
        let sums = columns.weighted_sum_halved(&ev, (&near, &far), &pairs)?;
        all.push((name("halved sums"), scheme.words(&sums)?));
    }

    for (m, l, requests) in [(3, 9, 8), (18, 5, 3)] {
        let tiled = TiledColumns::new(m, l, 2, requests, ckks.max_slots())?;
        let held = scheme.keys(&tiled.needs(scheme.needs()))?;
        let ev = Evaluator::new(ckks, &held);
        let numbers = |tokens: usize| (0..requests * tokens * 2).map(number).collect::<Vec<_>>();
        let each = tiled.columns().slots();
        let q = scheme.encrypt(&tiled.pack_queries(&numbers(m))?, each)?;
        let k = scheme.encrypt(&tiled.pack_keys(&numbers(l))?, each)?;
        let p = tiled.scores(&ev, &q, &k)?;
        all.push((format!("column scores {m} x {l}"), scheme.words(&p)?));
        let v = ev.adjust(&k, p.level(), p.scale())?;
        let sums = tiled.weighted_sum(&ev, &p, &v)?;
        all.push((format!("column sums {m} x {l}"), scheme.words(&sums)?));
    }

    for (m, l, d) in [(3, 5, 6), (5, 67, 2)] {
        let single = SingleAttention::new(m, l, d, ckks.max_slots())?;
        let held = scheme.keys(&single.keys(scheme.needs()))?;
        let ev = Evaluator::new(ckks, &held);
        let numbers = |tokens: usize| (0..tokens * d).map(number).collect::<Vec<_>>();
        let q = scheme.encrypt(&single.pack_queries(&numbers(m))?, single.slots())?;
        let k = scheme.encrypt(&single.pack_keys(&numbers(l))?, single.slots())?;
        let p = single.scores(&ev, &q, &k)?;
        all.push((format!("diagonal scores {m} x {l}"), scheme.words(&p)?));
        let v = ev.adjust(&k, p.level(), p.scale())?;
        let sums = single.weighted_sum(&ev, &p, &v)?;
        all.push((format!("diagonal sums {m} x {l}"), scheme.words(&sums)?));
    }

    let map = |seed: usize| {
        let w: Vec<f32> = (0..4).map(|i| number(i + seed) as f32 / 2.0).collect();
        ColumnWeights::encode(Weights::f32(&w), (2, 2), 1.0, 8)
    };
    let attention = Attention {
        columns: Columns::new(4, 16)?,
        halved: true,
        heads: vec![Head {
            shift: 0.5,
            offset: -0.1,
        }],
        query: map(1)?,
        key: map(2)?,
        value: map(3)?,
        output: map(4)?,
    };
    let held = scheme.keys(&attention.keys(ckks.context().params()))?;
    let x = scheme.encrypt(&slots(2 * 64, 5), 64)?;
    let (ev, mut silent) = (Evaluator::new(ckks, &held), |_, _, _| ());
    let y = attention.forward(&ev, &x, &mut Progress::new(&mut silent))?;
    all.push((String::from("attention with halved scores"), scheme.words(&y)?));
    Ok(all)
}

/// Demands equal words, and names what differs.
pub fn compare(have: &Transcript, want: &Transcript) -> Result<(), String> {
    assert!(!want.is_empty() && want.iter().all(|(_, words)| words.iter().any(|w| *w != 0)));
    let names = |t: &Transcript| t.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    if names(have) != names(want) {
        return Err(String::from("other results"));
    }
    match have.iter().zip(want).find(|(a, b)| a.1 != b.1) {
        Some(((name, _), _)) => Err(format!("{name}: other bits")),
        None => Ok(()),
    }
}

/// All of it on one backend and on another.
pub fn agree<A: Backend, B: Backend>(open: impl Fn() -> A, reference: impl Fn() -> B) -> Outcome<()> {
    compare(&plain_products(open())?, &plain_products(reference())?)?;
    compare(&integer_products(open())?, &integer_products(reference())?)?;
    Ok(compare(&attention(open())?, &attention(reference())?)?)
}
