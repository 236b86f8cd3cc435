//! The payload of a frame, section by section, each with a checksum behind it.
//!
//! A section's checksum is BLAKE3 keyed with the header's checksum, of the section's number (64 bits, from 0) and its bytes: a
//! section proves itself alone, and none can stand in for another. In version 1 there is one checksum at the end of the file
//! instead, and the same bytes between without any.

use std::{
    fmt,
    io::{Read, Write},
};

use zeroize::{Zeroize, Zeroizing};

use super::{
    Header, Kind, Result, WireError,
    header::{CHECKSUM_BYTES, Seal},
};

/// Where a section lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What the file says it holds; none for a header that cannot be believed.
    pub kind: Option<Kind>,
    /// The section.
    pub section: String,
    /// Its first byte in the file.
    pub offset: u64,
    /// Its bytes, its checksum not among them.
    pub bytes: u64,
}

impl Place {
    pub(super) fn new(kind: Option<Kind>, section: impl ToString, offset: u64, bytes: u64) -> Self {
        let section = section.to_string();
        Self {
            kind,
            section,
            offset,
            bytes,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(kind) = self.kind {
            write!(f, "{kind}: ")?;
        }
        let Self {
            section,
            offset,
            bytes,
            ..
        } = self;
        write!(f, "{section} ({bytes} bytes at offset {offset})")
    }
}

fn hasher(seal: &Seal, number: u64) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new_keyed(seal);
    hasher.update(&number.to_le_bytes());
    hasher
}

/// Writes the sections of a payload.
pub struct Sink<'a> {
    out: &'a mut dyn Write,
    seal: Seal,
    hasher: blake3::Hasher,
    /// What each section is to have.
    lengths: &'a [u64],
    number: usize,
    written: u64,
}

impl Drop for Sink<'_> {
    fn drop(&mut self) {
        self.hasher.zeroize();
    }
}

impl<'a> Sink<'a> {
    /// Bytes of the checksum behind each section.
    pub(super) const CHECKSUM_BYTES: u64 = CHECKSUM_BYTES as u64;

    /// Behind a header with this seal.
    pub(super) fn new(out: &'a mut dyn Write, seal: Seal, lengths: &'a [u64]) -> Self {
        Self {
            out,
            seal,
            hasher: hasher(&seal, 0),
            lengths,
            number: 0,
            written: 0,
        }
    }

    /// The next bytes.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.written += bytes.len() as u64;
        self.hasher.update(bytes);
        self.out.write_all(bytes).map_err(WireError::io("write the file"))
    }

    /// The next numbers.
    pub(crate) fn numbers(&mut self, numbers: &[u32]) -> Result<()> {
        numbers.iter().try_for_each(|n| self.put(&n.to_le_bytes()))
    }

    /// The end of a section.
    pub(crate) fn end(&mut self) -> Result<()> {
        let wanted = self.lengths.get(self.number).copied().unwrap_or(0);
        self.expect("the section that was written", self.written, wanted)?;
        let digest = self.hasher.finalize();
        self.number += 1;
        self.written = 0;
        self.hasher.zeroize();
        self.hasher = hasher(&self.seal, self.number as u64);
        self.out
            .write_all(digest.as_bytes())
            .map_err(WireError::io("write the file"))
    }

    /// The end of the payload.
    pub(super) fn finish(self) -> Result<()> {
        self.expect("what was written behind the last section", self.written, 0)?;
        self.expect("sections", self.number as u64, self.lengths.len() as u64)
    }

    fn expect(&self, what: &'static str, have: u64, wanted: u64) -> Result<()> {
        if have != wanted {
            return Err(WireError::Length { what, have, wanted });
        }
        Ok(())
    }
}

/// Reads the sections of a payload.
pub struct Source<'a> {
    input: &'a mut dyn Read,
    header: Header,
    /// None in version 1.
    seal: Option<Seal>,
    hasher: blake3::Hasher,
    /// The section that comes next, or is being read.
    number: u64,
    /// In the file: the next byte, the end of the section, the end of the payload.
    at: u64,
    section_end: u64,
    end: u64,
}

impl Drop for Source<'_> {
    fn drop(&mut self) {
        self.hasher.zeroize();
    }
}

impl<'a> Source<'a> {
    /// Reads and checks the header of a file of `total` bytes.
    pub(super) fn new(input: &'a mut dyn Read, total: u64) -> Result<Self> {
        let (header, seal, bytes) = Header::read(input, total)?;
        let mut source = Self::at(input, header, seal, 0, bytes.len() as u64);
        source.end = source.at + header.payload_bytes;
        if seal.is_none() {
            source.hasher.update(&bytes);
        }
        Ok(source)
    }

    /// From the start of a section on, whose number and place in the file are known.
    pub(super) fn at(
        input: &'a mut dyn Read,
        header: Header,
        seal: Option<Seal>,
        number: u64,
        at: u64,
    ) -> Self {
        Self {
            input,
            header,
            seal,
            hasher: seal.map_or_else(blake3::Hasher::new, |s| hasher(&s, number)),
            number,
            at,
            section_end: at,
            end: u64::MAX,
        }
    }

    /// The header.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Whether sections have checksums of their own, as they do since version 2.
    pub(super) fn has_sections(&self) -> bool {
        self.seal.is_some()
    }

