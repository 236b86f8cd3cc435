//! Operations on ciphertexts of zero, to be run as often as one likes.

use super::{Kind, Work, WorkList};
use crate::{
    arith::Complex,
    backend::{Backend, clock::usual_us, part::MEMORY},
    circuit::{Arithmetic, CircuitError, Encrypted, Result, linear::Transform},
    ckks::{Ciphertext, Ckks, Evaluator},
    ring::{Galois, Scale},
    rlwe::{self, EvaluationKeys, KeyNeeds, Level, RaiseKeys, SecretKey, SwitchKey},
};

/// Keys of rotations, which are taken in turn, as a computation meets each once or a few times: at least, and at most where keys are small.
pub(super) const KEYS: usize = 3;
const MOST_KEYS: usize = 32;
/// log2 of the scale of constants and plaintexts.
const CONSTANT_BITS: i32 = 10;

/// What is to be done about a list that does not go with its meter.
const DEFECT: &str = "this is a defect; report it";

/// One operation, ready to run.
pub(in crate::circuit) type Run<'m> = Box<dyn FnMut() -> Result<()> + 'm>;

/// Keys and transforms with which operations run.
pub(in crate::circuit) struct Meter<'a, B: Backend> {
    ckks: &'a Ckks<B>,
    transforms: Vec<&'a Transform<B>>,
    keys: EvaluationKeys<B>,
    raise: Option<RaiseKeys<B>>,
    /// The rotations that there are keys for.
    elements: Vec<Galois>,
}

/// Keys and their automorphisms.
type Set<'m, B> = (Vec<&'m SwitchKey<B>>, Vec<Galois>);

/// Sets that are taken one after the other, over and over.
struct Turns<'m, B: Backend> {
    sets: Vec<Set<'m, B>>,
    next: usize,
}

impl<B: Backend> Turns<'_, B> {
    fn take(&mut self) -> (&[&SwitchKey<B>], &[Galois]) {
        let turn = self.sets.get(self.next);
        self.next = (self.next + 1) % self.sets.len().max(1);
        turn.map_or((&[], &[]), |(keys, elements)| (keys, elements))
    }
}

