//! Files on the way: written under another name in the same directory, then put in place at once.
//!
//! The name is that of the file to be, a dot before it, a dot and 16 hexadecimal digits behind it. The writer holds a lock on it, which
//! ends with the process, however that ends. One that nobody holds was left by a process that was killed: who writes the same file
//! next removes it, and [`sweep`] does so for a directory of ours. Readers never look at them.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions, TryLockError},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{Existing, Result, WireError};
use crate::{rlwe::RlweError, sample::PublicSeed};

/// Hexadecimal digits behind the name.
const DIGITS: usize = 16;
/// Names tried: another process may take a file that is not locked yet for an abandoned one.
const ATTEMPTS: usize = 4;

/// A file under a temporary name; removed unless it was put in place.
pub(super) struct Temporary {
    pub(super) file: File,
    path: PathBuf,
    target: PathBuf,
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

impl Temporary {
    /// A file that will become `target`, for its owner's eyes only when it is private.
    pub(super) fn create(target: &Path, existing: Existing, private: bool) -> Result<Self> {
        if existing == Existing::Keep && target.symlink_metadata().is_ok() {
            return Err(WireError::Exists);
        }
        let Some(name) = target.file_name() else {
            let (found, remedy) = ("a directory", "add the name of a file to the path");
            return Err(WireError::NoFile { found, remedy });
        };
        let directory = directory(target);
        remove_abandoned(directory, |of| of == name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if private {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        #[cfg(not(unix))]
        let _ = private;
        for _ in 0..ATTEMPTS {
            let path = directory.join(hidden(name)?);
            let file = options.open(&path).map_err(WireError::io("create a file here"))?;
            // A file system without locks has nobody who takes the file for an abandoned one either.
            let taken = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
            let temporary = Self {
                file,
                path,
                target: target.to_owned(),
                placed: false,
            };
            if !taken && temporary.path.symlink_metadata().is_ok() {
                return Ok(temporary);
            }
        }
        let error = std::io::Error::from(ErrorKind::ResourceBusy);
        Err(WireError::io("create a file here")(error))
    }

    /// Puts the file in place, on the disk, and says how long it is.
    pub(super) fn place(mut self, existing: Existing) -> Result<u64> {
        self.file.sync_all().map_err(WireError::io("write to the disk"))?;
        let metadata = self.file.metadata();
        let bytes = metadata.map_err(WireError::io("measure the file"))?.len();
        match existing {
            Existing::Keep => claim(&self.path, &self.target)?,
            Existing::Replace => {
                fs::rename(&self.path, &self.target).map_err(WireError::io("name the file"))?;
            }
        }
        self.placed = existing == Existing::Replace;
        #[cfg(unix)]
        File::open(directory(&self.target))
            .and_then(|d| d.sync_all())
            .map_err(WireError::io("write the directory to the disk"))?;
        Ok(bytes)
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

fn directory(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn hidden(name: &OsStr) -> Result<OsString> {
    let seed = PublicSeed::from_os().map_err(RlweError::from)?;
    let digits: String = seed.0[..DIGITS / 2].iter().map(|b| format!("{b:02x}")).collect();
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".");
    hidden.push(digits);
    Ok(hidden)
}

/// The file that a temporary one of this name was to become.
fn target(hidden: &OsStr) -> Option<&OsStr> {
    let (name, digits) = hidden.to_str()?.strip_prefix('.')?.rsplit_once('.')?;
    let hexadecimal = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let ours = !name.is_empty() && digits.len() == DIGITS && digits.bytes().all(hexadecimal);
    ours.then_some(OsStr::new(name))
}

/// Removes what killed writers left behind; what cannot be removed stays, and harms nobody.
fn remove_abandoned(directory: &Path, wanted: impl Fn(&OsStr) -> bool) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let regular = entry.file_type().is_ok_and(|t| t.is_file());
        if !regular || !target(&name).is_some_and(&wanted) {
            continue;
        }
        let path = entry.path();
        if let Ok(file) = File::open(&path)
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Removes all temporary files of a directory that killed writers left behind. For directories that hold nothing but our files.
pub fn sweep(directory: &Path) {
    remove_abandoned(directory, |_| true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_temporary_files_are_recognised() {
        let name = hidden(OsStr::new("secret.key")).unwrap();
        assert_eq!(target(&name), Some(OsStr::new("secret.key")));
        for other in [
            "secret.key",
            ".secret.key",
            ".secret.key.0123",
            "..0123456789abcdef",
            ".x.0123456789abcdeF",
            "x.0123456789abcdef",
        ] {
            assert_eq!(target(OsStr::new(other)), None, "{other}");
        }
    }

    #[test]
    fn only_abandoned_files_are_removed() {
        let place = std::env::temp_dir().join(format!("cipherformer-temporary-{}", std::process::id()));
        fs::create_dir(&place).unwrap();
        let file = place.join("a.ct");
        let held = Temporary::create(&file, Existing::Replace, false).unwrap();
        for left in [".a.ct.0123456789abcdef", ".b.ct.0123456789abcdef", ".note"] {
            fs::write(place.join(left), "x").unwrap();
        }
        let second = Temporary::create(&file, Existing::Replace, false).unwrap();
        assert!(held.path.exists() && second.path.exists());
        assert!(!place.join(".a.ct.0123456789abcdef").exists());
        assert!(place.join(".b.ct.0123456789abcdef").exists());
        sweep(&place);
        assert!(!place.join(".b.ct.0123456789abcdef").exists());
        assert!(held.path.exists() && place.join(".note").exists());
        second.place(Existing::Keep).unwrap();
        assert!(matches!(held.place(Existing::Keep), Err(WireError::Exists)));
        let left: Vec<_> = fs::read_dir(&place)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(left.len(), 2, "{left:?}");
        fs::remove_dir_all(&place).unwrap();
    }

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
