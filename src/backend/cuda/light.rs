//! Sums of products with polynomials of small integers. Kernels: `kernels/light.cu`.

use super::{
    Cuda,
    device::{Argument, Cost, Grid, THREADS},
    ntt::{ByStages, LOG_OUTER, Tables},
    operands::Shape,
    sums::Factors,
};
use crate::backend::{Backend, Light, Mut, Onto, Ref, Result, Span, compact, derived, primes_of};

const LIGHT_OUTER: ByStages = [
    "light_outer_3",
    "light_outer_4",
    "light_outer_5",
    "light_outer_6",
    "light_outer_7",
    "light_outer_8",
];

impl Cuda {
    /// See [`Backend::light_product`].
    ///
    /// The outer pass takes integers, unless there are zeros between them, and the inner one multiplies what it has transformed, which
    /// costs the inner stages anew for every item: with several items, plaintexts are transformed once for all of them.
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
        assert!(
            (b.first + a.len()) * b.length <= b.buffer.words(),
            "polynomials beyond the buffer"
        );
        let rows = compact(&primes_of(dst.span.rows));
        let span = Span::dense(a.len(), 1, &rows);
        let mut plain = self.alloc(t.log_n, span.count())?;
        let values = b.buffer.address() + (4 * b.first * b.length) as u64;
        let to = Mut::new(&mut plain, span);
        let whole = b.length == 1 << t.log_n;
        match t.outer(LIGHT_OUTER).filter(|_| whole) {
            Some(kernel) => self.light_outer(t, kernel, &to, values)?,
            None => {
                self.lift_words(t, &to, "lift_32", values, [b.length, 0])?;
                self.forward_outer(t, &to)?;
            }
        }
        if t.has_two_passes() {
            if dst.span.items == 1 && dst.span.polys <= 2 {
                return self.light_inner(t, dst, a, Ref::new(&plain, span));
            }
            self.forward_inner(t, &to, None)?;
        }
        let terms = derived::products(a, Ref::new(&plain, span));
        self.sum_products(t, dst, Onto::Zero, &terms)
    }

    /// The outer pass, of integers at an address.
    fn light_outer(&self, t: &Tables, kernel: &'static str, dst: &Mut<Self>, values: u64) -> Result<()> {
        let (count, rows) = (dst.span.count(), dst.span.rows.len());
        let cost = Cost::rows(t.log_n, count, count).tables(rows * t.outer_twiddles());
        let arguments = [Ok(Argument::Address(values)), t.primes(), Ok(t.twiddles())];
        let grid = [(1 << t.log_n) >> LOG_OUTER, THREADS];
        self.over_rows(kernel, dst, grid, cost, arguments)
    }

    /// The inner pass of the items of `plain`, each multiplied by a term, and their sum.
    fn light_inner(&self, t: &Tables, dst: Mut<Self>, a: &[Ref<Self>], plain: Ref<Self>) -> Result<()> {
        let factors = Factors::new(self, &dst.span, a.iter().copied())?;
        let arguments = [
            Argument::write(&dst)?,
            Argument::read(&plain)?,
            factors.argument(),
            Argument::Number(a.len() as u32),
            t.primes()?,
            t.twiddles(),
        ];
        let (rows, count) = (dst.span.rows.len(), dst.span.count());
        let read = plain.span.count() * dst.span.items + a.len() * count;
        let cost = Cost::rows(t.log_n, read, count).tables(rows * t.inner_twiddles());
        let shape = Shape::new(t.log_n, &dst.span)?;
        let grid = Grid::new(t.inner_tiles(), THREADS, dst.span.items);
        // SAFETY: the arguments of `light_inner`: a factor a term, checked to lie within its buffer and to be shaped as dst, and as many items
        // of `plain`, which has the rows of dst.
        unsafe { self.device.launch("light_inner", &shape, grid, cost, &arguments) }
    }
}
