//! Integers and seeds to rows of residues.

use super::{memory::Writer, ntt::Tables};
use crate::{
    backend::Integers,
    sample::{PublicSeed, uniform_row},
};

/// Integer k of a polynomial goes to coefficient k gap; the others are zero.
pub(super) fn lift(t: &Tables, dst: Writer, values: Integers) {
    let polys = dst.span.polys;
    let length = values.len() / (dst.span.items * polys).max(1);
    let gap = dst.n / length.max(1);
    dst.for_each(|item, poly, row, out| {
        let m = t.modulus(&dst.span, row);
        let from = (item * polys + poly) * length..;
        if gap > 1 {
            out.fill(0);
        }
        let out = out.iter_mut().step_by(gap);
        match values {
            Integers::I32(v) => out
                .zip(&v[from])
                .for_each(|(x, v)| *x = m.reduce_signed(i64::from(*v))),
            Integers::I64(v) => out.zip(&v[from]).for_each(|(x, v)| *x = m.reduce_signed(*v)),
            Integers::I128(v) => out.zip(&v[from]).for_each(|(x, v)| *x = m.reduce_signed_wide(*v)),
        }
    });
}

pub(super) fn expand(t: &Tables, dst: Writer, seeds: &[PublicSeed], label: u64) {
    dst.for_each(|item, poly, row, out| {
        let p = t.modulus(&dst.span, row).value();
        uniform_row(
            &seeds[item],
            label + poly as u64,
            dst.span.rows[row].prime,
            p,
            out,
        );
    });
}
