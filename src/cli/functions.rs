//! `functions`: what is ready to be evaluated on ciphertexts.

use super::{Failure, FunctionsArgs};
use crate::{
    circuit::functions::{Entry, catalogue, functions},
    report::error_curves,
};

pub(super) fn run(args: &FunctionsArgs) -> Result<(), Failure> {
    let all = catalogue()?;
    if let Some(path) = &args.plot {
        let functions: Vec<_> = functions()?.into_iter().map(|(f, _)| f).collect();
        std::fs::write(path, error_curves(&functions))
            .map_err(|e| format!("{}: {e}; name a file that can be written", path.display()))?;
    }
    if args.json {
        say!("{}", serde_json::to_string(&all)?);
        return Ok(());
    }
    say!(
        "{:<20}{:<18}{:<14}{:>6}{:>6}  {:<10}computes",
        "function",
        "interval",
        "degrees",
        "depth",
        "+1",
        "error"
    );
    for e in &all {
        say!("{}", line(e));
    }
    say!();
    say!(
        "+1: the depth where the input has to be scaled to [-1, 1] first. %: relative to the value. Noise comes on top."
    );
    say!("A sign is right from |x| = gap on, and argmax for items that differ by as much.");
    Ok(())
}

fn line(e: &Entry) -> String {
    let of = |run: &[usize]| match run {
        [d, _, _, ..] => vec![format!("{d} x {}", run.len())],
        few => few.iter().map(ToString::to_string).collect(),
    };
    let runs = e.degrees.chunk_by(|a, b| a == b);
    let degrees = runs.flat_map(of).collect::<Vec<_>>().join(",");
    let error = match e.error {
        0.0 => String::from("none"),
        error if e.relative => format!("{:.1e} %", 100.0 * error),
        error => format!("{error:.1e}"),
    };
    let gap = if e.gap > 0.0 {
        format!(", gap {}", short(e.gap))
    } else {
        String::new()
    };
    format!(
        "{:<20}{:<18}{degrees:<14}{:>6}{:>6}  {error:<10}{}{gap}",
        e.name,
        format!("[{}, {}]", short(e.low), short(e.high)),
        e.depth,
        e.depth_of_canonical,
        e.formula
    )
}

/// Up to four significant digits.
fn short(x: f64) -> String {
    let rounded = if x == 0.0 { 0.0 } else { (x * 1e4).round() / 1e4 };
    if rounded == x || x.abs() > 0.01 {
        rounded.to_string()
    } else {
        format!("{x:.1e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_aligned() {
        let all = catalogue().unwrap();
        let lines: Vec<String> = all.iter().map(line).collect();
        for (e, line) in all.iter().zip(&lines) {
            assert!(line.ends_with(e.formula) || line.contains("gap"), "{line}");
            let column: String = line.chars().skip(76).collect();
            assert!(column.starts_with(e.formula), "{line}");
        }
    }

    #[test]
    fn every_line_has_its_degrees() {
        let all = catalogue().unwrap();
        let of = |name: &str| line(all.iter().find(|e| e.name == name).unwrap());
        for (name, degrees) in [
            ("division", "] 2 x 7 "),
            ("max", "] 15,15 "),
            ("argmax of 4", "] 15,15 "),
            ("PowerSoftmax of 128", "] 4,2 x 7 "),
        ] {
            let line: Vec<String> = of(name).split_whitespace().map(String::from).collect();
            assert!(line.join(" ").contains(degrees), "{name}: {}", of(name));
        }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [short(-8.0), short(0.75), short(1.0 / 1024.0)].join(" "),
            "-8 0.75 9.8e-4"
        );
    }
}
