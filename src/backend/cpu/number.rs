//! Eight numbers at a time with one rounding each, or as double-double numbers: the arithmetic of
//! [`arith::Double`](crate::arith::Double) operation by operation.

use super::lanes::{Eight, REALS, Reals};
use crate::arith::Double;

/// Numbers of one kind, eight at a time.
pub(super) trait Number<L: Reals>: Copy {
    /// In memory.
    type Stored: Copy + Default;

    /// The same number in all lanes.
    fn splat(l: L, x: Double) -> Self;
    /// Numbers without a second part.
    fn from_reals(l: L, x: L::F) -> Self;
    /// The first part.
    fn first(self) -> L::F;
    /// From memory.
    fn load(l: L, from: &Self::Stored) -> Self;
    /// To memory.
    fn store(self, l: L, to: &mut Self::Stored);
    /// self + y.
    fn plus(self, l: L, y: Self) -> Self;
    /// self - y.
    fn minus(self, l: L, y: Self) -> Self;
    /// self y.
    fn times(self, l: L, y: Self) -> Self;
    /// As [`Reals::real_halves`].
    fn halves<const T: usize>(l: L, x: Self, y: Self) -> (Self, Self);
    /// The nearest integers, halves away from zero, for magnitudes below 2^62.
    fn store_rounded(self, l: L, to: &mut [i64; REALS]);
}

/// An f64 a lane.
#[derive(Clone, Copy)]
pub(super) struct Single<L: Reals>(L::F);

impl<L: Reals> Number<L> for Single<L> {
    type Stored = Eight;

    #[inline(always)]
    fn splat(l: L, x: Double) -> Self {
        Self(l.real(x.hi))
    }
    #[inline(always)]
    fn from_reals(_: L, x: L::F) -> Self {
        Self(x)
    }
    #[inline(always)]
    fn first(self) -> L::F {
        self.0
    }
    #[inline(always)]
    fn load(l: L, from: &Eight) -> Self {
        Self(l.load_reals(from))
    }
    #[inline(always)]
    fn store(self, l: L, to: &mut Eight) {
        l.store_reals(self.0, to);
    }
    #[inline(always)]
    fn plus(self, l: L, y: Self) -> Self {
        Self(l.plus(self.0, y.0))
    }
    #[inline(always)]
    fn minus(self, l: L, y: Self) -> Self {
        Self(l.minus(self.0, y.0))
    }
    #[inline(always)]
    fn times(self, l: L, y: Self) -> Self {
        Self(l.times(self.0, y.0))
    }
    #[inline(always)]
    fn halves<const T: usize>(l: L, x: Self, y: Self) -> (Self, Self) {
        let (first, second) = l.real_halves::<T>(x.0, y.0);
        (Self(first), Self(second))
    }
    #[inline(always)]
    fn store_rounded(self, l: L, to: &mut [i64; REALS]) {
        // Both the integer part and the rest are exact, and so is the sum, since a rest means less than 2^53.
        let whole = l.truncate(self.0);
        let rest = l.minus(self.0, whole);
        // 1 - (1/2 > rest) for rest >= 1/2, and 1 - (rest > -1/2) for rest <= -1/2.
        let step = l.minus(l.above(rest, l.real(-0.5)), l.above(l.real(0.5), rest));
        l.store_integers(l.plus(whole, step), to);
    }
}

/// hi + lo a lane.
#[derive(Clone, Copy)]
pub(super) struct Twofold<L: Reals> {
    hi: L::F,
    lo: L::F,
}

impl<L: Reals> Twofold<L> {
    /// a + b exactly (Knuth).
    #[inline(always)]
    fn two_sum(l: L, a: L::F, b: L::F) -> (L::F, L::F) {
        let s = l.plus(a, b);
        let t = l.minus(s, a);
        (s, l.plus(l.minus(a, l.minus(s, t)), l.minus(b, t)))
    }

    /// a - b exactly: the sum of a and -b, with the same roundings.
    #[inline(always)]
    fn two_difference(l: L, a: L::F, b: L::F) -> (L::F, L::F) {
        let s = l.minus(a, b);
        let t = l.minus(s, a);
        (s, l.minus(l.minus(a, l.minus(s, t)), l.plus(b, t)))
    }

    /// a + b exactly for |a| >= |b| (Dekker).
    #[inline(always)]
    fn quick_two_sum(l: L, a: L::F, b: L::F) -> Self {
        let hi = l.plus(a, b);
        let lo = l.minus(b, l.minus(hi, a));
        Self { hi, lo }
    }

    /// Two parts of 26 bits (Veltkamp).
    #[inline(always)]
    fn split(l: L, a: L::F) -> (L::F, L::F) {
        let t = l.times(l.real(Double::SPLITTER), a);
        let high = l.minus(t, l.minus(t, a));
        (high, l.minus(a, high))
    }

