//! The message that the modular reduction distorts most, by a search in the clear.
//!
//! **Raise first.** With f of `distortion.rs` and c the coefficients of the (masked) slots z, |z_j| <= 1, slot 0 is off by
//! E = sum over k of f(c_k) zeta^k; rotations make any slot slot 0. |E| is climbed by steps of full length to the extreme points of the set of
//! messages: z_j <- g_j / |g_j|, g the gradient, whose coefficients are f'(c_k) Re(zeta^k conj(E) / |E|).
//!
//! For the sine the search can be held against a bound. |f(c)| / c^2 grows with |c|, and the sum of c_k^2 is the mean of |z_j|^2, at
//! most 1: so |E| <= sum of |f(c_k)| <= |f(1)| sum of c_k^2 <= |f(1)|, reached where one coefficient is +-1 and no other is there:
//! monomials, equal slots among them, or with a mask what has products like them with it.
//!
//! **Matrices first.** Every slot is for itself: the worst point of the unit disc, on a grid, in all slots.

use super::{Bootstrapper, Order};
use crate::{arith::Complex, backend::Backend, circuit::Result};

/// Random starts of the search.
const STARTS: u64 = 4;

/// The most steps from one start.
const STEPS: usize = 48;

/// Half of the distance of the points that a slope is taken from.
const STEP: f64 = 1.0 / 65536.0;

/// Angles and radii of the grid.
const GRID: [u32; 2] = [256, 64];

impl<B: Backend> Bootstrapper<B> {
    /// Slots of magnitude at most 1 for which the worst slot of a bootstrap is as bad as the search finds it: the same ones for the same
    /// bootstrapper.
    ///
    /// # Errors
    /// None for a bootstrapper that was made.
    pub fn searched_message(&self) -> Result<Vec<Complex>> {
        if self.spec.order == Order::CoefficientsFirst {
            return Ok(vec![self.worst_point(); self.spec.slots]);
        }
        let mut best = (0.0, Vec::new());
        for start in 0..STARTS {
            let found = self.climb(self.start(start))?;
            if found.0 > best.0 || best.1.is_empty() {
                best = found;
            }
        }
        let signs = self.signs();
        Ok(best.1.iter().zip(&signs).map(|(z, s)| *z * *s).collect())
    }

    /// The message that the mask turns into equal slots, which the reduction distorts most; none without a mask.
    pub fn aligned_message(&self) -> Option<Vec<Complex>> {
        self.spec.mask.then(|| self.signs())
    }

    /// The point of the unit disc that is distorted most.
    fn worst_point(&self) -> Complex {
        let ([angles, radii], f) = (GRID, self.distorting());
        let mut worst = (0.0, Complex::default());
        for radius in (1..=radii).map(|i| f64::from(i) / f64::from(radii)) {
            for angle in (0..angles).map(|i| std::f64::consts::TAU * f64::from(i) / f64::from(angles)) {
                let z = Complex::new(radius * angle.cos(), radius * angle.sin());
                let off = Complex::new(f(z.re), f(z.im)).abs();
                if off > worst.0 {
                    worst = (off, z);
                }
            }
        }
        worst.1
    }

    /// Slots on the unit circle.
    fn start(&self, number: u64) -> Vec<Complex> {
        let mut state = 0x5eed + number;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let angle = std::f64::consts::TAU * (state >> 11) as f64 / (1u64 << 53) as f64;
            Complex::new(angle.cos(), angle.sin())
        };
        (0..self.spec.slots).map(|_| next()).collect()
    }

    /// |E|, and the masked slots that have it: the best on the way up from a start.
    fn climb(&self, start: Vec<Complex>) -> Result<(f64, Vec<Complex>)> {
        let (degree, f) = (2 * self.ckks.max_slots(), self.distorting());
        let zeta = |k: usize| {
            let angle = std::f64::consts::PI * k as f64 / degree as f64;
            Complex::new(angle.cos(), angle.sin())
        };
        let powers: Vec<Complex> = (0..degree).map(zeta).collect();
        let (mut best, mut at) = ((0.0, start.clone()), start);
        let mut last = 0.0;
        for _ in 0..STEPS {
            let coefficients = self.coefficients(&at)?;
            let mut error = Complex::default();
            for (c, power) in coefficients.iter().zip(&powers) {
                let off = f(*c);
                error = error + Complex::new(off * power.re, off * power.im);
            }
            let size = error.abs();
            if size > best.0 {
                best = (size, at.clone());
            }
            if size == 0.0 || (size / last - 1.0_f64).abs() < 1e-9 {
                break;
            }
            last = size;
            let (re, im) = (error.re / size, error.im / size);
            let slope = |c: f64| f(c + STEP) - f(c - STEP);
            let gradient: Vec<f64> = (coefficients.iter().zip(&powers))
                .map(|(c, power)| slope(*c) * (power.re * re + power.im * im))
                .collect();
            for (z, g) in at.iter_mut().zip(self.slots_of(&gradient)?) {
                let size = g.abs();
                if size > 0.0 {
                    *z = Complex::new(g.re / size, g.im / size);
                }
            }
        }
        Ok(best)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]
mod tests {
    use super::*;
    use crate::{
        backend::null::Null,
        circuit::bootstrap::{BootstrapSpec, messages, preset},
        ckks::Ckks,
        rlwe::Context,
    };

    fn bootstrapper(name: &str, change: impl Fn(&mut BootstrapSpec)) -> Bootstrapper<Null> {
        let preset = preset(name).unwrap();
        let ctx = Context::new(Null::new(), preset.params().unwrap()).unwrap();
        let mut spec = preset.spec;
        change(&mut spec);
        Bootstrapper::new(&Ckks::new(&ctx), &spec).unwrap()
    }

    /// The largest distortion of a slot, rounded up to 1/64 of the largest.
    fn largest(b: &Bootstrapper<Null>, message: &[Complex]) -> f64 {
        let sizes = b.distortion(message).unwrap().sizes;
        sizes.iter().map(|(size, _)| *size).fold(0.0, f64::max)
    }

    #[test]
    fn the_search_reaches_the_bound_of_the_sine_and_nothing_passes_it() {
        type Change = fn(&mut BootstrapSpec);
        let plain: Change = |_| ();
        let cases: [(&str, Change); 4] = [
            ("insecure-tiny", plain),
            ("insecure-tiny", |spec| spec.mask = true),
            ("insecure-tiny", |spec| spec.slots = 64),
            ("insecure-first", plain),
        ];
        for (name, change) in cases {
            let b = bootstrapper(name, change);
            let bound = b.distorting()(1.0).abs();
            let searched = b.searched_message().unwrap();
            assert!(searched.iter().all(|z| z.abs() < 1.0 + 1e-12));
            let found = largest(&b, &searched);
            assert!(
                found > 0.999 * bound && found < 1.000_001 * bound,
                "{name}: {found:e} of {bound:e}"
            );
            for run in 0..4 {
                for (kind, message) in messages(b.spec().slots, run) {
                    assert!(largest(&b, &message) <= 1.000_001 * bound, "{name}, {kind}");
                }
            }
            assert!(searched == b.searched_message().unwrap());
        }
    }

    #[test]
    fn with_an_arcsine_the_search_finds_what_is_worse_than_the_usual_messages() {
        let b = bootstrapper("insecure-precision", |_| ());
        let found = largest(&b, &b.searched_message().unwrap());
        for (kind, message) in messages(b.spec().slots, 0) {
            let usual = largest(&b, &message);
            assert!(found > 0.99 * usual, "{kind}: {usual:e}, found {found:e}");
        }
    }
}
