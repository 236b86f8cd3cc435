//! Time against rows, a curve for each packing.
//!
//! Both axes are logarithmic. Curves are named at their ends, names that would overlap moved apart. Colours are legible on light and on
//! dark ground.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use serde_json::Value;

use super::own;
use crate::report::{number, text};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 46.0;
/// Distance of the names of curves, at least.
const LINE: f64 = 15.0;
const COLOURS: [&str; 7] = [
    "#2f81d0", "#1b9e9e", "#c2b02f", "#d0702f", "#2da44e", "#a371f7", "#8b949e",
];

/// Points (rows, milliseconds) of a packing.
type Curves = BTreeMap<String, Vec<(f64, f64)>>;

/// The picture of lines that have one k and n.
pub(super) fn render(lines: &[Value]) -> Result<String, String> {
    let (curves, title) = curves(lines)?;
    draw(&curves, &title)
}

fn curves(lines: &[Value]) -> Result<(Curves, String), String> {
    let mut curves = Curves::new();
    let mut title = String::new();
    for line in lines {
        let of = |key| number(line, &[key]);
        let rows = of("m")? * of("batch")?;
        let (k, n) = (of("k")?, of("n")?);
        title = format!("Encrypted rows x {k} times plain {k} x {n}, one thread");
        let packing = curves.entry(text(line, "packing")?.to_owned()).or_default();
        packing.push((rows, own(line)? / 1e3));
        let plain = curves.entry("plain f32".to_owned()).or_default();
        if plain.iter().all(|(r, _)| *r != rows) {
            plain.push((rows, of("plain_gemm_us")? / 1e3));
        }
    }
    for points in curves.values_mut() {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    Ok((curves, title))
}

/// Where names go that should be at `wanted`: in the order of those, [`LINE`] apart and not below `bottom`.
fn apart(wanted: &[f64], bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut at = wanted.to_vec();
    for pair in order.windows(2) {
        at[pair[1]] = at[pair[1]].max(at[pair[0]] + LINE);
    }
    // Back up, where the last ones were pushed out.
    let mut limit = bottom;
    for i in order.iter().rev() {
        at[*i] = at[*i].min(limit);
        limit = at[*i] - LINE;
    }
    at
}

fn draw(curves: &Curves, title: &str) -> Result<String, String> {
    let all: Vec<(f64, f64)> = curves.values().flatten().copied().collect();
    if all.iter().any(|(x, y)| !(*x > 0.0 && *y > 0.0)) || all.len() < 2 {
        return Err("nothing to draw: points have positive rows and times".to_owned());
    }
    let range = |of: fn(&(f64, f64)) -> f64| {
        let logs = all.iter().map(|p| of(p).log10());
        logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| {
            (a.min(x), b.max(x))
        })
    };
    let ((x0, x1), (y0, y1)) = (range(|p| p.0), range(|p| p.1));
    let (y0, y1) = (y0.floor(), y1.ceil());
    let part = |v: f64, (from, to): (f64, f64)| (v.log10() - from) / if to > from { to - from } else { 1.0 };
    let x = |v: f64| LEFT + (WIDTH - LEFT - RIGHT) * part(v, (x0, x1));
    let y = |v: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part(v, (y0, y1));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>{title}</title>\n\
         <style>\n\
         text {{ fill: #6e7781 }} .head {{ font-size: 15px; font-weight: bold }} .grid {{ stroke: #8b949e; stroke-opacity: .35 }}\n\
         @media (prefers-color-scheme: dark) {{ text {{ fill: #b1bac4 }} }}\n\
         </style>\n\
         <text class=\"head\" x=\"12\" y=\"24\">{title}</text>\n\
         <text x=\"12\" y=\"44\">milliseconds of the server by itself, weights encoded, against rows of all requests</text>\n"
    );
    let rows: BTreeSet<u64> = all.iter().map(|p| p.0 as u64).collect();
    for v in rows {
        let at = x(v as f64);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{:.1}\"/>\n\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{v}</text>",
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 18.0
        );
    }
    for decade in y0 as i32..=y1 as i32 {
        let (v, at) = (10f64.powi(decade), y(10f64.powi(decade)));
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{v}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0
        );
    }
    let ends: Vec<f64> = curves.values().filter_map(|p| p.last()).map(|p| y(p.1)).collect();
    let names = apart(&ends, HEIGHT - BOTTOM);
    for (((name, points), colour), at) in curves.iter().zip(COLOURS.iter().cycle()).zip(names) {
        let path: Vec<String> = points
            .iter()
            .map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1)))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
            path.join(" ")
        );
        for p in points {
            let _ = writeln!(
                svg,
                "<circle fill=\"{colour}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>",
                x(p.0),
                y(p.1)
            );
        }
        if let Some(last) = points.last() {
            let (from, to) = (x(last.0), x(last.0) + 16.0);
            let _ = writeln!(
                svg,
                "<line stroke=\"{colour}\" x1=\"{from:.1}\" y1=\"{:.1}\" x2=\"{to:.1}\" y2=\"{at:.1}\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" style=\"fill:{colour}\">{name}</text>",
                y(last.1),
                to + 4.0,
                at + 4.0
            );
        }
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_order_and_their_distance() {
        assert_eq!(apart(&[10.0, 100.0], 200.0), [10.0, 100.0]);
        assert_eq!(apart(&[52.0, 50.0, 51.0], 200.0), [80.0, 50.0, 65.0]);
        assert_eq!(apart(&[198.0, 199.0, 20.0], 200.0), [185.0, 200.0, 20.0]);
    }

    #[test]
    fn every_packing_has_a_curve_and_the_plain_product_one() {
        let line = |packing: &str, m: u32, us: f64| {
            serde_json::json!({
                "packing": packing, "m": m, "k": 4, "n": 2, "batch": 1, "min_us": us, "cpu_us": 2.0 * us, "plain_gemm_us": 1.0,
            })
        };
        let lines = [
            line("blocks", 10, 100.0),
            line("blocks", 1, 10.0),
            line("gemm", 10, 500.0),
        ];
        let (all, title) = curves(&lines).unwrap_or_default();
        assert_eq!(all.len(), 3);
        assert_eq!(
            all.get("blocks").map(Vec::as_slice),
            Some([(1.0, 0.01), (10.0, 0.1)].as_slice())
        );
        let svg = draw(&all, &title).unwrap_or_default();
        assert_eq!(svg.matches("<polyline").count(), 3);
        assert_eq!(svg.matches("<circle").count(), 5);
        assert!(svg.contains("4 x 2"));
        assert!(draw(&Curves::new(), "").is_err());
    }
}
