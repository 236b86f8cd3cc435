//! How operations address rows: `[item][poly][row][n]`, rows by index list.

use smallvec::SmallVec;

use super::Backend;

/// One row of a polynomial: where it lies, and which prime it is taken modulo.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Row {
    /// Position within the polynomial, in rows.
    pub at: u32,
    /// Index of the prime in the basis of the tables.
    pub prime: u32,
}

/// The primes of rows.
pub(crate) fn primes_of(rows: &[Row]) -> Vec<u32> {
    rows.iter().map(|r| r.prime).collect()
}

/// What is one for all items, or one an item: of the items from `first` on.
#[cfg(any(feature = "cuda", feature = "wgpu"))]
pub(crate) fn of_items<T>(all: &[T], first: usize, items: usize) -> &[T] {
    match all.len() {
        1 => all,
        _ => &all[first..first + items],
    }
}

/// The rows that hold the given primes in order, without gaps.
pub fn compact(primes: &[u32]) -> Vec<Row> {
    primes
        .iter()
        .enumerate()
        .map(|(at, prime)| Row {
            at: at as u32,
            prime: *prime,
        })
        .collect()
}

/// Which rows of a buffer an operation touches. All distances are in rows of N words.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// First row of the first polynomial of the first item.
    pub offset: usize,
    /// Number of items; operands broadcast along items with `item_stride` 0.
    pub items: usize,
    /// Rows from one item to the next.
    pub item_stride: usize,
    /// Number of polynomials of an item.
    pub polys: usize,
    /// Rows from one polynomial to the next.
    pub poly_stride: usize,
    /// The rows of one polynomial.
    pub rows: &'a [Row],
}

impl<'a> Span<'a> {
    /// `[items][polys][rows]` without gaps, from the start of a buffer.
    pub fn dense(items: usize, polys: usize, rows: &'a [Row]) -> Self {
        Self {
            offset: 0,
            items,
            item_stride: polys * rows.len(),
            polys,
            poly_stride: rows.len(),
            rows,
        }
    }

    /// The items from `first`, `items` of them.
    pub fn slice_items(self, first: usize, items: usize) -> Self {
        Self {
            offset: self.offset + first * self.item_stride,
            items,
            ..self
        }
    }

    /// Every `step`-th item from `first`, `items` of them.
    pub fn every_item(self, first: usize, step: usize, items: usize) -> Self {
        Self {
            offset: self.offset + first * self.item_stride,
            items,
            item_stride: step * self.item_stride,
            ..self
        }
    }

    /// The polynomials from `first`, `polys` of them.
    pub fn slice_polys(self, first: usize, polys: usize) -> Self {
        Self {
            offset: self.offset + first * self.poly_stride,
            polys,
            ..self
        }
    }

    /// The polynomials of the first item, as items of one polynomial each.
    pub fn polys_as_items(self) -> Self {
        Self {
            items: self.polys,
            item_stride: self.poly_stride,
            polys: 1,
            ..self
        }
    }

    /// The same items and polynomials, other rows.
    pub fn with_rows(self, rows: &'a [Row]) -> Self {
        Self { rows, ..self }
    }

    /// The first item, repeated: an operand that all `items` share.
    pub fn repeat_items(self, items: usize) -> Self {
        Self {
            items,
            item_stride: 0,
            ..self
        }
    }

    /// The first polynomial, repeated: an operand that all `polys` share.
    pub fn repeat_polys(self, polys: usize) -> Self {
        Self {
            polys,
            poly_stride: 0,
            ..self
        }
    }

    /// Position of a row in the buffer.
    pub fn position(&self, item: usize, poly: usize, row: usize) -> usize {
        self.offset + item * self.item_stride + poly * self.poly_stride + self.rows[row].at as usize
    }

    /// Number of rows touched, repeats counted.
    pub fn count(&self) -> usize {
        self.items * self.polys * self.rows.len()
    }

    /// One past the last position touched.
    pub fn end(&self) -> usize {
        let last = self.rows.iter().map(|r| r.at as usize + 1).max().unwrap_or(0);
        let far = |n: usize, stride: usize| n.saturating_sub(1) * stride;
        self.offset + far(self.items, self.item_stride) + far(self.polys, self.poly_stride) + last
    }

    /// Whether no two touched rows coincide, for spans that nest (rows in polynomials in items, or items in polynomials).
    pub fn is_disjoint(&self) -> bool {
        let rows = self.rows.iter().map(|r| r.at as usize + 1).max().unwrap_or(0);
        // Most lists ascend.
        let distinct = self.rows.is_sorted_by(|a, b| a.at < b.at) || {
            let mut at: SmallVec<[u32; 64]> = self.rows.iter().map(|r| r.at).collect();
            at.sort_unstable();
            at.windows(2).all(|w| w[0] != w[1])
        };
        let apart = |inner: usize, n: usize, stride: usize| n <= 1 || stride >= inner;
        let extent = |inner: usize, n: usize, stride: usize| inner + n.saturating_sub(1) * stride;
        let nested = |a: (usize, usize), b: (usize, usize)| {
            apart(rows, a.0, a.1) && apart(extent(rows, a.0, a.1), b.0, b.1)
        };
        let (items, polys) = ((self.items, self.item_stride), (self.polys, self.poly_stride));
        distinct && (nested(polys, items) || nested(items, polys))
    }
}

/// Rows to read.
pub struct Ref<'a, B: Backend> {
    /// The memory.
    pub buffer: &'a B::Buffer,
    /// The rows.
    pub span: Span<'a>,
}

impl<B: Backend> Clone for Ref<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for Ref<'_, B> {}

impl<'a, B: Backend> Ref<'a, B> {
    /// Rows of `buffer` given by `span`.
    pub fn new(buffer: &'a B::Buffer, span: Span<'a>) -> Self {
        Self { buffer, span }
    }

    /// The same memory with another span.
    pub fn map(self, span: impl FnOnce(Span<'a>) -> Span<'a>) -> Self {
        Self {
            span: span(self.span),
            ..self
        }
    }
}

/// Rows to write (or to update in place). No two of them coincide.
pub struct Mut<'a, B: Backend> {
    /// The memory.
    pub buffer: &'a mut B::Buffer,
    /// The rows.
    pub span: Span<'a>,
}

impl<'a, B: Backend> Mut<'a, B> {
    /// Rows of `buffer` given by `span`.
    pub fn new(buffer: &'a mut B::Buffer, span: Span<'a>) -> Self {
        Self { buffer, span }
    }

    /// The same rows for a shorter time.
    pub fn again(&mut self) -> Mut<'_, B> {
        Mut {
            buffer: self.buffer,
            span: self.span,
        }
    }

    /// Another span of the same memory, for a shorter time.
    pub fn part<'b>(&'b mut self, span: impl FnOnce(Span<'b>) -> Span<'b>) -> Mut<'b, B> {
        Mut {
            span: span(self.span),
            buffer: self.buffer,
        }
    }

    /// The same rows, to read.
    pub fn read(&self) -> Ref<'_, B> {
        Ref {
            buffer: self.buffer,
            span: self.span,
        }
    }
}
