//! Operands: where their rows lie, and what the rows hold.

use crate::{
    arith::Modulus,
    backend::{Row, Span, primes_of},
    ring::Basis,
};

/// Reproducible numbers (splitmix64, Steele, Lea, Flood 2014).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(super) fn shuffle<T>(&mut self, list: &mut [T]) {
        for i in (1..list.len()).rev() {
            let j = self.below(i + 1);
            list.swap(i, j);
        }
    }
}

/// How the rows of an operand lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `[items][polys][rows]`, nothing between.
    Dense,
    /// Offset, shuffled positions with gaps, strides with gaps.
    Gaps,
    /// Items inside of polynomials, rows from last to first.
    Swapped,
    /// One item for all, stride 0.
    SharedItems,
    /// One polynomial for all, stride 0.
    SharedPolys,
}

/// What the rows of an operand hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    Random,
    Zero,
    /// p - 1 everywhere.
    Max,
}

/// Rows in memory, and their words in the order of the stored span.
#[derive(Clone)]
pub(super) struct Operand {
    shape: Shape,
    offset: usize,
    items: usize,
    item_stride: usize,
    polys: usize,
    poly_stride: usize,
    rows: Vec<Row>,
    pub(super) words: Vec<u32>,
}

impl Operand {
    /// Places rows of the given primes; without words yet.
    pub(super) fn place(
        random: &mut Random,
        shape: Shape,
        items: usize,
        polys: usize,
        primes: &[u32],
    ) -> Self {
        let count = primes.len();
        let mut at: Vec<usize> = match shape {
            Shape::Gaps => (0..2 * count + 1).collect(),
            Shape::Swapped => (0..count).rev().collect(),
            _ => (0..count).collect(),
        };
        if shape == Shape::Gaps {
            random.shuffle(&mut at);
        }
        let (offset, item_stride, poly_stride) = match shape {
            Shape::Dense => (0, polys * count, count),
            Shape::Gaps => (3, polys * (2 * count + 2) + 1, 2 * count + 2),
            Shape::Swapped => (1, count, items * count + 1),
            Shape::SharedItems => (2, 0, count + 1),
            Shape::SharedPolys => (1, count + 2, 0),
        };
        let rows = primes.iter().zip(at).map(|(prime, at)| Row {
            at: at as u32,
            prime: *prime,
        });
        Self {
            shape,
            offset,
            items,
            item_stride,
            polys,
            poly_stride,
            rows: rows.collect(),
            words: Vec::new(),
        }
    }

    /// The rows that an operation sees.
    pub(super) fn span(&self) -> Span<'_> {
        Span {
            offset: self.offset,
            items: self.items,
            item_stride: self.item_stride,
            polys: self.polys,
            poly_stride: self.poly_stride,
            rows: &self.rows,
        }
    }

    /// The rows that exist: shared ones once.
    pub(super) fn stored(&self) -> Span<'_> {
        let once = |n: usize, stride: usize| if stride == 0 { n.min(1) } else { n };
        Span {
            items: once(self.items, self.item_stride),
            polys: once(self.polys, self.poly_stride),
            ..self.span()
        }
    }

    /// Rows of the buffer: two more than the span reaches.
    pub(super) fn capacity(&self) -> usize {
        self.span().end() + 2
    }

    /// Positions of the buffer that the span does not touch.
    pub(super) fn others(&self) -> Vec<Row> {
        let span = self.span();
        let mut touched = vec![false; self.capacity()];
        for item in 0..span.items {
            for poly in 0..span.polys {
                for row in 0..span.rows.len() {
                    touched[span.position(item, poly, row)] = true;
                }
            }
        }
        let free = touched.iter().enumerate().filter(|(_, touched)| !**touched);
        free.map(|(at, _)| Row {
            at: at as u32,
            prime: 0,
        })
        .collect()
    }

    /// Words for every stored row, by position in the polynomial and coefficient.
    pub(super) fn write(mut self, n: usize, mut word: impl FnMut(usize, u32, usize) -> u32) -> Self {
        let mut words = Vec::with_capacity(self.stored().count() * n);
        for poly in 0..self.stored().items * self.stored().polys {
            for row in &self.rows {
                words.extend((0..n).map(|k| word(poly, row.prime, k)));
            }
        }
        self.words = words;
        self
    }

    /// Canonical words for every stored row.
    pub(super) fn fill(self, random: &mut Random, basis: &Basis, fill: Fill) -> Self {
        self.write(1 << basis.log_n(), |_, prime, _| {
            value(random, basis.prime(prime), fill)
        })
    }

    pub(super) fn describe(&self) -> String {
        let primes = primes_of(&self.rows);
        format!(
            "{:?} {}x{}, primes {primes:?}",
            self.shape, self.items, self.polys
        )
    }
}

/// A residue; one in eight random ones is an extreme.
pub(super) fn value(random: &mut Random, m: Modulus, fill: Fill) -> u32 {
    match fill {
        Fill::Zero => 0,
        Fill::Max => m.value() - 1,
        Fill::Random => match random.below(16) {
            0 => m.value() - 1,
            1 => 0,
            _ => m.reduce(random.next()),
        },
    }
}
