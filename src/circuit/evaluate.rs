//! Evaluation of polynomials after Paterson and Stockmeyer (SIAM J. Comput. 2, 1973), at depth ceil(log2(d + 1)) and with exact
//! scales.
//!
//! p is divided by the powers B_k, k = 2^i, from the highest down:
//!
//! ```text
//! p = q_1 B_k1 + q_2 B_k2 + .. + sum_(i < m) c_i B_i + c_0
//! ```
//!
//! The result has level l and scale S, both given beforehand. All terms are formed at level l + 1 with the scale S' that a rescale
//! brings to S: each q is the same problem at level l + 1 with scale S' / scale(B_k); each c_i is encoded at scale
//! S' / scale(B_i). So every sum adds up exactly, without an adjustment, and *one* relinearisation and rescale ends it:
//! 2^(j-1) of them for a polynomial of degree 2^j m - 1 instead of 2^j - 1. c_0 is added last.
//!
//! m is the power of two for which a forecast of the whole costs least.

use super::{
    Arithmetic, Basis, CircuitError, Encrypted, Forecast, Polynomial, Powers, Result,
    polynomial::Coefficients,
};
use crate::{
    arith::Complex,
    backend::Backend,
    ckks::{Ciphertext, Evaluator},
    ring::Scale,
    rlwe::{Level, RlweError},
};

/// Where results are to be; what is left out is the highest level that can be had, and its canonical scale.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// The level.
    pub level: Option<Level>,
    /// The scale.
    pub scale: Option<Scale>,
}

/// p(x) in every slot, at the highest level that can be had and its canonical scale.
///
/// Needs the relinearisation key. Everything is checked before work starts.
///
/// # Errors
/// [`CircuitError::Levels`] for too few levels, a missing or short key, an overflow, groups that do not fit the slots.
pub fn evaluate<B: Backend>(
    ev: &Evaluator<'_, B>,
    x: &Ciphertext<B>,
    p: &Polynomial,
) -> Result<Ciphertext<B>> {
    let mut all = evaluate_all(ev, x, &[p], &Output::default())?;
    all.pop()
        .ok_or_else(|| CircuitError::mismatch("evaluate", "counts", 0, 1, "pass a polynomial"))
}

/// Several polynomials of x, all at one level, with one set of powers. As [`evaluate`].
pub fn evaluate_all<B: Backend>(
    ev: &Evaluator<'_, B>,
    x: &Ciphertext<B>,
    polynomials: &[&Polynomial],
    output: &Output,
) -> Result<Vec<Ciphertext<B>>> {
    let mut forecast = Forecast::dry(ev.ckks().context().params());
    let input = forecast.like(x);
    Polynomial::evaluate_all_on(&mut forecast, &input, polynomials, output)?;
    check_key(ev, "polynomial", x.level(), forecast.cost().relinearisations)?;
    Polynomial::evaluate_all_on(&mut Encrypted::new(ev), x, polynomials, output)
}

/// Demands the relinearisation key up to a level, if it is used at all.
pub(super) fn check_key<B: Backend>(
    ev: &Evaluator<'_, B>,
    operation: &str,
    wanted: Level,
    relinearisations: usize,
) -> Result<()> {
    if relinearisations == 0 {
        return Ok(());
    }
    let key = ev.keys().relinearisation(operation)?;
    if key.level() < wanted {
        return Err(RlweError::KeyLevel {
            operation: operation.to_owned(),
            key: key.purpose(),
            wanted,
            held: key.level(),
        }
        .into());
    }
    Ok(())
}

impl Polynomial {
    /// p(x) on any [`Arithmetic`], at the highest level that can be had and its canonical scale.
    pub fn evaluate_on<A: Arithmetic>(&self, m: &mut A, x: &A::Value) -> Result<A::Value> {
        let all = Self::evaluate_all_on(m, x, &[self], &Output::default())?;
        let one = all.into_iter().next();
        one.ok_or_else(|| CircuitError::mismatch("evaluate", "counts", 0, 1, "pass a polynomial"))
    }

