//! Lanes as arrays: for every processor, and the definition of the others.

use std::array::from_fn;

use super::{LANES, Lanes, Words};

/// The portable implementation.
#[derive(Clone, Copy)]
pub(in crate::backend::cpu) struct Portable;

impl Lanes for Portable {
    type V = Words;
    type Split = Words;
    type Wide = [u64; LANES];
    const SUMS: usize = 1;

    #[inline(always)]
    fn splat(self, x: u32) -> Words {
        [x; LANES]
    }
    #[inline(always)]
    fn load(self, from: &Words) -> Words {
        *from
    }
    #[inline(always)]
    fn store(self, x: Words, to: &mut Words) {
        *to = x;
    }
    #[inline(always)]
    fn add(self, x: Words, y: Words) -> Words {
        from_fn(|i| x[i].wrapping_add(y[i]))
    }
    #[inline(always)]
    fn sub(self, x: Words, y: Words) -> Words {
        from_fn(|i| x[i].wrapping_sub(y[i]))
    }
    #[inline(always)]
    fn min(self, x: Words, y: Words) -> Words {
        from_fn(|i| x[i].min(y[i]))
    }
    #[inline(always)]
    fn mul_low(self, x: Words, y: Words) -> Words {
        from_fn(|i| x[i].wrapping_mul(y[i]))
    }

    #[inline(always)]
    fn split(self, x: Words) -> Words {
        x
    }
    #[inline(always)]
    fn split_splat(self, x: u32) -> Words {
        [x; LANES]
    }
    #[inline(always)]
    fn mul_wide(self, x: Words, y: Words) -> [u64; LANES] {
        from_fn(|i| u64::from(x[i]) * u64::from(y[i]))
    }
    #[inline(always)]
    fn wide_splat(self, x: u64) -> [u64; LANES] {
        [x; LANES]
    }
    #[inline(always)]
    fn widen(self, x: Words) -> [u64; LANES] {
        x.map(u64::from)
    }
    #[inline(always)]
    fn wide_add(self, x: [u64; LANES], y: [u64; LANES]) -> [u64; LANES] {
        from_fn(|i| x[i].wrapping_add(y[i]))
    }
    #[inline(always)]
    fn high(self, x: [u64; LANES]) -> Words {
        x.map(|x| (x >> 32) as u32)
    }
    #[inline(always)]
    fn low(self, x: [u64; LANES]) -> Words {
        x.map(|x| x as u32)
    }
    #[inline(always)]
    fn shift_right<const BITS: u32>(self, x: [u64; LANES]) -> [u64; LANES] {
        x.map(|x| x >> BITS)
    }
    #[inline(always)]
    fn shift_right_by(self, x: [u64; LANES], bits: u32) -> [u64; LANES] {
        x.map(|x| x >> bits)
    }
    #[inline(always)]
    fn wide_sub(self, x: [u64; LANES], y: [u64; LANES]) -> [u64; LANES] {
        from_fn(|i| x[i].wrapping_sub(y[i]))
    }
    #[inline(always)]
    fn wide_mul(self, x: [u64; LANES], y: Words) -> [u64; LANES] {
        from_fn(|i| u64::from(x[i] as u32) * u64::from(y[i]))
    }
    #[inline(always)]
    fn wide_reduce_once(self, x: [u64; LANES], y: [u64; LANES]) -> [u64; LANES] {
        let once = |x: u32, y: u32| u64::from(x.min(x.wrapping_sub(y)));
        from_fn(|i| (once((x[i] >> 32) as u32, (y[i] >> 32) as u32) << 32) | once(x[i] as u32, y[i] as u32))
    }

    #[inline(always)]
    fn rearrange(self, x: Words, lanes: Words) -> Words {
        from_fn(|i| x[lanes[i] as usize])
    }
    #[inline(always)]
    fn zip(self, x: Words, y: Words) -> (Words, Words) {
        let pick = |i: usize| if i.is_multiple_of(2) { x[i / 2] } else { y[i / 2] };
        (from_fn(pick), from_fn(|i| pick(i + LANES)))
    }
    #[inline(always)]
    fn unzip(self, x: Words, y: Words) -> (Words, Words) {
        let both = |i: usize| if i < LANES { x[i] } else { y[i - LANES] };
        (from_fn(|i| both(2 * i)), from_fn(|i| both(2 * i + 1)))
    }
    #[inline(always)]
    fn repeat<const COUNT: usize>(self, x: &[u32; COUNT]) -> Words {
        from_fn(|i| x[i % COUNT])
    }
    #[inline(always)]
    fn split_repeat<const COUNT: usize>(self, x: &[u32]) -> Words {
        from_fn(|i| x[i % COUNT])
    }
    #[inline(always)]
    fn prefetch<T>(self, _: &T) {}
}
