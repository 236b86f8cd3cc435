//! Sixteen neighbouring words at a time: one source for every kernel, compiled for AVX-512, AVX2 and any processor.
//!
//! A kernel is a function generic over [`Lanes`]; `kernel!` compiles it for every instruction set and picks one at run time.
//! Wherever the processor has fewer or narrower registers, an implementation uses several: the kernels always see sixteen lanes. Integer
//! operations have one meaning, so that all versions give equal bits; the tests below hold each against the portable one.
//!
//! Kernels keep vectors out of closures and of `map`: those are functions of their own, compiled without the instructions, and
//! what is not inlined calls every intrinsic.
//!
//! Values of an implementation exist only on processors that have its instructions ([`Instructions::available`]), which is what
//! makes its methods safe.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(super) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(super) use avx512::Avx512;
pub(super) use portable::Portable;

use crate::arith::Modulus;

/// Words that a kernel works on at a time.
pub(super) const LANES: usize = 16;

/// Sixteen neighbours in memory.
pub(super) type Words = [u32; LANES];

/// The instructions that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Instructions {
    /// What every processor of the architecture has.
    Portable,
    /// 256-bit integer vectors.
    Avx2,
    /// 512-bit integer vectors: AVX-512 F, DQ, BW and VL.
    Avx512,
}

impl Instructions {
    /// All that this processor has, the best last.
    pub fn available() -> &'static [Self] {
        const ALL: [Instructions; 3] = [Instructions::Portable, Instructions::Avx2, Instructions::Avx512];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2");
            let avx512 = avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl");
            &ALL[..1 + usize::from(avx2) + usize::from(avx512)]
        }
        #[cfg(not(target_arch = "x86_64"))]
        &ALL[..1]
    }

    /// The best that this processor has.
    pub fn best() -> Self {
        Self::available().last().copied().unwrap_or(Self::Portable)
    }

    /// Whether this processor has them.
    pub fn is_available(self) -> bool {
        Self::available().contains(&self)
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "AVX2",
            Self::Avx512 => "AVX-512",
        }
    }
}

/// Operations on sixteen words of 32 bits, and on sixteen of 64.
///
/// All arithmetic wraps. Products take their factors split ([`Lanes::split`]): splitting once serves many products.
pub(super) trait Lanes: Copy {
    /// Sixteen words of 32 bits.
    type V: Copy;
    /// A factor of wide products: the words themselves, and each odd word in the place of the even one before it.
    type Split: Copy;
    /// Sixteen words of 64 bits.
    type Wide: Copy;

    /// Sums of sixteen 64-bit words that fit the registers beside what they are made of.
    const SUMS: usize;

    /// The same word in all lanes.
    fn splat(self, x: u32) -> Self::V;
    /// From memory.
    fn load(self, from: &Words) -> Self::V;
    /// To memory.
    fn store(self, x: Self::V, to: &mut Words);
    /// Asks for memory that is read soon.
    fn prefetch<T>(self, soon: &T);
    /// x + y.
    fn add(self, x: Self::V, y: Self::V) -> Self::V;
    /// x - y.
    fn sub(self, x: Self::V, y: Self::V) -> Self::V;
    /// The smaller, unsigned.
    fn min(self, x: Self::V, y: Self::V) -> Self::V;
    /// The lower word of x y.
    fn mul_low(self, x: Self::V, y: Self::V) -> Self::V;

