//! Why there is no such device.

use super::BackendKind;

/// Errors of choosing and opening a device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No backend has this name.
    #[error(
        "there is no backend {given:?}; choose auto, {}, or one of several devices as in cuda:1",
        known()
    )]
    Unknown {
        /// What was given.
        given: String,
    },
    /// The number of the device is none.
    #[error("{given:?} names no device; a device is a number from 0 to 65535, as in cuda:1")]
    Number {
        /// The backend.
        kind: BackendKind,
        /// What was given.
        given: String,
    },
    /// The backend is not in this build.
    #[error("this build has no {kind} backend; build with `--features {}`, or choose {}", kind.feature(), built())]
    NotBuilt {
        /// The backend.
        kind: BackendKind,
    },
    /// Nothing on this machine drives such devices.
    #[error("{kind}: {reason}")]
    NoDriver {
        /// The backend.
        kind: BackendKind,
        /// What was looked for, and what to do.
        reason: String,
    },
    /// There are fewer devices.
    #[error("{kind}:{ordinal} does not exist: {}; `cipherformer doctor` lists what there is", devices(*count))]
    NoDevice {
        /// The backend.
        kind: BackendKind,
        /// The device that was asked for.
        ordinal: usize,
        /// How many there are.
        count: usize,
    },
    /// The device is there and cannot be used.
    #[error("{kind}:{ordinal}: {reason}")]
    Failed {
        /// The backend.
        kind: BackendKind,
        /// The device that was asked for.
        ordinal: usize,
        /// Why, and what to do.
        reason: String,
    },
}

fn names(kinds: impl Iterator<Item = BackendKind>) -> String {
    kinds.map(BackendKind::name).collect::<Vec<_>>().join(", ")
}

fn known() -> String {
    names(BackendKind::ALL.iter().copied())
}

fn built() -> String {
    names(BackendKind::ALL.iter().copied().filter(|k| k.is_built()))
}

fn devices(count: usize) -> String {
    match count {
        0 => String::from("there are none"),
        1 => String::from("there is one, number 0"),
        n => format!("there are {n}, numbered from 0"),
    }
}
