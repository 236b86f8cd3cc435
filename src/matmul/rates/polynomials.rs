//! Blocks and diagonals: plaintexts from weights, and sums of products with them.

use super::{PRODUCTS, Rates, Turns};
use crate::{
    backend::{
        Backend, Mut, Onto, Part, Ref, Span,
        clock::usual_us,
        derived::products,
        part::{FOOTPRINT, MEMORY, extrapolated},
    },
    matmul::{
        MatmulPlan, Result,
        diagonal::Diagonal,
        encode::Diagonals,
        layout::Layout,
        plaintexts::{Plaintexts, Source},
    },
    rlwe::Context,
};

/// Plaintexts that are embedded in a measurement.
const EMBEDDED: usize = 4;

/// The embeddings of plaintexts.
pub(super) fn embedding<B: Backend>(
    ctx: &Context<B>,
    plan: &MatmulPlan,
    layout: &Diagonal,
    rates: &mut Rates,
) -> Result<()> {
    let us = usual_us(ctx.backend(), 1, || -> Result<()> {
        drop(std::hint::black_box(Diagonals::new(plan, layout)));
        Ok(())
    })?;
    rates.prepare.push(Part::new("tables of the embedding", 1.0, us));
    let terms = layout.inputs * layout.baby;
    let (mut encoder, mut turns) = (Diagonals::new(plan, layout), Turns::new(terms));
    let weights = vec![plan.options.weight_bound / 2.0; plan.shape.k * plan.shape.n];
    let count = layout.outputs * layout.giant() * terms;
    let us = usual_us(ctx.backend(), count / EMBEDDED, || -> Result<()> {
        let mut integers = Vec::with_capacity(EMBEDDED * encoder.each());
        for _ in 0..EMBEDDED {
            encoder.encode(&weights, (0, turns.take()), &mut integers)?;
        }
        Ok(())
    })?;
    rates
        .prepare
        .push(Part::new("embedding", count as f64, us / EMBEDDED as f64));
    Ok(())
}

/// Residues of the plaintexts of a sum, and the sum.
pub(super) fn sums<B: Backend>(ctx: &Context<B>, plan: &MatmulPlan, rates: &mut Rates) -> Result<()> {
    let (backend, shape, degree) = (ctx.backend(), plan.shape, ctx.params().degree());
    let all: Plaintexts<B> = plan.plaintexts(ctx, Source::Blank)?;
    let (sums, whole) = (all.groups, all.terms);
    let poly = all.rows.len() * degree;
    let items = match &plan.layout {
        Layout::Diagonal(layout) => layout.tiles,
        Layout::Blocks(layout) => layout.row_blocks(shape),
        Layout::Features(_) => 1,
    };
    // What there is room and time for: two components and a plaintext for each term.
    let terms = whole.min(MEMORY / (3 * 4 * poly)).max(1);
    let users = items.min(MEMORY / (2 * 4 * terms * poly));
    let users = users.min(PRODUCTS / (2 * terms * poly)).max(1);
    let groups = sums.min(MEMORY / (4 * terms * poly)).max(1);
    let source = match &plan.layout {
        Layout::Blocks(blocks) => Source::Blocks(*blocks, shape, vec![1; shape.k * shape.n]),
        _ => Source::Coefficients(vec![1; groups * terms * all.each]),
    };
    let mut sample = Plaintexts {
        source,
        terms,
        groups,
        ..all
    };
    let longer = whole as f64 / terms as f64;
    let rows = &sample.rows.clone();
    // Each operand has memory of its own, as in a run.
    let from = Span::dense(users, 2, rows);
    let x = (0..terms)
        .map(|_| Ok(ctx.zeroed(users, 2, rows)?))
        .collect::<Result<Vec<_>>>()?;
    let results = sums.min(MEMORY / (2 * 4 * users * poly)).max(1);
    let mut dst = ctx.zeroed(users * results, 2, rows)?;
    let to = Span::dense(users * results, 2, rows);
    let mut turns = Turns::new(groups);

    if !plan.options.ready {
        if matches!(plan.layout, Layout::Diagonal(_)) {
            let values = vec![1; groups * terms * sample.each];
            let us = usual_us(backend, 1, || -> Result<()> {
                drop(backend.light(groups * terms, sample.each, &values)?);
                Ok(())
            })?;
            let more = longer * sums as f64 / groups as f64;
            rates.prepare.push(Part::new("to the device", 1.0, us * more));
            sample.settle(ctx)?;
        }
        let mut laid_out = Vec::new();
        // Plaintexts are expanded once for all rows.
        let us = extrapolated(items, users, |users| -> Result<f64> {
            let of_terms: Vec<Ref<B>> = x
                .iter()
                .map(|x| Ref::new(x, from.slice_items(0, users)))
                .collect();
            usual_us(backend, sums, || -> Result<()> {
                let group = turns.take();
                let dst = Mut::new(&mut dst, to.every_item(group % results, results, users));
                Ok(sample.accumulate(ctx, dst, &of_terms, group, &mut laid_out)?)
            })
        })?;
        let part = Part::new("sum of light products", sums as f64, us * longer);
        rates.run.push(part);
        return Ok(());
    }

    // Plaintexts go to memory and come from there, after all else that a run works on.
    let group_bytes = 4 * terms * poly;
    let footprint = usize::try_from(plan.count()?.peak_bytes).unwrap_or(usize::MAX);
    let kept = sums
        .max(footprint / group_bytes)
        .min(FOOTPRINT / group_bytes)
        .max(1);
    let plain = Span::dense(kept * terms, 1, rows);
    let mut residues = ctx.zeroed(kept * terms, 1, rows)?;
    let (mut turns, mut laid_out) = (Turns::new(kept.max(groups)), Vec::new());
    let us = usual_us(backend, sums, || -> Result<()> {
        let group = turns.take();
        let dst = Mut::new(&mut residues, plain.slice_items(group % kept * terms, terms));
        Ok(sample.expand(ctx, group % groups, &mut laid_out, dst)?)
    })?;
    let part = Part::new("residues", sums as f64, us * longer);
    rates.prepare.push(part);
    let of_terms: Vec<Ref<B>> = x.iter().map(|x| Ref::new(x, from)).collect();
    let us = usual_us(backend, sums, || -> Result<()> {
        let group = turns.take();
        let weights = Ref::new(&residues, plain.slice_items(group % kept * terms, terms));
        let dst = Mut::new(&mut dst, to.every_item(group % results, results, users));
        let terms = products(&of_terms, weights);
        Ok(backend.mul_accumulate(ctx.tables(), dst, Onto::Zero, &terms)?)
    })?;
    let more = items as f64 / users as f64;
    rates
        .run
        .push(Part::new("sum of products", sums as f64, us * longer * more));
    Ok(())
}
