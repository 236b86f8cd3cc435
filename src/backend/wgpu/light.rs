//! Sums of products with polynomials of small integers: the first pass of their transforms takes the integers. Kernels: `light_*` of
//! `shaders/ntt.wgsl`.

use super::{
    Wgpu,
    elementwise::{Constants, OverRows},
    ntt::{LOG_TILE, Tables, twiddle_rows, twiddles},
    operands::Operand,
};
use crate::backend::{Backend, Light, Mut, Onto, Ref, Result, Row, Span, compact, derived, primes_of};

impl Wgpu {
    /// See [`Backend::light_product`].
    pub(super) fn multiply_light(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        a: &[Ref<Self>],
        b: Light<Self>,
    ) -> Result<()> {
        if a.is_empty() {
            return self.zero(dst);
        }
        let rows = compact(&primes_of(dst.span.rows));
        let span = Span::dense(a.len(), 1, &rows);
        let mut plain = self.alloc(t.log_n, span.count())?;
        let to = Mut::<Self>::new(&mut plain, span);
        let of_twiddles = twiddle_rows(&span);
        // One row of integers serves every row of residues.
        let own: Vec<Row> = rows.iter().map(|row| Row { at: 0, ..*row }).collect();
        let integers = Span {
            offset: b.first,
            item_stride: 1,
            ..span.with_rows(&own)
        };
        let two_passes = t.log_n > LOG_TILE;
        self.over_rows(&OverRows {
            kernel: if two_passes { "light_outer" } else { "light_whole" },
            tables: Some(t),
            dst: Operand::write(&to),
            left: Some(Operand::new(b.buffer, integers)),
            right: None,
            table: Some(twiddles(t.forward(), &of_twiddles, &span)),
            constants: Constants::None,
            numbers: &|_| [t.log_n - b.length.ilog2(), 0, 0, 0],
            blocks: t.tiles(),
        })?;
        if two_passes {
            self.forward_inner(t, &to, None)?;
        }
        let terms = derived::products(a, Ref::new(&plain, span));
        self.sum_products(t, dst, Onto::Zero, &terms)
    }
}
