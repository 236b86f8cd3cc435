//! Times of repeated runs.

use std::{
    any::TypeId,
    time::{Duration, Instant},
};

use super::Result;
use crate::backend::{Backend, cpu::Cpu};

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
    /// The mean time that the calling thread had the processor, without what other programs took meanwhile; none where it does not do
    /// all the work, as far as [`time_on`] knows, the system does not tell, or runs were too short for its clock.
    pub cpu_us: Option<f64>,
}

impl Times {
    /// What a run takes by itself: the least, or the mean of processor time where other programs' turns leave that less.
    pub fn own_us(&self) -> f64 {
        self.cpu_us.map_or(self.min_us, |cpu| cpu.min(self.min_us))
    }
}

/// What the system's clock of processor time may be off by.
const TICK: f64 = 0.004;

/// Seconds that the calling thread has had the processor (Linux).
fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}

/// Whether the calling thread does all the work of a backend: the CPU's, whose only thread it is.
fn alone<B: Backend>() -> bool {
    let cpu = TypeId::of::<B>() == TypeId::of::<Cpu>();
    // The only thread may be another one; and who has none yet is not to start them here.
    cpu && rayon::current_thread_index().is_some() && rayon::current_num_threads() == 1
}

/// Runs once to warm up, then for about `budget`, and at least five times.
pub fn time(budget: Duration, run: impl FnMut() -> Result<()>) -> Result<Times> {
    sample(budget, || None, run)
}

/// The same for work of a backend, with processor time where all the work is the calling thread's.
pub fn time_on<B: Backend>(_: &B, budget: Duration, run: impl FnMut() -> Result<()>) -> Result<Times> {
    let alone = alone::<B>();
    sample(budget, || processor_seconds().filter(|_| alone), run)
}

fn sample(
    budget: Duration,
    processor: impl Fn() -> Option<f64>,
    mut run: impl FnMut() -> Result<()>,
) -> Result<Times> {
    run()?;
    let start = Instant::now();
    run()?;
    let once = start.elapsed().max(Duration::from_nanos(1));
    let inner = SAMPLE.div_duration_f64(once).clamp(1.0, 1e6).ceil() as usize;
    let mut samples = Vec::new();
    let (start, before) = (Instant::now(), processor());
    while samples.len() < LEAST || start.elapsed() < budget {
        let sample = Instant::now();
        for _ in 0..inner {
            run()?;
        }
        samples.push(sample.elapsed().as_secs_f64() * 1e6 / inner as f64);
    }
    let used = processor().zip(before).map(|(after, before)| after - before);
    let runs = (samples.len() * inner) as f64;
    samples.sort_unstable_by(f64::total_cmp);
    let at = |i: usize| samples.get(i).copied().unwrap_or(f64::NAN);
    Ok(Times {
        median_us: at(samples.len() / 2),
        min_us: at(0),
        cpu_us: used.filter(|s| *s > 10.0 * TICK).map(|s| s * 1e6 / runs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::null::Null;

    #[test]
    fn processor_time_is_of_one_thread_of_the_cpu() {
        let with = |threads: usize| {
            let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
            builder.build().unwrap()
        };
        assert!(with(1).install(alone::<Cpu>));
        assert!(!with(1).install(alone::<Null>));
        assert!(!with(2).install(alone::<Cpu>));
        // The threads of this one, however many, are others.
        assert!(!alone::<Cpu>());
        let run = || time_on(&Cpu::new(), Duration::from_millis(60), || Ok(())).unwrap();
        let times = with(2).install(run);
        assert_eq!((times.cpu_us, times.own_us()), (None, times.min_us));
    }
}
