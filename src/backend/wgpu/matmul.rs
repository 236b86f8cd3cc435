//! Products of matrices: small integers times residues, and rows of polynomials times columns. Kernels: `shaders/matmul.wgsl`.

use std::ops::Range;

use super::{
    Wgpu,
    elementwise::Constants,
    ntt::Tables,
    operands::{MOST_LAYERS, Operand, Part},
    queue::Launch,
};
use crate::backend::{Backend, Matrix, Mut, Ref, Result, Row, Span, compact, derived, primes_of};

/// Coefficients and outputs of a workgroup.
const COLUMNS: u32 = 128;
const OUTPUTS: usize = 16;
/// Rows, and columns, of a thread of `block_product_rows`.
const TILE: usize = 4;
/// Inputs of a launch: as many products as a 64-bit sum holds.
const MOST_INPUTS: usize = 1 << 18;

impl Wgpu {
    pub(super) fn matrix_product(
        &self,
        t: &Tables,
        dst: &Mut<Self>,
        src: &Ref<Self>,
        weights: Matrix,
    ) -> Result<()> {
        if weights.inputs == 0 {
            return self.pointwise("zero_rows", None, dst, None, None, Constants::None);
        }
        let (to, from) = (Operand::write(dst), Operand::read(src));
        // Outputs that one binding holds, then the inputs of each part.
        let outputs_fit = |part: &Part| to.part(part).fits(&self.device);
        Part::whole(&dst.span).each(&outputs_fit, &mut |outputs| {
            let inputs_fit = |part: &Part| {
                let weights = part.items.len() * outputs.items.len();
                part.items.len() <= MOST_INPUTS
                    && weights <= self.device.binding_words
                    && from.part(part).fits(&self.device)
            };
            let inputs = Part {
                items: 0..weights.inputs,
                ..outputs.clone()
            };
            inputs.each(&inputs_fit, &mut |inputs| {
                let outputs = Part {
                    items: outputs.items.clone(),
                    ..inputs.clone()
                };
                self.product_of(
                    t,
                    to.part(&outputs),
                    from.part(inputs),
                    &weights,
                    [&outputs, inputs],
                )
            })
        })
    }

