//! Secret and public keys.
//!
//! A secret key is stored as the 32 bytes that its ternary secret was drawn from. Errors never come from them: a loaded key takes
//! fresh randomness for those, or two runs would repeat errors and give the secret away.

use zeroize::Zeroizing;

use super::{Kind, Name, Record, Result, Sink, Source, WireError, digest, rows};
use crate::{
    backend::{Backend, compact},
    rlwe::{Context, Poly, PublicKey, SecretKey},
    sample::{PrivateSeed, PublicSeed},
};

pub(super) fn digest_of<B: Backend>(ctx: &Context<B>) -> [u8; 32] {
    digest(ctx.params().spec())
}

impl<B: Backend> Record<Context<B>> for SecretKey<B> {
    const KIND: Kind = Kind::SecretKey;
    const PRIVATE: bool = true;

    fn expected(ctx: &Context<B>) -> Option<[u8; 32]> {
        Some(digest_of(ctx))
    }

    fn parameters(&self, ctx: &Context<B>) -> Result<[u8; 32]> {
        ctx.params()
            .check("write", "the secret key", self.context().params())?;
        Ok(digest_of(ctx))
    }

    fn sections(&self, _: &Context<B>) -> Result<Vec<u64>> {
        Ok(vec![32])
    }

    fn write(&self, _: &Context<B>, sink: &mut Sink<'_>) -> Result<()> {
        sink.put(self.stored())?;
        sink.end()
    }

    fn read(ctx: &Context<B>, source: &mut Source<'_>) -> Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        source.first("secret", |source| {
            source.take(bytes.as_mut_slice())?;
            if *bytes == [0; 32] {
                return Err(WireError::field("the secret", "all zeroes", "no key is"));
            }
            Ok(())
        })?;
        let key = Self::from_stored(ctx, PrivateSeed::from_stored(&bytes))?;
        let (found, held) = (source.header().stamp.key, Name(key.name()));
        if found != held {
            return Err(WireError::KeyName { found, held });
        }
        Ok(key)
    }
}

impl<B: Backend> Record<Context<B>> for PublicKey<B> {
    const KIND: Kind = Kind::PublicKey;

    fn expected(ctx: &Context<B>) -> Option<[u8; 32]> {
        Some(digest_of(ctx))
    }

    fn parameters(&self, ctx: &Context<B>) -> Result<[u8; 32]> {
        ctx.params().check("write", "the public key", &self.params)?;
        Ok(digest_of(ctx))
    }

    fn sections(&self, ctx: &Context<B>) -> Result<Vec<u64>> {
        Ok(vec![32 + rows::poly_bytes(ctx, &self.first.rows)])
    }

    fn write(&self, ctx: &Context<B>, sink: &mut Sink<'_>) -> Result<()> {
        sink.put(&self.seed.0)?;
        rows::write(ctx, sink, self.first.view())?;
        sink.end()
    }

    fn read(ctx: &Context<B>, source: &mut Source<'_>) -> Result<Self> {
        let params = ctx.params();
        let own = compact(&params.primes_up_to(params.top()));
        let bytes = 32 + rows::poly_bytes(ctx, &own);
        source.first("public key", |source| {
            source.demand_here("the public key", bytes)?;
            let seed = PublicSeed(source.array()?);
            let mut first = Poly::alloc(ctx, 1, &own)?;
            rows::read(ctx, source, &own, first.view_mut())?;
            let params = params.clone();
            Ok(Self { params, first, seed })
        })
    }
}
