//! Lanes in one 512-bit register.

use std::arch::{asm, x86_64::*};

use super::{Instructions, LANES, Lanes, Words};

/// Exists only where the processor has AVX-512 F, DQ, BW and VL.
#[derive(Clone, Copy)]
pub(in crate::backend::cpu) struct Avx512(());

impl Avx512 {
    /// The implementation, if the processor has it.
    #[inline(always)]
    pub(in crate::backend::cpu) fn new() -> Option<Self> {
        Instructions::Avx512.is_available().then_some(Self(()))
    }
}

/// Lane numbers for permutations; from 16 on those of the second operand.
type Lane = [u32; LANES];

const fn halves_lanes(t: usize, second: bool) -> Lane {
    let mut lanes = [0; LANES];
    let mut i = 0;
    while i < LANES {
        let own = i / t % 2 == 0;
        lanes[i] = match (own, second) {
            (true, false) => i,
            (false, false) => LANES + i - t,
            (true, true) => i + t,
            (false, true) => LANES + i,
        } as u32;
        i += 1;
    }
    lanes
}

const fn zip_lanes(first: usize) -> Lane {
    let mut lanes = [0; LANES];
    let mut i = 0;
    while i < LANES {
        lanes[i] = (first + i / 2 + if i % 2 == 1 { LANES } else { 0 }) as u32;
        i += 1;
    }
    lanes
}

const fn unzip_lanes(odd: usize) -> Lane {
    let mut lanes = [0; LANES];
    let mut i = 0;
    while i < LANES {
        lanes[i] = (2 * i + odd) as u32;
        i += 1;
    }
    lanes
}

const fn spread_lanes(count: usize) -> Lane {
    let mut lanes = [0; LANES];
    let mut i = 0;
    while i < LANES {
        lanes[i] = (i * count / LANES) as u32;
        i += 1;
    }
    lanes
}

struct Halves<const T: usize>;
impl<const T: usize> Halves<T> {
    const LANES: [Lane; 2] = [halves_lanes(T, false), halves_lanes(T, true)];
}

struct Spread<const COUNT: usize>;
impl<const COUNT: usize> Spread<COUNT> {
    const LANES: Lane = spread_lanes(COUNT);
}

const ZIP: [Lane; 2] = [zip_lanes(0), zip_lanes(LANES / 2)];
const UNZIP: [Lane; 2] = [unzip_lanes(0), unzip_lanes(1)];

/// The odd words of a register in the places of the even ones.
const ODD_TO_EVEN: i32 = 0xf5;
/// The even words of a register in the places of the odd ones.
const EVEN_TO_ODD: i32 = 0xa0;
/// The odd lanes.
const ODD: u16 = 0xaaaa;

impl Avx512 {
    #[inline(always)]
    fn pick(self, x: __m512i, lanes: &Lane, y: __m512i) -> __m512i {
        // SAFETY: `self` exists.
        unsafe { _mm512_permutex2var_epi32(x, self.load(lanes), y) }
    }
}

