//! Eight neighbouring f64 at a time, on the same instruction sets as the integer lanes.
//!
//! Every operation rounds as IEEE 754 says and nothing is fused, so that all versions give equal bits.

use super::Portable;

/// Numbers that a kernel works on at a time.
pub(in crate::backend::cpu) const REALS: usize = 8;

/// Eight numbers in memory.
pub(in crate::backend::cpu) type Eight = [f64; REALS];

/// Operations on eight numbers.
pub(in crate::backend::cpu) trait Reals: Copy {
    /// Eight numbers.
    type F: Copy;

    /// The same number in all lanes.
    fn real(self, x: f64) -> Self::F;
    /// From memory.
    fn load_reals(self, from: &Eight) -> Self::F;
    /// Integers from memory.
    fn load_integers(self, from: &[i32; REALS]) -> Self::F;
    /// To memory.
    fn store_reals(self, x: Self::F, to: &mut Eight);
    /// x + y.
    fn plus(self, x: Self::F, y: Self::F) -> Self::F;
    /// x - y.
    fn minus(self, x: Self::F, y: Self::F) -> Self::F;
    /// x y.
    fn times(self, x: Self::F, y: Self::F) -> Self::F;
    /// The integer part, for magnitudes below 2^62 (of either sign where it is zero).
    fn truncate(self, x: Self::F) -> Self::F;
    /// 1 where x > y, 0 elsewhere.
    fn above(self, x: Self::F, y: Self::F) -> Self::F;
    /// Whole numbers of magnitude 2^62 at the most as integers.
    fn store_integers(self, x: Self::F, to: &mut [i64; REALS]);
    /// The halves of groups of 2 T lanes as in [`Lanes::halves`](super::Lanes::halves), T = 4, 2, 1.
    fn real_halves<const T: usize>(self, x: Self::F, y: Self::F) -> (Self::F, Self::F);
}

impl Reals for Portable {
    type F = Eight;

