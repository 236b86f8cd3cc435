//! A layer in column packing, for many requests.

use super::{AttentionShape, HEAD, Random, WEIGHT_BITS, compare, sigma, sigma_chain, work};
use crate::{
    arith::Complex,
    backend::{Backend, null::Null},
    bench::{Result, Work},
    ckks::{Ciphertext, Ckks, Evaluator, SeededCiphertext},
    matmul::{ColumnWeights, Columns},
    rlwe::{Context, EvaluationKeys, Params, SecretKey, SeededEvaluationKeys},
    transformer::{Attention, Progress, affine},
};

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
                _ => sigma_chain(log_n, WEIGHT_BITS)?,
            },
        })
    }

    /// (largest error, largest output) over all requests, tokens and features, against f64 arithmetic.
    pub fn compare(&self, have: &[Complex]) -> (f64, f64) {
        let attention = &self.attention;
        let columns = attention.columns;
        let (tokens, dim, slots) = (columns.tokens(), attention.query.inputs, columns.slots());
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
            let map = |m: &ColumnWeights| rows.iter().map(|x| affine(m, x)).collect::<Vec<_>>();
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
                let want = affine(&attention.output, &o);
                let pairs = want.iter().enumerate();
                let (off, most) = compare(pairs.map(|(c, want)| (have.get(at(c, t)).map(|z| z.re), *want)));
                (error, largest) = (error.max(off), largest.max(most));
            }
        }
        (error, largest)
    }

    /// The same computation, counted: products, and bytes of input and output.
    pub fn work(&self) -> Result<Work> {
        let backend = Null::new();
        let operands = ColumnOperands::new(backend.clone(), self)?;
        backend.reset();
        let result = operands.run(self, &mut Progress::new(&mut |_, _, _| ()))?;
        work(&backend, operands.ckks.context(), &[operands.encrypted, result])
    }
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
