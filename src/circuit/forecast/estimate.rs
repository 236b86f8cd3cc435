//! What a forecast knows of a batch of ciphertexts.

use crate::{arith::Complex, ring::Scale, rlwe::Level};

/// A ciphertext as a forecast sees it.
#[derive(Clone, Debug)]
pub struct Estimate {
    pub(super) level: Level,
    pub(super) scale: Scale,
    pub(super) items: usize,
    pub(super) slots: usize,
    pub(super) components: usize,
    /// `[item][point]`, or nothing at all.
    pub(super) points: Vec<Complex>,
    /// For each source, ascending: its part of the noise `[item][point]`.
    pub(super) noise: Vec<(u32, Vec<Complex>)>,
}

impl Estimate {
    /// The level.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The exact scale.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }

    /// Number of ciphertexts.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Numbers in each.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Values at the points, one item after the other.
    pub fn points(&self) -> &[Complex] {
        &self.points
    }

    /// Standard deviation of the complex error at each point.
    pub fn deviations(&self) -> Vec<f64> {
        let square = |i: usize| {
            let parts = self.noise.iter().filter_map(|(_, n)| n.get(i));
            parts.map(|d| d.re * d.re + d.im * d.im).sum::<f64>()
        };
        (0..self.points.len()).map(|i| square(i).sqrt()).collect()
    }

    /// The largest deviation at a point.
    pub fn deviation(&self) -> f64 {
        self.deviations().into_iter().fold(0.0, f64::max)
    }

    pub(super) fn map(&self, f: impl Fn(Complex) -> Complex) -> Vec<Complex> {
        self.points.iter().map(|z| f(*z)).collect()
    }

    pub(super) fn each_noise(mut self, f: impl Fn(usize, Complex) -> Complex) -> Self {
        for (_, n) in &mut self.noise {
            n.iter_mut().enumerate().for_each(|(i, d)| *d = f(i, *d));
        }
        self
    }
}

/// The noise of a combination of two values, from both lists of sources.
pub(super) fn merged(
    a: &[(u32, Vec<Complex>)],
    b: &[(u32, Vec<Complex>)],
    f: impl Fn(usize, Complex) -> Complex,
    g: impl Fn(usize, Complex) -> Complex,
) -> Vec<(u32, Vec<Complex>)> {
    let turned = |n: &[Complex], f: &dyn Fn(usize, Complex) -> Complex| -> Vec<Complex> {
        n.iter().enumerate().map(|(i, d)| f(i, *d)).collect()
    };
    let mut all: Vec<(u32, Vec<Complex>)> = a.iter().map(|(k, n)| (*k, turned(n, &f))).collect();
    for (k, n) in b {
        let n = turned(n, &g);
        match all.binary_search_by_key(k, |(k, _)| *k) {
            Ok(i) => {
                if let Some((_, sum)) = all.get_mut(i) {
                    sum.iter_mut().zip(n).for_each(|(s, d)| *s = *s + d);
                }
            }
            Err(i) => all.insert(i, (*k, n)),
        }
    }
    all
}
