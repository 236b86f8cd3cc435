//! Time of a bootstrap by stage, one bar a preset. Colours are legible on light and on dark ground.

use std::fmt::Write;

use serde_json::Value;

use super::{FOLDER, STAGES, total};
use crate::report::{number, text};

const WIDTH: f64 = 760.0;
const TOP: f64 = 84.0;
const ROW: f64 = 34.0;
const BAR: f64 = 20.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 70.0;

/// The picture.
pub(super) fn render(all: &[Value]) -> Result<String, String> {
    let mut longest = 0.0f64;
    for run in all {
        longest = longest.max(total(run)?);
    }
    if longest <= 0.0 {
        return Err(format!(
            "nothing to draw: {FOLDER} has no results with positive times"
        ));
    }
    let (bottom, scale) = (TOP + ROW * all.len() as f64, (WIDTH - LEFT - RIGHT) / longest);
    let title = "Time of a bootstrap by stage";
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>{title}</title>\n\
         <style>\n\
         text {{ fill: #6e7781 }} .head {{ font-size: 15px; font-weight: bold }}\n\
         @media (prefers-color-scheme: dark) {{ text {{ fill: #b1bac4 }} }}\n\
         </style>\n\
         <text class=\"head\" x=\"12\" y=\"24\">{title}</text>\n\
         <text x=\"12\" y=\"44\">seconds of one processor, one ciphertext, median</text>\n",
        bottom + 12.0
    );
    let mut at = 12.0;
    for (stage, colour) in STAGES {
        let name = stage.replace('_', " ");
        let _ = writeln!(
            svg,
            "<rect fill=\"{colour}\" x=\"{at:.0}\" y=\"56\" width=\"12\" height=\"12\"/><text x=\"{:.0}\" y=\"66\">{name}</text>",
            at + 18.0
        );
        at += 44.0 + 6.4 * name.len() as f64;
    }
    for (i, run) in all.iter().enumerate() {
        let (y, mut x) = (TOP + ROW * i as f64, LEFT);
        let label = text(run, "preset")?;
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 10.0,
            y + 14.0
        );
        for (stage, colour) in STAGES {
            let seconds = number(run, &["processor_stages", stage])?;
            let width = seconds * scale;
            let _ = writeln!(
                svg,
                "<rect fill=\"{colour}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\"><title>{seconds:.2} s</title></rect>"
            );
            x += width;
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\">{:.2} s</text>",
            x + 6.0,
            y + 14.0,
            total(run)?
        );
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::{super::tests::example, *};

    #[test]
    fn every_stage_has_its_share() {
        let svg = render(&[example()]).unwrap_or_default();
        // Half of the width for half of the time.
        assert!(svg.contains(&format!(
            "width=\"{:.1}\" height=\"{BAR}\"",
            (WIDTH - LEFT - RIGHT) / 2.0
        )));
        assert!(render(&[]).is_err());
    }
}