/// The upper words of both, the even ones moved to the even lanes.
///
/// In assembly, since the compiler turns the masked shuffle into a slower two-register permutation.
#[inline]
#[target_feature(enable = "avx512f")]
fn merge_high(even: __m512i, odd: __m512i) -> __m512i {
    let mut merged = odd;
    // SAFETY: one instruction on registers.
    unsafe {
        asm!(
            "vpshufd {merged}{{{mask}}}, {even}, 0xF5",
            merged = inout(zmm_reg) merged,
            even = in(zmm_reg) even,
            mask = in(kreg) !ODD,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    merged
}

// SAFETY of every block below: `self` exists, so the processor has the instructions; memory is reached through references to
// whole arrays of sixteen words, unaligned.
impl Lanes for Avx512 {
    type V = __m512i;
    type Split = [__m512i; 2];
    type Wide = [__m512i; 2];

    #[inline(always)]
    fn splat(self, x: u32) -> __m512i {
        unsafe { _mm512_set1_epi32(x as i32) }
    }
    #[inline(always)]
    fn load(self, from: &Words) -> __m512i {
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }
    #[inline(always)]
    fn store(self, x: __m512i, to: &mut Words) {
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), x) }
    }
    #[inline(always)]
    fn add(self, x: __m512i, y: __m512i) -> __m512i {
        unsafe { _mm512_add_epi32(x, y) }
    }
    #[inline(always)]
    fn sub(self, x: __m512i, y: __m512i) -> __m512i {
        unsafe { _mm512_sub_epi32(x, y) }
    }
    #[inline(always)]
    fn min(self, x: __m512i, y: __m512i) -> __m512i {
        unsafe { _mm512_min_epu32(x, y) }
    }
    #[inline(always)]
    fn mul_low(self, x: __m512i, y: __m512i) -> __m512i {
        unsafe { _mm512_mullo_epi32(x, y) }
    }
    #[inline(always)]
    unsafe fn gather(self, table: &[u32], at: __m512i) -> __m512i {
        unsafe { _mm512_i32gather_epi32::<4>(at, table.as_ptr().cast()) }
    }

    #[inline(always)]
    fn split(self, x: __m512i) -> [__m512i; 2] {
        [x, unsafe { _mm512_shuffle_epi32::<ODD_TO_EVEN>(x) }]
    }
    #[inline(always)]
    fn split_splat(self, x: u32) -> [__m512i; 2] {
        [self.splat(x); 2]
    }
    #[inline(always)]
    fn mul_wide(self, [x0, x1]: [__m512i; 2], [y0, y1]: [__m512i; 2]) -> [__m512i; 2] {
        unsafe { [_mm512_mul_epu32(x0, y0), _mm512_mul_epu32(x1, y1)] }
    }
    #[inline(always)]
    fn wide_splat(self, x: u64) -> [__m512i; 2] {
        [unsafe { _mm512_set1_epi64(x as i64) }; 2]
    }
    #[inline(always)]
    fn widen(self, x: __m512i) -> [__m512i; 2] {
        unsafe {
            let even = _mm512_maskz_mov_epi32(!ODD, x);
            [even, _mm512_srli_epi64::<32>(x)]
        }
    }
    #[inline(always)]
    fn wide_add(self, [x0, x1]: [__m512i; 2], [y0, y1]: [__m512i; 2]) -> [__m512i; 2] {
        unsafe { [_mm512_add_epi64(x0, y0), _mm512_add_epi64(x1, y1)] }
    }
    #[inline(always)]
    fn high(self, [even, odd]: [__m512i; 2]) -> __m512i {
        unsafe { merge_high(even, odd) }
    }
    #[inline(always)]
    fn low(self, [even, odd]: [__m512i; 2]) -> __m512i {
        unsafe { _mm512_mask_shuffle_epi32::<EVEN_TO_ODD>(even, ODD, odd) }
    }
    #[inline(always)]
    fn shift_right<const BITS: u32>(self, x: [__m512i; 2]) -> [__m512i; 2] {
        x.map(|x| unsafe { _mm512_srli_epi64::<BITS>(x) })
    }
    #[inline(always)]
    fn is_less(self, [x0, x1]: [__m512i; 2], [y0, y1]: [__m512i; 2]) -> [__m512i; 2] {
        unsafe {
            let one = _mm512_set1_epi64(1);
            [
                _mm512_maskz_mov_epi64(_mm512_cmplt_epu64_mask(x0, y0), one),
                _mm512_maskz_mov_epi64(_mm512_cmplt_epu64_mask(x1, y1), one),
            ]
        }
    }

    #[inline(always)]
    fn halves<const T: usize>(self, x: __m512i, y: __m512i) -> (__m512i, __m512i) {
        let [first, second] = &Halves::<T>::LANES;
        (self.pick(x, first, y), self.pick(x, second, y))
    }
    #[inline(always)]
    fn zip(self, x: __m512i, y: __m512i) -> (__m512i, __m512i) {
        (self.pick(x, &ZIP[0], y), self.pick(x, &ZIP[1], y))
    }
    #[inline(always)]
    fn unzip(self, x: __m512i, y: __m512i) -> (__m512i, __m512i) {
        (self.pick(x, &UNZIP[0], y), self.pick(x, &UNZIP[1], y))
    }
    #[inline(always)]
    fn spread<const COUNT: usize>(self, x: &[u32; COUNT]) -> __m512i {
        const { assert!(COUNT == 2 || COUNT == 4 || COUNT == 8) };
        unsafe {
            let few = match COUNT {
                2 => _mm512_castsi128_si512(_mm_loadl_epi64(x.as_ptr().cast())),
                4 => _mm512_castsi128_si512(_mm_loadu_si128(x.as_ptr().cast())),
                _ => _mm512_castsi256_si512(_mm256_loadu_si256(x.as_ptr().cast())),
            };
            _mm512_permutexvar_epi32(self.load(&Spread::<COUNT>::LANES), few)
        }
    }
}
