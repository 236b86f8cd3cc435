//! Encrypted attention on random weights and inputs, in both packings: set-ups that `bench attention` and the benchmarks share.
//!
//! Column packing is the whole layer with its projections, for as many requests as fill the slots. Diagonal packing is one request and
//! what is particular to attention: scores, their polynomial and weighted sums of every head, from encrypted queries, keys and values.
//! Projections of one request are products of matrices, which `bench matmul` measures.

use std::{hint::black_box, time::Instant};

use super::{Case, Result, Shape, Work, floor::Ring};
use crate::{
    arith::Complex,
    backend::{Backend, null::Null},
    ckks::{Ciphertext, Ckks, Evaluator, Release, SeededCiphertext},
    matmul::{ColumnWeights, Columns, SingleAttention},
    ring::{ChainKind, ChainSpec, build},
    rlwe::{Context, EvaluationKeys, KeyNeeds, Level, Params, SecretKey, SeededEvaluationKeys, Spec},
    transformer::{Attention, Head, Progress, Stage},
};

/// Fractional bits of weights in column packing.
const WEIGHT_BITS: u32 = 8;
const SCALE_BITS: f64 = 38.0;
/// sigma(x) = (x + shift)^2 + offset.
const HEAD: Head = Head {
    shift: 0.5,
    offset: -0.1,
};

/// What attention is measured for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Tokens of a request.
    pub tokens: usize,
    /// Features.
    pub dim: usize,
    /// Heads, which divide the features.
    pub heads: usize,
}

impl AttentionShape {
    const fn new(tokens: usize, dim: usize, heads: usize) -> Self {
        Self { tokens, dim, heads }
    }

    /// From a toy to a layer of BERT.
    pub const PRESETS: [(&'static str, Self); 6] = [
        ("16x32", Self::new(16, 32, 2)),
        ("32x64", Self::new(32, 64, 4)),
        ("64x128", Self::new(64, 128, 4)),
        ("64x256", Self::new(64, 256, 8)),
        ("128x256", Self::new(128, 256, 8)),
        ("128x768", Self::new(128, 768, 12)),
    ];

    /// Features of a head.
    fn width(self) -> usize {
        self.dim / self.heads
    }
}

/// A small generator for weights and inputs; nothing secret comes from it.
struct Random(u64);

impl Random {
    /// Uniform in [-1, 1).
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    fn numbers(&mut self, count: usize, size: f64) -> Vec<f64> {
        (0..count).map(|_| size * self.next()).collect()
    }

