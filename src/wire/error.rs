//! What can be wrong with a file or a message.

use std::{io, path::PathBuf};

use crate::{
    backend::BackendError,
    bfv::BfvError,
    matmul::coefficient::CoefficientError,
    ring::{ChainError, ScaleError},
    rlwe::RlweError,
    wire::{Kind, Name, Place},
};

/// Errors of reading and writing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The error of one file.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        error: Box<WireError>,
    },
    /// The error of one frame of a file that holds several.
    #[error("frame {number}: {error}")]
    Frame {
        /// Which, from 1.
        number: u64,
        /// What was wrong.
        error: Box<WireError>,
    },
    /// The system could not read or write.
    #[error("cannot {action}: {error}; {}", remedy(error))]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// A directory or a device instead of a file.
    #[error("is {found}, and a file belongs here; {remedy}")]
    NoFile {
        /// What it is.
        found: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A file that was open was written to.
    #[error(
        "changed while it was open: {have} bytes now, {wanted} when it was opened; open it again, and replace it by renaming, not by \
         writing over it"
    )]
    Changed {
        /// Bytes now.
        have: u64,
        /// Bytes when it was opened.
        wanted: u64,
    },
    /// The file is there already.
    #[error("exists already, and replacing it would lose it; choose another place, or force the replacement")]
    Exists,
    /// Not one of our files.
    #[error("does not begin as a cipherformer file does ({found:02x?}); pass a file that cipherformer wrote")]
    Magic {
        /// The first bytes.
        found: [u8; 8],
    },
    /// Written by another version of the format.
    #[error(
        "format version {found}, and this program reads versions 1 to {known}; use the program that wrote it, or write it again"
    )]
    Version {
        /// In the file.
        found: u16,
        /// The newest that this program reads.
        known: u16,
    },
    /// An unknown kind number.
    #[error(
        "kind {found} is not one of 1 to {most}; the file is damaged or from a newer program: use the program that wrote it"
    )]
    UnknownKind {
        /// In the file.
        found: u8,
        /// Kinds there are.
        most: usize,
    },
    /// Another kind of object.
    #[error("holds {found}, not {wanted}; pass {}", wanted.source())]
    Kind {
        /// In the file.
        found: Kind,
        /// What was asked for.
        wanted: Kind,
    },
    /// Made with other parameters.
    #[error("made for parameters {found}, and these are {wanted}; use files of one key generation")]
    Parameters {
        /// Name or digest in the file.
        found: String,
        /// Name or digest here.
        wanted: String,
    },
    /// Another plaintext modulus.
    #[error("made for the plaintext modulus {found}, and this is {wanted}; use files of one specification")]
    Plain {
        /// In the file, or of the object.
        found: u128,
        /// Of the scheme here.
        wanted: u128,
    },
    /// The name of the key does not fit the key.
    #[error("names key {found}, but holds key {held}; restore the file from a copy")]
    KeyName {
        /// In the header.
        found: Name,
        /// Of the secret.
        held: Name,
    },
    /// It belongs to another key.
    #[error(
        "belongs to key {found}, and this is key {wanted}; use keys and ciphertexts of one key generation"
    )]
    Owner {
        /// In the header.
        found: Name,
        /// Of the keys here.
        wanted: Name,
    },
    /// The file is too short or too long.
    #[error("{what}: {have} bytes where {wanted} belong; the file is cut off or damaged: fetch it again")]
    Length {
        /// Which part.
        what: &'static str,
        /// Bytes there are.
        have: u64,
        /// Bytes that belong there.
        wanted: u64,
    },
    /// The bytes of a section are not those that were written.
    #[error(
        "{place} is damaged, its checksum does not match; fetch the file again, or restore it from a copy"
    )]
    Damaged {
        /// Which section.
        place: Place,
    },
    /// What a section holds cannot be, though its checksum matches.
    #[error("{place}: {error}")]
    Section {
        /// Which section.
        place: Place,
        /// What was wrong.
        error: Box<WireError>,
    },
    /// The bytes of a file of version 1 are not those that were written.
    #[error("the checksum does not match its {bytes} bytes; the file is damaged: fetch it again")]
    Checksum {
        /// Bytes covered.
        bytes: u64,
    },
    /// A number that cannot be.
    #[error("{what} is {value}, and {allowed}; the file is damaged or hostile: do not use it")]
    Field {
        /// Which number.
        what: &'static str,
        /// In the file.
        value: String,
        /// What it may be.
        allowed: String,
    },
    /// A residue at or above its prime.
    #[error(
        "polynomial {polynomial}, row {row}, position {index}: residue {value} is not below its prime {prime}; the file is damaged or hostile: do not use it"
    )]
    Residue {
        /// Polynomial of the section.
        polynomial: usize,
        /// Row of the polynomial.
        row: usize,
        /// Position in the row.
        index: usize,
        /// In the file.
        value: u32,
        /// The prime.
        prime: u32,
    },
    /// The chain does not hold together.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A scale beyond its range.
    #[error(transparent)]
    Scale(#[from] ScaleError),
    /// A specification of BFV that cannot be.
    #[error(transparent)]
    Bfv(#[from] BfvError),
    /// Weights that the plan does not take.
    #[error(transparent)]
    Coefficient(#[from] CoefficientError),
    /// From the layer below.
    #[error(transparent)]
    Rlwe(#[from] RlweError),
    /// The device failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl WireError {
    pub(super) fn field(what: &'static str, value: impl ToString, allowed: impl ToString) -> Self {
        Self::Field {
            what,
            value: value.to_string(),
            allowed: allowed.to_string(),
        }
    }

    pub(super) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { action, error }
    }

    /// With the section that it is about, for what is wrong with the bytes themselves.
    pub(super) fn within(self, place: Place) -> Self {
        match self {
            Self::Field { .. }
            | Self::Residue { .. }
            | Self::Length { .. }
            | Self::Chain(_)
            | Self::Plain { .. }
            | Self::Scale(_) => Self::Section {
                place,
                error: Box::new(self),
            },
            other => other,
        }
    }
}

/// What to do about an error of the system.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::PermissionDenied => "run it as a user who may, or change the permissions",
        io::ErrorKind::UnexpectedEof => "the file became shorter meanwhile: fetch it again",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room, or choose another disk",
        io::ErrorKind::ReadOnlyFilesystem => "choose a place that can be written",
        io::ErrorKind::NotADirectory => "check the path: one of its directories is a file",
        _ => "check the disk and the path, and try again",
    }
}
