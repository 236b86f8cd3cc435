//! What any of our files is, without its parameters at hand.

use std::path::Path;

use zeroize::Zeroizing;

use super::{Header, Record, Result, Source, VERSION, file, known_name, scale};
use crate::{rlwe::Spec, wire::Kind};

/// What a file says of itself, its checksum verified. Residues are checked when it is loaded for use.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The version of the format.
    pub version: u16,
    /// The header.
    pub header: Header,
    /// The shipped chain that it belongs to, or the start of the digest of its parameters.
    pub parameters: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// What its kind adds.
    pub detail: Detail,
}

/// Numbers of one kind.
#[derive(Clone, Debug)]
pub enum Detail {
    /// The chain, holding together.
    Parameters(Box<Spec>),
    /// Nothing to tell.
    Key,
    /// Switching keys.
    EvaluationKeys {
        /// How many.
        count: u32,
    },
    /// Ciphertexts, seeded or whole.
    Ciphertexts {
        /// How many.
        items: u32,
        /// Polynomials stored for each.
        polys: u32,
        /// The level.
        level: u32,
        /// Slots of each.
        slots: u32,
        /// log2 of the scale.
        scale_log2: f64,
    },
}

/// Most primes of a scale in a file of unknown parameters.
const MOST_PRIMES: usize = 1024;

/// Reads a file to its end and says what it is.
pub fn inspect(path: &Path) -> Result<Summary> {
    file::reading(path, |file, bytes| {
        let mut source = Source::new(file, bytes)?;
        let header = *source.header();
        let detail = detail(&mut source)?;
        // It may be a secret.
        let mut rest = Zeroizing::new(vec![0; 1 << 16]);
        while source.remaining() > 0 {
            let part = source.remaining().min(rest.len() as u64) as usize;
            source.take(&mut rest[..part])?;
        }
        source.finish()?;
        Ok(Summary {
            version: VERSION,
            parameters: known_name(&header.parameters),
            header,
            bytes,
            detail,
        })
    })
}

fn detail(source: &mut Source<'_>) -> Result<Detail> {
    Ok(match source.header().kind {
        Kind::Parameters => Detail::Parameters(Box::new(Spec::read(&(), source)?)),
        Kind::SecretKey | Kind::PublicKey => Detail::Key,
        Kind::EvaluationKeys => Detail::EvaluationKeys { count: source.u32()? },
        Kind::SeededCiphertexts | Kind::Ciphertexts => Detail::Ciphertexts {
            items: source.u32()?,
            polys: source.u32()?,
            level: source.u32()?,
            slots: source.u32()?,
            scale_log2: scale::read(source, MOST_PRIMES)?.log2(),
        },
    })
}
