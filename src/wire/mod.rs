//! Files and messages: one frame for everything that is stored or sent, read with suspicion.
//!
//! A frame is a header and sections, each with a checksum; `docs/wire.md` is the definition of every byte. Residues are packed at
//! the bits of their prime. A reader checks magic, version, kind, parameters and every size before it allocates anything, then every
//! residue, and the checksums before it hands out an object. Whatever it accepts, it would write again byte for byte. A checksum
//! finds damage, and the error says in which section; it is no signature, and whoever may write a file may write a valid one.
//!
//! Files appear whole or not at all: they are written under another name in the same directory, synchronised and renamed. What a killed
//! writer leaves is ignored by readers and removed by the next writer.

mod batch;
mod bfv;
mod bits;
mod bootstrap;
mod ckks;
mod coefficient;
mod error;
mod evaluation;
mod file;
mod frame;
mod header;
mod keyfile;
mod keys;
mod map;
mod model;
mod rows;
mod scale;
mod section;
mod spec;
mod stream;
mod summary;
mod temporary;

pub use coefficient::Product;
pub use error::WireError;
pub use evaluation::KeyEntry;
pub use file::{Existing, load, save, write_private, write_public};
pub use frame::{Record, file_bytes, from_bytes, to_bytes};
pub use header::{Header, Kind, Name, Stamp, VERSION};
pub use keyfile::KeyFile;
pub use model::ModelSummary;
pub use section::{Place, Sink, Source};
pub use spec::{digest, known_name};
pub use stream::{Reader, Writer};
pub use summary::{Detail, Summary, inspect};
pub use temporary::sweep;

/// Result of reading or writing.
pub type Result<T> = std::result::Result<T, WireError>;
