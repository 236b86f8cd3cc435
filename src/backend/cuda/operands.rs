//! What kernels take by value, laid out as in `kernels/common.cuh`.

use cudarc::driver::DeviceRepr;

use crate::{
    arith::{Modulus, bit_reverse, smallest_root},
    backend::{BackendError, Result, Row, Span},
};

/// Rows of a polynomial that one launch can address.
pub(super) const MAX_ROWS: usize = 192;
/// Keys of one inner product.
pub(super) const MAX_KEYS: usize = 64;
/// Digits of one inner product.
pub(super) const MAX_DIGITS: usize = 64;

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

/// A prime with its constants.
#[repr(C, align(16))]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Prime {
    p: u32,
    inverse: u32,
    bits: u32,
    mu: u32,
    barrett: u64,
    last_one: u32,
    last_twist: u32,
    i: u32,
    unused: [u32; 3],
}

/// The prepared constants of a base conversion.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct ConversionConstants {
    pub(super) factors: u64,
    pub(super) fractions: u64,
    pub(super) weights: u64,
    pub(super) sources: u32,
    pub(super) targets: u32,
}

/// What a transform adds to its result: a factor times a row, where there is one.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Addend {
    rows: Rows,
    factors: u64,
}

impl Addend {
    /// `at[i]` is the row of `rows` that is added to row i of the result, if any; `factors` one number for each row of the result.
    pub(super) fn new(rows: Rows, at: &[Option<u32>], factors: u64) -> Result<Self> {
        let mut table = [NO_ROW; MAX_ROWS];
        for (entry, at) in table.iter_mut().zip(at) {
            if let Some(at) = at {
                *entry = narrow(*at)?;
            }
        }
        let rows = Rows { at: table, ..rows };
        Ok(Self { rows, factors })
    }
}

const NO_ROW: u16 = u16::MAX;

/// The keys of an inner product.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Keys {
    pub(super) words: [u64; MAX_KEYS],
    pub(super) rows: u32,
    pub(super) item_step: u32,
    pub(super) at: [u16; MAX_ROWS],
    pub(super) digit: [u16; MAX_DIGITS],
    pub(super) digits: u32,
}

// SAFETY: plain data in the layout of the kernels' structures, pointers as 64-bit addresses of the device.
unsafe impl DeviceRepr for Shape {}
// SAFETY: as above.
unsafe impl DeviceRepr for Rows {}
// SAFETY: as above.
unsafe impl DeviceRepr for Prime {}
// SAFETY: as above.
unsafe impl DeviceRepr for ConversionConstants {}
// SAFETY: as above.
unsafe impl DeviceRepr for Addend {}
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
}

/// 2^32 x mod p: Montgomery's form of a residue.
pub(super) fn montgomery(m: Modulus, x: u32) -> u32 {
    m.reduce(u64::from(x) << 32)
}

/// A prime's constants, and its twiddles (2^32 psi^bitrev(i), 2^32 psi^-bitrev(i)), i < N.
pub(super) fn prime(m: Modulus, log_n: u32) -> Result<(Prime, Vec<u32>, Vec<u32>)> {
    let no_root = BackendError::Unsupported { need: "this basis" };
    let psi = smallest_root(m, log_n).map_err(|_| no_root.clone())?;
    let inverse = |x| m.inv(x).ok_or(no_root.clone());
    let (n_inverse, psi_inverse) = (inverse(m.reduce(1 << log_n))?, inverse(psi)?);
    let powers = |base: u32| {
        let mut table = vec![0; 1 << log_n];
        let mut power = montgomery(m, 1);
        for i in 0..1 << log_n {
            table[bit_reverse(i, log_n)] = power;
            power = m.mul(power, base);
        }
        table
    };
    let (forward, backward) = (powers(psi), powers(psi_inverse));
    let (p, bits) = (m.value(), u32::BITS - m.value().leading_zeros());
    // Newton's iteration: p is its own inverse modulo 8.
    let inverse = (0..4).fold(p, |x, _| x.wrapping_mul(2u32.wrapping_sub(p.wrapping_mul(x))));
    let constants = Prime {
        p,
        inverse,
        bits,
        mu: ((1u64 << (2 * bits + 1)) / u64::from(p)) as u32,
        barrett: m.barrett(),
        last_one: montgomery(m, n_inverse),
        last_twist: m.mul(backward[1], n_inverse),
        i: montgomery(m, m.pow(psi, 1 << (log_n - 1))),
        unused: [0; 3],
    };
    Ok((constants, forward, backward))
}
