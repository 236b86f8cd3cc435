//! Transforms and automorphisms of rows.

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

use super::{
    lanes::Instructions,
    memory::{Reader, Writer},
};
use crate::{
    arith::Modulus,
    backend::{BackendError, Result, Span},
    ring::{Basis, Galois},
};

pub(super) use transform::Transform;

/// Twiddles of every prime, and the permutations used so far.
pub struct Tables {
    pub(super) instructions: Instructions,
    pub(super) log_n: u32,
    primes: Vec<Transform>,
    permutations: RwLock<HashMap<Galois, Arc<Vec<u32>>>>,
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
            permutations: RwLock::default(),
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

    fn permutation(&self, g: Galois) -> Arc<Vec<u32>> {
        let known = self
            .permutations
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&g)
            .cloned();
        known.unwrap_or_else(|| {
            let table = Arc::new(g.evaluation_table(self.log_n));
            let mut tables = self.permutations.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(tables.entry(g).or_insert(table))
        })
    }
}

pub(super) fn forward(t: &Tables, dst: Writer) {
    dst.for_each(|_, _, row, out| t.table(&dst.span, row).forward(t.instructions, out));
}

pub(super) fn inverse(t: &Tables, dst: Writer) {
    dst.for_each(|_, _, row, out| t.table(&dst.span, row).inverse(t.instructions, out));
}

/// dst[j] = store(modulus, dst[j], src[table[j]]).
pub(super) fn permute(
    t: &Tables,
    dst: Writer,
    src: Reader,
    g: &[Galois],
    store: impl Fn(Modulus, u32, u32) -> u32 + Sync,
) {
    let tables: Vec<_> = g.iter().map(|g| t.permutation(*g)).collect();
    dst.for_each(|item, poly, row, out| {
        let m = t.modulus(&dst.span, row);
        let table = if tables.len() == 1 {
            &tables[0]
        } else {
            &tables[item]
        };
        let src = src.row(item, poly, row);
        for (x, j) in out.iter_mut().zip(table.iter()) {
            *x = store(m, *x, src[*j as usize]);
        }
    });
}
