//! The canonical embedding of X^N + 1: complex slots to polynomial coefficients and back.
//!
//! zeta = exp(2 pi i / 2N); slot j of a polynomial m is z_j = m(zeta^(5^j)). n slots, n a power of two up to
//! N/2, live in the polynomials of X^gap, gap = N / 2n: with w = (1/n) conj(U)^T z, U_jk =
//! exp(2 pi i 5^j k / 4n), the coefficients are m\[k gap\] = Re w_k, m\[k gap + N/2\] = Im w_k, all others 0 (Cheon, Kim, Kim
//! and Song, eprint 2016/421; the radix-2 order is that of Cheon, Han, Kim, Kim and Song, eprint 2018/153).
//!
//! Order of operations, which every implementation repeats so that results agree bit for bit:
//!
//! * slots to coefficients: for len = n, n/2 .. 2, in each block of len, for j < len/2:
//!   (u, v) <- (u + v, (u - v) conj(x)), x = exp(2 pi i (5^j mod 4 len) / (4 len)); then n w_k is at bitrev(k),
//!   and the integer is round(part * (scale 2^-log2 n)), halves away from zero;
//! * coefficients to slots: w_k is put at bitrev(k); for len = 2, 4 .. n: (u, v) <- (u + x v, u - x v).
//!
//! Arithmetic is f64 up to a scale of 2^45, double-double above; nothing is fused. Each x is computed in
//! double-double arithmetic and rounded once.

use std::sync::OnceLock;

use super::{
    bit_reverse,
    complex::{Complex, Pair, Real, Whole},
    double::Double,
    eights::Eights,
};

/// The largest log2 of the scale for which f64 arithmetic is used.
const F64_SCALE_LOG2: i32 = 45;

/// Ring degrees 2^1 ..= 2^MAX_LOG_N have slots.
const MAX_LOG_N: u32 = 20;

/// What can be wrong with an encoding or a decoding.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// A slot is infinite or not a number.
    #[error("encode: slot {slot} is {re} + {im} i, which is not finite; replace it before encoding")]
    NotFinite {
        /// Index of the slot.
        slot: usize,
        /// Its real part.
        re: f64,
        /// Its imaginary part.
        im: f64,
    },
    /// The number of slots does not fit the ring.
    #[error(
        "{slots} slots: the number must be a power of two, at most {most} for this ring degree; pad with zeros"
    )]
    Slots {
        /// What was given.
        slots: usize,
        /// N / 2.
        most: usize,
    },
    /// The slice of coefficients is not as long as the ring degree.
    #[error("{given} coefficients for ring degree {degree}; pass a slice of exactly {degree}")]
    Length {
        /// Length of the slice.
        given: usize,
        /// N.
        degree: usize,
    },
    /// The scale is not a positive finite number below 2^200.
    #[error("encode: scale {scale} is not a number in (2^-200, 2^200)")]
    Scale {
        /// Leading part of what was given.
        scale: f64,
    },
    /// A scaled coefficient is too large for its integer type.
    #[error(
        "encode: coefficient {index} is 2^{magnitude_log2:.1} at scale 2^{scale_log2:.1}, the limit is \
         2^{limit_log2}; use smaller values, a smaller scale, or wide integers (below 2^120)"
    )]
    Overflow {
        /// Index of the coefficient.
        index: usize,
        /// log2 of its magnitude (infinite or not a number where the transform itself overflowed).
        magnitude_log2: f64,
        /// log2 of the scale.
        scale_log2: f64,
        /// log2 of the bound: 62, or 120 for wide integers.
        limit_log2: u32,
    },
}

/// The transform tables of one ring degree N. Shared read-only by any number of threads.
#[derive(Clone)]
pub struct Embedding {
    log_n: u32,
    rotation_group: Vec<u32>,
    twiddles: Vec<Complex>,
    precise: OnceLock<Vec<Pair<Double>>>,
    eights: OnceLock<Eights<[f64; 8]>>,
    precise_eights: OnceLock<Eights<[[f64; 8]; 2]>>,
}

