//! Memory traffic of operations on a GPU, counted without one: what the CUDA backend would launch, with the bytes that each launch moves.
//!
//! Bytes are those that blocks read and write of operands; tables are counted apart ([`Launch`]). *Unfused* is the same operation by the
//! bodies of the derived operations, each part on its own. The *floor* is that of [`floor`](super::floor), distinct operands, keys and
//! results once. A *prediction* divides bytes by the rate of a device's memory: it is no measurement.

use std::collections::BTreeMap;

use super::{BenchError, Result, ckks, sums, transformer};
use crate::{
    backend::cuda::Launch,
    ring::{ChainKind, ChainSpec, ChainTable, build},
    rlwe::{Level, Params, RlweError, Spec},
};

/// Bytes a second that the memory of an A100 of 80 GB moves.
pub const A100_BYTES_PER_SECOND: f64 = 1.94e12;

/// Limb transfers of a product with relinearisation and rescaling at 47 limbs of N = 2^16, digits of 12 primes, when no two kernels are
/// fused: tensor 329, INTT 188, digits copied 94, conversion 380, NTT of digits 752, sums 826, P c added 282, ModDown 756.
pub const UNFUSED_LIMBS: f64 = 3607.0;

/// Limbs of that shape.
const LIMBS: usize = 47;

/// One operation.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Its name and shape.
    pub operation: String,
    /// log2 of the ring degree.
    pub log_n: u32,
    /// Every launch, in order.
    pub launches: Vec<Launch>,
    /// Bytes of the same operation by the derived bodies, where that was counted.
    pub unfused_bytes: Option<u64>,
    /// Bytes of distinct operands, keys and results.
    pub floor_bytes: f64,
}

/// All launches of one kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// How many.
    pub launches: usize,
    /// Bytes of operands read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Bytes of tables read.
    pub table_bytes: u64,
}

impl Traffic {
    /// Launches by kernel.
    pub fn kernels(&self) -> BTreeMap<&'static str, Kernel> {
        let mut kernels = BTreeMap::<_, Kernel>::new();
        for launch in &self.launches {
            let kernel = kernels.entry(launch.kernel).or_default();
            kernel.launches += 1;
            kernel.read_bytes += launch.read_bytes;
            kernel.written_bytes += launch.written_bytes;
            kernel.table_bytes += launch.table_bytes;
        }
        kernels
    }

    /// Bytes of operands that are read and written.
    pub fn moved_bytes(&self) -> u64 {
        self.launches.iter().map(Launch::moved_bytes).sum()
    }

    /// Bytes of tables that are read.
    pub fn table_bytes(&self) -> u64 {
        self.launches.iter().map(|l| l.table_bytes).sum()
    }

    /// Bytes as rows of the ring.
    pub fn limbs(&self, bytes: u64) -> f64 {
        bytes as f64 / f64::from(4u32 << self.log_n)
    }

    /// What an A100 would need for the bytes alone, tables included; a prediction.
    pub fn predicted_microseconds(&self) -> f64 {
        1e6 * (self.moved_bytes() + self.table_bytes()) as f64 / A100_BYTES_PER_SECOND
    }
}

/// A chain of 47 primes in digits of 12, one prime a level, at N = 2^16: the shape of the unfused figure. For counting, not for secrets.
fn params() -> Result<Params> {
    // More levels than a chain may have: the lowest one has four or five primes.
    let levels = 44;
    let spec = |base: u32| ChainSpec {
        log_n: 16,
        kind: ChainKind::Single,
        scale_bits: vec![29.0; levels],
        absorbed_bits: vec![0; levels - 1],
        base_bits: f64::from(base),
        digits: 4,
        special_margin_bits: 2.0,
        max_log2_qp: Some(4000.0),
    };
    let limbs = |chain: &ChainTable| chain.levels.last().map_or(0, |l| l.primes.len());
    let mut found = (85..150).step_by(5).map(|base| build(&spec(base)));
    match found.find(|c| c.as_ref().is_ok_and(|c| limbs(c) == LIMBS)) {
        Some(chain) => {
            let chain = chain.map_err(RlweError::from)?;
            Ok(Params::insecure(Spec { chain })?)
        }
        None => Err(BenchError::Rlwe(RlweError::NoLevel {
            operation: "traffic",
            level: Level(LIMBS as u32),
            top: levels as u32 - 1,
        })),
    }
}

/// Counts the operations that a GPU's speed is judged by.
pub fn measure() -> Result<Vec<Traffic>> {
    let mut all = ckks::traffic(&params()?)?;
    all.extend(sums::traffic()?);
    all.push(transformer::traffic()?);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fused_products_move_at_most_seventy_percent() {
        let mut all = ckks::traffic(&params().unwrap()).unwrap();
        all.extend(sums::traffic().unwrap());
        let product = &all[0];
        assert!(product.operation.contains("47 limbs"), "{}", product.operation);
        let limbs = product.limbs(product.moved_bytes() + product.table_bytes());
        println!("{limbs:.0} limbs of {UNFUSED_LIMBS}");
        assert!(limbs <= 0.7 * UNFUSED_LIMBS, "{limbs}");
        for operation in &all {
            // No launch is cheaper than what it cannot do without, and fusing never moves more.
            let moved = operation.moved_bytes();
            assert!(moved as f64 >= operation.floor_bytes, "{}", operation.operation);
            if let Some(unfused) = operation.unfused_bytes {
                assert!(moved <= unfused, "{}: {moved} of {unfused}", operation.operation);
            }
        }
    }
}
