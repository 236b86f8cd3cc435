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
    rlwe::Level,
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
    Ok(ev
        .keys()
        .relinearisation(operation)?
        .check_level(operation, wanted)?)
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

    /// The slots whose groups are named, if there is more than one.
    pub(super) fn group_slots(&self) -> Option<usize> {
        (self.coefficients.groups > 1).then_some(self.coefficients.group_of.len())
    }

    fn check_slots(&self, slots: usize) -> Result<()> {
        if let Some(own) = self.group_slots().filter(|own| *own != slots) {
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
    use crate::{
        circuit::{Circuit, Interval, testing::Set},
        ring::ChainKind,
        rlwe::{EvaluationKeys, KeyNeeds, MissingKey},
    };

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

    fn real(p: &Polynomial, x: &[f64]) -> Vec<Complex> {
        x.iter().map(|x| p.value(*x).into()).collect()
    }

    #[test]
    fn every_degree_has_its_depth_and_its_value() {
        for set in [Set::pair(), Set::rational()] {
            let ev = set.ev();
            let x: Vec<f64> = Interval::UNIT.points(set.slots()).collect();
            let ct = set.encrypt(&x);
            for degree in (1..=17).chain([23, 27, 30, 31]) {
                for basis in [Basis::Chebyshev, Basis::Monomial] {
                    let mut c: Vec<Complex> = (pseudo_random(degree + 1, degree as u64).iter())
                        .map(|c| (*c).into())
                        .collect();
                    c[degree] = Complex::from(0.5);
                    let p = Polynomial::complex(basis, Interval::UNIT, &c).unwrap();
                    let y = evaluate(&ev, &ct, &p).unwrap();
                    assert_eq!(ct.level().0 - y.level().0, p.depth(), "degree {degree}");
                    assert_eq!(y.scale(), set.ckks.scale(y.level()).unwrap());
                    // Noise of degree^2 times that of the variable at the ends, and a few sums.
                    let bound = (degree * degree + 8) as f64 * 16.0 * set.noise();
                    set.close(&format!("{basis:?} of degree {degree}"), &y, &real(&p, &x), bound);
                }
            }
        }
    }

    #[test]
    fn measured_noise_is_what_was_foretold() {
        for (kind, scale) in [(ChainKind::Pair, 52.0), (ChainKind::Rational, 40.0)] {
            let set = Set::new(kind, scale, 6, 11);
            let ev = set.ev();
            let p = Polynomial::chebyshev(Interval::UNIT, &pseudo_random(32, 5)).unwrap();
            let x: Vec<f64> = Interval::UNIT.points(set.slots()).collect();
            let items = 8;
            let ct = set.encrypt_items(&x.repeat(items), items);
            let foretold = p
                .explain(set.params(), ct.level(), 1, std::slice::from_ref(&x))
                .unwrap()
                .noise_rms;
            let y = evaluate(&ev, &ct, &p).unwrap();
            let want = real(&p, &x).repeat(items);
            let have = set.decrypt(&y);
            let square: f64 = have.iter().zip(&want).map(|(a, b)| (*a - *b).abs().powi(2)).sum();
            let measured = (square / want.len() as f64).sqrt();
            // The secret's own |s(zeta)|^2 differ from slot to slot: 8192 errors that are a few hundred independent ones.
            let ratio = measured / foretold;
            assert!(
                (0.8..1.25).contains(&ratio),
                "{kind:?}: {measured:e} for {foretold:e}, ratio {ratio}"
            );
        }
    }

    #[test]
    fn several_share_their_powers() {
        let set = Set::pair();
        let ev = set.ev();
        let x = pseudo_random(set.slots(), 3);
        let ct = set.encrypt(&x);
        let p = [
            Polynomial::chebyshev(Interval::UNIT, &pseudo_random(32, 1)).unwrap(),
            Polynomial::chebyshev(Interval::UNIT, &pseudo_random(20, 2)).unwrap(),
            Polynomial::chebyshev(Interval::UNIT, &[0.5, 1.0]).unwrap(),
        ];
        let all: Vec<&Polynomial> = p.iter().collect();
        let output = Output::default();
        let results = evaluate_all(&ev, &ct, &all, &output).unwrap();
        for (p, y) in p.iter().zip(&results) {
            assert_eq!(y.level().0, ct.level().0 - 5);
            set.close("one of several", y, &real(p, &x), 1e4 * set.noise());
        }
        let cost = |p: &[&Polynomial]| {
            let mut forecast = Forecast::dry(set.params());
            let input = forecast.like(&ct);
            Polynomial::evaluate_all_on(&mut forecast, &input, p, &output).unwrap();
            forecast.cost().relinearisations
        };
        let alone: usize = all.iter().map(|p| cost(&[p])).sum();
        assert!(cost(&all) < alone, "{} and {alone}", cost(&all));
    }

    #[test]
    fn odd_and_even_ones_cost_less() {
        let set = Set::pair();
        let cost = |keep: &dyn Fn(usize) -> bool| {
            let c: Vec<f64> = (0..64)
                .map(|i| if keep(i) { 1.0 / (1.0 + i as f64) } else { 0.0 })
                .collect();
            let p = Polynomial::chebyshev(Interval::UNIT, &c).unwrap();
            let e = p
                .explain(set.params(), set.params().top(), 1, &[vec![0.5]])
                .unwrap();
            (e.cost.relinearisations, e.cost.constants)
        };
        let (all, odd, even) = (cost(&|_| true), cost(&|i| i % 2 == 1), cost(&|i| i % 2 == 0));
        assert!(odd.0 < all.0 && odd.1 < all.1, "{all:?} {odd:?}");
        assert!(even.0 < all.0 && even.1 < all.1, "{all:?} {even:?}");
        // m = 8: powers 2 to 8, 16 and 32, four sums of products, and two more where the leading part would be too deep.
        assert!(all.0 <= 15, "{all:?}");
    }

    #[test]
    fn groups_of_slots_have_their_own_polynomials() {
        let set = Set::pair();
        let ev = set.ev();
        let x = pseudo_random(set.slots(), 4);
        let ct = set.encrypt(&x);
        let p: Vec<Polynomial> = (0..3)
            .map(|g| Polynomial::chebyshev(Interval::UNIT, &pseudo_random(8 + g, g as u64)).unwrap())
            .collect();
        let group_of: Vec<u32> = (0..set.slots() as u32).map(|i| i % 3).collect();
        let grouped = Polynomial::grouped(&p, &group_of).unwrap();
        let y = evaluate(&ev, &ct, &grouped).unwrap();
        let want: Vec<Complex> = (x.iter().enumerate())
            .map(|(i, x)| p[i % 3].value(*x).into())
            .collect();
        set.close("groups", &y, &want, 1e4 * set.noise());
        let short = Polynomial::grouped(&p, &group_of[1..]).unwrap();
        let error = evaluate(&ev, &ct, &short).err().unwrap();
        assert!(
            error.to_string().contains("slot counts differ: 127 and 128"),
            "{error}"
        );
    }

    #[test]
    fn coefficients_may_be_complex() {
        let set = Set::pair();
        let ev = set.ev();
        let x = pseudo_random(set.slots(), 6);
        let ct = set.encrypt(&x);
        let c: Vec<Complex> = (pseudo_random(12, 7).iter().zip(pseudo_random(12, 8)))
            .map(|(re, im)| Complex::new(*re, im))
            .collect();
        for basis in [Basis::Chebyshev, Basis::Monomial] {
            let p = Polynomial::complex(basis, Interval::UNIT, &c).unwrap();
            let want: Vec<Complex> = x.iter().map(|x| p.value_in(0, (*x).into())).collect();
            let y = evaluate(&ev, &ct, &p).unwrap();
            set.close("complex", &y, &want, 1e4 * set.noise());
        }
    }

    #[test]
    fn results_have_the_level_and_scale_that_were_asked_for() {
        let set = Set::rational();
        let ev = set.ev();
        let x = pseudo_random(set.slots(), 9);
        let ct = set.encrypt(&x);
        let p = Polynomial::chebyshev(Interval::UNIT, &pseudo_random(8, 9)).unwrap();
        for level in (0..=4).map(Level) {
            let scale = set.ckks.scale(level).unwrap().clone().times_pow2(3).unwrap();
            let output = Output {
                level: Some(level),
                scale: Some(scale.clone()),
            };
            let y = evaluate_all(&ev, &ct, &[&p], &output).unwrap().remove(0);
            assert_eq!((y.level(), y.scale()), (level, &scale));
            set.close("asked for", &y, &real(&p, &x), 1e4 * set.noise());
        }
    }

    #[test]
    fn a_change_of_variable_is_free_at_the_right_scale() {
        let set = Set::pair();
        let ev = set.ev();
        let interval = Interval::new(-4.0, 12.0).unwrap();
        let x: Vec<f64> = pseudo_random(set.slots(), 10)
            .iter()
            .map(|u| interval.from_unit(*u))
            .collect();
        let p = Polynomial::chebyshev(interval, &pseudo_random(16, 11)).unwrap();
        let ct = set.encrypt(&x);
        let y = evaluate(&ev, &ct, &p).unwrap();
        assert_eq!(ct.level().0 - y.level().0, 5);
        set.close("a level for the change", &y, &real(&p, &x), 1e5 * set.noise());
        // A value with the canonical scale over the half-width: here from an adjustment, elsewhere from a product before.
        let below = ct.level().below().unwrap();
        let scale = set.ckks.scale(below).unwrap().clone().times_pow2(-3).unwrap();
        let ready = ev.adjust(&ct, below, &scale).unwrap();
        let y = evaluate(&ev, &ready, &p).unwrap();
        assert_eq!(ready.level().0 - y.level().0, 4);
        set.close("free", &y, &real(&p, &x), 1e5 * set.noise());
    }

    /// A cubic and a line by turns, on fewer slots than there are: values and noise are foretold slot by slot.
    #[test]
    fn polynomials_by_group_are_explained_on_their_slots() {
        let set = Set::pair();
        let ev = set.ev();
        let slots = set.slots() / 4;
        let cubic = Polynomial::chebyshev(Interval::UNIT, &[0.25, 0.5, 0.0, -0.75]).unwrap();
        let line = Polynomial::chebyshev(Interval::UNIT, &[-0.5, 0.25]).unwrap();
        let group_of: Vec<u32> = (0..slots as u32).map(|i| i % 3 % 2).collect();
        let p = Polynomial::grouped(&[cubic.clone(), line.clone()], &group_of).unwrap();
        assert_eq!(Circuit::slots(&p), Some(slots));
        assert_eq!(Circuit::slots(&cubic), None);
        let x = pseudo_random(slots, 21);
        let (params, top) = (set.params(), set.params().top());
        let foretold = p.explain(params, top, 1, std::slice::from_ref(&x)).unwrap();
        assert_eq!(foretold.depth(), p.depth());
        assert!(foretold.accuracy.is_empty());
        let own = |i: usize| if group_of[i] == 0 { &cubic } else { &line };
        let want: Vec<Complex> = (0..slots).map(|i| own(i).value(x[i]).into()).collect();
        for (have, want) in foretold.values.iter().zip(&want) {
            assert!((*have - *want).abs() < 1e-12);
        }
        let points: Vec<Complex> = x.iter().map(|x| (*x).into()).collect();
        let ct = set.ckks.encrypt(&set.sk, &points, 1, top).unwrap();
        let ct = ct.expand(set.ckks.context()).unwrap();
        let y = evaluate(&ev, &ct, &p).unwrap();
        let have = set.decrypt(&y);
        let square: f64 = have.iter().zip(&want).map(|(a, b)| (*a - *b).abs().powi(2)).sum();
        let measured = (square / slots as f64).sqrt();
        let ratio = measured / foretold.noise_rms;
        assert!(
            (0.5..2.0).contains(&ratio),
            "{measured:e}, foretold {:e}",
            foretold.noise_rms
        );
    }

    #[test]
    fn powers_can_be_kept() {
        let set = Set::pair();
        let ev = set.ev();
        let x = pseudo_random(set.slots(), 12);
        let ct = set.encrypt(&x);
        let mut m = Encrypted::new(&ev);
        let mut powers = Powers::new(&mut m, &ct, Basis::Chebyshev, Interval::UNIT, 4).unwrap();
        for seed in 0..3 {
            let p = Polynomial::chebyshev(Interval::UNIT, &pseudo_random(16, seed)).unwrap();
            let level = Level(ct.level().0 - 4);
            let scale = set.ckks.scale(level).unwrap();
            let y = p.evaluate_with(&mut m, &mut powers, level, scale).unwrap();
            set.close("kept", &y, &real(&p, &x), 1e4 * set.noise());
        }
        let other = Polynomial::monomial(Interval::UNIT, &[0.0, 1.0]).unwrap();
        assert!(
            other
                .evaluate_with(&mut m, &mut powers, Level(0), &Scale::pow2(52))
                .is_err()
        );
    }

    #[test]
    fn faults_are_found_before_work_starts() {
        let set = Set::pair();
        let ev = set.ev();
        let x = pseudo_random(set.slots(), 13);
        let ct = ev.drop_to(&set.encrypt(&x), Level(3)).unwrap();
        let p = Polynomial::chebyshev(Interval::UNIT, &pseudo_random(32, 13)).unwrap();
        let error = evaluate(&ev, &ct, &p).err().unwrap();
        assert_eq!(
            error.to_string(),
            "a polynomial of degree 31 down to level 0 takes 5 levels and its input is at level 3: 2 missing; refresh (bootstrap or \
             encrypt) the input at level 5 or above, or use a degree up to 7"
        );
        let none = EvaluationKeys::none();
        let without = Evaluator::new(&set.ckks, &none);
        let ct = set.encrypt(&x);
        let error = evaluate(&without, &ct, &p).err().unwrap();
        let CircuitError::Ckks(crate::ckks::CkksError::Rlwe(error)) = error else {
            panic!("{error}")
        };
        assert!(matches!(
            error,
            crate::rlwe::RlweError::MissingKey {
                key: MissingKey::Relinearisation,
                ..
            }
        ));
        let needs = KeyNeeds::new(set.params()).up_to(Level(2)).relinearise();
        let short = set.sk.evaluation_keys(&needs).unwrap();
        let short = short.expand(set.ckks.context()).unwrap();
        let error = evaluate(&Evaluator::new(&set.ckks, &short), &ct, &p)
            .err()
            .unwrap();
        assert!(
            error.to_string().contains("generated up to level 2 only"),
            "{error}"
        );
        // A straight line needs no key.
        let line = Polynomial::chebyshev(Interval::UNIT, &[1.0, 0.25]).unwrap();
        let y = evaluate(&without, &ct, &line).unwrap();
        set.close("a line", &y, &real(&line, &x), 100.0 * set.noise());
    }

    #[test]
    fn sums_take_terms_that_fit() {
        let set = Set::pair();
        let ev = set.ev();
        let x = pseudo_random(set.slots(), 14);
        let ct = set.encrypt(&x);
        let scale = Scale::pow2(30);
        let mut sum = ev.mul_const(&ct, 0.5, &scale).unwrap();
        ev.mul_const_add_assign(&mut sum, &ct, -0.25, &scale).unwrap();
        let want: Vec<Complex> = x.iter().map(|x| Complex::from(0.25 * x)).collect();
        set.close("sum", &sum, &want, 100.0 * set.noise());
        let says = |result: crate::ckks::Result<()>, words: &str| {
            let error = result.err().unwrap().to_string();
            assert!(error.contains(words), "{error}");
        };
        says(
            ev.mul_const_add_assign(&mut sum, &ct, 1.0, &Scale::pow2(31)),
            "scales differ",
        );
        says(
            ev.mul_const_add_assign(&mut sum, &ct, f64::NAN, &scale),
            "use finite constants",
        );
        let low = ev.drop_to(&ct, Level(2)).unwrap();
        says(
            ev.mul_const_add_assign(&mut sum, &low, 1.0, &scale),
            "shapes differ",
        );
        let product = ev.mul(&ct, &ct).unwrap();
        says(
            ev.mul_const_add_assign(&mut sum, &product, 1.0, &scale),
            "at least its components",
        );
        let plain = set.ckks.encode(&want, 1, low.level(), &scale).unwrap();
        says(
            ev.mul_plain_add_assign(&mut sum, &ct, &plain),
            "encode the plaintext at the ciphertext's level",
        );
    }
}
