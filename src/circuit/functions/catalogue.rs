//! The ready-made functions as data.

use super::{ArgMax, Division, Function, Maximum, PowerSoftmax, Tournament, function::levels};
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
    /// The degrees of its polynomials, powers, and rounds of its iteration, one after the other; of a tournament those of one round.
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
    /// How the bound was found, or that of the sign from which it follows; nothing where it follows from a formula alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
}

impl Entry {
    /// Of a circuit of several inputs, which says the rest.
    fn of_several(name: &str, formula: &'static str, interval: Interval, depth_of_canonical: u32) -> Self {
        Self {
            name: name.to_owned(),
            formula,
            low: interval.low(),
            high: interval.high(),
            degrees: Vec::new(),
            depth: depth_of_canonical,
            depth_of_canonical,
            error: 0.0,
            relative: false,
            gap: 0.0,
            certificate: None,
        }
    }

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
    all.push(Entry {
        degrees: division.degrees(),
        depth: levels(&division.stages()),
        error: division.error(),
        relative: true,
        ..Entry::of_several("division", "a / b", division.interval(), division.depth())
    });
    let maximum = Maximum::new(0.5, &[15, 15])?;
    all.push(Entry {
        degrees: maximum.degrees(),
        depth: levels(&maximum.stages()),
        error: maximum.error(),
        certificate: Some(maximum.certificate()),
        ..Entry::of_several("max", "max(a, b)", maximum.interval(), maximum.depth())
    });
    let argmax = ArgMax::new(4, 0.5, &[15, 15], 5.0)?;
    let formula = "one-hot of the largest";
    all.push(Entry {
        degrees: argmax.degrees(),
        depth: levels(&argmax.stages()),
        error: argmax.error(),
        gap: argmax.gap(),
        certificate: Some(argmax.certificate()),
        ..Entry::of_several("argmax of 4", formula, argmax.interval(), argmax.depth())
    });
    let tournament = Tournament::new(16, 0.5, &[15, 15], 5.0)?;
    for (name, formula, error, gap) in [
        ("max of 16", "max(x_1, .., x_16)", tournament.error(), 0.0),
        (
            "argmax of 16",
            formula,
            tournament.place_error(),
            tournament.gap(),
        ),
    ] {
        all.push(Entry {
            degrees: tournament.degrees(),
            depth: levels(&tournament.stages()),
            error,
            gap,
            certificate: Some(tournament.certificate()),
            ..Entry::of_several(name, formula, tournament.interval(), tournament.depth())
        });
    }
    let softmax = PowerSoftmax::new(128, 8.0, 4, 1e-3, 10.0)?;
    let formula = "(x_j / R)^4 / (128 (eps + mean (x / R)^4))";
    all.push(Entry {
        degrees: softmax.degrees(),
        depth: levels(&softmax.stages()),
        error: softmax.error(),
        relative: true,
        ..Entry::of_several(
            "PowerSoftmax of 128",
            formula,
            softmax.interval(),
            softmax.depth(),
        )
    });
    Ok(all)
}
