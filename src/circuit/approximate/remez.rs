//! Minimax polynomials by Remez' exchange, on one interval or several.
//!
//! Wanted are c_i and E with w(x) |p(x) - f(x)| <= E on a set, E least. p has n coefficients; the optimum is known by n + 1 points
//! of the set where w (p - f) takes the values +E and -E in turn. Each round solves for p on n + 1 points, searches all extrema of
//! the error on all intervals, and takes those n + 1 of alternating sign that have the largest sum (Lee, Lee, No, Kim, eprint
//! 2020/834, for several intervals). A function that is odd or even on intervals symmetric about the middle needs only odd or even
//! powers, and only the upper half of its set is looked at.
//!
//! The round's E is a lower bound of the minimax error, the largest extremum an upper one; rounds end when they are within 2^-10
//! of each other.

use super::{
    Approximation, Certificate,
    bound::{bound_on, extrema, largest_magnitude},
    interpolate::{check_degree, clean},
    linear::{chebyshev_row, solve},
};
use crate::{
    arith::Double,
    circuit::{CircuitError, Interval, Polynomial, Result},
};

/// Which powers a polynomial has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// All.
    All,
    /// Odd ones: f(-x) = -f(x) about the middle of the hull.
    Odd,
    /// Even ones: f(-x) = f(x).
    Even,
}

const ROUNDS: usize = 60;
/// Extrema within this ratio of the levelled error end the search.
const CLOSE: f64 = 1.0 + 1.0 / 1024.0;
const POINTS_A_DEGREE: usize = 24;

/// What to approximate, and on what.
pub struct Remez<F, W> {
    /// The function.
    pub f: F,
    /// The weight of an error at x: 1 for absolute errors, 1 / |f| for relative ones.
    pub weight: W,
    /// The intervals, ascending and disjoint. With a parity, only what is above the middle of `hull`.
    pub intervals: Vec<Interval>,
    /// The interval of the polynomial: around all intervals.
    pub hull: Interval,
    /// The degree.
    pub degree: usize,
    /// Which powers there are.
    pub parity: Parity,
}

/// The polynomial of a degree with the least largest error on an interval.
///
/// # Errors
/// A degree outside 1..=4095, f not finite, or [`CircuitError::Approximation`] without convergence: f must be continuous.
pub fn minimax(f: impl Fn(f64) -> f64, interval: Interval, degree: usize) -> Result<Approximation> {
    Remez {
        f,
        weight: |_| 1.0,
        intervals: vec![interval],
        hull: interval,
        degree,
        parity: Parity::All,
    }
    .run()
}

impl<F: Fn(f64) -> f64, W: Fn(f64) -> f64> Remez<F, W> {
    /// The minimax polynomial.
    ///
    /// # Errors
    /// A degree outside 1..=4095, no or overlapping intervals, f not finite, no convergence.
    pub fn run(&self) -> Result<Approximation> {
        check_degree("minimax", self.degree)?;
        self.check_intervals()?;
        let powers: Vec<usize> = (0..=self.degree)
            .filter(|i| match self.parity {
                Parity::All => true,
                Parity::Odd => i % 2 == 1,
                Parity::Even => i % 2 == 0,
            })
            .collect();
        let mut points = self.first_points(powers.len() + 1);
        let mut best: Option<(f64, Polynomial)> = None;
        for _ in 0..ROUNDS {
            let Some((p, level)) = self.levelled(&powers, &points)? else {
                break;
            };
            let e = |x: f64| (self.weight)(x) * (p.value(x) - (self.f)(x));
            let count = POINTS_A_DEGREE * (self.degree + 1) / self.intervals.len() + 9;
            let all: Vec<(f64, f64)> = (self.intervals.iter())
                .flat_map(|i| extrema(*i, count, &e))
                .collect();
            let largest = all.iter().fold(0.0f64, |a, (_, y)| a.max(y.abs()));
            if best.as_ref().is_none_or(|(least, _)| largest < *least) {
                best = Some((largest, p));
            }
            let next = alternating(all, powers.len() + 1);
            if largest <= level.abs() * CLOSE || largest < 1e-15 {
                break;
            }
            match next {
                Some(next) => points = next,
                None => break,
            }
        }
        let lost = || CircuitError::Approximation {
            operation: "minimax",
            what: format!(
                "no polynomial of degree {} was found on {} interval(s)",
                self.degree,
                self.intervals.len()
            ),
            remedy: "the function has to be continuous on each of them; lower the degree or interpolate",
        };
        let (_, polynomial) = best.ok_or_else(lost)?;
        let (mut error, mut certificate) = (0.0f64, Certificate::Search { points: 0 });
        for interval in &self.intervals {
            let e = |x: f64| (self.weight)(x) * (polynomial.value(x) - (self.f)(x));
            let weighted = |x: f64| (self.weight)(x) * (self.f)(x);
            let (bound, how) = bound_on(*interval, largest_magnitude(*interval, weighted), e);
            if bound >= error {
                (error, certificate) = (bound, how);
            }
        }
        Ok(Approximation {
            polynomial,
            error,
            certificate,
        })
    }