    /// A map whose outputs are about as large as its inputs.
    fn map(&mut self, outputs: usize, inputs: usize, size: f64) -> ColumnWeights {
        let range = size * (3.0 / inputs as f64).sqrt() * f64::from(1u32 << WEIGHT_BITS);
        let weights = (0..outputs * inputs)
            .map(|_| (self.next() * range).round() as i16)
            .collect();
        let bias = self.numbers(outputs, 0.1);
        ColumnWeights {
            outputs,
            inputs,
            weights,
            weight_bits: WEIGHT_BITS,
            bias,
        }
    }
}

/// A chain for the three steps of attention, of which the first absorbs twice `weight_bits` bits of weights and the last once.
fn chain(log_n: u32, weight_bits: u32) -> Result<Params> {
    let spec = ChainSpec {
        log_n,
        kind: ChainKind::Rational,
        scale_bits: vec![SCALE_BITS; 4],
        absorbed_bits: [weight_bits, 0, 2 * weight_bits].map(u32::cast_signed).into(),
        base_bits: SCALE_BITS + f64::from(weight_bits) + 10.0,
        digits: 2,
        special_margin_bits: 2.0,
        max_log2_qp: None,
    };
    let chain = build(&spec)?;
    Ok(Params::new(Spec { chain })?)
}

/// The largest difference, and the largest of the numbers wanted.
fn compare(pairs: impl Iterator<Item = (Option<f64>, f64)>) -> (f64, f64) {
    pairs.fold((0.0f64, 0.0f64), |(error, largest), (have, want)| {
        let off = have.map_or(f64::INFINITY, |h| (h - want).abs());
        // Not-a-number stays an error.
        let off = if off.is_nan() { f64::INFINITY } else { off };
        (error.max(off), largest.max(want.abs()))
    })
}

/// A layer in column packing.
pub struct ColumnAttention {
    /// The layer with its weights.
    pub attention: Attention,
    /// The parameters: for N = 2^14 those of the classifier, whose steps are the same.
    pub params: Params,
    /// Inputs, `[feature][slot]`.
    x: Vec<f64>,
}

impl ColumnAttention {
    /// `batch` requests; tokens times requests are the slots of the ring.
    pub fn new(shape: AttentionShape, batch: usize, halved: bool) -> Result<Self> {
        let (columns, dim) = (Columns::new(shape.tokens, batch)?, shape.dim);
        let log_n = columns.slots().trailing_zeros() + 1;
        let mut random = Random(2023);
        // 1/sqrt(d) of the scores goes to the queries, 1/sqrt(L) of the sums to the values.
        let attention = Attention {
            columns,
            halved,
            heads: vec![HEAD; shape.heads],
            query: random.map(dim, dim, (shape.width() as f64).sqrt().recip()),
            key: random.map(dim, dim, 1.0),
            value: random.map(dim, dim, (shape.tokens as f64).sqrt().recip()),
            output: random.map(dim, dim, 1.0),
        };
        Ok(Self {
            attention,
            x: random.numbers(dim * columns.slots(), 1.0),
            params: match log_n {
                14 => Params::shipped("langid")?,
                _ => chain(log_n, WEIGHT_BITS)?,
            },
        })
    }

    /// (largest error, largest output) over all requests, tokens and features, against f64 arithmetic.
    pub fn compare(&self, have: &[Complex]) -> (f64, f64) {
        let attention = &self.attention;
        let columns = attention.columns;
        let (tokens, dim, slots) = (columns.tokens(), attention.query.inputs, columns.slots());
        let apply = |map: &ColumnWeights, x: &[f64]| -> Vec<f64> {
            let unit = f64::from(1u32 << map.weight_bits).recip();
            let rows = map.weights.chunks_exact(map.inputs).zip(&map.bias);
            let sum = |row: &[i16]| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>();
            rows.map(|(row, bias)| sum(row) * unit + bias).collect()
        };
        let width = attention.query.outputs / attention.heads.len();
        let (mut error, mut largest) = (0.0f64, 0.0f64);
        for b in 0..columns.batch() {
            let at = |c: usize, t: usize| c * slots + columns.slot(t, b);
            let rows: Vec<Vec<f64>> = (0..tokens)
                .map(|t| {
                    let x = |c| self.x.get(at(c, t)).copied().unwrap_or(0.0);
                    (0..dim).map(x).collect()
                })
                .collect();
            let map = |m: &ColumnWeights| rows.iter().map(|x| apply(m, x)).collect::<Vec<_>>();
            let (q, k, v) = (map(&attention.query), map(&attention.key), map(&attention.value));
            for (t, q) in q.iter().enumerate() {
                let mut o = vec![0.0; attention.value.outputs];
                for (h, o) in o.chunks_exact_mut(width).enumerate() {
                    let of = |x: &[f64]| x.iter().copied().skip(h * width).take(width).collect::<Vec<_>>();
                    let q = of(q);
                    for (k, v) in k.iter().zip(&v) {
                        let p = sigma(q.iter().zip(of(k)).map(|(a, b)| a * b).sum());
                        o.iter_mut().zip(of(v)).for_each(|(o, v)| *o += p * v);
                    }
                }
                let want = apply(&attention.output, &o);
                let pairs = want.iter().enumerate();
                let (off, most) = compare(pairs.map(|(c, want)| (have.get(at(c, t)).map(|z| z.re), *want)));
                (error, largest) = (error.max(off), largest.max(most));
            }
        }
        (error, largest)
    }
}

/// The function of a score.
fn sigma(score: f64) -> f64 {
    (score + HEAD.shift).powi(2) + HEAD.offset
}

/// Both sides' keys, and the requests.
pub struct ColumnOperands<B: Backend> {
    /// The scheme.
    pub ckks: Ckks<B>,
    /// The client's secret.
    pub secret: SecretKey<B>,
    /// Keys as they travel.
    pub sent_keys: SeededEvaluationKeys<B>,
    keys: EvaluationKeys<B>,
    /// Requests as they travel.
    pub sent: SeededCiphertext<B>,
    /// And as they are computed with.
    pub encrypted: Ciphertext<B>,
}

impl<B: Backend> ColumnOperands<B> {
    /// Keys and encrypted inputs.
    pub fn new(backend: B, column: &ColumnAttention) -> Result<Self> {
        let params = &column.params;
        let ckks = Ckks::new(&Context::new(backend, params.clone())?);
        let ctx = ckks.context().clone();
        let secret = SecretKey::generate(&ctx)?;
        let sent_keys = secret.evaluation_keys(&column.attention.keys(params))?;
        let slots: Vec<Complex> = column.x.iter().map(|v| Complex::from(*v)).collect();
        let sent = ckks.encrypt(&secret, &slots, column.attention.query.inputs, params.top())?;
        Ok(Self {
            keys: sent_keys.expand(&ctx)?,
            encrypted: sent.expand(&ctx)?,
            ckks,
            secret,
            sent_keys,
            sent,
        })
    }

