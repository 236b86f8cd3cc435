//! Parts of a computation with their times, and times of a whole from those of pieces.

use serde::Serialize;

/// Bytes of operands of a measurement, more or less: more than caches hold.
pub(crate) const MEMORY: usize = 1 << 26;
/// Bytes of operands that a measurement takes in turn, at most: a run's own memory, where it is not more than this.
pub(crate) const FOOTPRINT: usize = 1 << 28;

/// A part of a computation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// What it is.
    pub name: &'static str,
    /// How often it comes.
    pub count: f64,
    /// Microseconds of one.
    pub each_us: f64,
}

impl Part {
    pub(crate) fn new(name: &'static str, count: f64, each_us: f64) -> Self {
        Self { name, count, each_us }
    }

    /// Microseconds of all parts.
    pub(crate) fn sum_us(parts: &[Self]) -> f64 {
        parts.iter().map(|p| p.count * p.each_us).sum()
    }
}

/// The time of something `whole` long from `time`s of a piece of `most` and of half of that: affine in the length.
pub(crate) fn extrapolated<E>(
    whole: usize,
    most: usize,
    mut time: impl FnMut(usize) -> std::result::Result<f64, E>,
) -> std::result::Result<f64, E> {
    let piece = whole.min(most.max(1));
    let long = time(piece)?;
    if piece == whole {
        return Ok(long);
    }
    let half = piece / 2;
    if half == 0 {
        return Ok(long * whole as f64);
    }
    let slope = ((long - time(half)?) / (piece - half) as f64).max(0.0);
    Ok(long + slope * (whole - piece) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_extrapolated_along_a_line() {
        let line = |x: usize| Ok::<_, ()>(3.0 + 2.0 * x as f64);
        for (whole, most) in [(7, 100), (100, 7), (100, 8), (5, 5)] {
            let have = extrapolated(whole, most, line).unwrap();
            assert_eq!(have, 3.0 + 2.0 * whole as f64, "{whole} of {most}");
        }
        // A piece of one says nothing about what does not grow.
        assert_eq!(extrapolated(4, 1, line).unwrap(), 20.0);
    }
}
