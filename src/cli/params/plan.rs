//! What parameters give and cost.
//!
//! Precision: a product of numbers of size 1 with a rescale to level l leaves an error of standard deviation
//! sqrt(3 (1 + hw) / 12) sqrt(N / 2) / D_l in each part of a slot, hw = 2N / 3: the rounding of this rescale, and that of the
//! rescales before it in each factor. The figure is -log2 of it at the level where it is worst. Parameters without a product keep
//! what encryption leaves, sqrt((10.5 + 1/12) N / 2) / D.
//!
//! Sizes: in memory a residue has 32 bits, an expanded key two polynomials a digit modulo all primes, a ciphertext two modulo those of its
//! level. In a file a residue has the bits of its prime, and seeds stand for half of each.

use serde::Serialize;
use serde_json::Value;

use crate::rlwe::Params;

/// What is held in memory at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Workload {
    pub(super) ciphertexts: usize,
    /// Rotations with a key of their own; `None`: by all powers of two, log2(N / 2) of them.
    pub(super) rotations: Option<usize>,
}

impl Workload {
    /// Keys: the rotations and relinearisation.
    pub(super) fn keys(&self, log_n: u32) -> usize {
        self.rotations.unwrap_or(log_n as usize - 1).saturating_add(1)
    }

    /// Bytes of `keys` keys of `rows` rows each polynomial and digit, and of the ciphertexts.
    pub(super) fn bytes(&self, log_n: u32, digits: usize, key_rows: usize, rows: usize) -> u64 {
        let row = 4u64 << log_n;
        let key = (2 * digits * key_rows) as u64 * row;
        let keys = key.saturating_mul(self.keys(log_n) as u64);
        let ciphertexts = (2 * rows as u64 * row).saturating_mul(self.ciphertexts as u64);
        keys.saturating_add(ciphertexts)
    }
}

/// log2 of the standard deviation of the error of a product, times the scale.
pub(super) fn error_bits(log_n: u32) -> f64 {
    let n = f64::from(1u32 << log_n);
    ((3.0 * (1.0 + 2.0 * n / 3.0) / 12.0).sqrt() * (n / 2.0).sqrt()).log2()
}

/// Figures of one parameter set.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Plan {
    pub(super) log_n: u32,
    pub(super) log_qp: f64,
    pub(super) security_bits: u32,
    /// Products one after the other.
    pub(super) depth: u32,
    pub(super) scale_log2: f64,
    pub(super) precision_bits: f64,
    pub(super) ciphertext_bytes: u64,
    pub(super) seeded_ciphertext_file_bytes: u64,
    pub(super) keys: usize,
    pub(super) keys_bytes: u64,
    pub(super) seeded_keys_file_bytes: u64,
    pub(super) ciphertexts: usize,
    pub(super) memory_bytes: u64,
}

impl Plan {
    pub(super) fn new(params: &Params, work: &Workload) -> Self {
        let (log_n, top) = (params.log_n(), params.top());
        let rows = params.levels().last().map_or(&[][..], |l| &l.primes);
        let below = &params.levels()[..params.levels().len().saturating_sub(1)];
        let least = below.iter().map(|l| l.scale.log2()).min_by(f64::total_cmp);
        let scale_log2 = params.levels().last().map_or(0.0, |l| l.scale.log2());
        let fresh = scale_log2 - ((10.5 + 1.0 / 12.0) * params.degree() as f64 / 2.0).log2() / 2.0;
        let digits = params.report().digit_bits.len();
        let key_rows: Vec<u32> = (params.primes_up_to(top).iter())
            .chain(params.special())
            .copied()
            .collect();
        let keys = work.keys(log_n);
        let none = Workload {
            ciphertexts: 0,
            ..*work
        };
        let memory = |work: &Workload| work.bytes(log_n, digits, key_rows.len(), rows.len());
        let (keys_bytes, memory_bytes) = (memory(&none), memory(work));
        Self {
            log_n,
            log_qp: params.log2_qp(),
            security_bits: params.security_bits(),
            depth: top.0,
            scale_log2,
            precision_bits: least.map_or(fresh, |scale| scale - error_bits(log_n)),
            ciphertext_bytes: 2 * rows.len() as u64 * (4 << log_n),
            seeded_ciphertext_file_bytes: packed(params, rows) + 32,
            keys,
            keys_bytes,
            seeded_keys_file_bytes: keys as u64 * (digits as u64 * packed(params, &key_rows) + 32),
            ciphertexts: work.ciphertexts,
            memory_bytes,
        }
    }

    pub(super) fn json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// Bytes of one polynomial in a file: N residues of the bits of p - 1 for each prime p.
fn packed(params: &Params, rows: &[u32]) -> u64 {
    let primes = params.basis().primes();
    let bits = rows.iter().filter_map(|i| primes.get(*i as usize));
    let bits: u64 = bits
        .map(|p| u64::from(32 - (p.value() - 1).leading_zeros()))
        .sum();
    (bits << params.log_n()) / 8
}
