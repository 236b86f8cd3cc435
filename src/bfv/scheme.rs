//! Parameters on a backend: the context of the layer below, and what encoding and products need besides.

use std::sync::Arc;

use super::{BfvError, Packing, Params, PlainModulus, Result, product::ProductLevel, slots::Slots};
use crate::{
    backend::Backend,
    rlwe::{Context, Level, RlweError},
};

/// BFV prepared on a backend. Cheap to clone; everything in it is public.
pub struct Bfv<B: Backend>(Arc<Shared<B>>);

struct Shared<B: Backend> {
    ctx: Context<B>,
    params: Params,
    slots: Option<Slots>,
    wide: B::Tables,
    products: Vec<ProductLevel<B>>,
}

impl<B: Backend> Clone for Bfv<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: Backend> Bfv<B> {
    /// Prepares `params` on `backend`.
    pub fn new(backend: B, params: Params) -> Result<Self> {
        let wide = backend.tables(params.wide_basis())?;
        let products = (0..=params.top().0)
            .map(|l| ProductLevel::new(&backend, &wide, &params, Level(l)))
            .collect::<Result<_>>()?;
        Ok(Self(Arc::new(Shared {
            slots: Slots::new(params.plain(), params.rlwe().log_n()),
            ctx: Context::new(backend, params.rlwe().clone())?,
            params,
            wide,
            products,
        })))
    }

    /// The context of keys and ciphertexts.
    pub fn context(&self) -> &Context<B> {
        &self.0.ctx
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.0.params
    }

    /// The plaintext modulus t.
    pub fn plain(&self) -> PlainModulus {
        self.0.params.plain()
    }

    /// The prepared basis with the auxiliary primes.
    pub(super) fn wide(&self) -> &B::Tables {
        &self.0.wide
    }

    /// The constants of products at a level.
    pub(super) fn product_level(&self, operation: &'static str, level: Level) -> Result<&ProductLevel<B>> {
        let top = self.params().top().0;
        let missing = RlweError::NoLevel {
            operation,
            level,
            top,
        };
        Ok(self.0.products.get(level.0 as usize).ok_or(missing)?)
    }

    /// The transform of a packing; none for coefficients.
    pub(crate) fn slots(&self, operation: &'static str, packing: Packing) -> Result<Option<&Slots>> {
        match (packing, &self.0.slots) {
            (Packing::Coefficients, _) => Ok(None),
            (Packing::Slots, Some(slots)) => Ok(Some(slots)),
            (Packing::Slots, None) => Err(BfvError::NoSlots {
                operation,
                t: self.plain().value(),
                log_n: self.context().log_n(),
            }),
        }
    }
}
