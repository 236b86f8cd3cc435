//! A folder of machine code, a file each, which nothing is believed of.
//!
//! Whoever can write a file can write its checksum too: on Unix, folder and file have to be this user's, for nobody else to write to.
//!
//! A file is MAGIC, the key (32 bytes), the length of the image (8 bytes, little-endian), blake3 of key and image (32 bytes), the image.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

const MAGIC: &[u8; 8] = b"cfcubin1";
const KEY_BYTES: usize = 32;
const HEADER_BYTES: usize = MAGIC.len() + KEY_BYTES + 8 + 32;
/// The largest image that is read: ours are a few hundred KiB.
const MOST_BYTES: u64 = 64 << 20;
/// Names that are tried for a draft.
const NAMES: usize = 16;

/// Drafts of this process so far.
static DRAFTS: AtomicU64 = AtomicU64::new(0);

/// Which machine code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(pub(super) [u8; KEY_BYTES]);

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("no image of ours")]
    Foreign,
    #[error("the image of other kernels")]
    OtherKey,
    #[error("{have} bytes long instead of {wanted}")]
    Length { have: u64, wanted: u64 },
    #[error("damaged")]
    Checksum,
    #[error("unreadable: {0}")]
    Unreadable(#[from] io::Error),
}

/// The folder.
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// In this folder, which need not exist yet.
    pub(super) fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Where this user's programs keep what can be made again: XDG_CACHE_HOME, ~/.cache, or LOCALAPPDATA.
    pub(super) fn of_user() -> Option<Self> {
        let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let place = match cfg!(windows) {
            true => variable("LOCALAPPDATA"),
            false => variable("XDG_CACHE_HOME")
                .filter(|place| place.is_absolute())
                .or_else(|| variable("HOME").map(|home| home.join(".cache"))),
        };
        let folder = place.filter(|place| place.is_absolute())?;
        Some(Self::at(&folder.join("cipherformer").join("kernels")))
    }

    pub(super) fn file(&self, key: &Key) -> PathBuf {
        let name = blake3::Hash::from(key.0).to_hex();
        self.folder.join(format!("{name}.cubin"))
    }

    /// The image of this key, if there is a file and all of it is right.
    pub(super) fn read(&self, key: &Key) -> Result<Option<Vec<u8>>, Fault> {
        let file = match self.open(key) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let most = HEADER_BYTES as u64 + MOST_BYTES;
        let mut bytes = Vec::new();
        // One byte more, so that a file that is too long is seen to be.
        file.take(most + 1).read_to_end(&mut bytes)?;
        let (Some(rest), true) = (bytes.strip_prefix(MAGIC), bytes.len() >= HEADER_BYTES) else {
            return Err(Fault::Foreign);
        };
        let (own, rest) = rest.split_at(KEY_BYTES);
        if own != key.0 {
            return Err(Fault::OtherKey);
        }
        let Some((length, rest)) = rest.split_first_chunk::<8>() else {
            return Err(Fault::Foreign);
        };
        let (sum, image) = rest.split_at(32);
        let (have, wanted) = (image.len() as u64, u64::from_le_bytes(*length));
        if have != wanted {
            return Err(Fault::Length { have, wanted });
        }
        if sum != checksum(key, image).as_slice() {
            return Err(Fault::Checksum);
        }
        Ok(Some(image.to_vec()))
    }

    /// The file of this key, which nobody else can have written.
    fn open(&self, key: &Key) -> io::Result<File> {
        let (path, folder) = (self.file(key), fs::symlink_metadata(&self.folder)?);
        let user = user(&self.folder)?;
        own(&self.folder, &folder, Kind::Folder, user)?;
        // A pipe, which would have to be waited for, is not opened.
        own(&path, &fs::symlink_metadata(&path)?, Kind::File, user)?;
        let file = File::open(&path)?;
        // What was looked at may have been replaced before it was opened.
        own(&path, &file.metadata()?, Kind::File, user)?;
        Ok(file)
    }

    /// Keeps an image: under another name first, so that nobody reads half of it.
    pub(super) fn write(&self, key: &Key, image: &[u8]) -> io::Result<()> {
        create(&self.folder)?;
        let (folder, user) = (fs::symlink_metadata(&self.folder)?, user(&self.folder)?);
        own(&self.folder, &folder, Kind::Folder, user)?;
        let (draft, mut file) = start(drafts(&self.folder))?;
        let length = (image.len() as u64).to_le_bytes();
        let parts: [&[u8]; 5] = [MAGIC, &key.0, &length, &checksum(key, image), image];
        let written = parts.iter().try_for_each(|part| file.write_all(part));
        drop(file);
        let path = self.file(key);
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let kept = written.and_then(|()| fs::rename(&draft, &path).map_err(named));
        if kept.is_err() {
            // It is of no use, and its own failure says nothing new.
            let _ = fs::remove_file(&draft);
        }
        kept
    }
}

