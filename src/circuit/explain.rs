//! Circuits as a whole: run on ciphertexts after a rehearsal without any, on known values to find faults, or described.

use std::fmt;

use super::{
    Arithmetic, CircuitError, Cost, Encrypted, Estimate, Forecast, Interval, Polynomial, Result,
    evaluate::check_key,
};
use crate::{
    arith::Complex,
    backend::Backend,
    ckks::{Ciphertext, Evaluator},
    rlwe::{Level, Params},
};

/// A computation on batches of ciphertexts, written against [`Arithmetic`].
pub trait Circuit {
    /// What it computes, in a word or two.
    fn name(&self) -> String;

    /// The slots of its inputs, where it is made for some; any number of them otherwise.
    fn slots(&self) -> Option<usize> {
        None
    }

    /// How far each of its results is from what it approximates; nothing where it computes exactly what it says.
    fn accuracy(&self) -> Vec<Accuracy> {
        Vec::new()
    }

    /// The computation.
    fn run<A: Arithmetic>(&self, m: &mut A, inputs: &[A::Value]) -> Result<Vec<A::Value>>;

    /// On ciphertexts. Levels, scales, shapes and keys are checked before work starts, by a rehearsal.
    ///
    /// # Errors
    /// [`CircuitError::Levels`], a missing key, inputs that do not go together.
    fn apply<B: Backend>(
        &self,
        ev: &Evaluator<'_, B>,
        inputs: &[Ciphertext<B>],
    ) -> Result<Vec<Ciphertext<B>>> {
        let mut forecast = Forecast::dry(ev.ckks().context().params());
        let shapes: Vec<Estimate> = inputs.iter().map(|ct| forecast.like(ct)).collect();
        self.run(&mut forecast, &shapes)?;
        let level = inputs.iter().map(|ct| ct.level()).max().unwrap_or(Level(0));
        check_key(ev, &self.name(), level, forecast.cost().relinearisations)?;
        self.run(&mut Encrypted::new(ev), inputs)
    }

    /// As `apply`, with the plain values of the inputs beside them, item by item: a value that would leave the interval of any function
    /// on the way, or wrap around the modulus, is named before work starts. For finding faults: whoever runs this knows the values.
    ///
    /// # Errors
    /// [`CircuitError::Outside`] names function, item, slot and value.
    fn apply_debug<B: Backend>(
        &self,
        ev: &Evaluator<'_, B>,
        inputs: &[Ciphertext<B>],
        values: &[Vec<f64>],
    ) -> Result<Vec<Ciphertext<B>>> {
        if inputs.len() != values.len() {
            let remedy = "pass the values of every input";
            return Err(CircuitError::mismatch(
                "apply_debug",
                "counts",
                inputs.len(),
                values.len(),
                remedy,
            ));
        }
        let mut forecast = Forecast::dry(ev.ckks().context().params());
        let mut shadows = Vec::with_capacity(inputs.len());
        for (ct, values) in inputs.iter().zip(values) {
            let (have, want) = (values.len(), ct.items() * ct.slots());
            if have != want {
                let remedy = "pass items times slots values";
                return Err(CircuitError::mismatch(
                    "apply_debug",
                    "lengths",
                    want,
                    have,
                    remedy,
                ));
            }
            let points: Vec<Complex> = values.iter().map(|x| (*x).into()).collect();
            let shape = forecast.like(ct);
            shadows.push(forecast.input(shape, &points, 0.0));
        }
        self.run(&mut forecast, &shadows)?;
        self.apply(ev, inputs)
    }

