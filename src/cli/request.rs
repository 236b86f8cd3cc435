//! What a client remembers of a request: which windows belong to which text. The server learns none of it.
//!
//! It is written before the ciphertexts appear, and removed when the answer has been read.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    Failure,
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
    /// Windows in the batches.
    pub(super) windows: usize,
    /// Why it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// All texts of a file of ciphertexts.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub(super) texts: Vec<Text>,
}

fn path(client: &Path, name: Name) -> PathBuf {
    client.join(REQUESTS).join(format!("{name}.json"))
}

impl Request {
    /// The request of a file.
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|e| format!("{e}; encrypt the texts again"))
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
        let requests = client.join(REQUESTS);
        directory::create(&requests, true)?;
        wire::sweep(&requests);
        Ok(wire::write_private(&path(client, name), &self.to_json()?)?)
    }

    /// The request that an answer repeats.
    pub(super) fn load(client: &Path, name: Name) -> Result<Self, Failure> {
        let path = path(client, name);
        let bytes = fs::read(&path).map_err(|e| match e.kind() {
            ErrorKind::NotFound => format!(
                "{}: not there; the answer was read already (`decrypt --keep` lets it be read again), or the texts were encrypted with \
                 another directory: pass that one, or encrypt them again",
                path.display()
            ),
            _ => format!("{}: {e}; make the file readable, or encrypt the texts again", path.display()),
        })?;
        Ok(Self::from_json(&bytes).map_err(|e| format!("{}: {e}", path.display()))?)
    }

    /// Forgets a request.
    pub(super) fn remove(client: &Path, name: Name) -> Result<(), Failure> {
        let path = path(client, name);
        fs::remove_file(&path)
            .map_err(|e| format!("{}: cannot be removed: {e}; remove it by hand", path.display()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_a_hostile_request_are_counted_without_overflow() {
        let request = |windows: &str| {
            let json = format!(r#"{{"texts":[{{"windows":{windows}}},{{"line":2,"windows":1}}]}}"#);
            Request::from_json(json.as_bytes())
        };
        assert_eq!(request("255").unwrap().windows(), 256);
        assert_eq!(request("18446744073709551615").unwrap().windows(), usize::MAX);
        for (windows, word) in [("-1", "invalid value"), ("\"1\"", "invalid type")] {
            let message = request(windows).err().unwrap();
            assert!(message.contains(word) && message.contains("again"), "{message}");
        }
    }
}
