//! Recorded circuits.

use cipherformer::{
    backend::{Backend, BackendError, Mut, Span, compact, cpu::Cpu},
    rlwe::{Context, Expansion, KeyStore, Level},
};
use libtest_mimic::Failed;

use super::{
    faults::Faults,
    open,
    work::{Circuit, LevelWork, Outcome, params},
};

/// The degree at which everything is fused.
const LOG_N: u32 = 12;

pub fn replays_give_the_bits_of_direct_runs() -> Result<(), Failed> {
    let cuda = open();
    let ctx = Context::new(cuda.clone(), params(LOG_N, 2))?;
    let host = Context::new(Cpu::new(), params(LOG_N, 2))?;
    let (mut work, mut want) = (
        LevelWork::new(&ctx, Level(1), 2)?,
        LevelWork::new(&host, Level(1), 2)?,
    );
    let (graph, results) = cuda.record(|| work.run())?;
    let mut seen = Vec::new();
    for seed in [5, 6, 6, 7] {
        work.write(seed)?;
        want.write(seed)?;
        // Work between replays takes memory that is not the recording's.
        let other = work.read(&work.run()?)?;
        graph.launch()?;
        let words = work.read(&results)?;
        assert_eq!(words, want.read(&want.run()?)?, "operands {seed}");
        assert_eq!(words, other);
        seen.push(words);
    }
    assert!(seen[0] != seen[1] && seen[1] == seen[2] && seen[2] != seen[3]);
    Ok(())
}

pub fn a_recorded_circuit_keeps_what_it_needs() -> Result<(), Failed> {
    let faults = Faults::new();
    let before = (faults.bytes(), faults.objects());
    let cuda = open();
    let circuit = Circuit::new(cuda.clone(), LOG_N)?;
    let want = circuit.read(&circuit.run()?)?;
    let (graph, results) = cuda.record(|| circuit.run())?;
    let Circuit { ckks, keys, x } = circuit;
    drop(keys);
    drop(x.clone());
    // Memory of the keys would go to these, if it were free.
    let rows = compact(&[0]);
    let mut others = Vec::new();
    for _ in 0..64 {
        let span = Span::dense(1, 1, &rows);
        let mut buffer = cuda.alloc(LOG_N, 1)?;
        cuda.upload(Mut::new(&mut buffer, span), &vec![1; 1 << LOG_N])?;
        others.push(buffer);
    }
    for _ in 0..2 {
        graph.launch()?;
        let ctx = ckks.context();
        let mut words = Vec::new();
        for result in &results {
            let view = result.rlwe().view();
            let mut own = vec![0; view.span.count() << ctx.log_n()];
            cuda.download(view, &mut own)?;
            words.extend(own);
        }
        assert_eq!(words, want);
    }
    drop((graph, results, ckks, x, others, cuda));
    assert_eq!((faults.bytes(), faults.objects()), before);
    Ok(())
}

pub fn recordings_refuse_what_they_cannot_hold() -> Result<(), Failed> {
    let faults = Faults::new();
    let before = (faults.bytes(), faults.objects());
    let cuda = open();
    let ctx = Context::new(cuda.clone(), params(LOG_N, 2))?;
    let work = LevelWork::new(&ctx, Level(1), 1)?;
    let want = work.read(&work.run()?)?;
    let refused = |circuit: &dyn Fn() -> Outcome<()>, what: &str| {
        let error = cuda
            .record(circuit)
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default();
        assert!(
            error.contains("does not support") && error.contains(what),
            "{error}"
        );
    };
    refused(&|| work.read(&work.run()?).map(|_| ()), "results on the host");
    refused(&|| Ok(cuda.wait()?), "results on the host");
    let inner = || Ok(cuda.record(|| Ok::<_, BackendError>(())).map(|_| ())?);
    refused(&inner, "a recording within a recording");
    let elsewhere = || {
        std::thread::scope(|s| {
            let other = s.spawn(|| cuda.alloc(LOG_N, 1).map(|_| ()));
            other.join().unwrap()
        })
        .map_err(Into::into)
    };
    refused(&elsewhere, "another thread");
    // After each of them the device does what it did before.
    assert_eq!(work.read(&work.run()?)?, want);
    drop((work, ctx, cuda));
    assert_eq!((faults.bytes(), faults.objects()), before);
    Ok(())
}

/// What a recording expands has no values before it is replayed: a store must not keep it for others.
pub fn keys_of_a_store_are_not_expanded_by_a_recording() -> Result<(), Failed> {
    let cuda = open();
    let own = Circuit::new(cuda.clone(), LOG_N)?;
    let want = own.read(&own.run()?)?;
    let store = KeyStore::new(usize::MAX);
    let hold = |ctx: &_, keys| Ok(store.hold(ctx, keys, Expansion::OnUse)?);
    let circuit = Circuit::with(cuda.clone(), LOG_N, hold)?;
    let error = cuda.record(|| circuit.run()).err();
    let error = error.map(|e| e.to_string()).unwrap_or_default();
    assert!(
        error.contains("a key of a store while a circuit is recorded"),
        "{error}"
    );
    assert_eq!(circuit.read(&circuit.run()?)?, want);
    // Now they are expanded, and a recording finds them.
    let (graph, results) = cuda.record(|| circuit.run())?;
    graph.launch()?;
    assert_eq!(circuit.read(&results)?, want);
    Ok(())
}

pub fn failing_recordings_leave_nothing() -> Result<(), Failed> {
    let faults = Faults::new();
    let cuda = open();
    let ctx = Context::new(cuda.clone(), params(LOG_N, 2))?;
    let mut work = LevelWork::new(&ctx, Level(1), 1)?;
    let want = work.read(&work.run()?)?;
    let before = (faults.bytes(), faults.objects());
    let mut failures = 0;
    for n in 0.. {
        faults.plant(Faults::ALLOCATIONS, n);
        let recorded = cuda.record(|| work.run());
        faults.plant(Faults::ALLOCATIONS, -1);
        match recorded {
            Ok((graph, results)) => {
                work.write(1)?;
                graph.launch()?;
                assert_eq!(work.read(&results)?, want);
                break;
            }
            Err(error) => {
                assert!(error.to_string().contains("out of device memory"), "{error}");
                failures += 1;
            }
        }
        assert_eq!((faults.bytes(), faults.objects()), before, "allocation {n}");
    }
    assert!(failures > 5, "{failures}");
    let (graph, results) = cuda.record(|| work.run())?;
    faults.plant(Faults::LAUNCHES, 3);
    let error = graph.launch().unwrap_err().to_string();
    assert!(error.contains("lost"), "{error}");
    assert!(work.read(&results).unwrap_err().to_string().contains("lost"));
    faults.plant(Faults::LAUNCHES, -1);
    Ok(())
}