    /// What it costs, how noisy it is and how far off its approximations are, from inputs at the canonical scale of a level that hold `samples`,
    /// equally many points for each of `items` items, with the noise of fresh encryptions. Where slots differ ([`slots`](Self::slots)), points are
    /// those of the slots in order.
    ///
    /// # Errors
    /// As `apply_debug`.
    fn explain(
        &self,
        params: &Params,
        level: Level,
        items: usize,
        samples: &[Vec<f64>],
    ) -> Result<Explanation> {
        let mut forecast = Forecast::noisy(params);
        let scale = params.level("explain", level)?.scale.clone();
        let slots = self.slots().unwrap_or(params.degree() / 2);
        let deviation = Forecast::fresh_deviation(&scale, slots);
        let mut inputs = Vec::with_capacity(samples.len());
        for values in samples {
            let points: Vec<Complex> = values.iter().map(|x| (*x).into()).collect();
            let shape = forecast.shape(level, &scale, items, slots);
            inputs.push(forecast.input(shape, &points, deviation));
        }
        let outputs = self.run(&mut forecast, &inputs)?;
        let end = outputs.iter().map(Estimate::level).min().unwrap_or(level);
        let deviations: Vec<f64> = outputs.iter().flat_map(Estimate::deviations).collect();
        let count = deviations.len().max(1) as f64;
        Ok(Explanation {
            name: self.name(),
            level: level.0,
            end: end.0,
            cost: forecast.cost(),
            noise_rms: (deviations.iter().map(|d| d * d).sum::<f64>() / count).sqrt(),
            noise_worst: deviations.into_iter().fold(0.0, f64::max),
            accuracy: self.accuracy(),
            values: outputs.iter().flat_map(|o| o.points().to_vec()).collect(),
        })
    }
}

/// How far a result is from what it approximates, noise apart.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Accuracy {
    /// Bound on the error.
    pub error: f64,
    /// Whether it is relative to the value.
    pub relative: bool,
}

/// What a circuit costs, what noise it leaves, and how far off its approximations are.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Explanation {
    /// The circuit.
    pub name: String,
    /// The level of the inputs.
    pub level: u32,
    /// The level of the results.
    pub end: u32,
    /// Operations on one ciphertext each.
    pub cost: Cost,
    /// Root mean square over the sample points of the standard deviation of a slot's error, noise alone.
    pub noise_rms: f64,
    /// The largest of these deviations.
    pub noise_worst: f64,
    /// How far each result is from what it approximates; nothing where the circuit computes exactly what it says.
    pub accuracy: Vec<Accuracy>,
    /// What the circuit computes at the sample points.
    #[serde(skip)]
    pub values: Vec<Complex>,
}

impl Explanation {
    /// Levels that it uses.
    pub fn depth(&self) -> u32 {
        self.level - self.end
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cost {
            products,
            relinearisations,
            rescales,
            constants,
            plaintexts,
        } = self.cost;
        writeln!(
            f,
            "{}: level {} to {}, depth {}",
            self.name,
            self.level,
            self.end,
            self.depth()
        )?;
        writeln!(
            f,
            "  {products} products, {relinearisations} relinearisations, {rescales} other rescales"
        )?;
        writeln!(
            f,
            "  {constants} products with constants, {plaintexts} with plaintexts"
        )?;
        write!(
            f,
            "  noise 2^{:.1} root mean square over the interval, 2^{:.1} at the worst point",
            self.noise_rms.log2(),
            self.noise_worst.log2()
        )?;
        for Accuracy { error, relative } in &self.accuracy {
            let of = if *relative { ", relative to the value" } else { "" };
            write!(f, "\n  approximation off by 2^{:.1} at most{of}", error.log2())?;
        }
        Ok(())
    }
}

impl Circuit for Polynomial {
    fn name(&self) -> String {
        format!("{:?} polynomial of degree {}", self.basis(), self.degree())
    }

    fn slots(&self) -> Option<usize> {
        self.group_slots()
    }

    fn run<A: Arithmetic>(&self, m: &mut A, inputs: &[A::Value]) -> Result<Vec<A::Value>> {
        inputs.iter().map(|x| self.evaluate_on(m, x)).collect()
    }
}

/// Exactly so many inputs.
pub(super) fn inputs<const N: usize, V>(operation: &'static str, inputs: &[V]) -> Result<[V; N]>
where
    V: Clone,
{
    let wrong = |_| {
        CircuitError::mismatch(
            operation,
            "counts of inputs",
            N,
            inputs.len(),
            "pass as many inputs as it takes",
        )
    };
    inputs.to_vec().try_into().map_err(wrong)
}

/// Exactly one input, of exactly so many items, each in a range.
pub(super) fn input_of<A: Arithmetic>(
    m: &mut A,
    operation: &'static str,
    items: usize,
    range: Interval,
    all: &[A::Value],
) -> Result<A::Value> {
    let [x] = inputs(operation, all)?;
    if m.items(&x) != items {
        let remedy = "pass one ciphertext an item";
        return Err(CircuitError::mismatch(
            operation,
            "items",
            items,
            m.items(&x),
            remedy,
        ));
    }
    m.expect(operation, range, &x)?;
    Ok(x)
}
