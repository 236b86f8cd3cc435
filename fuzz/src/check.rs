//! Files whose seals are right: what lies behind the checksums has to hold by itself.

use crate::{home, parse};

/// Whether the file was accepted.
pub fn check(open: &[u8]) -> bool {
    let Some((kind, file)) = home::seal(open) else {
        return false;
    };
    if !parse::parse(&file) {
        return false;
    }
    // One changed bit anywhere, at a place that depends on the file, is noticed.
    let digest = blake3::hash(&file);
    let (place, bit) = digest.as_bytes().split_at(8);
    let mut damaged = file;
    let at = u64::from_le_bytes(place.try_into().unwrap()) as usize % damaged.len();
    damaged[at] ^= 1 << (bit[0] % 8);
    let result = parse::again(kind, &damaged).unwrap();
    assert!(result.is_err(), "a changed bit at {at} goes unnoticed");
    true
}
