//! Timed parts of a run.

use std::time::Instant;

use crate::ckks::{CkksError, Result};

/// A part of the work that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Affine maps and residual sums.
    Projections,
    /// Scores Q K^T.
    Qk,
    /// The polynomial of the scores.
    Sigma,
    /// Scores times values.
    Pv,
    /// The feed-forward square.
    FeedForward,
    /// Pooling and the classifier's head.
    Head,
}

/// Takes the seconds of each part as it ends, and keeps a progress display informed.
pub struct Progress<'p> {
    seconds: Vec<(Stage, f64)>,
    expected: usize,
    done: usize,
    show: &'p mut dyn FnMut(Stage, usize, usize),
    wait: Option<&'p dyn Fn() -> Result<()>>,
}

impl<'p> Progress<'p> {
    /// Calls `show(stage, done, all)` after each part.
    pub fn new(show: &'p mut dyn FnMut(Stage, usize, usize)) -> Self {
        Self {
            seconds: Vec::new(),
            expected: 0,
            done: 0,
            show,
            wait: None,
        }
    }

    /// The same, waiting with `wait` at the end of each part, so that its seconds are those that the device took for it.
    pub fn waiting(show: &'p mut dyn FnMut(Stage, usize, usize), wait: &'p dyn Fn() -> Result<()>) -> Self {
        Self {
            wait: Some(wait),
            ..Self::new(show)
        }
    }

    /// Seconds by stage, in the order in which the stages first ended.
    pub fn seconds(&self) -> &[(Stage, f64)] {
        &self.seconds
    }

    /// Announces `parts` more parts.
    pub(super) fn expect(&mut self, parts: usize) {
        self.expected += parts;
    }

    /// Runs and times one part.
    pub(super) fn time<T>(&mut self, stage: Stage, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.time_of(stage, work)
    }

    /// The same for work that fails otherwise.
    pub(super) fn time_of<T, E: From<CkksError>>(
        &mut self,
        stage: Stage,
        work: impl FnOnce() -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let start = Instant::now();
        let result = work()?;
        if let Some(wait) = self.wait {
            wait()?;
        }
        let seconds = start.elapsed().as_secs_f64();
        match self.seconds.iter_mut().find(|(s, _)| *s == stage) {
            Some((_, total)) => *total += seconds,
            None => self.seconds.push((stage, seconds)),
        }
        self.done += 1;
        (self.show)(stage, self.done, self.expected.max(self.done));
        Ok(result)
    }
}