    /// A factor.
    fn split(self, x: Self::V) -> Self::Split;
    /// A factor with the same word in all lanes.
    fn split_splat(self, x: u32) -> Self::Split;
    /// x y in 64 bits.
    fn mul_wide(self, x: Self::Split, y: Self::Split) -> Self::Wide;
    /// The same 64-bit word in all lanes.
    fn wide_splat(self, x: u64) -> Self::Wide;
    /// The words as words of 64 bits.
    fn widen(self, x: Self::V) -> Self::Wide;
    /// x + y in 64 bits.
    fn wide_add(self, x: Self::Wide, y: Self::Wide) -> Self::Wide;
    /// The upper words.
    fn high(self, x: Self::Wide) -> Self::V;
    /// The lower words.
    fn low(self, x: Self::Wide) -> Self::V;
    /// x >> BITS in 64 bits.
    fn shift_right<const BITS: u32>(self, x: Self::Wide) -> Self::Wide;
    /// x >> bits in 64 bits, for a shift that only the modulus tells.
    fn shift_right_by(self, x: Self::Wide, bits: u32) -> Self::Wide;
    /// x - y in 64 bits.
    fn wide_sub(self, x: Self::Wide, y: Self::Wide) -> Self::Wide;
    /// The lower words of x, times y, in 64 bits.
    fn wide_mul(self, x: Self::Wide, y: Self::Split) -> Self::Wide;
    /// min(x, x - y) for each of the two words of every lane.
    fn wide_reduce_once(self, x: Self::Wide, y: Self::Wide) -> Self::Wide;

    /// x0 y0 x1 y1 ...: the first sixteen and the second.
    fn zip(self, x: Self::V, y: Self::V) -> (Self::V, Self::V);
    /// The even and the odd lanes of x followed by y: the inverse of `zip`.
    fn unzip(self, x: Self::V, y: Self::V) -> (Self::V, Self::V);
    /// Lane i = x[i mod COUNT]; COUNT = 1, 2, 4, 8, 16.
    fn repeat<const COUNT: usize>(self, x: &[u32; COUNT]) -> Self::V;
    /// The same as a factor, from a slice longer than COUNT: odd lanes come from memory, one word on.
    fn split_repeat<const COUNT: usize>(self, x: &[u32]) -> Self::Split;

    /// Lane i = lane `lanes[i]` of x, below sixteen.
    fn rearrange(self, x: Self::V, lanes: Self::V) -> Self::V;

    /// Sixteen words of a row from `at` on; zeros where the row ends before.
    #[inline(always)]
    fn take(self, row: &[u32], at: usize) -> Self::V {
        if let Some(rest) = row.get(at..)
            && let Some(words) = rest.first_chunk()
        {
            return self.load(words);
        }
        self.load(&padded(row, at))
    }

    /// Sixteen words of a row from `at` on: known to be there (`FULL`), or as [`Lanes::take`].
    ///
    /// # Safety
    /// The row has them, if `FULL`.
    #[inline(always)]
    unsafe fn take_if<const FULL: bool>(self, row: &[u32], at: usize) -> Self::V {
        if FULL {
            debug_assert!(at + LANES <= row.len());
            // SAFETY: the caller's promise.
            return self.load(unsafe { &*row.as_ptr().add(at).cast::<Words>() });
        }
        self.take(row, at)
    }

    /// To sixteen words of a row from `at` on: known to be there (`FULL`), or as [`Lanes::put`].
    ///
    /// # Safety
    /// The row has them, if `FULL`.
    #[inline(always)]
    unsafe fn put_if<const FULL: bool>(self, x: Self::V, row: &mut [u32], at: usize) {
        if FULL {
            debug_assert!(at + LANES <= row.len());
            // SAFETY: the caller's promise.
            return self.store(x, unsafe { &mut *row.as_mut_ptr().add(at).cast::<Words>() });
        }
        self.put(x, row, at);
    }

    /// To the sixteen words of a row from `at` on; to those that there are, where the row ends before.
    #[inline(always)]
    fn put(self, x: Self::V, row: &mut [u32], at: usize) {
        if let Some(rest) = row.get_mut(at..)
            && let Some(words) = rest.first_chunk_mut()
        {
            return self.store(x, words);
        }
        let mut words = [0; LANES];
        self.store(x, &mut words);
        put_few(&words, row, at);
    }

    /// The upper word of x y.
    #[inline(always)]
    fn mul_high(self, x: Self::V, y: Self::Split) -> Self::V {
        self.high(self.mul_wide(self.split(x), y))
    }

