//! Files that appear whole or not at all.

use std::{fs::File, io::Write, path::Path};

use super::{Record, Result, Stamp, WireError, frame, temporary::Temporary};

/// What happens to a file of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and writing fails.
    Keep,
    /// It is replaced.
    Replace,
}

/// Names the file in an error.
pub(super) fn at(path: &Path) -> impl FnOnce(WireError) -> WireError {
    let path = path.to_owned();
    move |error| WireError::File {
        path,
        error: Box::new(error),
    }
}

/// Writes an object to a file, for the owner's eyes only where it is a secret.
pub fn save<C, T: Record<C>>(
    path: &Path,
    value: &T,
    home: &C,
    stamp: Stamp,
    existing: Existing,
) -> Result<()> {
    let write = || {
        let mut temporary = Temporary::create(path, existing, T::PRIVATE)?;
        frame::write(&mut temporary.file, value, home, stamp)?;
        temporary.place(existing)
    };
    write().map(|_| ()).map_err(at(path))
}

/// Writes any bytes to a file that only its owner may read, replacing what was there.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    write_bytes(path, bytes, true)
}

/// Writes any bytes to a file, replacing what was there.
pub fn write_public(path: &Path, bytes: &[u8]) -> Result<()> {
    write_bytes(path, bytes, false)
}

fn write_bytes(path: &Path, bytes: &[u8], private: bool) -> Result<()> {
    let write = || {
        let mut temporary = Temporary::create(path, Existing::Replace, private)?;
        let written = temporary.file.write_all(bytes);
        written.map_err(WireError::io("write the file"))?;
        temporary.place(Existing::Replace)
    };
    write().map(|_| ()).map_err(at(path))
}

/// Opens a regular file: the file and its length.
pub(super) fn open(path: &Path) -> Result<(File, u64)> {
    let open = || -> Result<(File, u64)> {
        let file = File::open(path).map_err(WireError::io("open the file"))?;
        let metadata = file.metadata().map_err(WireError::io("measure the file"))?;
        if metadata.is_dir() {
            let (found, remedy) = ("a directory", "pass a file in it");
            return Err(WireError::NoFile { found, remedy });
        }
        if !metadata.is_file() {
            let (found, remedy) = ("no regular file", "save it as a file first");
            return Err(WireError::NoFile { found, remedy });
        }
        Ok((file, metadata.len()))
    };
    open().map_err(at(path))
}

/// Reads an object from a file, and whose it is.
pub fn load<C, T: Record<C>>(path: &Path, home: &C) -> Result<(T, Stamp)> {
    let (mut file, length) = open(path)?;
    frame::read(&mut file, length, home).map_err(at(path))
}
