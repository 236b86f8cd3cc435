//! Sums over many terms. Kernels: `shaders/sums.wgsl`.
//!
//! Neighbouring terms whose factors lie in the same buffers, each within one binding, go into one launch: the destination is then written once.
//! What remains alone is multiplied, or moved, and added.

use super::{
    Wgpu,
    memory::Buffer,
    ntt::Tables,
    operands::{Operand, Part},
    queue::Launch,
};
use crate::backend::{Moved, Mut, Onto, Product, Ref, Result, Row, Span, derived};

/// Words of a row that a workgroup handles.
const BLOCK: u32 = 1024;
/// Words that describe the terms of a launch.
const MOST_WORDS: usize = 12_288;
/// Words of a factor's record beside the positions of its rows.
const RECORD_WORDS: usize = 3;

/// The list of the terms of a launch, for a part of the destination.
type List<'a> = dyn Fn(&Part) -> Vec<u32> + 'a;

/// A factor of a term in the list of a launch.
fn record(list: &mut Vec<u32>, span: &Span, part: &Part) {
    let base = span.offset + part.items.start * span.item_stride + part.polys.start * span.poly_stride;
    list.extend([base, span.item_stride, span.poly_stride].map(|x| x as u32));
    list.extend(span.rows[part.rows.clone()].iter().map(|r| r.at));
}

/// What a launch binds: a buffer, and no rows of it, since terms have their own.
fn bound(buffer: &Buffer) -> Operand<'_> {
    const NO_ROWS: [Row; 0] = [];
    Operand::new(buffer, Span::dense(1, 1, &NO_ROWS))
}

/// Whether two operands lie in the same memory.
fn together(x: &Ref<Wgpu>, y: &Ref<Wgpu>) -> bool {
    std::ptr::eq(x.buffer, y.buffer)
}

impl Wgpu {
    /// See [`derived::mul_accumulate`].
    pub(super) fn sum_products(
        &self,
        t: &Tables,
        mut dst: Mut<Self>,
        mut onto: Onto,
        terms: &[Product<Self>],
    ) -> Result<()> {
        if terms.is_empty() {
            return derived::mul_accumulate(self, t, dst, onto, terms);
        }
        let most = (MOST_WORDS / (2 * (RECORD_WORDS + dst.span.rows.len()))).max(1);
        for alike in terms.chunk_by(|x, y| together(&x.a, &y.a) && together(&x.b, &y.b)) {
            for now in alike.chunks(most) {
                let factors = [now[0].a.buffer, now[0].b.buffer];
                if now.len() == 1 || !factors.iter().all(|b| self.is_bound_whole(b)) {
                    derived::mul_accumulate(self, t, dst.again(), onto, now)?;
                } else {
                    let list = |part: &Part| {
                        let mut list = Vec::new();
                        for term in now {
                            record(&mut list, &Operand::read(&term.a).span, part);
                            record(&mut list, &Operand::read(&term.b).span, part);
                        }
                        list
                    };
                    let bound = factors.map(|b| Some(bound(b)));
                    self.sum(t, "mul_accumulate_rows", &dst, bound, (onto, now.len(), &list))?;
                }
                onto = Onto::Destination;
            }
        }
        Ok(())
    }

    /// See [`derived::permute_accumulate`].
    pub(super) fn sum_moved(
        &self,
        t: &Tables,
        mut dst: Mut<Self>,
        mut onto: Onto,
        terms: &[Moved<Self>],
    ) -> Result<()> {
        if terms.is_empty() {
            return derived::permute_accumulate(self, t, dst, onto, terms);
        }
        let most = (MOST_WORDS / (1 + RECORD_WORDS + dst.span.rows.len())).max(1);
        for alike in terms.chunk_by(|x, y| together(&x.src, &y.src)) {
            for now in alike.chunks(most) {
                let source = now[0].src.buffer;
                if now.len() == 1 || !self.is_bound_whole(source) {
                    derived::permute_accumulate(self, t, dst.again(), onto, now)?;
                } else {
                    let list = |part: &Part| {
                        let mut list = Vec::new();
                        for term in now {
                            list.push(term.element.element());
                            record(&mut list, &Operand::read(&term.src).span, part);
                        }
                        list
                    };
                    let bound = [Some(bound(source)), None];
                    self.sum(
                        t,
                        "permute_accumulate_rows",
                        &dst,
                        bound,
                        (onto, now.len(), &list),
                    )?;
                }
                onto = Onto::Destination;
            }
        }
        Ok(())
    }

    fn is_bound_whole(&self, buffer: &Buffer) -> bool {
        buffer.words() <= self.device.binding_words
    }

    /// One sum of so many terms, which `list` describes for a part of the destination.
    fn sum(
        &self,
        t: &Tables,
        kernel: &'static str,
        dst: &Mut<Self>,
        [left, right]: [Option<Operand>; 2],
        (onto, terms, list): (Onto, usize, &List),
    ) -> Result<()> {
        let to = Operand::write(dst);
        let fits = |part: &Part| to.part(part).fits(&self.device);
        Part::whole(&dst.span).each(&fits, &mut |part| {
            let (dst, list) = (to.part(part), list(part));
            self.device.launch(&Launch {
                kernel,
                log_n: t.log_n,
                polys: part.polys.len(),
                rows: dst.span.rows,
                primes: Some(t.primes()),
                dst,
                left,
                right,
                table: None,
                numbers: [terms as u32, 0, u32::from(onto == Onto::Destination), 0],
                list: Some((1, &list)),
                grid: [
                    (1u32 << t.log_n).div_ceil(BLOCK),
                    part.rows.len() as u32,
                    (part.items.len() * part.polys.len()) as u32,
                ],
            })
        })
    }
}
