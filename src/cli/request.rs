//! What a client remembers of a request: which windows belong to which text. The server learns none of it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    Failure, classify,
    directory::{self, REQUESTS},
};
use crate::wire::{self, Name};

/// One text, in the order of the windows.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Text {
    /// Line of the file, from 1; none for a text of the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<usize>,
    /// Windows in the batch.
    pub(super) windows: usize,
    /// Why it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// All texts of one batch of ciphertexts.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub(super) texts: Vec<Text>,
}

fn path(client: &Path, name: Name) -> PathBuf {
    client.join(REQUESTS).join(format!("{name}.json"))
}

impl Request {
    /// The request of a file, which has no more windows than a batch.
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let remedy = "encrypt the texts again";
        let request: Self = serde_json::from_slice(bytes).map_err(|e| format!("{e}; {remedy}"))?;
        let (have, most) = (request.windows(), classify::BATCH);
        if have > most {
            return Err(format!("{have} windows, and a batch has {most}; {remedy}"));
        }
        Ok(request)
    }

    /// The file of the request.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// Windows of all texts.
    pub fn windows(&self) -> usize {
        self.texts.iter().fold(0, |sum, t| sum.saturating_add(t.windows))
    }

    /// Remembers the request in the client's directory.
    pub(super) fn save(&self, client: &Path, name: Name) -> Result<(), Failure> {
        directory::create(&client.join(REQUESTS), true)?;
        Ok(wire::write_private(
            &path(client, name),
            &self.to_json()?,
        )?)
    }

    /// The request that an answer repeats.
    pub(super) fn load(client: &Path, name: Name) -> Result<Self, Failure> {
        let path = path(client, name);
        let remedy = "decrypt with the directory that the texts were encrypted with";
        let bytes = std::fs::read(&path).map_err(|e| {
            format!(
                "{}: {e}; the answer is to a request not made here: {remedy}",
                path.display()
            )
        })?;
        Ok(Self::from_json(&bytes).map_err(|e| format!("{}: {e}", path.display()))?)
    }
}
