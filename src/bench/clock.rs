//! Times of repeated runs.

use std::time::{Duration, Instant};

use super::Result;
use crate::backend::{
    Backend,
    clock::{Stopwatch, alone, median},
};

/// Least runs of a timed operation.
const LEAST: usize = 5;
/// A sample is the mean of so many runs that the clock's own cost, some 30 ns, does not show.
const SAMPLE: Duration = Duration::from_micros(20);

/// Microseconds of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Times {
    /// The median.
    pub median_us: f64,
    /// The least: what a run takes when nothing else disturbs it.
    pub min_us: f64,
    /// The least time that the calling thread had the processor in a run, without what other programs took meanwhile; none where it does
    /// not do all the work, as far as [`time_on`] knows, or the system does not tell.
    pub cpu_us: Option<f64>,
    /// The median of what every run takes by the lesser of both clocks, as predictions are made of their parts.
    pub usual_us: f64,
}

impl Times {
    /// What a run takes by itself: the least by either clock.
    pub fn own_us(&self) -> f64 {
        self.cpu_us.map_or(self.min_us, |cpu| cpu.min(self.min_us))
    }
}

/// Runs once to warm up, then for about `budget`, and at least five times.
pub fn time(budget: Duration, run: impl FnMut() -> Result<()>) -> Result<Times> {
    sample(budget, false, run)
}

/// The same for work of a backend, with processor time where all the work is the calling thread's.
pub fn time_on<B: Backend>(backend: &B, budget: Duration, run: impl FnMut() -> Result<()>) -> Result<Times> {
    sample(budget, alone(backend), run)
}

fn sample(budget: Duration, processor: bool, mut run: impl FnMut() -> Result<()>) -> Result<Times> {
    run()?;
    let start = Instant::now();
    run()?;
    let once = start.elapsed().max(Duration::from_nanos(1));
    let inner = SAMPLE.div_duration_f64(once).clamp(1.0, 1e6).ceil() as usize;
    let (mut samples, mut usual, mut least) = (Vec::new(), Vec::new(), None::<f64>);
    let (start, each) = (Instant::now(), 1e6 / inner as f64);
    while samples.len() < LEAST || start.elapsed() < budget {
        let watch = Stopwatch::start(processor);
        for _ in 0..inner {
            run()?;
        }
        let (elapsed, used) = watch.seconds();
        samples.push(elapsed * each);
        usual.push(used.map_or(elapsed, |used| used.min(elapsed)) * each);
        if let Some(used) = used {
            least = Some(least.map_or(used * each, |l| l.min(used * each)));
        }
    }
    Ok(Times {
        median_us: median(&mut samples),
        min_us: samples.first().copied().unwrap_or(f64::NAN),
        cpu_us: least,
        usual_us: median(&mut usual),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::Cpu;

    #[test]
    fn processor_time_is_known_where_one_thread_does_all_the_work() {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let run = || {
                std::thread::sleep(Duration::from_millis(2));
                Ok(())
            };
            pool.install(|| time_on(&Cpu::new(), Duration::from_millis(10), run).unwrap())
        };
        let times = with(2);
        assert_eq!((times.cpu_us, times.own_us()), (None, times.min_us));
        // A thread that sleeps computes little.
        #[cfg(target_os = "linux")]
        assert!(with(1).own_us() < with(1).min_us / 2.0);
    }
}
