//! Secret, public and evaluation keys.
//!
//! A secret key is stored as the 32 bytes that its ternary secret was drawn from. Errors never come from them: a loaded key takes
//! fresh randomness for those, or two runs would repeat errors and give the secret away.

use std::collections::BTreeSet;

use zeroize::Zeroizing;

use super::{Kind, Name, Record, Result, Sink, Source, WireError, digest, rows};
use crate::{
    backend::{Backend, Row, compact},
    ring::Galois,
    rlwe::{
        Context, Level, MissingKey, Params, Poly, PublicKey, SecretKey, SeededEvaluationKeys, SeededSwitchKey,
    },
    sample::{PrivateSeed, PublicSeed},
};

/// Bytes of a switching key in the index: purpose, level, offset of its record in the payload.
const ENTRY_BYTES: u64 = 16;

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

    fn payload_bytes(&self, _: &Context<B>) -> Result<u64> {
        Ok(32)
    }

    fn write(&self, _: &Context<B>, sink: &mut Sink<'_>) -> Result<()> {
        sink.put(self.stored())
    }

    fn read(ctx: &Context<B>, source: &mut Source<'_>) -> Result<Self> {
        source.demand("secret", Some(32))?;
        let mut bytes = Zeroizing::new([0; 32]);
        source.take(bytes.as_mut_slice())?;
        if *bytes == [0; 32] {
            return Err(WireError::field("the secret", "all zeroes", "no key is"));
        }
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

    fn payload_bytes(&self, ctx: &Context<B>) -> Result<u64> {
        Ok(32 + rows::poly_bytes(ctx, &self.first.rows))
    }

    fn write(&self, ctx: &Context<B>, sink: &mut Sink<'_>) -> Result<()> {
        sink.put(&self.seed.0)?;
        rows::write(ctx, sink, self.first.view())
    }

    fn read(ctx: &Context<B>, source: &mut Source<'_>) -> Result<Self> {
        let params = ctx.params();
        let own = compact(&params.primes_up_to(params.top()));
        source.demand("public key", rows::poly_bytes(ctx, &own).checked_add(32))?;
        let seed = PublicSeed(source.array()?);
        let mut first = Poly::alloc(ctx, 1, &own)?;
        rows::read(ctx, source, first.view_mut())?;
        let params = params.clone();
        Ok(Self { params, first, seed })
    }
}

/// Digits and rows of a switching key up to a level.
fn shape(params: &Params, level: Level) -> (usize, Vec<Row>) {
    let mut primes = params.primes_up_to(level);
    let digit = |i: &u32| params.digit_of().get(*i as usize).map_or(0, |d| usize::from(*d));
    let digits = primes.iter().map(digit).max().unwrap_or(0) + 1;
    primes.extend(params.special());
    (digits, compact(&primes))
}

/// Bytes of a switching key's record.
fn record_bytes<B: Backend>(ctx: &Context<B>, level: Level) -> u64 {
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

impl<B: Backend> Record<Context<B>> for SeededEvaluationKeys<B> {
    const KIND: Kind = Kind::EvaluationKeys;

    fn expected(ctx: &Context<B>) -> Option<[u8; 32]> {
        Some(digest_of(ctx))
    }

    fn parameters(&self, ctx: &Context<B>) -> Result<[u8; 32]> {
        for key in &self.keys {
            ctx.params().check("write", "a switching key", &key.params)?;
        }
        Ok(digest_of(ctx))
    }

    fn payload_bytes(&self, ctx: &Context<B>) -> Result<u64> {
        let records = self.keys.iter().map(|k| ENTRY_BYTES + record_bytes(ctx, k.level));
        Ok(4 + records.sum::<u64>())
    }

    fn write(&self, ctx: &Context<B>, sink: &mut Sink<'_>) -> Result<()> {
        let mut keys: Vec<&SeededSwitchKey<B>> = self.keys.iter().collect();
        keys.sort_by_key(|k| number(k.purpose));
        sink.numbers(&[keys.len() as u32])?;
        let mut offset = 4 + ENTRY_BYTES * keys.len() as u64;
        for key in &keys {
            sink.numbers(&[number(key.purpose), key.level.0])?;
            sink.put(&offset.to_le_bytes())?;
            offset += record_bytes(ctx, key.level);
        }
        for key in keys {
            sink.put(&key.seed.0)?;
            rows::write(ctx, sink, key.first.view())?;
        }
        Ok(())
    }

    fn read(ctx: &Context<B>, source: &mut Source<'_>) -> Result<Self> {
        let (params, log_n) = (ctx.params(), ctx.log_n());
        let count = source.u32()?;
        // Every odd element but the identity, and relinearisation.
        let most = (source.remaining() / ENTRY_BYTES).min(params.degree() as u64);
        if u64::from(count) > most {
            let allowed = format!("{most} are the most here");
            return Err(WireError::field("the number of keys", count, allowed));
        }
        let mut index = Vec::new();
        let mut seen = BTreeSet::new();
        let mut end = 4 + ENTRY_BYTES * u64::from(count);
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
            if seen.last().is_some_and(|last| *last >= element) {
                let allowed = "elements ascend, each of them once";
                return Err(WireError::field("a Galois element", element, allowed));
            }
            seen.insert(element);
            if level > params.top() {
                let allowed = format!("no key goes beyond {}", params.top());
                return Err(WireError::field("the level of a key", level, allowed));
            }
            if offset != end {
                let allowed = format!("the record begins at {end}");
                return Err(WireError::field("the offset of a key", offset, allowed));
            }
            end += record_bytes(ctx, level);
            index.push((purpose, level));
        }
        source.demand(
            "switching keys",
            end.checked_sub(4 + ENTRY_BYTES * u64::from(count)),
        )?;
        let mut keys = Vec::with_capacity(index.len());
        for (purpose, level) in index {
            let (digits, own) = shape(params, level);
            let seed = PublicSeed(source.array()?);
            let mut first = Poly::alloc(ctx, digits, &own)?;
            rows::read(ctx, source, first.view_mut())?;
            keys.push(SeededSwitchKey {
                params: params.clone(),
                purpose,
                level,
                first,
                seed,
            });
        }
        Ok(Self { keys })
    }
}
