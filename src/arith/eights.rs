//! The twiddles of the slot transform in the form that vector kernels read.

/// Twiddles in groups of eight: real parts, then imaginary parts; S holds eight numbers.
#[derive(Clone)]
#[cfg_attr(
    not(feature = "fallback"),
    expect(dead_code, reason = "only kernels read them")
)]
pub(crate) struct Eights<S> {
    /// Group q: the twiddles 8 q .. 8 q + 8 of [`Embedding::twiddles`](super::Embedding::twiddles).
    pub(crate) whole: Vec<[S; 2]>,
    /// The twiddles of blocks of 8, 4 and 2, repeated to fill a group.
    pub(crate) short: [[S; 2]; 3],
}

impl<S> Eights<S> {
    /// From N/2 twiddles, at least eight; `group` gathers eight of them.
    pub(super) fn new<T: Copy>(twiddles: &[T], group: impl Fn([T; 8]) -> [S; 2]) -> Self {
        let (whole, _) = twiddles.as_chunks();
        let short = |half: usize| group(std::array::from_fn(|i| twiddles[half + i % half]));
        Self {
            short: [short(4), short(2), short(1)],
            whole: whole.iter().map(|eight| group(*eight)).collect(),
        }
    }
}
