//! What kernels take by value, laid out as in `kernels/common.cuh`.

use cudarc::driver::DeviceRepr;

use crate::backend::{BackendError, Result, Row, Span};

/// Rows of a polynomial that one launch can address.
pub(super) const MAX_ROWS: usize = 192;
/// Keys of one inner product.
pub(super) const MAX_KEYS: usize = 64;
/// Digits of one inner product.
pub(super) const MAX_DIGITS: usize = 64;
/// Conversions of one launch, and their targets.
pub(super) const MAX_CONVERSIONS: usize = 16;
pub(super) const MAX_TARGETS: usize = 512;

/// What a launch runs over.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) log_n: u32,
    pub(super) polys: u32,
    pub(super) first: u32,
    pub(super) rows: u32,
    pub(super) prime: [u16; MAX_ROWS],
}

/// Where the rows of an operand lie.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Rows {
    words: u64,
    item_stride: u32,
    poly_stride: u32,
    at: [u16; MAX_ROWS],
}

/// The prepared constants of a base conversion.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct ConversionConstants {
    pub(super) factors: u64,
    pub(super) fractions: u64,
    pub(super) weights: u64,
    pub(super) sources: u32,
    pub(super) targets: u32,
}

/// What a kernel adds to its result: a factor times a row, where there is one.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Addend {
    rows: Rows,
    factor: [u32; MAX_ROWS],
}

impl Addend {
    /// `at[i]` is the row of `rows` that is added to row i of the result, if any, times `factor[i]`, which is in Montgomery's form.
    pub(super) fn new(rows: Rows, at: &[Option<u32>], factor: &[u32]) -> Result<Self> {
        let mut addend = Self {
            rows: Rows {
                at: [NO_ROW; MAX_ROWS],
                ..rows
            },
            factor: [0; MAX_ROWS],
        };
        for (entry, at) in addend.rows.at.iter_mut().zip(at) {
            if let Some(at) = at {
                *entry = narrow(*at)?;
            }
        }
        for (entry, factor) in addend.factor.iter_mut().zip(factor) {
            *entry = *factor;
        }
        Ok(addend)
    }

    /// Nothing.
    pub(super) fn none() -> Self {
        Self {
            rows: Rows {
                words: 0,
                item_stride: 0,
                poly_stride: 0,
                at: [NO_ROW; MAX_ROWS],
            },
            factor: [0; MAX_ROWS],
        }
    }
}

const NO_ROW: u16 = u16::MAX;

/// Factors of the last stage of an inverse transform.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Ends {
    scaled: u32,
    one: [u32; MAX_ROWS],
    twist: [u32; MAX_ROWS],
}

impl Ends {
    /// Those of the rows, or those of their primes.
    pub(super) fn new(ends: Option<&[[u32; 2]]>) -> Self {
        let mut all = Self {
            scaled: u32::from(ends.is_some()),
            one: [0; MAX_ROWS],
            twist: [0; MAX_ROWS],
        };
        let entries = all.one.iter_mut().zip(&mut all.twist);
        for ((one, twist), ends) in entries.zip(ends.unwrap_or_default()) {
            (*one, *twist) = (ends[0], ends[1]);
        }
        all
    }
}

/// Several conversions, and where their targets go.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Conversions {
    pub(super) words: u64,
    pub(super) item_stride: u32,
    pub(super) poly_stride: u32,
    pub(super) count: u32,
    pub(super) part: [ConversionConstants; MAX_CONVERSIONS],
    pub(super) source: [u16; MAX_CONVERSIONS],
    pub(super) target: [u16; MAX_CONVERSIONS],
    pub(super) at: [u16; MAX_TARGETS],
    pub(super) prime: [u16; MAX_TARGETS],
}

/// Digits as the outer pass left them, and the rows of each digit's own primes.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Digits {
    words: u64,
    own: Rows,
    of: [u8; MAX_ROWS],
}

impl Digits {
    /// `own[i]` is the row at `rows` that row i of digit `of` is.
    pub(super) fn new(words: u64, rows: Rows, own: &[Option<(u32, u8)>]) -> Result<Self> {
        let mut digits = Self {
            words,
            own: rows,
            of: [u8::MAX; MAX_ROWS],
        };
        for (i, own) in own.iter().enumerate().take(MAX_ROWS) {
            if let Some((at, digit)) = own {
                (digits.own.at[i], digits.of[i]) = (narrow(*at)?, *digit);
            }
        }
        Ok(digits)
    }
}

/// The keys of sums, and the automorphisms of their results.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Keys {
    pub(super) words: [u64; MAX_KEYS],
    pub(super) inverse: [u32; MAX_KEYS],
    pub(super) rows: u32,
    pub(super) key_step: u32,
    pub(super) element_step: u32,
    pub(super) digits: u32,
    pub(super) at: [u16; MAX_ROWS],
    pub(super) digit: [u8; MAX_DIGITS],
    pub(super) addends: u32,
}

// SAFETY: plain data in the layout of the kernels' structures, pointers as 64-bit addresses of the device.
unsafe impl DeviceRepr for Shape {}
// SAFETY: as above.
unsafe impl DeviceRepr for Rows {}
// SAFETY: as above.
unsafe impl DeviceRepr for ConversionConstants {}
// SAFETY: as above.
unsafe impl DeviceRepr for Conversions {}
// SAFETY: as above.
unsafe impl DeviceRepr for Ends {}
// SAFETY: as above.
unsafe impl DeviceRepr for Addend {}
// SAFETY: as above.
unsafe impl DeviceRepr for Digits {}
// SAFETY: as above.
unsafe impl DeviceRepr for Keys {}

const TOO_MANY: BackendError = BackendError::Unsupported {
    need: "polynomials of more than 192 rows on CUDA",
};

/// A small number of a kernel's table.
pub(super) fn narrow(x: u32) -> Result<u16> {
    u16::try_from(x).map_err(|_| TOO_MANY)
}

fn table(rows: &[Row], of: impl Fn(&Row) -> u32) -> Result<[u16; MAX_ROWS]> {
    if rows.len() > MAX_ROWS {
        return Err(TOO_MANY);
    }
    let mut table = [0; MAX_ROWS];
    for (entry, row) in table.iter_mut().zip(rows) {
        *entry = narrow(of(row))?;
    }
    Ok(table)
}

impl Shape {
    /// Of rows that are none of residues.
    pub(super) fn of_rows(rows: u32) -> Self {
        Self {
            log_n: 0,
            polys: 1,
            first: 0,
            rows,
            prime: [0; MAX_ROWS],
        }
    }

    pub(super) fn new(log_n: u32, span: &Span) -> Result<Self> {
        Ok(Self {
            log_n,
            polys: span.polys as u32,
            first: 0,
            rows: span.rows.len() as u32,
            prime: table(span.rows, |r| r.prime)?,
        })
    }
}

impl Rows {
    /// The rows of `span` of the memory at `address`.
    pub(super) fn new(address: u64, log_n: u32, span: &Span) -> Result<Self> {
        Ok(Self {
            words: address + ((span.offset as u64) << (log_n + 2)),
            item_stride: span.item_stride as u32,
            poly_stride: span.poly_stride as u32,
            at: table(span.rows, |r| r.at)?,
        })
    }

    /// The address, and the strides of items and polynomials in rows.
    pub(super) fn place(&self) -> [u64; 3] {
        [self.words, self.item_stride.into(), self.poly_stride.into()]
    }
}
