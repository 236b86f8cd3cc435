//! `classify`: client and server in one process, with only seeded ciphertexts and keys between them.

use std::{collections::BTreeMap, fs, io::Read, path::Path, time::Instant};

use super::{ClassifyArgs, Failure, show};
use crate::{
    backend::cpu::Cpu,
    ckks::{Ckks, Evaluator, Release},
    model::{
        LanguageModel, MAX_TEXT_BYTES, Quantised, Verdict, WIDTH, Window, heldout, mean_logits, windows,
    },
    report::{Bytes, HeldOut, Seconds, Summary, TextReport, bar, bytes, seconds},
    rlwe::{Context, Params, SecretKey},
    transformer::{LanguageClassifier, Progress, Requests},
};

/// Requests of a batch: 32 tokens times 256 fill the slots of N = 2^14.
pub(super) const BATCH: usize = 256;
/// Windows that one line of a file may take.
pub(super) const WINDOWS_OF_A_LINE: usize = 8;
/// Largest file.
const MAX_FILE_BYTES: u64 = 64 << 20;

const NAMES: [(&str, &str); 6] = [
    ("en", "English"),
    ("fr", "French"),
    ("de", "German"),
    ("es", "Spanish"),
    ("it", "Italian"),
    ("nl", "Dutch"),
];

/// The language of a label.
pub(super) fn name(label: &str) -> &str {
    NAMES
        .iter()
        .find(|(code, _)| *code == label)
        .map_or(label, |(_, name)| name)
}

pub(super) fn run(args: &ClassifyArgs) -> Result<(), Failure> {
    match (&args.text, &args.file) {
        (Some(text), _) => one(text, args.json),
        (None, Some(path)) => many(path, args.json),
        (None, None) => Err("nothing to classify; pass --text or --file".into()),
    }
}

/// One text of the user, or of the held-out set, and where its windows lie in the batch.
struct Request {
    windows: Vec<Window>,
    /// Index of the true language, for a held-out sentence.
    truth: Option<usize>,
}

/// What the encrypted evaluation gave for one request.
struct Outcome {
    report: TextReport,
    verdict: Verdict,
}

/// Both sides, and what has been measured.
struct Session {
    model: LanguageModel,
    quantised: Quantised,
    classifier: LanguageClassifier,
    ckks: Ckks<Cpu>,
    started: Instant,
    summary: Summary,
    /// The first words of what the server received.
    seen: Vec<u32>,
    ciphertexts: usize,
}

impl Session {
    fn new() -> Result<Self, Failure> {
        let started = Instant::now();
        let model = LanguageModel::builtin()?;
        let quantised = Quantised::from(&model);
        let classifier = LanguageClassifier::new(&quantised, BATCH)?;
        let params = Params::shipped("langid")?;
        let ckks = Ckks::new(&Context::new(Cpu::new(), params.clone())?);
        let summary = Summary {
            text: None,
            texts: 0,
            skipped: 0,
            failed: 0,
            batches: 0,
            agree: 0,
            batch_max_abs_error: 0.0,
            heldout: HeldOut::default(),
            backend: "cpu",
            security_bits: params.security_bits(),
            log_n: params.log_n(),
            log_qp: params.log2_qp(),
            seconds: Seconds::default(),
            stages: BTreeMap::new(),
            bytes: Bytes::default(),
        };
        Ok(Self {
            model,
            quantised,
            classifier,
            ckks,
            started,
            summary,
            seen: Vec::new(),
            ciphertexts: 0,
        })
    }

