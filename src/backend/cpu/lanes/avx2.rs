//! Lanes in two 256-bit registers: lanes 0 to 7, and 8 to 15.

use std::arch::x86_64::*;

use super::{Instructions, LANES, Lanes, Words};

/// Exists only where the processor has AVX2.
#[derive(Clone, Copy)]
pub(in crate::backend::cpu) struct Avx2(());

impl Avx2 {
    /// The implementation, if the processor has it.
    #[inline(always)]
    pub(in crate::backend::cpu) fn new() -> Option<Self> {
        Instructions::Avx2.is_available().then_some(Self(()))
    }
}

type Pair = [__m256i; 2];

/// The odd words of a register in the places of the even ones.
const ODD_TO_EVEN: i32 = 0xf5;
/// The odd lanes of a register.
const ODD: i32 = 0xaa;

/// f of both registers. Not a function of a closure, which would be compiled without the instructions.
macro_rules! both {
    (|$x:ident $(, $y:ident)*| $f:expr) => {
        [
            { let ($x, $($y),*) = ($x[0], $($y[0]),*); $f },
            { let ($x, $($y),*) = ($x[1], $($y[1]),*); $f },
        ]
    };
}

// SAFETY of every block below: `self` exists, so the processor has the instructions; memory is reached through references to
// whole arrays, unaligned.
impl Lanes for Avx2 {
    type V = Pair;
    /// Even lanes, odd lanes.
    type Split = [Pair; 2];
    /// Even lanes, odd lanes.
    type Wide = [Pair; 2];
    const SUMS: usize = 2;

    #[inline(always)]
    fn splat(self, x: u32) -> Pair {
        [unsafe { _mm256_set1_epi32(x as i32) }; 2]
    }
    #[inline(always)]
    fn load(self, from: &Words) -> Pair {
        let (low, high) = from.split_at(LANES / 2);
        unsafe {
            [
                _mm256_loadu_si256(low.as_ptr().cast()),
                _mm256_loadu_si256(high.as_ptr().cast()),
            ]
        }
    }
    #[inline(always)]
    fn store(self, x: Pair, to: &mut Words) {
        let (low, high) = to.split_at_mut(LANES / 2);
        unsafe {
            _mm256_storeu_si256(low.as_mut_ptr().cast(), x[0]);
            _mm256_storeu_si256(high.as_mut_ptr().cast(), x[1]);
        }
    }
    #[inline(always)]
    fn add(self, x: Pair, y: Pair) -> Pair {
        both!(|x, y| unsafe { _mm256_add_epi32(x, y) })
    }
    #[inline(always)]
    fn sub(self, x: Pair, y: Pair) -> Pair {
        both!(|x, y| unsafe { _mm256_sub_epi32(x, y) })
    }
    #[inline(always)]
    fn min(self, x: Pair, y: Pair) -> Pair {
        both!(|x, y| unsafe { _mm256_min_epu32(x, y) })
    }
    #[inline(always)]
    fn mul_low(self, x: Pair, y: Pair) -> Pair {
        both!(|x, y| unsafe { _mm256_mullo_epi32(x, y) })
    }

    #[inline(always)]
    fn split(self, x: Pair) -> [Pair; 2] {
        [x, both!(|x| unsafe { _mm256_shuffle_epi32::<ODD_TO_EVEN>(x) })]
    }
    #[inline(always)]
    fn split_splat(self, x: u32) -> [Pair; 2] {
        [self.splat(x); 2]
    }
    #[inline(always)]
    fn mul_wide(self, x: [Pair; 2], y: [Pair; 2]) -> [Pair; 2] {
        both!(|x, y| both!(|x, y| unsafe { _mm256_mul_epu32(x, y) }))
    }
    #[inline(always)]
    fn wide_splat(self, x: u64) -> [Pair; 2] {
        [[unsafe { _mm256_set1_epi64x(x as i64) }; 2]; 2]
    }
    #[inline(always)]
    fn widen(self, x: Pair) -> [Pair; 2] {
        unsafe {
            let zero = _mm256_setzero_si256();
            [
                both!(|x| _mm256_blend_epi32::<ODD>(x, zero)),
                both!(|x| _mm256_srli_epi64::<32>(x)),
            ]
        }
    }
    #[inline(always)]
    fn wide_add(self, x: [Pair; 2], y: [Pair; 2]) -> [Pair; 2] {
        both!(|x, y| both!(|x, y| unsafe { _mm256_add_epi64(x, y) }))
    }
    #[inline(always)]
    fn high(self, [even, odd]: [Pair; 2]) -> Pair {
        both!(|even, odd| unsafe {
            _mm256_blend_epi32::<ODD>(_mm256_shuffle_epi32::<ODD_TO_EVEN>(even), odd)
        })
    }
    #[inline(always)]
    fn low(self, [even, odd]: [Pair; 2]) -> Pair {
        both!(|even, odd| unsafe { _mm256_blend_epi32::<ODD>(even, _mm256_slli_epi64::<32>(odd)) })
    }
    #[inline(always)]
    fn shift_right<const BITS: u32>(self, x: [Pair; 2]) -> [Pair; 2] {
        both!(|x| both!(|x| unsafe { _mm256_srl_epi64(x, _mm_cvtsi32_si128(BITS as i32)) }))
    }
    #[inline(always)]
    fn shift_right_by(self, x: [Pair; 2], bits: u32) -> [Pair; 2] {
        both!(|x| both!(|x| unsafe { _mm256_srlv_epi64(x, _mm256_set1_epi64x(i64::from(bits))) }))
    }
    #[inline(always)]
    fn wide_sub(self, x: [Pair; 2], y: [Pair; 2]) -> [Pair; 2] {
        both!(|x, y| both!(|x, y| unsafe { _mm256_sub_epi64(x, y) }))
    }
    #[inline(always)]
    fn wide_mul(self, x: [Pair; 2], y: [Pair; 2]) -> [Pair; 2] {
        self.mul_wide(x, y)
    }
    #[inline(always)]
    fn wide_reduce_once(self, x: [Pair; 2], y: [Pair; 2]) -> [Pair; 2] {
        [self.reduce_once(x[0], y[0]), self.reduce_once(x[1], y[1])]
    }

