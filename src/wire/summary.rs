//! What any of our files is, without its parameters at hand.

use std::path::Path;

use super::{
    Header, Kind, ModelSummary, Product, Reader, Record, Result, Source, WireError, bfv::read_plain,
    bootstrap, coefficient, evaluation, known_name, model, scale,
};
use crate::{bfv, rlwe::Spec};

/// What a file says of itself, all its checksums verified. Residues are checked when it is loaded for use.
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
    /// Frames, one behind the other: batches of ciphertexts, one for all else.
    pub frames: u64,
    /// What its kind adds, of the first frame.
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
    /// All keys of a bootstrap.
    BootstrapKeys {
        /// How many, with the two of the encapsulation.
        count: u32,
    },
    /// Parameters of BFV, holding together.
    BfvParameters(bfv::Spec),
    /// A model.
    Model(ModelSummary),
    /// Ciphertexts of BFV, seeded or whole.
    BfvCiphertexts {
        /// How many.
        items: u32,
        /// Polynomials stored for each.
        polys: u32,
        /// The level.
        level: u32,
        /// The plaintext modulus t.
        plain: u128,
    },
    /// Weights in coefficient packing.
    CoefficientWeights {
        /// The product.
        product: Product,
        /// The bound on weights.
        bound: u64,
        /// Whether there is a bias.
        biased: bool,
    },
    /// Results in coefficient packing.
    CoefficientOutputs {
        /// The product.
        product: Product,
        /// Whether they are interleaved.
        packed: bool,
        /// How many ciphertexts.
        items: u32,
    },
    /// Ciphertexts of CKKS, seeded or whole.
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
    let mut reader = Reader::open(path)?;
    let bytes = reader.bytes();
    let mut first = None;
    let mut frames = 0;
    while let Some(found) = reader.frame(|source| Ok((*source.header(), detail(source)?)))? {
        frames += 1;
        first.get_or_insert(found);
    }
    let (header, detail) = first.ok_or(WireError::Length {
        what: "frames",
        have: 0,
        wanted: 1,
    })?;
    Ok(Summary {
        version: header.version,
        parameters: known_name(&header.parameters),
        header,
        bytes,
        frames,
        detail,
    })
}

