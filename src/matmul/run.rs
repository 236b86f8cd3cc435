//! The products themselves, on ciphertexts without their scheme; what callers could have prevented was refused before.

use super::{ColumnWeights, Result, Shape, blocks::Blocks, diagonal::Diagonal, plaintexts::Plaintexts};
use crate::{
    backend::{Backend, Ref, Span},
    ring::Galois,
    rlwe::{Ciphertext, Context, EvaluationKeys, Extended, RlweError, SwitchKey},
};

/// Column and GEMM packing: one product of matrices for each client, all tiles and components at once. Items are `feature tiles + tile`.
pub(super) fn features<B: Backend>(
    ctx: &Context<B>,
    tiles: usize,
    weights: &ColumnWeights,
    x: &Ciphertext<B>,
    clients: usize,
) -> Result<Ciphertext<B>> {
    let (k, n) = (weights.inputs, weights.outputs);
    // The components of the tiles of a feature lie side by side: to the product they are the polynomials of an item.
    fn widen(s: Span<'_>, tiles: usize, items: usize, client: usize) -> Span<'_> {
        Span {
            offset: s.offset + client * items * tiles * s.item_stride,
            items,
            item_stride: tiles * s.item_stride,
            polys: tiles * s.polys,
            ..s
        }
    }
    let result = Ciphertext::build(ctx, "matmul", x.level(), clients * n * tiles, 2, |mut dst| {
        for client in 0..clients {
            let dst = dst.part(|s| widen(s, tiles, n, client));
            let src = x.view().map(|s| widen(s, tiles, k, client));
            ctx.backend().gemm(ctx.tables(), dst, src, weights.matrix())?;
        }
        Ok(())
    });
    Ok(result?)
}

/// Coefficient blocks: for each block of outputs, the sum over blocks along k, for all blocks of rows of all clients at once.
pub(super) fn blocks<B: Backend>(
    ctx: &Context<B>,
    layout: Blocks,
    shape: Shape,
    weights: &Plaintexts<B>,
    x: &Ciphertext<B>,
    clients: usize,
) -> Result<Ciphertext<B>> {
    let rows = clients * layout.row_blocks(shape);
    let (inner, outputs) = (layout.inner_blocks(shape), layout.output_blocks(shape));
    // Items of x are `row block inner + piece`, those of the result `row block outputs + block`.
    let mut laid_out = Vec::new();
    let result = Ciphertext::build(ctx, "matmul", x.level(), rows * outputs, 2, |mut dst| {
        let pieces = 0..inner;
        let terms: Vec<Ref<B>> = pieces
            .map(|piece| x.view().map(|s| s.every_item(piece, inner, rows)))
            .collect();
        for block in 0..outputs {
            let to = dst.part(|s| s.every_item(block, outputs, rows));
            weights.accumulate(ctx, to, &terms, block, &mut laid_out)?;
        }
        Ok(())
    });
    Ok(result?)
}

/// The keys of a rotation for items that belong to clients in turn: one if there is one client, or one an item.
fn keys_of<'k, B: Backend>(
    keys: &[&'k EvaluationKeys<B>],
    g: Galois,
    each: usize,
) -> std::result::Result<Vec<&'k SwitchKey<B>>, RlweError> {
    let of = |keys: &&'k EvaluationKeys<B>| keys.galois("matmul in diagonal packing", g);
    match keys {
        [one] => Ok(vec![of(one)?]),
        many => {
            let mut all = Vec::with_capacity(many.len() * each);
            for keys in many {
                all.extend(std::iter::repeat_n(of(keys)?, each));
            }
            Ok(all)
        }
    }
}

/// Diagonal packing: see [`Diagonal`]. Items of x are `(client, tile) inputs + block`.
///
/// Baby rotations stay modulo Q P, products are accumulated there, a giant step divides one component, and one division ends a block of
/// outputs.
pub(super) fn diagonal<B: Backend>(
    ctx: &Context<B>,
    layout: &Diagonal,
    keys: &[&EvaluationKeys<B>],
    weights: &Plaintexts<B>,
    x: &Ciphertext<B>,
    clients: usize,
) -> Result<Ciphertext<B>> {
    let (users, inputs) = (clients * layout.tiles, layout.inputs);
    let rotation = |k: i64| Galois::rotation(k, ctx.log_n());
    // [baby step], each with the items of x.
    let mut turned = vec![ctx.extend(x)?];
    if layout.baby > 1 {
        let digits = ctx.mod_up(x, 1)?;
        for step in layout.baby_steps() {
            let g = rotation(step);
            let keys = keys_of(keys, g, layout.tiles * inputs)?;
            turned.push(ctx.rotate_extended(x, &digits, &keys, &[g])?);
        }
    }
    let mut terms: Vec<Ref<B>> = Vec::with_capacity(inputs * layout.baby);
    for block in 0..inputs {
        for turned in &turned {
            let view = turned.view(ctx)?;
            terms.push(view.map(|s| s.every_item(block, inputs, users)));
        }
    }
    let mut laid_out = Vec::new();
    let mut sum = |group: usize| -> Result<Extended<B>> {
        let mut sum = ctx.extended(x.level(), users)?;
        weights.accumulate(ctx, sum.view_mut(ctx)?, &terms, group, &mut laid_out)?;
        Ok(sum)
    };
    let mut blocks = Vec::with_capacity(layout.outputs);
    for output in 0..layout.outputs {
        let mut total = sum(output * layout.giant())?;
        for giant in 1..layout.giant() {
            let part = sum(output * layout.giant() + giant)?;
            let g = rotation(layout.giant_step(giant));
            let keys = keys_of(keys, g, layout.tiles)?;
            ctx.add_rotated(&mut total, &part, &keys, &[g])?;
        }
        let mut result = ctx.mod_down(&total)?;
        for step in layout.folds() {
            let g = rotation(step);
            let keys = keys_of(keys, g, layout.tiles)?;
            let part = ctx.automorphism("matmul", &result, None, &keys, &[g])?;
            result.update(ctx, |dst| {
                Ok(ctx.backend().add(ctx.tables(), dst, part.view())?)
            })?;
        }
        blocks.push(result);
    }
    if let [one] = blocks.as_slice() {
        return Ok(one.clone());
    }
    // Items of the result are `user outputs + block`.
    let outputs = layout.outputs;
    let result = Ciphertext::build(ctx, "matmul", x.level(), users * outputs, 2, |mut dst| {
        for (block, part) in blocks.iter().enumerate() {
            ctx.backend()
                .copy(dst.part(|s| s.every_item(block, outputs, users)), part.view())?;
        }
        Ok(())
    });
    Ok(result?)
}
