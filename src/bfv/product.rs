//! Products of ciphertexts and relinearisation (Halevi, Polyakov, Shoup, eprint 2018/117, in 30-bit primes).
//!
//! With auxiliary primes R: both operands are lifted, centred, from Q to Q u R; the tensor d is formed modulo QR;
//! round(t d / Q) is computed modulo R; its centred lift is reduced modulo Q. |round(t d / Q)| <= t N Q / 2 (1 + 2^-26)
//! and prod(R) > t N Q 2^0.01, so the last lift is exact, and d itself need not fit into QR. Lifts within 2^-28 Q of Q/2 may
//! be off by Q, which is another representative of the same ciphertext.

use super::{Bfv, Ciphertext, Evaluator, Params, Result};
use crate::{
    arith::Modulus,
    backend::{Backend, BasisStep, DigitStep, Mut, Ref, Row, Span, compact},
    ring::{Conversion, Step},
    rlwe::{self, Level, RlweError},
};

/// Constants of products at one level.
pub(super) struct ProductLevel<B: Backend> {
    /// The rows of Q, then of R.
    rows: Vec<Row>,
    /// The rows of R alone.
    auxiliary: Vec<Row>,
    /// Q to R.
    extend: DigitStep<B>,
    /// x -> round(t x / Q) from Q u R to R.
    divide: BasisStep<B>,
    /// R to Q: a step that keeps nothing.
    back: BasisStep<B>,
}

impl<B: Backend> ProductLevel<B> {
    pub(super) fn new(backend: &B, wide: &B::Tables, params: &Params, level: Level) -> Result<Self> {
        let (basis, t) = (params.wide_basis(), params.plain().value());
        let q = params.rlwe().level("products", level)?.primes.clone();
        let r = params.auxiliary("products", level)?;
        let of_t = |p: Modulus| p.reduce_wide(t);
        let inverse = |p: Modulus| p.inv(basis.product(&q, p)).unwrap_or(0);
        let step = Step {
            removed: q.clone(),
            kept: r.clone(),
            result: r.clone(),
            kept_factor: (r.iter().map(|i| basis.prime(*i)))
                .map(|p| p.mul(of_t(p), inverse(p)))
                .collect(),
            conversion: Conversion::scaled(basis, &q, &r, of_t, |p| p.neg(inverse(p))),
        };
        let back = Step {
            removed: r.clone(),
            kept: Vec::new(),
            result: q.clone(),
            kept_factor: Vec::new(),
            conversion: Conversion::new(basis, &r, &q),
        };
        let all: Vec<u32> = q.iter().chain(&r).copied().collect();
        Ok(Self {
            rows: compact(&all),
            auxiliary: compact(&r),
            divide: BasisStep {
                conversion: backend.conversion(wide, &step.conversion)?,
                step,
            },
            back: BasisStep {
                conversion: backend.conversion(wide, &back.conversion)?,
                step: back,
            },
            extend: DigitStep {
                digit: 0,
                conversion: backend.conversion(wide, &Conversion::new(basis, &q, &r))?,
                sources: q,
                targets: r,
            },
        })
    }
}

/// Component `c` of every item; all components of a single one, as items.
fn component(span: Span, single: bool, c: usize) -> Span {
    if single {
        span.polys_as_items()
    } else {
        span.slice_polys(c, 1)
    }
}

impl<B: Backend> Bfv<B> {
    /// Both components of every item, centred, modulo Q u R (E): `[items][2][Q u R]`.
    fn extended(&self, level: &ProductLevel<B>, ct: &Ciphertext<B>) -> Result<B::Buffer> {
        let (backend, span) = (self.context().backend(), Span::dense(ct.items(), 2, &level.rows));
        let mut buffer = backend.alloc(self.context().log_n(), span.count())?;
        // Components of one item go together as two items; those of several, one after the other.
        let single = ct.items() == 1;
        for c in 0..if single { 1 } else { 2 } {
            let dst = Mut::new(&mut buffer, component(span, single, c));
            let src = ct.inner.view().map(|s| component(s, single, c));
            backend.mod_up(self.wide(), dst, src, std::slice::from_ref(&level.extend))?;
        }
        Ok(buffer)
    }
}

