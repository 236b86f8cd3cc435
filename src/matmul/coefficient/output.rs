//! Results: before release, as they travel, and decrypted.

use super::{CoefficientError, Output, Plan, Result};
use crate::{
    backend::Backend,
    bfv::{Addend, Bfv, Ciphertext, Decrypted, Evaluator, Lwe, Packing},
    rlwe::{self, EvaluationKeys, SecretKey},
};

/// The results of one request before they are released: whole ciphertexts at the level that results travel at.
///
/// This is where a protocol between two parties puts what hides the plain operand from the client: a mask ([`Results::add`]), a
/// fresh encryption of zero and noise ([`Results::update`]). Nothing here does it by itself.
pub struct Results<B: Backend> {
    pub(super) plan: Plan,
    pub(super) ct: Ciphertext<B>,
}

/// The results of one request as they travel.
pub struct Outputs<B: Backend> {
    plan: Plan,
    pub(crate) body: Body<B>,
}

/// What travels.
pub(crate) enum Body<B: Backend> {
    /// Every coefficient a result.
    Packed(Ciphertext<B>),
    /// Residues in the coefficient domain, on the host, `[ciphertext]`.
    Cut(Vec<Cut>),
}

/// One ciphertext without the coefficients of c_0 that nobody needs.
pub(crate) struct Cut {
    /// c_0 at the needed coefficients, `[row][needed]`.
    pub(crate) first: Vec<u32>,
    /// c_1, `[row][N]`.
    pub(crate) second: Vec<u32>,
}

impl<B: Backend> Results<B> {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The ciphertexts.
    pub fn ciphertexts(&self) -> &Ciphertext<B> {
        &self.ct
    }

    /// With a matrix added, as [`Plan::addend`] encoded it.
    pub fn add(self, bfv: &Bfv<B>, addend: &Addend<B>) -> Result<Self> {
        let none = EvaluationKeys::none();
        self.update(|ct| Ok(Evaluator::new(bfv, &none).add_plain(ct, addend)?))
    }

    /// With other ciphertexts of the same shape in their place.
    pub fn update(self, f: impl FnOnce(&Ciphertext<B>) -> Result<Ciphertext<B>>) -> Result<Self> {
        let ct = f(&self.ct)?;
        let shape = |ct: &Ciphertext<B>| {
            let (items, components, level) = (ct.items(), ct.components(), ct.level());
            format!("{items} ciphertexts of {components} components at {level}")
        };
        let (have, wanted) = (shape(&ct), shape(&self.ct));
        if have != wanted {
            return Err(CoefficientError::Mismatch {
                operation: "update",
                what: "the shape of results",
                have,
                wanted,
                remedy: "keep the number, the components and the level of the ciphertexts",
            });
        }
        let plan = self.plan;
        Ok(Self { plan, ct })
    }

    /// One LWE ciphertext for every result: of cut results, those of [`Plan::needed`] of every ciphertext.
    pub fn extract(&self, bfv: &Bfv<B>) -> Result<Vec<Lwe>> {
        let all: Vec<usize> = (0..bfv.params().degree()).collect();
        let extract = |i: usize| {
            let ct = self.ct.slice(i, 1)?;
            Ok(match self.plan.output() {
                Output::Cut => bfv.extract(&ct, &self.plan.needed(i))?,
                Output::Packed => bfv.extract(&ct, &all)?,
            })
        };
        (0..self.ct.items()).map(extract).collect()
    }

    /// What travels to the client.
    pub fn release(self, bfv: &Bfv<B>) -> Result<Outputs<B>> {
        self.plan.check_scheme("release", bfv)?;
        let Self { plan, ct } = self;
        let body = match plan.output() {
            Output::Packed => Body::Packed(ct),
            Output::Cut => Body::Cut(cut(bfv, &plan, &ct)?),
        };
        Ok(Outputs { plan, body })
    }
}

fn cut<B: Backend>(bfv: &Bfv<B>, plan: &Plan, ct: &Ciphertext<B>) -> Result<Vec<Cut>> {
    let (ctx, n) = (bfv.context(), bfv.params().degree());
    let rows = ctx.level("release", ct.level())?.rows.len();
    let mut words = vec![0u32; 2 * rows * n];
    let mut all = Vec::with_capacity(ct.items());
    for i in 0..ct.items() {
        let mut one = ct.slice(i, 1)?.rlwe().duplicate(ctx)?;
        one.update(ctx, |dst| Ok(ctx.backend().intt(ctx.tables(), dst)?))?;
        ctx.backend().download(one.view(), &mut words)?;
        let (first, second) = words.split_at(rows * n);
        let needed = plan.needed(i);
        let row =
            |row: &[u32]| -> Vec<u32> { needed.iter().filter_map(|at| row.get(*at).copied()).collect() };
        all.push(Cut {
            first: first.chunks(n).flat_map(row).collect(),
            second: second.to_vec(),
        });
    }
    Ok(all)
}

impl<B: Backend> Outputs<B> {
    /// Parts that were checked against the plan.
    pub(crate) fn from_parts(plan: &Plan, body: Body<B>) -> Self {
        let plan = plan.clone();
        Self { plan, body }
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The ciphertexts again, with zeros where coefficients of c_0 were cut.
    fn whole(&self, bfv: &Bfv<B>) -> Result<Ciphertext<B>> {
        let all = match &self.body {
            Body::Packed(ct) => return Ok(ct.clone()),
            Body::Cut(all) => all,
        };
        let (ctx, n, level) = (bfv.context(), bfv.params().degree(), self.plan.levels().output);
        let rows = ctx.level("decrypt", level)?.rows.len();
        let mut words = vec![0u32; all.len() * 2 * rows * n];
        for (i, (to, cut)) in words.chunks_mut(2 * rows * n).zip(all).enumerate() {
            let needed = self.plan.needed(i);
            let (first, second) = to.split_at_mut(rows * n);
            for (to, from) in first.chunks_mut(n).zip(cut.first.chunks(needed.len().max(1))) {
                for (at, word) in needed.iter().zip(from) {
                    to.iter_mut().skip(*at).take(1).for_each(|to| *to = *word);
                }
            }
            second.iter_mut().zip(&cut.second).for_each(|(to, w)| *to = *w);
        }
        let inner = rlwe::Ciphertext::build(ctx, "decrypt", level, all.len(), 2, |mut dst| {
            ctx.backend().upload(dst.again(), &words)?;
            Ok(ctx.backend().ntt(ctx.tables(), dst)?)
        })?;
        Ok(Ciphertext::from_parts(inner, bfv.plain()))
    }

    /// Decrypts: m n residues, row after row. To be given out as every decryption is, under a policy; for others than the owner of
    /// the key, by the noise of the plan, [`Plan::noise`].
    pub fn decrypt(&self, bfv: &Bfv<B>, key: &SecretKey<B>) -> Result<Decrypted> {
        let (plan, shape) = (&self.plan, self.plan.shape());
        plan.check_scheme("decrypt", bfv)?;
        let all = bfv.decrypt(key, Packing::Coefficients, &self.whole(bfv)?)?;
        let n = bfv.params().degree();
        let entries = (0..shape.m).flat_map(|row| (0..shape.n).map(move |column| (row, column)));
        Ok(all.pick(entries.map(|(row, column)| {
            let (ciphertext, coefficient) = plan.place(row, column);
            ciphertext * n + coefficient
        })))
    }
}
