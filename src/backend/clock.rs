//! Time of work on a backend, without the turns that other programs have on the same processors meanwhile.

use std::time::Instant;

use super::{Backend, BackendError};

/// Least samples of [`usual_us`], seconds that they take together, at least and about at most, and seconds of a sample of several runs.
const SAMPLES: usize = 5;
const LEAST: f64 = 40e-3;
const MOST: f64 = 100e-3;
const SAMPLE: f64 = 4e-3;

/// Whether the calling thread does all the work of a backend: the CPU's, whose only thread it is.
pub(crate) fn alone(backend: &impl Backend) -> bool {
    // The only thread may be another one; and who has none yet is not to start them here.
    #[cfg(feature = "fallback")]
    let only = rayon::current_thread_index().is_some() && rayon::current_num_threads() == 1;
    #[cfg(not(feature = "fallback"))]
    let only = false;
    only && backend.capabilities().name == "cpu"
}

/// Seconds that the calling thread has had the processor; `None` where the system does not tell (it does on Linux).
pub(crate) fn processor_seconds() -> Option<f64> {
    #[cfg(target_os = "linux")]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Some(time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9)
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// A clock of time, and of processor time where that is asked for.
pub(crate) struct Stopwatch {
    start: Instant,
    processor: Option<f64>,
}

impl Stopwatch {
    /// Starts; `processor` asks for the calling thread's processor time too.
    pub(crate) fn start(processor: bool) -> Self {
        Self {
            start: Instant::now(),
            processor: processor.then(processor_seconds).flatten(),
        }
    }

    /// Seconds since the start: (by the clock, of the processor).
    pub(crate) fn seconds(&self) -> (f64, Option<f64>) {
        let elapsed = self.start.elapsed().as_secs_f64();
        let processor = self
            .processor
            .and_then(|before| Some(processor_seconds()? - before));
        (elapsed, processor)
    }
}

/// Usual microseconds of a run: the median of samples by the clock, or of the processor where the calling thread does all the work and that
/// is less. The least would not do for parts of a whole: each has its best moment, and the whole never has them all.
///
/// A sample is `count` runs, those that come one after the other where the time is to be used, or as many as take four milliseconds. One
/// run to warm up, then at least five samples, for at least forty milliseconds; less where they took longer than a hundred.
pub(crate) fn usual_us<B: Backend, E: From<BackendError>>(
    backend: &B,
    count: usize,
    mut run: impl FnMut() -> Result<(), E>,
) -> Result<f64, E> {
    let mut sample = |runs: usize| -> Result<(), E> {
        for _ in 0..runs {
            run()?;
        }
        Ok(backend.wait()?)
    };
    let alone = alone(backend);
    let warm = Instant::now();
    sample(1)?;
    let once = warm.elapsed().as_secs_f64().max(1e-9);
    let runs = ((SAMPLE / once) as usize).clamp(1, count.max(1));
    let (mut samples, start) = (Vec::with_capacity(SAMPLES), Instant::now());
    loop {
        let watch = Stopwatch::start(alone);
        sample(runs)?;
        let (elapsed, processor) = watch.seconds();
        samples.push(processor.map_or(elapsed, |p| p.min(elapsed)));
        let spent = start.elapsed().as_secs_f64();
        if (samples.len() >= SAMPLES && spent >= LEAST) || spent >= MOST {
            return Ok(median(&mut samples) * 1e6 / runs as f64);
        }
    }
}

/// The middle one, the upper one of two; not a number if there is none.
pub(crate) fn median(times: &mut [f64]) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(all(test, feature = "fallback"))]
mod tests {
    use super::*;
    use crate::backend::{cpu::Cpu, null::Null};

    #[test]
    fn processor_time_is_of_one_thread_of_the_cpu() {
        let with = |threads: usize| {
            let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
            builder.build().unwrap()
        };
        let (cpu, null) = (Cpu::new(), Null::new());
        assert!(with(1).install(|| alone(&cpu)));
        assert!(!with(1).install(|| alone(&null)));
        assert!(!with(2).install(|| alone(&cpu)));
        // The threads of this one, however many, are others.
        assert!(!alone(&cpu));
    }

    /// Time that a thread sleeps is not its own, and time that it computes is.
    #[cfg(target_os = "linux")]
    #[test]
    fn processor_time_leaves_out_what_a_thread_sleeps() {
        use std::time::Duration;
        let watch = Stopwatch::start(true);
        std::thread::sleep(Duration::from_millis(30));
        let (elapsed, processor) = watch.seconds();
        assert!(elapsed >= 0.03 && processor.unwrap() < 0.01, "{processor:?}");
        let busy = |seconds: f64| {
            let watch = Stopwatch::start(true);
            let mut sum = 0u64;
            // By the thread's own time, since others may have the processor meanwhile.
            while watch.seconds().1.unwrap() < seconds {
                sum = std::hint::black_box((0..1000).fold(sum, |s, i| s.wrapping_mul(31).wrapping_add(i)));
            }
            watch.seconds()
        };
        let (elapsed, processor) = busy(0.002);
        assert!(
            processor.unwrap() >= 0.002 && processor.unwrap() <= elapsed + 0.001,
            "{processor:?} of {elapsed}"
        );
    }

    #[test]
    fn the_usual_run_counts() {
        let mut runs = 0;
        let us = usual_us(&Cpu::new(), 1, || -> Result<(), BackendError> {
            runs += 1;
            // One run in three is short.
            if runs % 3 != 0 {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            Ok(())
        });
        assert!(us.unwrap() >= 2000.0 && (6..200).contains(&runs), "{runs}");
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert!(median(&mut []).is_nan());
    }
}
