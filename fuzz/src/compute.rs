//! What loads is used: every operation gives a message or a well-formed result, and the CPU's results are those of the oracle.

mod bfv;
mod ckks;
mod parameters;

use cipherformer::{
    backend::Backend,
    rlwe::Context,
    wire::{self, Record, Stamp, WireError},
};

use crate::home::{self, BFV, BFV_ORACLE, CKKS, CKKS_ORACLE};

/// Named results: the bytes of a file of each, or the message.
type Steps = Vec<(&'static str, Result<Vec<u8>, String>)>;

/// An object, if the file holds one.
pub(crate) fn load<C, T: Record<C>>(file: &[u8], home: &C) -> Option<T> {
    let loaded = wire::from_bytes(file, home);
    loaded.ok().map(|(value, _): (T, Stamp)| value)
}

fn message(error: &dyn std::error::Error) -> String {
    let message = error.to_string();
    assert!(!message.is_empty());
    message
}

/// A result as a file, read again: all residues below their primes, and everything else in range. Only a scale can be such that
/// no file takes it.
pub(crate) fn stored<C, T: Record<C>, E: std::error::Error>(
    home: &C,
    result: Result<T, E>,
) -> Result<Vec<u8>, String> {
    let value = result.map_err(|e| message(&e))?;
    match wire::to_bytes(&value, home, Stamp::default()) {
        Ok(file) => {
            let read: T = load(&file, home).unwrap();
            assert!(wire::to_bytes(&read, home, Stamp::default()).unwrap() == file);
            Ok(file)
        }
        Err(error @ (WireError::Field { .. } | WireError::Scale(_))) => Err(message(&error)),
        Err(error) => panic!("a result cannot be written: {error}"),
    }
}

/// Whether there were steps; they are the same on both backends.
fn same(have: &Steps, want: &Steps) -> bool {
    for ((name, have), (other, want)) in have.iter().zip(want) {
        assert_eq!(name, other);
        assert!(
            have == want,
            "{name}: {have:?} on the CPU, {want:?} on the oracle"
        );
    }
    assert_eq!(have.len(), want.len());
    !have.is_empty()
}

fn is<B: Backend>(ctx: &Context<B>, file: &[u8]) -> bool {
    std::ptr::from_ref(home::context(file)).addr() == std::ptr::from_ref(ctx).addr()
}

/// Whether anything was computed.
pub fn compute(open: &[u8]) -> bool {
    let Some((kind, file)) = home::seal(open) else {
        return false;
    };
    match kind {
        1 => parameters::ckks(&file),
        2 | 3 => ckks::encrypts(kind, &file),
        7 => parameters::bfv(&file),
        _ if is(BFV.scheme.context(), &file) => same(
            &bfv::steps(&BFV, kind, &file),
            &bfv::steps(&BFV_ORACLE, kind, &file),
        ),
        _ => same(
            &ckks::steps(&CKKS, kind, &file),
            &ckks::steps(&CKKS_ORACLE, kind, &file),
        ),
    }
}
