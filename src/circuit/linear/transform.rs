//! A matrix prepared for ciphertexts of a level.

use super::{Diagonals, Steps};
use crate::{
    arith::Double,
    backend::Backend,
    circuit::{CircuitError, Result},
    ckks::{Ciphertext, Ckks, Evaluator, step_ratio},
    ring::{Galois, Scale},
    rlwe::{self, Extended, ExtendedPlain, KeyNeeds, Level, RlweError},
};

/// Sizes of the slots of a ciphertext, on average over them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// Root of the mean square of values.
    pub(crate) values: f64,
    /// Variance of the complex error.
    pub(crate) variance: f64,
}

/// A matrix for ciphertexts at a level and scale, with the scale of its result at the level below.
pub struct Transform<B: Backend> {
    slots: usize,
    pub(super) level: Level,
    input: Scale,
    output: Scale,
    pub(super) steps: Steps,
    diagonals: usize,
    /// Mean over the rows of the sum of squares.
    gain: f64,
    /// The scale of the diagonals.
    plain: f64,
    /// 2 integers an entry of a period: `[giant step][baby step][integer]`, zeros for a diagonal that is none. A diagonal is rotated for its giant
    /// step, and lifted to residues when it is used, or once.
    pub(super) integers: Vec<i64>,
    /// Integers of one diagonal.
    pub(super) length: usize,
    pub(super) residues: Option<ExtendedPlain<B>>,
}

impl<B: Backend> Transform<B> {
    /// Prepares a matrix: diagonals are encoded at the scale that brings `input` to `output` with one rescale.
    ///
    /// # Errors
    /// [`CircuitError::Levels`] at level 0; an overflow of encoding.
    pub fn new(
        ckks: &Ckks<B>,
        matrix: &Diagonals,
        level: Level,
        input: &Scale,
        output: &Scale,
    ) -> Result<Self> {
        let slots = matrix.slots();
        if slots > ckks.max_slots() {
            let remedy = "use a matrix on at most N/2 slots";
            let (left, right) = (slots, ckks.max_slots());
            return Err(CircuitError::mismatch(
                "transform",
                "slot counts",
                left,
                right,
                remedy,
            ));
        }
        let below = level.below().ok_or_else(|| CircuitError::Levels {
            operation: String::from("a linear transform"),
            level,
            needed: 1,
            remedy: String::from("refresh the input at level 1 or above"),
        })?;
        let params = ckks.context().params();
        let ratio = step_ratio(params, "transform", below)?;
        let scale = output.div(&input.mul(ratio)?)?;
        let (hi, lo) = scale.to_parts();
        let rotations: Vec<usize> = matrix.rotations().collect();
        let steps = Steps::new(slots, &rotations);
        let period = rotations.iter().filter_map(|k| Some(matrix.get(*k)?.len())).max();
        let (period, mut out) = (period.unwrap_or(1), vec![0i64; params.degree()]);
        let gap = out.len() / (2 * period);
        let mut integers = Vec::with_capacity(steps.giant.len() * steps.baby.len() * 2 * period);
        for (giant, babies) in &steps.giant {
            for baby in &steps.baby {
                let diagonal = matrix
                    .get((giant + baby) % slots)
                    .filter(|_| babies.contains(baby));
                let Some(diagonal) = diagonal else {
                    integers.resize(integers.len() + 2 * period, 0);
                    continue;
                };
                let back = period - giant % period;
                let turned: Vec<_> = diagonal.iter().cycle().skip(back).take(period).copied().collect();
                ckks.embedding()
                    .embed(&turned, Double { hi, lo }, &mut out)
                    .map_err(crate::ckks::CkksError::from)?;
                integers.extend(out.iter().step_by(gap));
            }
        }
        Ok(Self {
            slots,
            level,
            input: input.clone(),
            output: output.clone(),
            diagonals: rotations.len(),
            gain: matrix.gain(),
            plain: scale.to_f64(),
            steps,
            integers,
            length: 2 * period,
            residues: None,
        })
    }

    /// The level of operands.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The scale of operands.
    pub fn input(&self) -> &Scale {
        &self.input
    }

    /// The scale of results.
    pub fn output(&self) -> &Scale {
        &self.output
    }

