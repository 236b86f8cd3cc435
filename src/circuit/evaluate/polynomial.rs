//! Polynomials on any [`Arithmetic`]: the level and scale where they end, and what does not go together.

use super::{Output, plan::Plan};
use crate::{
    circuit::{Arithmetic, Basis, CircuitError, Interval, Polynomial, Powers, Result},
    ring::Scale,
    rlwe::Level,
};

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
        let plan = Plan::cheapest(m, &powers, polynomials, depth, (level, &scale))?;
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
            let words = |b: Basis, i: Interval| format!("{b:?} on {i}");
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
        let plan = Plan::cheapest(m, powers, &[self], self.depth(), (level, scale))?;
        plan.run(m, powers, &self.coefficients, level, scale)
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
