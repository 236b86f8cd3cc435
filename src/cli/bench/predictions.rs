//! How well the planner predicts products that were measured.

use std::collections::BTreeSet;

use serde_json::json;

use crate::{cli::show, report::MatmulReport};

/// Parts by which a prediction may be off: of time, and of bytes.
const TIME: f64 = 0.25;
const BYTES: f64 = 0.05;

/// How well times of some products are predicted: how many are within [`TIME`], and the least and the largest of predicted over measured.
struct Held {
    within: usize,
    least: f64,
    most: f64,
}

impl Held {
    fn of(ratios: impl Iterator<Item = f64>) -> Self {
        let (mut within, mut least, mut most) = (0, f64::INFINITY, 0.0f64);
        for ratio in ratios {
            within += usize::from((ratio - 1.0).abs() <= TIME);
            (least, most) = (least.min(ratio), most.max(ratio));
        }
        Self { within, least, most }
    }
}

/// How many predictions hold, by packing.
pub(super) fn print(reports: &[MatmulReport], as_json: bool) {
    let names: BTreeSet<&str> = reports.iter().map(|r| r.packing).collect();
    if !as_json {
        say!();
        say!(
            "  {:<20}{:>9}{:>8}{:>16}{:>10}{:>16}{:>8}",
            show::bold("predictions"),
            "products",
            format!("run, {:.0} %", TIME * 100.0),
            "of measured",
            "prepare",
            "of measured",
            format!("bytes, {:.0} %", BYTES * 100.0)
        );
    }
    let all = std::iter::once(None).chain(names.into_iter().map(Some));
    for name in all {
        let some: Vec<_> = reports
            .iter()
            .filter(|r| name.is_none_or(|n| n == r.packing))
            .collect();
        let run = Held::of(some.iter().map(|r| r.predicted_us / r.usual_us));
        let prepared = some.iter().filter(|r| r.prepare_us > 0.0);
        let prepare = Held::of(prepared.map(|r| r.predicted_prepare_us / r.prepare_us));
        let sizes = some.iter().filter(|r| r.predicts_bytes(BYTES)).count();
        let name = name.unwrap_or("all");
        if as_json {
            say!(
                "{}",
                json!({
                    "predictions": name, "products": some.len(), "time_within_25_percent": run.within,
                    "least_ratio": run.least, "largest_ratio": run.most,
                    "prepare_within_25_percent": prepare.within, "least_prepare_ratio": prepare.least,
                    "largest_prepare_ratio": prepare.most, "bytes_within_5_percent": sizes,
                })
            );
        } else {
            let range = |held: &Held| format!("{:.2} to {:.2}", held.least, held.most);
            let (times, ranges) = ([run.within, prepare.within], [range(&run), range(&prepare)]);
            let [run, prepare] = times;
            let [of_run, of_prepare] = ranges;
            say!(
                "  {name:<20}{:>9}{run:>8}{of_run:>16}{prepare:>10}{of_prepare:>16}{sizes:>8}",
                some.len()
            );
        }
    }
}
