//! Memory of the oracle: rows are gathered out of a buffer, computed on, and scattered back, with every check on the way.

use super::Oracle;
use crate::backend::{Mut, Ref, Span};

/// What was never written: no residue is this large.
const NEVER: u32 = u32::MAX;
/// Every residue is below this.
const LIMIT: u32 = 1 << 30;

/// Rows of N words.
pub struct Buffer {
    words: Vec<u32>,
    n: usize,
}

impl Buffer {
    pub(super) fn new(log_n: u32, rows: usize) -> Self {
        Self {
            words: vec![NEVER; rows << log_n],
            n: 1 << log_n,
        }
    }

    pub(super) fn n(&self) -> usize {
        self.n
    }
}

/// The primes of a basis and their roots.
pub struct Tables {
    pub(super) log_n: u32,
    pub(super) primes: Vec<u64>,
    pub(super) roots: Vec<u64>,
}

impl Tables {
    /// The prime of a row and its root.
    pub(super) fn prime(&self, at: At) -> (u64, u64) {
        (self.primes[at.prime], self.roots[at.prime])
    }
}

/// One row of a span.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub(super) item: usize,
    pub(super) poly: usize,
    pub(super) row: usize,
    /// Index of the prime.
    pub(super) prime: usize,
    /// The prime; 2^30 where an operation has no tables.
    pub(super) p: i128,
}

/// Rows out of a span, in its order.
pub(super) struct Rows {
    polys: usize,
    rows: usize,
    list: Vec<Vec<u32>>,
}

impl Rows {
    pub(super) fn row(&self, item: usize, poly: usize, row: usize) -> &[u32] {
        &self.list[(item * self.polys + poly) * self.rows + row]
    }

    pub(super) fn at(&self, at: At) -> &[u32] {
        self.row(at.item, at.poly, at.row)
    }

    pub(super) fn concat(&self) -> Vec<u32> {
        self.list.concat()
    }
}

/// The constant for a row: all items share `c`, or each has its own.
pub(super) fn constant(c: &[u32], rows: usize, items: usize, at: At) -> i128 {
    assert!(
        c.len() == rows || c.len() == rows * items,
        "one constant a row, or one a row and item"
    );
    let i = if c.len() == rows {
        at.row
    } else {
        at.item * rows + at.row
    };
    assert!(i128::from(c[i]) < at.p, "constants are canonical");
    i128::from(c[i])
}

/// Demands equal items, polynomials and primes.
pub(super) fn alike(a: &Span, b: &Span) {
    assert_eq!((a.items, a.polys), (b.items, b.polys), "items and polynomials");
    assert!(
        a.rows.iter().map(|r| r.prime).eq(b.rows.iter().map(|r| r.prime)),
        "the same primes in the same order"
    );
}

fn places(span: &Span) -> Vec<At> {
    let mut list = Vec::new();
    for item in 0..span.items {
        for poly in 0..span.polys {
            for (row, place) in span.rows.iter().enumerate() {
                let prime = place.prime as usize;
                list.push(At {
                    item,
                    poly,
                    row,
                    prime,
                    p: i128::from(LIMIT),
                });
            }
        }
    }
    list
}

fn check(t: &Tables, n: usize, span: &Span) {
    assert_eq!(n, 1 << t.log_n, "the ring degree of the tables");
    assert!(
        span.rows.iter().all(|r| (r.prime as usize) < t.primes.len()),
        "a prime of the basis"
    );
}

fn read(src: Ref<Oracle>, bound: impl Fn(At) -> i128) -> Rows {
    let (n, span) = (src.buffer.n, src.span);
    assert!(
        span.count() == 0 || span.end() * n <= src.buffer.words.len(),
        "rows to read lie within the buffer"
    );
    let mut list = Vec::new();
    for at in places(&span) {
        let words = &src.buffer.words[span.position(at.item, at.poly, at.row) * n..][..n];
        assert!(
            words.iter().all(|w| *w != NEVER),
            "rows are written before they are read"
        );
        assert!(
            words.iter().all(|w| i128::from(*w) < bound(at)),
            "rows are canonical at entry"
        );
        list.push(words.to_vec());
    }
    Rows {
        polys: span.polys,
        rows: span.rows.len(),
        list,
    }
}

