//! Sums and products of ciphertexts, plaintexts and constants; relinearisation and rescaling.

use smallvec::SmallVec;

use super::{
    Ciphertext, Ckks, CkksError, Plaintext, Result,
    ciphertext::{check_scales, check_slots},
    level::step_ratio,
};
use crate::{
    backend::{Backend, Entries, Matrix, Mut, Ref},
    ring::Scale,
    rlwe::{self, Context, EvaluationKeys, Level, RlweError},
};

/// Computes on ciphertexts with the evaluation keys of one client.
pub struct Evaluator<'k, B: Backend> {
    pub(super) ckks: Ckks<B>,
    pub(super) keys: &'k EvaluationKeys<B>,
}

impl<'k, B: Backend> Evaluator<'k, B> {
    /// An evaluator with the keys that a client sent.
    pub fn new(ckks: &Ckks<B>, keys: &'k EvaluationKeys<B>) -> Self {
        Self {
            ckks: ckks.clone(),
            keys,
        }
    }

    /// The keys.
    pub fn keys(&self) -> &'k EvaluationKeys<B> {
        self.keys
    }

    /// The CKKS context.
    pub fn ckks(&self) -> &Ckks<B> {
        &self.ckks
    }

    pub(super) fn ctx(&self) -> &Context<B> {
        self.ckks.context()
    }

    fn combine(
        &self,
        operation: &'static str,
        a: &Ciphertext<B>,
        b: &Ciphertext<B>,
        sign: Sign,
    ) -> Result<Ciphertext<B>> {
        a.inner.check_context(operation, self.ctx())?;
        a.inner.check_like(operation, &b.inner)?;
        check_slots(operation, a.slots, b.slots)?;
        check_scales(operation, a.level(), &a.scale, &b.scale)?;
        let (backend, tables) = (self.ctx().backend(), self.ctx().tables());
        let common = a.components().min(b.components());
        let components = a.components().max(b.components());
        let inner = rlwe::Ciphertext::build(
            self.ctx(),
            operation,
            a.level(),
            a.items(),
            components,
            |mut dst| {
                backend.copy(dst.part(|s| s.slice_polys(0, a.components())), a.inner.view())?;
                let from = b.inner.view();
                let shared = from.map(|s| s.slice_polys(0, common));
                let to = dst.part(|s| s.slice_polys(0, common));
                match sign {
                    Sign::Plus => backend.add(tables, to, shared)?,
                    Sign::Minus => backend.sub(tables, to, shared)?,
                }
                if b.components() > common {
                    let rest = b.components() - common;
                    backend.copy(
                        dst.part(|s| s.slice_polys(common, rest)),
                        from.map(|s| s.slice_polys(common, rest)),
                    )?;
                    if matches!(sign, Sign::Minus) {
                        backend.neg(tables, dst.part(|s| s.slice_polys(common, rest)))?;
                    }
                }
                Ok(())
            },
        )?;
        Ok(a.with(inner))
    }

    /// a + b: same level, scale, items and slots; the result has the larger number of components.
    pub fn add(&self, a: &Ciphertext<B>, b: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        self.combine("add", a, b, Sign::Plus)
    }

    /// a - b: as `add`.
    pub fn sub(&self, a: &Ciphertext<B>, b: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        self.combine("sub", a, b, Sign::Minus)
    }

    /// a += b: as `add`, without new memory when `a` is not shared.
    pub fn add_assign(&self, a: &mut Ciphertext<B>, b: &Ciphertext<B>) -> Result<()> {
        if a.components() != b.components() {
            *a = self.add(a, b)?;
            return Ok(());
        }
        a.inner.check_context("add", self.ctx())?;
        a.inner.check_like("add", &b.inner)?;
        check_slots("add", a.slots, b.slots)?;
        check_scales("add", a.level(), &a.scale, &b.scale)?;
        let ctx = self.ckks.context();
        Ok(a.inner.update(ctx, |dst| {
            Ok(ctx.backend().add(ctx.tables(), dst, b.inner.view())?)
        })?)
    }

    /// All items one after the other; all parts share level, scale, slots and components.
    pub fn concat(&self, parts: &[Ciphertext<B>]) -> Result<Ciphertext<B>> {
        let Some(first) = parts.first() else {
            let wanted = String::from("at least one ciphertext");
            return Err(CkksError::Length {
                operation: "concat",
                given: 0,
                wanted,
                remedy: "pass at least one ciphertext",
            });
        };
        let inner: Vec<_> = parts.iter().map(|p| p.inner.clone()).collect();
        let joined = rlwe::Ciphertext::concat(self.ctx(), &inner)?;
        for part in parts {
            check_slots("concat", first.slots, part.slots)?;
            check_scales("concat", first.level(), &first.scale, &part.scale)?;
        }
        Ok(first.with(joined))
    }

    /// -a.
    pub fn neg(&self, a: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        self.updated("neg", a, |ctx, dst| Ok(ctx.backend().neg(ctx.tables(), dst)?))
    }

    /// i a: multiplication of every slot by the imaginary unit; exact and free of noise.
    pub fn mul_i(&self, a: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        self.updated("mul_i", a, |ctx, dst| {
            Ok(ctx.backend().mul_i(ctx.tables(), dst)?)
        })
    }

    fn updated(
        &self,
        operation: &'static str,
        a: &Ciphertext<B>,
        write: impl FnOnce(&Context<B>, Mut<B>) -> rlwe::Result<()>,
    ) -> Result<Ciphertext<B>> {
        a.inner.check_context(operation, self.ctx())?;
        let mut result = a.clone();
        result.inner.update(self.ctx(), |dst| write(self.ctx(), dst))?;
        Ok(result)
    }

    /// a + p: same level and scale; one plaintext for all items or one an item.
    pub fn add_plain(&self, a: &Ciphertext<B>, p: &Plaintext<B>) -> Result<Ciphertext<B>> {
        let view = self.plain_view("add_plain", a, p)?;
        check_scales("add_plain", a.level(), &a.scale, &p.scale)?;
        self.updated("add_plain", a, |ctx, mut dst| {
            Ok(ctx
                .backend()
                .add(ctx.tables(), dst.part(|s| s.slice_polys(0, 1)), view)?)
        })
    }

    /// a p slotwise: same level, scales multiply; one plaintext for all items or one an item.
    pub fn mul_plain(&self, a: &Ciphertext<B>, p: &Plaintext<B>) -> Result<Ciphertext<B>> {
        let view = self
            .plain_view("mul_plain", a, p)?
            .map(|s| s.repeat_polys(a.components()));
        let scale = a.scale.mul(&p.scale)?;
        self.ckks.check_room("mul_plain", a.level(), &scale)?;
        let (ctx, components) = (self.ctx(), a.components());
        let inner = rlwe::Ciphertext::build(ctx, "mul_plain", a.level(), a.items(), components, |dst| {
            Ok(ctx.backend().mul(ctx.tables(), dst, a.inner.view(), view)?)
        })?;
        Ok(Ciphertext {
            inner,
            scale,
            slots: a.slots,
        })
    }

    pub(super) fn plain_view<'p>(
        &self,
        operation: &'static str,
        a: &Ciphertext<B>,
        p: &'p Plaintext<B>,
    ) -> Result<Ref<'p, B>> {
        a.inner.check_context(operation, self.ctx())?;
        (self.ctx().params()).check(operation, "the plaintext", &p.params)?;
        if a.level() != p.level {
            let remedy = "encode the plaintext at the ciphertext's level";
            return Err(RlweError::mismatch(operation, "levels", a.level(), p.level, remedy).into());
        }
        check_slots(operation, a.slots, p.slots)?;
        match p.items() {
            1 => Ok(p.poly.view().map(|s| s.repeat_items(a.items()))),
            n if n == a.items() => Ok(p.poly.view()),
            n => {
                let remedy = "pass one plaintext, or one for each ciphertext";
                Err(RlweError::mismatch(operation, "items", a.items(), n, remedy).into())
            }
        }
    }

    /// The residues of integers modulo the primes of a level, one row of them an integer.
    pub(super) fn residues(
        &self,
        level: Level,
        integers: impl IntoIterator<Item = i128>,
    ) -> Result<SmallVec<[u32; 64]>> {
        let params = self.ctx().params();
        let primes = &params.level("constant", level)?.primes;
        let of = |c: i128| {
            primes
                .iter()
                .map(move |i| params.basis().prime(*i).reduce_signed_wide(c))
        };
        Ok(integers.into_iter().flat_map(of).collect())
    }

    /// round(value scale); errors beyond 2^120 and from half the level's modulus, where it would wrap around.
    pub(super) fn integer(
        &self,
        operation: &'static str,
        level: Level,
        value: f64,
        scale: &Scale,
    ) -> Result<i128> {
        let (hi, lo) = scale.to_parts();
        let (a, b) = (value * hi, value * lo);
        self.check_integer(operation, level, (value, scale.log2()), a.abs())?;
        // a is exact to 53 bits; what its rounding left of value * hi matters only below the noise.
        Ok(a.round() as i128 + b.round() as i128)
    }

    /// Demands an integer below 2^120 and half the level's modulus; it stands for a value at log2 of a scale.
    fn check_integer(
        &self,
        operation: &'static str,
        level: Level,
        (value, scale_log2): (f64, f64),
        magnitude: f64,
    ) -> Result<()> {
        let log2_q = self.ctx().params().level(operation, level)?.log2_q;
        let (bits, most) = (magnitude.log2(), 120f64.min(log2_q - 1.0));
        // Written so that not-a-number is refused too; log2(0) is minus infinity.
        if bits < most {
            return Ok(());
        }
        let remedy = if magnitude.is_finite() {
            "use a smaller constant, a smaller scale or a higher level"
        } else {
            "use finite constants and scales"
        };
        let limit = format!("{most:.1}");
        Err(CkksError::Constant {
            operation,
            level,
            value,
            scale_log2,
            bits,
            limit,
            remedy,
        })
    }

    /// a + c in every slot, c complex, at the scale of a.
    pub fn add_const(&self, a: &Ciphertext<B>, re: f64, im: f64) -> Result<Ciphertext<B>> {
        let constants = |c| SmallVec::<[f64; 16]>::from_elem(c, a.items());
        let mut sum = self.add_const_each(a, &constants(re))?;
        if im != 0.0 {
            // a + i im = i (-i a + im)
            let turned = self.neg(&self.mul_i(&sum)?)?;
            sum = self.mul_i(&self.add_const_each(&turned, &constants(im))?)?;
        }
        Ok(sum)
    }

    /// Item i plus the real constant `c[i]` in every slot.
    pub fn add_const_each(&self, a: &Ciphertext<B>, c: &[f64]) -> Result<Ciphertext<B>> {
        a.inner.check_context("add_const", self.ctx())?;
        if c.len() != a.items() {
            let (wanted, remedy) = (
                format!("one for each of {} items", a.items()),
                "pass one constant an item",
            );
            return Err(CkksError::Length {
                operation: "add_const_each",
                given: c.len(),
                wanted,
                remedy,
            });
        }
        let integer = |c: &f64| self.integer("add_const", a.level(), *c, &a.scale);
        let integers = c.iter().map(integer).collect::<Result<SmallVec<[i128; 16]>>>()?;
        let residues = self.residues(a.level(), integers)?;
        self.updated("add_const", a, |ctx, mut dst| {
            Ok(ctx
                .backend()
                .add_const(ctx.tables(), dst.part(|s| s.slice_polys(0, 1)), &residues)?)
        })
    }

    /// a c for an integer c: the scale stays, the values grow.
    pub fn mul_integer(&self, a: &Ciphertext<B>, c: i128) -> Result<Ciphertext<B>> {
        a.inner.check_context("mul_integer", self.ctx())?;
        self.check_integer("mul_integer", a.level(), (c as f64, 0.0), c.unsigned_abs() as f64)?;
        let residues = self.residues(a.level(), [c])?;
        let (ctx, components) = (self.ctx(), a.components());
        let inner = rlwe::Ciphertext::build(ctx, "mul_integer", a.level(), a.items(), components, |dst| {
            Ok(ctx
                .backend()
                .mul_const(ctx.tables(), dst, a.inner.view(), &residues)?)
        })?;
        Ok(a.with(inner))
    }

    /// a c for a real constant, encoded at `scale`: scales multiply.
    pub fn mul_const(&self, a: &Ciphertext<B>, c: f64, scale: &Scale) -> Result<Ciphertext<B>> {
        let integer = self.integer("mul_const", a.level(), c, scale)?;
        let scale = a.scale.mul(scale)?;
        self.ckks.check_room("mul_const", a.level(), &scale)?;
        let mut product = self.mul_integer(a, integer)?;
        product.scale = scale;
        Ok(product)
    }

    /// Item o of the result = sum over i of `weights[o][i]` / 2^weight_bits times item i: a matrix of small integers times the vector of
    /// items. The scale grows by 2^weight_bits; nothing is rescaled, encoded or rotated.
    pub fn mul_matrix(&self, a: &Ciphertext<B>, weights: Matrix, weight_bits: u32) -> Result<Ciphertext<B>> {
        let entries = match weights.entries {
            Entries::I8(v) => v.len(),
            Entries::I16(v) => v.len(),
        };
        let wanted = weights.outputs.checked_mul(weights.inputs);
        if weights.inputs != a.items() || wanted != Some(entries) || entries == 0 {
            let (left, right) = (
                format!("{} items", a.items()),
                format!("{} x {}", weights.outputs, weights.inputs),
            );
            let remedy = "the matrix has as many columns as there are items, and all its entries";
            return Err(RlweError::mismatch("mul_matrix", "shapes", left, right, remedy).into());
        }
        a.inner.check_context("mul_matrix", self.ctx())?;
        let scale = a.scale.clone().times_pow2(i64::from(weight_bits))?;
        self.ckks.check_room("mul_matrix", a.level(), &scale)?;
        let (ctx, components) = (self.ctx(), a.components());
        let inner =
            rlwe::Ciphertext::build(ctx, "mul_matrix", a.level(), weights.outputs, components, |dst| {
                Ok(ctx.backend().gemm(ctx.tables(), dst, a.inner.view(), weights)?)
            })?;
        Ok(Ciphertext {
            inner,
            scale,
            slots: a.slots,
        })
    }

    /// a b slotwise, 3 components: same level, items and slots; scales multiply.
    pub fn mul(&self, a: &Ciphertext<B>, b: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        self.tensor("mul", &[(a, b)], 1)
    }

    /// a^2, 3 components.
    pub fn square(&self, a: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        self.tensor("square", &[(a, a)], 1)
    }

    /// For each pair, the sum over items of their products: one item a pair, 3 components.
    ///
    /// All ciphertexts share level, slots and number of items, and all pairs share the product of scales.
    pub fn inner_products(&self, pairs: &[(&Ciphertext<B>, &Ciphertext<B>)]) -> Result<Ciphertext<B>> {
        let terms = pairs.first().map_or(0, |(a, _)| a.items());
        self.tensor("inner_products", pairs, terms)
    }

    fn tensor(
        &self,
        operation: &'static str,
        pairs: &[(&Ciphertext<B>, &Ciphertext<B>)],
        terms: usize,
    ) -> Result<Ciphertext<B>> {
        let Some((first, second)) = pairs.first() else {
            let wanted = String::from("at least one pair");
            return Err(CkksError::Length {
                operation,
                given: 0,
                wanted,
                remedy: "pass at least one pair",
            });
        };
        first.inner.check_context(operation, self.ctx())?;
        let scale = first.scale.mul(&second.scale)?;
        self.ckks.check_room(operation, first.level(), &scale)?;
        for (a, b) in pairs {
            for c in [a, b] {
                first.inner.check_like(operation, &c.inner)?;
                c.inner
                    .check_components(operation, 2, "relinearise the operand first")?;
                check_slots(operation, first.slots, c.slots)?;
            }
            check_scales(operation, first.level(), &scale, &a.scale.mul(&b.scale)?)?;
        }
        let (ctx, each) = (self.ctx(), first.items() / terms.max(1));
        let items = each * pairs.len();
        let inner = rlwe::Ciphertext::build(ctx, operation, first.level(), items, 3, |mut dst| {
            for (i, (a, b)) in pairs.iter().enumerate() {
                let dst = dst.part(|s| s.slice_items(i * each, each));
                ctx.backend()
                    .tensor(ctx.tables(), dst, a.inner.view(), b.inner.view(), terms)?;
            }
            Ok(())
        })?;
        Ok(Ciphertext {
            inner,
            scale,
            slots: first.slots,
        })
    }

    /// From 3 components to 2; a ciphertext of 2 is returned as it is.
    pub fn relinearise(&self, a: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        a.inner.check_context("relinearise", self.ctx())?;
        if a.components() == 2 {
            return Ok(a.clone());
        }
        a.inner
            .check_components("relinearise", 3, "products have 3 components")?;
        let (ctx, key) = (self.ctx(), self.keys.relinearisation("relinearise")?);
        let inner = ctx.relinearise(&a.inner, key)?;
        Ok(a.with(inner))
    }

    /// To the level below: divides by the primes that leave, times those that come; the scale follows exactly.
    pub fn rescale(&self, a: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        let (below, scale) = self.below("rescale", a)?;
        let ctx = self.ctx();
        let Some(step) = &ctx.level("rescale", a.level())?.rescale else {
            return Err(self.exhausted("rescale", a));
        };
        let inner = rlwe::Ciphertext::build(ctx, "rescale", below, a.items(), a.components(), |dst| {
            Ok(ctx.backend().step(ctx.tables(), dst, a.inner.view(), step)?)
        })?;
        Ok(Ciphertext {
            inner,
            scale,
            slots: a.slots,
        })
    }

    /// `rescale(relinearise(a))` with a single division, by P and the primes that leave: less work and one rounding.
    pub fn relinearise_rescale(&self, a: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        let operation = "relinearise_rescale";
        if a.components() == 2 {
            return self.rescale(a);
        }
        a.inner
            .check_components(operation, 3, "products have 3 components")?;
        let (below, scale) = self.below(operation, a)?;
        let (ctx, key) = (self.ctx(), self.keys.relinearisation(operation)?);
        let Some(inner) = ctx.relinearise_rescale(operation, &a.inner, key)? else {
            return Err(self.exhausted(operation, a));
        };
        debug_assert_eq!(inner.level(), below);
        Ok(Ciphertext {
            inner,
            scale,
            slots: a.slots,
        })
    }

    /// The level below and the scale there.
    pub(crate) fn below(&self, operation: &'static str, a: &Ciphertext<B>) -> Result<(Level, Scale)> {
        a.inner.check_context(operation, self.ctx())?;
        let below = a.level().below().ok_or_else(|| self.exhausted(operation, a))?;
        Ok((below, a.scale.mul(self.step_ratio(operation, below)?)?))
    }

    /// prod(A) / prod(R) of the step down to `below`.
    pub(super) fn step_ratio(&self, operation: &'static str, below: Level) -> Result<&Scale> {
        step_ratio(self.ctx().params(), operation, below)
    }

    pub(super) fn exhausted(&self, operation: &'static str, a: &Ciphertext<B>) -> CkksError {
        let log2_q = self
            .ctx()
            .params()
            .levels()
            .get(a.level().0 as usize)
            .map_or(0.0, |l| l.log2_q);
        RlweError::LevelsExhausted {
            operation,
            level: a.level(),
            scale_log2: a.scale.log2(),
            log2_q,
        }
        .into()
    }
}

#[derive(Clone, Copy)]
enum Sign {
    Plus,
    Minus,
}
