//! What several commands print: lines, progress bars, verdicts, colours.

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Failure, texts::language};
use crate::{
    backend::Backend,
    model::Verdict,
    report::bar,
    transformer::{Progress, Stage},
};

/// Prints a line on standard output. A reader that has seen enough (`| head`) ends the program quietly, as other tools do.
macro_rules! say {
    () => { $crate::cli::show::line(format_args!("")) };
    ($($line:tt)+) => { $crate::cli::show::line(format_args!($($line)+)) };
}

pub(super) fn line(line: std::fmt::Arguments<'_>) {
    if let Err(error) = writeln!(std::io::stdout(), "{line}") {
        let closed = error.kind() == std::io::ErrorKind::BrokenPipe;
        if !closed {
            eprintln!("cipherformer: standard output: {error}; nothing more can be shown");
        }
        std::process::exit(i32::from(!closed));
    }
}

/// What a stage does, in words.
pub(super) fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Projections => "projections and residual sums",
        Stage::Qk => "scores Q K^T, ciphertext by ciphertext",
        Stage::Sigma => "sigma of the scores",
        Stage::Pv => "scores times values",
        Stage::FeedForward => "feed-forward square",
        Stage::Head => "pooling and classifier head",
    }
}

/// The JSON name of a stage.
pub(super) fn key(stage: Stage) -> String {
    let name = match stage {
        Stage::Projections => "projections",
        Stage::Qk => "qk",
        Stage::Sigma => "sigma",
        Stage::Pv => "pv",
        Stage::FeedForward => "feed_forward",
        Stage::Head => "head",
    };
    name.to_owned()
}

/// A bar on standard error, when that is a terminal.
pub(super) fn progress(label: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) =
        ProgressStyle::with_template("  {prefix:<9}{bar:32.cyan} {pos:>3}/{len} {elapsed:>4}  {msg}")
    {
        bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
    }
    bar.set_prefix(label.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// What a run by stages gave and took.
pub(super) struct Staged<T> {
    /// The result.
    pub(super) result: T,
    /// Seconds of the run.
    pub(super) seconds: f64,
    /// Seconds by stage.
    pub(super) stages: Vec<(Stage, f64)>,
}

/// Runs work by stages under a progress bar; each stage ends when the device has done its work.
pub(super) fn staged<B: Backend, T, E>(
    label: &str,
    backend: &B,
    run: impl FnOnce(&mut Progress<'_>) -> Result<T, E>,
) -> Result<Staged<T>, Failure>
where
    Failure: From<E>,
{
    let bar = progress(label);
    let mut display = |at, done: usize, of: usize| {
        bar.set_length(of as u64);
        bar.set_message(stage(at));
        bar.set_position(done as u64);
    };
    let wait = || Ok(backend.wait()?);
    let mut progress = Progress::waiting(&mut display, &wait);
    backend.wait()?;
    let clock = Instant::now();
    let result = run(&mut progress)?;
    backend.wait()?;
    let (seconds, stages) = (clock.elapsed().as_secs_f64(), progress.seconds().to_vec());
    bar.finish_and_clear();
    Ok(Staged {
        result,
        seconds,
        stages,
    })
}

/// A bar for each language, the most probable first.
pub(super) fn probabilities(by_label: &BTreeMap<String, f64>) {
    let mut order: Vec<(&String, &f64)> = by_label.iter().collect();
    order.sort_by(|a, b| b.1.total_cmp(a.1));
    for (label, p) in order {
        say!("  {:<8} {:>5.1} %  {}", language(label), p * 100.0, bar(*p, 40));
    }
    say!();
}

/// The language, or why none is named.
pub(super) fn verdict(verdict: &Verdict, label: &str, margin: f32) {
    if verdict.unsure {
        say!(
            "  {}: the best leads by {:.0} %, and naming a language takes {:.0} %. A longer text would help.",
            bold("unsure"),
            verdict.lead * 100.0,
            margin * 100.0
        );
    } else {
        say!("  {}", bold(language(label)));
    }
}

/// Bold on a terminal that wants colours.
pub(super) fn bold(text: &str) -> String {
    styled(text, "1")
}

/// Dim on a terminal that wants colours.
pub(super) fn dim(text: &str) -> String {
    styled(text, "2")
}

fn styled(text: &str, code: &str) -> String {
    if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}
