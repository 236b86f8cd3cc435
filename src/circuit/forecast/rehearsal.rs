//! The operations of a forecast.

use super::{CONSTANT_BITS, Estimate, Forecast, estimate::merged};
use crate::{
    arith::Complex,
    circuit::{Arithmetic, CircuitError, Interval, Result, work::Kind},
    ckks::CkksError,
    ring::Scale,
    rlwe::{Level, Params},
};

/// How far outside its interval a value may be, in half-widths: noise, which polynomials bear.
const SLACK: f64 = 1e-6;
/// The least integer that brings a value to another scale, as `Evaluator` has it.
const RATIO_BITS: f64 = 20.0;

impl Arithmetic for Forecast {
    type Value = Estimate;

    fn params(&self) -> &Params {
        &self.params
    }

    fn level(&self, a: &Estimate) -> Level {
        a.level
    }

    fn scale(&self, a: &Estimate) -> Scale {
        a.scale.clone()
    }

    fn items(&self, a: &Estimate) -> usize {
        a.items
    }

    fn slots(&self, a: &Estimate) -> usize {
        a.slots
    }

    fn add(&mut self, a: &Estimate, b: &Estimate) -> Result<Estimate> {
        let components = [a.components, b.components];
        self.work.add(Kind::Sum(components), a.level, a.items);
        self.combine("add", a, b, 1.0)
    }

    fn sub(&mut self, a: &Estimate, b: &Estimate) -> Result<Estimate> {
        let components = [a.components, b.components];
        self.work.add(Kind::Difference(components), a.level, a.items);
        self.combine("sub", a, b, -1.0)
    }

    fn neg(&mut self, a: &Estimate) -> Result<Estimate> {
        self.work.add(Kind::Negation(a.components), a.level, a.items);
        Ok(Estimate {
            points: a.map(|z| -z),
            ..a.clone().each_noise(|_, d| -d)
        })
    }

    fn mul_i(&mut self, a: &Estimate) -> Result<Estimate> {
        self.work.add(Kind::TimesI(a.components), a.level, a.items);
        let turn = |z: Complex| Complex::new(-z.im, z.re);
        Ok(Estimate {
            points: a.map(turn),
            ..a.clone().each_noise(|_, d| turn(d))
        })
    }

    fn add_const(&mut self, a: &Estimate, c: Complex) -> Result<Estimate> {
        let mut did = |kind: Kind| self.work.add(kind, a.level, a.items);
        did(Kind::PlusConstant(a.components));
        if c.im != 0.0 {
            // i (-i a + im)
            did(Kind::TimesI(a.components));
            did(Kind::Negation(a.components));
            did(Kind::PlusConstant(a.components));
            did(Kind::TimesI(a.components));
        }
        for part in [c.re, c.im] {
            self.check_constant("add_const", a.level, part, &a.scale)?;
        }
        let sum = Estimate {
            points: a.map(|z| z + c),
            ..a.clone()
        };
        self.check_room("add_const", &sum)?;
        Ok(sum)
    }

    fn add_slots(&mut self, a: &Estimate, c: &[Complex]) -> Result<Estimate> {
        let kind = Kind::PlusSlots(a.components, a.slots);
        self.work.add(kind, a.level, a.items);
        let points = a.points.iter().enumerate().map(|(i, z)| *z + of_slot(c, i));
        Ok(Estimate {
            points: points.collect(),
            ..a.clone()
        })
    }

    fn mul_const(&mut self, a: &Estimate, c: f64, scale: &Scale) -> Result<Estimate> {
        let product = self.times_constant(a, c, scale)?;
        self.work.add(Kind::TimesConstant(a.components), a.level, a.items);
        Ok(product)
    }

    fn mul_const_add(&mut self, sum: &mut Estimate, a: &Estimate, c: f64, scale: &Scale) -> Result<()> {
        let term = self.times_constant(a, c, scale)?;
        let kind = Kind::TimesConstantOnto([sum.components, a.components]);
        self.work.add(kind, a.level, a.items);
        *sum = self.combine("mul_const_add", sum, &term, 1.0)?;
        Ok(())
    }

    fn mul_slots(&mut self, a: &Estimate, c: &[Complex], scale: &Scale) -> Result<Estimate> {
        let product = self.times_slots(a, c, scale)?;
        let kind = Kind::TimesSlots(a.components, a.slots);
        self.work.add(kind, a.level, a.items);
        Ok(product)
    }