impl Embedding {
    /// The tables for N = 2^log_n, 1 <= log_n <= 20; 16 N/2 bytes of twiddles.
    ///
    /// Outside of that range there are no slots, and every call answers [`EmbedError::Slots`].
    pub fn new(log_n: u32) -> Self {
        let most = slots_of(log_n);
        let mask = (2u64 << log_n.min(MAX_LOG_N)) - 1;
        let powers = std::iter::successors(Some(1u64), |g| Some((5 * g) & mask));
        let rotation_group: Vec<u32> = powers.take(most).map(|g| g as u32).collect();
        let twiddles = twiddles(&rotation_group).map(|(c, s)| Complex::new(c.hi, s.hi));
        Self {
            log_n,
            twiddles: twiddles.collect(),
            rotation_group,
            precise: OnceLock::new(),
            eights: OnceLock::new(),
            precise_eights: OnceLock::new(),
        }
    }

    /// log2 of the ring degree.
    pub const fn log_n(&self) -> u32 {
        self.log_n
    }

    /// The largest number of slots, N / 2.
    pub fn slots(&self) -> usize {
        self.rotation_group.len()
    }

    /// 5^j mod 2N for j < N/2: the exponent of slot j, and the Galois element of the left rotation by j.
    pub fn rotation_group(&self) -> &[u32] {
        &self.rotation_group
    }

    /// exp(2 pi i (5^j mod 4 len) / (4 len)) at index len/2 + j, for len = 2, 4 .. N/2 and j < len/2; index 0
    /// is 1.
    ///
    /// The same table serves every number of slots. This is what a device is given.
    pub fn twiddles(&self) -> &[Complex] {
        &self.twiddles
    }