    /// Classifies all requests, as many batches as it takes; the last one is filled with held-out sentences.
    fn classify(&mut self, mut requests: Vec<Request>) -> Result<Vec<Outcome>, Failure> {
        let mut batches: Vec<Vec<Request>> = vec![Vec::new()];
        let mut used = 0;
        let held = heldout().iter().filter_map(|(language, sentence)| {
            Some(Request {
                windows: windows(sentence, WINDOWS_OF_A_LINE).ok()?,
                truth: Some(*language),
            })
        });
        let own = requests.len();
        for request in requests.drain(..) {
            if used + request.windows.len() > BATCH {
                batches.push(Vec::new());
                used = 0;
            }
            used += request.windows.len();
            if let Some(last) = batches.last_mut() {
                last.push(request);
            }
        }
        for request in interleave(held.collect()) {
            if used + request.windows.len() > BATCH {
                break;
            }
            used += request.windows.len();
            if let Some(last) = batches.last_mut() {
                last.push(request);
            }
        }

        let clock = Instant::now();
        let ctx = self.ckks.context().clone();
        let bar = show::progress("keys");
        let secret = SecretKey::generate(&ctx)?;
        let needs = self.classifier.keys(ctx.params());
        let sent = secret.evaluation_keys_with(&needs, |done, all| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        })?;
        bar.finish_and_clear();
        self.summary.seconds.keygen = clock.elapsed().as_secs_f64();
        self.summary.bytes.keys = sent.bytes(&ctx);
        let clock = Instant::now();
        let keys = sent.expand(&ctx)?;
        self.summary.seconds.infer += clock.elapsed().as_secs_f64();

        let mut outcomes = Vec::with_capacity(own);
        let count = batches.len();
        for (i, batch) in batches.into_iter().enumerate() {
            let all: Vec<Window> = batch.iter().flat_map(|r| r.windows.iter().copied()).collect();
            let logits = self.encrypted_logits(
                &secret,
                &Evaluator::new(&self.ckks.clone(), &keys),
                &all,
                (i, count),
            )?;
            self.read(batch, &all, &logits, &mut outcomes)?;
        }
        self.summary.batches = count;
        self.summary.seconds.total = self.started.elapsed().as_secs_f64();
        Ok(outcomes)
    }

    /// Client, server, client: the logits of every window of a batch.
    fn encrypted_logits(
        &mut self,
        secret: &SecretKey<Cpu>,
        ev: &Evaluator<'_, Cpu>,
        all: &[Window],
        (batch, batches): (usize, usize),
    ) -> Result<Vec<[f64; 6]>, Failure> {
        let ctx = self.ckks.context().clone();
        let clock = Instant::now();
        let requests = Requests::new(&self.model, self.classifier.columns(), all)?;
        let sent = self
            .ckks
            .encrypt(secret, requests.values(), WIDTH, ctx.params().top())?;
        self.summary.seconds.encrypt += clock.elapsed().as_secs_f64();
        self.summary.bytes.ciphertexts += sent.bytes(&ctx);
        self.ciphertexts += sent.items();

        let clock = Instant::now();
        let x = sent.expand(&ctx)?;
        let label = if batches == 1 {
            String::from("infer")
        } else {
            format!("{}/{batches}", batch + 1)
        };
        let bar = show::progress(&label);
        let mut display = |stage, done: usize, of: usize| {
            bar.set_length(of as u64);
            bar.set_message(show::stage(stage));
            bar.set_position(done as u64);
        };
        let mut progress = Progress::new(&mut display);
        let result = self.classifier.infer(ev, &x, &mut progress)?;
        for (stage, s) in progress.seconds() {
            *self.summary.stages.entry(show::key(*stage)).or_default() += s;
        }
        bar.finish_and_clear();
        self.summary.seconds.infer += clock.elapsed().as_secs_f64();
        if self.seen.is_empty() {
            self.seen = x.rlwe().first_words(&ctx, 4)?;
        }

        let clock = Instant::now();
        let slots = self.ckks.decrypt(secret, &result)?.release(Release::Owner)?;
        self.summary.seconds.decrypt += clock.elapsed().as_secs_f64();
        Ok(requests.logits(&slots))
    }

    /// Compares the batch with both plain evaluations, and keeps the user's results.
    fn read(
        &mut self,
        batch: Vec<Request>,
        all: &[Window],
        logits: &[[f64; 6]],
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), Failure> {
        let mut at = 0;
        for request in batch {
            let range = at..at + request.windows.len();
            at = range.end;
            let (mut error, mut quantisation) = (0.0f64, 0.0f64);
            let mut plain = Vec::with_capacity(range.len());
            for (window, encrypted) in all[range.clone()].iter().zip(&logits[range.clone()]) {
                let (quantised, exact) = (self.quantised.forward(window)?, self.model.forward(window)?);
                for ((e, q), f) in encrypted.iter().zip(&quantised).zip(&exact) {
                    error = error.max(if e.is_finite() {
                        (e - q).abs()
                    } else {
                        f64::INFINITY
                    });
                    quantisation = quantisation.max((q - f64::from(*f)).abs());
                }
                plain.push(exact);
            }
            self.summary.batch_max_abs_error = self.summary.batch_max_abs_error.max(error);
            let narrow: Vec<[f32; 6]> = logits[range.clone()]
                .iter()
                .map(|l| l.map(|x| x as f32))
                .collect();
            let verdict = Verdict::from_logits(&mean_logits(&narrow), self.model.margin);
            let plain = Verdict::from_logits(&mean_logits(&plain), self.model.margin);
            let (label, plain_label) = (
                verdict.label(&self.model).to_owned(),
                plain.label(&self.model).to_owned(),
            );
            let agree = usize::from(label == plain_label);
            match request.truth {
                Some(language) => {
                    self.summary.heldout.texts += 1;
                    self.summary.heldout.agree += agree;
                    self.summary.heldout.right += usize::from(!verdict.unsure && verdict.best == language);
                }
                None => {
                    self.summary.texts += 1;
                    self.summary.agree += agree;
                    let named = self.model.labels.iter().zip(verdict.probabilities);
                    let probabilities = named.map(|(l, p)| (l.clone(), f64::from(p))).collect();
                    let report = TextReport {
                        line: None,
                        label,
                        probabilities,
                        plain_label,
                        max_abs_error: error,
                        quantisation_error: quantisation,
                        windows: range.len(),
                        error: None,
                    };
                    outcomes.push(Outcome { report, verdict });
                }
            }
        }
        Ok(())
    }
}