    #[inline(always)]
    fn real(self, x: f64) -> Eight {
        [x; REALS]
    }
    #[inline(always)]
    fn load_reals(self, from: &Eight) -> Eight {
        *from
    }
    #[inline(always)]
    fn load_integers(self, from: &[i32; REALS]) -> Eight {
        from.map(f64::from)
    }
    #[inline(always)]
    fn store_reals(self, x: Eight, to: &mut Eight) {
        *to = x;
    }
    #[inline(always)]
    fn plus(self, x: Eight, y: Eight) -> Eight {
        std::array::from_fn(|i| x[i] + y[i])
    }
    #[inline(always)]
    fn minus(self, x: Eight, y: Eight) -> Eight {
        std::array::from_fn(|i| x[i] - y[i])
    }
    #[inline(always)]
    fn times(self, x: Eight, y: Eight) -> Eight {
        std::array::from_fn(|i| x[i] * y[i])
    }
    #[inline(always)]
    fn truncate(self, x: Eight) -> Eight {
        // `f64::trunc` is a library call on a plain x86-64.
        x.map(|x| x as i64 as f64)
    }
    #[inline(always)]
    fn above(self, x: Eight, y: Eight) -> Eight {
        std::array::from_fn(|i| f64::from(u8::from(x[i] > y[i])))
    }
    #[inline(always)]
    fn store_integers(self, x: Eight, to: &mut [i64; REALS]) {
        *to = x.map(|x| x as i64);
    }
    #[inline(always)]
    fn real_halves<const T: usize>(self, x: Eight, y: Eight) -> (Eight, Eight) {
        (
            std::array::from_fn(|i| if (i / T).is_multiple_of(2) { x[i] } else { y[i - T] }),
            std::array::from_fn(|i| if (i / T).is_multiple_of(2) { x[i + T] } else { y[i] }),
        )
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{
        super::{Avx2, Avx512},
        Eight, REALS, Reals,
    };

    const TRUNCATE: i32 = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
    const FLOOR: i32 = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;

    /// Lane numbers of `real_halves`; from 8 on those of the second operand.
    const fn halves_lanes(t: usize, second: bool) -> [i64; REALS] {
        let mut lanes = [0; REALS];
        let mut i = 0;
        while i < REALS {
            let own = (i / t).is_multiple_of(2);
            lanes[i] = match (own, second) {
                (true, false) => i,
                (false, false) => REALS + i - t,
                (true, true) => i + t,
                (false, true) => REALS + i,
            } as i64;
            i += 1;
        }
        lanes
    }

    struct Halves<const T: usize>;
    impl<const T: usize> Halves<T> {
        const LANES: [[i64; REALS]; 2] = [halves_lanes(T, false), halves_lanes(T, true)];
    }

    // SAFETY of every block below: `self` exists, so the processor has the instructions; memory is reached through
    // references to whole arrays, unaligned.
    impl Reals for Avx512 {
        type F = __m512d;

        #[inline(always)]
        fn real(self, x: f64) -> __m512d {
            unsafe { _mm512_set1_pd(x) }
        }
        #[inline(always)]
        fn load_reals(self, from: &Eight) -> __m512d {
            unsafe { _mm512_loadu_pd(from.as_ptr()) }
        }
        #[inline(always)]
        fn load_integers(self, from: &[i32; REALS]) -> __m512d {
            unsafe { _mm512_cvtepi32_pd(_mm256_loadu_si256(from.as_ptr().cast())) }
        }
        #[inline(always)]
        fn store_reals(self, x: __m512d, to: &mut Eight) {
            unsafe { _mm512_storeu_pd(to.as_mut_ptr(), x) }
        }
        #[inline(always)]
        fn plus(self, x: __m512d, y: __m512d) -> __m512d {
            unsafe { _mm512_add_pd(x, y) }
        }
        #[inline(always)]
        fn minus(self, x: __m512d, y: __m512d) -> __m512d {
            unsafe { _mm512_sub_pd(x, y) }
        }
        #[inline(always)]
        fn times(self, x: __m512d, y: __m512d) -> __m512d {
            unsafe { _mm512_mul_pd(x, y) }
        }
        #[inline(always)]
        fn truncate(self, x: __m512d) -> __m512d {
            unsafe { _mm512_roundscale_pd::<TRUNCATE>(x) }
        }
        #[inline(always)]
        fn above(self, x: __m512d, y: __m512d) -> __m512d {
            unsafe { _mm512_maskz_mov_pd(_mm512_cmp_pd_mask::<_CMP_GT_OQ>(x, y), _mm512_set1_pd(1.0)) }
        }
        #[inline(always)]
        fn store_integers(self, x: __m512d, to: &mut [i64; REALS]) {
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), _mm512_cvttpd_epi64(x)) }
        }
        #[inline(always)]
        fn real_halves<const T: usize>(self, x: __m512d, y: __m512d) -> (__m512d, __m512d) {
            let [first, second] = &Halves::<T>::LANES;
            unsafe {
                (
                    _mm512_permutex2var_pd(x, _mm512_loadu_si512(first.as_ptr().cast()), y),
                    _mm512_permutex2var_pd(x, _mm512_loadu_si512(second.as_ptr().cast()), y),
                )
            }
        }
    }

    /// Lanes 0 to 3, and 4 to 7.
    type Pair = [__m256d; 2];

    /// Whole numbers to integers: x = h 2^32 + l, and l + 2^52 has l in its lower word.
    ///
    /// # Safety
    /// The processor has AVX2.
    #[inline(always)]
    unsafe fn integers(x: __m256d) -> __m256i {
        unsafe {
            let high = _mm256_round_pd::<FLOOR>(_mm256_mul_pd(x, _mm256_set1_pd(1.0 / 4294967296.0)));
            let low = _mm256_sub_pd(x, _mm256_mul_pd(high, _mm256_set1_pd(4294967296.0)));
            let low = _mm256_castpd_si256(_mm256_add_pd(low, _mm256_set1_pd(4503599627370496.0)));
            let high = _mm256_slli_epi64::<32>(_mm256_cvtepi32_epi64(_mm256_cvttpd_epi32(high)));
            _mm256_blend_epi32::<0xaa>(low, high)
        }
    }

    impl Reals for Avx2 {
        type F = Pair;

        #[inline(always)]
        fn real(self, x: f64) -> Pair {
            [unsafe { _mm256_set1_pd(x) }; 2]
        }
        #[inline(always)]
        fn load_reals(self, from: &Eight) -> Pair {
            let (low, high) = from.split_at(REALS / 2);
            unsafe { [_mm256_loadu_pd(low.as_ptr()), _mm256_loadu_pd(high.as_ptr())] }
        }
        #[inline(always)]
        fn load_integers(self, from: &[i32; REALS]) -> Pair {
            let (low, high) = from.split_at(REALS / 2);
            unsafe {
                [
                    _mm256_cvtepi32_pd(_mm_loadu_si128(low.as_ptr().cast())),
                    _mm256_cvtepi32_pd(_mm_loadu_si128(high.as_ptr().cast())),
                ]
            }
        }
        #[inline(always)]
        fn store_reals(self, x: Pair, to: &mut Eight) {
            let (low, high) = to.split_at_mut(REALS / 2);
            unsafe {
                _mm256_storeu_pd(low.as_mut_ptr(), x[0]);
                _mm256_storeu_pd(high.as_mut_ptr(), x[1]);
            }
        }
        #[inline(always)]
        fn plus(self, x: Pair, y: Pair) -> Pair {
            unsafe { [_mm256_add_pd(x[0], y[0]), _mm256_add_pd(x[1], y[1])] }
        }
        #[inline(always)]
        fn minus(self, x: Pair, y: Pair) -> Pair {
            unsafe { [_mm256_sub_pd(x[0], y[0]), _mm256_sub_pd(x[1], y[1])] }
        }
        #[inline(always)]
        fn times(self, x: Pair, y: Pair) -> Pair {
            unsafe { [_mm256_mul_pd(x[0], y[0]), _mm256_mul_pd(x[1], y[1])] }
        }
        #[inline(always)]
        fn truncate(self, x: Pair) -> Pair {
            unsafe {
                [
                    _mm256_round_pd::<TRUNCATE>(x[0]),
                    _mm256_round_pd::<TRUNCATE>(x[1]),
                ]
            }
        }
        #[inline(always)]
        fn above(self, x: Pair, y: Pair) -> Pair {
            unsafe {
                let one = _mm256_set1_pd(1.0);
                [
                    _mm256_and_pd(_mm256_cmp_pd::<_CMP_GT_OQ>(x[0], y[0]), one),
                    _mm256_and_pd(_mm256_cmp_pd::<_CMP_GT_OQ>(x[1], y[1]), one),
                ]
            }
        }
        #[inline(always)]
        fn store_integers(self, x: Pair, to: &mut [i64; REALS]) {
            let (low, high) = to.split_at_mut(REALS / 2);
            unsafe {
                _mm256_storeu_si256(low.as_mut_ptr().cast(), integers(x[0]));
                _mm256_storeu_si256(high.as_mut_ptr().cast(), integers(x[1]));
            }
        }
        #[inline(always)]
        fn real_halves<const T: usize>(self, x: Pair, y: Pair) -> (Pair, Pair) {
            unsafe {
                match T {
                    4 => ([x[0], y[0]], [x[1], y[1]]),
                    2 => (
                        [
                            _mm256_permute2f128_pd::<0x20>(x[0], y[0]),
                            _mm256_permute2f128_pd::<0x20>(x[1], y[1]),
                        ],
                        [
                            _mm256_permute2f128_pd::<0x31>(x[0], y[0]),
                            _mm256_permute2f128_pd::<0x31>(x[1], y[1]),
                        ],
                    ),
                    _ => (
                        [_mm256_unpacklo_pd(x[0], y[0]), _mm256_unpacklo_pd(x[1], y[1])],
                        [_mm256_unpackhi_pd(x[0], y[0]), _mm256_unpackhi_pd(x[1], y[1])],
                    ),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Instructions, kernel},
        *,
    };

    kernel! {
        /// Everything that the trait has, in a row.
        fn everything(l, a: &Eight, b: &Eight) -> (Vec<Eight>, [i64; REALS]) {
            let (mut out, mut integers) = (Vec::new(), [0; REALS]);
            let mut put = |v: L::F| {
                let mut reals = [0.0; REALS];
                l.store_reals(v, &mut reals);
                out.push(reals);
            };
            let (x, y) = (l.load_reals(a), l.load_reals(b));
            put(l.real(a[2]));
            put(l.load_integers(&[0, -1, 1, i32::MIN, i32::MAX, 12345, -77, 1 << 29]));
            put(l.plus(x, y));
            put(l.minus(x, y));
            put(l.times(x, y));
            put(l.truncate(x));
            put(l.above(x, y));
            put(l.above(y, x));
            put(l.above(x, x));
            for (v, w) in [l.real_halves::<4>(x, y), l.real_halves::<2>(x, y), l.real_halves::<1>(x, y)] {
                put(v);
                put(w);
            }
            l.store_integers(l.truncate(x), &mut integers);
            (out, integers)
        }
    }

    #[test]
    fn every_instruction_set_computes_what_the_portable_version_does() {
        let mut state = 5u64;
        let mut number = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let whole = (state as i64) >> (1 + (state >> 59));
            match state >> 20 & 7 {
                0 => 2f64.powi(62),
                1 => -2f64.powi(62),
                2 => whole as f64 / 2f64.powi(40) + 0.5,
                _ => whole as f64 / 2f64.powi((state >> 33) as i32 % 40),
            }
        };
        for _ in 0..500 {
            let mut a: Eight = std::array::from_fn(|_| number());
            let b = std::array::from_fn(|_| number());
            a[7] = b_or(a[7], &b);
            let wanted = everything(Instructions::Portable, &a, &b);
            for instructions in Instructions::available() {
                assert_eq!(everything(*instructions, &a, &b), wanted, "{instructions:?}");
            }
        }
    }

    /// Now and then equal numbers in both operands.
    fn b_or(x: f64, b: &Eight) -> f64 {
        if x > 0.0 { b[7] } else { x }
    }
}
