//! The plain operand, as integers or prepared.

use super::{CoefficientError, Encrypted, Plan, Result, Side};
use crate::{
    backend::{Backend, Integers, Mut, Ref, Span},
    bfv::{Addend, Bfv, BfvError, Packing},
};

/// The plain operand of a plan as integers, with a bias of the product's columns: m k or k n numbers, whatever the ring. They are
/// lifted and transformed when they are used, or once by [`Weights::prepare`].
///
/// The product is right modulo t for any residues; entries are taken centred, since noise grows with their magnitude.
#[derive(Clone, Debug)]
pub struct Weights {
    pub(super) plan: Plan,
    bias: Option<Vec<i64>>,
    /// `[N'][K][length]`: the first coefficients of every polynomial.
    coefficients: Vec<i64>,
}

/// The plain operand in the evaluation domain, `[N'][K]`, at the level of a plan's inputs.
pub struct Prepared<B: Backend> {
    pub(super) plan: Plan,
    buffer: B::Buffer,
    bias: Option<Addend<B>>,
}

/// Entries within the bound of a plan.
fn check(plan: &Plan, values: &[i64], width: usize) -> Result<()> {
    let bound = plan.weight_bound();
    match values.iter().position(|v| v.unsigned_abs() > bound) {
        None => Ok(()),
        Some(at) => Err(CoefficientError::Weight {
            value: values.get(at).copied().unwrap_or(0),
            row: at / width,
            column: at % width,
            bound,
        }),
    }
}

impl Plan {
    /// The plain operand from numbers as they lie in a model file: each times 2^`scale_bits` is an integer up to the plan's
    /// `weight_bound` in magnitude, and results are that much larger. Nothing is rounded.
    ///
    /// Numbers are those of the plain operand, row after row, or of its transpose after
    /// [`by_output`](crate::matmul::Weights::by_output). Errors: another number of them; the first that is no integer then, not finite, or
    /// beyond the bound.
    pub fn encode_weights(&self, weights: crate::matmul::Weights<'_>, scale_bits: u32) -> Result<Weights> {
        let width = self.width(self.plain_side()?, weights.len())?;
        let shape = (weights.len() / width, width);
        let values = weights.integers(shape, scale_bits);
        let values = values.map_err(|(at, value)| CoefficientError::NoInteger {
            value,
            row: at / width,
            column: at % width,
            scale_bits,
        })?;
        self.weights(&values)
    }

    /// The operand that is plain.
    fn plain_side(&self) -> Result<Side> {
        Ok(match self.request().encrypted {
            Encrypted::Left => Side::Right,
            Encrypted::Right => Side::Left,
            encrypted @ Encrypted::Both => {
                let (operation, remedy) = ("weights", "encrypt both operands with `Plan::encrypt`");
                return Err(CoefficientError::Operand {
                    operation,
                    encrypted,
                    remedy,
                });
            }
        })
    }

    /// The plain operand: integers up to the plan's `weight_bound` in magnitude, row after row.
    pub fn weights(&self, values: &[i64]) -> Result<Weights> {
        let width = self.width(self.plain_side()?, values.len())?;
        check(self, values, width)?;
        let (tiles, length) = (self.tiles(), self.block().right_length());
        let mut coefficients = vec![0i64; tiles.n * tiles.k * length];
        self.right_places(|poly, at, row, column| {
            let to = coefficients.get_mut(poly * length + at);
            if let Some((to, value)) = to.zip(values.get(row * width + column)) {
                *to = *value;
            }
        });
        Ok(Weights {
            plan: self.clone(),
            bias: None,
            coefficients,
        })
    }

    /// A matrix of residues in [0, t), row after row, encoded to be added to results before they are released.
    pub fn addend<B: Backend>(&self, bfv: &Bfv<B>, values: &[u64]) -> Result<Addend<B>> {
        self.check_scheme("addend", bfv)?;
        let (shape, n) = (self.shape(), self.params().degree());
        let (given, wanted) = (values.len(), shape.m * shape.n);
        if given != wanted {
            let what = "the addend";
            return Err(CoefficientError::Length {
                what,
                given,
                wanted,
                shape,
            });
        }
        let mut all = zeroize::Zeroizing::new(vec![0u64; self.results() * n]);
        for (at, value) in values.iter().enumerate() {
            let (ciphertext, coefficient) = self.place(at / shape.n, at % shape.n);
            if let Some(to) = all.get_mut(ciphertext * n + coefficient) {
                *to = *value;
            }
        }
        let (items, level) = (self.results(), self.levels().output);
        Ok(bfv.addend(Packing::Coefficients, &all, items, level)?)
    }
}

