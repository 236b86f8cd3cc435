//! Transforms of rows.

mod forward;
mod inverse;
mod plan;
mod transform;
mod twiddles;

use std::{convert::Infallible, sync::Arc};

use rayon::prelude::*;

use super::{automorphism::Automorphism, lanes::Instructions, memory::Writer};
use crate::{
    arith::Modulus,
    backend::{BackendError, Kept, Result, Span},
    ring::{Basis, Galois},
};

pub(super) use transform::Transform;

/// Twiddles of every prime, and the automorphisms used so far.
pub struct Tables {
    pub(super) instructions: Instructions,
    pub(super) log_n: u32,
    primes: Vec<Transform>,
    automorphisms: Kept<Galois, Automorphism>,
    /// Transforms of polynomials in X^gap, by log2 of N / gap.
    sparse: Kept<u32, Vec<Transform>>,
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
            automorphisms: Kept::default(),
            sparse: Kept::default(),
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
        let new = || Ok::<_, Infallible>(Automorphism::new(g, self.log_n));
        match self.automorphisms.get(g, new) {
            Ok(kept) => kept,
            Err(never) => match never {},
        }
    }

    /// The transforms of degree 2^log_n, below this ring's, that give the evaluations of polynomials in X^gap of it once each, by prime;
    /// kept from their first use on.
    pub(super) fn sparse(&self, log_n: u32) -> Result<Arc<Vec<Transform>>> {
        let of = |t: &Transform| t.sparse(log_n, self.log_n - log_n);
        let new = || (self.primes.par_iter().map(of)).collect::<std::result::Result<Vec<_>, _>>();
        (self.sparse.get(log_n, new)).map_err(|_| BackendError::Unsupported { need: "this basis" })
    }
}

pub(super) fn forward(t: &Tables, dst: Writer) {
    dst.for_each(|_, _, row, out| t.table(&dst.span, row).forward(t.instructions, out));
}

pub(super) fn inverse(t: &Tables, dst: Writer) {
    dst.for_each(|_, _, row, out| t.table(&dst.span, row).inverse(t.instructions, out));
}
