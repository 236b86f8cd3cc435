//! What a circuit that ran before asks of the driver: launches and copies, and nothing that makes the host wait for the device.

use cipherformer::backend::Backend;
use libtest_mimic::Failed;

use super::{
    faults::Faults,
    open,
    work::{Circuit, Outcome},
};

/// Rounds until the pool has memory of every size that the circuit asks for: it may give memory to less than it could hold, and need more.
const COLD: usize = 5;
const ROUNDS: usize = 8;
/// Without and with fused transforms.
const DEGREES: [u32; 2] = [8, 12];
const NAMES: [&str; 4] = [
    "waits for the stream",
    "waits for the device",
    "allocations",
    "releases",
];

fn counts(faults: &Faults) -> [i64; 4] {
    [
        Faults::STREAM_WAITS,
        Faults::DEVICE_WAITS,
        Faults::ALLOCATED,
        Faults::RELEASED,
    ]
    .map(|call| faults.calls(call))
}

/// What a piece of work adds to the counts.
fn added(faults: &Faults, work: impl FnOnce() -> Outcome<()>) -> Result<[i64; 4], Failed> {
    let before = counts(faults);
    work()?;
    let after = counts(faults);
    Ok([0, 1, 2, 3].map(|i| after[i] - before[i]))
}

/// Nothing waits, and nothing comes from the device or goes back to it: neither when the circuit runs, nor when a recording of it is
/// replayed, nor when its results are dropped.
pub fn a_warm_circuit_neither_allocates_nor_waits() -> Result<(), Failed> {
    let faults = Faults::new();
    for log_n in DEGREES {
        let cuda = open();
        let circuit = Circuit::new(cuda.clone(), log_n)?;
        for round in 0..ROUNDS {
            let counts = added(&faults, || circuit.run().map(drop))?;
            // Waits are none of a cold round either.
            assert_eq!(counts[..2], [0, 0], "2^{log_n}, round {round}: {NAMES:?}");
            assert!(
                round > 0 || counts[2] > 0,
                "a cold round takes its memory from the device"
            );
            if round >= COLD {
                assert_eq!(counts, [0; 4], "2^{log_n}, round {round}: {NAMES:?}");
            }
        }
        let (graph, results) = cuda.record(|| circuit.run())?;
        assert_eq!(
            added(&faults, || Ok(graph.launch()?))?,
            [0; 4],
            "a replay: {NAMES:?}"
        );
        // What does wait is seen to: the counts can be other than zero.
        assert_eq!(added(&faults, || Ok(cuda.wait()?))?, [1, 0, 0, 0]);
        let words = added(&faults, || circuit.read(&results).map(drop))?;
        assert!(
            words[0] > 0 && words[1] == 0,
            "a download waits for the stream alone"
        );
    }
    Ok(())
}
