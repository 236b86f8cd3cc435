//! The header of a frame: what the frame holds, whose it is and how long it is, sealed by a checksum of its own.

use std::io::Read;

use super::{Place, Result, WireError};

/// The version of the format that this program writes. It reads version 1 as well.
pub const VERSION: u16 = 2;

const MAGIC: [u8; 8] = *b"\x89CFHE\r\n\x1a";
pub(super) const CHECKSUM_BYTES: usize = 32;
/// Bytes of the header of version 2, its checksum among them.
pub(super) const HEADER_BYTES: usize = 128;
/// Kinds of version 1: the first six.
const KINDS_1: usize = 6;
/// Bytes of the header of version 1.
const HEADER_BYTES_1: usize = 88;
/// From the start of a frame to behind the length of its payload.
pub(super) const LENGTH_KNOWN: usize = 88;
const SEAL_AT: usize = HEADER_BYTES - CHECKSUM_BYTES;

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
    /// Fresh ciphertexts of CKKS, seeded.
    SeededCiphertexts,
    /// Ciphertexts of CKKS.
    Ciphertexts,
    /// A [`bfv::Spec`](crate::bfv::Spec).
    BfvParameters,
    /// Fresh ciphertexts of BFV, seeded.
    SeededBfvCiphertexts,
    /// Ciphertexts of BFV.
    BfvCiphertexts,
    /// A [`Quantised`](crate::model::Quantised) model.
    Model,
    /// [`Weights`](crate::matmul::coefficient::Weights) of a product in coefficient packing.
    CoefficientWeights,
    /// [`Outputs`](crate::matmul::coefficient::Outputs) of such a product.
    CoefficientOutputs,
    /// The two keys of an encapsulation, seeded.
    RaiseKeys,
    /// All keys of a bootstrap, seeded.
    BootstrapKeys,
}

impl Kind {
    const ALL: [Self; 14] = [
        Self::Parameters,
        Self::SecretKey,
        Self::PublicKey,
        Self::EvaluationKeys,
        Self::SeededCiphertexts,
        Self::Ciphertexts,
        Self::BfvParameters,
        Self::SeededBfvCiphertexts,
        Self::BfvCiphertexts,
        Self::Model,
        Self::CoefficientWeights,
        Self::CoefficientOutputs,
        Self::RaiseKeys,
        Self::BootstrapKeys,
    ];

    /// In words; for programs; where such a file comes from.
    fn described(self) -> [&'static str; 3] {
        let own = "a file of that kind";
        match self {
            Self::Parameters => [
                "parameters",
                "parameters",
                "`parameters.cf` as `cipherformer keygen` wrote it",
            ],
            Self::SecretKey => [
                "a secret key",
                "secret-key",
                "`secret.key` as `cipherformer keygen` wrote it",
            ],
            Self::PublicKey => ["a public key", "public-key", own],
            Self::EvaluationKeys => [
                "evaluation keys",
                "evaluation-keys",
                "`evaluation.keys` as `cipherformer keygen` wrote it",
            ],
            Self::SeededCiphertexts => [
                "seeded CKKS ciphertexts",
                "seeded-ciphertexts",
                "what `cipherformer encrypt` wrote",
            ],
            Self::Ciphertexts => [
                "CKKS ciphertexts",
                "ciphertexts",
                "what `cipherformer infer` wrote",
            ],
            Self::BfvParameters => ["BFV parameters", "bfv-parameters", own],
            Self::SeededBfvCiphertexts => ["seeded BFV ciphertexts", "seeded-bfv-ciphertexts", own],
            Self::BfvCiphertexts => ["BFV ciphertexts", "bfv-ciphertexts", own],
            Self::Model => ["a model", "model", own],
            Self::CoefficientWeights => ["weights in coefficient packing", "coefficient-weights", own],
            Self::CoefficientOutputs => ["results in coefficient packing", "coefficient-outputs", own],
            Self::RaiseKeys => ["raise keys", "raise-keys", own],
            Self::BootstrapKeys => ["bootstrap keys", "bootstrap-keys", own],
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        self.described()[0]
    }

    /// For programs: lower case with hyphens.
    pub fn name(self) -> &'static str {
        self.described()[1]
    }

