//! Results for people.

use super::session::{Outcome, Session};
use crate::{
    backend::Backend,
    cli::{
        device, show,
        texts::{count, language},
    },
    report::{TextReport, bytes, seconds},
};

/// One line of a file.
pub(super) fn line(report: &TextReport, text: &str) {
    let line = report.line.unwrap_or(0);
    let shown: String = text.chars().filter(|c| !c.is_control()).take(48).collect();
    let best = report.probabilities.values().copied().fold(0.0, f64::max);
    let verdict = match &report.error {
        Some(error) => format!("- {error}"),
        None => format!(
            "{:<8} {:5.1} %  {}",
            language(&report.label),
            best * 100.0,
            show::dim(&shown)
        ),
    };
    say!("{line:>5}  {verdict}");
}

/// One text of the command line.
pub(super) fn one<B: Backend>(session: &Session<B>, outcome: &Outcome) {
    let report = &outcome.report;
    let (s, windows) = (&session.summary, report.windows);
    say!();
    say!(
        "  client  {} of 32 character pairs became {} of ciphertexts, and {} of keys; {}-bit security",
        count(windows, "window", "windows"),
        bytes(s.bytes.ciphertexts as usize),
        bytes(s.bytes.keys as usize),
        s.security_bits
    );
    let seen: Vec<String> = session.seen.iter().map(|w| format!("{w:08x}")).collect();
    say!(
        "  server  saw {} ciphertexts that begin {} ..: no letter, no length, no key",
        session.ciphertexts,
        seen.join(" ")
    );
    say!();
    show::probabilities(&report.probabilities);
    show::verdict(&outcome.verdict, &report.label, session.model.margin);
    let (plain, e, q) = (
        language(&report.plain_label),
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
    run(session);
    say!();
    say!("  Try next: --json, --file with a text a line, or: cipherformer bench attention");
}

/// What the whole run was.
pub(super) fn run<B: Backend>(session: &Session<B>) {
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
            "keygen {}, encrypt {}, infer {}, decrypt {}, total {}; N = 2^{}, log2 QP = {:.1}, {}",
            seconds(t.keygen),
            seconds(t.encrypt),
            seconds(t.infer),
            seconds(t.decrypt),
            seconds(t.total),
            s.log_n,
            s.log_qp,
            device::name(&s.device)
        ))
    );
    device::warn_of_emulation(&s.device);
}
