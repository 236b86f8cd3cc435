//! What a user may ask of parameters, read with suspicion.

use crate::ring::security::TIERS;

/// Deepest chain that is looked for; `ring` builds no deeper ones.
const MOST_DEPTH: u32 = 43;
/// Most bits asked for: a scale of 2^60 holds no more.
const MOST_BITS: f64 = 60.0;

pub(in crate::cli) fn depth(text: &str) -> Result<u32, String> {
    let refused = || {
        format!(
            "{text:?} is no number of products from 1 to {MOST_DEPTH}; deeper computations bootstrap in between: `cipherformer params --bootstrap` \
             lists parameters for that"
        )
    };
    let depth = text.parse().map_err(|_| refused())?;
    (1..=MOST_DEPTH)
        .contains(&depth)
        .then_some(depth)
        .ok_or_else(refused)
}

pub(in crate::cli) fn precision(text: &str) -> Result<f64, String> {
    // Written so that a NaN, which no comparison accepts, is refused.
    let bits = text.parse().ok().filter(|bits| (1.0..=MOST_BITS).contains(bits));
    bits.ok_or_else(|| {
        format!("{text:?} is no number of bits from 1 to {MOST_BITS}; pass a number such as 20")
    })
}

pub(in crate::cli) fn security(text: &str) -> Result<u32, String> {
    let bits = text.parse().ok().filter(|bits| TIERS.contains(bits));
    bits.ok_or_else(|| format!("{text:?} is none of the levels of eprint 2024/463; pass one of {TIERS:?}"))
}

/// Bytes, with a decimal (kB, MB, GB, TB) or binary (KiB, MiB, GiB, TiB) unit.
pub(in crate::cli) fn memory(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1u64),
        "k" | "kb" => Some(1_000),
        "m" | "mb" => Some(1_000_000),
        "g" | "gb" => Some(1_000_000_000),
        "t" | "tb" => Some(1_000_000_000_000),
        "kib" => Some(1 << 10),
        "mib" => Some(1 << 20),
        "gib" => Some(1 << 30),
        "tib" => Some(1 << 40),
        _ => None,
    };
    let number: Option<f64> = number.trim().parse().ok();
    let bytes = number.zip(unit).map(|(number, unit)| number * unit as f64);
    let fits = bytes.filter(|bytes| (1.0..=(1u64 << 60) as f64).contains(bytes));
    fits.map(|bytes| bytes as u64)
        .ok_or_else(|| format!("{text:?} is no size; pass a number and a unit, such as 500MB or 2GiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(memory("2GiB"), Ok(2 << 30));
        assert_eq!(memory("1.5 mb"), Ok(1_500_000));
        assert_eq!(memory("4096"), Ok(4096));
        for wrong in ["", "GB", "-1GB", "nan", "inf", "1e300TB", "2 apples", "0", "0.2"] {
            assert!(memory(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for wrong in ["nan", "-3", "0", "inf", "61", "", "x"] {
            assert!(precision(wrong).is_err(), "{wrong}");
            assert!(depth(wrong).is_err(), "{wrong}");
            assert!(security(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            (precision("20.5"), depth("3"), security("192")),
            (Ok(20.5), Ok(3), Ok(192))
        );
    }
}