    /// The header's checksum; none in version 1.
    pub(super) fn seal(&self) -> Option<Seal> {
        self.seal
    }

    /// The next byte's place in the file.
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    /// Bytes of a checksum behind each section.
    pub(super) fn checksum_bytes(&self) -> u64 {
        self.seal.map_or(0, |s| s.len() as u64)
    }

    /// Bytes of the section that are left.
    pub(crate) fn remaining(&self) -> u64 {
        self.section_end - self.at
    }

    /// Bytes of the payload behind the sections read so far.
    pub(super) fn rest(&self) -> u64 {
        self.end - self.at
    }

    /// Demands `sections` sections of `bytes` in all behind those read so far, before anything is allocated for them.
    pub(crate) fn demand(&self, what: &'static str, bytes: Option<u64>, sections: u64) -> Result<()> {
        let checksums = self.checksum_bytes().checked_mul(sections);
        let wanted = bytes.zip(checksums).and_then(|(b, c)| b.checked_add(c));
        let (have, wanted) = (self.rest(), wanted.unwrap_or(u64::MAX));
        if wanted != have {
            return Err(WireError::Length { what, have, wanted });
        }
        Ok(())
    }

    /// Demands that this section holds `wanted` more bytes, before anything is allocated for them.
    pub(crate) fn demand_here(&self, what: &'static str, wanted: u64) -> Result<()> {
        let have = self.remaining();
        if wanted != have {
            return Err(WireError::Length { what, have, wanted });
        }
        Ok(())
    }

    /// Reads the first section, whose length the header tells.
    pub(crate) fn first<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let bytes = match self.seal {
            Some(_) => self.header.first_bytes,
            None => self.rest(),
        };
        self.section(format_args!("{name}"), bytes, read)
    }

    /// Reads a section of `bytes` bytes. Whatever `read` objects to, damage is told first.
    pub(crate) fn section<T>(
        &mut self,
        name: fmt::Arguments<'_>,
        bytes: u64,
        read: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let place = |at| Place::new(Some(self.header.kind), name, at, bytes);
        let place = place(self.at);
        let checksum = self.checksum_bytes();
        if bytes
            .checked_add(checksum)
            .is_none_or(|wanted| wanted > self.rest())
        {
            let (have, wanted) = (self.rest(), bytes.saturating_add(checksum));
            let what = "a section";
            return Err(WireError::Length { what, have, wanted }.within(place));
        }
        self.section_end = self.at + bytes;
        let result = read(self);
        let Some(seal) = self.seal else {
            return result.map_err(|e| e.within(place));
        };
        let left = self.remaining();
        match &result {
            // What could not be read cannot be checked.
            Err(WireError::Io { .. }) => return result,
            _ => self.skip(left)?,
        }
        let mut stored = [0; CHECKSUM_BYTES];
        self.input
            .read_exact(&mut stored)
            .map_err(WireError::io("read the file"))?;
        let intact = self.hasher.finalize() == stored;
        self.at += checksum;
        self.number += 1;
        self.hasher.zeroize();
        self.hasher = hasher(&seal, self.number);
        match result {
            _ if !intact => Err(WireError::Damaged { place }),
            Ok(_) if left != 0 => {
                let (have, wanted) = (bytes, bytes - left);
                let what = "a section";
                Err(WireError::Length { what, have, wanted }.within(place))
            }
            other => other.map_err(|e| e.within(place)),
        }
    }

    /// The next bytes.
    pub(crate) fn take(&mut self, bytes: &mut [u8]) -> Result<()> {
        let wanted = bytes.len() as u64;
        if wanted > self.remaining() {
            return Err(WireError::Length {
                what: "the rest of the section",
                have: self.remaining(),
                wanted,
            });
        }
        self.input
            .read_exact(bytes)
            .map_err(WireError::io("read the file"))?;
        self.hasher.update(bytes);
        self.at += wanted;
        Ok(())
    }

    /// Passes over the next bytes, for the checksum only.
    pub(crate) fn skip(&mut self, mut bytes: u64) -> Result<()> {
        // They may be a secret.
        let mut part = Zeroizing::new([0; 1 << 12]);
        while bytes > 0 {
            let now = bytes.min(part.len() as u64);
            self.take(&mut part[..now as usize])?;
            bytes -= now;
        }
        Ok(())
    }

    /// The next N bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.take(&mut bytes)?;
        Ok(bytes)
    }

    /// The next number of 16 bits.
    pub(crate) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// The next number of 32 bits.
    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// The next number of 64 bits.
    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Demands the end: of the payload, and in version 1 the checksum of everything.
    pub(super) fn finish(self) -> Result<()> {
        self.demand("the rest of the payload", Some(0), 0)?;
        let (mut stored, mut more) = ([0; CHECKSUM_BYTES], [0; 1]);
        let read = WireError::io("read the file");
        if self.seal.is_none() {
            self.input.read_exact(&mut stored).map_err(read)?;
            if self.hasher.finalize() != stored {
                return Err(WireError::Checksum { bytes: self.end });
            }
        }
        let read = WireError::io("read the file");
        if self.input.read(&mut more).map_err(read)? != 0 {
            return Err(WireError::Length {
                what: "behind the end",
                have: 1,
                wanted: 0,
            });
        }
        Ok(())
    }
}
