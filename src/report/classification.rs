//! The result of classifying encrypted texts.

use std::collections::BTreeMap;

use serde::Serialize;

use super::DeviceReport;

/// One text.
#[derive(Clone, Debug, Serialize)]
pub struct TextReport {
    /// Line of the file, from 1; absent for a text on the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// What the encrypted evaluation says: an ISO 639-1 code or `unsure`.
    pub label: String,
    /// Probability by language, from the encrypted evaluation.
    pub probabilities: BTreeMap<String, f64>,
    /// What the plain f32 model says.
    pub plain_label: String,
    /// Largest difference of a logit between the encrypted evaluation and the quantised plain one.
    pub max_abs_error: f64,
    /// Largest difference of a logit between the quantised and the f32 plain evaluation.
    pub quantisation_error: f64,
    /// Windows of 32 character pairs that the text became.
    pub windows: usize,
    /// Why the line could not be classified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a client reads from the answer to one text.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// Line of the file, from 1; absent for a text on the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// An ISO 639-1 code or `unsure`.
    pub label: String,
    /// Probability by language.
    pub probabilities: BTreeMap<String, f64>,
    /// Windows of 32 character pairs that the text became.
    pub windows: usize,
    /// Why the line was not classified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Wall-clock seconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Seconds {
    /// Secret and evaluation keys.
    pub keygen: f64,
    /// Encoding and encryption on the client.
    pub encrypt: f64,
    /// The server's work, expansion of seeds included.
    pub infer: f64,
    /// Decryption and decoding on the client.
    pub decrypt: f64,
    /// Everything.
    pub total: f64,
}

/// What the server gets from the client, in bytes of files.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Bytes {
    /// Seeded ciphertexts.
    pub ciphertexts: u64,
    /// Seeded evaluation keys, sent once.
    pub keys: u64,
}

/// The committed sentences that fill free slots.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct HeldOut {
    /// How many.
    pub texts: usize,
    /// Encrypted and plain labels are the same.
    pub agree: usize,
    /// The encrypted label is the sentence's language.
    pub right: usize,
}

/// The whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The text's result; absent in the summary of a file.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextReport>,
    /// Texts that the user gave.
    pub texts: usize,
    /// Lines without text.
    pub skipped: usize,
    /// Lines that could not be classified.
    pub failed: usize,
    /// Encrypted batches.
    pub batches: usize,
    /// Encrypted and plain labels of the user's texts are the same.
    pub agree: usize,
    /// Largest logit error of all windows, held-out ones included.
    pub batch_max_abs_error: f64,
    /// Held-out sentences in the free slots.
    pub heldout: HeldOut,
    /// What computed.
    #[serde(flatten)]
    pub device: DeviceReport,
    /// Classical security in bits by the 2024 guideline table.
    pub security_bits: u32,
    /// log2 of the ring degree.
    pub log_n: u32,
    /// log2 of the product of all primes.
    pub log_qp: f64,
    /// Seconds by phase.
    pub seconds: Seconds,
    /// Seconds of `infer` by stage.
    pub stages: BTreeMap<String, f64>,
    /// Bytes that travelled.
    pub bytes: Bytes,
}
