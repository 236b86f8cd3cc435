//! A file in memory, page by page as it is touched. The one place of this layer with unsafe code.

use std::{fs::File, time::SystemTime};

use memmap2::Mmap;

use super::{Result, WireError};

/// A mapped file, and what it was when it was opened.
pub(super) struct Map {
    file: File,
    bytes: Mmap,
    modified: Option<SystemTime>,
}

impl Map {
    /// Maps a regular file to read.
    pub(super) fn new(file: File) -> Result<Self> {
        let metadata = file.metadata().map_err(WireError::io("measure the file"))?;
        // SAFETY: a mapping stays sound as long as nobody writes to the file or cuts it off in place. This program never does:
        // it renames complete files into place, and a mapping keeps the file that it was made of. The caller of the program
        // answers for others (`docs/wire.md`). Bytes are only hashed and copied from here, and checked where they were copied to.
        let bytes = unsafe { Mmap::map(&file) }.map_err(WireError::io("map the file"))?;
        Ok(Self {
            modified: metadata.modified().ok(),
            file,
            bytes,
        })
    }

    /// Bytes of the file.
    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The bytes from `at` on. A file that changed since it was opened is refused: behind a new end there is no memory any more.
    pub(super) fn from(&self, at: u64) -> Result<&[u8]> {
        let metadata = self.file.metadata().map_err(WireError::io("measure the file"))?;
        let (have, wanted) = (metadata.len(), self.len());
        if have != wanted || metadata.modified().ok() != self.modified {
            return Err(WireError::Changed { have, wanted });
        }
        Ok(self.bytes.get(at as usize..).unwrap_or_default())
    }
}