    /// Where such a file comes from.
    pub(super) fn source(self) -> &'static str {
        self.described()[2]
    }

    /// Whether it belongs to a key.
    fn has_key(self) -> bool {
        !matches!(
            self,
            Self::Parameters | Self::BfvParameters | Self::Model | Self::CoefficientWeights
        )
    }

    /// Whether it is part of a request.
    pub(super) fn has_request(self) -> bool {
        use Kind::{
            BfvCiphertexts, Ciphertexts, CoefficientOutputs, SeededBfvCiphertexts, SeededCiphertexts,
        };
        matches!(
            self,
            SeededCiphertexts | Ciphertexts | SeededBfvCiphertexts | BfvCiphertexts | CoefficientOutputs
        )
    }

    fn number(self) -> u8 {
        Self::ALL
            .iter()
            .position(|k| *k == self)
            .map_or(0, |i| i as u8 + 1)
    }

    /// The kind of a number, in a file of a version.
    fn from_number(found: u8, version: u16) -> Result<Self> {
        let most = if version == 1 { KINDS_1 } else { Self::ALL.len() };
        let kind = usize::from(found).checked_sub(1).filter(|i| *i < most);
        kind.and_then(|i| Self::ALL.get(i))
            .copied()
            .ok_or(WireError::UnknownKind { found, most })
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
    /// The name of the secret key; zero for parameters and models.
    pub key: Name,
    /// The request, chosen by the client and repeated by the server; zero for all but ciphertexts.
    pub request: Name,
}

/// The start of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The version of the format.
    pub version: u16,
    /// What follows.
    pub kind: Kind,
    /// The parameters that it was made with.
    pub parameters: [u8; 32],
    /// Whose it is.
    pub stamp: Stamp,
    /// Bytes of the payload; in version 2 with the checksums of its sections.
    pub payload_bytes: u64,
    /// Bytes of the first section without its checksum; zero in version 1, which has no sections.
    pub first_bytes: u64,
}

/// The checksum of a header of version 2, which keys the checksums of all sections behind it.
pub(super) type Seal = [u8; CHECKSUM_BYTES];

fn seal(bytes: &[u8; HEADER_BYTES]) -> Seal {
    blake3::hash(&bytes[..SEAL_AT]).into()
}

