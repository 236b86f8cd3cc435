//! Sums, products with plaintexts and integers, and changes of level.

use smallvec::SmallVec;

use super::{
    Addend, Bfv, BfvError, Ciphertext, Factor, Result,
    ciphertext::{Encoded, check_plain},
};
use crate::{
    backend::{Backend, Mut, Onto, Product, Ref},
    rlwe::{self, Context, EvaluationKeys, Level, RlweError},
};

/// Computes on ciphertexts with the evaluation keys of one client.
pub struct Evaluator<'k, B: Backend> {
    pub(super) bfv: Bfv<B>,
    pub(super) keys: &'k EvaluationKeys<B>,
}

impl<'k, B: Backend> Evaluator<'k, B> {
    /// An evaluator with the keys that a client sent.
    pub fn new(bfv: &Bfv<B>, keys: &'k EvaluationKeys<B>) -> Self {
        Self {
            bfv: bfv.clone(),
            keys,
        }
    }

    /// The scheme.
    pub fn bfv(&self) -> &Bfv<B> {
        &self.bfv
    }

    pub(super) fn ctx(&self) -> &Context<B> {
        self.bfv.context()
    }

    fn updated(
        &self,
        operation: &'static str,
        a: &Ciphertext<B>,
        write: impl FnOnce(&Context<B>, Mut<B>) -> rlwe::Result<()>,
    ) -> Result<Ciphertext<B>> {
        self.bfv.check(operation, a)?;
        let mut result = a.clone();
        result.inner.update(self.ctx(), |dst| write(self.ctx(), dst))?;
        Ok(result)
    }

    fn check_pair(&self, operation: &'static str, a: &Ciphertext<B>, b: &Ciphertext<B>) -> Result<()> {
        self.bfv.check(operation, a)?;
        self.bfv.check(operation, b)?;
        a.inner.check_like(operation, &b.inner)?;
        let remedy = "relinearise the one with 3 components first";
        Ok(b.inner.check_components(operation, a.components(), remedy)?)
    }

    /// a + b modulo t: same level, items and components.
    pub fn add(&self, a: &Ciphertext<B>, b: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        self.check_pair("add", a, b)?;
        self.updated("add", a, |ctx, dst| {
            Ok(ctx.backend().add(ctx.tables(), dst, b.inner.view())?)
        })
    }

    /// a - b modulo t: as `add`.
    pub fn sub(&self, a: &Ciphertext<B>, b: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        self.check_pair("sub", a, b)?;
        self.updated("sub", a, |ctx, dst| {
            Ok(ctx.backend().sub(ctx.tables(), dst, b.inner.view())?)
        })
    }

    /// -a modulo t.
    pub fn neg(&self, a: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        self.updated("neg", a, |ctx, dst| Ok(ctx.backend().neg(ctx.tables(), dst)?))
    }

    /// All items one after the other; all parts share level and components.
    pub fn concat(&self, parts: &[Ciphertext<B>]) -> Result<Ciphertext<B>> {
        for part in parts {
            self.bfv.check("concat", part)?;
        }
        let inner: Vec<_> = parts.iter().map(|p| p.inner.clone()).collect();
        Ok(Ciphertext {
            inner: rlwe::Ciphertext::concat(self.ctx(), &inner)?,
            plain: self.bfv.plain(),
        })
    }

