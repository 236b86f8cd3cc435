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
    rlwe::{self, Level},
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

impl<B: Backend> Bfv<B> {
    /// Both components of every item, centred, modulo Q u R (E): `[items][2][Q u R]`.
    fn extended(&self, level: &ProductLevel<B>, ct: &Ciphertext<B>) -> Result<B::Buffer> {
        let (backend, span) = (self.context().backend(), Span::dense(ct.items(), 2, &level.rows));
        let mut buffer = backend.alloc(self.context().log_n(), span.count())?;
        for c in 0..2 {
            let dst = Mut::new(&mut buffer, span.slice_polys(c, 1));
            let src = ct.inner.view().map(|s| s.slice_polys(c, 1));
            backend.mod_up(self.wide(), dst, src, std::slice::from_ref(&level.extend))?;
        }
        Ok(buffer)
    }
}

impl<B: Backend> Evaluator<'_, B> {
    /// a b, 3 components: same level and items; slotwise for slots, a negacyclic convolution for coefficients.
    ///
    /// Noise: [`Bfv::product_noise_log2`].
    pub fn mul(&self, a: &Ciphertext<B>, b: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        self.bfv.check("mul", a)?;
        self.bfv.check("mul", b)?;
        a.inner.check_like("mul", &b.inner)?;
        for operand in [a, b] {
            (operand.inner).check_components("mul", 2, "relinearise the operand first")?;
        }
        let level = self.bfv.product_level("mul", a.level())?;
        let (x, y) = (self.bfv.extended(level, a)?, self.bfv.extended(level, b)?);
        self.product("mul", a, &x, &y)
    }

    /// a^2, 3 components: less work than a product.
    pub fn square(&self, a: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        self.bfv.check("square", a)?;
        (a.inner).check_components("square", 2, "relinearise the operand first")?;
        let level = self.bfv.product_level("square", a.level())?;
        let x = self.bfv.extended(level, a)?;
        self.product("square", a, &x, &x)
    }

    /// The product of extended operands, for ciphertexts shaped like `a`.
    fn product(
        &self,
        operation: &'static str,
        a: &Ciphertext<B>,
        x: &B::Buffer,
        y: &B::Buffer,
    ) -> Result<Ciphertext<B>> {
        let level = self.bfv.product_level(operation, a.level())?;
        let (ctx, wide, items) = (self.ctx(), self.bfv.wide(), a.items());
        let backend = ctx.backend();
        let (two, three) = (
            Span::dense(items, 2, &level.rows),
            Span::dense(items, 3, &level.rows),
        );
        let mut tensor = backend.alloc(ctx.log_n(), three.count())?;
        backend.tensor(
            wide,
            Mut::new(&mut tensor, three),
            Ref::new(x, two),
            Ref::new(y, two),
            1,
        )?;
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
