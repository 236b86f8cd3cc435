//! What an application of a transform consists of.

use super::Transform;
use crate::{
    backend::{Backend, Integers, Mut, Ref, Row, Span, compact},
    circuit::{
        Result,
        work::{Kind, WorkList},
    },
    rlwe::{Context, RlweError},
};

impl<B: Backend> Transform<B> {
    /// Adds to `list` what [`apply`](Self::apply) does with `items` ciphertexts; `place` is where the transform is among those that the list means.
    pub(in crate::circuit) fn add_work(&self, list: &mut WorkList, place: usize, items: usize) {
        let moving = self.steps.baby.iter().filter(|b| **b != 0).count();
        for _ in 0..items {
            if moving < self.steps.baby.len() {
                list.add(Kind::Extension, self.level, 1);
            }
            if moving > 0 {
                list.add(Kind::ModUp, self.level, 1);
                list.add(Kind::BabyRotations(moving), self.level, 1);
            }
        }
        list.add(Kind::ProductSums(place), self.level, items);
        list.add(Kind::ExtendedZero, self.level, items);
        for giant in self.steps.giant.keys() {
            let kind = match giant {
                0 => Kind::ExtendedSum,
                _ => Kind::GiantRotation,
            };
            list.add(kind, self.level, items);
        }
        list.add(Kind::Division, self.level, items);
    }

    /// The sums of products of all giant steps of `items` ciphertexts of zero, modulo the first `primes` of the extended rows, ready to be
    /// formed: with residues of the diagonals that are kept, or lifted for each giant step, as the transform has them.
    pub(in crate::circuit) fn product_sums<'t>(
        &'t self,
        ctx: &'t Context<B>,
        items: usize,
        primes: usize,
    ) -> Result<impl FnMut() -> Result<()> + 't> {
        let (backend, tables) = (ctx.backend(), ctx.tables());
        let extended = &ctx.level("time", self.level)?.extended;
        let primes: Vec<u32> = extended.iter().take(primes).map(|row| row.prime).collect();
        let rows: Vec<Row> = compact(&primes);
        let (count, giants) = (self.steps.baby.len(), self.steps.giant.len());
        let babies = ctx.zeroed(items * count, 2, &rows)?;
        let residues = move |rows: &[Row], integers: &[i64], items: usize| {
            Ok::<_, RlweError>(backend.sparse(tables, rows, items, Integers::I64(integers))?)
        };
        let kept = match &self.residues {
            Some(_) => Some(residues(&rows, &self.integers, giants * count)?),
            None => None,
        };
        let at_once = if kept.is_some() { giants } else { 1 };
        Ok(move || {
            for integers in self.integers.chunks((at_once * count * self.length).max(1)) {
                let lifted = match &kept {
                    Some(_) => None,
                    None => Some(residues(&rows, integers, at_once * count)?),
                };
                let Some(plain) = kept.as_ref().or(lifted.as_ref()) else {
                    continue;
                };
                let span = Span::dense(items * at_once, 2, &rows);
                let mut sums = backend
                    .alloc(ctx.log_n(), span.count())
                    .map_err(RlweError::from)?;
                let (a, b) = (
                    Ref::new(&babies, Span::dense(items * count, 2, &rows)),
                    Ref::new(plain, Span::dense(at_once * count, 1, &rows)),
                );
                (backend.sparse_product(tables, Mut::new(&mut sums, span), a, b, count))
                    .map_err(RlweError::from)?;
            }
            Ok(())
        })
    }
}