/// An operation whose result is dropped.
fn run<'m, T: 'm>(mut operation: impl FnMut() -> Result<T> + 'm) -> Run<'m> {
    Box::new(move || operation().map(drop))
}

impl<'a, B: Backend> Meter<'a, B> {
    /// With keys of a secret of its own for a list of operations; `transforms` are those that the list means.
    pub(in crate::circuit) fn new(
        ckks: &'a Ckks<B>,
        transforms: Vec<&'a Transform<B>>,
        all: &WorkList,
    ) -> Result<Self> {
        let ctx = ckks.context();
        let highest = |kinds: &dyn Fn(Kind) -> bool| {
            let levels = all.iter().filter(|(work, _)| kinds(work.kind));
            levels.map(|(work, _)| work.level).max()
        };
        let mut needs = KeyNeeds::new(ctx.params());
        let mut elements = Vec::new();
        if let Some(level) = highest(&Kind::rotates) {
            let of = ctx.level("time", level)?;
            let bytes = (8 * of.digits.len() * of.extended.len()) << ctx.log_n();
            let steps = 1..=(MEMORY / bytes).clamp(KEYS, MOST_KEYS) as i64;
            elements = steps.clone().map(|k| Galois::rotation(k, ctx.log_n())).collect();
            needs = needs.up_to(level).rotate(steps);
        }
        if let Some(level) = highest(&|kind| kind == Kind::Relinearisation) {
            needs = needs.up_to(level).relinearise();
        }
        let secret = SecretKey::generate(ctx)?;
        let raise = match highest(&|kind| kind == Kind::Raise) {
            Some(_) => Some(secret.raise_keys()?.expand(ctx)?),
            None => None,
        };
        Ok(Self {
            ckks,
            transforms,
            keys: secret.evaluation_keys(&needs)?.into_keys(ctx)?,
            raise,
            elements,
        })
    }

    pub(super) fn ckks(&self) -> &'a Ckks<B> {
        self.ckks
    }

    /// Least microseconds of an operation, of which `count` come in a row; sums of products modulo some of the primes only, where their
    /// operands are large.
    pub(super) fn usual_us(&self, work: &Work, count: usize) -> Result<f64> {
        let ctx = self.ckks.context();
        if let Kind::ProductSums(at) = work.kind {
            let transform = self.transform(at)?;
            let all = ctx.level("time", work.level)?.extended.len();
            let baby = (8 * work.items * transform.steps().baby.len()) << ctx.log_n();
            let some = (MEMORY / baby.max(1)).clamp(1, all);
            let mut run = transform.product_sums(ctx, work.items, some)?;
            return Ok(usual_us(ctx.backend(), count, &mut run)? * all as f64 / some as f64);
        }
        usual_us(ctx.backend(), count, self.ready(work)?)
    }

    /// A transform of the list.
    fn transform(&self, at: usize) -> Result<&'a Transform<B>> {
        let missing = || CircuitError::mismatch("time", "transforms", self.transforms.len(), at, DEFECT);
        self.transforms.get(at).copied().ok_or_else(missing)
    }

    /// `components` polynomials a ciphertext, at the canonical scale times 2^`bits`.
    fn zeros(&self, work: &Work, components: usize, slots: usize, bits: i32) -> Result<Ciphertext<B>> {
        let inner = rlwe::Ciphertext::zero(self.ckks.context(), work.level, work.items, components)?;
        let scale = self.ckks.scale(work.level)?.clone().times_pow2(i64::from(bits))?;
        Ok(Ciphertext::from_parts(inner, scale, slots))
    }

    /// An operation with its operands, as a computation does it.
    pub(in crate::circuit) fn ready(&self, work: &Work) -> Result<Run<'_>> {
        let (ckks, ev) = (self.ckks, Evaluator::new(self.ckks, &self.keys));
        let most = ckks.max_slots();
        let zeros = |components: usize| self.zeros(work, components, most, 0);
        let scale = Scale::pow2(CONSTANT_BITS);
        Ok(match work.kind {
            Kind::Sum([a, b]) => {
                let (a, b) = (zeros(a)?, zeros(b)?);
                run(move || Ok(ev.add(&a, &b)?))
            }
            Kind::Difference([a, b]) => {
                let (a, b) = (zeros(a)?, zeros(b)?);
                run(move || Ok(ev.sub(&a, &b)?))
            }
            Kind::SumInPlace => {
                let (mut sum, b) = (zeros(2)?, zeros(2)?);
                run(move || Ok(ev.add_assign(&mut sum, &b)?))
            }
            Kind::Negation(components) => {
                let a = zeros(components)?;
                run(move || Ok(ev.neg(&a)?))
            }
            Kind::TimesI(components) => {
                let a = zeros(components)?;
                run(move || Ok(ev.mul_i(&a)?))
            }
            Kind::PlusConstant(components) => {
                let a = zeros(components)?;
                run(move || Ok(ev.add_const(&a, 0.5, 0.0)?))
            }
            Kind::PlusSlots(components, slots) => {
                let (a, c) = (self.zeros(work, components, slots, 0)?, halves(slots));
                run(move || Encrypted::new(&ev).add_slots(&a, &c))
            }
            Kind::TimesConstant(components) => {
                let a = zeros(components)?;
                run(move || Ok(ev.mul_const(&a, 0.5, &scale)?))
            }
            Kind::TimesConstantOnto([sum, a]) => {
                let (mut sum, a) = (self.zeros(work, sum, most, CONSTANT_BITS)?, zeros(a)?);
                run(move || Ok(ev.mul_const_add_assign(&mut sum, &a, 0.5, &scale)?))
            }
            Kind::TimesSlots(components, slots) => {
                let (a, c) = (self.zeros(work, components, slots, 0)?, halves(slots));
                run(move || Encrypted::new(&ev).mul_slots(&a, &c, &scale))
            }
            Kind::TimesSlotsOnto([sum, a], slots) => {
                let mut sum = self.zeros(work, sum, slots, CONSTANT_BITS)?;
                let (a, c) = (self.zeros(work, a, slots, 0)?, halves(slots));
                run(move || Encrypted::new(&ev).mul_slots_add(&mut sum, &a, &c, &scale))
            }
            Kind::Product => {
                let (a, b) = (zeros(2)?, zeros(2)?);
                run(move || Ok(ev.mul(&a, &b)?))
            }
            Kind::Relinearisation => {
                let a = zeros(3)?;
                run(move || Ok(ev.relinearise_rescale(&a)?))
            }
            Kind::Rescale(components) => {
                let a = zeros(components)?;
                run(move || Ok(ev.rescale(&a)?))
            }
            Kind::Rotation => {
                let (a, mut steps) = (zeros(2)?, (1..=self.elements.len() as i64).cycle());
                run(move || Ok(ev.rotate(&a, steps.next().unwrap_or(1))?))
            }
            Kind::Concatenation(parts, components) => {
                let items = work.items / parts.max(1);
                let part = self.zeros(&Work { items, ..*work }, components, most, 0)?;
                let parts = vec![part; parts];
                run(move || Ok(ev.concat(&parts)?))
            }
            Kind::ItemsSum(components) => {
                let a = zeros(components)?;
                run(move || Encrypted::new(&ev).sum_items(&a))
            }
            _ => self.undivided(work)?,
        })
    }

    /// Sets of `count` keys of rotations, from all that there are.
    fn turns(&self, count: usize) -> Result<Turns<'_, B>> {
        let all = self.elements.len();
        let set = |i: usize| -> Result<Set<'_, B>> {
            let elements = self.elements.iter().copied().cycle().skip(i * count % all.max(1));
            let elements: Vec<Galois> = elements.take(count).collect();
            let keys = elements.iter().map(|g| self.keys.galois("time", *g));
            Ok((keys.collect::<rlwe::Result<_>>()?, elements))
        };
        let sets = (0..all.div_ceil(count.max(1)).max(1)).map(set);
        Ok(Turns {
            sets: sets.collect::<Result<_>>()?,
            next: 0,
        })
    }

    /// As [`ready`](Self::ready), of ciphertexts that are not divided by P yet.
    fn undivided(&self, work: &Work) -> Result<Run<'_>> {
        let Work { kind, level, items } = *work;
        let ctx = self.ckks.context();
        let zeros = |level: Level| rlwe::Ciphertext::zero(ctx, level, items, 2);
        Ok(match kind {
            Kind::Extension => {
                let a = zeros(level)?;
                run(move || Ok(ctx.extend(&a)?))
            }
            Kind::ModUp => {
                let a = zeros(level)?;
                run(move || Ok(ctx.mod_up(&a, 1)?))
            }
            Kind::BabyRotations(count) => {
                let (a, mut turns) = (zeros(level)?, self.turns(count)?);
                let (digits, repeated) = (ctx.mod_up(&a, 1)?, a.every(0, 0, count)?);
                run(move || {
                    let (keys, elements) = turns.take();
                    let mut all = ctx.extended(level, count)?;
                    ctx.rotate_extended_into(all.view_mut(ctx)?, &repeated, &digits, keys, elements)?;
                    Ok(())
                })
            }
            Kind::ProductSums(at) => {
                let all = ctx.level("time", level)?.extended.len();
                run(self.transform(at)?.product_sums(ctx, items, all)?)
            }
            Kind::ExtendedZero => run(move || Ok(ctx.extended_zero(level, items)?)),
            Kind::ExtendedSum => {
                let (mut sum, a) = (ctx.extended_zero(level, items)?, ctx.extended_zero(level, items)?);
                run(move || Ok(ctx.add_extended(&mut sum, a.view(ctx)?)?))
            }
            Kind::GiantRotation => {
                let (mut sum, a) = (ctx.extended_zero(level, items)?, ctx.extended_zero(level, items)?);
                let mut turns = self.turns(1)?;
                run(move || {
                    let (keys, elements) = turns.take();
                    Ok(ctx.add_rotated(&mut sum, &a, keys, elements)?)
                })
            }
            Kind::Division => {
                let a = ctx.extended_zero(level, items)?;
                run(move || Ok(ctx.reduce_rescale(&a)?))
            }
            Kind::Raise => {
                let (a, keys) = (
                    zeros(Level(0))?,
                    self.raise.as_ref().ok_or_else(|| unlisted(work))?,
                );
                run(move || Ok(ctx.raise(&a, keys)?))
            }
            _ => return Err(unlisted(work)),
        })
    }
}

/// Numbers for slots.
fn halves(slots: usize) -> Vec<Complex> {
    vec![Complex::from(0.5); slots]
}

/// For an operation that the list of the meter did not have.
fn unlisted(work: &Work) -> CircuitError {
    let Work { kind, level, .. } = work;
    CircuitError::mismatch("time", "operations", format!("{kind:?}"), level, DEFECT)
}
