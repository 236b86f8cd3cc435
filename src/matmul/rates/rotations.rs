//! Diagonals: what is done with key switches.

use std::collections::VecDeque;

use super::{Rates, Turns};
use crate::{
    backend::{Backend, Part, clock::usual_us, part::MEMORY},
    matmul::{MatmulPlan, Result, diagonal::Diagonal},
    ring::Galois,
    rlwe::{Ciphertext, Context, KeyNeeds, SecretKey, SwitchKey},
};

/// Ciphertexts of a measurement, and keys that it takes in turn, at most: a run meets each key once, or a few times.
const ITEMS: usize = 8;
const KEYS: usize = 32;

pub(super) fn measure<B: Backend>(
    ctx: &Context<B>,
    plan: &MatmulPlan,
    layout: &Diagonal,
    rates: &mut Rates,
) -> Result<()> {
    let backend = ctx.backend();
    let level = ctx.level("rates", plan.level)?;
    let extended = level.extended.len();
    let key_bytes = level.digits.len() * 2 * extended * 4 * ctx.params().degree();
    let most = (MEMORY / key_bytes).clamp(1, KEYS);
    let steps: Vec<i64> = layout.rotations().into_iter().take(most).collect();
    let needs = KeyNeeds::new(ctx.params())
        .up_to(plan.level)
        .rotate(steps.iter().copied());
    let keys = SecretKey::generate(ctx)?.evaluation_keys(&needs)?.expand(ctx)?;
    let elements: Vec<Galois> = steps.iter().map(|s| Galois::rotation(*s, ctx.log_n())).collect();
    let keys: Vec<(&SwitchKey<B>, Galois)> = (elements.iter())
        .map(|g| Ok((keys.galois("rates", *g)?, *g)))
        .collect::<Result<_>>()?;
    let mut turns = Turns::new(keys.len());
    let outputs = layout.outputs;

    let all = layout.tiles * layout.inputs;
    let items = all.min(ITEMS);
    let (x, more) = (
        Ciphertext::zero(ctx, plan.level, items, 2)?,
        all as f64 / items as f64,
    );
    let us = usual_us(backend, 1, || -> Result<()> {
        drop(ctx.extend(&x)?);
        Ok(())
    })?;
    rates.run.push(Part::new("extension", 1.0, us * more));
    if layout.baby > 1 {
        let us = usual_us(backend, 1, || -> Result<()> {
            drop(ctx.mod_up(&x, 1)?);
            Ok(())
        })?;
        rates.run.push(Part::new("ModUp", 1.0, us * more));
        let digits = ctx.mod_up(&x, 1)?;
        // A run keeps the rotations, each in memory of its own.
        let kept = (MEMORY / (items * 2 * extended * 4 * ctx.params().degree())).clamp(1, layout.baby);
        let mut turned = VecDeque::with_capacity(kept);
        let us = usual_us(backend, layout.baby - 1, || -> Result<()> {
            if turned.len() == kept {
                turned.pop_front();
            }
            let Some((key, g)) = keys.get(turns.take()) else {
                return Ok(());
            };
            turned.push_back(ctx.rotate_extended(&x, &digits, &[key], &[*g])?);
            Ok(())
        })?;
        rates
            .run
            .push(Part::new("baby rotation", (layout.baby - 1) as f64, us * more));
    }

    let users = layout.tiles.min(ITEMS);
    let (x, more) = (
        Ciphertext::zero(ctx, plan.level, users, 2)?,
        layout.tiles as f64 / users as f64,
    );
    let (mut total, part) = (ctx.extend(&x)?, ctx.extend(&x)?);
    if layout.giant() > 1 {
        let count = outputs * (layout.giant() - 1);
        let us = usual_us(backend, count, || -> Result<()> {
            let Some((key, g)) = keys.get(turns.take()) else {
                return Ok(());
            };
            Ok(ctx.add_rotated(&mut total, &part, &[key], &[*g])?)
        })?;
        rates
            .run
            .push(Part::new("giant rotation", count as f64, us * more));
    }
    let us = usual_us(backend, outputs, || -> Result<()> {
        drop(ctx.mod_down(&total)?);
        Ok(())
    })?;
    rates.run.push(Part::new("division", outputs as f64, us * more));
    let folds = layout.folds().count();
    if folds > 0 {
        let mut result = Ciphertext::zero(ctx, plan.level, users, 2)?;
        let us = usual_us(backend, outputs * folds, || -> Result<()> {
            let Some((key, g)) = keys.get(turns.take()) else {
                return Ok(());
            };
            let part = ctx.automorphism("rates", &result, None, &[key], &[*g])?;
            Ok(result.update(ctx, |dst| Ok(backend.add(ctx.tables(), dst, part.view())?))?)
        })?;
        rates
            .run
            .push(Part::new("fold", (outputs * folds) as f64, us * more));
    }
    if outputs > 1 {
        let us = usual_us(backend, outputs, || -> Result<()> {
            drop(x.duplicate(ctx)?);
            Ok(())
        })?;
        rates.run.push(Part::new("copy", outputs as f64, us * more));
    }
    Ok(())
}