    #[inline(always)]
    fn rearrange(self, x: Pair, lanes: Pair) -> Pair {
        // The shuffle takes three bits of an index; the fourth, moved to the sign, chooses the register.
        both!(|lanes| unsafe {
            let low = _mm256_permutevar8x32_epi32(x[0], lanes);
            let high = _mm256_permutevar8x32_epi32(x[1], lanes);
            let second = _mm256_castsi256_ps(_mm256_slli_epi32::<28>(lanes));
            let (low, high) = (_mm256_castsi256_ps(low), _mm256_castsi256_ps(high));
            _mm256_castps_si256(_mm256_blendv_ps(low, high, second))
        })
    }
    #[inline(always)]
    fn zip(self, x: Pair, y: Pair) -> (Pair, Pair) {
        let within = |x: __m256i, y: __m256i| unsafe {
            let (a, b) = (_mm256_unpacklo_epi32(x, y), _mm256_unpackhi_epi32(x, y));
            [
                _mm256_permute2x128_si256::<0x20>(a, b),
                _mm256_permute2x128_si256::<0x31>(a, b),
            ]
        };
        (within(x[0], y[0]), within(x[1], y[1]))
    }
    #[inline(always)]
    fn unzip(self, x: Pair, y: Pair) -> (Pair, Pair) {
        let within = |[x, y]: Pair| unsafe {
            let a = _mm256_castsi256_ps(_mm256_permute2x128_si256::<0x20>(x, y));
            let b = _mm256_castsi256_ps(_mm256_permute2x128_si256::<0x31>(x, y));
            [
                _mm256_castps_si256(_mm256_shuffle_ps::<0x88>(a, b)),
                _mm256_castps_si256(_mm256_shuffle_ps::<0xdd>(a, b)),
            ]
        };
        let (low, high) = (within(x), within(y));
        ([low[0], high[0]], [low[1], high[1]])
    }
    #[inline(always)]
    fn repeat<const COUNT: usize>(self, x: &[u32; COUNT]) -> Pair {
        const { assert!(COUNT.is_power_of_two() && COUNT <= LANES) };
        let x = x.as_ptr();
        unsafe {
            match COUNT {
                1 => [_mm256_set1_epi32(x.cast::<i32>().read()); 2],
                2 => [_mm256_set1_epi64x(x.cast::<i64>().read_unaligned()); 2],
                4 => [_mm256_broadcastsi128_si256(_mm_loadu_si128(x.cast())); 2],
                8 => [_mm256_loadu_si256(x.cast()); 2],
                _ => self.load(&*x.cast()),
            }
        }
    }
    #[inline(always)]
    fn split_repeat<const COUNT: usize>(self, x: &[u32]) -> [Pair; 2] {
        assert!(x.len() > COUNT, "a factor reads one word more");
        // SAFETY: both arrays lie within `x`.
        let [even, odd] = unsafe { [&*x.as_ptr().cast(), &*x.as_ptr().add(1).cast()] };
        if COUNT <= 2 {
            return [self.splat(x[0]), self.splat(x[COUNT - 1])];
        }
        [self.repeat::<COUNT>(even), self.repeat::<COUNT>(odd)]
    }
    #[inline(always)]
    fn prefetch<T>(self, soon: &T) {
        for line in 0..size_of::<T>() / 64 {
            // SAFETY: a hint, and within the value.
            unsafe { _mm_prefetch::<_MM_HINT_T0>((&raw const *soon).cast::<i8>().add(64 * line)) };
        }
    }
}
