//! Errors of approximations as a picture: |p(x) - f(x)| over the interval, one panel a function, logarithmic.

use std::fmt::Write;

use crate::circuit::{Circuit, functions::Function};

const COLUMNS: usize = 3;
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 170.0;
/// Around the plot of a panel: left, top, right, bottom.
const MARGINS: (f64, f64, f64, f64) = (44.0, 26.0, 10.0, 22.0);
const POINTS: usize = 600;
/// Decades from the least to the largest error shown.
const LEAST: f64 = -10.0;

/// An SVG with the errors of functions; relative ones where their bounds are. Functions without error have no panel.
pub fn error_curves(functions: &[Function]) -> String {
    let shown: Vec<&Function> = functions.iter().filter(|f| f.error() > 0.0).collect();
    let rows = shown.len().div_ceil(COLUMNS);
    let (width, height) = (WIDTH * COLUMNS as f64, HEIGHT * rows as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <style>.e{{fill:none;stroke:#2563a8;stroke-width:1.2}}.b{{stroke:#c2410c;stroke-dasharray:4 3}}.g{{stroke:#bbb;stroke-width:.5}}\
         text{{fill:#444}}.t{{font-weight:bold}}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for (i, f) in shown.iter().enumerate() {
        let at = ((i % COLUMNS) as f64 * WIDTH, (i / COLUMNS) as f64 * HEIGHT);
        panel(&mut svg, f, at);
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, f: &Function, (left, top): (f64, f64)) {
    let (l, t, r, b) = MARGINS;
    let (width, height) = (WIDTH - l - r, HEIGHT - t - b);
    let top_decade = f.error().log10().ceil().max(-2.0);
    let across = |x: f64| left + l + width * (f.interval().to_unit(x) + 1.0) / 2.0;
    let down = |error: f64| {
        let decade = error.max(1e-300).log10().clamp(LEAST, top_decade);
        top + t + height * (top_decade - decade) / (top_decade - LEAST)
    };
    let degrees: Vec<String> = f.degrees().iter().map(ToString::to_string).collect();
    let kind = if f.is_relative() {
        "relative error"
    } else {
        "error"
    };
    let iterates = degrees.len() > 3;
    let degrees = if iterates {
        format!("{} rounds", degrees.len())
    } else {
        format!("degree {}", degrees.join(", "))
    };
    // Writing to a string does not fail.
    let _ = writeln!(
        svg,
        "<text class=\"t\" x=\"{:.1}\" y=\"{:.1}\">{}</text><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{degrees}, {kind}</text>",
        left + l,
        top + 16.0,
        f.name(),
        left + WIDTH - r,
        top + 16.0
    );
    let mut decade = LEAST;
    while decade <= top_decade {
        let y = down(10f64.powf(decade));
        let _ = writeln!(
            svg,
            "<line class=\"g\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"end\">1e{decade}</text>",
            left + l,
            left + l + width,
            left + l - 4.0,
            y + 4.0
        );
        decade += 2.0;
    }
    for (x, anchor) in [(f.interval().low(), "start"), (f.interval().high(), "end")] {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            across(x),
            top + HEIGHT - 7.0,
            (x * 1e4).round() / 1e4
        );
    }
    let mut path = String::new();
    let mut pen = 'M';
    for x in f.interval().points(POINTS) {
        if x.abs() < f.gap() {
            pen = 'M';
            continue;
        }
        let want = f.reference(x);
        let scale = if f.is_relative() { want.abs() } else { 1.0 };
        let _ = write!(
            path,
            "{pen}{:.1} {:.1}",
            across(x),
            down((f.value(x) - want).abs() / scale)
        );
        pen = 'L';
    }
    let y = down(f.error());
    let _ = writeln!(
        svg,
        "<path class=\"e\" d=\"{path}\"/><line class=\"b\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
        left + l,
        left + l + width
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_has_a_panel() {
        let functions = [
            Function::tanh(4.0, 7).unwrap(),
            Function::sign(1.0, &[7, 7], 4.0).unwrap(),
            Function::power(1.0, 4).unwrap(),
        ];
        let svg = error_curves(&functions);
        assert_eq!(svg.matches("class=\"e\"").count(), 2);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
    }
}
