//! Exact scales: the exponent of 2 (i64), a count (u16), and prime (u32) and exponent (i64) of each, ascending.

use super::{Result, Sink, Source, WireError};
use crate::{
    ring::Scale,
    rlwe::{Level, Params},
};

/// Bytes of a scale.
pub(super) fn bytes(scale: &Scale) -> u64 {
    10 + 12 * scale.prime_exponents().count() as u64
}

pub(super) fn write(sink: &mut Sink<'_>, scale: &Scale) -> Result<()> {
    sink.put(&scale.two_exponent().to_le_bytes())?;
    sink.put(&(scale.prime_exponents().count() as u16).to_le_bytes())?;
    for (p, e) in scale.prime_exponents() {
        sink.put(&p.to_le_bytes())?;
        sink.put(&e.to_le_bytes())?;
    }
    Ok(())
}

/// Reads a scale of at most `most` primes.
pub(super) fn read(source: &mut Source<'_>, most: usize) -> Result<Scale> {
    let mut scale = Scale::default().times_pow2(source.u64()? as i64)?;
    let (count, mut last) = (source.u16()?, 0);
    if usize::from(count) > most {
        let allowed = format!("the parameters have {most}");
        return Err(WireError::field(
            "the number of primes in a scale",
            count,
            allowed,
        ));
    }
    for _ in 0..count {
        let (p, e) = (source.u32()?, source.u64()? as i64);
        if p <= last || e == 0 {
            let value = format!("{p} to the power {e} after {last}");
            let allowed = "primes ascend, and no exponent is zero";
            return Err(WireError::field("a factor of a scale", value, allowed));
        }
        scale = scale.times_prime(p, e)?;
        last = p;
    }
    Ok(scale)
}

/// Demands primes of these parameters, and a scale from 1 to the level's modulus.
pub(super) fn check(scale: &Scale, params: &Params, level: Level) -> Result<()> {
    let known = params.basis().primes();
    for (p, _) in scale.prime_exponents() {
        if !known.iter().any(|q| q.value() == p) {
            return Err(WireError::field(
                "a prime of a scale",
                p,
                "only primes of the parameters occur",
            ));
        }
    }
    let (log2, log2_q) = (scale.log2(), params.level("read", level)?.log2_q);
    if !(0.0..log2_q).contains(&log2) {
        let allowed = format!("at {level} it lies between 0 and {log2_q:.2}");
        return Err(WireError::field("log2 of a scale", format!("{log2:.2}"), allowed));
    }
    Ok(())
}
