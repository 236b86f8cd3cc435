//! What ciphertexts of every scheme have in common: number, polynomials stored, level (u32 each) at the start of the first section;
//! then a section for every ciphertext.

use super::{Result, Sink, Source, WireError, rows};
use crate::{
    backend::{Backend, Ref},
    rlwe::{Ciphertext, Context, Level, Poly, SeededCiphertext},
    sample::PublicSeed,
};

/// Polynomials of a seeded ciphertext, and those of a whole one.
pub(super) const SEEDED: &[u32] = &[1];
pub(super) const WHOLE: &[u32] = &[2, 3];

/// Their shape, with the seeds of seeded ones.
pub(super) struct Batch {
    items: usize,
    polys: usize,
    pub(super) level: Level,
    seeds: Vec<PublicSeed>,
}

impl Batch {
    pub(super) fn seeded<B: Backend>(ct: &SeededCiphertext<B>) -> Self {
        Self {
            items: ct.items(),
            polys: 1,
            level: ct.level(),
            seeds: ct.seeds.clone(),
        }
    }

    pub(super) fn whole<B: Backend>(ct: &Ciphertext<B>) -> Self {
        Self {
            items: ct.items(),
            polys: ct.components(),
            level: ct.level(),
            seeds: Vec::new(),
        }
    }

    /// Bytes of all sections; the first has `scheme` bytes besides those that are common.
    pub(super) fn sections<B: Backend>(&self, ctx: &Context<B>, scheme: u64) -> Result<Vec<u64>> {
        self.check(ctx)?;
        let mut sections = vec![self.item_bytes(ctx)?; self.items + 1];
        sections[0] = 12 + scheme + 32 * self.seeds.len() as u64;
        Ok(sections)
    }

    fn item_bytes<B: Backend>(&self, ctx: &Context<B>) -> Result<u64> {
        let poly = rows::poly_bytes(ctx, &ctx.level("read", self.level)?.rows);
        Ok(poly.saturating_mul(self.polys as u64))
    }

    fn check<B: Backend>(&self, ctx: &Context<B>) -> Result<()> {
        if self.items == 0 || u32::try_from(self.items).is_err() {
            let allowed = "at least 1 and at most 2^32 - 1 belong there";
            return Err(WireError::field("the number of ciphertexts", self.items, allowed));
        }
        let top = ctx.params().top();
        if self.level > top {
            let allowed = format!("the parameters go up to {top}");
            return Err(WireError::field("the level", self.level, allowed));
        }
        Ok(())
    }

    /// Writes the first section, in which `scheme` writes its part.
    pub(super) fn write_first(
        &self,
        sink: &mut Sink<'_>,
        scheme: impl FnOnce(&mut Sink<'_>) -> Result<()>,
    ) -> Result<()> {
        sink.numbers(&[self.items as u32, self.polys as u32, self.level.0])?;
        scheme(sink)?;
        for seed in &self.seeds {
            sink.put(&seed.0)?;
        }
        sink.end()
    }

    /// Writes the others.
    pub(super) fn write_items<B: Backend>(
        &self,
        ctx: &Context<B>,
        sink: &mut Sink<'_>,
        src: Ref<'_, B>,
    ) -> Result<()> {
        for item in 0..self.items {
            rows::write(ctx, sink, src.map(|s| s.slice_items(item, 1)))?;
            sink.end()?;
        }
        Ok(())
    }

    /// Reads and checks the first section, in which `scheme` reads its part, up to the exact size of what follows.
    pub(super) fn read_first<B: Backend, T>(
        ctx: &Context<B>,
        source: &mut Source<'_>,
        polys: &[u32],
        scheme: impl FnOnce(&mut Source<'_>, Level) -> Result<T>,
    ) -> Result<(Self, T)> {
        let (batch, part) = source.first("index", |source| {
            let (items, found, level) = (source.u32()?, source.u32()?, source.u32()?);
            if !polys.contains(&found) {
                let allowed = format!("{polys:?} are possible");
                return Err(WireError::field("the number of polynomials", found, allowed));
            }
            let mut batch = Self {
                items: items as usize,
                polys: found as usize,
                level: Level(level),
                seeds: Vec::new(),
            };
            batch.check(ctx)?;
            let part = scheme(source, batch.level)?;
            if polys == SEEDED {
                let most = source.remaining() / 32;
                if u64::from(items) > most {
                    let allowed = format!("there are seeds for {most}");
                    return Err(WireError::field("the number of ciphertexts", items, allowed));
                }
                let seeds = (0..items).map(|_| Ok(PublicSeed(source.array()?)));
                batch.seeds = seeds.collect::<Result<_>>()?;
            }
            Ok((batch, part))
        })?;
        let items = batch.items as u64;
        source.demand("ciphertexts", batch.item_bytes(ctx)?.checked_mul(items), items)?;
        Ok((batch, part))
    }

    /// Reads the sections of seeded ciphertexts.
    pub(super) fn read_seeded<B: Backend>(
        self,
        ctx: &Context<B>,
        source: &mut Source<'_>,
    ) -> Result<SeededCiphertext<B>> {
        let rows = &ctx.level("read", self.level)?.rows;
        let mut first = Poly::alloc(ctx, self.items, rows)?;
        self.each(source, ctx, |source, item| {
            let mut dst = first.view_mut();
            rows::read(ctx, source, rows, dst.part(|s| s.slice_items(item, 1)))
        })?;
        Ok(SeededCiphertext {
            first,
            seeds: self.seeds,
            level: self.level,
            params: ctx.params().clone(),
        })
    }

    /// Reads the sections of whole ciphertexts.
    pub(super) fn read_whole<B: Backend>(
        self,
        ctx: &Context<B>,
        source: &mut Source<'_>,
    ) -> Result<Ciphertext<B>> {
        let rows = &ctx.level("read", self.level)?.rows;
        let mut result = Ok(());
        let ct = Ciphertext::build(ctx, "read", self.level, self.items, self.polys, |mut dst| {
            result = self.each(source, ctx, |source, item| {
                rows::read(ctx, source, rows, dst.part(|s| s.slice_items(item, 1)))
            });
            Ok(())
        })?;
        result.map(|()| ct)
    }

    fn each<B: Backend>(
        &self,
        source: &mut Source<'_>,
        ctx: &Context<B>,
        mut read: impl FnMut(&mut Source<'_>, usize) -> Result<()>,
    ) -> Result<()> {
        let (items, bytes) = (self.items, self.item_bytes(ctx)?);
        (0..items).try_for_each(|item| {
            let name = format_args!("ciphertext {} of {items}", item + 1);
            source.section(name, bytes, |source| read(source, item))
        })
    }
}
