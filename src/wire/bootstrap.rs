//! The keys of a bootstrap: the two of an encapsulation, alone or with the switching keys.
//!
//! The key to the sparse secret has the primes of level 0 and the special primes that an
//! [`Encapsulation`](crate::rlwe::Encapsulation) adds, the key from it those of the highest level and all special primes. Both have
//! one digit. Which primes these are follows from the parameters, never from the file: a file cannot bring a key under the sparse
//! secret modulo more than they allow, and parameters for which there is none refuse every such file.

use super::{Kind, Record, Result, Sink, Source, WireError, evaluation, keys::digest_of, rows};
use crate::{
    backend::{Backend, Row},
    circuit::bootstrap::SeededBootstrapKeys,
    rlwe::{Context, Eval, Poly, SeededRaiseKeys},
    sample::PublicSeed,
};

/// What the sections are called.
const NAMES: [&str; 2] = ["key to the sparse secret", "key from the sparse secret"];

/// Bytes before the entries of the switching keys: those of the two sections.
const LENGTHS_BYTES: u64 = 16;

/// Bytes of both sections: a seed, and b of one digit.
fn section_bytes<B: Backend>(ctx: &Context<B>, rows: &[Vec<Row>; 2]) -> [u64; 2] {
    rows.each_ref().map(|own| 32 + rows::poly_bytes(ctx, own))
}

/// Bytes before the sections of the switching keys besides their entries.
fn lead(sections: [u64; 2], checksum: u64) -> u64 {
    let whole = sections
        .iter()
        .fold(0u64, |sum, bytes| sum.saturating_add(bytes + checksum));
    whole.saturating_add(LENGTHS_BYTES)
}

fn write<B: Backend>(ctx: &Context<B>, sink: &mut Sink<'_>, keys: &SeededRaiseKeys<B>) -> Result<()> {
    for (first, seed) in keys.halves() {
        sink.put(&seed.0)?;
        rows::write(ctx, sink, first.view())?;
        sink.end()?;
    }
    Ok(())
}

/// The seed and b of one key, within its section.
fn half<B: Backend>(
    ctx: &Context<B>,
    source: &mut Source<'_>,
    own: &[Row],
) -> Result<(Poly<B, Eval>, PublicSeed)> {
    let seed = PublicSeed(source.array()?);
    let mut first = Poly::alloc(ctx, 1, own)?;
    rows::read(ctx, source, own, first.view_mut())?;
    Ok((first, seed))
}

impl<B: Backend> Record<Context<B>> for SeededRaiseKeys<B> {
    const KIND: Kind = Kind::RaiseKeys;

    fn expected(ctx: &Context<B>) -> Option<[u8; 32]> {
        Some(digest_of(ctx))
    }

    fn parameters(&self, ctx: &Context<B>) -> Result<[u8; 32]> {
        ctx.params().check("write", "the raise keys", self.params())?;
        Ok(digest_of(ctx))
    }

    fn sections(&self, ctx: &Context<B>) -> Result<Vec<u64>> {
        Ok(section_bytes(ctx, &Self::rows(ctx)?).to_vec())
    }

    fn write(&self, ctx: &Context<B>, sink: &mut Sink<'_>) -> Result<()> {
        write(ctx, sink, self)
    }

    fn read(ctx: &Context<B>, source: &mut Source<'_>) -> Result<Self> {
        let rows = Self::rows(ctx)?;
        let [to, from] = section_bytes(ctx, &rows);
        let [to_rows, from_rows] = &rows;
        let down = source.first(NAMES[0], |source| {
            source.demand_here("the key to the sparse secret", to)?;
            half(ctx, source, to_rows)
        })?;
        source.demand("the key from the sparse secret", Some(from), 1)?;
        let up = source.section(format_args!("{}", NAMES[1]), from, |source| {
            half(ctx, source, from_rows)
        })?;
        Ok(Self::from_halves(ctx, [down, up])?)
    }
}

impl<B: Backend> Record<Context<B>> for SeededBootstrapKeys<B> {
    const KIND: Kind = Kind::BootstrapKeys;

    fn expected(ctx: &Context<B>) -> Option<[u8; 32]> {
        Some(digest_of(ctx))
    }

    fn parameters(&self, ctx: &Context<B>) -> Result<[u8; 32]> {
        evaluation::check(ctx, &self.evaluation)?;
        self.raise.parameters(ctx)
    }

    fn sections(&self, ctx: &Context<B>) -> Result<Vec<u64>> {
        let index = LENGTHS_BYTES + 4 + evaluation::ENTRY_BYTES * self.evaluation.count() as u64;
        let raise = self.raise.sections(ctx)?;
        let keys = evaluation::key_sections(ctx, &self.evaluation);
        Ok([index].into_iter().chain(raise).chain(keys).collect())
    }

    fn write(&self, ctx: &Context<B>, sink: &mut Sink<'_>) -> Result<()> {
        let sections = section_bytes(ctx, &SeededRaiseKeys::rows(ctx)?);
        for bytes in sections {
            sink.put(&bytes.to_le_bytes())?;
        }
        let lead = lead(sections, Sink::CHECKSUM_BYTES);
        evaluation::write_entries(ctx, sink, &self.evaluation, lead)?;
        sink.end()?;
        write(ctx, sink, &self.raise)?;
        evaluation::write_keys(ctx, sink, &self.evaluation)
    }

    fn read(ctx: &Context<B>, source: &mut Source<'_>) -> Result<Self> {
        let rows = SeededRaiseKeys::rows(ctx)?;
        let (wanted, start) = (section_bytes(ctx, &rows), source.position());
        let index = source.first("index", |source| {
            for (wanted, name) in wanted.into_iter().zip(NAMES) {
                let found = source.u64()?;
                if found != wanted {
                    let allowed = format!("the {name} has {wanted} bytes for these parameters");
                    return Err(WireError::field("the length of a section", found, allowed));
                }
            }
            let lead = lead(wanted, source.checksum_bytes());
            evaluation::entries(ctx, source, start, lead)
        })?;
        let bytes = index.iter().map(|key| key.bytes).chain(wanted);
        source.demand("keys", Some(bytes.sum()), index.len() as u64 + 2)?;
        let [to_rows, from_rows] = &rows;
        let mut section = |n: usize, own: &[Row]| {
            source.section(format_args!("{}", NAMES[n]), wanted[n], |source| {
                half(ctx, source, own)
            })
        };
        let halves = [section(0, to_rows)?, section(1, from_rows)?];
        Ok(Self {
            raise: SeededRaiseKeys::from_halves(ctx, halves)?,
            evaluation: evaluation::read_keys(ctx, source, &index)?,
        })
    }
}

/// Verifies the two sections of a payload whose parameters are not at hand: lengths are those that the file tells.
pub(super) fn pass(source: &mut Source<'_>, lengths: [u64; 2]) -> Result<()> {
    for (bytes, name) in lengths.into_iter().zip(NAMES) {
        source.section(format_args!("{name}"), bytes, |source| source.skip(bytes))?;
    }
    Ok(())
}

/// The same for raise keys alone: the header tells where the first ends, and the file where the second does.
pub(super) fn pass_alone(source: &mut Source<'_>) -> Result<()> {
    source.first(NAMES[0], |source| source.skip(source.remaining()))?;
    if !source.has_sections() {
        return Ok(());
    }
    let bytes = source.rest().saturating_sub(source.checksum_bytes());
    source.section(format_args!("{}", NAMES[1]), bytes, |source| source.skip(bytes))
}
