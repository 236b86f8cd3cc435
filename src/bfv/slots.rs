//! Slots of plaintexts: for a prime t = 1 modulo 2N, Z_t[X]/(X^N + 1) is N copies of Z_t.
//!
//! Slot (row r, column j) is m(psi^e) with e = (-1)^r 5^j modulo 2N, psi the smallest primitive 2N-th root of unity modulo t:
//! X -> X^5 moves every column one to the left, X -> X^(2N - 1) swaps the rows. Order of values: row 0, then row 1.

use zeroize::Zeroizing;

use super::PlainModulus;
use crate::arith::{Modulus, NttTable, bit_reverse};

/// How integers are packed into a plaintext polynomial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Value i is coefficient i: products are negacyclic convolutions.
    Coefficients,
    /// Value r N/2 + j is the slot in row r and column j: products are slotwise.
    Slots,
}

/// The transform between slots and coefficients.
pub(crate) struct Slots {
    table: NttTable,
    /// Where each slot is among the evaluations.
    at: Vec<usize>,
}

impl Slots {
    /// `None` when t is no prime below 2^30 that is 1 modulo 2N.
    pub(super) fn new(t: PlainModulus, log_n: u32) -> Option<Self> {
        let modulus = Modulus::new(u32::try_from(t.value()).ok()?).ok()?;
        let table = NttTable::new(modulus, log_n).ok()?;
        let (n, mask) = (1usize << log_n, (2usize << log_n) - 1);
        let mut at = vec![0; n];
        let mut e = 1;
        for j in 0..n / 2 {
            at[j] = bit_reverse((e - 1) / 2, log_n);
            at[n / 2 + j] = bit_reverse((2 * n - e - 1) / 2, log_n);
            e = (e * 5) & mask;
        }
        Some(Self { table, at })
    }

    /// N slots to N coefficients, in place; all in [0, t).
    pub(super) fn to_coefficients(&self, values: &mut [u64]) {
        let mut row = Zeroizing::new(vec![0u32; values.len()]);
        for (at, v) in self.at.iter().zip(values.iter()) {
            row[*at] = *v as u32;
        }
        self.table.inverse(&mut row);
        values
            .iter_mut()
            .zip(row.iter())
            .for_each(|(v, c)| *v = u64::from(*c));
    }

    /// N coefficients to N slots, in place; all in [0, t).
    pub(super) fn to_values(&self, coefficients: &mut [u64]) {
        let mut row: Zeroizing<Vec<u32>> = Zeroizing::new(coefficients.iter().map(|c| *c as u32).collect());
        self.table.forward(&mut row);
        for (at, v) in self.at.iter().zip(coefficients.iter_mut()) {
            *v = u64::from(row[*at]);
        }
    }
}
