//! Both sides in one process, and what is measured on the way.

use std::{collections::BTreeMap, time::Instant};

use crate::{
    backend::Backend,
    ckks::{Ckks, Evaluator, Release},
    cli::{
        Failure,
        directory::CHAIN,
        show,
        texts::{BATCH, WINDOWS_OF_A_LINE},
    },
    model::{Embedding, LanguageModel, Quantised, Verdict, WIDTH, Window, heldout, mean_logits, windows},
    report::{Bytes, DeviceReport, HeldOut, Seconds, Summary, TextReport},
    rlwe::{Context, Params, SecretKey},
    transformer::{LanguageClassifier, Requests},
    wire,
};

/// One text of the user, or of the held-out set, and where its windows lie in the batch.
pub(super) struct Request {
    pub(super) windows: Vec<Window>,
    /// Index of the true language, for a held-out sentence.
    pub(super) truth: Option<usize>,
}

/// What the encrypted evaluation gave for one request.
pub(super) struct Outcome {
    pub(super) report: TextReport,
    pub(super) verdict: Verdict,
}

/// Both sides, and what has been measured.
pub(super) struct Session<B: Backend> {
    pub(super) model: LanguageModel,
    embedding: Embedding,
    quantised: Quantised,
    classifier: LanguageClassifier,
    ckks: Ckks<B>,
    started: Instant,
    pub(super) summary: Summary,
    /// The first words of what the server received.
    pub(super) seen: Vec<u32>,
    pub(super) ciphertexts: usize,
}

impl<B: Backend> Session<B> {
    pub(super) fn new(device: DeviceReport, backend: B) -> Result<Self, Failure> {
        let started = Instant::now();
        let model = LanguageModel::builtin()?;
        let embedding = Embedding::from(&model);
        let quantised = Quantised::from(&model);
        let classifier = LanguageClassifier::new(&quantised, BATCH)?;
        let params = Params::shipped(CHAIN)?;
        let ckks = Ckks::new(&Context::new(backend, params.clone())?);
        let summary = Summary {
            text: None,
            texts: 0,
            skipped: 0,
            failed: 0,
            batches: 0,
            agree: 0,
            batch_max_abs_error: 0.0,
            heldout: HeldOut::default(),
            device,
            security_bits: params.security_bits(),
            log_n: params.log_n(),
            log_qp: params.log2_qp(),
            seconds: Seconds::default(),
            stages: BTreeMap::new(),
            bytes: Bytes::default(),
        };
        Ok(Self {
            model,
            embedding,
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
    pub(super) fn classify(&mut self, mut requests: Vec<Request>) -> Result<Vec<Outcome>, Failure> {
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
        ctx.backend().wait()?;
        bar.finish_and_clear();
        self.summary.seconds.keygen = clock.elapsed().as_secs_f64();
        self.summary.bytes.keys = wire::file_bytes(&sent, &ctx)?;
        let clock = Instant::now();
        let keys = sent.expand(&ctx)?;
        ctx.backend().wait()?;
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
        secret: &SecretKey<B>,
        ev: &Evaluator<'_, B>,
        all: &[Window],
        (batch, batches): (usize, usize),
    ) -> Result<Vec<[f64; 6]>, Failure> {
        let ctx = self.ckks.context().clone();
        let clock = Instant::now();
        let requests = Requests::new(&self.embedding, self.classifier.columns(), all)?;
        let sent = self
            .ckks
            .encrypt(secret, requests.values(), WIDTH, ctx.params().top())?;
        ctx.backend().wait()?;
        self.summary.seconds.encrypt += clock.elapsed().as_secs_f64();
        self.summary.bytes.ciphertexts += wire::file_bytes(&sent, &ctx)?;
        self.ciphertexts += sent.items();

        let clock = Instant::now();
        let x = sent.expand(&ctx)?;
        let label = if batches == 1 {
            String::from("infer")
        } else {
            format!("{}/{batches}", batch + 1)
        };
        let run = show::staged(&label, ctx.backend(), |progress| {
            self.classifier.infer(ev, &x, progress)
        })?;
        for (stage, s) in &run.stages {
            *self.summary.stages.entry(show::key(*stage)).or_default() += s;
        }
        self.summary.seconds.infer += clock.elapsed().as_secs_f64();
        if self.seen.is_empty() {
            self.seen = x.rlwe().first_words(&ctx, 4)?;
        }

        let clock = Instant::now();
        let slots = self.ckks.decrypt(secret, &run.result)?.release(Release::Owner)?;
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
                verdict.label(&self.model.labels).to_owned(),
                plain.label(&self.model.labels).to_owned(),
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
