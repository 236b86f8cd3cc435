//! One product of an encrypted and a plain matrix: planned and run.

use super::{
    EncodedWeights, Inputs, MatmulError, Outputs, Result, Shape, layout::Layout, operands::Form, run,
};
use crate::{
    backend::Backend,
    ckks::{Ciphertext, Ckks},
    ring::Galois,
    rlwe::{EvaluationKeys, KeyNeeds, Level, Params},
};

/// How matrices lie in ciphertexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// A ciphertext a feature, slots t B + b: throughput, and products of ciphertexts can follow.
    Column,
    /// Slots f T + t, the matrix by its diagonals: few ciphertexts, with rotations; one request, and slots can follow.
    Diagonal,
    /// Coefficient blocks: no rotation and the least work for one request; results at some of the coefficients.
    Blocks,
    /// A ciphertext a feature, rows in coefficients: plain products of matrices modulo each prime and nothing else; for many rows.
    Gemm,
}

impl Packing {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Column, Self::Diagonal, Self::Blocks, Self::Gemm];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Column => "column",
            Self::Diagonal => "diagonal",
            Self::Blocks => "blocks",
            Self::Gemm => "gemm",
        }
    }

    /// Fractional bits of weights: (least, wanted).
    fn weight_bits(self) -> (u32, u32) {
        match self {
            // Rounded coefficients of slots: the error of a slot is about sqrt(N/24) units.
            Self::Diagonal => (16, 24),
            _ => (6, 14),
        }
    }
}

/// What a plan takes as given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Largest magnitude of an input.
    pub input_bound: f64,
    /// Largest magnitude of a weight.
    pub weight_bound: f64,
    /// The level of inputs and result; without one, the lowest that leaves room for weights of 14 bits (24 in diagonals).
    pub level: Option<Level>,
    /// Weights are kept as residues; otherwise as integers, expanded at every run.
    pub ready: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            input_bound: 1.0,
            weight_bound: 1.0,
            level: None,
            ready: true,
        }
    }
}

/// A checked plan of a product. Everything that depends on no ciphertext was refused when it was made.
#[derive(Clone, Debug)]
pub struct MatmulPlan {
    pub(super) shape: Shape,
    pub(super) packing: Packing,
    pub(super) params: Params,
    pub(super) options: Options,
    pub(super) level: Level,
    pub(super) weight_bits: u32,
    pub(super) layout: Layout,
}

impl MatmulPlan {
    /// A plan for inputs and weights of magnitude at most 1.
    pub fn new(shape: Shape, packing: Packing, params: &Params) -> Result<Self> {
        Self::with(shape, packing, params, Options::default())
    }