    /// The twiddles for vector kernels, for N/2 >= 8.
    #[cfg_attr(
        not(feature = "fallback"),
        expect(dead_code, reason = "only kernels read them")
    )]
    pub(crate) fn eights(&self) -> &Eights<[f64; 8]> {
        self.eights
            .get_or_init(|| Eights::new(&self.twiddles, |x| [x.map(|x| x.re), x.map(|x| x.im)]))
    }

    /// The same as double-double numbers.
    #[cfg_attr(
        not(feature = "fallback"),
        expect(dead_code, reason = "only kernels read them")
    )]
    pub(crate) fn precise_eights(&self) -> &Eights<[[f64; 8]; 2]> {
        let parts = |x: [Double; 8]| [x.map(|x| x.hi), x.map(|x| x.lo)];
        self.precise_eights.get_or_init(|| {
            Eights::new(self.precise_twiddles(), |x| {
                [parts(x.map(|x| x.re)), parts(x.map(|x| x.im))]
            })
        })
    }

    pub(crate) fn precise_twiddles(&self) -> &[Pair<Double>] {
        self.precise.get_or_init(|| {
            let table = twiddles(&self.rotation_group);
            table.map(|(re, im)| Pair { re, im }).collect()
        })
    }

    /// out = round(scale m), m the polynomial with the given n slots, by the file's definition.
    ///
    /// `out` has length N and is wholly written; on an error its contents are unspecified. Cost: n log2(n) /
    /// 2 butterflies and one scratch allocation of n complex numbers.
    ///
    /// Errors: n not a power of two up to N/2, `out` not of length N, an input that is not finite, a scale
    /// outside (2^-200, 2^200), a coefficient of magnitude 2^62 or more.
    pub fn embed(&self, slots: &[Complex], scale: Double, out: &mut [i64]) -> Result<(), EmbedError> {
        self.embed_as(slots, scale, out)
    }

    /// As [`Embedding::embed`], for magnitudes below 2^120. The two agree where both succeed.
    pub fn embed_wide(&self, slots: &[Complex], scale: Double, out: &mut [i128]) -> Result<(), EmbedError> {
        self.embed_as(slots, scale, out)
    }

    fn embed_as<W: Whole>(&self, slots: &[Complex], scale: Double, out: &mut [W]) -> Result<(), EmbedError> {
        let precise = self.is_precise(slots.len(), scale, out.len())?;
        if let Some(slot) = slots.iter().position(|z| !z.is_finite()) {
            let Complex { re, im } = slots[slot];
            return Err(EmbedError::NotFinite { slot, re, im });
        }
        if precise {
            self.write::<Double, W, _>(slots, self.precise_twiddles(), scale, out)
        } else {
            self.write::<f64, W, _>(slots, &self.twiddles, scale, out)
        }
    }

    /// Whether a scale takes double-double arithmetic. Errors for numbers of slots and coefficients, and scales, that do not fit.
    pub(crate) fn is_precise(
        &self,
        slots: usize,
        scale: Double,
        coefficients: usize,
    ) -> Result<bool, EmbedError> {
        self.check(slots, coefficients)?;
        let limit = Double::ONE.ldexp(200).hi;
        if !(scale.is_finite() && scale.hi > 1.0 / limit && scale.hi < limit) {
            return Err(EmbedError::Scale { scale: scale.hi });
        }
        Ok((scale - Double::ONE.ldexp(F64_SCALE_LOG2)).hi > 0.0)
    }

    /// The slots to coefficients transform over R, scaling, rounding, and placement with the gap.
    fn write<R: Real, W: Whole, T: Copy + Into<Pair<R>>>(
        &self,
        slots: &[Complex],
        twiddles: &[T],
        scale: Double,
        out: &mut [W],
    ) -> Result<(), EmbedError> {
        let (n, log_slots) = (slots.len(), slots.len().trailing_zeros());
        let mut w: Vec<Pair<R>> = slots.iter().map(|z| (*z).into()).collect();
        inverse(&mut w, twiddles);
        let factor = R::from_double(scale.ldexp(-(log_slots as i32)));
        let limit = Double::ONE.ldexp(W::BOUND_LOG2 as i32).hi;
        let (half, gap) = (out.len() / 2, out.len() / (2 * n));
        let whole = |part: R, index: usize| {
            let scaled = part * factor;
            let magnitude = scaled.to_f64().abs();
            // Written so that not-a-number is refused too.
            if magnitude < limit {
                return Ok(scaled.whole());
            }
            Err(EmbedError::Overflow {
                index,
                magnitude_log2: magnitude.log2(),
                scale_log2: scale.hi.log2(),
                limit_log2: W::BOUND_LOG2,
            })
        };
        out.fill(W::ZERO);
        let (real, imaginary) = out.split_at_mut(half);
        let places = real
            .iter_mut()
            .step_by(gap)
            .zip(imaginary.iter_mut().step_by(gap));
        for (k, (re, im)) in places.enumerate() {
            let value = w[bit_reverse(k, log_slots)];
            *re = whole(value.re, k * gap)?;
            *im = whole(value.im, half + k * gap)?;
        }
        Ok(())
    }

    /// The first n slots of the polynomial, n = `slots.len()`: m(zeta^(5^j)) for a polynomial of X^gap, gap =
    /// N / 2n.
    ///
    /// `coefficients` has length N and is already divided by the scale; only multiples of the gap are read.
    /// f64 arithmetic, for about 45 bits of precision. One scratch allocation of n complex numbers.
    ///
    /// Errors: n not a power of two up to N/2, `coefficients` not of length N.
    pub fn unembed(&self, coefficients: &[f64], slots: &mut [Complex]) -> Result<(), EmbedError> {
        self.check(slots.len(), coefficients.len())?;
        read(coefficients, slots, &self.twiddles);
        Ok(())
    }

    /// As [`Embedding::unembed`] in double-double arithmetic; each slot is rounded once, at the end.
    pub fn unembed_precise(&self, coefficients: &[Double], slots: &mut [Complex]) -> Result<(), EmbedError> {
        self.check(slots.len(), coefficients.len())?;
        read(coefficients, slots, self.precise_twiddles());
        Ok(())
    }

    fn check(&self, slots: usize, coefficients: usize) -> Result<(), EmbedError> {
        let most = self.slots();
        if !slots.is_power_of_two() || slots > most {
            return Err(EmbedError::Slots { slots, most });
        }
        if coefficients != 2 * most {
            return Err(EmbedError::Length {
                given: coefficients,
                degree: 2 * most,
            });
        }
        Ok(())
    }
}

const fn slots_of(log_n: u32) -> usize {
    if log_n == 0 || log_n > MAX_LOG_N {
        0
    } else {
        1 << (log_n - 1)
    }
}