    /// acc + x y in 64 bits.
    #[inline(always)]
    fn wide_mul_add(self, acc: Self::Wide, x: Self::Split, y: Self::Split) -> Self::Wide {
        self.wide_add(acc, self.mul_wide(x, y))
    }

    /// min(x, x - y): x reduced once by y, for x < 2 y.
    #[inline(always)]
    fn reduce_once(self, x: Self::V, y: Self::V) -> Self::V {
        self.min(x, self.sub(x, y))
    }
}

/// The end of a row that is shorter than the lanes.
#[cold]
#[inline(never)]
fn padded(row: &[u32], at: usize) -> Words {
    let mut words = [0; LANES];
    words
        .iter_mut()
        .zip(row.iter().skip(at))
        .for_each(|(w, x)| *w = *x);
    words
}

/// Words for the end of a row that is shorter than the lanes.
#[cold]
#[inline(never)]
fn put_few(words: &Words, row: &mut [u32], at: usize) {
    row.iter_mut().skip(at).zip(words).for_each(|(x, w)| *x = *w);
}

/// A fixed factor w modulo p and Shoup's companion floor(w 2^32 / p).
#[derive(Clone, Copy)]
pub(super) struct Factor<L: Lanes> {
    /// w.
    pub(super) w: L::V,
    /// The companion.
    pub(super) companion: L::Split,
}

impl<L: Lanes> Factor<L> {
    /// One factor for all lanes.
    #[inline(always)]
    pub(super) fn splat(l: L, w: u32, companion: u32) -> Self {
        let (w, companion) = (l.splat(w), l.split_splat(companion));
        Self { w, companion }
    }
}

/// A modulus p in all lanes.
#[derive(Clone, Copy)]
pub(super) struct Prime<L: Lanes> {
    /// p.
    pub(super) p: L::V,
    /// 2 p.
    pub(super) two_p: L::V,
    /// p as a factor.
    split: L::Split,
    /// p^-1 mod 2^32 as a factor.
    inverse: L::Split,
    /// 2 p 2^32.
    two_p_high: L::Wide,
}

impl<L: Lanes> Prime<L> {
    /// The modulus.
    #[inline(always)]
    pub(super) fn new(l: L, m: Modulus) -> Self {
        let p = m.value();
        Self {
            p: l.splat(p),
            two_p: l.splat(2 * p),
            split: l.split_splat(p),
            inverse: l.split_splat(inverse_of_odd(p)),
            two_p_high: l.wide_splat(u64::from(2 * p) << 32),
        }
    }

    /// x w mod p in [0, 2p), for any 32-bit x (Shoup).
    #[inline(always)]
    pub(super) fn mul_lazy(&self, l: L, x: L::V, f: &Factor<L>) -> L::V {
        let quotient = l.mul_high(x, f.companion);
        l.sub(l.mul_low(x, f.w), l.mul_low(quotient, self.p))
    }

    /// x w mod p, canonical.
    #[inline(always)]
    pub(super) fn mul(&self, l: L, x: L::V, f: &Factor<L>) -> L::V {
        l.reduce_once(self.mul_lazy(l, x, f), self.p)
    }

    /// x < 4p to its residue.
    #[inline(always)]
    pub(super) fn canonical(&self, l: L, x: L::V) -> L::V {
        l.reduce_once(l.reduce_once(x, self.two_p), self.p)
    }

    /// Montgomery's reduction: x 2^-32 mod p in (0, (x >> 32) + p], for x < 3 p 2^32.
    ///
    /// x - p (x p^-1 mod 2^32) is divisible by 2^32 (Montgomery, 1985).
    #[inline(always)]
    pub(super) fn montgomery_lazy(&self, l: L, x: L::Wide) -> L::V {
        let q = l.wide_mul(x, self.inverse);
        l.add(l.high(l.wide_sub(x, l.wide_mul(q, self.split))), self.p)
    }

    /// x 2^-32 mod p, canonical, for x < 3 p 2^32: twelve products of a residue below 2^30 and one below p.
    #[inline(always)]
    pub(super) fn montgomery(&self, l: L, x: L::Wide) -> L::V {
        self.canonical(l, self.montgomery_lazy(l, x))
    }

