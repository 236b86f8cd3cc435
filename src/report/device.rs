//! What a run computed on.

use serde::Serialize;

/// The device of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceReport {
    /// The backend.
    pub backend: &'static str,
    /// The device in words.
    pub device: String,
    /// Whether the processor takes the place of a GPU, so that times say nothing.
    pub emulated: bool,
    /// Why it was this one.
    pub why: String,
}