    fn plain_view<'p>(
        &self,
        operation: &'static str,
        a: &Ciphertext<B>,
        p: &'p Encoded<B>,
    ) -> Result<Ref<'p, B>> {
        self.bfv.check(operation, a)?;
        (self.ctx().params()).check(operation, "the plaintext", &p.params)?;
        check_plain(operation, "the plaintext", self.bfv.plain(), p.plain)?;
        if a.level() != p.level {
            let remedy = "encode the plaintext at the ciphertext's level";
            return Err(RlweError::mismatch(operation, "levels", a.level(), p.level, remedy).into());
        }
        match p.poly.items {
            1 => Ok(p.poly.view().map(|s| s.repeat_items(a.items()))),
            n if n == a.items() => Ok(p.poly.view()),
            n => {
                let remedy = "pass one plaintext, or one for each ciphertext";
                Err(RlweError::mismatch(operation, "items", a.items(), n, remedy).into())
            }
        }
    }

    /// a + p: same level; one plaintext for all items or one an item. Noise: at most t / (2 Q) more.
    pub fn add_plain(&self, a: &Ciphertext<B>, p: &Addend<B>) -> Result<Ciphertext<B>> {
        let view = self.plain_view("add_plain", a, &p.0)?;
        self.updated("add_plain", a, |ctx, mut dst| {
            let first = dst.part(|s| s.slice_polys(0, 1));
            Ok(ctx.backend().add(ctx.tables(), first, view)?)
        })
    }

    /// a p, slotwise or a negacyclic convolution as p was packed: same level; one plaintext for all items or one an item.
    /// Noise: v p, at most the sum of p's centred coefficients times as large.
    pub fn mul_plain(&self, a: &Ciphertext<B>, p: &Factor<B>) -> Result<Ciphertext<B>> {
        let components = a.components();
        let view = (self.plain_view("mul_plain", a, &p.0)?).map(|s| s.repeat_polys(components));
        let ctx = self.ctx();
        let inner = rlwe::Ciphertext::build(ctx, "mul_plain", a.level(), a.items(), components, |dst| {
            Ok(ctx.backend().mul(ctx.tables(), dst, a.inner.view(), view)?)
        })?;
        Ok(a.with(inner))
    }

    /// The sum over pairs of a p, each as [`mul_plain`](Self::mul_plain) forms it: all ciphertexts share level, items and components;
    /// each plaintext is one for all items or one an item. One pass over the operands. Noise: the sum of that of the products.
    pub fn inner_product_plain(&self, pairs: &[(&Ciphertext<B>, &Factor<B>)]) -> Result<Ciphertext<B>> {
        let operation = "inner_product_plain";
        let Some((first, _)) = pairs.first() else {
            let remedy = "pass at least one pair";
            return Err(RlweError::mismatch(operation, "pairs", 0, "at least 1", remedy).into());
        };
        let components = first.components();
        let mut terms: SmallVec<[Product<B>; 32]> = SmallVec::new();
        for (a, p) in pairs {
            let b = self.plain_view(operation, a, &p.0)?;
            first.inner.check_like(operation, &a.inner)?;
            let remedy = "relinearise all ciphertexts, or none";
            (a.inner).check_components(operation, components, remedy)?;
            terms.push(Product {
                a: a.inner.view(),
                b: b.map(|s| s.repeat_polys(components)),
            });
        }
        let ctx = self.ctx();
        let inner =
            rlwe::Ciphertext::build(ctx, operation, first.level(), first.items(), components, |dst| {
                Ok(ctx
                    .backend()
                    .mul_accumulate(ctx.tables(), dst, Onto::Zero, &terms)?)
            })?;
        Ok(first.with(inner))
    }

    /// Demands a residue modulo t.
    fn check_integer(&self, operation: &'static str, c: u64) -> Result<()> {
        let t = self.bfv.plain().value();
        if u128::from(c) >= t {
            let (index, value) = (0, c);
            return Err(BfvError::Value {
                operation,
                index,
                value,
                t,
            });
        }
        Ok(())
    }

    /// a + c for c in [0, t): to every slot, or to coefficient 0.
    pub fn add_integer(&self, a: &Ciphertext<B>, c: u64) -> Result<Ciphertext<B>> {
        self.check_integer("add_integer", c)?;
        self.bfv.check("add_integer", a)?;
        let residues = self.bfv.scaled_constant("add_integer", a.level(), c)?;
        self.updated("add_integer", a, |ctx, mut dst| {
            let first = dst.part(|s| s.slice_polys(0, 1));
            Ok(ctx.backend().add_const(ctx.tables(), first, &residues)?)
        })
    }

    /// a c for c in [0, t), taken centred. Noise: |c| times as large.
    pub fn mul_integer(&self, a: &Ciphertext<B>, c: u64) -> Result<Ciphertext<B>> {
        self.check_integer("mul_integer", c)?;
        self.bfv.check("mul_integer", a)?;
        let c = self.bfv.plain().centred(c);
        let primes = self.bfv.primes("mul_integer", a.level())?;
        let residues: Vec<u32> = primes.iter().map(|q| q.reduce_signed(c)).collect();
        let (ctx, components) = (self.ctx(), a.components());
        let inner = rlwe::Ciphertext::build(ctx, "mul_integer", a.level(), a.items(), components, |dst| {
            Ok(ctx
                .backend()
                .mul_const(ctx.tables(), dst, a.inner.view(), &residues)?)
        })?;
        Ok(a.with(inner))
    }

    /// The same plaintexts at a lower level: every residue scaled by Q' / Q and rounded, a prime at a time.
    ///
    /// The invariant noise stays, but for a rounding of standard deviation t / Q' sqrt((1 + hw) / 12). Smaller ciphertexts compute
    /// faster and travel in fewer bytes.
    pub fn switch_to(&self, a: &Ciphertext<B>, level: Level) -> Result<Ciphertext<B>> {
        self.bfv.check("switch_to", a)?;
        self.ctx().level("switch_to", level)?;
        if level > a.level() {
            let remedy = "levels only go down; encrypt at a higher level";
            return Err(RlweError::mismatch("switch_to", "levels", a.level(), level, remedy).into());
        }
        let ctx = self.ctx();
        let mut inner = a.inner.clone();
        for below in (level.0..a.level().0).rev() {
            let above = ctx.level("switch_to", inner.level())?;
            let Some(step) = &above.rescale else { break };
            let (items, components) = (inner.items(), inner.components());
            inner = rlwe::Ciphertext::build(ctx, "switch_to", Level(below), items, components, |dst| {
                Ok(ctx.backend().step(ctx.tables(), dst, inner.view(), step)?)
            })?;
        }
        Ok(a.with(inner))
    }
}
