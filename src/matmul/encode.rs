//! From numbers to the operands of a plan, and from its results to numbers.

use zeroize::Zeroizing;

use super::{
    ColumnWeights, EncodedWeights, Inputs, MatmulError, MatmulPlan, Outputs, Result, SeededInputs, Shape,
    Weights,
    layout::{Domain, Layout, Place},
    operands::{Form, check_plan},
    plaintexts::{Plaintexts, Source},
    shape::{check_value, quantise},
};
use crate::{
    arith::{Complex, Double, Embedding},
    backend::Backend,
    ckks::{Ciphertext, Ckks, CkksError, Release},
    ring::Scale,
    rlwe::{self, SecretKey},
};

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
        let degree = self.params.degree();
        let (source, each) = match &self.layout {
            Layout::Features(_) => {
                let columns = ColumnWeights::rounded(&weights, (k, n), self.weight_bits);
                return Ok(self.weights(Form::Columns(columns)));
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
                            .map_err(CkksError::from)?;
                        all.extend(integers.iter().step_by(gap).map(|x| *x as i32));
                    }
                }
                (Source::Coefficients(all), 2 * slots)
            }
        };
        self.polynomials(ckks, source, each)
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
            Layout::Blocks(_) => self.polynomials(ckks, Source::Blank, self.params.degree()),
            Layout::Diagonal(layout) => self.polynomials(ckks, Source::Blank, 2 * layout.slots()),
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
