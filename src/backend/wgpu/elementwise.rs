//! Pointwise operations, automorphisms, and products of ciphertexts. Kernels: `shaders/elementwise.wgsl`.

use super::{
    Wgpu,
    ntt::Tables,
    operands::{Operand, Part},
    queue::Launch,
};
use crate::{
    backend::{Mut, Ref, Result, derived},
    ring::Galois,
};

/// Words of a row that a workgroup handles.
const BLOCK: u32 = 1024;
/// Words that may travel with the arguments of a launch.
const MOST_CONSTANTS: usize = 8192;

/// Words that travel with the arguments of a launch over rows: their place is its first number.
#[derive(Clone, Copy)]
pub(super) enum Constants<'a> {
    /// None.
    None,
    /// One a row, for all items or for each in turn; the second number is the words of an item.
    OfRows(&'a [u32]),
    /// So many words for all items, or for each in turn; the second number is the words of an item.
    OfItems(&'a [u32], usize),
}

impl Constants<'_> {
    /// Words of a part of a launch.
    fn words(&self, part: &Part) -> usize {
        match self {
            Self::None => 0,
            Self::OfRows(_) => part.items.len() * part.rows.len(),
            Self::OfItems(_, each) => part.items.len() * each,
        }
    }

    /// Those of a part of a launch, and the words of an item: 0 if all items have the same. `rows` and `items` are those of the launch.
    fn part(&self, part: &Part, rows: usize, items: usize) -> Option<(Vec<u32>, u32)> {
        let items_of = |words: &[u32], each: usize, take: std::ops::Range<usize>| {
            let of = |item: usize| words[item * each..][take.clone()].iter().copied();
            if words.len() == each || items == 1 {
                (of(0).collect(), 0)
            } else {
                (part.items.clone().flat_map(of).collect(), take.len() as u32)
            }
        };
        match self {
            Self::None => None,
            Self::OfRows(words) => Some(items_of(words, rows, part.rows.clone())),
            Self::OfItems(words, each) => Some(items_of(words, *each, 0..*each)),
        }
    }
}

/// A kernel that runs over the rows of its destination, all operands having the same items, polynomials and rows.
pub(super) struct OverRows<'a> {
    pub(super) kernel: &'static str,
    pub(super) tables: Option<&'a Tables>,
    pub(super) dst: Operand<'a>,
    pub(super) left: Option<Operand<'a>>,
    pub(super) right: Option<Operand<'a>>,
    pub(super) table: Option<Operand<'a>>,
    pub(super) constants: Constants<'a>,
    pub(super) numbers: &'a dyn Fn(&Part) -> [u32; 4],
    /// Workgroups along a row.
    pub(super) blocks: u32,
}

impl Wgpu {
    /// Runs it, in as many launches as it takes.
    pub(super) fn over_rows(&self, work: &OverRows) -> Result<()> {
        let span = &work.dst.span;
        let operands = [Some(work.dst), work.left, work.right, work.table];
        let fits = |part: &Part| {
            let mut own = operands.iter().flatten();
            work.constants.words(part) <= MOST_CONSTANTS && own.all(|o| o.part(part).fits(&self.device))
        };
        Part::whole(span).each(&fits, &mut |part| {
            let dst = work.dst.part(part);
            let constants = work.constants.part(part, span.rows.len(), span.items);
            let mut numbers = (work.numbers)(part);
            if let Some((_, step)) = &constants {
                numbers[1] = *step;
            }
            self.device.launch(&Launch {
                kernel: work.kernel,
                log_n: work.dst.buffer.log_n,
                polys: part.polys.len(),
                rows: dst.span.rows,
                primes: work.tables.map(Tables::primes),
                dst,
                left: work.left.map(|o| o.part(part)),
                right: work.right.map(|o| o.part(part)),
                table: work.table.map(|o| o.part(part)),
                numbers,
                list: constants.as_ref().map(|(words, _)| (0, words.as_slice())),
                grid: [
                    work.blocks,
                    part.rows.len() as u32,
                    (part.items.len() * part.polys.len()) as u32,
                ],
            })
        })
    }

    pub(super) fn pointwise(
        &self,
        kernel: &'static str,
        tables: Option<&Tables>,
        dst: &Mut<Self>,
        left: Option<&Ref<Self>>,
        right: Option<&Ref<Self>>,
        constants: Constants,
    ) -> Result<()> {
        self.over_rows(&OverRows {
            kernel,
            tables,
            dst: Operand::write(dst),
            left: left.map(Operand::read),
            right: right.map(Operand::read),
            table: None,
            constants,
            numbers: &|_| [0; 4],
            blocks: (1u32 << dst.buffer.log_n).div_ceil(BLOCK),
        })
    }

    pub(super) fn automorphism(
        &self,
        kernel: &'static str,
        t: &Tables,
        dst: &Mut<Self>,
        src: &Ref<Self>,
        g: &[Galois],
    ) -> Result<()> {
        let elements: Vec<u32> = g.iter().map(|g| g.element()).collect();
        let constants = Constants::OfItems(&elements, 1);
        self.pointwise(kernel, Some(t), dst, Some(src), None, constants)
    }

    pub(super) fn tensor_product(
        &self,
        t: &Tables,
        mut dst: Mut<Self>,
        a: Ref<Self>,
        b: Ref<Self>,
        terms: usize,
    ) -> Result<()> {
        // The items of a and b that belong to those of a part of dst; both polynomials.
        fn of<'a>(o: Operand<'a>, part: &Part, terms: usize) -> Operand<'a> {
            o.part(&Part {
                items: part.items.start * terms..part.items.end * terms,
                polys: 0..o.span.polys,
                rows: part.rows.clone(),
            })
        }
        let whole = Part {
            polys: 0..1,
            ..Part::whole(&dst.span)
        };
        let (x, y) = (Operand::read(&a), Operand::read(&b));
        let to = Operand::write(&dst);
        let all = |part: &Part| {
            to.part(&Part {
                polys: 0..3,
                ..part.clone()
            })
        };
        let fits = |part: &Part| {
            let operands = [all(part), of(x, part, terms), of(y, part, terms)];
            operands.iter().all(|o| o.fits(&self.device))
        };
        let mut too_large = Vec::new();
        whole.each(&fits, &mut |part| {
            if !fits(part) {
                too_large.push(part.clone());
                return Ok(());
            }
            self.device.launch(&Launch {
                kernel: "tensor_rows",
                log_n: to.buffer.log_n,
                polys: 1,
                rows: all(part).span.rows,
                primes: Some(t.primes()),
                dst: all(part),
                left: Some(of(x, part, terms)),
                right: Some(of(y, part, terms)),
                table: None,
                numbers: [terms as u32, 0, 0, 0],
                list: None,
                grid: [
                    (1u32 << t.log_n).div_ceil(BLOCK),
                    part.rows.len() as u32,
                    part.items.len() as u32,
                ],
            })
        })?;
        // Polynomials of one item too far apart for a binding: one product at a time.
        for part in too_large {
            let rows = &dst.span.rows[part.rows.clone()];
            let cut = |o| of(o, &part, terms).span;
            let (x, y) = (Ref::new(a.buffer, cut(x)), Ref::new(b.buffer, cut(y)));
            let items = part.items.clone();
            let to = dst.part(|s| s.slice_items(items.start, items.len()).with_rows(rows));
            derived::tensor(self, t, to, x, y, terms)?;
        }
        Ok(())
    }
}