/// The held-out sentences come language by language; any number of free slots should hold all languages.
fn interleave(mut requests: Vec<Request>) -> Vec<Request> {
    let mut seen = [0usize; 6];
    let mut keyed: Vec<(usize, Request)> = requests
        .drain(..)
        .map(|r| {
            let language = r.truth.unwrap_or(0).min(5);
            seen[language] += 1;
            (seen[language], r)
        })
        .collect();
    keyed.sort_by_key(|(round, _)| *round);
    keyed.into_iter().map(|(_, r)| r).collect()
}

fn one(text: &str, json: bool) -> Result<(), Failure> {
    let found = windows(text, BATCH)?;
    let mut session = Session::new()?;
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
        print_one(&session, &outcome);
    }
    Ok(())
}

const FILE_REMEDY: &str = "pass a UTF-8 text file with one text a line";

/// A file of texts.
pub(super) fn content(path: &Path) -> Result<String, Failure> {
    let remedy = FILE_REMEDY;
    // Devices and pipes say nothing of their length, so that reading itself is bounded.
    let mut content = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut content));
    read.map_err(|e| format!("{}: {e}; {remedy}", path.display()))?;
    if content.len() as u64 > MAX_FILE_BYTES {
        let most = bytes(MAX_FILE_BYTES as usize);
        return Err(format!(
            "{}: more than {most}, which are the most; split the file",
            path.display()
        )
        .into());
    }
    let content = match content.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => rest.to_vec(),
        None => content,
    };
    String::from_utf8(content).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        format!(
            "{}: not UTF-8 at byte {at}; convert it, for example with iconv -t UTF-8",
            path.display()
        )
        .into()
    })
}