    /// Baby and giant steps.
    pub fn steps(&self) -> &Steps {
        &self.steps
    }

    /// What it makes of independent values and errors in `slots` slots, with `rounding` the variance of a coefficient after its division:
    /// its own noise is that division's and the rounding of its diagonals, 1/12 a coefficient.
    pub(crate) fn spread(&self, of: Spread, slots: f64, rounding: f64) -> Spread {
        let slot = |variance: f64, scale: f64| 2.0 * slots * variance / (scale * scale);
        let diagonals = self.diagonals as f64 * slot(1.0 / 12.0, self.plain);
        Spread {
            values: of.values * self.gain.sqrt(),
            variance: of.variance * self.gain
                + of.values * of.values * diagonals
                + slot(rounding, self.output.to_f64()),
        }
    }

    /// Number of diagonals.
    pub fn diagonals(&self) -> usize {
        self.diagonals
    }

    /// Bytes of the diagonals, residues included if they were expanded.
    ///
    /// # Errors
    /// None for the context that it was prepared for.
    pub fn bytes(&self, ckks: &Ckks<B>) -> Result<usize> {
        let expanded = self.residues.is_some();
        let kept = if expanded {
            self.lifted_bytes(ckks, self.steps.giant.len())?
        } else {
            0
        };
        Ok(8 * self.integers.len() + kept)
    }

    /// Bytes of the residues of the diagonals of some giant steps.
    fn lifted_bytes(&self, ckks: &Ckks<B>, giants: usize) -> Result<usize> {
        let items = giants * self.steps.baby.len();
        Ok(ckks.context().lifted_bytes(self.level, items, self.length)?)
    }

