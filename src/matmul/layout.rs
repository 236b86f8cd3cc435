//! Where the entries of a product lie in ciphertexts, for each packing.
//!
//! Rows of all requests are stacked: row r = b m + t of R = m batch. N is the ring degree.

use super::{MatmulError, Packing, Result, Shape, blocks::Blocks, diagonal::Diagonal};

/// Slots or coefficients, and how many positions of an item are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Domain {
    /// So many complex slots.
    Slots(usize),
    /// N real coefficients.
    Coefficients,
}

/// The place of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Ciphertext of one client.
    pub(super) item: usize,
    /// Slot or coefficient.
    pub(super) at: usize,
    /// The imaginary part of the slot.
    pub(super) imaginary: bool,
}

/// One ciphertext a feature: `item = feature tiles + tile`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Features {
    pub(super) domain: Domain,
    pub(super) tiles: usize,
    /// Column packing: tokens of a tile, and requests padded to a power of two.
    tokens: usize,
    requests: usize,
    m: usize,
}

impl Features {
    /// Slots t B + b, as in [`Columns`](super::Columns); a request that is longer than a ciphertext is cut into tiles.
    fn slots(shape: Shape, degree: usize) -> Result<Self> {
        let slots = degree / 2;
        let batch = shape.batch.next_power_of_two();
        if batch > slots {
            return Err(MatmulError::Batch { batch, slots });
        }
        let tokens = shape.m.next_power_of_two().min(slots / batch);
        Ok(Self {
            domain: Domain::Slots(tokens * batch),
            tiles: shape.m.div_ceil(tokens),
            tokens,
            requests: batch,
            m: shape.m,
        })
    }

    /// Row r in coefficient r mod N of tile r / N.
    fn coefficients(shape: Shape, degree: usize) -> Self {
        Self {
            domain: Domain::Coefficients,
            tiles: shape.rows().div_ceil(degree),
            tokens: degree,
            requests: 1,
            m: shape.rows(),
        }
    }

    fn place(&self, row: usize, feature: usize) -> Place {
        let (b, t) = (row / self.m, row % self.m);
        Place {
            item: feature * self.tiles + t / self.tokens,
            at: t % self.tokens * self.requests + b,
            imaginary: false,
        }
    }
}

/// The layout of a packing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Features(Features),
    Blocks(Blocks),
    Diagonal(Diagonal),
}

impl Layout {
    pub(super) fn new(shape: Shape, packing: Packing, degree: usize) -> Result<Self> {
        Ok(match packing {
            Packing::Column => Self::Features(Features::slots(shape, degree)?),
            Packing::Gemm => Self::Features(Features::coefficients(shape, degree)),
            Packing::Blocks => Self::Blocks(Blocks::choose(shape, degree)),
            Packing::Diagonal => Self::Diagonal(Diagonal::new(shape, degree)),
        })
    }

    pub(super) fn domain(&self) -> Domain {
        match self {
            Self::Features(l) => l.domain,
            Self::Blocks(_) => Domain::Coefficients,
            Self::Diagonal(l) => Domain::Slots(l.slots()),
        }
    }

    /// Ciphertexts of a client: (inputs, outputs).
    pub(super) fn items(&self, shape: Shape) -> (usize, usize) {
        match self {
            Self::Features(l) => (shape.k * l.tiles, shape.n * l.tiles),
            Self::Blocks(l) => (
                l.row_blocks(shape) * l.inner_blocks(shape),
                l.row_blocks(shape) * l.output_blocks(shape),
            ),
            Self::Diagonal(l) => (l.tiles * l.inputs, l.tiles * l.outputs),
        }
    }

    /// Of X at (row, feature).
    pub(super) fn input(&self, shape: Shape, row: usize, feature: usize) -> Place {
        match self {
            Self::Features(l) => l.place(row, feature),
            Self::Blocks(l) => l.input(shape, row, feature),
            Self::Diagonal(l) => l.input(row, feature),
        }
    }

    /// Of X W at (row, feature).
    pub(super) fn output(&self, shape: Shape, row: usize, feature: usize) -> Place {
        match self {
            Self::Features(l) => l.place(row, feature),
            Self::Blocks(l) => l.output(shape, row, feature),
            Self::Diagonal(l) => l.output(row, feature),
        }
    }
}
