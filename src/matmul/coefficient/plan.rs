//! A plan: blocks, levels and what they cost, all checked before anything is encrypted.

use std::sync::Arc;

use serde::Serialize;

use super::{Block, CoefficientError, Costs, Encrypted, Output, Request, Result, Shape, search};
use crate::{
    bfv::{Noise, Params, interleaved_place, interleaving_automorphisms},
    rlwe::{KeyNeeds, Level},
};

/// The most requests of one plan.
const REQUESTS: usize = 1 << 16;

/// Where ciphertexts are on their way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Levels {
    /// Encrypted operands, and products.
    pub input: Level,
    /// Results while they are interleaved.
    pub packing: Level,
    /// Results as they travel.
    pub output: Level,
}

/// How a product is computed. Client and server make it alike, from the same parameters and request. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Plan(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    params: Params,
    request: Request,
    choice: Choice,
    noise: Noise,
    costs: Costs,
}

/// What a plan decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Choice {
    pub(super) block: Block,
    pub(super) output: Output,
    pub(super) levels: Levels,
}

/// The largest magnitude of a plain entry.
pub(super) fn bound(params: &Params, request: &Request) -> u64 {
    let half = (params.plain().value() / 2) as u64;
    request.weight_bound.unwrap_or(half)
}

fn check(params: &Params, request: &Request) -> Result<()> {
    request.shape.check()?;
    let (requests, most) = (request.requests, REQUESTS);
    if !(1..=most).contains(&requests) {
        return Err(CoefficientError::Requests { requests, most });
    }
    let (t, bound) = (params.plain().value(), bound(params, request));
    let most = (t / 2) as u64;
    if !(1..=most).contains(&bound) {
        return Err(CoefficientError::WeightBound { bound, most, t });
    }
    Ok(())
}

impl Plan {
    /// The best blocks and the lowest levels for the request, by its objective. Errors when no level leaves decryption certain.
    pub fn new(params: &Params, request: &Request) -> Result<Self> {
        check(params, request)?;
        let choice = search::best(params, request, None)?;
        Self::of(params, request, choice)
    }

    /// With these blocks (of the transposed product, if the right operand alone is encrypted).
    pub fn with_block(params: &Params, request: &Request, block: Block) -> Result<Self> {
        check(params, request)?;
        let n = params.degree();
        let fits = block.coefficients().is_some_and(|c| (1..=n).contains(&c));
        if !fits || (request.output == Some(Output::Packed) && !block.inner.is_power_of_two()) {
            let (b, i, o) = (block.rows, block.inner, block.columns);
            return Err(CoefficientError::Block { b, i, o, n });
        }
        let choice = search::best(params, request, Some(block))?;
        Self::of(params, request, choice)
    }

    fn of(params: &Params, request: &Request, choice: Choice) -> Result<Self> {
        let Choice {
            block,
            output,
            levels,
        } = choice;
        Ok(Self(Arc::new(Inner {
            noise: search::noise(params, request, choice)?,
            costs: Costs::new(params, request, block, output, levels)?,
            params: params.clone(),
            request: *request,
            choice,
        })))
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.0.params
    }

    /// What was asked for.
    pub fn request(&self) -> &Request {
        &self.0.request
    }

    /// The product.
    pub fn shape(&self) -> Shape {
        self.0.request.shape
    }

    /// The blocks, of the transposed product if the right operand alone is encrypted.
    pub fn block(&self) -> Block {
        self.0.choice.block
    }

    /// How results travel.
    pub fn output(&self) -> Output {
        self.0.choice.output
    }

    /// The levels.
    pub fn levels(&self) -> Levels {
        self.0.choice.levels
    }

    /// The costs.
    pub fn costs(&self) -> &Costs {
        &self.0.costs
    }

    /// The noise of results, bounded whatever the operands: below 2^-(1 + headroom).
    pub fn noise(&self) -> &Noise {
        &self.0.noise
    }

    /// The evaluation keys that a client sends with its requests.
    pub fn keys(&self, needs: KeyNeeds) -> KeyNeeds {
        let levels = self.levels();
        let mut needs = needs;
        if self.request().encrypted == Encrypted::Both {
            needs = needs.up_to(levels.input).relinearise();
        }
        if self.output() == Output::Packed {
            let all = interleaving_automorphisms(self.params().rlwe().log_n(), self.block().inner);
            needs = all.fold(needs.up_to(levels.packing), KeyNeeds::automorphism);
        }
        needs
    }

    /// The largest magnitude of an entry of the plain operand.
    pub fn weight_bound(&self) -> u64 {
        bound(self.params(), self.request())
    }

    /// The product whose left operand is encrypted.
    pub(super) fn inner_shape(&self) -> Shape {
        self.request().inner_shape()
    }

    /// Blocks in each dimension of that.
    pub(super) fn tiles(&self) -> Shape {
        self.block().tiles(self.inner_shape())
    }

    /// Whether operands and results are transposed.
    pub(super) fn transposes(&self) -> bool {
        self.request().encrypted == Encrypted::Right
    }

    /// Ciphertexts of the results of one request.
    pub fn results(&self) -> usize {
        let tiles = self.tiles();
        match self.output() {
            Output::Cut => tiles.m * tiles.n,
            Output::Packed => (tiles.m * tiles.n).div_ceil(self.block().inner),
        }
    }

    /// Where entry (`row`, `column`) of the product is among the results of a request: ciphertext and coefficient.
    pub fn place(&self, row: usize, column: usize) -> (usize, usize) {
        let (a, d) = match self.transposes() {
            true => (column, row),
            false => (row, column),
        };
        let (block, tiles) = (self.block(), self.tiles());
        let sum = d / block.columns * tiles.m + a / block.rows;
        let at = block.result(a % block.rows, d % block.columns);
        match self.output() {
            Output::Cut => (sum, at),
            Output::Packed => (
                sum / block.inner,
                at + interleaved_place(sum % block.inner, block.inner),
            ),
        }
    }

    /// Rows and columns of the results in ciphertext `sum` of cut results.
    pub(super) fn extent(&self, sum: usize) -> (usize, usize) {
        let (block, tiles, shape) = (self.block(), self.tiles(), self.inner_shape());
        let (r, c) = (sum % tiles.m, sum / tiles.m);
        (
            block.rows.min(shape.m - r * block.rows),
            block.columns.min(shape.n - c * block.columns),
        )
    }

    /// The coefficients of ciphertext `ciphertext` of cut results that hold results, ascending.
    pub fn needed(&self, ciphertext: usize) -> Vec<usize> {
        let ((rows, columns), block) = (self.extent(ciphertext), self.block());
        let row = |a| (0..columns).map(move |d| block.result(a, d));
        (0..rows).flat_map(row).collect()
    }

    /// Whether both describe the same computation.
    pub(super) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.choice == other.0.choice
                && self.0.request == other.0.request
                && self.params().spec() == other.params().spec())
    }
}
