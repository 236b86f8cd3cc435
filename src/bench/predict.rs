//! What an A100 would take, from counts: a prediction, not a measurement.
//!
//! time = max(bytes / 1.94 TB/s, products / (9.7 T/s / 2), launches x 2 us)
//!
//! The counts are those of the [`Null`](crate::backend::null::Null) backend: every operation as it is defined, each of its parts a
//! launch that reads its operands from memory and writes its result there. A backend that fuses parts moves less; caches make
//! what is small faster than its bytes. 1.94 TB/s is the memory of the card with 80 GB (PCIe) by its data sheet; 9.7 T/s are 108
//! multiprocessors of 64 32-bit multiplications at 1.41 GHz, two of which make a product of 64 bits; 2 us a launch is an assumption.

use crate::backend::null::{Counts, Operation};

/// Bytes a second.
const MEMORY: f64 = 1.94e12;
/// Products of 32-bit words in 64 bits a second.
const PRODUCTS: f64 = 108.0 * 64.0 * 1.41e9 / 2.0;
/// Seconds of a launch.
const LAUNCH: f64 = 2e-6;

/// A prediction for one run of something that was counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Bytes that its operations read and write.
    pub moved_bytes: u64,
    /// Launches, one for each part of an operation.
    pub launches: u64,
    /// Microseconds on an A100.
    pub a100_us: f64,
}

impl Prediction {
    /// From what was counted.
    pub fn new(counts: &Counts) -> Self {
        // Derived operations count no bytes of their own: their parts do, and those are what is launched.
        let parts = counts.operations.iter().filter(|(operation, tally)| {
            **operation != Operation::Wait && tally.read_bytes + tally.written_bytes > 0
        });
        let launches = parts.map(|(_, tally)| tally.calls).sum();
        let moved_bytes = counts.traffic_bytes();
        let seconds = [
            moved_bytes as f64 / MEMORY,
            counts.products as f64 / PRODUCTS,
            launches as f64 * LAUNCH,
        ];
        Self {
            moved_bytes,
            launches,
            a100_us: 1e6 * seconds.into_iter().fold(0.0, f64::max),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::bench::GROUPS;

    /// The transform of one row of 2^14 words: 64 kB in and out, one launch, which takes longest.
    #[test]
    fn a_transform_by_hand() {
        let group = GROUPS
            .iter()
            .find(|g| g.log_n == 14 && g.ops.contains(&"ntt/forward"))
            .unwrap();
        let [(op, prediction)] = group.predict(&["ntt/forward"]).unwrap()[..] else {
            panic!("one operation was asked for")
        };
        assert_eq!(op, "ntt/forward");
        assert_eq!((prediction.moved_bytes, prediction.launches), (2 << 16, 1));
        assert_eq!(prediction.a100_us, 2.0);
    }

    /// Bytes moved are never less than those of operands and results, which no implementation does without.
    #[test]
    fn what_is_moved_is_at_least_the_floor() {
        let group = GROUPS
            .iter()
            .find(|g| g.log_n == 14 && g.ops.contains(&"ckks/rotate"))
            .unwrap();
        let predictions = group.predict(group.ops).unwrap();
        let cases = group.load(crate::backend::null::Null::new(), group.ops).unwrap();
        for ((op, prediction), case) in predictions.iter().zip(&cases) {
            assert_eq!(*op, case.op);
            assert!(prediction.moved_bytes as f64 >= case.work.bytes, "{op}");
            // By its bytes alone it takes as long as they do at 1.94 TB/s.
            assert!(
                prediction.a100_us * 1.94e6 >= prediction.moved_bytes as f64 * 0.999,
                "{op}"
            );
        }
    }
}
