//! Circuits without ciphertexts: levels, scales, costs, values at sample points, and the noise to be expected there.
//!
//! A value is described by its level and scale, by what it holds at some points (sample points of an interval, or the very slots
//! of a message), and by the linearised noise there: for each source k of noise, sigma_k times the derivative of the value by the
//! source. Sums and products carry these on exactly to first order,
//!
//! ```text
//! d(a + b) = da + db      d(a b) = a db + b da      deviation^2 = sum over k of |d_k|^2
//! ```
//!
//! so that a power of a noisy number, or a cancellation, is seen as what it is. Sources are those of docs/numerics.md: the input,
//! each rescale, sqrt((1 + hw) / 12) a coefficient, each key switch, and encoded plaintexts. A deviation of a coefficient is
//! sqrt(2 slots) times as large in a slot.

use super::{Arithmetic, CircuitError, Interval, Result};
use crate::{
    arith::Complex,
    backend::Backend,
    ckks::{Ciphertext, CkksError, step_ratio},
    ring::Scale,
    rlwe::{Level, Params, RlweError},
};

/// Variance of an error coefficient.
const ERROR: f64 = 10.5;
/// How far outside its interval a value may be, in half-widths: noise, which polynomials bear.
const SLACK: f64 = 1e-6;
/// As `Evaluator` has them.
const CONSTANT_BITS: f64 = 120.0;
const RATIO_BITS: f64 = 20.0;

/// What a circuit costs, in operations on one ciphertext.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Cost {
    /// Products of ciphertexts.
    pub products: usize,
    /// Relinearisations, each with its rescale.
    pub relinearisations: usize,
    /// Rescales without relinearisation.
    pub rescales: usize,
    /// Products with constants.
    pub constants: usize,
    /// Products with encoded plaintexts, their encoding included.
    pub plaintexts: usize,
}

impl Cost {
    /// All of it in units of a relinearisation, about: what a product, a rescale or a constant takes in its share of one.
    pub fn weight(&self) -> f64 {
        let weighted = [
            (self.relinearisations, 1.0),
            (self.rescales, 0.25),
            (self.products, 0.1),
            (self.constants, 0.04),
            (self.plaintexts, 0.3),
        ];
        weighted.iter().map(|(n, w)| *n as f64 * w).sum()
    }
}

/// A ciphertext as a forecast sees it.
#[derive(Clone, Debug)]
pub struct Estimate {
    level: Level,
    scale: Scale,
    items: usize,
    slots: usize,
    components: usize,
    /// `[item][point]`, or nothing at all.
    points: Vec<Complex>,
    /// For each source, ascending: its part of the noise `[item][point]`.
    noise: Vec<(u32, Vec<Complex>)>,
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

    fn map(&self, f: impl Fn(Complex) -> Complex) -> Vec<Complex> {
        self.points.iter().map(|z| f(*z)).collect()
    }

    fn each_noise(mut self, f: impl Fn(usize, Complex) -> Complex) -> Self {
        for (_, n) in &mut self.noise {
            n.iter_mut().enumerate().for_each(|(i, d)| *d = f(i, *d));
        }
        self
    }
}

/// Runs circuits on descriptions.
pub struct Forecast {
    params: Params,
    cost: Cost,
    noise: bool,
    sources: u32,
}

impl Forecast {
    /// Levels, scales and costs only, and values where an input has any.
    pub fn dry(params: &Params) -> Self {
        Self {
            params: params.clone(),
            cost: Cost::default(),
            noise: false,
            sources: 0,
        }
    }

    /// With noise.
    pub fn noisy(params: &Params) -> Self {
        Self {
            noise: true,
            ..Self::dry(params)
        }
    }

    /// What was done so far.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// An input of which only the shape is known: `items` ciphertexts of `slots` numbers.
    pub fn shape(&self, level: Level, scale: &Scale, items: usize, slots: usize) -> Estimate {
        Estimate {
            level,
            scale: scale.clone(),
            items,
            slots,
            components: 2,
            points: Vec::new(),
            noise: Vec::new(),
        }
    }

    /// The shape of a batch of ciphertexts.
    pub fn like<B: Backend>(&self, ct: &Ciphertext<B>) -> Estimate {
        Estimate {
            components: ct.components(),
            ..self.shape(ct.level(), ct.scale(), ct.items(), ct.slots())
        }
    }