fn detail(source: &mut Source<'_>) -> Result<Detail> {
    let rest = |source: &mut Source<'_>| source.skip(source.remaining());
    Ok(match source.header().kind {
        Kind::Parameters => Detail::Parameters(Box::new(Spec::read(&(), source)?)),
        Kind::BfvParameters => Detail::BfvParameters(bfv::Spec::read(&(), source)?),
        Kind::Model => {
            let (summary, _) = source.first("index", model::read_index)?;
            for (name, bytes) in model::names().zip(model::sections().into_iter().skip(1)) {
                source.section(format_args!("{name}"), bytes, rest)?;
            }
            Detail::Model(summary)
        }
        Kind::CoefficientWeights => {
            let (product, bound, sections) = source.first("index", coefficient::read_weights_index)?;
            let biased = sections.len() > 1;
            for (name, bytes) in sections {
                source.section(format_args!("{name}"), bytes, rest)?;
            }
            Detail::CoefficientWeights {
                product,
                bound,
                biased,
            }
        }
        Kind::CoefficientOutputs => {
            let (product, packed, each) = source.first("index", coefficient::read_outputs_index)?;
            let items = each.len();
            for (i, bytes) in each.into_iter().enumerate() {
                let name = format_args!("ciphertext {} of {items}", i + 1);
                source.section(name, bytes, rest)?;
            }
            Detail::CoefficientOutputs {
                product,
                packed: packed == 1,
                items: items as u32,
            }
        }
        Kind::SecretKey => {
            source.first("secret", rest)?;
            Detail::Key
        }
        Kind::PublicKey => {
            source.first("public key", rest)?;
            Detail::Key
        }
        Kind::EvaluationKeys => {
            let keys = source.first("index", |source| {
                let keys = keys(source)?;
                rest(source)?;
                Ok(keys)
            })?;
            switching_keys(source, &keys)?;
            Detail::EvaluationKeys {
                count: keys.len() as u32,
            }
        }
        Kind::RaiseKeys => {
            bootstrap::pass_alone(source)?;
            Detail::Key
        }
        Kind::BootstrapKeys => {
            let (lengths, keys) = source.first("index", |source| {
                let lengths = [source.u64()?, source.u64()?];
                let keys = keys(source)?;
                rest(source)?;
                Ok((lengths, keys))
            })?;
            if source.has_sections() {
                bootstrap::pass(source, lengths)?;
            }
            switching_keys(source, &keys)?;
            Detail::BootstrapKeys {
                count: keys.len() as u32 + 2,
            }
        }
        Kind::SeededCiphertexts | Kind::Ciphertexts => {
            let (items, detail) = source.first("index", |source| {
                let items = source.u32()?;
                let detail = Detail::Ciphertexts {
                    items,
                    polys: source.u32()?,
                    level: source.u32()?,
                    slots: source.u32()?,
                    scale_log2: scale::read(source, MOST_PRIMES)?.log2(),
                };
                rest(source)?;
                Ok((u64::from(items), detail))
            })?;
            ciphertexts(source, items)?;
            detail
        }
        Kind::SeededBfvCiphertexts | Kind::BfvCiphertexts => {
            let (items, detail) = source.first("index", |source| {
                let items = source.u32()?;
                let detail = Detail::BfvCiphertexts {
                    items,
                    polys: source.u32()?,
                    level: source.u32()?,
                    plain: read_plain(source)?,
                };
                rest(source)?;
                Ok((u64::from(items), detail))
            })?;
            ciphertexts(source, items)?;
            detail
        }
    })
}

/// Galois elements, and offsets of the sections.
fn keys(source: &mut Source<'_>) -> Result<Vec<(u32, u64)>> {
    let count = source.u32()?;
    let most = source.remaining() / evaluation::ENTRY_BYTES;
    if u64::from(count) > most {
        let allowed = format!("{most} are the most here");
        return Err(WireError::field("the number of keys", count, allowed));
    }
    let entry = |_| {
        let element = source.u32()?;
        source.u32()?;
        Ok((element, source.u64()?))
    };
    (0..count).map(entry).collect()
}

/// A section from each offset to the next, the last to the end of the payload.
fn switching_keys(source: &mut Source<'_>, keys: &[(u32, u64)]) -> Result<()> {
    if !source.has_sections() {
        return Ok(());
    }
    let ends = keys.iter().skip(1).map(|(_, offset)| Some(*offset)).chain([None]);
    for ((element, offset), end) in keys.iter().zip(ends) {
        let bytes = end.map_or(source.rest(), |end| end.saturating_sub(*offset));
        match element {
            0 => pass(source, format_args!("relinearisation key"), bytes)?,
            g => pass(source, format_args!("Galois key {g}"), bytes)?,
        }
    }
    Ok(())
}

/// `items` sections of equal length to the end of the payload.
fn ciphertexts(source: &mut Source<'_>, items: u64) -> Result<()> {
    if !source.has_sections() {
        return Ok(());
    }
    let rest = source.rest();
    if items == 0 || !rest.is_multiple_of(items) {
        let allowed = format!("{rest} bytes of equal sections follow");
        return Err(WireError::field("the number of ciphertexts", items, allowed));
    }
    (1..=items).try_for_each(|item| pass(source, format_args!("ciphertext {item} of {items}"), rest / items))
}

/// Verifies a section of `bytes` bytes, its checksum among them.
fn pass(source: &mut Source<'_>, name: std::fmt::Arguments<'_>, bytes: u64) -> Result<()> {
    let bytes = bytes.saturating_sub(source.checksum_bytes());
    source.section(name, bytes, |source| source.skip(bytes))
}