impl Header {
    /// The bytes of version 2.
    pub(super) fn encode(&self) -> Result<([u8; HEADER_BYTES], Seal)> {
        self.check_stamp()?;
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10] = self.kind.number();
        bytes[16..48].copy_from_slice(&self.parameters);
        bytes[48..64].copy_from_slice(&self.stamp.key.0);
        bytes[64..80].copy_from_slice(&self.stamp.request.0);
        bytes[80..88].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[88..SEAL_AT].copy_from_slice(&self.first_bytes.to_le_bytes());
        let seal = seal(&bytes);
        bytes[SEAL_AT..].copy_from_slice(&seal);
        Ok((bytes, seal))
    }

    /// Reads and checks the header of a file of `total` bytes; no seal in version 1. Also gives what was read.
    pub(super) fn read(input: &mut dyn Read, total: u64) -> Result<(Self, Option<Seal>, Vec<u8>)> {
        let shortest = (HEADER_BYTES_1 + CHECKSUM_BYTES) as u64;
        if total < shortest {
            return Err(WireError::Length {
                what: "a file at its shortest",
                have: total,
                wanted: shortest,
            });
        }
        let mut bytes = [0; HEADER_BYTES];
        let mut take = |part: &mut [u8]| input.read_exact(part).map_err(WireError::io("read the file"));
        take(&mut bytes[..HEADER_BYTES_1])?;
        let version = version(&bytes);
        if matches!(version, Ok(1)) {
            let header = Self::decode(&bytes, 1)?;
            header.check_length(total, shortest)?;
            return Ok((header, None, bytes[..HEADER_BYTES_1].to_vec()));
        }
        if total >= HEADER_BYTES as u64 {
            take(&mut bytes[HEADER_BYTES_1..])?;
        } else if version.is_ok() {
            return Err(WireError::Length {
                what: "a file at its shortest",
                have: total,
                wanted: HEADER_BYTES as u64,
            });
        }
        // A bit that flipped in the magic number or the version is damage; anything else there is another file.
        let mut own = bytes;
        own[..8].copy_from_slice(&MAGIC);
        own[8..10].copy_from_slice(&VERSION.to_le_bytes());
        let seal = seal(&own);
        let sealed = seal == bytes[SEAL_AT..];
        match version {
            Err(other) if !sealed => return Err(other),
            Ok(_) if sealed => {}
            _ => {
                let place = Place::new(None, "the header", 0, HEADER_BYTES as u64);
                return Err(WireError::Damaged { place });
            }
        }
        let header = Self::decode(&bytes, VERSION)?;
        header.check_length(total, HEADER_BYTES as u64)?;
        let most = header.payload_bytes.saturating_sub(CHECKSUM_BYTES as u64);
        if header.first_bytes > most {
            let allowed = format!("the payload has room for {most}");
            return Err(WireError::field(
                "the length of the first section",
                header.first_bytes,
                allowed,
            ));
        }
        Ok((header, Some(seal), bytes.to_vec()))
    }

    fn decode(bytes: &[u8; HEADER_BYTES], version: u16) -> Result<Self> {
        let array = |at: usize| -> [u8; 16] { std::array::from_fn(|i| bytes[at + i]) };
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let kind = Kind::from_number(bytes[10], version)?;
        if bytes[11..16].iter().any(|b| *b != 0) {
            let value = format!("{:02x?}", &bytes[11..16]);
            return Err(WireError::field(
                "the reserved part of the header",
                value,
                "it is zero",
            ));
        }
        let header = Self {
            version,
            kind,
            parameters: std::array::from_fn(|i| bytes[16 + i]),
            stamp: Stamp {
                key: Name(array(48)),
                request: Name(array(64)),
            },
            payload_bytes: number(80),
            first_bytes: if version == 1 { 0 } else { number(88) },
        };
        header.check_stamp()?;
        Ok(header)
    }

    /// Names only where they mean something.
    fn check_stamp(&self) -> Result<()> {
        let Stamp { key, request } = self.stamp;
        if !self.kind.has_key() && key != Name::default() {
            return Err(WireError::field(
                "the name of the key",
                key,
                "such a file belongs to none",
            ));
        }
        if !self.kind.has_request() && request != Name::default() {
            let allowed = "only ciphertexts are part of a request";
            return Err(WireError::field("the name of the request", request, allowed));
        }
        Ok(())
    }

    fn check_length(&self, total: u64, around: u64) -> Result<()> {
        let have = total.saturating_sub(around);
        if self.payload_bytes != have {
            return Err(WireError::Length {
                what: "the payload",
                have,
                wanted: self.payload_bytes,
            });
        }
        Ok(())
    }
}

/// What the start of a frame says of its length, header and checksums included; unchecked.
pub(super) fn frame_bytes(start: &[u8]) -> Option<u64> {
    let start: &[u8; LENGTH_KNOWN] = start.try_into().ok()?;
    let around = match u16::from_le_bytes([start[8], start[9]]) {
        1 => HEADER_BYTES_1 + CHECKSUM_BYTES,
        _ => HEADER_BYTES,
    };
    let payload = u64::from_le_bytes(std::array::from_fn(|i| start[80 + i]));
    payload.checked_add(around as u64)
}

/// The version, of a file of ours.
fn version(bytes: &[u8; HEADER_BYTES]) -> Result<u16> {
    let found = std::array::from_fn(|i| bytes[i]);
    if found != MAGIC {
        return Err(WireError::Magic { found });
    }
    let found = u16::from_le_bytes([bytes[8], bytes[9]]);
    if !(1..=VERSION).contains(&found) {
        return Err(WireError::Version {
            found,
            known: VERSION,
        });
    }
    Ok(found)
}
