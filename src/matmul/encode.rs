//! From numbers to the operands of a plan, and from its results to numbers.

use zeroize::Zeroizing;

use super::{
    ColumnWeights, EncodedWeights, Inputs, MatmulError, MatmulPlan, Outputs, Packing, Result, SeededInputs,
    Shape, Weights,
    diagonal::Diagonal,
    layout::{Domain, Layout, Place},
    operands::Form,
    plaintexts::{Plaintexts, Source},
    shape::{check_value, quantise},
};
use crate::{
    arith::{Complex, Double, Embedding},
    backend::Backend,
    ckks::{Ciphertext, Ckks, CkksError, Release},
    ring::Scale,
    rlwe::{self, Context, SecretKey},
};

/// Diagonals of a matrix as the coefficients of plaintexts, one after the other.
pub(super) struct Diagonals<'a> {
    layout: &'a Diagonal,
    shape: Shape,
    embedding: Embedding,
    scale: Double,
    /// Coefficients are 0 but for every so many.
    gap: usize,
    slots: Vec<Complex>,
    integers: Vec<i64>,
}

impl<'a> Diagonals<'a> {
    pub(super) fn new(plan: &MatmulPlan, layout: &'a Diagonal) -> Self {
        let (slots, degree) = (layout.slots(), plan.params.degree());
        let (hi, lo) = Scale::pow2(plan.weight_bits as i32).to_parts();
        Self {
            layout,
            shape: plan.shape,
            embedding: Embedding::new(plan.params.log_n()),
            scale: Double { hi, lo },
            gap: degree / (2 * slots),
            slots: vec![Complex::default(); slots],
            integers: vec![0; degree],
        }
    }

    /// Coefficients of a plaintext that may differ from 0.
    pub(super) fn each(&self) -> usize {
        2 * self.slots.len()
    }

    /// Appends those of term `term` of sum `group`; `weights` is `[k][n]`.
    pub(super) fn encode(
        &mut self,
        weights: &[f64],
        (group, term): (usize, usize),
        out: &mut Vec<i32>,
    ) -> Result<()> {
        let (giant, baby) = (self.layout.giant(), self.layout.baby);
        let (to, from) = ((group / giant, group % giant), (term / baby, term % baby));
        (self.layout).plaintext(self.shape, weights, to, from, &mut self.slots);
        (self.embedding.embed(&self.slots, self.scale, &mut self.integers)).map_err(CkksError::from)?;
        out.extend(self.integers.iter().step_by(self.gap).map(|x| *x as i32));
        Ok(())
    }
}

impl MatmulPlan {
    /// Encodes a k x n matrix. Errors: another number of weights, or one that is not finite or beyond the bound.
    pub fn encode_weights<B: Backend>(
        &self,
        ckks: &Ckks<B>,
        weights: Weights<'_>,
    ) -> Result<EncodedWeights<B>> {
        self.check_params(ckks)?;
        let Shape { k, n, .. } = self.shape;
        let weights = weights.checked(self.shape, self.options.weight_bound)?;
        let source = match &self.layout {
            Layout::Features(_) => {
                let columns = ColumnWeights::rounded(&weights, (k, n), self.weight_bits);
                return Ok(self.weights(Form::Columns(columns)));
            }
            Layout::Blocks(blocks) => {
                let integers = quantise(&weights, self.weight_bits);
                Source::Blocks(*blocks, self.shape, integers)
            }
            Layout::Diagonal(layout) => {
                let (groups, terms) = (layout.outputs * layout.giant(), layout.inputs * layout.baby);
                let mut encoder = Diagonals::new(self, layout);
                let mut all = Vec::with_capacity(groups * terms * encoder.each());
                for group in 0..groups {
                    for term in 0..terms {
                        encoder.encode(&weights, (group, term), &mut all)?;
                    }
                }
                Source::Coefficients(all)
            }
        };
        self.polynomials(ckks, source)
    }

    /// Weights without values, for a backend that looks at none.
    pub(super) fn blank_weights<B: Backend>(&self, ckks: &Ckks<B>) -> Result<EncodedWeights<B>> {
        match &self.layout {
            Layout::Features(_) => {
                let Shape { k, n, .. } = self.shape;
                let columns = ColumnWeights {
                    outputs: n,
                    inputs: k,
                    weights: Vec::new(),
                    weight_bits: self.weight_bits,
                    bias: Vec::new(),
                };
                Ok(self.weights(Form::Columns(columns)))
            }
            Layout::Blocks(_) | Layout::Diagonal(_) => self.polynomials(ckks, Source::Blank),
        }
    }

    /// One client's inputs that hold anything, for counting.
    pub(super) fn blank_inputs<B: Backend>(&self, inner: rlwe::Ciphertext<B>) -> Result<Inputs<B>> {
        let slots = match self.layout.domain() {
            Domain::Slots(slots) => slots,
            Domain::Coefficients => self.params.degree() / 2,
        };
        let scale = self.params.level("matmul", self.level)?.scale.clone();
        Ok(Inputs {
            plan: self.clone(),
            ct: Ciphertext::from_parts(inner, scale, slots),
            clients: 1,
        })
    }

    fn polynomials<B: Backend>(&self, ckks: &Ckks<B>, source: Source) -> Result<EncodedWeights<B>> {
        let mut all = self.plaintexts(ckks.context(), source)?;
        if self.options.ready {
            all.prepare(ckks.context())?;
        } else if self.packing == Packing::Diagonal {
            all.settle(ckks.context())?;
        }
        Ok(self.weights(Form::Polynomials(all)))
    }

    /// The plaintexts of blocks or diagonals, without residues.
    pub(super) fn plaintexts<B: Backend>(&self, ctx: &Context<B>, source: Source) -> Result<Plaintexts<B>> {
        let level = ctx.level("matmul", self.level)?;
        let (terms, groups, rows, each) = match &self.layout {
            Layout::Diagonal(l) => (
                l.inputs * l.baby,
                l.outputs * l.giant(),
                level.extended.clone(),
                2 * l.slots(),
            ),
            Layout::Blocks(l) => (
                l.inner_blocks(self.shape),
                l.output_blocks(self.shape),
                level.rows.to_vec(),
                self.params.degree(),
            ),
            Layout::Features(_) => (0, 0, Vec::new(), 0),
        };
        Ok(Plaintexts {
            source,
            terms,
            groups,
            each,
            rows,
            light: None,
            ready: None,
        })
    }

    fn weights<B: Backend>(&self, form: Form<B>) -> EncodedWeights<B> {
        EncodedWeights {
            plan: self.clone(),
            form,
        }
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
            plan: self.clone(),
            ct,
        })
    }

    /// Decrypts one client's `[batch][m][n]` results as the policy says.
    pub fn decrypt_outputs<B: Backend>(
        &self,
        ckks: &Ckks<B>,
        key: &SecretKey<B>,
        outputs: &Outputs<B>,
        release: Release,
    ) -> Result<Vec<f64>> {
        self.check_params(ckks)?;
        outputs.plan.check_same("outputs", self)?;
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