    /// x < 4 p 2^32, sixteen such products, to a number below 2 p 2^32 with the same residue, which eight more products fit onto.
    #[inline(always)]
    pub(super) fn fold(&self, l: L, x: L::Wide) -> L::Wide {
        l.wide_reduce_once(x, self.two_p_high)
    }
}

/// p^-1 mod 2^32 of an odd p, by Newton's iteration from the 3 bits that p is its own inverse to.
pub(super) const fn inverse_of_odd(p: u32) -> u32 {
    let (mut x, mut bits) = (p, 3);
    while bits < u32::BITS {
        x = x.wrapping_mul(2u32.wrapping_sub(p.wrapping_mul(x)));
        bits *= 2;
    }
    x
}

/// Products of a residue below 2^30 and one below p whose sum [`Prime::montgomery`] takes.
pub(super) const TERMS: usize = 12;

/// Compiles a function generic over [`Lanes`] for every instruction set, and defines one that picks at run time.
///
/// `kernel!(fn name(l, a: A, b: B) { body })`: the body sees `l: impl Lanes`; the function defined is `name(instructions, a, b)`.
macro_rules! kernel {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($l:ident $(, $arg:ident: $ty:ty)* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "kernels take rows one by one")]
        $vis fn $name(instructions: $crate::backend::cpu::lanes::Instructions $(, $arg: $ty)*) $(-> $ret)? {
            #[allow(unused_imports, reason = "not every kernel names all of them")]
            use $crate::backend::cpu::lanes::{Instructions, Lanes, Portable};
            #[inline(always)]
            #[allow(clippy::too_many_arguments, reason = "kernels take rows one by one")]
            fn generic<L: Lanes>($l: L $(, $arg: $ty)*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                use $crate::backend::cpu::lanes::{Avx2, Avx512};
                #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2")]
                #[allow(clippy::too_many_arguments, reason = "kernels take rows one by one")]
                fn avx512(l: Avx512 $(, $arg: $ty)*) $(-> $ret)? {
                    generic(l $(, $arg)*)
                }
                #[target_feature(enable = "avx2")]
                #[allow(clippy::too_many_arguments, reason = "kernels take rows one by one")]
                fn avx2(l: Avx2 $(, $arg: $ty)*) $(-> $ret)? {
                    generic(l $(, $arg)*)
                }
                if instructions == Instructions::Avx512
                    && let Some(l) = Avx512::new()
                {
                    // SAFETY: `l` exists, so the processor has the instructions.
                    return unsafe { avx512(l $(, $arg)*) };
                }
                if instructions == Instructions::Avx2
                    && let Some(l) = Avx2::new()
                {
                    // SAFETY: as above.
                    return unsafe { avx2(l $(, $arg)*) };
                }
            }
            let _ = instructions;
            generic(Portable $(, $arg)*)
        }
    };
}

pub(super) use kernel;

#[cfg(test)]
mod tests {
    use super::*;