    /// The most bytes that one application to `items` ciphertexts takes beside them.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub(crate) fn working_bytes(&self, ckks: &Ckks<B>, items: usize) -> Result<usize> {
        let ctx = ckks.context();
        let level = ctx.level("memory", self.level)?;
        let (babies, giants, rows) = (
            self.steps.baby.len(),
            self.steps.giant.len(),
            level.extended.len(),
        );
        let digits = level.digits.len();
        let (sums, lifted) = match self.residues {
            Some(_) => (giants, 0),
            None => (1, self.lifted_bytes(ckks, 1)?),
        };
        // Giant steps: babies, sums, the total; of one sum what was divided, its digits, its key switch's sums, and those moved.
        let giant = items * (2 * (babies + sums + 1) + digits + 5);
        // Baby steps: all of them, and of one operand the digits, what they come from, and the sums of its key switches.
        let baby = items * 2 * babies + digits + 1 + 2 * babies;
        let bytes = |polys: usize| (polys * rows) << (ctx.log_n() + 2);
        Ok((bytes(giant) + lifted).max(bytes(baby)))
    }

    /// Lifts all diagonals once and keeps their residues, for less work in every use: rows of the level and of P for each, of N words or as
    /// few as the backend takes. Without any diagonal nothing is done: [`apply`](Self::apply) says that the matrix is zero.
    ///
    /// # Errors
    /// No memory.
    pub fn expand(&mut self, ckks: &Ckks<B>) -> Result<()> {
        let items = self.steps.giant.len() * self.steps.baby.len();
        if items == 0 {
            return Ok(());
        }
        self.residues = Some(ckks.context().lift_extended(self.level, items, &self.integers)?);
        Ok(())
    }

    /// `needs` and the rotations of this transform, up to its level.
    pub fn add_needs(&self, needs: KeyNeeds) -> KeyNeeds {
        let rotations = self.steps.baby.iter().chain(self.steps.giant.keys());
        needs.up_to(self.level).rotate(rotations.map(|k| *k as i64))
    }

    /// Demands operands that fit, and every key.
    ///
    /// # Errors
    /// What does not fit, with the numbers; the first key that is missing.
    pub fn check(&self, ev: &Evaluator<'_, B>, x: &Ciphertext<B>) -> Result<()> {
        let operation = "transform";
        let mismatch = |what: &'static str, left: String, right: String| {
            let remedy = "give a ciphertext as the transform was prepared for";
            Err(CircuitError::mismatch(operation, what, left, right, remedy))
        };
        if x.level() != self.level {
            return mismatch("levels", self.level.to_string(), x.level().to_string());
        }
        if x.scale() != &self.input {
            return mismatch("scales", self.input.to_string(), x.scale().to_string());
        }
        if x.slots() != self.slots {
            return mismatch("slot counts", self.slots.to_string(), x.slots().to_string());
        }
        if x.components() != 2 {
            return mismatch("components", String::from("2"), x.components().to_string());
        }
        self.check_keys(ev)
    }

    /// Demands every key, up to the level.
    ///
    /// # Errors
    /// The first key that is missing or too short.
    pub fn check_keys(&self, ev: &Evaluator<'_, B>) -> Result<()> {
        let ctx = ev.ckks().context();
        for k in self.steps.baby.iter().chain(self.steps.giant.keys()) {
            if *k != 0 {
                let g = Galois::rotation(*k as i64, ctx.log_n());
                ctx.check_key("transform", self.level, ev.keys().galois("transform", g)?)?;
            }
        }
        Ok(())
    }

    /// The matrix times the slots of every item, one level down.
    ///
    /// # Errors
    /// As [`Transform::check`], before work starts.
    pub fn apply(&self, ev: &Evaluator<'_, B>, x: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        self.check(ev, x)?;
        let (ctx, items) = (ev.ckks().context(), x.items());
        let babies = self.babies(ev, x)?;
        let count = self.steps.baby.len();
        let mut total: Option<Extended<B>> = None;
        let giants: Vec<usize> = self.steps.giant.keys().copied().collect();
        let at_once = match &self.residues {
            Some(_) => giants.len(),
            None => 1,
        };
        let parts = giants
            .chunks(at_once.max(1))
            .zip(self.integers.chunks((at_once * count * self.length).max(1)));
        // The step without a rotation comes first: the sum starts with it.
        for (giants, integers) in parts {
            let lifted = match &self.residues {
                Some(_) => None,
                None => Some(ctx.lift_extended(self.level, giants.len() * count, integers)?),
            };
            let Some(plain) = self.residues.as_ref().or(lifted.as_ref()) else {
                continue;
            };
            // [item][giant step]
            let sums = ctx.products_extended(&babies, plain, count)?;
            for (i, giant) in giants.iter().enumerate() {
                let total = match &mut total {
                    Some(total) => total,
                    None => total.insert(ctx.extended_zero(self.level, items)?),
                };
                let sum = sums.view(ctx)?.map(|s| s.every_item(i, giants.len(), items));
                match *giant {
                    0 => ctx.add_extended(total, sum)?,
                    giant => {
                        let g = Galois::rotation(giant as i64, ctx.log_n());
                        ctx.add_rotated_view(total, sum, &[ev.keys().galois("transform", g)?], &[g])?;
                    }
                }
            }
        }
        let empty = || {
            RlweError::mismatch(
                "transform",
                "diagonals",
                0,
                "at least 1",
                "give a matrix that is not zero",
            )
        };
        let total = total.ok_or_else(empty)?;
        let inner = ctx.reduce_rescale(&total)?.ok_or_else(|| CircuitError::Levels {
            operation: String::from("a linear transform"),
            level: self.level,
            needed: 1,
            remedy: String::from("refresh the input at level 1 or above"),
        })?;
        Ok(Ciphertext::from_parts(inner, self.output.clone(), self.slots))
    }

    /// P times the rotations of every item, `[item][baby step]`, from one ModUp.
    fn babies(&self, ev: &Evaluator<'_, B>, x: &Ciphertext<B>) -> Result<Extended<B>> {
        let (ctx, count) = (ev.ckks().context(), self.steps.baby.len());
        let mut babies = ctx.extended(self.level, x.items() * count)?;
        let moving: Vec<Galois> = (self.steps.baby.iter().filter(|b| **b != 0))
            .map(|b| Galois::rotation(*b as i64, ctx.log_n()))
            .collect();
        let keys = moving.iter().map(|g| ev.keys().galois("transform", *g));
        let keys = keys.collect::<rlwe::Result<Vec<_>>>()?;
        // The step without a rotation comes first.
        let still = count - moving.len();
        for item in 0..x.items() {
            let one = x.rlwe().slice(item, 1)?;
            if still > 0 {
                let mut all = babies.view_mut(ctx)?;
                ctx.extend_into(all.part(|s| s.slice_items(item * count, 1)), &one)?;
            }
            if !moving.is_empty() {
                let (digits, repeated) = (ctx.mod_up(&one, 1)?, one.every(0, 0, moving.len())?);
                let mut all = babies.view_mut(ctx)?;
                let dst = all.part(|s| s.slice_items(item * count + still, moving.len()));
                ctx.rotate_extended_into(dst, &repeated, &digits, &keys, &moving)?;
            }
        }
        Ok(babies)
    }
}

