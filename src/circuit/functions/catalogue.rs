//! The ready-made functions as data.

use super::{ArgMax, Division, Function, Maximum, PowerSoftmax, Tournament};
use crate::circuit::{Interval, Result, approximate::Certificate};

/// A function as a table shows it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Entry {
    /// What it is called.
    pub name: String,
    /// What it computes.
    pub formula: &'static str,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The degrees of its polynomials, or of the rounds of its iteration.
    pub degrees: Vec<usize>,
    /// Levels for inputs that were scaled to a half-width of 1 beforehand.
    pub depth: u32,
    /// Levels for inputs at a canonical scale.
    pub depth_of_canonical: u32,
    /// Bound on the error of the approximation.
    pub error: f64,
    /// Whether it is relative to the value.
    pub relative: bool,
    /// Inputs below this in magnitude (differences, where two are compared) are outside the bound.
    pub gap: f64,
    /// How the bound was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
}

impl Entry {
    fn of(f: &Function, formula: &'static str) -> Self {
        use crate::circuit::Circuit;
        Self {
            name: f.name(),
            formula,
            low: f.interval().low(),
            high: f.interval().high(),
            degrees: f.degrees(),
            depth: f.depth(),
            depth_of_canonical: f.depth_of_canonical(),
            error: f.error(),
            relative: f.is_relative(),
            gap: f.gap(),
            certificate: f.certificate(),
        }
    }
}

/// Ready-made functions of one variable with usual intervals, each with its formula; all take other intervals and degrees.
///
/// # Errors
/// None with these parameters; those of each function.
pub fn functions() -> Result<Vec<(Function, &'static str)>> {
    Ok(vec![
        (Function::gelu(8.0, 31)?, "x (1 + erf(x / sqrt 2)) / 2"),
        (
            Function::gelu_wide(32.0, [15, 15])?,
            "x (1 + erf(x / sqrt 2)) / 2",
        ),
        (
            Function::gelu_wide(64.0, [15, 31])?,
            "x (1 + erf(x / sqrt 2)) / 2",
        ),
        (Function::silu(8.0, 31)?, "x / (1 + exp(-x))"),
        (Function::silu_wide(32.0, [15, 31])?, "x / (1 + exp(-x))"),
        (Function::tanh(4.0, 31)?, "tanh x"),
        (Function::sigmoid(8.0, 31)?, "1 / (1 + exp(-x))"),
        (Function::exp(-16.0, 0.0, 15)?, "exp x"),
        (Function::sign(1.0, &[7, 7], 4.0)?, "sign x"),
        (Function::sign(1.0, &[15, 15, 27], 9.0)?, "sign x"),
        (Function::relu(1.0, &[7, 7])?, "max(x, 0)"),
        (Function::relu(1.0, &[15, 15])?, "max(x, 0)"),
        (Function::relu(1.0, &[15, 15, 27])?, "max(x, 0)"),
        (Function::reciprocal(1.0 / 1024.0, 1.0, 10.0)?, "1 / x"),
        (Function::inverse_sqrt(1.0, 300.0, 10.0)?, "1 / sqrt x"),
        (Function::inverse_sqrt(0.75, 2500.0, 10.0)?, "1 / sqrt x"),
        (Function::power(1.0, 4)?, "x^4"),
    ])
}

/// All ready-made functions with usual intervals, as data.
///
/// # Errors
/// None with these parameters; those of each function.
pub fn catalogue() -> Result<Vec<Entry>> {
    let mut all: Vec<Entry> = functions()?
        .iter()
        .map(|(f, formula)| Entry::of(f, formula))
        .collect();
    let division = Division::new(1.0, 1.0 / 1024.0, 1.0, 10.0)?;
    all.push(pair(
        "division",
        "a / b",
        division.interval(),
        division.depth(),
        (division.error(), true, 0.0),
    ));
    let maximum = Maximum::new(0.5, &[15, 15])?;
    all.push(pair(
        "max",
        "max(a, b)",
        maximum.interval(),
        maximum.depth(),
        (maximum.error(), false, 0.0),
    ));
    let argmax = ArgMax::new(4, 0.5, &[15, 15], 5.0)?;
    let error = (argmax.error(), false, argmax.gap());
    all.push(pair(
        "argmax of 4",
        "one-hot of the largest",
        argmax.interval(),
        argmax.depth(),
        error,
    ));
    let tournament = Tournament::new(16, 0.5, &[15, 15], 5.0)?;
    let (interval, depth) = (tournament.interval(), tournament.depth());
    for (name, formula, error, gap) in [
        ("max of 16", "max(x_1, .., x_16)", tournament.error(), 0.0),
        (
            "argmax of 16",
            "one-hot of the largest",
            tournament.place_error(),
            tournament.gap(),
        ),
    ] {
        let entry = pair(name, formula, interval, depth, (error, false, gap));
        all.push(Entry {
            degrees: tournament.degrees(),
            ..entry
        });
    }
    let softmax = PowerSoftmax::new(128, 8.0, 4, 1e-3, 10.0)?;
    let error = (softmax.error(), true, 0.0);
    let formula = "(x_j / R)^4 / (128 (eps + mean (x / R)^4))";
    all.push(pair(
        "PowerSoftmax of 128",
        formula,
        softmax.interval(),
        softmax.depth(),
        error,
    ));
    Ok(all)
}

/// An entry of a circuit of several inputs: `depth` is that of canonical inputs.
fn pair(
    name: &str,
    formula: &'static str,
    interval: Interval,
    depth: u32,
    (error, relative, gap): (f64, bool, f64),
) -> Entry {
    Entry {
        name: name.to_owned(),
        formula,
        low: interval.low(),
        high: interval.high(),
        degrees: Vec::new(),
        depth,
        depth_of_canonical: depth,
        error,
        relative,
        gap,
        certificate: None,
    }
}
