//! Several frames one after the other in a file: the batches of one request, read and written one at a time.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{
    Existing, Header, Record, Result, Source, Stamp, WireError,
    file::{at, open},
    frame, header,
    temporary::Temporary,
};

/// Writes frames into a file that appears when all are there, or not at all.
pub struct Writer {
    path: PathBuf,
    temporary: Temporary,
    existing: Existing,
}

impl Writer {
    /// Begins a file. Nothing is at `path` yet, or still what was there.
    pub fn create(path: &Path, existing: Existing) -> Result<Self> {
        let temporary = Temporary::create(path, existing, false).map_err(at(path))?;
        Ok(Self {
            path: path.to_owned(),
            temporary,
            existing,
        })
    }

    /// The next frame.
    pub fn put<C, T: Record<C>>(&mut self, value: &T, home: &C, stamp: Stamp) -> Result<()> {
        const { assert!(!T::PRIVATE, "a secret has a file of its own") };
        frame::write(&mut self.temporary.file, value, home, stamp).map_err(at(&self.path))
    }

    /// Puts the file in place, and says how long it is.
    pub fn place(self) -> Result<u64> {
        self.temporary.place(self.existing).map_err(at(&self.path))
    }
}

/// Reads the frames of a file: all of one kind, with the same parameters and names.
pub struct Reader {
    path: PathBuf,
    file: File,
    left: u64,
    number: u64,
    first: Option<Header>,
}

impl Reader {
    /// Opens a file.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, left) = open(path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            left,
            number: 0,
            first: None,
        })
    }

    /// Bytes not read yet.
    pub(super) fn bytes(&self) -> u64 {
        self.left
    }

    /// The next object, and whose it is; none behind the last.
    pub fn next<C, T: Record<C>>(&mut self, home: &C) -> Result<Option<(T, Stamp)>> {
        self.frame(|source| {
            frame::check::<C, T>(source.header(), home)?;
            Ok((T::read(home, source)?, source.header().stamp))
        })
    }

    /// Reads the next frame to its end.
    pub(super) fn frame<T>(&mut self, read: impl FnOnce(&mut Source<'_>) -> Result<T>) -> Result<Option<T>> {
        if self.left == 0 && self.number > 0 {
            return Ok(None);
        }
        let result = self.read(read);
        self.number += 1;
        result.map(Some).map_err(|error| match self.number {
            1 => at(&self.path)(error),
            number => at(&self.path)(WireError::Frame {
                number,
                error: Box::new(error),
            }),
        })
    }

    fn read<T>(&mut self, read: impl FnOnce(&mut Source<'_>) -> Result<T>) -> Result<T> {
        let mut start = Vec::new();
        (&mut self.file)
            .take(header::LENGTH_KNOWN as u64)
            .read_to_end(&mut start)
            .map_err(WireError::io("read the file"))?;
        // What tells no length that fits is read as the last frame, and refused with the reason.
        let known = header::frame_bytes(&start).filter(|bytes| *bytes <= self.left);
        let bytes = known.unwrap_or(self.left);
        let mut input = io::Cursor::new(start).chain(&mut self.file).take(bytes);
        let mut source = Source::new(&mut input, bytes)?;
        let header = *source.header();
        match &self.first {
            None => self.first = Some(header),
            Some(first) => same(first, &header)?,
        }
        let value = read(&mut source)?;
        source.finish()?;
        self.left -= bytes;
        Ok(value)
    }
}

/// Demands ciphertexts that belong to the frames before.
fn same(first: &Header, next: &Header) -> Result<()> {
    if next.kind != first.kind || !next.kind.has_request() {
        return Err(WireError::field(
            "the kind",
            next.kind,
            format!("behind {} only more ciphertexts of that kind belong", first.kind),
        ));
    }
    if (next.parameters, next.stamp) != (first.parameters, first.stamp) {
        let allowed = "all frames of a file have the parameters, key and request of the first";
        return Err(WireError::field(
            "the name of the request",
            next.stamp.request,
            allowed,
        ));
    }
    Ok(())
}
