//! Column and GEMM packing: a product of matrices for each polynomial and prime.

use super::{PRODUCTS, Rates};
use crate::{
    backend::{
        Backend, Entries, Matrix, Mut, Part, Ref, Span,
        clock::usual_us,
        part::{MEMORY, extrapolated},
    },
    matmul::{MatmulPlan, Result, Shape, layout::Features},
    rlwe::Context,
};

/// How many times as many products as usual a measurement makes, where that lets it have a run's own memory.
const PATIENCE: usize = 8;

pub(super) fn measure<B: Backend>(
    ctx: &Context<B>,
    plan: &MatmulPlan,
    layout: &Features,
    rates: &mut Rates,
) -> Result<()> {
    let (backend, tables) = (ctx.backend(), ctx.tables());
    let level = ctx.level("matmul", plan.level)?;
    let prime = level.rows.get(..1).unwrap_or_default();
    let Shape { k, n, .. } = plan.shape;
    let degree = ctx.params().degree();
    let lines = 2 * layout.tiles * level.rows.len();
    // Products for each coefficient of a polynomial.
    let room = (PRODUCTS / degree).max(1);
    let inputs = k.min(MEMORY / (4 * degree)).max(1);
    let most = (room / inputs).max(8);
    // As many polynomials side by side as there is room for: whether they stay in a cache until they are used shows.
    let memory = MEMORY / (4 * degree * inputs.max(n.min(most)));
    let polys = lines
        .min(memory)
        .min(PATIENCE * room / (inputs * n.min(most)))
        .max(1);
    let src = ctx.zeroed(inputs, polys, prime)?;
    let us = extrapolated(n, most, |outputs| -> Result<f64> {
        let weights = vec![1i16; outputs * inputs];
        let mut dst = ctx.zeroed(outputs, polys, prime)?;
        usual_us(backend, lines / polys, || -> Result<()> {
            let entries = Entries::I16(&weights);
            let matrix = Matrix {
                outputs,
                inputs,
                entries,
            };
            let to = Mut::new(&mut dst, Span::dense(outputs, polys, prime));
            let from = Ref::new(&src, Span::dense(inputs, polys, prime));
            Ok(backend.gemm(tables, to, from, matrix)?)
        })
    })?;
    let each = us / polys as f64 * k as f64 / inputs as f64;
    rates
        .run
        .push(Part::new("product of matrices", lines as f64, each));
    Ok(())
}
