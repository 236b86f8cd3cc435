//! What can go wrong in this layer.

use crate::{
    backend::device::{BackendChoice, DeviceError},
    bfv::BfvError,
    ckks::CkksError,
    rlwe::RlweError,
    wire::WireError,
};

/// Errors of the facade: those of the layers below, and of mixing devices.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// There is no such device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Parameters, keys, or the device.
    #[error(transparent)]
    Rlwe(#[from] RlweError),
    /// Approximate numbers.
    #[error(transparent)]
    Ckks(#[from] CkksError),
    /// Exact integers.
    #[error(transparent)]
    Bfv(#[from] BfvError),
    /// Messages and files.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Something lives in the memory of another device, or of another opening of the same.
    #[error(
        "{operation}: an operand lives on {theirs}, opened for another engine, and this engine computes on {own}; make both engines \
         on one device with `Engine::on`, or send it as bytes"
    )]
    OtherDevice {
        /// Who asked.
        operation: &'static str,
        /// Where it lives.
        theirs: BackendChoice,
        /// Where the engine computes.
        own: BackendChoice,
    },
    /// The engine computes on another kind of backend than the caller's code is written for.
    #[error(
        "{operation}: the engine computes on {own}, not on {wanted}; write it for any backend as a `Job`, or open that one"
    )]
    OtherBackend {
        /// Who asked.
        operation: &'static str,
        /// Where the engine computes.
        own: BackendChoice,
        /// What was asked for.
        wanted: &'static str,
    },
}