#[cfg(all(test, feature = "fallback"))]
mod tests {
    use super::*;
    use crate::{
        arith::Complex,
        backend::cpu::Cpu,
        ckks::Release,
        ring::insecure_chain,
        rlwe::{Context, Params, SecretKey, Spec},
    };

    #[test]
    fn matrices_act_on_slots() {
        let chain = insecure_chain("insecure_n8_rational45_l3_d1").unwrap();
        let ctx = Context::new(Cpu::new(), Params::insecure(Spec { chain }).unwrap()).unwrap();
        let ckks = Ckks::new(&ctx);
        let secret = SecretKey::insecure_deterministic(&ctx, [5; 32]).unwrap();
        let (slots, top) = (64, ctx.params().top());
        let value = |i: usize| Complex::new((i * i % 13) as f64 / 13.0 - 0.5, (i * 5 % 7) as f64 / 7.0 - 0.5);
        let x: Vec<Complex> = (0..2 * slots).map(value).collect();
        let ct = ckks.encrypt(&secret, &x, 2, top).unwrap().expand(&ctx).unwrap();
        let reversal: Vec<usize> = (0..slots).rev().collect();
        let replication: Vec<usize> = (0..slots).map(|i| i % 4).collect();
        let few = |i: usize, j: usize| match (j + slots - i) % slots {
            0 | 3 | 17 | 60 => value(i + 2 * j),
            _ => Complex::default(),
        };
        let ones = vec![1.0; slots];
        for matrix in [
            Diagonals::gather(&reversal, &ones).unwrap(),
            Diagonals::gather(&replication, &ones).unwrap(),
            Diagonals::dense(slots, few).unwrap(),
            Diagonals::dense(slots, |i, j| value(3 * i + j).conj()).unwrap(),
            Diagonals::new(
                slots,
                [
                    (5, vec![Complex::from(0.5)]),
                    (-5, vec![Complex::new(0.0, 1.0); 2]),
                ],
            )
            .unwrap(),
        ] {
            let output = ckks.scale(Level(top.0 - 1)).unwrap().clone();
            let t = Transform::new(&ckks, &matrix, top, ct.scale(), &output).unwrap();
            let needs = t.add_needs(KeyNeeds::new(ctx.params()));
            let keys = secret.evaluation_keys(&needs).unwrap().expand(&ctx).unwrap();
            let y = t.apply(&Evaluator::new(&ckks, &keys), &ct).unwrap();
            assert_eq!((y.level(), y.scale()), (Level(top.0 - 1), &output));
            let have = ckks
                .decrypt(&secret, &y)
                .unwrap()
                .release(Release::Owner)
                .unwrap();
            let want = x.chunks(slots).flat_map(|x| matrix.apply(x)).collect::<Vec<_>>();
            for (have, want) in have.iter().zip(&want) {
                // 64 terms of size 1 with the noise of a rescale and a key switch at a scale of 2^45.
                assert!((*have - *want).abs() < 2f64.powi(-24), "{have:?} {want:?}");
            }
        }
        let t = Transform::new(
            &ckks,
            &Diagonals::gather(&reversal, &ones).unwrap(),
            top,
            ct.scale(),
            ct.scale(),
        );
        let keys = rlwe::EvaluationKeys::none();
        let error = t
            .unwrap()
            .apply(&Evaluator::new(&ckks, &keys), &ct)
            .err()
            .unwrap();
        assert!(error.to_string().contains("key"), "{error}");
    }
}