/// (cos, sin) in the order of [`Embedding::twiddles`].
fn twiddles(rotation_group: &[u32]) -> impl Iterator<Item = (Double, Double)> + '_ {
    (0..rotation_group.len()).map(|index| {
        if index == 0 {
            return (Double::ONE, Double::ZERO);
        }
        let half = 1usize << index.ilog2();
        let order = 8 * half as u64;
        Double::cos_sin_turn(u64::from(rotation_group[index - half]) % order, order)
    })
}

/// Coefficients, gap and all, to slots.
fn read<R: Real, T: Copy + Into<Pair<R>>>(coefficients: &[R], slots: &mut [Complex], twiddles: &[T]) {
    let (n, log_slots) = (slots.len(), slots.len().trailing_zeros());
    let (half, gap) = (coefficients.len() / 2, coefficients.len() / (2 * n));
    let at = |k: usize| Pair {
        re: coefficients[k * gap],
        im: coefficients[half + k * gap],
    };
    let mut w: Vec<Pair<R>> = (0..n).map(|k| at(bit_reverse(k, log_slots))).collect();
    forward(&mut w, twiddles);
    for (slot, value) in slots.iter_mut().zip(w) {
        *slot = value.into();
    }
}

/// conj(U)^T z: slots in natural order to n w in bit-reversed order.
fn inverse<R: Real, T: Copy + Into<Pair<R>>>(w: &mut [Pair<R>], twiddles: &[T]) {
    let mut len = w.len();
    while len > 1 {
        let roots = &twiddles[len / 2..len];
        for block in w.chunks_exact_mut(len) {
            let (low, high) = block.split_at_mut(len / 2);
            for ((u, v), x) in low.iter_mut().zip(high).zip(roots) {
                let (sum, difference) = (u.add(*v), u.sub(*v));
                *u = sum;
                *v = difference.mul_conj((*x).into());
            }
        }
        len /= 2;
    }
}