impl Weights {
    /// With a bias for every column of the product, added to each of its rows: residues of magnitude up to t / 2.
    pub fn with_bias(self, bias: &[i64]) -> Result<Self> {
        let (shape, t) = (self.plan.shape(), self.plan.params().plain());
        let (given, wanted) = (bias.len(), shape.n);
        if given != wanted {
            let what = "the bias";
            return Err(CoefficientError::Length {
                what,
                given,
                wanted,
                shape,
            });
        }
        if let Some(index) = bias
            .iter()
            .position(|v| u128::from(v.unsigned_abs()) > t.value() / 2)
        {
            return Err(BfvError::Integer {
                operation: "with_bias",
                index,
                value: bias.get(index).copied().unwrap_or(0),
                t: t.value(),
            }
            .into());
        }
        Ok(Self {
            bias: Some(bias.to_vec()),
            ..self
        })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The entries, row after row.
    pub fn values(&self) -> Vec<i64> {
        let (shape, length) = (self.plan.shape(), self.plan.block().right_length());
        let (height, width) = match self.plan.transposes() {
            true => (shape.m, shape.k),
            false => (shape.k, shape.n),
        };
        let mut values = vec![0; height * width];
        self.plan.right_places(|poly, at, row, column| {
            let to = values.get_mut(row * width + column);
            if let Some((to, value)) = to.zip(self.coefficients.get(poly * length + at)) {
                *to = *value;
            }
        });
        values
    }

    /// The bias.
    pub fn bias(&self) -> Option<&[i64]> {
        self.bias.as_deref()
    }

    /// Everything transformed, for many products: K N' polynomials at the level of inputs.
    pub fn prepare<B: Backend>(&self, bfv: &Bfv<B>) -> Result<Prepared<B>> {
        self.plan.check_scheme("prepare", bfv)?;
        Ok(Prepared {
            buffer: self.evaluate(bfv, 0, self.plan.tiles().n)?,
            bias: self.bias_addend(bfv)?,
            plan: self.plan.clone(),
        })
    }

    pub(super) fn bias_addend<B: Backend>(&self, bfv: &Bfv<B>) -> Result<Option<Addend<B>>> {
        let Some(bias) = &self.bias else { return Ok(None) };
        let t = bfv.plain();
        let row = bias.iter().map(|b| t.residue(i128::from(*b)));
        let rows = self.plan.shape().m;
        let all: Vec<u64> = row.cycle().take(rows * bias.len()).collect();
        self.plan.addend(bfv, &all).map(Some)
    }

    /// The polynomials of `columns` columns of blocks from `first` on.
    pub(super) fn evaluate<B: Backend>(
        &self,
        bfv: &Bfv<B>,
        first: usize,
        columns: usize,
    ) -> Result<B::Buffer> {
        let (ctx, tiles) = (bfv.context(), self.plan.tiles());
        let rows = &ctx.level("prepare", self.plan.levels().input)?.rows;
        let column = tiles.k * self.plan.block().right_length();
        let coefficients = self.coefficients.get(first * column..(first + columns) * column);
        let span = Span::dense(columns * tiles.k, 1, rows);
        let mut buffer = ctx.backend().alloc(ctx.log_n(), span.count())?;
        let values = Integers::I64(coefficients.unwrap_or_default());
        (ctx.backend()).evaluate(ctx.tables(), Mut::new(&mut buffer, span), values)?;
        Ok(buffer)
    }
}

impl<B: Backend> Prepared<B> {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Bytes of the residues.
    pub fn bytes(&self, bfv: &Bfv<B>) -> Result<usize> {
        let ctx = bfv.context();
        let rows = ctx
            .level("prepared weights", self.plan.levels().input)?
            .rows
            .len();
        Ok(self.plan.costs().plain_polynomials * rows * (4 << ctx.log_n()))
    }
}

/// The plain operand of a run.
pub enum Plain<'a, B: Backend> {
    /// Transformed when it is used: no memory beyond a few columns of blocks.
    OnTheFly(&'a Weights),
    /// Transformed before.
    Prepared(&'a Prepared<B>),
}

impl<B: Backend> Plain<'_, B> {
    pub(super) fn plan(&self) -> &Plan {
        match self {
            Self::OnTheFly(weights) => &weights.plan,
            Self::Prepared(prepared) => &prepared.plan,
        }
    }

    /// Calls `f` with the polynomials of `columns` columns of blocks from `first` on.
    pub(super) fn with_columns<T>(
        &self,
        bfv: &Bfv<B>,
        first: usize,
        columns: usize,
        f: impl FnOnce(Ref<B>) -> Result<T>,
    ) -> Result<T> {
        let tiles = self.plan().tiles();
        let rows = &bfv.context().level("multiply", self.plan().levels().input)?.rows;
        match self {
            Self::OnTheFly(weights) => {
                let buffer = weights.evaluate(bfv, first, columns)?;
                f(Ref::new(&buffer, Span::dense(columns * tiles.k, 1, rows)))
            }
            Self::Prepared(prepared) => {
                let all = Span::dense(tiles.n * tiles.k, 1, rows);
                let some = all.slice_items(first * tiles.k, columns * tiles.k);
                f(Ref::new(&prepared.buffer, some))
            }
        }
    }

    /// Calls `f` with the bias, if there is one.
    pub(super) fn with_bias<T>(
        &self,
        bfv: &Bfv<B>,
        f: impl FnOnce(Option<&Addend<B>>) -> Result<T>,
    ) -> Result<T> {
        match self {
            Self::OnTheFly(weights) => f(weights.bias_addend(bfv)?.as_ref()),
            Self::Prepared(prepared) => f(prepared.bias.as_ref()),
        }
    }
}
