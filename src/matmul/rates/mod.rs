//! What a product takes on the machine at hand, part by part: each part of a run is timed by itself, on operands of the plan's own size or
//! on a piece of them, and counted.
//!
//! | packing | parts of a run | count |
//! |---|---|---|
//! | column, gemm | product of matrices, one polynomial modulo one prime | 2 tiles L |
//! | blocks | sum of products of a block of outputs | blocks of outputs |
//! | diagonal | extension, ModUp | 1 each |
//! | | baby rotations, undivided | s - 1 |
//! | | sum of products of a giant step | blocks of outputs times giant steps |
//! | | giant rotations | blocks of outputs times (giant steps - 1) |
//! | | division by P; folds; the copy to the result | blocks of outputs; times log2(F/D) |
//!
//! Sums of light products expand what they multiply by. Preparation is the host's rounding (an embedding each in diagonals), and residues of
//! the plaintexts of a block or a giant step. Operands that a run meets once come from memory: measurements take as many in turn as make up
//! what a run works on, up to 256 MiB. What is larger than a measurement has room for is cut, first the rows, then the columns, then the
//! terms; times grow with the number of each.

mod features;
mod polynomials;
mod rotations;

use std::hint::black_box;

use serde::Serialize;

use super::{ColumnWeights, MatmulPlan, Result, Shape, Weights, layout::Layout, shape::quantise};
use crate::{
    backend::{Backend, Part, clock::usual_us},
    rlwe::Context,
};

/// Products of two words in a measurement, more or less: some milliseconds.
pub(super) const PRODUCTS: usize = 1 << 27;
/// Weights that a measurement rounds.
const WEIGHTS: usize = 1 << 20;

/// The parts of a plan with their times on a machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rates {
    /// Of encoding the weights.
    pub prepare: Vec<Part>,
    /// Of the product.
    pub run: Vec<Part>,
}

impl Rates {
    /// Microseconds of encoding the weights.
    pub fn prepare_us(&self) -> f64 {
        Part::sum_us(&self.prepare)
    }

    /// Microseconds of the product.
    pub fn run_us(&self) -> f64 {
        Part::sum_us(&self.run)
    }
}

impl MatmulPlan {
    /// Measures the parts of the product and of its preparation, on a context of the plan's parameters, in some tenths of a second.
    pub fn rates<B: Backend>(&self, ctx: &Context<B>) -> Result<Rates> {
        self.params.check("rates", "the context", ctx.params())?;
        let mut rates = Rates::default();
        rates.prepare.push(rounding(ctx, self)?);
        match &self.layout {
            Layout::Features(layout) => features::measure(ctx, self, layout, &mut rates)?,
            Layout::Blocks(_) => polynomials::sums(ctx, self, &mut rates)?,
            Layout::Diagonal(layout) => {
                polynomials::embedding(ctx, self, layout, &mut rates)?;
                polynomials::sums(ctx, self, &mut rates)?;
                rotations::measure(ctx, self, layout, &mut rates)?;
            }
        }
        Ok(rates)
    }
}

/// What is done to all weights first: they are checked and, where they are integers, rounded.
fn rounding<B: Backend>(ctx: &Context<B>, plan: &MatmulPlan) -> Result<Part> {
    let Shape { k, n, .. } = plan.shape;
    let (bits, bound) = (plan.weight_bits, plan.options.weight_bound);
    let some = k.min((WEIGHTS / n).max(1));
    let piece = Shape::new(1, some, n);
    let values = vec![(bound / 2.0) as f32; some * n];
    let us = usual_us(ctx.backend(), 1, || -> Result<()> {
        let all = Weights::f32(black_box(&values)).checked(piece, bound)?;
        match &plan.layout {
            Layout::Features(_) => drop(black_box(ColumnWeights::rounded(&all, (some, n), bits))),
            Layout::Blocks(_) => drop(black_box(quantise(&all, bits))),
            Layout::Diagonal(_) => drop(black_box(all)),
        }
        Ok(())
    })?;
    Ok(Part::new("rounding", 1.0, us * k as f64 / some as f64))
}

/// Numbers from 0 to `count` - 1, over and over: which of some operands a measurement takes next.
pub(super) struct Turns {
    count: usize,
    next: usize,
}

impl Turns {
    pub(super) fn new(count: usize) -> Self {
        Self { count, next: 0 }
    }

    pub(super) fn take(&mut self) -> usize {
        let turn = self.next % self.count.max(1);
        self.next += 1;
        turn
    }
}
