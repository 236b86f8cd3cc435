//! Products of matrices: small integers times residues, and rows of polynomials times columns. Kernels: `kernels/matmul.cu`.

use super::{
    Cuda,
    device::{Argument, Cost, Grid},
    ntt::Tables,
    operands::Shape,
};
use crate::backend::{Backend, Entries, Matrix, Mut, Ref, Result};

/// Words of a row that a block handles.
const COLUMNS: u32 = 128;
/// Outputs of a thread of `gemm_rows`.
const OUTPUTS: usize = 16;
/// Rows, and columns, of a thread of `block_product_rows`.
const TILE: usize = 4;

impl Cuda {
    /// See [`Backend::gemm`](crate::backend::Backend::gemm).
    pub(super) fn matrix_product(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        src: Ref<Self>,
        weights: Matrix,
    ) -> Result<()> {
        let count = weights.outputs * weights.inputs;
        let mut entries: Vec<i16> = match weights.entries {
            Entries::I8(w) => w[..count].iter().map(|w| i16::from(*w)).collect(),
            Entries::I16(w) => w[..count].to_vec(),
        };
        entries.resize(count.next_multiple_of(2), 0);
        let entries = self.device.constants(bytemuck::cast_slice(&entries))?;
        let shape = Shape::new(t.log_n, &dst.span)?;
        let arguments = [
            Argument::write(&dst)?,
            Argument::read(&src)?,
            Argument::Address(entries.address()),
            Argument::Number(weights.outputs as u32),
            Argument::Number(weights.inputs as u32),
            t.primes()?,
        ];
        let groups = weights.outputs.div_ceil(OUTPUTS);
        let grid = columns(t, dst.span.polys * groups);
        let cost = Cost::rows(t.log_n, src.span.count() * groups, dst.span.count());
        // SAFETY: the arguments of `gemm_rows`; the entries are as many as outputs and inputs say.
        unsafe { self.device.launch("gemm_rows", &shape, grid, cost, &arguments) }
    }

    /// See [`Backend::block_product`](crate::backend::Backend::block_product). Rows of b may be shorter, as
    /// [`sparse`](crate::backend::Backend::sparse) makes them.
    pub(super) fn rows_times_columns(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        a: Ref<Self>,
        b: Ref<Self>,
        terms: usize,
    ) -> Result<()> {
        if terms == 0 {
            return self.zero(dst);
        }
        let (rows, columns_of_b) = (a.span.items / terms, b.span.items / terms);
        assert!(
            rows * columns_of_b == dst.span.items,
            "{rows} rows times {columns_of_b} columns are not {} items",
            dst.span.items
        );
        // Polynomial k of the result is of polynomial k of a, and of the only one of b.
        assert!(
            a.span.polys == dst.span.polys && b.span.polys == 1,
            "{} polynomials of a and {} of b for {} of the result",
            a.span.polys,
            b.span.polys,
            dst.span.polys
        );
        let log_gap = t.log_n - b.buffer.log_n;
        let arguments = [
            Argument::write(&dst)?,
            Argument::read(&a)?,
            Argument::read(&b)?,
            Argument::Number(rows as u32),
            Argument::Number(columns_of_b as u32),
            Argument::Number(terms as u32),
            Argument::Number(log_gap),
            t.primes()?,
        ];
        let tiles = [rows, columns_of_b].map(|n| n.div_ceil(TILE));
        let layers = dst.span.polys * tiles[0] * tiles[1];
        // Words of a row of a, and of b: a block asks for one at the least.
        let blocks = (1usize << t.log_n).div_ceil(COLUMNS as usize);
        let words = (1 << t.log_n) + (1 << b.buffer.log_n).max(blocks);
        let read = TILE * terms * layers * dst.span.rows.len() * words;
        let cost = Cost {
            read: 4 * read as u64,
            ..Cost::rows(t.log_n, 0, dst.span.count())
        };
        let shape = Shape::new(t.log_n, &dst.span)?;
        let grid = columns(t, layers);
        // SAFETY: the arguments of `block_product_rows`: a has `terms` items a row, b as many a column, dst one for each pair.
        unsafe { (self.device).launch("block_product_rows", &shape, grid, cost, &arguments) }
    }
}

/// Blocks of `COLUMNS` words along rows, so many layers.
fn columns(t: &Tables, layers: usize) -> Grid {
    Grid::new((1u32 << t.log_n).div_ceil(COLUMNS), COLUMNS, layers)
}
