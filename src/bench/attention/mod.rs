//! Encrypted attention on random weights and inputs, in both packings: set-ups that `bench attention` and the benchmarks share.
//!
//! Column packing is the whole layer with its projections, for as many requests as fill the slots. Diagonal packing is one request and
//! what is particular to attention: scores, their polynomial and weighted sums of every head, from encrypted queries, keys and values.
//! Projections of one request are products of matrices, which `bench matmul` measures.

mod column;
mod diagonal;

use std::hint::black_box;

pub use column::{ColumnAttention, ColumnOperands};
pub use diagonal::{DiagonalAttention, DiagonalOperands};

use super::{Case, Result, Run, Shape, Work, floor::Ring};
use crate::{
    backend::{Backend, null::Null},
    ckks::Ciphertext,
    matmul::ColumnWeights,
    ring::{ChainKind, ChainSpec, build},
    rlwe::{Context, Params, Spec},
    transformer::{Head, Progress},
};

/// Fractional bits of weights in column packing.
pub(crate) const WEIGHT_BITS: u32 = 8;
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
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Uniform in [-1, 1).
    pub(crate) fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// Uniform in [-size, size).
    pub(crate) fn numbers(&mut self, count: usize, size: f64) -> Vec<f64> {
        (0..count).map(|_| size * self.next()).collect()
    }

    /// A map whose outputs are about `size` times as large as its inputs.
    pub(crate) fn map(&mut self, outputs: usize, inputs: usize, size: f64) -> ColumnWeights {
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

/// A chain for the three steps of attention with a polynomial, of which the first absorbs twice `weight_bits` bits of weights and the last
/// once.
fn sigma_chain(log_n: u32, weight_bits: u32) -> Result<Params> {
    let absorbed = [weight_bits, 0, 2 * weight_bits].map(u32::cast_signed);
    chain(log_n, SCALE_BITS, absorbed.into(), weight_bits, 2)
}

/// A chain of as many steps as there are `absorbed_bits`, those of the last step first; results have a scale of `weight_bits` bits more.
pub(crate) fn chain(
    log_n: u32,
    scale_bits: f64,
    absorbed_bits: Vec<i32>,
    weight_bits: u32,
    digits: usize,
) -> Result<Params> {
    let spec = ChainSpec {
        log_n,
        kind: ChainKind::Rational,
        scale_bits: vec![scale_bits; absorbed_bits.len() + 1],
        absorbed_bits,
        base_bits: scale_bits + f64::from(weight_bits) + 10.0,
        digits,
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

/// The function of a score.
fn sigma(score: f64) -> f64 {
    (score + HEAD.shift).powi(2) + HEAD.offset
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
    run: Run,
) -> Result<Vec<Case>> {
    let level = ctx.level("bench", ctx.params().top())?;
    Ok(vec![Case {
        op,
        shape: Shape::of(ctx, level, batch),
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
