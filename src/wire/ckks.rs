//! Ciphertexts of CKKS, seeded or whole: what is common to all, slots (u32), scale, seeds; then a section for each.

use super::{
    Kind, Record, Result, Sink, Source, WireError,
    batch::{Batch, SEEDED, WHOLE},
    keys::digest_of,
    scale,
};
use crate::{
    backend::Backend,
    ckks::{Ciphertext, SeededCiphertext},
    ring::Scale,
    rlwe::{Context, Level},
};

fn check<B: Backend>(ctx: &Context<B>, level: Level, slots: usize, scale: &Scale) -> Result<()> {
    let most = ctx.params().degree() / 2;
    if !slots.is_power_of_two() || slots > most {
        let allowed = format!("a power of two up to {most} belongs there");
        return Err(WireError::field("the number of slots", slots, allowed));
    }
    scale::check(scale, ctx.params(), level)
}

fn bytes<B: Backend>(ctx: &Context<B>, level: Level, slots: usize, scale: &Scale) -> Result<u64> {
    check(ctx, level, slots, scale)?;
    Ok(4 + scale::bytes(scale))
}

fn write(sink: &mut Sink<'_>, slots: usize, scale: &Scale) -> Result<()> {
    sink.numbers(&[slots as u32])?;
    scale::write(sink, scale)
}

fn read<B: Backend>(ctx: &Context<B>, source: &mut Source<'_>, level: Level) -> Result<(usize, Scale)> {
    let slots = source.u32()? as usize;
    let scale = scale::read(source, ctx.params().basis().primes().len())?;
    check(ctx, level, slots, &scale)?;
    Ok((slots, scale))
}

impl<B: Backend> Record<Context<B>> for SeededCiphertext<B> {
    const KIND: Kind = Kind::SeededCiphertexts;

    fn expected(ctx: &Context<B>) -> Option<[u8; 32]> {
        Some(digest_of(ctx))
    }

    fn parameters(&self, ctx: &Context<B>) -> Result<[u8; 32]> {
        ctx.params()
            .check("write", "the seeded ciphertext", &self.rlwe().params)?;
        Ok(digest_of(ctx))
    }

    fn sections(&self, ctx: &Context<B>) -> Result<Vec<u64>> {
        let scheme = bytes(ctx, self.level(), self.slots(), self.scale())?;
        Batch::seeded(self.rlwe()).sections(ctx, scheme)
    }

    fn write(&self, ctx: &Context<B>, sink: &mut Sink<'_>) -> Result<()> {
        let batch = Batch::seeded(self.rlwe());
        batch.write_first(sink, |sink| write(sink, self.slots(), self.scale()))?;
        batch.write_items(ctx, sink, self.rlwe().first.view())
    }

    fn read(ctx: &Context<B>, source: &mut Source<'_>) -> Result<Self> {
        let scheme = |source: &mut Source<'_>, level| read(ctx, source, level);
        let (batch, (slots, scale)) = Batch::read_first(ctx, source, SEEDED, scheme)?;
        Ok(Self::from_parts(batch.read_seeded(ctx, source)?, scale, slots))
    }
}

impl<B: Backend> Record<Context<B>> for Ciphertext<B> {
    const KIND: Kind = Kind::Ciphertexts;

    fn expected(ctx: &Context<B>) -> Option<[u8; 32]> {
        Some(digest_of(ctx))
    }

    fn parameters(&self, ctx: &Context<B>) -> Result<[u8; 32]> {
        self.rlwe().check_context("write", ctx)?;
        Ok(digest_of(ctx))
    }

    fn sections(&self, ctx: &Context<B>) -> Result<Vec<u64>> {
        let scheme = bytes(ctx, self.level(), self.slots(), self.scale())?;
        Batch::whole(self.rlwe()).sections(ctx, scheme)
    }

    fn write(&self, ctx: &Context<B>, sink: &mut Sink<'_>) -> Result<()> {
        let batch = Batch::whole(self.rlwe());
        batch.write_first(sink, |sink| write(sink, self.slots(), self.scale()))?;
        batch.write_items(ctx, sink, self.rlwe().view())
    }

    fn read(ctx: &Context<B>, source: &mut Source<'_>) -> Result<Self> {
        let scheme = |source: &mut Source<'_>, level| read(ctx, source, level);
        let (batch, (slots, scale)) = Batch::read_first(ctx, source, WHOLE, scheme)?;
        Ok(Self::from_parts(batch.read_whole(ctx, source)?, scale, slots))
    }
}