    fn words(seed: u64) -> Words {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        std::array::from_fn(|_| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            match state % 7 {
                0 => u32::MAX,
                1 => 0,
                _ => (state >> 32) as u32,
            }
        })
    }

    kernel! {
        /// Everything that the trait has, in a row.
        fn everything(l, a: &Words, b: &Words) -> Vec<Words> {
            let mut out = Vec::new();
            let mut put = |v: L::V| {
                let mut words = [0; LANES];
                l.store(v, &mut words);
                out.push(words);
            };
            let (x, y) = (l.load(a), l.load(b));
            put(l.splat(a[3]));
            put(l.add(x, y));
            put(l.sub(x, y));
            put(l.min(x, y));
            put(l.mul_low(x, y));
            let product = l.mul_wide(l.split(x), l.split(y));
            let by_one = l.mul_wide(l.split(x), l.split_splat(b[5]));
            let sums = [
                product,
                by_one,
                l.widen(x),
                l.wide_add(product, by_one),
                l.wide_mul_add(product, l.split(y), l.split(y)),
                l.wide_splat((u64::from(a[0]) << 32) | u64::from(b[0])),
                l.shift_right::<32>(product),
                l.shift_right::<29>(product),
                l.shift_right_by(product, b[7] % 64),
                l.wide_sub(by_one, product),
                l.wide_mul(product, l.split(x)),
                l.wide_reduce_once(product, by_one),
            ];
            for sum in sums {
                put(l.high(sum));
                put(l.low(sum));
            }
            put(l.rearrange(x, l.load(&b.map(|b| b % 16))));
            put(l.take(&a[..5], 2));
            let mut few = [0; LANES];
            l.put(x, &mut few[..7], 3);
            put(l.take(&few, 0));
            put(l.mul_high(x, l.split(y)));
            for (v, w) in [
                l.zip(x, y),
                l.unzip(x, y),
            ] {
                put(v);
                put(w);
            }
            put(l.repeat(&[a[0]]));
            put(l.repeat(&[a[0], a[1]]));
            put(l.repeat(&[a[0], a[1], a[2], a[3]]));
            put(l.repeat(&std::array::from_fn::<u32, 8, _>(|i| a[i])));
            put(l.repeat(a));
            let more = [&a[..], &b[..]].concat();
            put(l.mul_high(y, l.split_repeat::<1>(&more)));
            put(l.mul_high(y, l.split_repeat::<2>(&more)));
            put(l.mul_high(y, l.split_repeat::<4>(&more)));
            put(l.mul_high(y, l.split_repeat::<8>(&more)));
            put(l.mul_high(y, l.split_repeat::<16>(&more)));
            out
        }
    }

    #[test]
    fn every_instruction_set_computes_what_the_portable_version_does() {
        for seed in 0..500 {
            let (a, b) = (words(seed), words(seed + 1000));
            let wanted = everything(Instructions::Portable, &a, &b);
            for instructions in Instructions::available() {
                assert_eq!(everything(*instructions, &a, &b), wanted, "{instructions:?}");
            }
        }
    }

    kernel! {
        /// (x y 2^-32 mod p, x w mod p).
        fn reductions(l, m: Modulus, x: &Words, y: &Words, w: u32) -> [Words; 3] {
            let (prime, mut out) = (Prime::new(l, m), [[0; LANES]; 3]);
            let (x, y) = (l.load(x), l.load(y));
            let product = l.mul_wide(l.split(x), l.split(y));
            l.store(prime.montgomery(l, product), &mut out[0]);
            l.store(prime.mul(l, x, &Factor::splat(l, w, m.shoup(w))), &mut out[1]);
            // One more p 2^32 than is allowed without the fold.
            let more = l.wide_add(product, l.wide_splat(u64::from(m.value()) << 32));
            l.store(prime.montgomery(l, prime.fold(l, more)), &mut out[2]);
            out
        }
    }

    #[test]
    fn reductions_are_remainders() {
        for p in [3, 12289, 1_073_479_681, 1_073_741_789] {
            let m = Modulus::new(p).unwrap();
            let inverse = m.inv(m.reduce(1 << 32)).unwrap();
            for seed in 0..100 {
                let x = words(seed);
                let y = words(seed + 1000).map(|y| if y == u32::MAX { 3 * p } else { y % (3 * p) });
                let montgomery: Words =
                    std::array::from_fn(|i| m.mul(m.reduce(u64::from(x[i]) * u64::from(y[i])), inverse));
                let shoup = x.map(|x| m.mul(m.reduce(u64::from(x)), p - 1));
                for instructions in Instructions::available() {
                    let have = reductions(*instructions, m, &x, &y, p - 1);
                    assert_eq!(have, [montgomery, shoup, montgomery], "{instructions:?}, p = {p}");
                }
            }
        }
    }

    #[test]
    fn inverses_modulo_2_32() {
        for p in [1, 3, 5, 7, 12289, 1_073_741_789, u32::MAX] {
            assert_eq!(p.wrapping_mul(inverse_of_odd(p)), 1);
        }
    }
}