    /// Runs it, and waits for the device.
    pub fn run(&self, column: &ColumnAttention, progress: &mut Progress<'_>) -> Result<Ciphertext<B>> {
        let ev = Evaluator::new(&self.ckks, &self.keys);
        let result = column.attention.forward(&ev, &self.encrypted, progress)?;
        self.ckks.context().backend().wait()?;
        Ok(result)
    }
}

impl ColumnAttention {
    /// The same computation, counted: products, and bytes of input and output.
    pub fn work(&self) -> Result<Work> {
        let backend = Null::new();
        let operands = ColumnOperands::new(backend.clone(), self)?;
        backend.reset();
        let result = operands.run(self, &mut Progress::new(&mut |_, _, _| ()))?;
        work(&backend, operands.ckks.context(), &[operands.encrypted, result])
    }
}

/// Products that were counted, and the bytes of these ciphertexts.
fn work(backend: &Null, ctx: &Context<Null>, all: &[Ciphertext<Null>]) -> Result<Work> {
    let mut rows = 0;
    for ct in all {
        rows += ct.items() * ct.components() * ctx.level("bench", ct.level())?.rows.len();
    }
    let counted = Work {
        products: backend.counts().products as f64,
        bytes: 0.0,
    };
    Ok(counted + Ring::new(ctx.log_n()).moved(rows))
}

/// Heads of one request in diagonal packing.
pub struct DiagonalAttention {
    /// Heads.
    pub heads: usize,
    /// The packing of a head.
    pub single: SingleAttention,
    /// The parameters.
    pub params: Params,
    /// Queries, keys and values of each head, `[token][feature]`.
    inputs: Vec<[Vec<f64>; 3]>,
    shape: AttentionShape,
}

impl DiagonalAttention {
    /// Levels that it uses: as the layer in column packing.
    pub const DEPTH: u32 = Attention::DEPTH;

