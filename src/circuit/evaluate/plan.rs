//! The division of a polynomial by powers, and the sums of its parts at one scale.

use crate::{
    arith::Complex,
    circuit::{Arithmetic, CircuitError, Forecast, Polynomial, Powers, Result, polynomial::Coefficients},
    ring::Scale,
    rlwe::Level,
};

/// The shape of an evaluation.
pub(super) struct Plan {
    /// m: constants multiply powers below it.
    baby: usize,
}

impl Plan {
    /// That with the m that costs least, by forecasts.
    pub(super) fn cheapest<A: Arithmetic>(
        m: &A,
        powers: &Powers<A>,
        polynomials: &[&Polynomial],
        depth: u32,
        (level, scale): (Level, &Scale),
    ) -> Result<Self> {
        let mut best: Option<(f64, usize)> = None;
        for log in 0..depth.max(1) {
            let mut forecast = Forecast::dry(m.params());
            let mut shadows = powers.foretell(m, &forecast);
            let plan = Self { baby: 1 << log };
            for p in polynomials {
                plan.run(&mut forecast, &mut shadows, &p.coefficients, level, scale)?;
            }
            let cost = forecast.cost().weight();
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, plan.baby));
            }
        }
        let baby = best.map_or(1, |(_, baby)| baby);
        Ok(Self { baby })
    }

    /// Whether the powers up to `degree` can all be multiplied by constants at a level.
    fn is_leaf<A: Arithmetic>(&self, powers: &Powers<A>, degree: usize, level: Level) -> bool {
        // The powers below 2^r reach down to that of 2^r: the last of them decides.
        degree < self.baby.max(2) && powers.level_of(degree).is_some_and(|l| l >= level)
    }

    /// p(x) at a level and scale.
    pub(super) fn run<A: Arithmetic>(
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
