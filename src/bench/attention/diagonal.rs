//! The heads of one request in diagonal packing.

use std::time::Instant;

use super::{AttentionShape, HEAD, Random, compare, sigma, sigma_chain, work};
use crate::{
    arith::Complex,
    backend::{Backend, null::Null},
    bench::{Result, Work},
    ckks::{self, Ciphertext, Ckks, Evaluator, Release},
    matmul::SingleAttention,
    rlwe::{Context, EvaluationKeys, KeyNeeds, Level, Params, SecretKey, SeededEvaluationKeys},
    transformer::Stage,
};

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
    /// One request.
    pub fn new(shape: AttentionShape) -> Result<Self> {
        let (tokens, width) = (shape.tokens, shape.width());
        let params = sigma_chain(14, 0)?;
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
    pub fn compare(&self, have: &[Vec<Complex>]) -> Result<(f64, f64)> {
        let width = self.shape.width();
        let (mut error, mut largest) = (0.0f64, 0.0f64);
        for ([q, k, v], have) in self.inputs.iter().zip(have) {
            let have = self.single.unpack(have)?;
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
        Ok((error, largest))
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
                let items = slots.len() / single.slots();
                let sent = ckks.encrypt(&secret, &slots, items, level)?;
                sent_bytes += sent.bytes(ctx);
                Ok(sent.expand(ctx)?)
            };
            inputs.push([
                encrypt(single.pack_queries(q)?, top)?,
                encrypt(single.pack_keys(k)?, top)?,
                encrypt(single.pack_keys(v)?, below)?,
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
        let mut timed = |stage, f: &dyn Fn() -> ckks::Result<Ciphertext<B>>| -> Result<_> {
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
