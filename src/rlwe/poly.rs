//! Polynomials on a device, with their domain as a type.

use std::{marker::PhantomData, sync::Arc};

use super::{Context, Level, Result, RlweError};
use crate::backend::{Backend, Integers, Mut, Ref, Row, Span};

/// Coefficients in natural order.
pub enum Coeff {}

/// Evaluations in bit-reversed order.
pub enum Eval {}

/// A domain of polynomials.
pub trait Domain: Send + Sync + 'static {}
impl Domain for Coeff {}
impl Domain for Eval {}

/// One polynomial for each item, modulo a list of primes.
pub struct Poly<B: Backend, D: Domain> {
    pub(crate) buffer: B::Buffer,
    pub(crate) items: usize,
    pub(crate) rows: Arc<[Row]>,
    domain: PhantomData<D>,
}

impl<B: Backend, D: Domain> Poly<B, D> {
    /// Fresh memory; the caller writes it before anything reads it.
    pub(crate) fn alloc(ctx: &Context<B>, items: usize, rows: &[Row]) -> Result<Self> {
        Self::sharing(ctx, items, rows.into())
    }

    /// The same for a list of rows that somebody else keeps, as a level does.
    pub(crate) fn sharing(ctx: &Context<B>, items: usize, rows: Arc<[Row]>) -> Result<Self> {
        let buffer = ctx.backend().alloc(ctx.log_n(), items * rows.len())?;
        Ok(Self {
            buffer,
            items,
            rows,
            domain: PhantomData,
        })
    }

    /// Demands the primes of a level.
    pub(super) fn check_rows(&self, operation: &'static str, level: Level, rows: &[Row]) -> Result<()> {
        if *self.rows != *rows {
            let (left, right) = (
                format!("{} rows", self.rows.len()),
                format!("the {} of {level}", rows.len()),
            );
            let remedy = "encode the message at the level it is encrypted at";
            return Err(RlweError::mismatch(
                operation,
                "primes of the message",
                left,
                right,
                remedy,
            ));
        }
        Ok(())
    }

    /// The rows, to read.
    pub fn view(&self) -> Ref<'_, B> {
        Ref::new(&self.buffer, Span::dense(self.items, 1, &self.rows))
    }

    /// The rows, to write.
    pub fn view_mut(&mut self) -> Mut<'_, B> {
        Mut::new(&mut self.buffer, Span::dense(self.items, 1, &self.rows))
    }

    fn into_domain<E: Domain>(self) -> Poly<B, E> {
        Poly {
            buffer: self.buffer,
            items: self.items,
            rows: self.rows,
            domain: PhantomData,
        }
    }
}

impl<B: Backend> Poly<B, Coeff> {
    /// Integers as residues modulo the primes of `rows`; N per item.
    pub(crate) fn lift(ctx: &Context<B>, items: usize, rows: &[Row], values: Integers) -> Result<Self> {
        let mut poly = Self::alloc(ctx, items, rows)?;
        ctx.backend().lift(ctx.tables(), poly.view_mut(), values)?;
        Ok(poly)
    }

    /// To evaluations.
    pub fn into_eval(mut self, ctx: &Context<B>) -> Result<Poly<B, Eval>> {
        ctx.backend().ntt(ctx.tables(), self.view_mut())?;
        Ok(self.into_domain())
    }
}

impl<B: Backend> Poly<B, Eval> {
    /// To coefficients.
    pub fn into_coeff(mut self, ctx: &Context<B>) -> Result<Poly<B, Coeff>> {
        ctx.backend().intt(ctx.tables(), self.view_mut())?;
        Ok(self.into_domain())
    }
}
