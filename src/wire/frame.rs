//! The frame: an 88-byte header, the payload, a BLAKE3 checksum of both. All numbers are little-endian.

use std::io::{self, Read, Write};

use zeroize::Zeroize;

use super::{Result, WireError, known_name};

/// The version of the format that this program writes and reads.
pub const VERSION: u16 = 1;

const MAGIC: [u8; 8] = *b"\x89CFHE\r\n\x1a";
pub(super) const HEADER_BYTES: usize = 88;
pub(super) const CHECKSUM_BYTES: usize = 32;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A [`Spec`](crate::rlwe::Spec).
    Parameters,
    /// The secret of a client.
    SecretKey,
    /// A public encryption key.
    PublicKey,
    /// Switching keys, seeded.
    EvaluationKeys,
    /// Fresh ciphertexts, seeded.
    SeededCiphertexts,
    /// Ciphertexts.
    Ciphertexts,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Parameters,
        Self::SecretKey,
        Self::PublicKey,
        Self::EvaluationKeys,
        Self::SeededCiphertexts,
        Self::Ciphertexts,
    ];

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Parameters => "parameters",
            Self::SecretKey => "a secret key",
            Self::PublicKey => "a public key",
            Self::EvaluationKeys => "evaluation keys",
            Self::SeededCiphertexts => "seeded ciphertexts",
            Self::Ciphertexts => "ciphertexts",
        }
    }

    fn number(self) -> u8 {
        Self::ALL
            .iter()
            .position(|k| *k == self)
            .map_or(0, |i| i as u8 + 1)
    }

    fn from_number(found: u8) -> Result<Self> {
        let kind = usize::from(found).checked_sub(1).and_then(|i| Self::ALL.get(i));
        kind.copied().ok_or(WireError::UnknownKind { found })
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.words())
    }
}

/// 16 bytes that tell keys or requests apart; they say nothing about the secret or the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Name(pub [u8; 16]);

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// Whose an object is: the key that it belongs to, and the request that it is part of; zero where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The name of the secret key.
    pub key: Name,
    /// The request, chosen by the client and repeated by the server.
    pub request: Name,
}

/// The start of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What follows.
    pub kind: Kind,
    /// The parameters that it was made with.
    pub parameters: [u8; 32],
    /// Whose it is.
    pub stamp: Stamp,
    /// Bytes of the payload.
    pub payload_bytes: u64,
}

impl Header {
    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10] = self.kind.number();
        bytes[16..48].copy_from_slice(&self.parameters);
        bytes[48..64].copy_from_slice(&self.stamp.key.0);
        bytes[64..80].copy_from_slice(&self.stamp.request.0);
        bytes[80..].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self> {
        let array = |at: usize| -> [u8; 16] { std::array::from_fn(|i| bytes[at + i]) };
        let magic = std::array::from_fn(|i| bytes[i]);
        if magic != MAGIC {
            return Err(WireError::Magic { found: magic });
        }
        let found = u16::from_le_bytes([bytes[8], bytes[9]]);
        if found != VERSION {
            return Err(WireError::Version {
                found,
                known: VERSION,
            });
        }
        let kind = Kind::from_number(bytes[10])?;
        if bytes[11..16].iter().any(|b| *b != 0) {
            let value = format!("{:02x?}", &bytes[11..16]);
            return Err(WireError::field(
                "the reserved part of the header",
                value,
                "it is zero",
            ));
        }
        Ok(Self {
            kind,
            parameters: std::array::from_fn(|i| bytes[16 + i]),
            stamp: Stamp {
                key: Name(array(48)),
                request: Name(array(64)),
            },
            payload_bytes: u64::from_le_bytes(std::array::from_fn(|i| bytes[80 + i])),
        })
    }
}

/// Writes a payload, hashing what passes.
pub struct Sink<'a> {
    out: &'a mut dyn Write,
    hasher: blake3::Hasher,
    remaining: u64,
}

impl Drop for Sink<'_> {
    fn drop(&mut self) {
        self.hasher.zeroize();
    }
}

impl<'a> Sink<'a> {
    fn new(out: &'a mut dyn Write, header: &Header) -> Result<Self> {
        let mut sink = Self {
            out,
            hasher: blake3::Hasher::new(),
            remaining: HEADER_BYTES as u64 + header.payload_bytes,
        };
        sink.put(&header.encode())?;
        Ok(sink)
    }

    /// The next bytes.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
        self.hasher.update(bytes);
        self.out.write_all(bytes).map_err(WireError::io("write"))
    }

    /// The next numbers.
    pub(super) fn numbers(&mut self, numbers: &[u32]) -> Result<()> {
        numbers.iter().try_for_each(|n| self.put(&n.to_le_bytes()))
    }

    fn finish(self) -> Result<()> {
        if self.remaining != 0 {
            return Err(WireError::Length {
                what: "what was to be written",
                have: self.remaining,
                wanted: 0,
            });
        }
        let digest = self.hasher.finalize();
        self.out
            .write_all(digest.as_bytes())
            .map_err(WireError::io("write"))
    }
}

