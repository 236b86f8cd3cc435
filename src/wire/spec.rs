//! Parameters: the canonical bytes of a [`Spec`], and their digest.

use super::{Kind, Record, Result, Sink, Source, WireError};
use crate::{
    ring::{ChainKind, ChainTable, LevelTable, chains, insecure_chains},
    rlwe::Spec,
};

/// Most primes of a list, and most levels: what any chain up to N = 2^17 needs, with room.
const MOST: u16 = 512;

fn kind_number(kind: ChainKind) -> u8 {
    match kind {
        ChainKind::Single => 1,
        ChainKind::Pair => 2,
        ChainKind::Rational => 3,
        ChainKind::Mixed => 4,
    }
}

/// The canonical bytes.
fn encode(spec: &Spec) -> Vec<u8> {
    let chain = &spec.chain;
    let mut bytes = vec![chain.log_n as u8, kind_number(chain.kind)];
    for count in [chain.primes.len(), chain.special.len(), chain.levels.len()] {
        bytes.extend((count as u16).to_le_bytes());
    }
    bytes.extend(
        chain
            .primes
            .iter()
            .chain(&chain.special)
            .flat_map(|p| p.to_le_bytes()),
    );
    bytes.extend(&chain.digit_of);
    for level in &chain.levels {
        bytes.extend(level.nominal_bits.to_bits().to_le_bytes());
        bytes.extend(level.absorbed_bits.to_le_bytes());
        bytes.extend((level.primes.len() as u16).to_le_bytes());
        bytes.extend(level.primes.iter().flat_map(|i| i.to_le_bytes()));
    }
    bytes
}

/// BLAKE3 of the canonical bytes, in derive-key mode: what ties keys and ciphertexts to their parameters.
pub fn digest(spec: &Spec) -> [u8; 32] {
    blake3::derive_key("cipherformer v1 parameters", &encode(spec))
}

/// The name of the shipped chain with this digest, or the digest's first bytes.
pub fn known_name(found: &[u8; 32]) -> String {
    let shipped = chains()
        .chain(insecure_chains())
        .find(|(_, chain)| digest(&Spec { chain: chain.clone() }) == *found);
    match shipped {
        Some((name, _)) => name.to_owned(),
        None => found[..8].iter().map(|b| format!("{b:02x}")).collect(),
    }
}

/// The chain holds together; how secure it is remains for [`Params::new`](crate::rlwe::Params::new) to judge.
impl Record<()> for Spec {
    const KIND: Kind = Kind::Parameters;

    fn expected(_: &()) -> Option<[u8; 32]> {
        None
    }

    fn parameters(&self, _: &()) -> Result<[u8; 32]> {
        let chain = &self.chain;
        chain.check_insecure()?;
        for count in [chain.primes.len(), chain.special.len(), chain.levels.len()] {
            limited(u16::try_from(count).unwrap_or(u16::MAX))?;
        }
        Ok(digest(self))
    }

    fn sections(&self, _: &()) -> Result<Vec<u64>> {
        Ok(vec![encode(self).len() as u64])
    }

    fn write(&self, _: &(), sink: &mut Sink<'_>) -> Result<()> {
        sink.put(&encode(self))?;
        sink.end()
    }

    fn read(_: &(), source: &mut Source<'_>) -> Result<Self> {
        let spec = source.first("the chain", decode)?;
        let (found, own) = (source.header().parameters, digest(&spec));
        if found != own {
            let (found, wanted) = (known_name(&found), known_name(&own));
            return Err(WireError::Parameters { found, wanted });
        }
        Ok(spec)
    }
}

/// The chain of the canonical bytes, holding together.
fn decode(source: &mut Source<'_>) -> Result<Spec> {
    let [log_n, kind] = source.array()?;
    let kind = match kind {
        1 => ChainKind::Single,
        2 => ChainKind::Pair,
        3 => ChainKind::Rational,
        4 => ChainKind::Mixed,
        other => {
            let allowed = "1 (single), 2 (pair), 3 (rational) and 4 (mixed) are known";
            return Err(WireError::field("the kind of chain", other, allowed));
        }
    };
    let (primes, special, levels) = (source.u16()?, source.u16()?, source.u16()?);
    for count in [primes, special, levels] {
        limited(count)?;
    }
    let primes = list(primes, || source.u32())?;
    let special = list(special, || source.u32())?;
    let mut digit_of = vec![0; primes.len()];
    source.take(&mut digit_of)?;
    let mut table = Vec::new();
    for _ in 0..levels {
        let nominal_bits = f64::from_bits(source.u64()?);
        let absorbed_bits = source.u32()?.cast_signed();
        let count = source.u16()?;
        limited(count)?;
        table.push(LevelTable {
            primes: list(count, || source.u16())?,
            nominal_bits,
            absorbed_bits,
        });
    }
    let log_n = u32::from(log_n);
    let chain = ChainTable {
        log_n,
        kind,
        primes,
        special,
        digit_of,
        levels: table,
    };
    chain.check_insecure()?;
    Ok(Spec { chain })
}

fn limited(count: u16) -> Result<()> {
    if count > MOST {
        let allowed = format!("{MOST} are the most");
        return Err(WireError::field(
            "the length of a list of the chain",
            count,
            allowed,
        ));
    }
    Ok(())
}

fn list<T>(count: u16, mut next: impl FnMut() -> Result<T>) -> Result<Vec<T>> {
    (0..count).map(|_| next()).collect()
}