fn many(path: &Path, json: bool) -> Result<(), Failure> {
    let remedy = FILE_REMEDY;
    let content = content(path)?;
    let mut session = Session::new()?;
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
        let most = bytes(MAX_TEXT_BYTES);
        return Err(format!(
            "{}: no line holds a text (letters, at most {most}); {remedy}",
            path.display()
        )
        .into());
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
            print_line(&report, content.lines().nth(line - 1).unwrap_or_default());
        }
    }
    if json {
        say!("{}", serde_json::to_string(&session.summary)?);
    } else {
        say!();
        print_run(&session);
    }
    Ok(())
}

fn print_line(report: &TextReport, text: &str) {
    let line = report.line.unwrap_or(0);
    let shown: String = text.chars().filter(|c| !c.is_control()).take(48).collect();
    let best = report.probabilities.values().copied().fold(0.0, f64::max);
    let verdict = match &report.error {
        Some(error) => format!("- {error}"),
        None => format!(
            "{:<8} {:5.1} %  {}",
            name(&report.label),
            best * 100.0,
            show::dim(&shown)
        ),
    };
    say!("{line:>5}  {verdict}");
}

fn print_one(session: &Session, outcome: &Outcome) {
    let report = &outcome.report;
    let (s, windows) = (&session.summary, report.windows);
    let plural = if windows == 1 { "" } else { "s" };
    say!();
    say!(
        "  client  {windows} window{plural} of 32 character pairs became {} of ciphertexts, and {} of keys; \
         {}-bit security",
        bytes(s.bytes.ciphertexts),
        bytes(s.bytes.keys),
        s.security_bits
    );
    let seen: Vec<String> = session.seen.iter().map(|w| format!("{w:08x}")).collect();
    say!(
        "  server  saw {} ciphertexts that begin {} ..: no letter, no length, no key",
        session.ciphertexts,
        seen.join(" ")
    );
    say!();
    let mut order: Vec<(&str, f64)> = report
        .probabilities
        .iter()
        .map(|(l, p)| (l.as_str(), *p))
        .collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    for (label, p) in order {
        say!("  {:<8} {:>5.1} %  {}", name(label), p * 100.0, bar(p, 40));
    }
    say!();
    if outcome.verdict.unsure {
        say!(
            "  {}: the best leads by {:.0} %, and naming a language takes {:.0} %. A longer text would help.",
            show::bold("unsure"),
            outcome.verdict.lead * 100.0,
            session.model.margin * 100.0
        );
    } else {
        say!("  {}", show::bold(name(&report.label)));
    }
    let (plain, e, q) = (
        name(&report.plain_label),
        report.max_abs_error,
        report.quantisation_error,
    );
    let too = if report.plain_label == report.label {
        "too"
    } else {
        "instead"
    };
    say!(
        "  The plain model says {plain} {too}. Encryption changed its logits by {e:.1e}, 8-bit weights by {q:.1e}."
    );
    say!();
    print_run(session);
    say!();
    say!("  Try next: --json, --file with a text a line, or: cipherformer bench attention");
}

fn print_run(session: &Session) {
    let s = &session.summary;
    if s.heldout.texts > 0 {
        say!(
            "  The free slots carried {} held-out sentences: {} as in plain, {} right.",
            s.heldout.texts,
            s.heldout.agree,
            s.heldout.right
        );
    }
    let t = &s.seconds;
    say!(
        "  {}",
        show::dim(&format!(
            "keygen {}, encrypt {}, infer {}, decrypt {}, total {}; N = 2^{}, log2 QP = {:.1}, {} backend",
            seconds(t.keygen),
            seconds(t.encrypt),
            seconds(t.infer),
            seconds(t.decrypt),
            seconds(t.total),
            s.log_n,
            s.log_qp,
            s.backend
        ))
    );
}
