//! Transforms of rows.

mod forward;
mod inverse;
mod plan;
mod transform;
mod twiddles;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use rayon::prelude::*;

use super::{automorphism::Automorphism, lanes::Instructions, memory::Writer};
use crate::{
    arith::Modulus,
    backend::{BackendError, Result, Span},
    ring::{Basis, Galois},
};

pub(super) use transform::Transform;

/// Twiddles of every prime, and the automorphisms used so far.
pub struct Tables {
    pub(super) instructions: Instructions,
    pub(super) log_n: u32,
    primes: Vec<Transform>,
    automorphisms: RwLock<HashMap<Galois, Arc<Automorphism>>>,
}

impl Tables {
    pub(super) fn new(basis: &Basis, instructions: Instructions) -> Result<Self> {
        let table = |m: &Modulus| Transform::new(*m, basis.log_n());
        let primes = basis
            .primes()
            .par_iter()
            .map(table)
            .collect::<std::result::Result<_, _>>();
        let primes = primes.map_err(|_| BackendError::Unsupported { need: "this basis" })?;
        Ok(Self {
            instructions,
            log_n: basis.log_n(),
            primes,
            automorphisms: RwLock::default(),
        })
    }

    #[inline(always)]
    pub(super) fn table(&self, span: &Span, row: usize) -> &Transform {
        &self.primes[span.rows[row].prime as usize]
    }

    #[inline(always)]
    pub(super) fn modulus(&self, span: &Span, row: usize) -> Modulus {
        self.table(span, row).modulus()
    }

    /// The prime with index `i`.
    #[inline(always)]
    pub(super) fn prime(&self, i: u32) -> &Transform {
        &self.primes[i as usize]
    }

    /// An automorphism, kept from its first use on.
    pub(super) fn automorphism(&self, g: Galois) -> Arc<Automorphism> {
        let known = self
            .automorphisms
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&g)
            .cloned();
        known.unwrap_or_else(|| {
            let new = Arc::new(Automorphism::new(g, self.log_n));
            let mut all = self.automorphisms.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(g).or_insert(new))
        })
    }
}

pub(super) fn forward(t: &Tables, dst: Writer) {
    dst.for_each(|_, _, row, out| t.table(&dst.span, row).forward(t.instructions, out));
}

pub(super) fn inverse(t: &Tables, dst: Writer) {
    dst.for_each(|_, _, row, out| t.table(&dst.span, row).inverse(t.instructions, out));
}