    /// One request.
    pub fn new(shape: AttentionShape) -> Result<Self> {
        let (tokens, width) = (shape.tokens, shape.width());
        let params = chain(14, 0)?;
        let single = SingleAttention::new(tokens, tokens, width, params.degree() / 2)?;
        let mut random = Random(2023);
        // Scores and sums of about 1.
        let sizes = [(3.0 / width as f64).sqrt(), 1.0, (3.0 / tokens as f64).sqrt()];
        let inputs = (0..shape.heads)
            .map(|_| sizes.map(|size| random.numbers(tokens * width, size)))
            .collect();
        Ok(Self {
            heads: shape.heads,
            single,
            params,
            inputs,
            shape,
        })
    }

    /// Key switches: (rotations, relinearisations).
    pub fn key_switches(&self) -> (usize, usize) {
        let (rotations, products) = self.single.key_switches();
        (
            self.heads * rotations,
            self.heads * (products + self.shape.tokens),
        )
    }

    /// (largest error, largest output) of decrypted results, one list of slots a head.
    pub fn compare(&self, have: &[Vec<Complex>]) -> (f64, f64) {
        let width = self.shape.width();
        let (mut error, mut largest) = (0.0f64, 0.0f64);
        for ([q, k, v], have) in self.inputs.iter().zip(have) {
            let have = self.single.unpack(have);
            for (q, have) in q.chunks_exact(width).zip(have.chunks_exact(width)) {
                let mut want = vec![0.0; width];
                for (k, v) in k.chunks_exact(width).zip(v.chunks_exact(width)) {
                    let p = sigma(q.iter().zip(k).map(|(a, b)| a * b).sum());
                    want.iter_mut().zip(v).for_each(|(o, v)| *o += p * v);
                }
                let (off, most) = compare(have.iter().zip(&want).map(|(h, w)| (Some(*h), *w)));
                (error, largest) = (error.max(off), largest.max(most));
            }
        }
        (error, largest)
    }

    /// The same computation, counted: products, and bytes of input and output.
    pub fn work(&self) -> Result<Work> {
        let backend = Null::new();
        let operands = DiagonalOperands::new(backend.clone(), self)?;
        backend.reset();
        let mut all = operands.run(self, &mut |_, _| ())?;
        all.extend(operands.inputs.iter().flatten().cloned());
        work(&backend, operands.ckks.context(), &all)
    }
}

/// Keys and encrypted queries, keys and values.
pub struct DiagonalOperands<B: Backend> {
    /// The scheme.
    pub ckks: Ckks<B>,
    secret: SecretKey<B>,
    /// Keys as they travel.
    pub sent_keys: SeededEvaluationKeys<B>,
    keys: EvaluationKeys<B>,
    /// Bytes of the request as it travels.
    pub sent_bytes: usize,
    inputs: Vec<[Ciphertext<B>; 3]>,
}

impl<B: Backend> DiagonalOperands<B> {
    /// Keys, and a request.
    pub fn new(backend: B, diagonal: &DiagonalAttention) -> Result<Self> {
        let (params, single) = (&diagonal.params, diagonal.single);
        let ckks = Ckks::new(&Context::new(backend, params.clone())?);
        let ctx = ckks.context();
        let secret = SecretKey::generate(ctx)?;
        let sent_keys = secret.evaluation_keys(&single.keys(KeyNeeds::new(params)))?;
        let (mut sent_bytes, mut inputs) = (0, Vec::new());
        for [q, k, v] in &diagonal.inputs {
            // Values meet scores two levels down.
            let top = params.top();
            let below = Level(top.0 - 2);
            let mut encrypt = |slots: Vec<Complex>, level: Level| -> Result<Ciphertext<B>> {
                let sent = ckks.encrypt(&secret, &slots, single.items(), level)?;
                sent_bytes += sent.bytes(ctx);
                Ok(sent.expand(ctx)?)
            };
            inputs.push([
                encrypt(single.pack_queries(q), top)?,
                encrypt(single.pack_keys(k), top)?,
                encrypt(single.pack_keys(v), below)?,
            ]);
        }
        Ok(Self {
            keys: sent_keys.expand(ctx)?,
            ckks,
            secret,
            sent_keys,
            sent_bytes,
            inputs,
        })
    }