    /// A plan with options. Errors: see [`MatmulError`]; nothing that depends on shapes, bounds, scales or the modulus fails later.
    pub fn with(shape: Shape, packing: Packing, params: &Params, options: Options) -> Result<Self> {
        shape.check()?;
        for (what, value) in [("inputs", options.input_bound), ("weights", options.weight_bound)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(MatmulError::Bound { what, value });
            }
        }
        let layout = Layout::new(shape, packing, params.degree())?;
        let (least, wanted) = packing.weight_bits();
        let range_log2 = (shape.k as f64 * options.input_bound * options.weight_bound).log2();
        let room = |level: Level| -> Result<(f64, f64, f64)> {
            let level = params.level("matmul", level)?;
            let scale_log2 = level.scale.log2();
            // A bit for the sign, and a tenth for noise and rounding of weights.
            Ok((
                level.log2_q - 1.1 - scale_log2 - range_log2,
                scale_log2,
                level.log2_q,
            ))
        };
        let level = match options.level {
            Some(level) => level,
            None => {
                let all = (0..=params.top().0).map(Level);
                let enough = all
                    .clone()
                    .find(|l| room(*l).is_ok_and(|r| r.0 >= f64::from(wanted)));
                enough.unwrap_or(params.top())
            }
        };
        let (left, scale_log2, log2_q) = room(level)?;
        // Integers of weights fit 16 bits with their sign, coefficients of diagonals 31.
        let word = if packing == Packing::Diagonal { 30.0 } else { 14.9 };
        let bits = left
            .min(f64::from(wanted))
            .min(word - options.weight_bound.log2())
            .floor();
        if bits < f64::from(least) {
            return Err(MatmulError::Room {
                level,
                scale_log2,
                range_log2,
                log2_q,
                least,
            });
        }
        Ok(Self {
            shape,
            packing,
            params: params.clone(),
            options,
            level,
            weight_bits: bits as u32,
            layout,
        })
    }

    /// The shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The packing.
    pub fn packing(&self) -> Packing {
        self.packing
    }

    /// The level of inputs and result.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Fractional bits of encoded weights; the scale of results is that of inputs times 2 to this power.
    pub fn weight_bits(&self) -> u32 {
        self.weight_bits
    }

    /// Ciphertexts of a client: (inputs, outputs).
    pub fn ciphertexts(&self) -> (usize, usize) {
        self.layout.items(self.shape)
    }

    /// The rotations that `run` needs keys for; only diagonal packing has any.
    pub fn rotations(&self) -> Vec<i64> {
        match &self.layout {
            Layout::Diagonal(layout) => layout.rotations(),
            _ => Vec::new(),
        }
    }

    /// The keys that `run` needs.
    pub fn keys(&self) -> KeyNeeds {
        KeyNeeds::new(&self.params)
            .up_to(self.level)
            .rotate(self.rotations())
    }

    /// Demands that `what` was made for this plan: with the same parameters, shape, packing, level and bits of weights. Bounds of weights
    /// and inputs may differ.
    pub(super) fn check_same(&self, what: &'static str, ours: &Self) -> Result<()> {
        ours.params.check("matmul", what, &self.params)?;
        let key = |p: &Self| (p.shape, p.packing, p.level, p.weight_bits, p.layout);
        if key(self) == key(ours) {
            return Ok(());
        }
        let (theirs, ours) = (self.name(), ours.name());
        Err(MatmulError::Foreign { what, theirs, ours })
    }

    /// What has to agree between plans that share weights or inputs, parameters apart.
    fn name(&self) -> String {
        let Self {
            shape,
            packing,
            level,
            weight_bits,
            ..
        } = self;
        format!("{shape}, {} packing, {level}, {weight_bits} bits", packing.name())
    }

    /// X W for all clients; `keys` holds one set for each, in their order, and may be empty where no rotation is needed.
    ///
    /// The result is at the level of the inputs, with 2^`weight_bits` times their scale. Errors, before any work: weights or inputs of
    /// another plan, a missing key or one that was truncated below the level.
    pub fn run<B: Backend>(
        &self,
        ckks: &Ckks<B>,
        keys: &[&EvaluationKeys<B>],
        weights: &EncodedWeights<B>,
        inputs: &Inputs<B>,
    ) -> Result<Outputs<B>> {
        self.check_params(ckks)?;
        weights.plan.check_same("weights", self)?;
        inputs.plan.check_same("inputs", self)?;
        let x = inputs.ct.rlwe();
        x.check_context("matmul", ckks.context())?;
        let scale = inputs
            .ct
            .scale()
            .clone()
            .times_pow2(i64::from(self.weight_bits))?;
        let inner = match (&self.layout, &weights.form) {
            (Layout::Diagonal(layout), Form::Polynomials(weights)) => {
                let (clients, keys_of) = (inputs.clients, keys.len());
                if clients != keys_of && !self.rotations().is_empty() {
                    return Err(MatmulError::Keys {
                        clients,
                        keys: keys_of,
                    });
                }
                let rotations = self.rotations();
                let operation = "matmul in diagonal packing";
                for (keys, step) in keys.iter().flat_map(|k| rotations.iter().map(move |s| (k, *s))) {
                    let g = Galois::rotation(step, self.params.log_n());
                    let key = keys.galois(operation, g)?;
                    ckks.context().check_key(operation, self.level, key)?;
                }
                run::diagonal(ckks.context(), layout, keys, weights, x, clients)?
            }
            (Layout::Blocks(layout), Form::Polynomials(weights)) => {
                run::blocks(ckks.context(), *layout, self.shape, weights, x, inputs.clients)?
            }
            (Layout::Features(layout), Form::Columns(weights)) => {
                run::features(ckks.context(), layout.tiles, weights, x, inputs.clients)?
            }
            _ => {
                let (what, theirs, ours) = ("weights", weights.plan.name(), self.name());
                return Err(MatmulError::Foreign { what, theirs, ours });
            }
        };
        Ok(Outputs {
            plan: self.clone(),
            ct: Ciphertext::from_parts(inner, scale, inputs.ct.slots()),
            clients: inputs.clients,
        })
    }

    pub(super) fn check_params<B: Backend>(&self, ckks: &Ckks<B>) -> Result<()> {
        let theirs = ckks.context().params();
        Ok(self.params.check("matmul", "the context", theirs)?)
    }
}
