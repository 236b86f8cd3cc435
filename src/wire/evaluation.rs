//! Evaluation keys: an index, then a section a key.
//!
//! A key's section is the seed of all a_j, then b_j for each digit j, each the rows of the primes up to the key's level and of the
//! special primes. A key truncated to a lower level is some of these: the first digits, and of each the rows of the lower level's
//! primes; and a_j modulo a prime depends on the seed, j and the prime alone. So one stored key serves every level up to its own.

use super::{Kind, Record, Result, Sink, Source, WireError, keys::digest_of, rows};
use crate::{
    backend::{Backend, Row, compact},
    ring::Galois,
    rlwe::{Context, Level, MissingKey, Params, Poly, SeededEvaluationKeys, SeededSwitchKey},
    sample::PublicSeed,
};

/// Bytes of a key in the index: what it is for, level (u32 each), offset of its section in the payload (u64).
pub(super) const ENTRY_BYTES: u64 = 16;

/// Digits and rows of a switching key up to a level.
fn shape(params: &Params, level: Level) -> (usize, Vec<Row>) {
    let mut primes = params.primes_up_to(level);
    let digit = |i: &u32| params.digit_of().get(*i as usize).map_or(0, |d| usize::from(*d));
    let digits = primes.iter().map(digit).max().unwrap_or(0) + 1;
    primes.extend(params.special());
    (digits, compact(&primes))
}

/// Bytes of a switching key's section.
fn section_bytes<B: Backend>(ctx: &Context<B>, level: Level) -> u64 {
    let (digits, own) = shape(ctx.params(), level);
    32 + digits as u64 * rows::poly_bytes(ctx, &own)
}

/// What a key is for, as a number: 0 for relinearisation, or its Galois element.
fn number(purpose: MissingKey) -> u32 {
    match purpose {
        MissingKey::Relinearisation => 0,
        MissingKey::Galois(g) => g.element(),
    }
}

/// A key of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// What it is for.
    pub purpose: MissingKey,
    /// The highest level at which it can be used.
    pub level: Level,
    /// Where its section begins in the file.
    pub offset: u64,
    /// Bytes of its section.
    pub bytes: u64,
}

impl KeyEntry {
    /// Reads the key from its section, truncated to `level`.
    pub(super) fn read<B: Backend>(
        &self,
        ctx: &Context<B>,
        source: &mut Source<'_>,
        level: Level,
    ) -> Result<SeededSwitchKey<B>> {
        let read = |source: &mut Source<'_>| {
            let params = ctx.params();
            let ((digits, own), (_, stored)) = (shape(params, level), shape(params, self.level));
            let seed = PublicSeed(source.array()?);
            let mut first = Poly::alloc(ctx, digits, &own)?;
            rows::read(ctx, source, &stored, first.view_mut())?;
            source.skip(source.remaining())?;
            Ok(SeededSwitchKey {
                params: params.clone(),
                purpose: self.purpose,
                level,
                first,
                seed,
            })
        };
        match self.purpose {
            MissingKey::Relinearisation => {
                source.section(format_args!("relinearisation key"), self.bytes, read)
            }
            MissingKey::Galois(g) => {
                source.section(format_args!("Galois key {}", g.element()), self.bytes, read)
            }
        }
    }
}

/// Reads and checks the index, up to the exact size of what follows.
pub(super) fn read_index<B: Backend>(ctx: &Context<B>, source: &mut Source<'_>) -> Result<Vec<KeyEntry>> {
    let start = source.position();
    let index = source.first("index", |source| entries(ctx, source, start, 0))?;
    let bytes = index.iter().map(|key| key.bytes).sum();
    source.demand("switching keys", Some(bytes), index.len() as u64)?;
    Ok(index)
}