    fn mul_slots_add(
        &mut self,
        sum: &mut Estimate,
        a: &Estimate,
        c: &[Complex],
        scale: &Scale,
    ) -> Result<()> {
        let term = self.times_slots(a, c, scale)?;
        let kind = Kind::TimesSlotsOnto([sum.components, a.components], a.slots);
        self.work.add(kind, a.level, a.items);
        *sum = self.combine("mul_plain_add", sum, &term, 1.0)?;
        Ok(())
    }

    fn mul(&mut self, a: &Estimate, b: &Estimate) -> Result<Estimate> {
        Self::check_like("mul", a, b)?;
        if a.components.max(b.components) != 2 {
            let components = a.components.max(b.components);
            let remedy = "relinearise the operand first";
            return Err(CircuitError::mismatch("mul", "components", components, 2, remedy));
        }
        self.work.add(Kind::Product, a.level, a.items);
        let at = |e: &[Complex], i: usize| e.get(i).copied().unwrap_or_default();
        let product = Estimate {
            scale: a.scale.mul(&b.scale)?,
            components: 3,
            points: a.points.iter().zip(&b.points).map(|(x, y)| *x * *y).collect(),
            noise: merged(
                &a.noise,
                &b.noise,
                |i, d| d * at(&b.points, i),
                |i, d| d * at(&a.points, i),
            ),
            ..a.clone()
        };
        self.check_room("mul", &product)?;
        Ok(product)
    }

    fn relinearise_rescale(&mut self, a: &Estimate) -> Result<Estimate> {
        let (level, scale) = self.below("relinearise_rescale", a)?;
        let mut variance = self.rounding();
        if a.components == 3 {
            self.work.add(Kind::Relinearisation, a.level, a.items);
            let ratio = scale.div(&a.scale)?.to_f64();
            variance += self.switching(a.level)? * ratio * ratio;
        } else {
            self.work.add(Kind::Rescale(a.components), a.level, a.items);
        }
        let mut result = Estimate {
            level,
            scale,
            components: 2,
            ..a.clone()
        };
        self.check_room("relinearise_rescale", &result)?;
        self.round(&mut result, variance);
        Ok(result)
    }

    fn drop_to(&mut self, a: &Estimate, level: Level) -> Result<Estimate> {
        let result = Estimate { level, ..a.clone() };
        self.check_room("drop_to", &result)?;
        Ok(result)
    }

    fn adjust_below(&mut self, a: &Estimate, scale: &Scale) -> Result<Estimate> {
        let (level, rescaled) = self.below("adjust", a)?;
        let bits = scale.div(&rescaled)?.log2();
        if !(RATIO_BITS..=CONSTANT_BITS).contains(&bits) {
            return Err(CkksError::Constant {
                operation: "adjust",
                level: a.level,
                value: 1.0,
                scale_log2: a.scale.log2(),
                bits,
                limit: format!("{RATIO_BITS} to {CONSTANT_BITS}"),
                remedy: "choose a target scale nearer to the canonical scale of the level",
            }
            .into());
        }
        self.work.add(Kind::TimesConstant(a.components), a.level, a.items);
        self.work.add(Kind::Rescale(a.components), a.level, a.items);
        let mut result = Estimate {
            level,
            scale: scale.clone(),
            ..a.clone()
        };
        self.check_room("adjust", &result)?;
        let variance = self.rounding();
        self.round(&mut result, variance);
        Ok(result)
    }

    fn at_scale(&mut self, a: &Estimate, scale: Scale) -> Result<Estimate> {
        let factor = a.scale.div(&scale)?.to_f64();
        let times = |z: Complex| Complex::new(z.re * factor, z.im * factor);
        Ok(Estimate {
            scale,
            points: a.map(times),
            ..a.clone().each_noise(|_, d| times(d))
        })
    }

    fn every(&mut self, a: &Estimate, first: usize, step: usize, items: usize) -> Result<Estimate> {
        let last = items
            .checked_sub(1)
            .and_then(|n| n.checked_mul(step))
            .map(|n| n + first);
        if last.is_none_or(|last| last >= a.items) {
            let wanted = format!("{items} from {first} in steps of {step}");
            return Err(CircuitError::mismatch(
                "every",
                "items",
                a.items,
                wanted,
                "take items that exist",
            ));
        }
        let each = a.points.len() / a.items.max(1);
        let pick = |all: &[Complex]| -> Vec<Complex> {
            (0..items)
                .flat_map(|i| {
                    let at = (first + i * step) * each;
                    all.get(at..at + each).unwrap_or_default().to_vec()
                })
                .collect()
        };
        Ok(Estimate {
            items,
            points: pick(&a.points),
            noise: a.noise.iter().map(|(k, n)| (*k, pick(n))).collect(),
            ..a.clone()
        })
    }

