//! BFV: parameters, and ciphertexts, seeded or whole. The plaintext modulus t is 16 bytes of either; a kind of its own keeps
//! ciphertexts of BFV and CKKS apart. Keys are those of the layer below, stored by the parameters of [`Bfv::context`].

use super::{
    Kind, Record, Result, Sink, Source, WireError,
    batch::{Batch, SEEDED, WHOLE},
    digest,
    keys::digest_of,
    known_name,
};
use crate::{
    backend::Backend,
    bfv::{Bfv, Ciphertext, Params, PlainModulus, SeededCiphertext, Spec},
};

/// Bytes of t.
const PLAIN_BYTES: u64 = 16;

/// The next t.
pub(super) fn read_plain(source: &mut Source<'_>) -> Result<u128> {
    Ok(u128::from_le_bytes(source.array()?))
}

fn check_plain<B: Backend>(bfv: &Bfv<B>, found: u128) -> Result<PlainModulus> {
    let own = bfv.plain();
    if found != own.value() {
        let wanted = own.value();
        return Err(WireError::Plain { found, wanted });
    }
    Ok(own)
}

/// The chain holds together; how secure it is remains for [`Params::new`] to judge.
impl Record<()> for Spec {
    const KIND: Kind = Kind::BfvParameters;

    fn expected(_: &()) -> Option<[u8; 32]> {
        None
    }

    fn parameters(&self, _: &()) -> Result<[u8; 32]> {
        Ok(digest(Params::insecure(self.clone())?.rlwe().spec()))
    }

    fn sections(&self, _: &()) -> Result<Vec<u64>> {
        Ok(vec![12 + PLAIN_BYTES])
    }

    fn write(&self, _: &(), sink: &mut Sink<'_>) -> Result<()> {
        sink.numbers(&[self.log_n, self.primes as u32, self.digits as u32])?;
        sink.put(&self.plain.to_le_bytes())?;
        sink.end()
    }

    fn read(_: &(), source: &mut Source<'_>) -> Result<Self> {
        let spec = source.first("the specification", |source| {
            Ok(Self {
                log_n: source.u32()?,
                primes: source.u32()? as usize,
                digits: source.u32()? as usize,
                plain: read_plain(source)?,
            })
        })?;
        let (found, own) = (source.header().parameters, spec.parameters(&())?);
        if found != own {
            let (found, wanted) = (known_name(&found), known_name(&own));
            return Err(WireError::Parameters { found, wanted });
        }
        Ok(spec)
    }
}

impl<B: Backend> Record<Bfv<B>> for SeededCiphertext<B> {
    const KIND: Kind = Kind::SeededBfvCiphertexts;

    fn expected(bfv: &Bfv<B>) -> Option<[u8; 32]> {
        Some(digest_of(bfv.context()))
    }

    fn parameters(&self, bfv: &Bfv<B>) -> Result<[u8; 32]> {
        check_plain(bfv, self.plain().value())?;
        let params = bfv.context().params();
        params.check("write", "the seeded ciphertext", &self.rlwe().params)?;
        Ok(digest_of(bfv.context()))
    }

    fn sections(&self, bfv: &Bfv<B>) -> Result<Vec<u64>> {
        Batch::seeded(self.rlwe()).sections(bfv.context(), PLAIN_BYTES)
    }

    fn write(&self, bfv: &Bfv<B>, sink: &mut Sink<'_>) -> Result<()> {
        let batch = Batch::seeded(self.rlwe());
        batch.write_first(sink, |sink| sink.put(&self.plain().value().to_le_bytes()))?;
        batch.write_items(bfv.context(), sink, self.rlwe().first.view())
    }

    fn read(bfv: &Bfv<B>, source: &mut Source<'_>) -> Result<Self> {
        let scheme = |source: &mut Source<'_>, _| check_plain(bfv, read_plain(source)?);
        let (batch, plain) = Batch::read_first(bfv.context(), source, SEEDED, scheme)?;
        Ok(Self::from_parts(batch.read_seeded(bfv.context(), source)?, plain))
    }
}

impl<B: Backend> Record<Bfv<B>> for Ciphertext<B> {
    const KIND: Kind = Kind::BfvCiphertexts;

    fn expected(bfv: &Bfv<B>) -> Option<[u8; 32]> {
        Some(digest_of(bfv.context()))
    }

    fn parameters(&self, bfv: &Bfv<B>) -> Result<[u8; 32]> {
        check_plain(bfv, self.plain().value())?;
        self.rlwe().check_context("write", bfv.context())?;
        Ok(digest_of(bfv.context()))
    }

    fn sections(&self, bfv: &Bfv<B>) -> Result<Vec<u64>> {
        Batch::whole(self.rlwe()).sections(bfv.context(), PLAIN_BYTES)
    }

    fn write(&self, bfv: &Bfv<B>, sink: &mut Sink<'_>) -> Result<()> {
        let batch = Batch::whole(self.rlwe());
        batch.write_first(sink, |sink| sink.put(&self.plain().value().to_le_bytes()))?;
        batch.write_items(bfv.context(), sink, self.rlwe().view())
    }

    fn read(bfv: &Bfv<B>, source: &mut Source<'_>) -> Result<Self> {
        let scheme = |source: &mut Source<'_>, _| check_plain(bfv, read_plain(source)?);
        let (batch, plain) = Batch::read_first(bfv.context(), source, WHOLE, scheme)?;
        Ok(Self::from_parts(batch.read_whole(bfv.context(), source)?, plain))
    }
}