impl<B: Backend> Evaluator<'_, B> {
    /// a b, 3 components: same level and items; slotwise for slots, a negacyclic convolution for coefficients.
    ///
    /// Noise: [`Noise::mul`](super::Noise::mul).
    pub fn mul(&self, a: &Ciphertext<B>, b: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        self.bfv.check("mul", a)?;
        self.bfv.check("mul", b)?;
        a.inner.check_like("mul", &b.inner)?;
        for operand in [a, b] {
            (operand.inner).check_components("mul", 2, "relinearise the operand first")?;
        }
        let level = self.bfv.product_level("mul", a.level())?;
        let (x, y) = (self.bfv.extended(level, a)?, self.bfv.extended(level, b)?);
        let span = Span::dense(a.items(), 2, &level.rows);
        self.product("mul", a, a.items(), Ref::new(&x, span), Ref::new(&y, span), 1)
    }

    /// a^2, 3 components: less work than a product.
    pub fn square(&self, a: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        self.bfv.check("square", a)?;
        (a.inner).check_components("square", 2, "relinearise the operand first")?;
        let level = self.bfv.product_level("square", a.level())?;
        let x = self.bfv.extended(level, a)?;
        let x = Ref::new(&x, Span::dense(a.items(), 2, &level.rows));
        self.product("square", a, a.items(), x, x, 1)
    }

    /// Rows of a times rows of b, each of `terms` items: item r C + c of the result is the sum over j of a item r `terms` + j times b
    /// item c `terms` + j, C rows of b; 3 components, same level.
    ///
    /// Operands are lifted once each, and sums are divided by Q / t once for as many terms as the auxiliary primes have room for.
    /// Noise: at most that of [`Noise::mul`](super::Noise::mul), summed.
    pub fn inner_products(
        &self,
        a: &Ciphertext<B>,
        b: &Ciphertext<B>,
        terms: usize,
    ) -> Result<Ciphertext<B>> {
        let operation = "inner_products";
        for operand in [a, b] {
            self.bfv.check(operation, operand)?;
            (operand.inner).check_components(operation, 2, "relinearise the operand first")?;
            if terms == 0 || !operand.items().is_multiple_of(terms) {
                let (left, right) = (operand.items(), format!("rows of {terms}"));
                let remedy = "pass whole rows of both operands";
                return Err(RlweError::mismatch(operation, "items", left, right, remedy).into());
            }
        }
        if a.level() != b.level() {
            let remedy = "bring both to one level with `switch_to`";
            return Err(RlweError::mismatch(operation, "levels", a.level(), b.level(), remedy).into());
        }
        let level = self.bfv.product_level(operation, a.level())?;
        let (x, y) = (self.bfv.extended(level, a)?, self.bfv.extended(level, b)?);
        let (rows, columns) = (a.items() / terms, b.items() / terms);
        let room = self.bfv.params().terms(operation, a.level())?.min(terms);
        let at = |buffer, items: usize, from: usize, count: usize| {
            Ref::new(
                buffer,
                Span::dense(items, 2, &level.rows).slice_items(from, count),
            )
        };
        let mut all = Vec::with_capacity(rows * columns);
        for item in 0..rows * columns {
            let (r, c) = (item / columns, item % columns);
            let mut sum: Option<Ciphertext<B>> = None;
            for first in (0..terms).step_by(room) {
                let count = room.min(terms - first);
                let x = at(&x, a.items(), r * terms + first, count);
                let y = at(&y, b.items(), c * terms + first, count);
                let part = self.product(operation, a, 1, x, y, count)?;
                sum = Some(match sum {
                    Some(sum) => self.add(&sum, &part)?,
                    None => part,
                });
            }
            all.extend(sum);
        }
        self.concat(&all)
    }

    /// Sums of `terms` products of extended operands, for `items` ciphertexts at the level of `a`.
    fn product(
        &self,
        operation: &'static str,
        a: &Ciphertext<B>,
        items: usize,
        x: Ref<B>,
        y: Ref<B>,
        terms: usize,
    ) -> Result<Ciphertext<B>> {
        let level = self.bfv.product_level(operation, a.level())?;
        let (ctx, wide) = (self.ctx(), self.bfv.wide());
        let backend = ctx.backend();
        let three = Span::dense(items, 3, &level.rows);
        let mut tensor = backend.alloc(ctx.log_n(), three.count())?;
        backend.tensor(wide, Mut::new(&mut tensor, three), x, y, terms)?;
        let narrow = Span::dense(items, 3, &level.auxiliary);
        let mut quotient = backend.alloc(ctx.log_n(), narrow.count())?;
        backend.step(
            wide,
            Mut::new(&mut quotient, narrow),
            Ref::new(&tensor, three),
            &level.divide,
        )?;
        let inner = rlwe::Ciphertext::build(ctx, operation, a.level(), items, 3, |dst| {
            Ok(backend.step(wide, dst, Ref::new(&quotient, narrow), &level.back)?)
        })?;
        Ok(a.with(inner))
    }

    /// From 3 components to 2; a ciphertext of 2 is returned as it is.
    pub fn relinearise(&self, a: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        self.bfv.check("relinearise", a)?;
        if a.components() == 2 {
            return Ok(a.clone());
        }
        let inner = self
            .ctx()
            .relinearise(&a.inner, self.keys.relinearisation("relinearise")?)?;
        Ok(a.with(inner))
    }
}
