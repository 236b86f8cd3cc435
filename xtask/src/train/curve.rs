//! Accuracy against the number of characters read, as an SVG.

use std::fmt::Write;

use cipherformer::model::LanguageModel;

use super::evaluate::score;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 48.0;
/// Lowest accuracy drawn.
const FLOOR: f64 = 0.4;
const LONGEST: usize = 64;

/// The curves of the model and of the ablation, from 4 to 64 characters of the held-out sentences.
pub fn render(model: &LanguageModel, ablation: &LanguageModel) -> Result<String, String> {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\" fill=\"#333\">\n<title>Accuracy on the first characters of held-out sentences</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for tenths in 4..=10 {
        let value = f64::from(tenths) / 10.0;
        let y = vertical(value);
        line(&mut svg, (LEFT, y), (WIDTH - RIGHT, y), "#ddd");
        label(
            &mut svg,
            LEFT - 8.0,
            y + 4.0,
            "end",
            &format!("{:.0} %", value * 100.0),
        );
    }
    for characters in [4, 12, 20, 32, 48, 64] {
        let x = horizontal(characters);
        line(&mut svg, (x, HEIGHT - BOTTOM), (x, HEIGHT - BOTTOM + 5.0), "#666");
        label(
            &mut svg,
            x,
            HEIGHT - BOTTOM + 20.0,
            "middle",
            &characters.to_string(),
        );
    }
    let middle = (LEFT + WIDTH - RIGHT) / 2.0;
    label(
        &mut svg,
        middle,
        HEIGHT - 10.0,
        "middle",
        "characters of the sentence read",
    );
    for (name, colour, dash, at, which) in [
        ("with attention", "#1f5fa8", "", LEFT, model),
        ("without attention", "#c2571a", "5 4", LEFT + 170.0, ablation),
    ] {
        let mut points = String::new();
        for characters in (4..=LONGEST).step_by(2) {
            let accuracy = score(which, Some(characters))?.accuracy();
            let (x, y) = (horizontal(characters), vertical(accuracy.max(FLOOR)));
            let _ = write!(points, "{x:.1},{y:.1} ");
        }
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>\n\
             <path d=\"M{at} 18h28\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>",
            points.trim_end()
        );
        label(&mut svg, at + 36.0, 22.0, "start", name);
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn horizontal(characters: usize) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * (characters - 4) as f64 / (LONGEST - 4) as f64
}

fn vertical(accuracy: f64) -> f64 {
    TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - accuracy) / (1.0 - FLOOR)
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn label(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}