fn checksum(key: &Key, image: &[u8]) -> [u8; 32] {
    let mut hash = blake3::Hasher::new();
    hash.update(&key.0).update(image);
    *hash.finalize().as_bytes()
}

/// A folder that only its owner can look into or write to, where the system knows of such.
fn create(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Names for a draft in a folder, which no other process and no earlier one is likely to have used.
fn drafts(folder: &Path) -> impl Iterator<Item = PathBuf> {
    (0..NAMES).map(move |_| {
        let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |time| time.subsec_nanos());
        folder.join(format!("draft-{}-{number}-{now}", process::id()))
    })
}

/// A new file for its owner alone, under the first of these names that nothing has, not even a link.
pub(super) fn start(names: impl Iterator<Item = PathBuf>) -> io::Result<(PathBuf, File)> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut taken = io::Error::from(ErrorKind::AlreadyExists);
    for name in names {
        match options.open(&name) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => taken = error,
            opened => return opened.map(|file| (name, file)),
        }
    }
    Err(taken)
}

/// What something in the file system has to be.
#[derive(Clone, Copy)]
enum Kind {
    Folder,
    File,
}

/// The user that this process works for: the owner of its entry of /proc, or, where there is none, of a file that it creates in a folder.
#[cfg(unix)]
fn user(folder: &Path) -> io::Result<u32> {
    use std::os::unix::fs::MetadataExt;
    if let Ok(process) = fs::metadata("/proc/self") {
        return Ok(process.uid());
    }
    let (name, file) = start(drafts(folder))?;
    let owner = file.metadata().map(|found| found.uid());
    // It has told what it was for.
    let _ = fs::remove_file(name);
    owner
}

/// This system's folder for such files is its user's alone.
#[cfg(not(unix))]
fn user(_: &Path) -> io::Result<u32> {
    Ok(0)
}

/// Refuses what others can have written, or a link to it.
#[cfg(unix)]
fn own(path: &Path, found: &Metadata, kind: Kind, user: u32) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let (is, wanted, remedy) = match kind {
        Kind::Folder => (
            found.is_dir(),
            "folder",
            "; remove it, or name a folder of your own in XDG_CACHE_HOME",
        ),
        // Another file takes its place.
        Kind::File => (found.is_file(), "file", ""),
    };
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    let fault = if !is {
        format!("is no {wanted} itself")
    } else if owner != user {
        format!("belongs to user {owner}, not to user {user}, who runs this")
    } else if mode & 0o022 != 0 {
        format!("has mode {mode:o}, so that others can write to it")
    } else {
        return Ok(());
    };
    let text = format!("{} {fault}{remedy}", path.display());
    Err(io::Error::new(ErrorKind::PermissionDenied, text))
}

/// As for `user`.
#[cfg(not(unix))]
fn own(_: &Path, _: &Metadata, _: Kind, _: u32) -> io::Result<()> {
    Ok(())
}
