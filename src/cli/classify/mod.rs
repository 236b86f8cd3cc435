//! `classify`: client and server in one process, with only seeded ciphertexts and keys between them.

mod print;
mod session;

use std::{collections::BTreeMap, path::Path};

use self::session::{Request, Session};
use super::{
    ClassifyArgs, Failure, device,
    texts::{self, BATCH, WINDOWS_OF_A_LINE},
};
use crate::{
    backend::{Backend, device::on},
    model::windows,
    report::{DeviceReport, TextReport},
};

pub(super) fn run(args: &ClassifyArgs) -> Result<(), Failure> {
    let device = args.device.open()?;
    let report = device::report(&device);
    on!(device.any(), backend => run_on(args, report, backend.as_ref().clone()))
}

fn run_on<B: Backend>(args: &ClassifyArgs, device: DeviceReport, backend: B) -> Result<(), Failure> {
    match (&args.text, &args.file) {
        (Some(text), _) => one(text, args.json, device, backend),
        (None, Some(path)) => many(path, args.json, device, backend),
        (None, None) => Err("nothing to classify; pass --text or --file".into()),
    }
}

fn one<B: Backend>(text: &str, json: bool, device: DeviceReport, backend: B) -> Result<(), Failure> {
    let found = windows(text, BATCH)?;
    let mut session = Session::new(device, backend)?;
    let outcomes = session.classify(vec![Request {
        windows: found,
        truth: None,
    }])?;
    let Some(outcome) = outcomes.into_iter().next() else {
        return Err("the batch held no text".into());
    };
    if json {
        session.summary.text = Some(outcome.report);
        say!("{}", serde_json::to_string(&session.summary)?);
    } else {
        print::one(&session, &outcome);
    }
    Ok(())
}

/// A file with a text a line.
fn many<B: Backend>(path: &Path, json: bool, device: DeviceReport, backend: B) -> Result<(), Failure> {
    let content = texts::content(path)?;
    let mut session = Session::new(device, backend)?;
    let (mut requests, mut rows) = (Vec::new(), Vec::new());
    for (i, line) in content.lines().enumerate() {
        if line.trim().is_empty() {
            session.summary.skipped += 1;
            continue;
        }
        match windows(line, WINDOWS_OF_A_LINE) {
            Ok(windows) => {
                rows.push((i + 1, None));
                requests.push(Request { windows, truth: None });
            }
            Err(error) => {
                session.summary.failed += 1;
                rows.push((i + 1, Some(error.to_string())));
            }
        }
    }
    if requests.is_empty() {
        return Err(texts::no_text(path));
    }
    let mut outcomes = session.classify(requests)?.into_iter();
    for (line, error) in rows {
        let report = match error {
            None => match outcomes.next() {
                Some(outcome) => TextReport {
                    line: Some(line),
                    ..outcome.report
                },
                None => return Err("a line was lost between the batches".into()),
            },
            Some(error) => TextReport {
                line: Some(line),
                label: String::from("unsure"),
                probabilities: BTreeMap::new(),
                plain_label: String::from("unsure"),
                max_abs_error: 0.0,
                quantisation_error: 0.0,
                windows: 0,
                error: Some(error),
            },
        };
        if json {
            say!("{}", serde_json::to_string(&report)?);
        } else {
            print::line(&report, content.lines().nth(line - 1).unwrap_or_default());
        }
    }
    if json {
        say!("{}", serde_json::to_string(&session.summary)?);
    } else {
        say!();
        print::run(&session);
    }
    Ok(())
}