    /// See [`Backend::block_product`]; rows of b may be shorter, as [`Backend::sparse`] makes them. All items have to be bound at once;
    /// polynomials and primes are taken in parts where that needs it, and what is too large even so is a sum of products for each item.
    pub(super) fn rows_times_columns(
        &self,
        t: &Tables,
        mut dst: Mut<Self>,
        a: Ref<Self>,
        b: Ref<Self>,
        terms: usize,
    ) -> Result<()> {
        // All items of an operand, and some polynomials and rows.
        fn of<'a>(o: Operand<'a>, part: &Part, polys: Range<usize>) -> Operand<'a> {
            let (items, rows) = (0..o.span.items, part.rows.clone());
            o.part(&Part { items, polys, rows })
        }
        if terms == 0 {
            return self.zero(dst);
        }
        let (rows, columns) = (a.span.items / terms, b.span.items / terms);
        assert!(
            rows * columns == dst.span.items,
            "{rows} rows times {columns} columns are not {} items",
            dst.span.items
        );
        let log_gap = t.log_n - b.buffer.log_n;
        let tiles = rows.div_ceil(TILE) * columns.div_ceil(TILE);
        let (to, left, right) = (Operand::write(&dst), Operand::read(&a), Operand::read(&b));
        let operands = |part: &Part| {
            [
                of(to, part, part.polys.clone()),
                of(left, part, part.polys.clone()),
                of(right, part, 0..1),
            ]
        };
        let fits = |part: &Part| operands(part).iter().all(|o| o.fits(&self.device));
        let mut too_large = Vec::new();
        let whole = Part {
            items: 0..1,
            ..Part::whole(&dst.span)
        };
        whole.each(&fits, &mut |part| {
            if !fits(part) || tiles * part.polys.len() > MOST_LAYERS {
                too_large.push(part.clone());
                return Ok(());
            }
            let [dst, left, right] = operands(part);
            self.device.launch(&Launch {
                kernel: "block_product_rows",
                log_n: t.log_n,
                polys: part.polys.len(),
                rows: dst.span.rows,
                primes: Some(t.primes()),
                dst,
                left: Some(left),
                right: Some(right),
                table: None,
                numbers: [rows as u32, columns as u32, terms as u32, log_gap],
                list: None,
                grid: [
                    (1u32 << t.log_n).div_ceil(COLUMNS),
                    part.rows.len() as u32,
                    (part.polys.len() * tiles) as u32,
                ],
            })
        })?;
        for part in too_large {
            let [x, y] = [of(left, &part, part.polys.clone()), of(right, &part, 0..1)];
            let (x, y) = (Ref::new(a.buffer, x.span), Ref::new(b.buffer, y.span));
            let rows = &dst.span.rows[part.rows.clone()];
            let polys = part.polys.clone();
            let to = dst.part(|s| s.slice_polys(polys.start, polys.len()).with_rows(rows));
            match log_gap {
                0 => derived::block_product(self, t, to, x, y, terms)?,
                _ => self.products_apart(t, to, x, y, terms)?,
            }
        }
        Ok(())
    }

    /// The same a product at a time, each in a launch of its own: what sums of products cannot take, since rows of b are short.
    fn products_apart(
        &self,
        t: &Tables,
        mut dst: Mut<Self>,
        a: Ref<Self>,
        b: Ref<Self>,
        terms: usize,
    ) -> Result<()> {
        let (columns, polys) = (b.span.items / terms, dst.span.polys);
        let rows = compact(&primes_of(dst.span.rows));
        let span = Span::dense(1, polys, &rows);
        let mut product = self.alloc(t.log_n, span.count())?;
        for item in 0..dst.span.items {
            let mut to = dst.part(|s| s.slice_items(item, 1));
            for j in 0..terms {
                let a = a.map(|s| s.slice_items(item / columns * terms + j, 1));
                let b = b.map(|s| s.slice_items(item % columns * terms + j, 1));
                if j == 0 {
                    self.rows_times_columns(t, to.again(), a, b, 1)?;
                    continue;
                }
                self.rows_times_columns(t, Mut::new(&mut product, span), a, b, 1)?;
                self.add(t, to.again(), Ref::new(&product, span))?;
            }
        }
        Ok(())
    }

    fn product_of(
        &self,
        t: &Tables,
        dst: Operand,
        src: Operand,
        weights: &Matrix,
        [outputs, inputs]: [&Part; 2],
    ) -> Result<()> {
        let count = inputs.items.len();
        let mut words = Vec::with_capacity(outputs.items.len() * count.div_ceil(2));
        // Weights as w + 2^15, two a word.
        let shifted = |w: i16| u32::from((i32::from(w) + (1 << 15)) as u16);
        for output in outputs.items.clone() {
            let at = |input| shifted(weights.entries.get(output * weights.inputs + input));
            for input in inputs.items.clone().step_by(2) {
                let second = if input + 1 < inputs.items.end {
                    at(input + 1)
                } else {
                    0
                };
                words.push(at(input) | second << 16);
            }
        }
        let table = self.constants(&words)?;
        let whole = [Row { at: 0, prime: 0 }];
        self.device.launch(&Launch {
            kernel: "gemm_rows",
            log_n: t.log_n,
            polys: inputs.polys.len(),
            rows: dst.span.rows,
            primes: Some(t.primes()),
            dst,
            left: Some(src),
            right: None,
            table: Some(Operand::new(&table, Span::dense(1, 1, &whole))),
            numbers: [
                outputs.items.len() as u32,
                count as u32,
                u32::from(inputs.items.start > 0),
                0,
            ],
            list: None,
            grid: [
                (1u32 << t.log_n).div_ceil(COLUMNS),
                inputs.rows.len() as u32,
                (inputs.polys.len() * outputs.items.len().div_ceil(OUTPUTS)) as u32,
            ],
        })
    }
}
