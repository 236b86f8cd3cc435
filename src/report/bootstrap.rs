//! The result of the bootstrap benchmark.

use std::collections::BTreeMap;

use serde::Serialize;

use super::DeviceReport;
use crate::rlwe::{Params, StoreCounts};

/// Bits of a kind of message: minus log2 of the error of a slot.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Bits {
    /// Of the root mean square over all slots and runs.
    pub mean: f64,
    /// Of the largest error.
    pub worst: f64,
}

/// Bits after some bootstraps of one ciphertext in a row.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Successive {
    /// How many.
    pub bootstraps: usize,
    /// As measured.
    pub precision_bits: Bits,
    /// As foretold.
    pub predicted_bits: Bits,
}

/// Bits after a bootstrap in two rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Refined {
    /// log2 of what the error of the first was multiplied by.
    pub power: u32,
    /// As measured, by kind of message.
    pub precision_bits: BTreeMap<&'static str, Bits>,
    /// As foretold.
    pub predicted_bits: BTreeMap<&'static str, Bits>,
}

/// The primes of a bootstrap's parameters, and the security that they leave.
#[derive(Clone, Debug, Serialize)]
pub struct Moduli {
    /// log2 of every prime of a level.
    pub log_primes: Vec<f64>,
    /// log2 of every special prime.
    pub log_special: Vec<f64>,
    /// log2 of the product of all primes.
    pub log_qp: f64,
    /// Classical security in bits by the 2024 guideline table.
    pub security_bits: u32,
    /// log2 of the modulus under which the sparse secret is used.
    pub log_sparse_qp: f64,
}

impl Moduli {
    /// Of parameters, with log2 of the modulus of the sparse secret.
    pub fn new(params: &Params, log_sparse_qp: f64) -> Self {
        let log2 = |i: &u32| f64::from(params.basis().prime(*i).value()).log2();
        Self {
            log_primes: params.primes_up_to(params.top()).iter().map(log2).collect(),
            log_special: params.special().iter().map(log2).collect(),
            log_qp: params.log2_qp(),
            security_bits: params.security_bits(),
            log_sparse_qp,
        }
    }
}

/// Bootstraps with one set of parameters.
#[derive(Clone, Debug, Serialize)]
pub struct BootstrapReport {
    /// Its name.
    pub preset: &'static str,
    /// log2 of the ring degree.
    pub log_n: u32,
    /// Slots.
    pub slots: usize,
    /// What computed.
    #[serde(flatten)]
    pub device: DeviceReport,
    /// Threads of the CPU backend.
    pub threads: usize,
    /// Median seconds of a bootstrap; absent, as all other times, where they were not wanted.
    pub seconds: Option<f64>,
    /// Seconds as foretold right before, from parts; absent where keys are expanded on use.
    pub predicted_seconds: Option<f64>,
    /// Median seconds on the machine of reference, as `bench ops` scales times; absent without the feature `speed`.
    pub scaled_seconds: Option<f64>,
    /// Median seconds of every stage.
    pub stages: BTreeMap<&'static str, f64>,
    /// The same as foretold.
    pub predicted_stages: BTreeMap<&'static str, f64>,
    /// Median seconds of every stage for which a processor computed, whatever else ran: of one thread, where the system tells.
    pub processor_stages: BTreeMap<&'static str, f64>,
    /// Bits for every kind of message.
    pub precision_bits: BTreeMap<&'static str, Bits>,
    /// The same as foretold.
    pub predicted_bits: BTreeMap<&'static str, Bits>,
    /// Bootstraps of every kind of message.
    pub runs: usize,
    /// Bits by number of bootstraps in a row, by kind of message.
    pub successive: BTreeMap<&'static str, Vec<Successive>>,
    /// Bits of two rounds.
    pub refined: Option<Refined>,
    /// The level of results.
    pub levels_left: u32,
    /// The primes.
    #[serde(flatten)]
    pub moduli: Moduli,
    /// log2 of the probability that a bootstrap of one ciphertext fails.
    pub failure_log2: f64,
    /// Keys.
    pub keys: usize,
    /// Bytes of the keys as they are held: expanded, or seeded where they are expanded on use.
    pub key_bytes: usize,
    /// Keys that were expanded for their use, and the most bytes of keys.
    pub key_store: StoreCounts,
    /// Bytes of the diagonals of the matrices.
    pub matrix_bytes: usize,
    /// Bytes that were foretold for everything else.
    pub working_bytes: usize,
    /// Bytes that were allowed.
    pub budget_bytes: Option<u64>,
    /// Bytes of the keys as they travel.
    pub seeded_key_bytes: usize,
    /// What measures it again.
    pub command: String,
    /// Most memory that the process had on the host meanwhile, keys as they travel included, and what it had not given back from measurements before;
    /// 0 where the system does not say.
    pub peak_bytes: usize,
}