    fn check_intervals(&self) -> Result<()> {
        let mut last = if self.parity == Parity::All {
            self.hull.low()
        } else {
            self.hull.centre()
        };
        last -= 1e-6 * self.hull.half();
        for i in &self.intervals {
            if i.low() < last || i.high() > self.hull.high() + 1e-6 * self.hull.half() {
                return Err(CircuitError::mismatch(
                    "minimax",
                    "intervals",
                    self.hull,
                    i,
                    "pass ascending, disjoint intervals inside the hull, above its middle where there is a parity",
                ));
            }
            last = i.high();
        }
        if self.intervals.is_empty() {
            let remedy = "pass at least one interval";
            return Err(CircuitError::mismatch(
                "minimax",
                "intervals",
                0,
                "at least 1",
                remedy,
            ));
        }
        Ok(())
    }

    /// Points shared out among intervals by their widths, at least one each, dense towards ends.
    fn first_points(&self, count: usize) -> Vec<f64> {
        let total: f64 = self.intervals.iter().map(|i| i.half()).sum();
        let mut points = Vec::with_capacity(count);
        let (mut left, mut rest) = (count, total);
        for (k, i) in self.intervals.iter().enumerate() {
            let last = k + 1 == self.intervals.len();
            let share = (left as f64 * i.half() / rest).round() as usize;
            let share = if last {
                left
            } else {
                share.clamp(1, left.saturating_sub(1).max(1))
            };
            if share == 1 {
                points.push(i.centre());
            } else {
                points.extend(i.points(share));
            }
            left -= share.min(left);
            rest -= i.half();
        }
        points
    }

    /// The polynomial with errors +E, -E in turn at the points, and E; `None` when the points do not determine it.
    fn levelled(&self, powers: &[usize], points: &[f64]) -> Result<Option<(Polynomial, f64)>> {
        let row = |(i, x): (usize, &f64)| {
            let u = (Double::from_f64(*x) - Double::from_f64(self.hull.centre()))
                / Double::from_f64(self.hull.half());
            let t = chebyshev_row(u, self.degree);
            let mut row: Vec<Double> = powers.iter().filter_map(|k| t.get(*k)).copied().collect();
            let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
            row.push(Double::from_f64(sign) / Double::from_f64((self.weight)(*x)));
            row.push(Double::from_f64((self.f)(*x)));
            row
        };
        let rows: Vec<_> = points.iter().enumerate().map(row).collect();
        let Some(solution) = solve(rows) else {
            return Ok(None);
        };
        let mut c = vec![0.0; self.degree + 1];
        for (k, x) in powers.iter().zip(&solution) {
            if let Some(c) = c.get_mut(*k) {
                *c = x.to_f64();
            }
        }
        clean(&mut c);
        let level = solution.last().map_or(0.0, |e| e.to_f64());
        Ok(Some((Polynomial::chebyshev(self.hull, &c)?, level)))
    }
}

