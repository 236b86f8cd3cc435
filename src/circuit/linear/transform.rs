//! A matrix prepared for ciphertexts of a level.

use std::collections::{BTreeMap, BTreeSet};

use super::Diagonals;
use crate::{
    arith::Double,
    backend::Backend,
    circuit::{CircuitError, Result},
    ckks::{Ciphertext, Ckks, Evaluator, step_ratio},
    ring::{Galois, Scale},
    rlwe::{self, Extended, ExtendedPlain, KeyNeeds, Level, RlweError},
};

/// What a giant step costs beside a baby step, keys counted.
const GIANT: f64 = 1.5;

/// Baby and giant steps of a set of rotations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Rotations of the operand.
    pub baby: Vec<usize>,
    /// Rotations of sums, each with the rotations of the operand in it.
    pub giant: BTreeMap<usize, Vec<usize>>,
}

impl Steps {
    /// The cheapest of those whose number of baby steps is a power of two.
    fn new(slots: usize, rotations: &[usize]) -> Self {
        let stride = rotations.iter().fold(slots, |a, b| gcd(a, *b)).max(1);
        let signed = |centred: bool| {
            let of = move |k: &usize| match centred && *k > slots / 2 {
                true => (*k as i64 - slots as i64) / stride as i64,
                false => (*k / stride) as i64,
            };
            rotations.iter().map(of).collect::<Vec<_>>()
        };
        let plan = |of: &[i64], count: i64| {
            let wrap = |j: i64| (j * stride as i64).rem_euclid(slots as i64) as usize;
            let mut giant: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            let mut baby = BTreeSet::new();
            for j in of {
                let b = wrap(j.rem_euclid(count));
                baby.insert(b);
                giant.entry(wrap(j - j.rem_euclid(count))).or_default().push(b);
            }
            Self {
                baby: baby.into_iter().collect(),
                giant,
            }
        };
        let cost = |steps: &Self| {
            let moving = |k: &&usize| **k != 0;
            let (baby, giant) = (
                steps.baby.iter().filter(moving).count(),
                steps.giant.keys().filter(moving).count(),
            );
            baby as f64 + GIANT * giant as f64
        };
        let most = (slots / stride).max(1).ilog2();
        let all = (0..=most).flat_map(|log| {
            let count = 1i64 << log;
            [plan(&signed(true), count), plan(&signed(false), count)]
        });
        let none = Self {
            baby: Vec::new(),
            giant: BTreeMap::new(),
        };
        all.min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap_or(none)
    }
}

/// A diagonal, rotated for its giant step: 2 integers a period, lifted to residues when it is used, or once.
struct Light<B: Backend> {
    baby: usize,
    integers: Vec<i64>,
    residues: Option<ExtendedPlain<B>>,
}

