//! Files and messages: one frame for everything that is stored or sent, read with suspicion.
//!
//! A frame is header, payload, checksum; `docs/wire.md` is the definition of every byte. Residues are packed at the bits of their
//! prime. A reader checks magic, version, kind, parameters and every size before it allocates anything, then every residue, and
//! the checksum before it hands out an object. Whatever it accepts, it would write again byte for byte. The checksum finds
//! damage; it is no signature, and whoever may write a file may write a valid one.
//!
//! Files appear whole or not at all: they are written under another name in the same directory, synchronised and renamed.

mod bits;
mod ciphertext;
mod error;
mod file;
mod frame;
mod keys;
mod rows;
mod scale;
mod spec;
mod summary;

pub use error::WireError;
pub use file::{Existing, load, save, write_private};
pub use frame::{Header, Kind, Name, Record, Sink, Source, Stamp, VERSION, from_bytes, to_bytes};
pub use spec::{digest, known_name};
pub use summary::{Detail, Summary, inspect};

/// Result of reading or writing.
pub type Result<T> = std::result::Result<T, WireError>;