/// w in bit-reversed order to slots in natural order.
fn forward<R: Real, T: Copy + Into<Pair<R>>>(w: &mut [Pair<R>], twiddles: &[T]) {
    let mut len = 2;
    while len <= w.len() {
        let roots = &twiddles[len / 2..len];
        for block in w.chunks_exact_mut(len) {
            let (low, high) = block.split_at_mut(len / 2);
            for ((u, v), x) in low.iter_mut().zip(high).zip(roots) {
                let turned = v.mul((*x).into());
                (*u, *v) = (u.add(turned), u.sub(turned));
            }
        }
        len *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RADIUS: f64 = 3.0;

    /// Reproducible slots in the square of half side RADIUS.
    fn slots(n: usize, seed: u64) -> Vec<Complex> {
        let mut state = seed;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 11) as f64 / 2f64.powi(52) - 1.0) * RADIUS
        };
        (0..n).map(|_| Complex::new(next(), next())).collect()
    }

    fn scale(log2: i32) -> Double {
        Double::ONE.ldexp(log2)
    }

    /// exp(2 pi i k / m).
    fn turn(k: usize, m: usize) -> Complex {
        let (s, c) = (2.0 * std::f64::consts::PI * (k % m) as f64 / m as f64).sin_cos();
        Complex::new(c, s)
    }

    fn five(j: usize, m: usize) -> usize {
        (0..j).fold(1, |g, _| 5 * g % m)
    }

    /// The real coefficients before scaling, by the sum (1/n) conj(U)^T z.
    fn naive_coefficients(z: &[Complex], degree: usize) -> Vec<f64> {
        let (n, gap) = (z.len(), degree / (2 * z.len()));
        let mut m = vec![0.0; degree];
        for k in 0..n {
            let mut w = Complex::default();
            for (j, value) in z.iter().enumerate() {
                w = w + turn(five(j, 4 * n) * k, 4 * n).conj() * *value;
            }
            m[k * gap] = w.re / n as f64;
            m[k * gap + degree / 2] = w.im / n as f64;
        }
        m
    }

    /// m(zeta^(5^j)) by Horner-free summation over all N coefficients.
    fn naive_slots(m: &[f64], n: usize) -> Vec<Complex> {
        let order = 2 * m.len();
        let value = |j: usize| {
            let g = five(j, order);
            let terms = m
                .iter()
                .enumerate()
                .map(|(k, c)| turn(g * k, order) * (*c).into());
            terms.fold(Complex::default(), |a, b| a + b)
        };
        (0..n).map(value).collect()
    }

    fn worst(a: &[Complex], b: &[Complex]) -> f64 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(x, y)| (*x - *y).abs()).fold(0.0, f64::max)
    }

    fn embed(e: &Embedding, z: &[Complex], scale: Double) -> Vec<i64> {
        let mut out = vec![7; 2 * e.slots()];
        e.embed(z, scale, &mut out).unwrap();
        out
    }

    fn unembed(e: &Embedding, m: &[f64], n: usize) -> Vec<Complex> {
        let mut z = vec![Complex::default(); n];
        e.unembed(m, &mut z).unwrap();
        z
    }

    fn descaled(m: &[i64], log2: i32) -> Vec<f64> {
        m.iter().map(|x| *x as f64 / 2f64.powi(log2)).collect()
    }

    #[test]
    fn equals_the_definition_for_every_slot_count() {
        for log_n in 1..=10 {
            let e = Embedding::new(log_n);
            let degree = 1 << log_n;
            for log_slots in (0..log_n).filter(|s| log_n <= 8 || s % 3 == 0) {
                let z = slots(1 << log_slots, u64::from(100 * log_n + log_slots));
                let want = naive_coefficients(&z, degree);
                let have = descaled(&embed(&e, &z, scale(40)), 40);
                let gap = want.iter().zip(&have).map(|(a, b)| (a - b).abs());
                assert!(
                    gap.fold(0.0, f64::max) < 1e-12 + 2f64.powi(-40),
                    "{log_n} {log_slots}"
                );
                let zeros = want.iter().zip(&have).all(|(a, b)| *a != 0.0 || *b == 0.0);
                assert!(zeros, "a coefficient outside of the gap, {log_n} {log_slots}");
                assert!(
                    worst(&unembed(&e, &want, z.len()), &z) < 1e-12,
                    "{log_n} {log_slots}"
                );
                assert!(
                    worst(&naive_slots(&want, z.len()), &z) < 1e-11,
                    "{log_n} {log_slots}"
                );
            }
        }
    }

    #[test]
    fn round_trip_keeps_the_precision_of_the_scale() {
        for log_n in [4, 11, 14] {
            let e = Embedding::new(log_n);
            for log_slots in 0..log_n {
                let z = slots(1 << log_slots, u64::from(log_n));
                let m: Vec<f64> = descaled(&embed(&e, &z, scale(45)), 45);
                assert!(worst(&unembed(&e, &m, z.len()), &z) < 1e-12 * f64::from(1 << (log_n / 2)) / 8.0);
                let mut wide = vec![0; 2 * e.slots()];
                e.embed_wide(&z, scale(100), &mut wide).unwrap();
                let m: Vec<Double> = wide.iter().map(|x| Double::from_i128(*x).ldexp(-100)).collect();
                let mut back = z.clone();
                e.unembed_precise(&m, &mut back).unwrap();
                assert_eq!(back, z, "a hundred bits keep every f64");
            }
        }
    }

    #[test]
    fn both_paths_agree_to_the_precision_of_f64() {
        let e = Embedding::new(12);
        let z = slots(2048, 5);
        // 2^45 is the last scale in f64; the next number above it goes through double-double arithmetic.
        let (mut plain, mut precise) = (vec![0; 4096], vec![0; 4096]);
        e.embed_wide(&z, scale(45), &mut plain).unwrap();
        e.embed_wide(&z, scale(45) + Double::from_f64(2f64.powi(-40)), &mut precise)
            .unwrap();
        let gap = plain
            .iter()
            .zip(&precise)
            .map(|(a, b)| a.abs_diff(*b))
            .max()
            .unwrap();
        assert!((1..64).contains(&gap), "{gap}");
        let mut wide = vec![0; 4096];
        e.embed_wide(&z, scale(55), &mut wide).unwrap();
        let narrow = embed(&e, &z, scale(55));
        assert!(narrow.iter().zip(&wide).all(|(a, b)| i128::from(*a) == *b));
        let m: Vec<f64> = descaled(&narrow, 55);
        let double: Vec<Double> = m.iter().map(|x| Double::from_f64(*x)).collect();
        let mut back = z.clone();
        e.unembed_precise(&double, &mut back).unwrap();
        assert!(worst(&back, &unembed(&e, &m, 2048)) < 1e-13);
    }

    #[test]
    fn sparse_packing_is_the_repeated_vector() {
        let e = Embedding::new(10);
        for log_slots in 0..9 {
            let z = slots(1 << log_slots, 9);
            let full = z.repeat(512 >> log_slots);
            let (a, b) = (embed(&e, &z, scale(50)), embed(&e, &full, scale(50)));
            assert_eq!(a, b, "{log_slots}");
            let back = unembed(&e, &descaled(&a, 50), 512);
            assert!(worst(&back, &full) < 1e-12);
        }
    }

    /// m(X^g) modulo X^N + 1.
    fn automorphism(m: &[f64], g: usize) -> Vec<f64> {
        let degree = m.len();
        let mut out = vec![0.0; degree];
        for (k, c) in m.iter().enumerate() {
            let at = k * g % (2 * degree);
            out[at % degree] = if at < degree { *c } else { -c };
        }
        out
    }

    #[test]
    fn automorphisms_rotate_and_conjugate_and_half_the_degree_is_i() {
        let e = Embedding::new(8);
        for log_slots in 0..8 {
            let z = slots(1 << log_slots, 11);
            let n = z.len();
            let m = naive_coefficients(&z, 256);
            let mut left = z.clone();
            left.rotate_left(1 % n);
            assert!(worst(&unembed(&e, &automorphism(&m, 5), n), &left) < 1e-12);
            let by_three: Vec<Complex> = (0..n).map(|j| z[(j + 3) % n]).collect();
            let g = e.rotation_group()[3] as usize;
            assert!(worst(&unembed(&e, &automorphism(&m, g), n), &by_three) < 1e-12);
            let conjugates: Vec<Complex> = z.iter().map(|z| z.conj()).collect();
            assert!(worst(&unembed(&e, &automorphism(&m, 511), n), &conjugates) < 1e-12);
            let mut shifted: Vec<f64> = m[128..].iter().map(|c| -c).collect();
            shifted.extend_from_slice(&m[..128]);
            let turned: Vec<Complex> = z.iter().map(|z| *z * Complex::new(0.0, 1.0)).collect();
            assert!(worst(&unembed(&e, &shifted, n), &turned) < 1e-12);
        }
    }

    #[test]
    fn ties_go_away_from_zero_on_both_paths() {
        let e = Embedding::new(4);
        for z in [2.5, -2.5, 0.5, -0.5] {
            let want = (z + 0.5f64.copysign(z)) as i64;
            assert_eq!(embed(&e, &[z.into()], Double::ONE)[0], want);
            // A dyadic scale just above the f64 range keeps the tie exact.
            let small = z / 2f64.powi(46);
            assert_eq!(embed(&e, &[small.into()], scale(46))[0], want);
            assert_eq!(embed(&e, &[Complex::new(0.0, small)], scale(46))[8], want);
        }
    }

    #[test]
    fn committed_integers_are_reproduced() {
        let e = Embedding::new(4);
        let z: Vec<Complex> = (0..8)
            .map(|j| Complex::new(1.0 / f64::from(j + 1), f64::from(j) / 7.0))
            .collect();
        // mpmath, 300 bits, from the definition; none of the 30-bit ones is near a half.
        assert_eq!(embed(&e, &z, scale(30)), KNOWN_30);
        assert_eq!(embed(&e, &z, scale(60)), KNOWN_60);
    }

    const KNOWN_30: [i64; 16] = [
        364_784_611,
        188_203_296,
        -25_435_683,
        -18_198_257,
        5_988_133,
        142_208_438,
        31_836_427,
        -172_812_954,
        536_870_912,
        -220_316_976,
        -114_851_411,
        -4_159_564,
        -114_452_437,
        -74_043_051,
        -174_980_217,
        -110_004_891,
    ];
    const KNOWN_60: [i64; 16] = [
        391_684_493_306_165_420,
        202_081_750_171_813_408,
        -27_311_356_499_657_587,
        -19_540_229_364_138_351,
        6_429_709_307_502_200,
        152_695_147_113_000_203,
        34_184_102_756_820_442,
        -185_556_496_293_570_692,
        576_460_752_303_423_472,
        -236_563_551_447_896_191,
        -123_320_763_052_236_332,
        -4_466_298_357_453_930,
        -122_892_368_462_259_200,
        -79_503_120_897_688_299,
        -187_883_577_690_178_828,
        -118_116_852_157_143_978,
    ];

    /// FNV-1a over the integers as 64-bit words.
    fn fingerprint(integers: &[i64]) -> u64 {
        let step = |h: u64, x: &i64| (h ^ *x as u64).wrapping_mul(0x100_0000_01b3);
        integers.iter().fold(0xcbf2_9ce4_8422_2325, step)
    }

    #[test]
    fn order_of_operations_is_the_written_one() {
        // The two transforms in Python: binary64 numbers in the order of this file, and mpmath with 300 bits.
        let z: Vec<Complex> = (0..512i32)
            .map(|j| {
                (
                    f64::from(j * 37 % 101 - 50) / 64.0,
                    f64::from(j * 53 % 97 - 48) / 128.0,
                )
            })
            .map(|(re, im)| Complex::new(re, im))
            .collect();
        let e = Embedding::new(10);
        assert_eq!(fingerprint(&embed(&e, &z, scale(45))), 0xf2fd_d2c2_c959_20a1);
        assert_eq!(fingerprint(&embed(&e, &z, scale(60))), 0x743c_92d7_6be3_5ab2);
    }

    #[test]
    fn faults_are_typed_and_carry_numbers() {
        let e = Embedding::new(4);
        let one = Complex::new(1.0, 0.0);
        let try_embed =
            |z: &[Complex], s: f64, len: usize| e.embed(z, Double::from_f64(s), &mut vec![0; len]);
        let slots_error = |slots| Err(EmbedError::Slots { slots, most: 8 });
        assert_eq!(try_embed(&[], 1.0, 16), slots_error(0));
        assert_eq!(try_embed(&[one; 3], 1.0, 16), slots_error(3));
        assert_eq!(try_embed(&[one; 16], 1.0, 16), slots_error(16));
        assert_eq!(
            try_embed(&[one; 8], 1.0, 8),
            Err(EmbedError::Length { given: 8, degree: 16 })
        );
        for s in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(matches!(try_embed(&[one], s, 16), Err(EmbedError::Scale { .. })));
        }
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let z = [one, Complex::new(0.0, bad)];
            assert!(matches!(
                try_embed(&z, 1.0, 16),
                Err(EmbedError::NotFinite { slot: 1, .. })
            ));
        }
        for (value, s) in [
            (2f64.powi(62), 1.0),
            (-1.0, 2f64.powi(62)),
            (1e308, 1.0),
            (1e308, 2f64.powi(50)),
        ] {
            let fault = try_embed(&[value.into(); 8], s, 16);
            assert!(
                matches!(
                    fault,
                    Err(EmbedError::Overflow {
                        index: 0,
                        limit_log2: 62,
                        ..
                    })
                ),
                "{fault:?}"
            );
        }
        assert!(try_embed(&[(2f64.powi(62) - 1024.0).into()], 1.0, 16).is_ok());
        assert!(try_embed(&[0.999.into()], 2f64.powi(62), 16).is_ok());
        let mut wide = vec![0; 16];
        assert!(e.embed_wide(&[0.999.into()], scale(120), &mut wide).is_ok());
        assert!(e.embed_wide(&[one], scale(120), &mut wide).is_err());
        assert_eq!(
            e.unembed(&[0.0; 8], &mut [one; 8]),
            Err(EmbedError::Length { given: 8, degree: 16 })
        );
        for log_n in [0, 21, 64, u32::MAX] {
            let fault = Embedding::new(log_n).embed(&[one], scale(0), &mut []);
            assert_eq!(fault, Err(EmbedError::Slots { slots: 1, most: 0 }));
        }
    }
}