/// Reads a payload of known length, hashing what passes.
pub struct Source<'a> {
    input: &'a mut dyn Read,
    hasher: blake3::Hasher,
    header: Header,
    remaining: u64,
}

impl Drop for Source<'_> {
    fn drop(&mut self) {
        self.hasher.zeroize();
    }
}

impl<'a> Source<'a> {
    /// Reads and checks the header of `total` bytes.
    pub(super) fn new(input: &'a mut dyn Read, total: u64) -> Result<Self> {
        let around = (HEADER_BYTES + CHECKSUM_BYTES) as u64;
        let mut start = [0; HEADER_BYTES];
        if total < around {
            return Err(WireError::Length {
                what: "a file at its shortest",
                have: total,
                wanted: around,
            });
        }
        input.read_exact(&mut start).map_err(WireError::io("read"))?;
        let header = Header::decode(&start)?;
        if header.payload_bytes != total - around {
            return Err(WireError::Length {
                what: "payload",
                have: total - around,
                wanted: header.payload_bytes,
            });
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(&start);
        Ok(Self {
            input,
            hasher,
            header,
            remaining: header.payload_bytes,
        })
    }

    /// The header.
    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes of the payload that are left.
    pub(super) fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Demands exactly this many bytes in the rest of the payload; before anything is allocated for them.
    pub(super) fn demand(&self, what: &'static str, wanted: Option<u64>) -> Result<()> {
        let wanted = wanted.unwrap_or(u64::MAX);
        if wanted != self.remaining {
            let have = self.remaining;
            return Err(WireError::Length { what, have, wanted });
        }
        Ok(())
    }

    /// The next bytes.
    pub(super) fn take(&mut self, bytes: &mut [u8]) -> Result<()> {
        let wanted = bytes.len() as u64;
        if wanted > self.remaining {
            return Err(WireError::Length {
                what: "rest of the payload",
                have: self.remaining,
                wanted,
            });
        }
        self.input.read_exact(bytes).map_err(WireError::io("read"))?;
        self.hasher.update(bytes);
        self.remaining -= wanted;
        Ok(())
    }

    /// The next N bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.take(&mut bytes)?;
        Ok(bytes)
    }

    /// The next number of 16 bits.
    pub(super) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// The next number of 32 bits.
    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// The next number of 64 bits.
    pub(super) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Demands the checksum and the end.
    pub(super) fn finish(self) -> Result<()> {
        self.demand("rest of the payload", Some(0))?;
        let (mut have, mut more) = ([0; CHECKSUM_BYTES], [0; 1]);
        self.input.read_exact(&mut have).map_err(WireError::io("read"))?;
        if self.input.read(&mut more).map_err(WireError::io("read"))? != 0 {
            return Err(WireError::Length {
                what: "after the checksum",
                have: 1,
                wanted: 0,
            });
        }
        if self.hasher.finalize() != have {
            let bytes = HEADER_BYTES as u64 + self.header.payload_bytes;
            return Err(WireError::Checksum { bytes });
        }
        Ok(())
    }
}

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
    /// Bytes of the payload.
    #[doc(hidden)]
    fn payload_bytes(&self, home: &C) -> Result<u64>;
    /// Writes the payload.
    #[doc(hidden)]
    fn write(&self, home: &C, sink: &mut Sink<'_>) -> Result<()>;
    /// Reads the payload, trusting nothing.
    #[doc(hidden)]
    fn read(home: &C, source: &mut Source<'_>) -> Result<Self>;
}

/// Writes a whole frame.
pub(super) fn write<C, T: Record<C>>(out: &mut dyn Write, value: &T, home: &C, stamp: Stamp) -> Result<()> {
    let header = Header {
        kind: T::KIND,
        parameters: value.parameters(home)?,
        stamp,
        payload_bytes: value.payload_bytes(home)?,
    };
    let mut sink = Sink::new(out, &header)?;
    value.write(home, &mut sink)?;
    sink.finish()
}

/// Reads a whole frame of `total` bytes.
pub(super) fn read<C, T: Record<C>>(input: &mut dyn Read, total: u64, home: &C) -> Result<(T, Stamp)> {
    let mut source = Source::new(input, total)?;
    let header = *source.header();
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
    let value = T::read(home, &mut source)?;
    source.finish()?;
    Ok((value, header.stamp))
}

/// An object as bytes.
pub fn to_bytes<C, T: Record<C>>(value: &T, home: &C, stamp: Stamp) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write(&mut bytes, value, home, stamp)?;
    Ok(bytes)
}

/// An object from bytes, and whose it is.
pub fn from_bytes<C, T: Record<C>>(bytes: &[u8], home: &C) -> Result<(T, Stamp)> {
    read(&mut io::Cursor::new(bytes), bytes.len() as u64, home)
}
