//! Rows of residues between a device and a frame, one item at a time.

use super::{Result, Sink, Source, WireError, bits};
use crate::{
    backend::{Backend, Mut, Ref, Row},
    rlwe::Context,
};

/// Bytes of one polynomial with these rows.
pub(super) fn poly_bytes<B: Backend>(ctx: &Context<B>, rows: &[Row]) -> u64 {
    let n = ctx.params().degree();
    rows.iter()
        .map(|row| bits::row_bytes(n, prime(ctx, row)) as u64)
        .sum()
}

fn prime<B: Backend>(ctx: &Context<B>, row: &Row) -> u32 {
    ctx.params().basis().prime(row.prime).value()
}

/// Writes `[items][polys][rows]`.
pub(super) fn write<B: Backend>(ctx: &Context<B>, sink: &mut Sink<'_>, src: Ref<'_, B>) -> Result<()> {
    let n = ctx.params().degree();
    let mut words = vec![0; src.span.polys * src.span.rows.len() * n];
    let mut packed = Vec::new();
    for item in 0..src.span.items {
        ctx.backend()
            .download(src.map(|s| s.slice_items(item, 1)), &mut words)?;
        let primes = src.span.rows.iter().map(|row| prime(ctx, row)).cycle();
        for (row, p) in words.chunks(n).zip(primes) {
            packed.clear();
            bits::pack(row, p, &mut packed);
            sink.put(&packed)?;
        }
    }
    Ok(())
}

/// Reads `[items][polys]` of the rows of `dst`, which are some of the rows `stored`; every residue is below its prime.
pub(super) fn read<B: Backend>(
    ctx: &Context<B>,
    source: &mut Source<'_>,
    stored: &[Row],
    mut dst: Mut<'_, B>,
) -> Result<()> {
    let n = ctx.params().degree();
    let span = dst.span;
    let mut words = vec![0; span.polys * span.rows.len() * n];
    let mut packed = Vec::new();
    for item in 0..span.items {
        let mut places = words.chunks_mut(n);
        for (poly, at) in (0..span.polys).flat_map(|poly| (0..stored.len()).map(move |at| (poly, at))) {
            let p = prime(ctx, &stored[at]);
            let bytes = bits::row_bytes(n, p);
            if !span.rows.iter().any(|row| row.prime == stored[at].prime) {
                source.skip(bytes as u64)?;
                continue;
            }
            packed.resize(bytes, 0);
            source.take(&mut packed)?;
            let row = places.next().unwrap_or_default();
            bits::unpack(&packed, p, row).map_err(|(index, value)| WireError::Residue {
                polynomial: item * span.polys + poly,
                row: at,
                index,
                value,
                prime: p,
            })?;
        }
        ctx.backend()
            .upload(dst.part(|s| s.slice_items(item, 1)), &words)?;
    }
    Ok(())
}
