//! Files without their seals: the form in which the fuzzer mutates them.
//!
//! The open form is the 96 bytes of a header before its checksum, then sections, each a length (32 bits) and its bytes. Lengths are
//! repaired when sections are cut short. What the rest of the file determines is stored as the difference to what it should be, so
//! that zero is always right: both lengths of the header, and the digest in a file of parameters. [`Frame::seal`] computes these and
//! all checksums by `docs/wire.md` alone, independently of the library.

/// Bytes of a header before its checksum.
pub const HEADER: usize = 96;
const HEADER_1: usize = 88;
const KIND: usize = 10;
const DIGEST: std::ops::Range<usize> = 16..48;
const PAYLOAD: std::ops::Range<usize> = 80..88;
const FIRST: std::ops::Range<usize> = 88..96;
const SEAL: usize = 32;

/// A file without its seals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The header up to its checksum, differences where the rest determines it.
    pub header: [u8; HEADER],
    /// The bytes of the sections; one in version 1.
    pub sections: Vec<Vec<u8>>,
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn section_seal(header: &[u8; SEAL], number: usize, bytes: &[u8]) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new_keyed(header);
    hasher.update(&(number as u64).to_le_bytes());
    hasher.update(bytes);
    hasher
}

impl Frame {
    /// The open form; none of bytes shorter than a header. Any longer ones have one.
    pub fn from_open(bytes: &[u8]) -> Option<Self> {
        let (header, mut rest) = bytes.split_first_chunk::<HEADER>()?;
        let mut sections = Vec::new();
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let length = (u32::from_le_bytes(*length) as usize).min(behind.len());
            let (section, next) = behind.split_at(length);
            sections.push(section.to_vec());
            rest = next;
        }
        let header = *header;
        Some(Self { header, sections })
    }

    /// The bytes of the open form.
    pub fn to_open(&self) -> Vec<u8> {
        let mut bytes = self.header.to_vec();
        for section in &self.sections {
            bytes.extend((section.len() as u32).to_le_bytes());
            bytes.extend(section);
        }
        bytes
    }

    /// The number of its kind.
    pub fn kind(&self) -> u8 {
        self.header[KIND]
    }

    /// The version of the format.
    pub fn version(&self) -> u64 {
        number(&self.header[8..10])
    }

    /// Adds what the sections determine to the differences in the header, or takes it away.
    fn shift(&mut self, sign: i64) {
        let payload: usize = self.sections.iter().map(Vec::len).sum();
        let (payload, first) = if self.version() == 1 {
            (payload, 0)
        } else {
            let first = self.sections.first().map_or(0, Vec::len);
            (payload + SEAL * self.sections.len(), first)
        };
        for (range, length) in [(PAYLOAD, payload), (FIRST, first)] {
            let length = (length as u64).wrapping_mul(sign as u64);
            let sum = number(&self.header[range.clone()]).wrapping_add(length);
            self.header[range].copy_from_slice(&sum.to_le_bytes());
        }
        if self.kind() == 1 {
            let digest = blake3::derive_key("cipherformer v1 parameters", &self.sections.concat());
            for (byte, own) in self.header[DIGEST].iter_mut().zip(digest) {
                *byte ^= own;
            }
        }
    }

    /// The file, with every seal right.
    pub fn seal(&self) -> Vec<u8> {
        let mut frame = self.clone();
        frame.shift(1);
        if frame.version() == 1 {
            let mut bytes = frame.header[..HEADER_1].to_vec();
            bytes.extend(frame.sections.concat());
            bytes.extend(blake3::hash(&bytes).as_bytes());
            return bytes;
        }
        let seal: [u8; SEAL] = blake3::hash(&frame.header).into();
        let mut bytes = frame.header.to_vec();
        bytes.extend(seal);
        for (i, section) in frame.sections.iter().enumerate() {
            bytes.extend(section);
            bytes.extend(section_seal(&seal, i, section).finalize().as_bytes());
        }
        bytes
    }

    /// The open form of a valid file. A section ends where its checksum fits, whatever its kind says about lengths.
    pub fn open(file: &[u8]) -> Option<Self> {
        let mut header = [0; HEADER];
        let mut sections = Vec::new();
        if number(file.get(8..10)?) == 1 {
            header[..HEADER_1].copy_from_slice(file.get(..HEADER_1)?);
            sections.push(file.get(HEADER_1..file.len().checked_sub(SEAL)?)?.to_vec());
        } else {
            header.copy_from_slice(file.get(..HEADER)?);
            let seal: [u8; SEAL] = file.get(HEADER..HEADER + SEAL)?.try_into().ok()?;
            let mut at = HEADER + SEAL;
            while at < file.len() {
                let mut hasher = section_seal(&seal, sections.len(), &[]);
                let mut end = at;
                while hasher.finalize().as_bytes() != file.get(end..end + SEAL)? {
                    hasher.update(&file[end..=end]);
                    end += 1;
                }
                sections.push(file[at..end].to_vec());
                at = end + SEAL;
            }
        }
        let mut frame = Self { header, sections };
        frame.shift(-1);
        Some(frame)
    }
}