    /// Several polynomials of x on any [`Arithmetic`]. They share basis and interval.
    pub fn evaluate_all_on<A: Arithmetic>(
        m: &mut A,
        x: &A::Value,
        polynomials: &[&Self],
        output: &Output,
    ) -> Result<Vec<A::Value>> {
        let Some(first) = polynomials.first() else {
            return Ok(Vec::new());
        };
        for p in polynomials {
            first.check_like("polynomials of one variable", p)?;
            p.check_slots(m.slots(x))?;
            m.expect("polynomial", p.interval(), x)?;
        }
        let depth = polynomials.iter().map(|p| p.depth()).max().unwrap_or(0);
        let mut powers = Powers::new(m, x, first.basis(), first.interval(), depth)?;
        let change = m.level(x).0 - powers.level().0;
        let end = powers.level().0.checked_sub(depth).map(Level);
        let wanted = end.filter(|end| output.level.is_none_or(|level| level <= *end));
        let Some(end) = wanted else {
            let degree = polynomials.iter().map(|p| p.degree()).max().unwrap_or(0);
            let at = output.level.map_or(0, |l| l.0);
            let enough = depth + change + at;
            let left = (powers.level().0.saturating_sub(at)).min(12);
            let remedy = format!(
                "refresh (bootstrap or encrypt) the input at level {enough} or above, or use a degree up to {}",
                (1u32 << left) - 1
            );
            let change = if change > 0 {
                ", change of variable included,"
            } else {
                ""
            };
            return Err(CircuitError::Levels {
                operation: format!("a polynomial of degree {degree}{change} down to level {at}"),
                level: m.level(x),
                needed: enough,
                remedy,
            });
        };
        let level = output.level.unwrap_or(end);
        let canonical = || Ok::<_, CircuitError>(m.params().level("polynomial", level)?.scale.clone());
        let scale = output.scale.clone().map_or_else(canonical, Ok)?;
        let baby = best_baby(m, &powers, polynomials, depth, (level, &scale))?;
        let plan = Plan { baby };
        polynomials
            .iter()
            .map(|p| plan.run(m, &mut powers, &p.coefficients, level, &scale))
            .collect()
    }

    /// With powers that exist already, to which those that lack are added; the result at a level and scale.
    pub fn evaluate_with<A: Arithmetic>(
        &self,
        m: &mut A,
        powers: &mut Powers<A>,
        level: Level,
        scale: &Scale,
    ) -> Result<A::Value> {
        if (powers.basis(), powers.interval()) != (self.basis(), self.interval()) {
            let words = |b: Basis, i: super::Interval| format!("{b:?} on {i}");
            let (left, right) = (
                words(powers.basis(), powers.interval()),
                words(self.basis(), self.interval()),
            );
            let remedy = "form powers in the polynomial's basis and interval";
            return Err(CircuitError::mismatch(
                "evaluate_with",
                "bases",
                left,
                right,
                remedy,
            ));
        }
        if powers.level().0 < level.0 + self.depth() {
            return Err(CircuitError::Levels {
                operation: format!("a polynomial of degree {} down to {level}", self.degree()),
                level: powers.level(),
                needed: level.0 + self.depth(),
                remedy: String::from("refresh the input, or ask for a lower level"),
            });
        }
        let baby = best_baby(m, powers, &[self], self.depth(), (level, scale))?;
        Plan { baby }.run(m, powers, &self.coefficients, level, scale)
    }

    fn check_slots(&self, slots: usize) -> Result<()> {
        let own = self.coefficients.group_of.len();
        if self.coefficients.groups > 1 && own != slots {
            let remedy = "name the group of every slot";
            return Err(CircuitError::mismatch(
                "polynomials by group",
                "slot counts",
                own,
                slots,
                remedy,
            ));
        }
        Ok(())
    }
}

/// The m that costs least, by forecasts.
fn best_baby<A: Arithmetic>(
    m: &A,
    powers: &Powers<A>,
    polynomials: &[&Polynomial],
    depth: u32,
    (level, scale): (Level, &Scale),
) -> Result<usize> {
    let mut best: Option<(f64, usize)> = None;
    for log in 0..depth.max(1) {
        let mut forecast = Forecast::dry(m.params());
        let mut shadows = powers.foretell(m, &forecast);
        let plan = Plan { baby: 1 << log };
        for p in polynomials {
            plan.run(&mut forecast, &mut shadows, &p.coefficients, level, scale)?;
        }
        let cost = forecast.cost().weight();
        if best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, plan.baby));
        }
    }
    Ok(best.map_or(1, |(_, baby)| baby))
}

/// The shape of an evaluation.
struct Plan {
    /// m: constants multiply powers below it.
    baby: usize,
}

impl Plan {
    /// Whether the powers up to `degree` can all be multiplied by constants at a level.
    fn is_leaf<A: Arithmetic>(&self, powers: &Powers<A>, degree: usize, level: Level) -> bool {
        // The powers below 2^r reach down to that of 2^r: the last of them decides.
        degree < self.baby.max(2) && powers.level_of(degree).is_some_and(|l| l >= level)
    }

