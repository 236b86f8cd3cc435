//! Sums over many terms in one launch. Kernels: `kernels/sums.cu`.

use super::{
    Cuda,
    device::{Argument, Cost, Grid, THREADS, rows},
    elementwise::PER_THREAD,
    memory::Buffer,
    ntt::Tables,
    operands::Shape,
};
use crate::backend::{Moved, Mut, Onto, Product, Ref, Result, Row, Span, derived};

/// The factors of all terms as a kernel reads them, on the device.
///
/// Sixteen bytes each, laid out as `Factor` of `kernels/factors.cuh`, then the positions of the rows of each, a word each.
pub(super) struct Factors {
    words: Buffer,
}

impl Factors {
    /// Factors shaped as `dst`, whose rows repeat where a stride is zero: a kernel reads a row of each for every row that it writes.
    pub(super) fn new<'a>(
        cuda: &Cuda,
        dst: &Span,
        factors: impl Iterator<Item = Ref<'a, Cuda>> + Clone,
    ) -> Result<Self> {
        let mut words: Vec<u32> = Vec::new();
        for factor in factors.clone() {
            let (have, want) = (shape(&factor.span), shape(dst));
            assert!(
                have == want,
                "a term of {have:?} items, polynomials and rows in a sum of {want:?}"
            );
            let [address, item_stride, poly_stride] = rows(factor.buffer, &factor.span)?.place();
            let parts = [address, address >> u32::BITS, item_stride, poly_stride];
            words.extend(parts.map(|part| part as u32));
        }
        words.extend(
            factors
                .flat_map(|factor| factor.span.rows)
                .map(|row: &Row| row.at),
        );
        Ok(Self {
            words: cuda.device.constants(&words)?,
        })
    }

    pub(super) fn argument(&self) -> Argument {
        Argument::Address(self.words.address())
    }
}

impl Cuda {
    /// See [`mul_accumulate`](crate::backend::derived::mul_accumulate).
    ///
    /// Where two polynomials are multiplied by one, which is what a plaintext does, a thread sums both and reads that one once.
    pub(super) fn sum_products(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        onto: Onto,
        terms: &[Product<Self>],
    ) -> Result<()> {
        if terms.is_empty() {
            return derived::mul_accumulate(self, t, dst, onto, terms);
        }
        let one = |term: &Product<Self>| term.b.span.poly_stride == 0;
        let pairs = dst.span.polys == 2 && terms.iter().all(one);
        let (kernel, layers, read) = match pairs {
            true => ("mul_accumulate_pairs", dst.span.items, 3),
            false => ("mul_accumulate_rows", dst.span.items * dst.span.polys, 2),
        };
        let factors = Factors::new(self, &dst.span, terms.iter().flat_map(|term| [term.a, term.b]))?;
        let (onto, count) = (u32::from(onto == Onto::Destination), dst.span.count());
        let arguments = [
            Argument::write(&dst)?,
            factors.argument(),
            Argument::Number(terms.len() as u32),
            Argument::Number(onto),
            t.primes()?,
        ];
        let of_terms = read * layers * dst.span.rows.len() * terms.len();
        let cost = Cost::rows(t.log_n, of_terms + onto as usize * count, count);
        let shape = Shape::new(t.log_n, &dst.span)?;
        // SAFETY: the arguments of `mul_accumulate_*`: two factors a term, each checked to lie within its buffer and to be shaped as dst.
        unsafe {
            self.device
                .launch(kernel, &shape, along(t, layers), cost, &arguments)
        }
    }

    /// See [`permute_accumulate`](crate::backend::derived::permute_accumulate).
    pub(super) fn sum_moved(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        onto: Onto,
        terms: &[Moved<Self>],
    ) -> Result<()> {
        if terms.is_empty() {
            return derived::permute_accumulate(self, t, dst, onto, terms);
        }
        let factors = Factors::new(self, &dst.span, terms.iter().map(|term| term.src))?;
        let elements: Vec<u32> = terms.iter().map(|term| term.element.element()).collect();
        let elements = self.device.constants(&elements)?;
        let (onto, count) = (u32::from(onto == Onto::Destination), dst.span.count());
        let arguments = [
            Argument::write(&dst)?,
            factors.argument(),
            Argument::Address(elements.address()),
            Argument::Number(terms.len() as u32),
            Argument::Number(onto),
            t.primes()?,
        ];
        let cost = Cost::rows(t.log_n, (terms.len() + onto as usize) * count, count);
        let shape = Shape::new(t.log_n, &dst.span)?;
        let grid = along(t, dst.span.items * dst.span.polys);
        // SAFETY: the arguments of `permute_accumulate_rows`: a factor and an element a term, as above.
        unsafe { (self.device).launch("permute_accumulate_rows", &shape, grid, cost, &arguments) }
    }
}

/// Items, polynomials and rows.
fn shape(span: &Span) -> [usize; 3] {
    [span.items, span.polys, span.rows.len()]
}

/// Blocks along rows, so many rows for each prime.
pub(super) fn along(t: &Tables, layers: usize) -> Grid {
    Grid::new((1u32 << t.log_n).div_ceil(THREADS * PER_THREAD), THREADS, layers)
}