    /// Runs it head by head, waiting for the device after each stage; `took` is told its seconds.
    pub fn run(
        &self,
        diagonal: &DiagonalAttention,
        took: &mut dyn FnMut(Stage, f64),
    ) -> Result<Vec<Ciphertext<B>>> {
        let ev = Evaluator::new(&self.ckks, &self.keys);
        let mut timed = |stage, f: &dyn Fn() -> crate::ckks::Result<Ciphertext<B>>| -> Result<_> {
            let clock = Instant::now();
            let result = f()?;
            self.ckks.context().backend().wait()?;
            took(stage, clock.elapsed().as_secs_f64());
            Ok(result)
        };
        let mut results = Vec::with_capacity(self.inputs.len());
        for [q, k, v] in &self.inputs {
            let scores = timed(Stage::Qk, &|| diagonal.single.scores(&ev, q, k))?;
            let p = timed(Stage::Sigma, &|| {
                let square = ev.square(&ev.add_const(&scores, HEAD.shift, 0.0)?)?;
                ev.add_const(&ev.relinearise_rescale(&square)?, HEAD.offset, 0.0)
            })?;
            results.push(timed(Stage::Pv, &|| diagonal.single.weighted_sum(&ev, &p, v))?);
        }
        Ok(results)
    }

    /// Slots of results, one list a head.
    pub fn decrypt(&self, results: &[Ciphertext<B>]) -> Result<Vec<Vec<Complex>>> {
        let slots = |ct| Ok(self.ckks.decrypt(&self.secret, ct)?.release(Release::Owner)?);
        results.iter().map(slots).collect()
    }
}

/// The smallest preset, for `bench ops` and criterion.
const SMALL: AttentionShape = AttentionShape::new(16, 32, 2);
/// Requests that fill N/2 slots for N = 2^14.
const REQUESTS: usize = 512;

pub(super) const COLUMN: &[&str] = &["attention/16x32_column"];
pub(super) const DIAGONAL: &[&str] = &["attention/16x32_diagonal"];

/// One case of `batch` ciphertexts.
fn case<B: Backend>(
    op: &'static str,
    ctx: &Context<B>,
    batch: usize,
    work: Work,
    run: super::Run,
) -> Result<Vec<Case>> {
    let level = ctx.level("bench", ctx.params().top())?;
    Ok(vec![Case {
        op,
        shape: Shape {
            log_n: ctx.log_n(),
            log_qp: ctx.params().log2_qp(),
            limbs: level.rows.len(),
            digits: level.digits.len(),
            batch,
        },
        work,
        weighted: None,
        run,
    }])
}

pub(super) fn column_case<B: Backend>(backend: B) -> Result<Vec<Case>> {
    let column = ColumnAttention::new(SMALL, REQUESTS, false)?;
    let operands = ColumnOperands::new(backend, &column)?;
    let (ctx, work) = (operands.ckks.context().clone(), column.work()?);
    let run = move || {
        let mut silent = |_, _, _| ();
        drop(black_box(operands.run(&column, &mut Progress::new(&mut silent))?));
        Ok(())
    };
    case(COLUMN[0], &ctx, SMALL.dim, work, Box::new(run))
}

pub(super) fn diagonal_case<B: Backend>(backend: B) -> Result<Vec<Case>> {
    let diagonal = DiagonalAttention::new(SMALL)?;
    let operands = DiagonalOperands::new(backend, &diagonal)?;
    let (ctx, work) = (operands.ckks.context().clone(), diagonal.work()?);
    let batch = diagonal.single.items() * diagonal.heads;
    let run = move || {
        drop(black_box(operands.run(&diagonal, &mut |_, _| ())?));
        Ok(())
    };
    case(DIAGONAL[0], &ctx, batch, work, Box::new(run))
}