    /// a b exactly (Dekker).
    #[inline(always)]
    fn two_product(l: L, a: L::F, b: L::F) -> (L::F, L::F) {
        let p = l.times(a, b);
        let ((ah, al), (bh, bl)) = (Self::split(l, a), Self::split(l, b));
        let e = l.minus(l.times(ah, bh), p);
        let e = l.plus(l.plus(e, l.times(ah, bl)), l.times(al, bh));
        (p, l.plus(e, l.times(al, bl)))
    }

    /// self y for one part y.
    #[inline(always)]
    pub(super) fn times_real(self, l: L, y: L::F) -> Self {
        let (p, e) = Self::two_product(l, self.hi, y);
        Self::quick_two_sum(l, p, l.plus(e, l.times(self.lo, y)))
    }

    /// 1 where s + e >= bound, 0 elsewhere, for e below half a unit in the last place of s.
    #[inline(always)]
    fn at_least(l: L, s: L::F, e: L::F, bound: f64) -> L::F {
        let (one, bound) = (l.real(1.0), l.real(bound));
        let more = l.above(s, bound);
        let equal = l.minus(l.minus(one, more), l.above(bound, s));
        let not_less = l.minus(one, l.above(l.real(0.0), e));
        l.plus(more, l.times(equal, not_less))
    }
}

impl<L: Reals> Number<L> for Twofold<L> {
    type Stored = [Eight; 2];

    #[inline(always)]
    fn splat(l: L, x: Double) -> Self {
        let (hi, lo) = (l.real(x.hi), l.real(x.lo));
        Self { hi, lo }
    }
    #[inline(always)]
    fn from_reals(l: L, x: L::F) -> Self {
        Self {
            hi: x,
            lo: l.real(0.0),
        }
    }
    #[inline(always)]
    fn first(self) -> L::F {
        self.hi
    }
    #[inline(always)]
    fn load(l: L, from: &[Eight; 2]) -> Self {
        let (hi, lo) = (l.load_reals(&from[0]), l.load_reals(&from[1]));
        Self { hi, lo }
    }
    #[inline(always)]
    fn store(self, l: L, to: &mut [Eight; 2]) {
        l.store_reals(self.hi, &mut to[0]);
        l.store_reals(self.lo, &mut to[1]);
    }
    #[inline(always)]
    fn plus(self, l: L, y: Self) -> Self {
        let (s, e) = Self::two_sum(l, self.hi, y.hi);
        let (t, f) = Self::two_sum(l, self.lo, y.lo);
        let first = Self::quick_two_sum(l, s, l.plus(e, t));
        Self::quick_two_sum(l, first.hi, l.plus(first.lo, f))
    }
    #[inline(always)]
    fn minus(self, l: L, y: Self) -> Self {
        let (s, e) = Self::two_difference(l, self.hi, y.hi);
        let (t, f) = Self::two_difference(l, self.lo, y.lo);
        let first = Self::quick_two_sum(l, s, l.plus(e, t));
        Self::quick_two_sum(l, first.hi, l.plus(first.lo, f))
    }
    #[inline(always)]
    fn times(self, l: L, y: Self) -> Self {
        let (p, e) = Self::two_product(l, self.hi, y.hi);
        let cross = l.plus(l.times(self.hi, y.lo), l.times(self.lo, y.hi));
        Self::quick_two_sum(l, p, l.plus(e, cross))
    }
    #[inline(always)]
    fn halves<const T: usize>(l: L, x: Self, y: Self) -> (Self, Self) {
        let (hi, lo) = (l.real_halves::<T>(x.hi, y.hi), l.real_halves::<T>(x.lo, y.lo));
        (Self { hi: hi.0, lo: lo.0 }, Self { hi: hi.1, lo: lo.1 })
    }
    #[inline(always)]
    fn store_rounded(self, l: L, to: &mut [i64; REALS]) {
        // Of the absolute value: hi = whole + r and lo = rest + t, all exact; r + t in (-1, 2) is compared with the midpoints.
        let (one, two) = (l.real(1.0), l.real(2.0));
        let sign = l.minus(one, l.times(two, l.above(l.real(0.0), self.hi)));
        let (hi, lo) = (l.times(self.hi, sign), l.times(self.lo, sign));
        let (whole, rest) = (l.truncate(hi), l.truncate(lo));
        let (s, e) = Self::two_sum(l, l.minus(hi, whole), l.minus(lo, rest));
        let (first, second) = (Self::at_least(l, s, e, -0.5), Self::at_least(l, s, e, 0.5));
        let up = l.minus(l.plus(l.plus(first, second), Self::at_least(l, s, e, 1.5)), one);
        let mut more = [0; REALS];
        l.store_integers(l.times(whole, sign), to);
        l.store_integers(l.times(l.plus(rest, up), sign), &mut more);
        for (to, more) in to.iter_mut().zip(more) {
            *to += more;
        }
    }
}
