//! `cargo xtask chart [FILE]`: ratios of a results file as an SVG, `docs/peers.svg`.
//!
//! A bar a comparison, log2 of (peer's time / ours); to the right of the line at 1 we are faster. Text and bars have colours that are
//! legible on light and on dark ground, and follow the reader's scheme where the viewer says which.

use std::{fmt::Write, fs, path::Path};

use serde_json::Value;

use crate::results;

const WIDTH: f64 = 760.0;
const TOP: f64 = 64.0;
const ROW: f64 = 22.0;
const BAR: f64 = 14.0;
/// Where labels end and bars begin.
const LEFT: f64 = 330.0;
const RIGHT: f64 = 90.0;

/// One bar.
struct Bar {
    label: String,
    ratio: f64,
}

/// Runs the chore.
pub fn run(args: &[String]) -> Result<(), String> {
    let file = match args.first() {
        Some(file) => file.into(),
        None => results::latest()?,
    };
    draw(&file)
}

/// Writes the chart of a results file.
pub fn draw(file: &Path) -> Result<(), String> {
    let fault = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
    let text = fs::read_to_string(file).map_err(|e| fault(&e))?;
    let run: Value = serde_json::from_str(&text).map_err(|e| fault(&e))?;
    let svg = render(&run).map_err(|e| fault(&e))?;
    let path = results::root().join("docs/peers.svg");
    fs::write(&path, svg).map_err(|e| format!("{}: {e}", path.display()))?;
    println!("chart: wrote docs/peers.svg from {}", file.display());
    Ok(())
}

/// The bars of a results file: of 64-bit transforms and small rings only the typical ones, so that the chart stays short.
fn bars(run: &Value) -> Result<Vec<Bar>, String> {
    let rows = run
        .get("peers")
        .and_then(Value::as_array)
        .ok_or("no list \"peers\"")?;
    let mut bars = Vec::new();
    for row in rows {
        let text = |key: &str| {
            row.get(key)
                .and_then(Value::as_str)
                .ok_or(format!("no text {key:?} in {row}"))
        };
        let number = |key: &str| {
            row.get(key)
                .and_then(Value::as_f64)
                .ok_or(format!("no number {key:?} in {row}"))
        };
        let (op, peer, log_n, ratio) = (text("op")?, text("peer")?, number("log_n")?, number("ratio")?);
        if !(ratio.is_finite() && ratio > 0.0) {
            return Err(format!("ratio {ratio} in {row}"));
        }
        if op.starts_with("ntt/") && log_n != 14.0 && log_n != 16.0 {
            continue;
        }
        bars.push(Bar {
            label: format!("{op}, 2^{log_n}: {peer}"),
            ratio,
        });
    }
    if bars.is_empty() {
        return Err("nothing to draw".to_owned());
    }
    Ok(bars)
}

fn render(run: &Value) -> Result<String, String> {
    let bars = bars(run)?;
    let text = |key: &str| run.get(key).and_then(Value::as_str).unwrap_or("?");
    let machine = run
        .pointer("/machine/processor")
        .and_then(Value::as_str)
        .unwrap_or("?");
    let subtitle = format!(
        "{machine}, one thread, {}; peer's time over ours, longer to the right is better",
        text("date")
    );
    let low = bars.iter().fold(0.0f64, |low, b| low.min(b.ratio.log2().floor()));
    let high = bars
        .iter()
        .fold(1.0f64, |high, b| high.max(b.ratio.log2().ceil()));
    let x = |log2: f64| LEFT + (WIDTH - LEFT - RIGHT) * (log2 - low) / (high - low);
    let bottom = TOP + ROW * bars.len() as f64;
    let height = bottom + 34.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>Other libraries' time over cipherformer's</title>\n\
         <style>\n\
         text {{ fill: #6e7781 }} .head {{ font-size: 15px; font-weight: bold }} .grid {{ stroke: #8b949e; stroke-opacity: .35 }}\n\
         .one {{ stroke: #8b949e; stroke-width: 1.5 }} .faster {{ fill: #2f81d0 }} .slower {{ fill: #d0702f }}\n\
         @media (prefers-color-scheme: dark) {{ text {{ fill: #b1bac4 }} }}\n\
         @media (prefers-color-scheme: light) {{ text {{ fill: #424a53 }} }}\n\
         </style>\n\
         <text class=\"head\" x=\"12\" y=\"24\">Other libraries' time over cipherformer's</text>\n\
         <text x=\"12\" y=\"44\">{}</text>\n",
        escape(&subtitle)
    );
    let mut tick = low;
    while tick <= high {
        let class = if tick == 0.0 { "one" } else { "grid" };
        let at = x(tick);
        let _ = writeln!(
            svg,
            "<line class=\"{class}\" x1=\"{at:.1}\" y1=\"{:.1}\" x2=\"{at:.1}\" y2=\"{bottom:.1}\"/>\n\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            TOP - 6.0,
            bottom + 18.0,
            times(tick.exp2())
        );
        tick += 1.0;
    }
    for (i, bar) in bars.iter().enumerate() {
        let y = TOP + ROW * i as f64;
        let (from, to) = (x(0.0), x(bar.ratio.log2()));
        let class = if bar.ratio >= 1.0 { "faster" } else { "slower" };
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n\
             <rect class=\"{class}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LEFT - 10.0,
            y + 11.0,
            escape(&bar.label),
            from.min(to),
            (to - from).abs().max(1.0),
            from.max(to) + 6.0,
            y + 11.0,
            times(bar.ratio)
        );
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// A ratio in words: 0.25x, 2.0x, 16x.
fn times(ratio: f64) -> String {
    match ratio {
        r if r < 0.995 => format!("{r:.2}x"),
        r if r < 9.95 => format!("{r:.1}x"),
        r => format!("{r:.0}x"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_lie_on_their_side_of_one() {
        let run = serde_json::json!({
            "date": "2026-01-01",
            "machine": { "processor": "A <processor>" },
            "peers": [
                { "op": "bfv/add", "log_n": 13, "peer": "a peer", "ratio": 4.0 },
                { "op": "ntt/forward", "log_n": 14, "peer": "another", "ratio": 0.5 },
                { "op": "ntt/forward", "log_n": 12, "peer": "left out", "ratio": 1.0 },
            ],
        });
        let svg = render(&run).unwrap_or_default();
        assert_eq!(svg.matches("class=\"faster\"").count(), 1);
        assert_eq!(svg.matches("class=\"slower\"").count(), 1);
        // Two octaves to the right of 1 out of three, one to the left.
        let octave = (WIDTH - LEFT - RIGHT) / 3.0;
        assert!(svg.contains(&format!(
            "x=\"{:.1}\" y=\"{TOP:.1}\" width=\"{:.1}\"",
            LEFT + octave,
            2.0 * octave
        )));
        assert!(svg.contains("4.0x") && svg.contains("0.50x") && svg.contains("A &lt;processor&gt;"));
        assert!(!svg.contains("left out"));
        assert!(render(&serde_json::json!({ "peers": [{ "op": "x" }] })).is_err());
    }
}