/// Rows to read, each canonical modulo its prime.
pub(super) fn gather(t: &Tables, src: Ref<Oracle>) -> Rows {
    check(t, src.buffer.n, &src.span);
    read(src, |at| i128::from(t.primes[at.prime]))
}

/// Rows to read where the primes are not known.
pub(super) fn gather_any(src: Ref<Oracle>) -> Rows {
    read(src, |at| at.p)
}

/// Writes every row: the integers that `f` gives, modulo its prime.
pub(super) fn scatter(t: &Tables, dst: Mut<Oracle>, f: impl Fn(At) -> Vec<i128>) {
    check(t, dst.buffer.n, &dst.span);
    scatter_any(dst, |at| {
        let p = i128::from(t.primes[at.prime]);
        f(At { p, ..at }).iter().map(|x| x.rem_euclid(p) as u32).collect()
    });
}

/// Writes every row as `f` gives it.
pub(super) fn scatter_any(dst: Mut<Oracle>, f: impl Fn(At) -> Vec<u32>) {
    let (n, span) = (dst.buffer.n, dst.span);
    assert!(
        span.count() == 0 || span.end() * n <= dst.buffer.words.len(),
        "rows to write lie within the buffer"
    );
    assert!(span.is_disjoint(), "rows to write are apart");
    for at in places(&span) {
        let row = f(at);
        assert!(row.iter().all(|w| *w < LIMIT), "rows are canonical at exit");
        dst.buffer.words[span.position(at.item, at.poly, at.row) * n..][..n].copy_from_slice(&row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        arith::ntt_primes,
        backend::{Backend, Row, compact},
        ring::Basis,
    };

    /// Two buffers of two rows; the words of the first are given, the second was never written.
    fn run(words: &[u32], f: impl FnOnce(&Tables, Buffer, Buffer)) {
        let primes: Vec<u32> = ntt_primes(1, 2, 100).take(2).collect();
        let t = Oracle.tables(&Basis::new(1, &primes).unwrap()).unwrap();
        let mut first = Oracle.alloc(1, 2).unwrap();
        let rows = compact(&[0, 1]);
        Oracle
            .upload(Mut::new(&mut first, Span::dense(1, 1, &rows)), words)
            .unwrap();
        f(&t, first, Oracle.alloc(1, 2).unwrap());
    }

    #[test]
    #[should_panic(expected = "written before they are read")]
    fn refuses_rows_that_were_never_written() {
        run(&[1, 2, 3, 4], |t, first, mut second| {
            let rows = compact(&[0, 1]);
            let span = Span::dense(1, 1, &rows);
            let _ = Oracle.add(t, Mut::new(&mut second, span), Ref::new(&first, span));
        });
    }

    #[test]
    #[should_panic(expected = "canonical at entry")]
    fn refuses_residues_that_are_not_canonical() {
        run(&[1, 2, 100, 4], |t, first, mut second| {
            let rows = compact(&[0, 1]);
            let (span, c) = (Span::dense(1, 1, &rows), [1, 1]);
            let _ = Oracle.mul_const(t, Mut::new(&mut second, span), Ref::new(&first, span), &c);
        });
    }

    #[test]
    #[should_panic(expected = "the same primes in the same order")]
    fn refuses_operands_of_other_primes() {
        run(&[1, 2, 3, 4], |_, first, mut second| {
            let (rows, turned) = (compact(&[0, 1]), compact(&[1, 0]));
            let (dst, src) = (Span::dense(1, 1, &rows), Span::dense(1, 1, &turned));
            let _ = Oracle.copy(Mut::new(&mut second, dst), Ref::new(&first, src));
        });
    }

    #[test]
    #[should_panic(expected = "rows to write are apart")]
    fn refuses_destinations_that_coincide() {
        run(&[1, 2, 3, 4], |_, _, mut second| {
            let rows = [Row { at: 0, prime: 0 }; 2];
            let _ = Oracle.zero(Mut::new(&mut second, Span::dense(1, 1, &rows)));
        });
    }

    #[test]
    #[should_panic(expected = "lie within the buffer")]
    fn refuses_rows_beyond_the_buffer() {
        run(&[1, 2, 3, 4], |_, first, mut second| {
            let rows = [Row { at: 2, prime: 0 }];
            let span = Span::dense(1, 1, &rows);
            let _ = Oracle.copy(Mut::new(&mut second, span), Ref::new(&first, span));
        });
    }
}
