//! One product of an encrypted and a plain matrix: planned, encoded, encrypted, run, decrypted.

use zeroize::Zeroizing;

use super::{
    MatmulError, Result, Shape, Weights,
    layout::{Domain, Layout, Place},
    plaintexts::{Plaintexts, Source},
    run,
    shape::{check_value, quantise},
};
use crate::{
    arith::{Complex, Double, Embedding},
    backend::Backend,
    ckks::{Ciphertext, Ckks, Release, SeededCiphertext},
    ring::{Galois, Scale},
    rlwe::{Context, EvaluationKeys, KeyNeeds, Level, Params, SecretKey},
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

/// Weights for one plan.
pub struct EncodedWeights<B: Backend> {
    plan: String,
    pub(super) form: Form<B>,
}

pub(super) enum Form<B: Backend> {
    /// `[n][k]`, integers.
    Matrix(Vec<i16>),
    /// Plaintext polynomials.
    Polynomials(Plaintexts<B>),
}

impl<B: Backend> EncodedWeights<B> {
    /// Bytes in memory.
    pub fn bytes(&self, ctx: &Context<B>) -> usize {
        match &self.form {
            Form::Matrix(all) => size_of_val(all.as_slice()),
            Form::Polynomials(all) => all.bytes(ctx.log_n()),
        }
    }
}

/// Encrypted inputs of one client as they travel: half the bytes.
pub struct SeededInputs<B: Backend> {
    plan: String,
    ct: SeededCiphertext<B>,
}

impl<B: Backend> SeededInputs<B> {
    /// Bytes of residues and seeds.
    pub fn bytes(&self, ctx: &Context<B>) -> usize {
        self.ct.bytes(ctx)
    }

    /// The inputs as a server uses them.
    pub fn expand(&self, ctx: &Context<B>) -> Result<Inputs<B>> {
        Ok(Inputs {
            plan: self.plan.clone(),
            ct: self.ct.expand(ctx)?,
            clients: 1,
        })
    }
}

/// Encrypted inputs of some clients, each under a key of its own.
pub struct Inputs<B: Backend> {
    plan: String,
    pub(super) ct: Ciphertext<B>,
    pub(super) clients: usize,
}

impl<B: Backend> Inputs<B> {
    /// Those of several clients, to be computed in one run.
    pub fn join(ckks: &Ckks<B>, parts: &[Self]) -> Result<Self> {
        let keys = EvaluationKeys::none();
        let all: Vec<_> = parts.iter().map(|p| p.ct.clone()).collect();
        let ct = crate::ckks::Evaluator::new(ckks, &keys).concat(&all)?;
        let first = parts.first().map(|p| p.plan.clone()).unwrap_or_default();
        for part in parts {
            check_plan("inputs", &part.plan, &first)?;
        }
        let clients = parts.iter().map(|p| p.clients).sum();
        Ok(Self {
            plan: first,
            ct,
            clients,
        })
    }
}

/// Encrypted results of some clients.
pub struct Outputs<B: Backend> {
    plan: String,
    ct: Ciphertext<B>,
    clients: usize,
}

impl<B: Backend> Outputs<B> {
    /// How many clients.
    pub fn clients(&self) -> usize {
        self.clients
    }

    /// Those of one client.
    pub fn client(&self, client: usize) -> Result<Self> {
        let each = self.ct.items() / self.clients;
        Ok(Self {
            plan: self.plan.clone(),
            ct: self.ct.slice(client.saturating_mul(each), each)?,
            clients: 1,
        })
    }

    /// The ciphertexts, to compute on: in slots for column and diagonal packing.
    pub fn ciphertext(&self) -> &Ciphertext<B> {
        &self.ct
    }

    /// Bytes of residues.
    pub fn bytes(&self, ctx: &Context<B>) -> usize {
        self.ct.rlwe().bytes(ctx)
    }
}

fn check_plan(what: &'static str, theirs: &str, ours: &str) -> Result<()> {
    if theirs == ours {
        return Ok(());
    }
    Err(MatmulError::Foreign {
        what,
        theirs: theirs.to_owned(),
        ours: ours.to_owned(),
    })
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

    /// Names what has to agree between plans that share weights or inputs.
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

    /// Encodes a k x n matrix. Errors: another number of weights, or one that is not finite or beyond the bound.
    pub fn encode_weights<B: Backend>(
        &self,
        ckks: &Ckks<B>,
        weights: Weights<'_>,
    ) -> Result<EncodedWeights<B>> {
        self.check_params(ckks)?;
        let Shape { k, n, .. } = self.shape;
        let weights = weights.checked(self.shape, self.options.weight_bound)?;
        let degree = self.params.degree();
        let (source, each) = match &self.layout {
            Layout::Features(_) => {
                let integers = quantise(&weights, self.weight_bits);
                let by_output = (0..k * n).map(|i| integers.get(i % k * n + i / k).copied().unwrap_or(0));
                return Ok(self.weights(Form::Matrix(by_output.collect())));
            }
            Layout::Blocks(blocks) => {
                let integers = quantise(&weights, self.weight_bits);
                (Source::Blocks(*blocks, self.shape, integers), degree)
            }
            Layout::Diagonal(layout) => {
                let (slots, embedding) = (layout.slots(), Embedding::new(self.params.log_n()));
                let (hi, lo) = Scale::pow2(self.weight_bits as i32).to_parts();
                let gap = degree / (2 * slots);
                let mut all = Vec::new();
                let (mut values, mut integers) = (vec![Complex::default(); slots], vec![0i64; degree]);
                for group in 0..layout.outputs * layout.giant() {
                    for term in 0..layout.inputs * layout.baby {
                        let (to, from) = (
                            (group / layout.giant(), group % layout.giant()),
                            (term / layout.baby, term % layout.baby),
                        );
                        layout.plaintext(self.shape, &weights, to, from, &mut values);
                        embedding
                            .embed(&values, Double { hi, lo }, &mut integers)
                            .map_err(crate::ckks::CkksError::from)?;
                        all.extend(integers.iter().step_by(gap).map(|x| *x as i32));
                    }
                }
                (Source::Coefficients(all), 2 * slots)
            }
        };
        self.polynomials(ckks, source, each)
    }

    /// Weights that are all zero, without the work of encoding: for counting.
    pub(super) fn blank_weights<B: Backend>(&self, ckks: &Ckks<B>) -> Result<EncodedWeights<B>> {
        match &self.layout {
            Layout::Features(_) => Ok(self.weights(Form::Matrix(vec![0; self.shape.k * self.shape.n]))),
            Layout::Blocks(_) => self.polynomials(ckks, Source::Blank, self.params.degree()),
            Layout::Diagonal(layout) => self.polynomials(ckks, Source::Blank, 2 * layout.slots()),
        }
    }

    /// One client's inputs that hold anything, for counting.
    pub(super) fn blank_inputs<B: Backend>(&self, inner: crate::rlwe::Ciphertext<B>) -> Result<Inputs<B>> {
        let slots = match self.layout.domain() {
            Domain::Slots(slots) => slots,
            Domain::Coefficients => self.params.degree() / 2,
        };
        let scale = self.params.level("matmul", self.level)?.scale.clone();
        Ok(Inputs {
            plan: self.name(),
            ct: Ciphertext::from_parts(inner, scale, slots),
            clients: 1,
        })
    }

    fn polynomials<B: Backend>(
        &self,
        ckks: &Ckks<B>,
        source: Source,
        each: usize,
    ) -> Result<EncodedWeights<B>> {
        let level = ckks.context().level("matmul", self.level)?;
        let (terms, groups, rows) = match &self.layout {
            Layout::Diagonal(l) => (l.inputs * l.baby, l.outputs * l.giant(), level.extended.clone()),
            Layout::Blocks(l) => (
                l.inner_blocks(self.shape),
                l.output_blocks(self.shape),
                level.rows.to_vec(),
            ),
            Layout::Features(_) => (0, 0, Vec::new()),
        };
        let mut all = Plaintexts {
            source,
            terms,
            groups,
            each,
            rows,
            ready: None,
        };
        if self.options.ready {
            all.prepare(ckks.context())?;
        }
        Ok(self.weights(Form::Polynomials(all)))
    }

    fn weights<B: Backend>(&self, form: Form<B>) -> EncodedWeights<B> {
        EncodedWeights {
            plan: self.name(),
            form,
        }
    }

    fn check_params<B: Backend>(&self, ckks: &Ckks<B>) -> Result<()> {
        let theirs = ckks.context().params();
        Ok(self.params.check("matmul", "the context", theirs)?)
    }

    /// Encrypts `[batch][m][k]` numbers. Errors: another number of inputs, or one that is not finite or beyond the bound.
    pub fn encrypt_inputs<B: Backend>(
        &self,
        ckks: &Ckks<B>,
        key: &SecretKey<B>,
        inputs: &[f64],
    ) -> Result<SeededInputs<B>> {
        self.check_params(ckks)?;
        let (rows, k) = (self.shape.rows(), self.shape.k);
        if inputs.len() != rows * k {
            return Err(MatmulError::Length {
                what: "inputs",
                given: inputs.len(),
                wanted: rows * k,
            });
        }
        for (index, value) in inputs.iter().enumerate() {
            check_value("input", index, *value, self.options.input_bound)?;
        }
        let (items, _) = self.ciphertexts();
        let each = inputs.iter().enumerate();
        let placed = each.map(|(i, x)| (self.layout.input(self.shape, i / k, i % k), *x));
        let ct = match self.layout.domain() {
            Domain::Slots(slots) => {
                let mut values = Zeroizing::new(vec![[0f64; 2]; items * slots]);
                for (Place { item, at, imaginary }, x) in placed {
                    if let Some(slot) = values.get_mut(item * slots + at) {
                        slot[usize::from(imaginary)] = x;
                    }
                }
                ckks.encrypt(key, bytemuck::cast_slice(&values), items, self.level)?
            }
            Domain::Coefficients => {
                let degree = self.params.degree();
                let mut values = Zeroizing::new(vec![0f64; items * degree]);
                for (Place { item, at, .. }, x) in placed {
                    if let Some(to) = values.get_mut(item * degree + at) {
                        *to = x;
                    }
                }
                ckks.encrypt_coefficients(key, &values, items, self.level)?
            }
        };
        Ok(SeededInputs {
            plan: self.name(),
            ct,
        })
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
        check_plan("weights", &weights.plan, &self.name())?;
        check_plan("inputs", &inputs.plan, &self.name())?;
        let x = inputs.ct.rlwe();
        x.check_context("matmul", ckks.context())?;
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
                for (keys, step) in keys.iter().flat_map(|k| rotations.iter().map(move |s| (k, *s))) {
                    let g = Galois::rotation(step, self.params.log_n());
                    keys.galois("matmul in diagonal packing", g)?
                        .check_level("matmul in diagonal packing", self.level)?;
                }
                run::diagonal(ckks.context(), layout, keys, weights, x, clients)?
            }
            (Layout::Blocks(layout), Form::Polynomials(weights)) => {
                run::blocks(ckks.context(), *layout, self.shape, weights, x, inputs.clients)?
            }
            (Layout::Features(layout), Form::Matrix(weights)) => run::features(
                ckks.context(),
                layout.tiles,
                self.shape,
                weights,
                x,
                inputs.clients,
            )?,
            _ => return check_plan("weights", "another packing", &self.name()).and(Err(self.impossible())),
        };
        let scale = inputs
            .ct
            .scale()
            .clone()
            .times_pow2(i64::from(self.weight_bits))?;
        Ok(Outputs {
            plan: self.name(),
            ct: Ciphertext::from_parts(inner, scale, inputs.ct.slots()),
            clients: inputs.clients,
        })
    }

    fn impossible(&self) -> MatmulError {
        let (what, ours) = ("weights", self.name());
        let theirs = String::from("another packing");
        MatmulError::Foreign { what, theirs, ours }
    }

    /// Decrypts one client's `[batch][m][n]` results as the policy says.
    pub fn decrypt_outputs<B: Backend>(
        &self,
        ckks: &Ckks<B>,
        key: &SecretKey<B>,
        outputs: &Outputs<B>,
        release: Release,
    ) -> Result<Vec<f64>> {
        check_plan("outputs", &outputs.plan, &self.name())?;
        if outputs.clients != 1 {
            let (clients, keys) = (outputs.clients, 1);
            return Err(MatmulError::Keys { clients, keys });
        }
        let decrypted = ckks.decrypt(key, &outputs.ct)?;
        let n = self.shape.n;
        let places = (0..self.shape.rows() * n).map(|i| self.layout.output(self.shape, i / n, i % n));
        Ok(match self.layout.domain() {
            Domain::Slots(slots) => {
                let values = decrypted.release(release)?;
                let of = |Place { item, at, imaginary }| {
                    let slot = values.get(item * slots + at);
                    slot.map_or(f64::NAN, |z| if imaginary { z.im } else { z.re })
                };
                places.map(of).collect()
            }
            Domain::Coefficients => {
                let values = decrypted.release_coefficients(release)?;
                let degree = self.params.degree();
                let of = |Place { item, at, .. }| values.get(item * degree + at).copied();
                places.map(|p| of(p).unwrap_or(f64::NAN)).collect()
            }
        })
    }
}