/// A matrix for ciphertexts at a level and scale, with the scale of its result at the level below.
pub struct Transform<B: Backend> {
    slots: usize,
    level: Level,
    input: Scale,
    output: Scale,
    steps: Steps,
    plain: BTreeMap<usize, Vec<Light<B>>>,
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
        let (mut plain, mut out) = (BTreeMap::new(), vec![0i64; params.degree()]);
        for (giant, babies) in &steps.giant {
            let mut lights = Vec::with_capacity(babies.len());
            for baby in babies {
                let Some(diagonal) = matrix.get((giant + baby) % slots) else {
                    continue;
                };
                let period = diagonal.len();
                let back = period - giant % period;
                let turned: Vec<_> = diagonal.iter().cycle().skip(back).take(period).copied().collect();
                ckks.embedding()
                    .embed(&turned, Double { hi, lo }, &mut out)
                    .map_err(crate::ckks::CkksError::from)?;
                let gap = out.len() / (2 * period);
                lights.push(Light {
                    baby: *baby,
                    integers: out.iter().step_by(gap).copied().collect(),
                    residues: None,
                });
            }
            plain.insert(*giant, lights);
        }
        Ok(Self {
            slots,
            level,
            input: input.clone(),
            output: output.clone(),
            steps,
            plain,
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

    /// Number of diagonals.
    pub fn diagonals(&self) -> usize {
        self.plain.values().map(Vec::len).sum()
    }

    /// Bytes of the diagonals, residues of those that were expanded included.
    pub fn bytes(&self) -> usize {
        let lights = self.plain.values().flatten();
        let each = |l: &Light<B>| 8 * l.integers.len() + l.residues.as_ref().map_or(0, ExtendedPlain::bytes);
        lights.map(each).sum()
    }

    /// Lifts all diagonals once and keeps their residues: rows of the level and of P for each, for less work in every use.
    ///
    /// # Errors
    /// No memory.
    pub fn expand(&mut self, ckks: &Ckks<B>) -> Result<()> {
        for light in self.plain.values_mut().flatten() {
            light.residues = Some(ckks.context().lift_extended(self.level, &light.integers)?);
        }
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
        let ctx = ev.ckks().context();
        let operand = x.rlwe();
        let key = |k: usize| -> rlwe::Result<_> {
            let g = Galois::rotation(k as i64, ctx.log_n());
            Ok((ev.keys().galois("transform", g)?, g))
        };
        let moving = self.steps.baby.iter().any(|b| *b != 0);
        let digits = moving.then(|| ctx.mod_up(operand, 1)).transpose()?;
        let mut babies: BTreeMap<usize, Extended<B>> = BTreeMap::new();
        for b in &self.steps.baby {
            let rotated = match &digits {
                Some(digits) if *b != 0 => {
                    let (key, g) = key(*b)?;
                    ctx.rotate_extended(operand, digits, &[key], &[g])?
                }
                _ => ctx.extend(operand)?,
            };
            babies.insert(*b, rotated);
        }
        drop(digits);
        let mut total: Option<Extended<B>> = None;
        // The step without a rotation comes first: the sum starts with it.
        for (giant, lights) in &self.plain {
            let lifted = lights
                .iter()
                .map(|l| match &l.residues {
                    Some(_) => Ok(None),
                    None => ctx.lift_extended(self.level, &l.integers).map(Some),
                })
                .collect::<rlwe::Result<Vec<_>>>()?;
            let pairs = lights.iter().zip(&lifted);
            let terms: Vec<(&Extended<B>, &ExtendedPlain<B>)> = pairs
                .filter_map(|(l, lifted)| {
                    Some((babies.get(&l.baby)?, l.residues.as_ref().or(lifted.as_ref())?))
                })
                .collect();
            let sum = ctx.inner_product_extended(&terms)?;
            drop(lifted);
            match (&mut total, *giant) {
                (None, 0) => total = Some(sum),
                (Some(total), 0) => ctx.add_extended(total, &sum)?,
                (total, giant) => {
                    let total = match total {
                        Some(total) => total,
                        None => total.insert(ctx.extended_zero(self.level, x.items())?),
                    };
                    let (key, g) = key(giant)?;
                    ctx.add_rotated(total, &sum, &[key], &[g])?;
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
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
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

    fn steps(slots: usize, rotations: impl IntoIterator<Item = usize>) -> (usize, usize) {
        let rotations: Vec<usize> = rotations.into_iter().collect();
        let steps = Steps::new(slots, &rotations);
        let mut covered: Vec<usize> = steps
            .giant
            .iter()
            .flat_map(|(g, all)| all.iter().map(move |b| (g + b) % slots))
            .collect();
        covered.sort_unstable();
        assert_eq!(covered, rotations);
        (steps.baby.len(), steps.giant.len())
    }

    #[test]
    fn steps_cover_the_rotations_with_few_keys() {
        let ring = |j: i64| (16 * j).rem_euclid(1024) as usize;
        let mut run: Vec<usize> = (-15..=15).map(ring).collect();
        run.sort_unstable();
        let (baby, giant) = steps(1024, run);
        assert!(baby + giant <= 12, "{baby} + {giant}");
        let (baby, giant) = steps(32, 0..32);
        assert!(baby + giant <= 12, "{baby} + {giant}");
        assert_eq!(steps(8, [0]), (1, 1));
        assert_eq!(steps(8, [3]), (1, 1));
    }

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
