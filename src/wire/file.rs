//! Files that appear whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use super::{Record, Result, Stamp, WireError, frame};
use crate::{rlwe::RlweError, sample::PublicSeed};

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

/// A file under a temporary name; removed unless it was put in place.
struct Temporary {
    path: PathBuf,
    placed: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.placed {
            // Nothing better can be done about a file that cannot be removed.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Gives a complete file its name unless that is taken: a link fails where a renaming would replace what another process put there
/// in the meantime.
fn claim(complete: &Path, path: &Path) -> Result<()> {
    match fs::hard_link(complete, path) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Err(WireError::Exists),
        Err(_) => claim_without_links(complete, path),
    }
}

/// The same where the file system has no links: an empty file takes the name first, and the complete one its place. A crash in between
/// leaves the empty file.
fn claim_without_links(complete: &Path, path: &Path) -> Result<()> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::AlreadyExists => return Err(WireError::Exists),
        Err(e) => return Err(WireError::io("name the file")(e)),
    }
    fs::rename(complete, path).map_err(|e| {
        // What was only a name of ours goes again; nothing better can be done if it does not.
        let _ = fs::remove_file(path);
        WireError::io("name the file")(e)
    })
}

fn place(
    path: &Path,
    existing: Existing,
    private: bool,
    fill: impl FnOnce(&mut File) -> Result<()>,
) -> Result<()> {
    if existing == Existing::Keep && path.symlink_metadata().is_ok() {
        return Err(WireError::Exists);
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Some(name) = path.file_name() else {
        let (found, remedy) = ("a directory", "add the name of a file to the path");
        return Err(WireError::NoFile { found, remedy });
    };
    let suffix = PublicSeed::from_os().map_err(RlweError::from)?;
    let suffix: String = suffix.0[..8].iter().map(|b| format!("{b:02x}")).collect();
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{suffix}"));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if private {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = private;
    let mut temporary = Temporary {
        path: directory.join(hidden),
        placed: false,
    };
    let mut file = options
        .open(&temporary.path)
        .map_err(WireError::io("create a file here"))?;
    fill(&mut file)?;
    file.sync_all().map_err(WireError::io("write to the disk"))?;
    drop(file);
    match existing {
        Existing::Keep => claim(&temporary.path, path)?,
        Existing::Replace => fs::rename(&temporary.path, path).map_err(WireError::io("name the file"))?,
    }
    temporary.placed = existing == Existing::Replace;
    #[cfg(unix)]
    File::open(directory)
        .and_then(|d| d.sync_all())
        .map_err(WireError::io("write the directory to the disk"))?;
    Ok(())
}

/// Writes an object to a file, for the owner's eyes only where it is a secret.
pub fn save<C, T: Record<C>>(
    path: &Path,
    value: &T,
    home: &C,
    stamp: Stamp,
    existing: Existing,
) -> Result<()> {
    place(path, existing, T::PRIVATE, |file| {
        frame::write(file, value, home, stamp)
    })
    .map_err(at(path))
}

/// Writes any bytes to a file that only its owner may read, replacing what was there.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    place(path, Existing::Replace, true, |file| {
        file.write_all(bytes).map_err(WireError::io("write"))
    })
    .map_err(at(path))
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

/// Runs `read` on an open file, naming it in errors.
pub(super) fn reading<T>(path: &Path, read: impl FnOnce(&mut File, u64) -> Result<T>) -> Result<T> {
    let (mut file, length) = open(path)?;
    read(&mut file, length).map_err(at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ways of taking a name keep what has it, and leave nothing but the file.
    #[test]
    fn a_name_is_claimed_once() -> std::io::Result<()> {
        for (name, claim) in [
            ("links", claim as fn(&Path, &Path) -> Result<()>),
            ("none", claim_without_links),
        ] {
            let dir = std::env::temp_dir().join(format!("cipherformer-claim-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir)?;
            let (first, second, path) = (dir.join("first"), dir.join("second"), dir.join("path"));
            fs::write(&first, b"one")?;
            fs::write(&second, b"two")?;
            assert!(claim(&first, &path).is_ok());
            assert!(matches!(claim(&second, &path), Err(WireError::Exists)));
            assert_eq!(fs::read(&path)?, b"one");
            let lost = claim(&dir.join("absent"), &dir.join("never"));
            assert!(matches!(lost, Err(WireError::Io { .. })));
            assert!(!dir.join("never").exists());
            fs::remove_dir_all(&dir)?;
        }
        Ok(())
    }
}