/// `count` extrema of alternating sign with the largest errors: of neighbours with one sign the largest stays, then the pair or
/// end with the least sum leaves until there are `count`. `None` when there are too few.
fn alternating(all: Vec<(f64, f64)>, count: usize) -> Option<Vec<f64>> {
    let mut chosen: Vec<(f64, f64)> = Vec::new();
    for (x, y) in all {
        match chosen.last_mut() {
            Some(last) if (last.1 >= 0.0) == (y >= 0.0) => {
                if y.abs() > last.1.abs() {
                    *last = (x, y);
                }
            }
            _ => chosen.push((x, y)),
        }
    }
    while chosen.len() > count {
        let size = |i: usize| chosen.get(i).map_or(0.0, |(_, y)| y.abs());
        let last = chosen.len() - 1;
        if chosen.len() == count + 1 {
            let leaves = if size(0) < size(last) { 0 } else { last };
            chosen.remove(leaves);
            continue;
        }
        // Removing neighbours keeps the signs in turn.
        let pair =
            (0..last).min_by(|i, j| (size(*i) + size(*i + 1)).total_cmp(&(size(*j) + size(*j + 1))))?;
        chosen.drain(pair..pair + 2);
    }
    (chosen.len() == count).then(|| chosen.into_iter().map(|(x, _)| x).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Real = fn(f64) -> f64;

    /// The sign on some intervals of [-1, 1].
    fn sign(intervals: Vec<Interval>, degree: usize, parity: Parity) -> Remez<Real, Real> {
        Remez {
            f: f64::signum,
            weight: |_| 1.0,
            intervals,
            hull: Interval::UNIT,
            degree,
            parity,
        }
    }

    #[test]
    fn known_optima_are_found() {
        // x^n is best approximated by x^n - 2^(1-n) T_n; |x| by degree 2 with error 1/8; e^x by degree 1 with error 0.27880.
        let unit = Interval::UNIT;
        let p = minimax(|x| x.powi(6), unit, 5).unwrap();
        assert!((p.error * 32.0 - 1.0).abs() < 0.03, "{}", p.error);
        let p = minimax(f64::abs, unit, 2).unwrap();
        assert!((p.error - 0.125).abs() < 1e-4, "{}", p.error);
        let p = minimax(f64::exp, unit, 1).unwrap();
        assert!((p.error / 0.278_802 - 1.0).abs() < 0.03, "{}", p.error);
    }

    #[test]
    fn two_intervals_have_one_polynomial() {
        // sign on [-1, -a] and [a, 1] by degree 1: c x with c (1 + a) = 2, error (1 - a) / (1 + a).
        let a = 0.25;
        let upper = Interval::new(a, 1.0).unwrap();
        let sides = vec![Interval::new(-1.0, -a).unwrap(), upper];
        let both = |degree| {
            let all = sign(sides.clone(), degree, Parity::All);
            let odd = sign(vec![upper], degree, Parity::Odd);
            [all.run().unwrap(), odd.run().unwrap()]
        };
        for p in both(1) {
            assert!((p.error / 0.6 - 1.0).abs() < 0.03, "{}", p.error);
            assert!((p.polynomial.value(1.0) - 1.6).abs() < 1e-6);
        }
        // Of higher degree both ways still agree.
        let [all, odd] = both(9);
        assert!(
            (all.error / odd.error - 1.0).abs() < 0.01,
            "{} {}",
            all.error,
            odd.error
        );
    }

    #[test]
    fn weights_make_errors_relative() {
        let interval = Interval::new(0.01, 1.0).unwrap();
        let p = Remez {
            f: |x: f64| 1.0 / x.sqrt(),
            weight: |x: f64| x.sqrt(),
            intervals: vec![interval],
            hull: interval,
            degree: 7,
            parity: Parity::All,
        };
        let p = p.run().unwrap();
        let worst = interval
            .points(999)
            .map(|x| (p.polynomial.value(x) * x.sqrt() - 1.0).abs())
            .fold(0.0, f64::max);
        assert!(worst <= p.error && p.error < 0.125, "{worst} {}", p.error);
    }

    #[test]
    fn faults_are_typed() {
        let upper = Interval::new(0.5, 1.0).unwrap();
        let with = |intervals| sign(intervals, 3, Parity::Odd);
        assert!(with(vec![]).run().is_err());
        assert!(with(vec![upper, upper]).run().is_err());
        assert!(with(vec![Interval::new(-1.0, -0.5).unwrap()]).run().is_err());
        assert!(minimax(f64::ln, Interval::UNIT, 3).is_err());
    }
}
