//! Operands and results of a plan: each knows which plan it was made for, parameters included.

use super::{ColumnWeights, MatmulError, MatmulPlan, Result, plaintexts::Plaintexts};
use crate::{
    backend::Backend,
    ckks::{Ciphertext, Ckks, Evaluator, SeededCiphertext},
    rlwe::{Context, EvaluationKeys},
};

/// Weights for one plan.
pub struct EncodedWeights<B: Backend> {
    pub(super) plan: MatmulPlan,
    pub(super) form: Form<B>,
}

pub(super) enum Form<B: Backend> {
    /// Integers.
    Columns(ColumnWeights),
    /// Plaintext polynomials.
    Polynomials(Plaintexts<B>),
}

impl<B: Backend> EncodedWeights<B> {
    /// Bytes in memory.
    pub fn bytes(&self, ctx: &Context<B>) -> usize {
        match &self.form {
            Form::Columns(all) => size_of_val(all.weights.as_slice()),
            Form::Polynomials(all) => all.bytes(ctx.log_n()),
        }
    }
}

/// Encrypted inputs of one client as they travel: half the bytes.
pub struct SeededInputs<B: Backend> {
    pub(super) plan: MatmulPlan,
    pub(super) ct: SeededCiphertext<B>,
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
    pub(super) plan: MatmulPlan,
    pub(super) ct: Ciphertext<B>,
    pub(super) clients: usize,
}

impl<B: Backend> Inputs<B> {
    /// Those of several clients, to be computed in one run. Errors, before any work: no inputs, those of another plan, those of another
    /// context.
    pub fn join(ckks: &Ckks<B>, parts: &[Self]) -> Result<Self> {
        let Some(first) = parts.first() else {
            return Err(MatmulError::NoInputs);
        };
        first.plan.check_params(ckks)?;
        for part in parts {
            part.plan.check_same("inputs", &first.plan)?;
        }
        let keys = EvaluationKeys::none();
        let all: Vec<_> = parts.iter().map(|p| p.ct.clone()).collect();
        Ok(Self {
            plan: first.plan.clone(),
            ct: Evaluator::new(ckks, &keys).concat(&all)?,
            clients: parts.iter().map(|p| p.clients).sum(),
        })
    }
}

/// Encrypted results of some clients.
pub struct Outputs<B: Backend> {
    pub(super) plan: MatmulPlan,
    pub(super) ct: Ciphertext<B>,
    pub(super) clients: usize,
}

impl<B: Backend> Outputs<B> {
    /// How many clients.
    pub fn clients(&self) -> usize {
        self.clients
    }

    /// Those of one client.
    pub fn client(&self, client: usize) -> Result<Self> {
        let each = self.ct.items() / self.clients.max(1);
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
