//! Ciphertexts of CKKS, seeded or whole: items, polynomials stored, level, slots (u32 each), scale, then seeds and residues.

use super::{Kind, Record, Result, Sink, Source, WireError, keys::digest_of, rows, scale};
use crate::{
    backend::Backend,
    ckks::{Ciphertext, SeededCiphertext},
    ring::Scale,
    rlwe::{self, Context, Level, Poly},
    sample::PublicSeed,
};

/// What comes before seeds and residues.
struct Shape {
    items: usize,
    polys: usize,
    level: Level,
    slots: usize,
    scale: Scale,
}

impl Shape {
    fn bytes(&self) -> u64 {
        16 + scale::bytes(&self.scale)
    }

    /// Bytes of the seeds and residues; `None` beyond 64 bits.
    fn content<B: Backend>(&self, ctx: &Context<B>) -> Result<Option<u64>> {
        let poly = rows::poly_bytes(ctx, &ctx.level("read", self.level)?.rows);
        let seed = if self.polys == 1 { 32 } else { 0 };
        let item = poly
            .checked_mul(self.polys as u64)
            .and_then(|b| b.checked_add(seed));
        Ok(item.and_then(|b| b.checked_mul(self.items as u64)))
    }

    fn write(&self, sink: &mut Sink<'_>) -> Result<()> {
        let polys = self.polys as u32;
        sink.numbers(&[self.items as u32, polys, self.level.0, self.slots as u32])?;
        scale::write(sink, &self.scale)
    }

    fn check<B: Backend>(&self, ctx: &Context<B>) -> Result<()> {
        let (params, slots) = (ctx.params(), self.slots);
        if self.items == 0 || u32::try_from(self.items).is_err() {
            let allowed = "at least 1 and at most 2^32 - 1 belong there";
            return Err(WireError::field("the number of ciphertexts", self.items, allowed));
        }
        if self.level > params.top() {
            let allowed = format!("the parameters go up to {}", params.top());
            return Err(WireError::field("the level", self.level, allowed));
        }
        if !slots.is_power_of_two() || slots > params.degree() / 2 {
            let allowed = format!("a power of two up to {} belongs there", params.degree() / 2);
            return Err(WireError::field("the number of slots", slots, allowed));
        }
        scale::check(&self.scale, params, self.level)
    }

    /// Reads and checks, up to the exact size of what follows.
    fn read<B: Backend>(ctx: &Context<B>, source: &mut Source<'_>, polys: &[u32]) -> Result<Self> {
        let (items, found, level, slots) = (source.u32()?, source.u32()?, source.u32()?, source.u32()?);
        if !polys.contains(&found) {
            let allowed = format!("{polys:?} are possible");
            return Err(WireError::field("the number of polynomials", found, allowed));
        }
        let shape = Self {
            items: items as usize,
            polys: found as usize,
            level: Level(level),
            slots: slots as usize,
            scale: scale::read(source, ctx.params().basis().primes().len())?,
        };
        shape.check(ctx)?;
        source.demand("ciphertexts", shape.content(ctx)?)?;
        Ok(shape)
    }
}

fn payload<B: Backend>(ctx: &Context<B>, shape: &Shape) -> Result<u64> {
    shape.check(ctx)?;
    let content = shape.content(ctx)?.unwrap_or(u64::MAX);
    Ok(content.saturating_add(shape.bytes()))
}

fn seeded<B: Backend>(ct: &SeededCiphertext<B>) -> Shape {
    Shape {
        items: ct.items(),
        polys: 1,
        level: ct.rlwe().level(),
        slots: ct.slots(),
        scale: ct.scale().clone(),
    }
}

fn whole<B: Backend>(ct: &Ciphertext<B>) -> Shape {
    Shape {
        items: ct.items(),
        polys: ct.components(),
        level: ct.level(),
        slots: ct.slots(),
        scale: ct.scale().clone(),
    }
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

    fn payload_bytes(&self, ctx: &Context<B>) -> Result<u64> {
        payload(ctx, &seeded(self))
    }

    fn write(&self, ctx: &Context<B>, sink: &mut Sink<'_>) -> Result<()> {
        seeded(self).write(sink)?;
        for seed in &self.rlwe().seeds {
            sink.put(&seed.0)?;
        }
        rows::write(ctx, sink, self.rlwe().first.view())
    }

    fn read(ctx: &Context<B>, source: &mut Source<'_>) -> Result<Self> {
        let shape = Shape::read(ctx, source, &[1])?;
        let seeds = (0..shape.items).map(|_| Ok(PublicSeed(source.array()?)));
        let seeds = seeds.collect::<Result<Vec<_>>>()?;
        let mut first = Poly::alloc(ctx, shape.items, &ctx.level("read", shape.level)?.rows)?;
        rows::read(ctx, source, first.view_mut())?;
        let inner = rlwe::SeededCiphertext {
            first,
            seeds,
            level: shape.level,
            params: ctx.params().clone(),
        };
        Ok(Self::from_parts(inner, shape.scale, shape.slots))
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

    fn payload_bytes(&self, ctx: &Context<B>) -> Result<u64> {
        payload(ctx, &whole(self))
    }

    fn write(&self, ctx: &Context<B>, sink: &mut Sink<'_>) -> Result<()> {
        whole(self).write(sink)?;
        rows::write(ctx, sink, self.rlwe().view())
    }

    fn read(ctx: &Context<B>, source: &mut Source<'_>) -> Result<Self> {
        let shape = Shape::read(ctx, source, &[2, 3])?;
        let mut result = Ok(());
        let inner = rlwe::Ciphertext::build(ctx, "read", shape.level, shape.items, shape.polys, |dst| {
            result = rows::read(ctx, source, dst);
            Ok(())
        })?;
        result?;
        Ok(Self::from_parts(inner, shape.scale, shape.slots))
    }
}