    fn run<A: Arithmetic>(
        &self,
        m: &mut A,
        powers: &mut Powers<A>,
        p: &Coefficients,
        level: Level,
        scale: &Scale,
    ) -> Result<A::Value> {
        let above = Level(level.0.saturating_add(1));
        let before = m.before_rescale(level, scale)?;
        let mut sum = Sum {
            group_of: &p.group_of,
            scale: &before,
            real: None,
            imaginary: None,
        };
        let mut rest = p.clone();
        loop {
            let degree = rest.degree();
            if degree == 0 {
                break;
            }
            if self.is_leaf(powers, degree, above) {
                for i in 1..=degree {
                    if !rest.is_zero(i) {
                        let power = powers.at(m, i, above)?;
                        sum.add(m, &power, rest.row(i))?;
                    }
                }
                break;
            }
            let k = 1usize << degree.ilog2();
            let (high, low) = rest.divide(k, powers.basis());
            let power = powers.at(m, k, above)?;
            if high.degree() == 0 {
                sum.add(m, &power, high.row(0))?;
            } else {
                let scale = before.div(&m.scale(&power))?;
                let high = self.run(m, powers, &high, above, &scale)?;
                let product = m.mul(&high, &power)?;
                sum.add_value(m, product)?;
            }
            rest = low;
        }
        let total = sum.finish(m)?;
        let result = m.relinearise_rescale(&total)?;
        match rest.row(0) {
            [] => Ok(result),
            [c] if *c == Complex::default() => Ok(result),
            [c] => m.add_const(&result, *c),
            row => m.add_slots(&result, &spread(row, &p.group_of)),
        }
    }
}

/// One number a slot from one a group.
fn spread(row: &[Complex], group_of: &[u32]) -> Vec<Complex> {
    group_of
        .iter()
        .map(|g| row.get(*g as usize).copied().unwrap_or_default())
        .collect()
}

/// A sum of terms at one scale; the products with imaginary constants are multiplied by i together.
struct Sum<'a, V> {
    group_of: &'a [u32],
    scale: &'a Scale,
    real: Option<V>,
    imaginary: Option<V>,
}

impl<V: Clone> Sum<'_, V> {
    /// += c power, c one number or one a group.
    fn add<A: Arithmetic<Value = V>>(&mut self, m: &mut A, power: &V, c: &[Complex]) -> Result<()> {
        let scale = self.scale.div(&m.scale(power))?;
        if let [c] = c {
            for (part, sum) in [(c.re, &mut self.real), (c.im, &mut self.imaginary)] {
                if part != 0.0 {
                    match sum {
                        Some(sum) => m.mul_const_add(sum, power, part, &scale)?,
                        None => *sum = Some(m.mul_const(power, part, &scale)?),
                    }
                }
            }
            return Ok(());
        }
        let c = spread(c, self.group_of);
        match &mut self.real {
            Some(sum) => m.mul_slots_add(sum, power, &c, &scale)?,
            sum => *sum = Some(m.mul_slots(power, &c, &scale)?),
        }
        Ok(())
    }

    fn add_value<A: Arithmetic<Value = V>>(&mut self, m: &mut A, term: V) -> Result<()> {
        self.real = Some(match self.real.take() {
            Some(sum) => m.add(&sum, &term)?,
            None => term,
        });
        Ok(())
    }

    fn finish<A: Arithmetic<Value = V>>(mut self, m: &mut A) -> Result<V> {
        if let Some(imaginary) = self.imaginary.take() {
            let turned = m.mul_i(&imaginary)?;
            self.add_value(m, turned)?;
        }
        let empty = || CircuitError::mismatch("evaluate", "terms", 0, "at least 1", "pass a polynomial");
        self.real.ok_or_else(empty)
    }
}

#[cfg(all(test, feature = "fallback"))]
mod tests {
    use super::*;
    use crate::circuit::{Interval, testing::Set};

    fn unit_values(n: usize) -> Vec<f64> {
        (0..n)
            .map(|i| -(std::f64::consts::PI * i as f64 / (n - 1) as f64).cos())
            .collect()
    }

    fn pseudo_random(count: usize, seed: u64) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn every_degree_has_its_depth_and_its_value() {
        for set in [Set::pair(), Set::rational()] {
            let ev = set.ev();
            let x = unit_values(set.slots());
            let ct = set.encrypt(&x);
            for degree in (1..=17).chain([23, 27, 30, 31]) {
                for basis in [Basis::Chebyshev, Basis::Monomial] {
                    let mut c: Vec<Complex> = pseudo_random(degree + 1, degree as u64)
                        .iter()
                        .map(|c| (*c).into())
                        .collect();
                    c[degree] = Complex::from(0.5);
                    let p = Polynomial::complex(basis, Interval::UNIT, &c).unwrap();
                    let y = evaluate(&ev, &ct, &p).unwrap();
                    assert_eq!(ct.level().0 - y.level().0, p.depth(), "degree {degree}");
                    assert_eq!(y.scale(), set.ckks.scale(y.level()).unwrap());
                    let want: Vec<Complex> = x.iter().map(|x| p.value(*x).into()).collect();
                    // Noise of degree^2 times that of the variable at the ends, and a few sums.
                    let bound = (degree * degree + 8) as f64 * 16.0 * set.noise();
                    set.close(&format!("{basis:?} of degree {degree}"), &y, &want, bound);
                }
            }
        }
    }
}
