//! What a plan costs, by formulas.
//!
//! With tiles M = ceil(m / b), K = ceil(k / i), N' = ceil(n / o), of the transposed product if the right operand alone is encrypted:
//!
//! | | one request |
//! |---|---|
//! | ciphertexts up | M K (and K N' if both are encrypted) |
//! | products | M K N' |
//! | plain polynomials | K N' for all requests |
//! | ciphertexts down, cut | M N', N + (results) coefficients each |
//! | ciphertexts down, packed | ceil(M N' / i), 2 N coefficients each |
//! | automorphisms, packed | pairs of the merges of i ciphertexts, i - 1 for a full group |
//! | keys, packed | log2 i |

use serde::Serialize;

use super::{Block, Encrypted, Levels, Output, Request, Result};
use crate::{bfv::Params, rlwe::Level};

/// Costs of all requests of a plan together, keys of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Costs {
    /// Ciphertexts that clients send.
    pub ciphertexts_up: usize,
    /// Ciphertexts that come back.
    pub ciphertexts_down: usize,
    /// Polynomials of the plain operand.
    pub plain_polynomials: usize,
    /// Products of a ciphertext and a polynomial, or of two ciphertexts.
    pub products: usize,
    /// Automorphisms of ciphertexts.
    pub automorphisms: usize,
    /// Relinearisations.
    pub relinearisations: usize,
    /// Bytes of the encrypted operands, seeded, as they travel.
    pub bytes_up: usize,
    /// Bytes of the results as they travel.
    pub bytes_down: usize,
    /// Evaluation keys of a client.
    pub keys: usize,
    /// Bytes of those, seeded, as they travel; once for all products of the client.
    pub key_bytes: usize,
    /// Levels that ciphertexts go down.
    pub levels: usize,
    /// Microseconds of the server on one thread, plain polynomials on the fly, by the rates of the machine of reference.
    pub time_us: f64,
}

/// Nanoseconds on the machine of reference, one thread, AVX-512.
mod rates {
    /// A butterfly of a transform.
    pub const BUTTERFLY: f64 = 0.145;
    /// A product of residues and its sum.
    pub const PRODUCT: f64 = 0.15;
    /// A residue read and written, in a cache.
    pub const MOVE: f64 = 0.12;
    /// A residue copied from memory, a few lines of a row at a time.
    pub const FETCH: f64 = 0.5;
    /// A residue from a seed.
    pub const EXPAND: f64 = 0.55;
}

/// Bytes of a polynomial at a level as it travels, for `n` coefficients.
fn poly_bytes(params: &Params, level: Level, n: usize) -> Result<usize> {
    Ok(bits(params, &params.rlwe().level("cost", level)?.primes) * n / 8)
}

/// Bits of a residue modulo each of the primes together.
fn bits(params: &Params, primes: &[u32]) -> usize {
    let width = |i: &u32| 32 - (params.rlwe().basis().prime(*i).value() - 1).leading_zeros();
    primes.iter().map(|i| width(i) as usize).sum()
}

/// Merges of `items` ciphertexts, up to `count`, a power of two.
pub(super) fn merges(items: usize, count: usize) -> usize {
    (1..=count.ilog2()).map(|step| items.div_ceil(1 << step)).sum()
}

/// Stages of the transform of a polynomial of 2^length coefficients: pairs of them are left out while they only copy, down to the
/// six or seven that stay in registers.
fn stages(log_n: u32, length: u32) -> u32 {
    let mut stages = log_n;
    while stages >= length.max(6) + 2 {
        stages -= 2;
    }
    stages
}

/// Time of transforms and products, of one polynomial row.
struct Clock {
    n: f64,
    log_n: f64,
}

impl Clock {
    fn transforms(&self, rows: f64) -> f64 {
        rates::BUTTERFLY * rows * self.n / 2.0 * self.log_n
    }

    /// From level to level below, both components.
    fn step_down(&self, rows: f64) -> f64 {
        2.0 * self.transforms(rows) + 2.0 * rates::MOVE * self.n * rows
    }

    /// A key switch at a level of `rows` rows with `digits` digits and `special` primes.
    fn switch(&self, rows: f64, digits: f64, special: f64) -> f64 {
        let extended = digits * (rows + special) - rows;
        self.transforms(rows + extended + 2.0 * (special + rows))
    }
}

