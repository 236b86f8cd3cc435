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

/// Products of the lower words.
///
/// In assembly, since the compiler multiplies all 64 bits in three times the time where only the lower half of the product is used.
#[inline]
#[target_feature(enable = "avx512f")]
fn mul_low_words(x: __m512i, y: __m512i) -> __m512i {
    let product;
    // SAFETY: one instruction on registers.
    unsafe {
        asm!(
            "vpmuludq {product}, {x}, {y}",
            product = lateout(zmm_reg) product,
            x = in(zmm_reg) x,
            y = in(zmm_reg) y,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    product
}

// SAFETY of every block below: `self` exists, so the processor has the instructions; memory is reached through references to
// whole arrays of sixteen words, unaligned.
impl Lanes for Avx512 {
    type V = __m512i;
    type Split = [__m512i; 2];
    type Wide = [__m512i; 2];
    const SUMS: usize = 4;

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
    fn shift_right<const BITS: u32>(self, [x0, x1]: [__m512i; 2]) -> [__m512i; 2] {
        unsafe { [_mm512_srli_epi64::<BITS>(x0), _mm512_srli_epi64::<BITS>(x1)] }
    }
    #[inline(always)]
    fn shift_right_by(self, [x0, x1]: [__m512i; 2], bits: u32) -> [__m512i; 2] {
        unsafe {
            let bits = _mm512_set1_epi64(i64::from(bits));
            [_mm512_srlv_epi64(x0, bits), _mm512_srlv_epi64(x1, bits)]
        }
    }
    #[inline(always)]
    fn wide_sub(self, [x0, x1]: [__m512i; 2], [y0, y1]: [__m512i; 2]) -> [__m512i; 2] {
        unsafe { [_mm512_sub_epi64(x0, y0), _mm512_sub_epi64(x1, y1)] }
    }
    #[inline(always)]
    fn wide_mul(self, [x0, x1]: [__m512i; 2], [y0, y1]: [__m512i; 2]) -> [__m512i; 2] {
        unsafe { [mul_low_words(x0, y0), mul_low_words(x1, y1)] }
    }
    #[inline(always)]
    fn wide_reduce_once(self, [x0, x1]: [__m512i; 2], [y0, y1]: [__m512i; 2]) -> [__m512i; 2] {
        [self.reduce_once(x0, y0), self.reduce_once(x1, y1)]
    }

    #[inline(always)]
    fn rearrange(self, x: __m512i, lanes: __m512i) -> __m512i {
        unsafe { _mm512_permutexvar_epi32(lanes, x) }
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
    fn repeat<const COUNT: usize>(self, x: &[u32; COUNT]) -> __m512i {
        const { assert!(COUNT.is_power_of_two() && COUNT <= LANES) };
        let x = x.as_ptr();
        unsafe {
            match COUNT {
                1 => _mm512_set1_epi32(x.cast::<i32>().read()),
                2 => _mm512_set1_epi64(x.cast::<i64>().read_unaligned()),
                4 => _mm512_broadcast_i32x4(_mm_loadu_si128(x.cast())),
                8 => _mm512_broadcast_i32x8(_mm256_loadu_si256(x.cast())),
                _ => _mm512_loadu_si512(x.cast()),
            }
        }
    }
    #[inline(always)]
    fn split_repeat<const COUNT: usize>(self, x: &[u32]) -> [__m512i; 2] {
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
