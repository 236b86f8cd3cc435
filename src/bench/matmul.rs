//! An encrypted 128 x 768 matrix times a plain 768 x 64, one request, by packing; weights are encoded.
//!
//! Floors count what the counting backend sees of the same computation, and the bytes of inputs and results.

use std::{hint::black_box, rc::Rc};

use super::{BenchError, Case, Result, Shape, Work, floor::Ring};
use crate::{
    backend::{Backend, Entries, Matrix, Mut, Ref, Span, null::Null},
    ckks::Ckks,
    matmul::{EncodedWeights, Inputs, MatmulPlan, Outputs, Packing, Shape as Product, Weights},
    rlwe::{Context, EvaluationKeys, Params, SecretKey},
};

pub(super) const OPS: &[&str] = &["matmul/column", "matmul/diagonal", "matmul/blocks", "matmul/gemm"];

/// The chain: one product.
pub(super) const CHAIN: &str = "n12_single28_l0_d2";

struct Operands<B: Backend> {
    ckks: Ckks<B>,
    plan: MatmulPlan,
    keys: EvaluationKeys<B>,
    weights: EncodedWeights<B>,
    inputs: Inputs<B>,
}

impl<B: Backend> Operands<B> {
    fn new(ckks: &Ckks<B>, packing: Packing) -> Result<Self> {
        let shape = Product::new(128, 768, 64);
        let plan = MatmulPlan::new(shape, packing, ckks.context().params())?;
        let secret = SecretKey::generate(ckks.context())?;
        let numbers = |count: usize| (0..count).map(|i| (i as f64).sin());
        let (x, w): (Vec<f64>, Vec<f32>) = (
            numbers(shape.rows() * shape.k).collect(),
            numbers(shape.k * shape.n).map(|w| w as f32).collect(),
        );
        Ok(Self {
            keys: (secret.evaluation_keys(&plan.keys())?).expand(ckks.context())?,
            weights: plan.encode_weights(ckks, Weights::f32(&w))?,
            inputs: plan.encrypt_inputs(ckks, &secret, &x)?.expand(ckks.context())?,
            ckks: ckks.clone(),
            plan,
        })
    }

    fn run(&self) -> Result<Outputs<B>> {
        let result = (self.plan).run(&self.ckks, &[&self.keys], &self.weights, &self.inputs)?;
        self.ckks.context().backend().wait()?;
        Ok(result)
    }
}

fn work(packing: Packing) -> Result<Work> {
    let backend = Null::new();
    let operands = Operands::new(&context(backend.clone())?, packing)?;
    let ctx = operands.ckks.context();
    backend.reset();
    let result = operands.run()?;
    let counted = Work {
        products: backend.counts().products as f64,
        bytes: 0.0,
    };
    let (items, _) = operands.plan.ciphertexts();
    let rows = 2 * ctx.level("bench", operands.plan.level())?.rows.len();
    let down = result.bytes(ctx) / (4 << ctx.log_n());
    Ok(counted + Ring::new(ctx.log_n()).moved(items * rows + down))
}

fn context<B: Backend>(backend: B) -> Result<Ckks<B>> {
    Ok(Ckks::new(&Context::new(backend, Params::shipped(CHAIN)?)?))
}

pub(super) fn cases<B: Backend>(backend: B, wanted: &[&str]) -> Result<Vec<Case>> {
    let ckks = context(backend)?;
    let mut cases = Vec::new();
    for (op, packing) in OPS
        .iter()
        .zip(Packing::ALL)
        .filter(|(op, _)| wanted.contains(*op))
    {
        let operands = Rc::new(Operands::new(&ckks, packing)?);
        let ctx = operands.ckks.context();
        let level = ctx.level("bench", operands.plan.level())?;
        cases.push(Case {
            op,
            shape: Shape::of(ctx, level, 1),
            work: work(packing)?,
            weighted: None,
            run: Box::new(move || {
                drop(black_box(operands.run()?));
                Ok::<(), BenchError>(())
            }),
        });
    }
    Ok(cases)
}

/// A plain product in single precision, m x k times k x n, with operands that are ready.
pub struct PlainGemm {
    x: ndarray::Array2<f32>,
    w: ndarray::Array2<f32>,
    y: ndarray::Array2<f32>,
}

impl PlainGemm {
    /// Operands that look random.
    pub fn new(m: usize, k: usize, n: usize) -> Self {
        let of = |(i, j): (usize, usize)| ((i * 31 + j * 17) as f32).sin();
        Self {
            x: ndarray::Array2::from_shape_fn((m, k), of),
            w: ndarray::Array2::from_shape_fn((k, n), of),
            y: ndarray::Array2::zeros((m, n)),
        }
    }

    /// One product.
    pub fn run(&mut self) {
        ndarray::linalg::general_mat_mul(1.0, &self.x, &self.w, 0.0, &mut self.y);
        black_box(&self.y);
    }
}

/// The bare product of matrices of residues that column and GEMM packing consist of, on memory that is ready.
pub struct ResidueGemm<B: Backend> {
    ctx: Context<B>,
    plan: MatmulPlan,
    src: B::Buffer,
    dst: B::Buffer,
    weights: Vec<i16>,
}

impl<B: Backend> ResidueGemm<B> {
    /// That of a plan in column or GEMM packing.
    pub fn new(ctx: &Context<B>, plan: &MatmulPlan) -> Result<Self> {
        let (backend, rows) = (ctx.backend(), &ctx.level("bench", plan.level())?.rows);
        let (up, down) = plan.ciphertexts();
        let mut src = backend.alloc(ctx.log_n(), up * 2 * rows.len())?;
        backend.zero(Mut::new(&mut src, Span::dense(up, 2, rows)))?;
        Ok(Self {
            ctx: ctx.clone(),
            plan: plan.clone(),
            src,
            dst: backend.alloc(ctx.log_n(), down * 2 * rows.len())?,
            weights: vec![77; plan.shape().k * plan.shape().n],
        })
    }

    /// One product.
    pub fn run(&mut self) -> Result<()> {
        let Product { k, n, .. } = self.plan.shape();
        let polys = 2 * self.plan.ciphertexts().0 / k;
        let rows = &self.ctx.level("bench", self.plan.level())?.rows;
        let (to, from) = (Span::dense(n, polys, rows), Span::dense(k, polys, rows));
        let (backend, tables) = (self.ctx.backend(), self.ctx.tables());
        let matrix = Matrix {
            outputs: n,
            inputs: k,
            entries: Entries::I16(&self.weights),
        };
        backend.gemm(
            tables,
            Mut::new(&mut self.dst, to),
            Ref::new(&self.src, from),
            matrix,
        )?;
        Ok(backend.wait()?)
    }
}