    /// An input that holds `points`, equally many an item, with an error of a standard deviation.
    pub fn input(&mut self, shape: Estimate, points: &[Complex], deviation: f64) -> Estimate {
        let mut input = Estimate {
            points: points.to_vec(),
            ..shape
        };
        self.add_noise(&mut input, |_| deviation);
        input
    }

    /// The deviation in a slot of a fresh encryption with the secret key.
    pub fn fresh_deviation(scale: &Scale, slots: usize) -> f64 {
        (2.0 * slots as f64 * ERROR).sqrt() / scale.to_f64()
    }

    fn add_noise(&mut self, a: &mut Estimate, deviation: impl Fn(Complex) -> f64) {
        if self.noise && !a.points.is_empty() {
            let noise = a.points.iter().map(|z| deviation(*z).into()).collect();
            a.noise.push((self.sources, noise));
            self.sources += 1;
        }
    }

    /// Adds noise of a variance of coefficients.
    fn round(&mut self, a: &mut Estimate, variance: f64) {
        let deviation = (2.0 * a.slots as f64 * variance).sqrt() / a.scale.to_f64();
        self.add_noise(a, |_| deviation);
    }

    /// (1 + hw) / 12.
    fn rounding(&self) -> f64 {
        (1.0 + 2.0 * self.params.degree() as f64 / 3.0) / 12.0
    }

    /// The first term of a key switch's variance: sum over digits of N sigma^2 Q_j^2 / (12 P^2).
    fn switching(&self, level: Level) -> Result<f64> {
        let prime = |i: &u32| f64::from(self.params.basis().prime(*i).value()).log2();
        let special: f64 = self.params.special().iter().map(prime).sum();
        let mut digits = std::collections::BTreeMap::<u8, f64>::new();
        for i in &self.params.level("forecast", level)?.primes {
            let digit = self.params.digit_of().get(*i as usize).copied().unwrap_or(0);
            *digits.entry(digit).or_default() += prime(i);
        }
        let of = |log2: &f64| self.params.degree() as f64 * ERROR / 12.0 * (2.0 * (log2 - special)).exp2();
        Ok(digits.values().map(of).sum())
    }

    fn check_like(operation: &'static str, a: &Estimate, b: &Estimate) -> Result<()> {
        let shape = |e: &Estimate| format!("{} items of {} slots at {}", e.items, e.slots, e.level);
        if (a.items, a.slots, a.level) != (b.items, b.slots, b.level) {
            let remedy = "bring both to one level first";
            return Err(CircuitError::mismatch(
                operation,
                "shapes",
                shape(a),
                shape(b),
                remedy,
            ));
        }
        Ok(())
    }

    fn check_scales(operation: &'static str, level: Level, left: &Scale, right: &Scale) -> Result<()> {
        if left == right {
            return Ok(());
        }
        let (left, right) = (left.log2(), right.log2());
        Err(CkksError::ScaleMismatch {
            operation,
            level,
            left,
            right,
        }
        .into())
    }

    /// Demands a scale below the modulus, and values below half of it.
    fn check_room(&self, operation: &'static str, a: &Estimate) -> Result<()> {
        let log2_q = self.params.level(operation, a.level)?.log2_q;
        let (level, scale_log2) = (a.level, a.scale.log2());
        if scale_log2 >= log2_q {
            return Err(CkksError::Room {
                operation,
                level,
                scale_log2,
                log2_q,
            }
            .into());
        }
        let value_log2 = a.points.iter().map(|z| z.abs()).fold(0.0, f64::max).log2();
        if value_log2 + scale_log2 >= log2_q - 1.0 {
            return Err(CircuitError::Overflow {
                operation,
                level,
                value_log2,
                scale_log2,
                log2_q,
            });
        }
        Ok(())
    }

    fn check_constant(&self, operation: &'static str, level: Level, value: f64, scale: &Scale) -> Result<()> {
        let log2_q = self.params.level(operation, level)?.log2_q;
        let (scale_log2, most) = (scale.log2(), CONSTANT_BITS.min(log2_q - 1.0));
        let bits = value.abs().log2() + scale_log2;
        if bits < most {
            return Ok(());
        }
        Err(CkksError::Constant {
            operation,
            level,
            value,
            scale_log2,
            bits,
            limit: format!("{most:.1}"),
            remedy: "use a smaller constant, a smaller scale or a higher level",
        }
        .into())
    }

