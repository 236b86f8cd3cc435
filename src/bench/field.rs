//! Operations below the schemes: transforms of one row, and matrices of small integers times residues.

use std::rc::Rc;

use super::{Case, Result, Run, Shape, Work, floor::Ring};
use crate::{
    arith::ntt_primes,
    backend::{Backend, BackendError, Entries, Matrix, Mut, Ref, Row, Span, compact},
    ring::Basis,
};

pub(super) const TRANSFORMS: &[&str] = &["ntt/forward", "ntt/inverse"];
pub(super) const GEMM: &[&str] = &["gemm"];

/// Inputs and outputs of the matrix.
const WIDTH: usize = 32;
/// Rows of a component that the matrix is applied to.
const LIMBS: usize = 4;

/// Tables of the largest primes, and memory for `polys` polynomials, filled.
fn rows<B: Backend>(
    backend: &B,
    log_n: u32,
    limbs: usize,
    polys: usize,
) -> Result<(B::Tables, B::Buffer, f64)> {
    let primes: Vec<u32> = ntt_primes(log_n, 1 << 29, 1 << 30).take(limbs).collect();
    let tables = backend.tables(&Basis::new(log_n, &primes)?)?;
    let count = polys * primes.len();
    let mut buffer = backend.alloc(log_n, count)?;
    let least = primes.iter().copied().min().unwrap_or(1);
    let words: Vec<u32> = (0..(count << log_n) as u32)
        .map(|i| i.wrapping_mul(2_654_435_761) % least)
        .collect();
    let rows = compact(&(0..limbs as u32).collect::<Vec<_>>());
    backend.upload(Mut::new(&mut buffer, Span::dense(polys, 1, &rows)), &words)?;
    let log_q = primes.iter().map(|p| f64::from(*p).log2()).sum();
    Ok((tables, buffer, log_q))
}

/// One row in place, again and again.
pub(super) fn transforms<B: Backend>(backend: B, log_n: u32, wanted: &[&str]) -> Result<Vec<Case>> {
    let backend = Rc::new(backend);
    let ring = Ring::new(log_n);
    let mut cases = Vec::new();
    for op in TRANSFORMS.iter().filter(|op| wanted.contains(*op)) {
        let backend = Rc::clone(&backend);
        let (tables, mut row, log_qp) = rows(&*backend, log_n, 1, 1)?;
        let at = compact(&[0]);
        let forward = *op == "ntt/forward";
        let run: Run = Box::new(move || {
            let dst = Mut::new(&mut row, Span::dense(1, 1, &at));
            if forward {
                backend.ntt(&tables, dst)?;
            } else {
                backend.intt(&tables, dst)?;
            }
            Ok(backend.wait()?)
        });
        cases.push(Case {
            op,
            shape: Shape {
                log_n,
                log_qp,
                limbs: 1,
                digits: 0,
                batch: 1,
            },
            work: ring.transform(1) + ring.moved(2),
            weighted: None,
            run,
        });
    }
    Ok(cases)
}

/// A matrix of 8-bit weights times ciphertexts of two components.
pub(super) struct Gemm<B: Backend> {
    backend: B,
    tables: B::Tables,
    src: B::Buffer,
    dst: B::Buffer,
    at: Vec<Row>,
    weights: Vec<i8>,
    log_n: u32,
    log_qp: f64,
}

impl<B: Backend> Gemm<B> {
    pub(super) fn new(backend: B, log_n: u32) -> Result<Self> {
        let (tables, src, log_qp) = rows(&backend, log_n, LIMBS, WIDTH * 2)?;
        Ok(Self {
            dst: backend.alloc(log_n, WIDTH * 2 * LIMBS)?,
            at: compact(&(0..LIMBS as u32).collect::<Vec<_>>()),
            weights: (0..WIDTH * WIDTH).map(|i| (i * 77 % 255) as i8).collect(),
            backend,
            tables,
            src,
            log_n,
            log_qp,
        })
    }

    /// What it cannot do without.
    pub(super) fn work(&self) -> Work {
        let ring = Ring::new(self.log_n);
        ring.sums(WIDTH, WIDTH * 2 * LIMBS) + ring.moved(2 * WIDTH * 2 * LIMBS)
    }

    /// One product, not waited for.
    pub(super) fn launch(&mut self) -> std::result::Result<(), BackendError> {
        let span = Span::dense(WIDTH, 2, &self.at);
        let matrix = Matrix {
            outputs: WIDTH,
            inputs: WIDTH,
            entries: Entries::I8(&self.weights),
        };
        let (dst, src) = (Mut::new(&mut self.dst, span), Ref::new(&self.src, span));
        self.backend.gemm(&self.tables, dst, src, matrix)
    }
}

pub(super) fn gemm<B: Backend>(backend: B, log_n: u32) -> Result<Vec<Case>> {
    let mut product = Gemm::new(backend, log_n)?;
    Ok(vec![Case {
        op: "gemm",
        shape: Shape {
            log_n,
            log_qp: product.log_qp,
            limbs: LIMBS,
            digits: 0,
            batch: WIDTH,
        },
        work: product.work(),
        weighted: Some((WIDTH * WIDTH * 2 * LIMBS) as f64 * f64::from(1u32 << log_n)),
        run: Box::new(move || {
            product.launch()?;
            Ok(product.backend.wait()?)
        }),
    }])
}