    fn concat(&mut self, parts: &[Estimate]) -> Result<Estimate> {
        let Some(first) = parts.first() else {
            return Err(CircuitError::mismatch(
                "concat",
                "parts",
                0,
                "at least 1",
                "pass ciphertexts",
            ));
        };
        let mut all = Estimate {
            items: 0,
            points: Vec::new(),
            noise: Vec::new(),
            ..first.clone()
        };
        for part in parts {
            let like = Estimate {
                items: first.items,
                ..part.clone()
            };
            Self::check_like("concat", first, &like)?;
            Self::check_scales("concat", first.level, &first.scale, &part.scale)?;
            let before = all.points.len();
            all.items += part.items;
            all.points.extend_from_slice(&part.points);
            for (k, n) in &part.noise {
                let at = all.noise.binary_search_by_key(k, |(k, _)| *k);
                let at = at.unwrap_or_else(|at| {
                    all.noise.insert(at, (*k, vec![Complex::default(); before]));
                    at
                });
                if let Some((_, sum)) = all.noise.get_mut(at) {
                    sum.extend_from_slice(n);
                }
            }
            let length = all.points.len();
            all.noise
                .iter_mut()
                .for_each(|(_, n)| n.resize(length, Complex::default()));
        }
        let kind = Kind::Concatenation(parts.len(), all.components);
        self.work.add(kind, all.level, all.items);
        Ok(all)
    }

    fn sum_items(&mut self, a: &Estimate) -> Result<Estimate> {
        self.work.add(Kind::ItemsSum(a.components), a.level, a.items);
        let each = a.points.len() / a.items.max(1);
        let at =
            |all: &[Complex], item: usize, i: usize| all.get(item * each + i).copied().unwrap_or_default();
        let total =
            |i: usize| (0..a.items).fold(Complex::default(), |sum, item| sum + at(&a.points, item, i));
        // The items' noise is independent even where its source has one number: squares add.
        let spread = |n: &[Complex], i: usize| -> Complex {
            let square = |item| at(n, item, i).abs().powi(2);
            (0..a.items).map(square).sum::<f64>().sqrt().into()
        };
        let sum = Estimate {
            items: 1,
            points: (0..each).map(total).collect(),
            noise: (a.noise.iter())
                .map(|(k, n)| (*k, (0..each).map(|i| spread(n, i)).collect()))
                .collect(),
            ..a.clone()
        };
        self.check_room("sum_items", &sum)?;
        Ok(sum)
    }

    fn expect(&mut self, function: &str, interval: Interval, a: &Estimate) -> Result<()> {
        let each = (a.points.len() / a.items.max(1)).max(1);
        let bound = SLACK * interval.half();
        // Written so that not-a-number is outside.
        let inside = |z: &Complex| interval.contains(z.re, SLACK) && z.im.abs() <= bound;
        match a.points.iter().position(|z| !inside(z)) {
            None => Ok(()),
            Some(i) => Err(CircuitError::Outside {
                function: function.to_owned(),
                item: i / each,
                slot: i % each,
                value: a.points.get(i).copied().unwrap_or_default(),
                low: interval.low(),
                high: interval.high(),
            }),
        }
    }
}

impl Forecast {
    fn times_constant(&self, a: &Estimate, c: f64, scale: &Scale) -> Result<Estimate> {
        self.check_constant("mul_const", a.level, c, scale)?;
        self.scaled(a, c, scale)
    }

    /// A product with one number a slot, with the rounding of its plaintext.
    fn times_slots(&mut self, a: &Estimate, c: &[Complex], scale: &Scale) -> Result<Estimate> {
        let mut product = Estimate {
            scale: a.scale.mul(scale)?,
            points: (a.points.iter().enumerate())
                .map(|(i, z)| *z * of_slot(c, i))
                .collect(),
            ..a.clone().each_noise(|i, d| d * of_slot(c, i))
        };
        self.check_room("mul_plain", &product)?;
        // The plaintext's own rounding, 1/12 a coefficient.
        let rounding = (2.0 * a.slots as f64 / 12.0).sqrt() / scale.to_f64();
        let values = a.points.clone();
        if self.noise && !values.is_empty() {
            let noise = values.iter().map(|z| (z.abs() * rounding).into()).collect();
            product.noise.push((self.sources, noise));
            self.sources += 1;
        }
        Ok(product)
    }
}

/// One of `c` for point i: its own slot's, where points are slots.
fn of_slot(c: &[Complex], i: usize) -> Complex {
    c.get(i % c.len().max(1)).copied().unwrap_or_default()
}