    fn combine(&self, operation: &'static str, a: &Estimate, b: &Estimate, sign: f64) -> Result<Estimate> {
        Self::check_like(operation, a, b)?;
        Self::check_scales(operation, a.level, &a.scale, &b.scale)?;
        let turn = |z: Complex| Complex::new(sign * z.re, sign * z.im);
        let points = a.points.iter().zip(&b.points).map(|(x, y)| *x + turn(*y));
        let sum = Estimate {
            components: a.components.max(b.components),
            points: points.collect(),
            noise: merged(&a.noise, &b.noise, |_, d| d, |_, d| turn(d)),
            ..a.clone()
        };
        self.check_room(operation, &sum)?;
        Ok(sum)
    }

    fn scaled(&self, a: &Estimate, c: f64, scale: &Scale) -> Result<Estimate> {
        let times = |z: Complex| Complex::new(z.re * c, z.im * c);
        let product = Estimate {
            scale: a.scale.mul(scale)?,
            points: a.map(times),
            ..a.clone().each_noise(|_, d| times(d))
        };
        self.check_room("mul_const", &product)?;
        Ok(product)
    }

    /// The level below, with the scale after a rescale.
    fn below(&self, operation: &'static str, a: &Estimate) -> Result<(Level, Scale)> {
        let exhausted = || RlweError::LevelsExhausted {
            operation,
            level: a.level,
            scale_log2: a.scale.log2(),
            log2_q: self.params.levels().first().map_or(0.0, |l| l.log2_q),
        };
        let below = a.level.below().ok_or_else(exhausted)?;
        let scale = a.scale.mul(&step_ratio(&self.params, operation, below)?)?;
        Ok((below, scale))
    }
}

/// The noise of a combination of two values, from both lists of sources.
fn merged(
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

/// One of `c` for point i: its own slot's, where points are slots.
fn of_slot(c: &[Complex], i: usize) -> Complex {
    c.get(i % c.len().max(1)).copied().unwrap_or_default()
}

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
        self.combine("add", a, b, 1.0)
    }

    fn sub(&mut self, a: &Estimate, b: &Estimate) -> Result<Estimate> {
        self.combine("sub", a, b, -1.0)
    }

    fn neg(&mut self, a: &Estimate) -> Result<Estimate> {
        Ok(Estimate {
            points: a.map(|z| -z),
            ..a.clone().each_noise(|_, d| -d)
        })
    }

    fn mul_i(&mut self, a: &Estimate) -> Result<Estimate> {
        let turn = |z: Complex| Complex::new(-z.im, z.re);
        Ok(Estimate {
            points: a.map(turn),
            ..a.clone().each_noise(|_, d| turn(d))
        })
    }

    fn add_const(&mut self, a: &Estimate, c: Complex) -> Result<Estimate> {
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
        let points = a.points.iter().enumerate().map(|(i, z)| *z + of_slot(c, i));
        Ok(Estimate {
            points: points.collect(),
            ..a.clone()
        })
    }

    fn mul_const(&mut self, a: &Estimate, c: f64, scale: &Scale) -> Result<Estimate> {
        self.check_constant("mul_const", a.level, c, scale)?;
        self.cost.constants += a.items;
        self.scaled(a, c, scale)
    }

    fn mul_const_add(&mut self, sum: &mut Estimate, a: &Estimate, c: f64, scale: &Scale) -> Result<()> {
        let term = self.mul_const(a, c, scale)?;
        *sum = self.combine("mul_const_add", sum, &term, 1.0)?;
        Ok(())
    }

    fn mul_slots(&mut self, a: &Estimate, c: &[Complex], scale: &Scale) -> Result<Estimate> {
        self.cost.plaintexts += a.items;
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

    fn mul_slots_add(
        &mut self,
        sum: &mut Estimate,
        a: &Estimate,
        c: &[Complex],
        scale: &Scale,
    ) -> Result<()> {
        let term = self.mul_slots(a, c, scale)?;
        *sum = self.combine("mul_plain_add", sum, &term, 1.0)?;
        Ok(())
    }

    fn mul(&mut self, a: &Estimate, b: &Estimate) -> Result<Estimate> {
        Self::check_like("mul", a, b)?;
        self.cost.products += a.items;
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
            self.cost.relinearisations += a.items;
            let ratio = scale.div(&a.scale)?.to_f64();
            variance += self.switching(a.level)? * ratio * ratio;
        } else {
            self.cost.rescales += a.items;
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
        self.cost.constants += a.items;
        self.cost.rescales += a.items;
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
        Ok(all)
    }

    fn sum_items(&mut self, a: &Estimate) -> Result<Estimate> {
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