impl Costs {
    pub(super) fn new(
        params: &Params,
        request: &Request,
        block: Block,
        output: Output,
        levels: Levels,
    ) -> Result<Self> {
        let (n, shape) = (params.degree(), request.inner_shape());
        let (tiles, requests) = (block.tiles(shape), request.requests);
        let both = request.encrypted == Encrypted::Both;
        let (up, products, sums) = (
            tiles.m * tiles.k + if both { tiles.k * tiles.n } else { 0 },
            tiles.m * tiles.k * tiles.n,
            tiles.m * tiles.n,
        );
        let rlwe = params.rlwe();
        let rows = |level: Level| -> Result<f64> { Ok(rlwe.level("cost", level)?.primes.len() as f64) };
        let special = rlwe.special().len();
        let digits = |level: Level| -> Result<usize> {
            let of = |i: &u32| rlwe.digit_of().get(*i as usize).map_or(0, |d| usize::from(*d));
            Ok(rlwe
                .level("cost", level)?
                .primes
                .iter()
                .map(of)
                .max()
                .unwrap_or(0)
                + 1)
        };
        let key_bytes = |level: Level| -> Result<usize> {
            let extended = rlwe.level("cost", level)?.primes.iter().chain(rlwe.special());
            let extended: Vec<u32> = extended.copied().collect();
            Ok(digits(level)? * (bits(params, &extended) * n / 8) + 32)
        };
        let whole = poly_bytes(params, levels.output, n)?;
        let (down, bytes_down, automorphisms, packing_keys) = match output {
            Output::Cut => (
                sums,
                sums * whole + poly_bytes(params, levels.output, shape.m * shape.n)?,
                0,
                0,
            ),
            Output::Packed => {
                let (full, rest) = (sums / block.inner, sums % block.inner);
                let merged = full * merges(block.inner, block.inner);
                let rest = if rest > 0 { merges(rest, block.inner) } else { 0 };
                let down = sums.div_ceil(block.inner);
                let keys = block.inner.ilog2() as usize;
                (down, down * 2 * whole, merged + rest, keys)
            }
        };
        let relinearisations = if both { sums } else { 0 };
        let packing = packing_keys * key_bytes(levels.packing)?;
        let relinearising = if both { key_bytes(levels.input)? } else { 0 };

        let clock = Clock {
            n: n as f64,
            log_n: f64::from(rlwe.log_n()),
        };
        let top = rows(levels.input)?;
        let switch = |level: Level| -> Result<f64> {
            Ok(clock.switch(rows(level)?, digits(level)? as f64, special as f64))
        };
        let mut each = up as f64 * top * clock.n * rates::EXPAND;
        let mut shared = 0.0;
        if both {
            let auxiliary = params.auxiliary("cost", levels.input)?.len() as f64;
            let wide = top + auxiliary;
            each += 2.0 * up as f64 * clock.transforms(wide);
            each += 4.0 * products as f64 * wide * clock.n * rates::PRODUCT;
            each += sums as f64 * (3.0 * clock.transforms(wide + auxiliary + top) + switch(levels.input)?);
        } else {
            let plain = (tiles.k * tiles.n) as f64 * top;
            let stages = stages(rlwe.log_n(), block.right_length().ilog2());
            shared += plain * clock.transforms(1.0) * f64::from(stages) / clock.log_n;
            each += 2.0 * products as f64 * top * clock.n * rates::PRODUCT;
            each += 2.0 * up as f64 * top * clock.n * rates::FETCH;
        }
        let down_steps = |from: Level, to: Level| -> Result<f64> {
            let steps = (to.0 + 1..=from.0).map(Level);
            steps.map(|l| Ok(clock.step_down(rows(l)?))).sum()
        };
        each += match output {
            Output::Cut => sums as f64 * down_steps(levels.input, levels.output)?,
            Output::Packed => {
                let packing = rows(levels.packing)?;
                let merge = switch(levels.packing)? + 12.0 * packing * clock.n * rates::MOVE;
                sums as f64 * down_steps(levels.input, levels.packing)?
                    + automorphisms as f64 * merge
                    + down as f64 * down_steps(levels.packing, levels.output)?
            }
        };
        Ok(Self {
            ciphertexts_up: requests * up,
            ciphertexts_down: requests * down,
            plain_polynomials: if both { 0 } else { tiles.k * tiles.n },
            products: requests * products,
            automorphisms: requests * automorphisms,
            relinearisations: requests * relinearisations,
            bytes_up: requests * up * (poly_bytes(params, levels.input, n)? + 32),
            bytes_down: requests * bytes_down,
            keys: packing_keys + usize::from(both),
            key_bytes: packing + relinearising,
            levels: (levels.input.0 - levels.output.0) as usize,
            time_us: (shared + requests as f64 * each) / 1e3,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{merges, stages};

    #[test]
    fn stages_that_copy_are_left_out() {
        assert_eq!(
            [6, 7, 8, 9, 10, 13].map(|length| stages(13, length)),
            [7, 7, 9, 9, 11, 13]
        );
        assert_eq!([0, 6, 7, 12].map(|length| stages(12, length)), [6, 6, 8, 12]);
        assert_eq!(stages(4, 2), 4);
    }

    #[test]
    fn a_full_group_is_merged_by_one_switch_less_than_it_has_items() {
        assert_eq!([1, 2, 64].map(|i| merges(i, i)), [0, 1, 63]);
        // 3, 5 or 8 of 8: pairs of each of three steps.
        assert_eq!([3, 5, 8].map(|i| merges(i, 8)), [2 + 1 + 1, 3 + 2 + 1, 7]);
    }
}
