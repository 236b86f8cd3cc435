//! The frame: a header, then the sections of the payload. All numbers are little-endian.

use std::io::{self, Read, Write};

use super::{Header, Kind, Result, Sink, Source, Stamp, VERSION, WireError, header, known_name};

/// What can be stored, with what is needed to check it: a [`Context`](crate::rlwe::Context), or nothing for parameters.
pub trait Record<C>: Sized {
    /// What it is.
    const KIND: Kind;
    /// Whether nobody but its owner may read the file.
    const PRIVATE: bool = false;
    /// The digest of the parameters that every such object has, where they are known beforehand.
    #[doc(hidden)]
    fn expected(home: &C) -> Option<[u8; 32]>;
    /// The digest of its parameters.
    #[doc(hidden)]
    fn parameters(&self, home: &C) -> Result<[u8; 32]>;
    /// Bytes of every section; the first tells those of the others.
    #[doc(hidden)]
    fn sections(&self, home: &C) -> Result<Vec<u64>>;
    /// Writes the sections.
    #[doc(hidden)]
    fn write(&self, home: &C, sink: &mut Sink<'_>) -> Result<()>;
    /// Reads the sections, trusting nothing.
    #[doc(hidden)]
    fn read(home: &C, source: &mut Source<'_>) -> Result<Self>;
}

fn payload(sections: &[u64]) -> u64 {
    let whole = |bytes: &u64| bytes.saturating_add(header::CHECKSUM_BYTES as u64);
    sections.iter().map(whole).fold(0, u64::saturating_add)
}

fn put<C, T: Record<C>>(
    out: &mut dyn Write,
    value: &T,
    home: &C,
    stamp: Stamp,
    sections: &[u64],
) -> Result<()> {
    let header = Header {
        version: VERSION,
        kind: T::KIND,
        parameters: value.parameters(home)?,
        stamp,
        payload_bytes: payload(sections),
        first_bytes: sections.first().copied().unwrap_or(0),
    };
    let (bytes, seal) = header.encode()?;
    out.write_all(&bytes).map_err(WireError::io("write the file"))?;
    let mut sink = Sink::new(out, seal, sections);
    value.write(home, &mut sink)?;
    sink.finish()
}

/// Writes a whole frame.
pub(super) fn write<C, T: Record<C>>(out: &mut dyn Write, value: &T, home: &C, stamp: Stamp) -> Result<()> {
    put(out, value, home, stamp, &value.sections(home)?)
}

/// Demands the kind and the parameters of a `T`.
pub(super) fn check<C, T: Record<C>>(header: &Header, home: &C) -> Result<()> {
    if header.kind != T::KIND {
        let (found, wanted) = (header.kind, T::KIND);
        return Err(WireError::Kind { found, wanted });
    }
    if let Some(wanted) = T::expected(home)
        && wanted != header.parameters
    {
        return Err(WireError::Parameters {
            found: known_name(&header.parameters),
            wanted: known_name(&wanted),
        });
    }
    Ok(())
}

/// Reads a whole frame of `total` bytes.
pub(super) fn read<C, T: Record<C>>(input: &mut dyn Read, total: u64, home: &C) -> Result<(T, Stamp)> {
    let mut source = Source::new(input, total)?;
    check::<C, T>(source.header(), home)?;
    let stamp = source.header().stamp;
    let value = T::read(home, &mut source)?;
    source.finish()?;
    Ok((value, stamp))
}

/// Bytes of the file that [`save`](super::save) would write.
pub fn file_bytes<C, T: Record<C>>(value: &T, home: &C) -> Result<u64> {
    let payload = payload(&value.sections(home)?);
    Ok(payload.saturating_add(header::HEADER_BYTES as u64))
}

/// An object as bytes.
pub fn to_bytes<C, T: Record<C>>(value: &T, home: &C, stamp: Stamp) -> Result<Vec<u8>> {
    let sections = value.sections(home)?;
    // Room at once: nothing that may be secret is left behind where the bytes outgrew their place.
    let mut bytes = Vec::with_capacity(header::HEADER_BYTES + payload(&sections) as usize);
    put(&mut bytes, value, home, stamp, &sections)?;
    Ok(bytes)
}

/// An object from bytes, and whose it is.
pub fn from_bytes<C, T: Record<C>>(bytes: &[u8], home: &C) -> Result<(T, Stamp)> {
    read(&mut io::Cursor::new(bytes), bytes.len() as u64, home)
}