/// The keys of a payload that begins at `start` in the file, `lead` bytes before them besides their entries.
pub(super) fn entries<B: Backend>(
    ctx: &Context<B>,
    source: &mut Source<'_>,
    start: u64,
    lead: u64,
) -> Result<Vec<KeyEntry>> {
    let (params, log_n) = (ctx.params(), ctx.log_n());
    let count = source.u32()?;
    // Every odd element but the identity, and relinearisation.
    let most = (source.remaining() / ENTRY_BYTES).min(params.degree() as u64);
    if u64::from(count) > most {
        let allowed = format!("{most} are the most here");
        return Err(WireError::field("the number of keys", count, allowed));
    }
    let checksum = source.checksum_bytes();
    let mut index = Vec::with_capacity(count as usize);
    let mut last = None;
    let mut end = lead + 4 + ENTRY_BYTES * u64::from(count) + checksum;
    for _ in 0..count {
        let (element, level, offset) = (source.u32()?, Level(source.u32()?), source.u64()?);
        let purpose = match element {
            0 => Some(MissingKey::Relinearisation),
            1 => None,
            g => Galois::new(g, log_n).map(MissingKey::Galois),
        };
        let Some(purpose) = purpose else {
            let allowed = format!("an odd number from 3 to {} belongs there", (2u64 << log_n) - 1);
            return Err(WireError::field("a Galois element", element, allowed));
        };
        if last.is_some_and(|last| last >= element) {
            let allowed = "elements ascend, each of them once";
            return Err(WireError::field("a Galois element", element, allowed));
        }
        last = Some(element);
        if level > params.top() {
            let allowed = format!("no key goes beyond {}", params.top());
            return Err(WireError::field("the level of a key", level, allowed));
        }
        if offset != end {
            let allowed = format!("its section begins at {end}");
            return Err(WireError::field("the offset of a key", offset, allowed));
        }
        let bytes = section_bytes(ctx, level);
        end += bytes + checksum;
        index.push(KeyEntry {
            purpose,
            level,
            offset: start + offset,
            bytes,
        });
    }
    Ok(index)
}

impl<B: Backend> Record<Context<B>> for SeededEvaluationKeys<B> {
    const KIND: Kind = Kind::EvaluationKeys;

    fn expected(ctx: &Context<B>) -> Option<[u8; 32]> {
        Some(digest_of(ctx))
    }

    fn parameters(&self, ctx: &Context<B>) -> Result<[u8; 32]> {
        check(ctx, self)?;
        Ok(digest_of(ctx))
    }

    fn sections(&self, ctx: &Context<B>) -> Result<Vec<u64>> {
        let index = [4 + ENTRY_BYTES * self.keys.len() as u64];
        Ok(index.into_iter().chain(key_sections(ctx, self)).collect())
    }

    fn write(&self, ctx: &Context<B>, sink: &mut Sink<'_>) -> Result<()> {
        write_entries(ctx, sink, self, 0)?;
        sink.end()?;
        write_keys(ctx, sink, self)
    }

    fn read(ctx: &Context<B>, source: &mut Source<'_>) -> Result<Self> {
        let index = read_index(ctx, source)?;
        read_keys(ctx, source, &index)
    }
}

/// Demands keys of these parameters.
pub(super) fn check<B: Backend>(ctx: &Context<B>, keys: &SeededEvaluationKeys<B>) -> Result<()> {
    for key in &keys.keys {
        ctx.params().check("write", "a switching key", &key.params)?;
    }
    Ok(())
}

/// Bytes of the section of each key, in the order of the file.
pub(super) fn key_sections<B: Backend>(
    ctx: &Context<B>,
    keys: &SeededEvaluationKeys<B>,
) -> impl Iterator<Item = u64> {
    sorted(keys).into_iter().map(|key| section_bytes(ctx, key.level))
}

/// Writes the number of keys and their entries, `lead` bytes before the keys besides.
pub(super) fn write_entries<B: Backend>(
    ctx: &Context<B>,
    sink: &mut Sink<'_>,
    keys: &SeededEvaluationKeys<B>,
    lead: u64,
) -> Result<()> {
    let keys = sorted(keys);
    sink.numbers(&[keys.len() as u32])?;
    let mut offset = lead + 4 + ENTRY_BYTES * keys.len() as u64 + Sink::CHECKSUM_BYTES;
    for key in &keys {
        sink.numbers(&[number(key.purpose), key.level.0])?;
        sink.put(&offset.to_le_bytes())?;
        offset += section_bytes(ctx, key.level) + Sink::CHECKSUM_BYTES;
    }
    Ok(())
}

/// Writes a section a key.
pub(super) fn write_keys<B: Backend>(
    ctx: &Context<B>,
    sink: &mut Sink<'_>,
    keys: &SeededEvaluationKeys<B>,
) -> Result<()> {
    for key in sorted(keys) {
        sink.put(&key.seed.0)?;
        rows::write(ctx, sink, key.first.view())?;
        sink.end()?;
    }
    Ok(())
}

/// Reads the section of every key.
pub(super) fn read_keys<B: Backend>(
    ctx: &Context<B>,
    source: &mut Source<'_>,
    index: &[KeyEntry],
) -> Result<SeededEvaluationKeys<B>> {
    let keys = index.iter().map(|key| key.read(ctx, source, key.level));
    Ok(SeededEvaluationKeys {
        keys: keys.collect::<Result<_>>()?,
    })
}

/// In the order of the file.
fn sorted<B: Backend>(keys: &SeededEvaluationKeys<B>) -> Vec<&SeededSwitchKey<B>> {
    let mut keys: Vec<_> = keys.keys.iter().collect();
    keys.sort_by_key(|k| number(k.purpose));
    keys
}
