//! Launches along the rows of a destination: pointwise operations, and what they are given.

use super::{
    Cuda,
    device::{Argument, Cost, Grid, THREADS},
    memory::Buffer,
    operands::Shape,
};
use crate::{
    backend::{Mut, Ref, Result, Row, Span},
    ring::Galois,
};

/// Words that a thread of a pointwise kernel handles.
pub(super) const PER_THREAD: u32 = 4;

impl Cuda {
    /// Launches a pointwise kernel on the rows of `dst`, which reads `reads` rows for each that it writes.
    pub(super) fn pointwise(
        &self,
        kernel: &'static str,
        dst: &Mut<Self>,
        reads: usize,
        arguments: impl IntoIterator<Item = Result<Argument>>,
    ) -> Result<()> {
        let (log_n, count) = (dst.buffer.log_n, dst.span.count());
        let blocks = (1u32 << log_n).div_ceil(THREADS * PER_THREAD);
        let cost = Cost::rows(log_n, reads * count, count);
        self.over_rows(kernel, dst, [blocks, THREADS], cost, arguments)
    }

    /// Launches a kernel with `[blocks, threads]` along each row of `dst`, which is its first argument.
    pub(super) fn over_rows(
        &self,
        kernel: &'static str,
        dst: &Mut<Self>,
        [blocks, threads]: [u32; 2],
        cost: Cost,
        arguments: impl IntoIterator<Item = Result<Argument>>,
    ) -> Result<()> {
        let shape = Shape::new(dst.buffer.log_n, &dst.span)?;
        let first = std::iter::once(Argument::write(dst));
        let arguments: Vec<Argument> = first.chain(arguments).collect::<Result<_>>()?;
        let grid = Grid::new(blocks, threads, dst.span.items * dst.span.polys);
        // SAFETY: callers pass what the kernel of that name takes; operands were checked to lie within their buffers, which live
        // until the queue has passed this launch, since the pool gives memory out in the order of the queue.
        unsafe { self.device.launch(kernel, &shape, grid, cost, &arguments) }
    }

    pub(super) fn copy_rows(&self, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        self.pointwise("copy_rows", &dst, 1, [Argument::read(&src)])
    }

    /// A constant a row, for all items or for each in turn, as `form` of it.
    pub(super) fn factors(&self, dst: &Span, c: &[u32], form: impl Fn(Row, u32) -> u32) -> Result<Constants> {
        let rows = dst.rows.len();
        let word = |(i, c): (usize, &u32)| form(dst.rows[i % rows], *c);
        let words: Vec<u32> = c.iter().enumerate().map(word).collect();
        let item_step = if c.len() == rows { 0 } else { rows as u32 };
        Ok(Constants {
            words: self.device.constants(&words)?,
            item_step,
        })
    }

    /// Galois elements, one for all items or one an item.
    pub(super) fn elements(&self, g: &[Galois]) -> Result<Constants> {
        let words: Vec<u32> = g.iter().map(|g| g.element()).collect();
        Ok(Constants {
            words: self.device.constants(&words)?,
            item_step: u32::from(g.len() > 1),
        })
    }
}

/// Constants on the device, and the words from one item's to the next.
pub(super) struct Constants {
    words: Buffer,
    item_step: u32,
}

impl Constants {
    pub(super) fn arguments(&self) -> [Result<Argument>; 2] {
        let address = Argument::Address(self.words.address());
        [Ok(address), Ok(Argument::Number(self.item_step))]
    }
}
