//! What a bootstrap takes on the machine at hand, before it runs: what it does, counted, times what each part takes, measured.
//!
//! | part | counted |
//! |---|---|
//! | raise | one, measured as a whole: two key switches and the lift |
//! | trace, conjugation, joining of halves | rotations with their sums |
//! | a matrix | for each ciphertext extension, ModUp, baby rotations; for all of them sums of products with the diagonals as they are kept, giant rotations, one division |
//! | planning | how the polynomials are evaluated, and at which scales: one rehearsal on the host, which matters on small rings only |
//! | modular reduction | what a [`Forecast`] lists when the reduction runs on it: products, relinearisations, constants, by level |
//!
//! Sums of products are measured for each matrix, modulo some of its primes; everything else once for each number of digits, at the
//! highest level, and taken in proportion to the rows at others. A test holds counts, levels and sizes to those of the counting backend: all
//! listed operations, run one by one, are counted exactly as a bootstrap is.

use std::hint::black_box;

use super::{Bootstrapper, Order, Stage, run::reduce};
use crate::{
    backend::{Backend, Part, clock::usual_us},
    circuit::{
        Forecast, Result,
        linear::Transform,
        work::{Kind, Meter, Times, WorkList},
    },
    rlwe::Level,
};

/// A stage with the times of its parts.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct StageTime {
    /// The stage.
    pub stage: Stage,
    /// Its parts.
    pub parts: Vec<Part>,
}

impl StageTime {
    /// Seconds of all parts.
    pub fn seconds(&self) -> f64 {
        Part::sum_us(&self.parts) * 1e-6
    }
}

/// What a bootstrap takes.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Time {
    /// Its stages in order.
    pub stages: Vec<StageTime>,
}

impl Time {
    /// Seconds of all stages.
    pub fn seconds(&self) -> f64 {
        self.stages.iter().map(StageTime::seconds).sum()
    }
}

impl<B: Backend> Bootstrapper<B> {
    /// Foretells the time of a bootstrap of `items` ciphertexts of the lowest level, with expanded keys and with diagonals as they are now. Measures
    /// every part on the context's backend, on zeros and with a few keys of its own: at N = 2^16 some seconds and some hundred MB.
    ///
    /// # Errors
    /// No randomness, no memory, a failure of the device.
    pub fn time(&self, items: usize) -> Result<Time> {
        let work = self.work(items)?;
        let mut all = WorkList::default();
        work.iter().for_each(|(_, list)| all.extend(list));
        let meter = Meter::new(&self.ckks, self.matrices().collect(), &all)?;
        let mut times = Times::new(&meter, &all)?;
        let stage = |(stage, list): &(Stage, WorkList)| -> Result<StageTime> {
            let mut parts = times.parts(list)?;
            if *stage == Stage::ModularReduction {
                let us = usual_us(self.ckks.context().backend(), 1, || {
                    self.rehearsed(items).map(|rehearsed| drop(black_box(rehearsed)))
                })?;
                parts.push(Part::new("planning", 1.0, us));
            }
            Ok(StageTime { stage: *stage, parts })
        };
        let stages = work.iter().map(stage).collect::<Result<_>>()?;
        Ok(Time { stages })
    }

    /// The modular reduction of `items` ciphertexts, real and imaginary parts apart, and the level where it ends.
    fn rehearsed(&self, items: usize) -> Result<(WorkList, Level)> {
        let (level, parts) = (self.reduction_level(), if self.is_packed() { 1 } else { 2 });
        let mut forecast = Forecast::dry(self.ckks.context().params());
        let x = forecast.shape(level, self.ckks.scale(level)?, parts * items, self.wide());
        let end = reduce(&mut forecast, &x, self)?.level();
        Ok((forecast.work().clone(), end))
    }

    /// All matrices, as lists of work number them.
    fn matrices(&self) -> impl Iterator<Item = &Transform<B>> {
        self.to_slots.iter().chain(&self.to_coefficients)
    }

    /// What a bootstrap of ciphertexts of the lowest level does, stage by stage: the methods of `run`, in their order.
    fn work(&self, items: usize) -> Result<Vec<(Stage, WorkList)>> {
        let (spec, top) = (&self.spec, self.ckks.context().params().top());
        let (start, reduced) = (spec.input_level(), self.reduction_level());
        let mut before = WorkList::default();
        if spec.mask {
            before.add(Kind::TimesSlots(2, spec.slots), start, items);
            before.add(Kind::Rescale(2), start, items);
        }
        let mut raise = WorkList::default();
        raise.add(Kind::Raise, top, items);
        if self.lift > 0 {
            raise.add(Kind::TimesConstant(2), top, items);
        }

        let mut to_slots = WorkList::default();
        for _ in self.trace() {
            to_slots.add(Kind::Rotation, top, items);
            to_slots.add(Kind::SumInPlace, top, items);
        }
        for (place, matrix) in self.to_slots.iter().enumerate() {
            matrix.add_work(&mut to_slots, place, items);
        }
        to_slots.add(Kind::Rotation, reduced, items);
        to_slots.add(Kind::Sum([2, 2]), reduced, items);
        if !self.is_packed() {
            to_slots.add(Kind::Difference([2, 2]), reduced, items);
            to_slots.add(Kind::TimesI(2), reduced, items);
            to_slots.add(Kind::Concatenation(2, 2), reduced, 2 * items);
        }

        let (mut reduction, sine) = self.rehearsed(items)?;

        let mut back = WorkList::default();
        for (place, matrix) in (self.to_slots.len()..).zip(&self.to_coefficients) {
            matrix.add_work(&mut back, place, items);
        }
        let halves = |list: &mut WorkList, level: Level| {
            list.add(Kind::Rotation, level, items);
            list.add(Kind::SumInPlace, level, items);
        };
        let complex = |list: &mut WorkList| {
            list.add(Kind::TimesI(2), sine, items);
            list.add(Kind::Sum([2, 2]), sine, items);
        };
        let to_coefficients = Stage::SlotsToCoefficients;
        let middle = [(Stage::Raise, raise), (Stage::CoefficientsToSlots, to_slots)];
        if spec.order == Order::CoefficientsFirst {
            before.extend(&back);
            if self.is_packed() {
                reduction.add(Kind::TimesSlots(2, self.wide()), sine, items);
                reduction.add(Kind::Rescale(2), sine, items);
                halves(&mut reduction, self.output_level());
            } else {
                complex(&mut reduction);
                reduction.add(Kind::TimesConstant(2), sine, items);
                reduction.add(Kind::Rescale(2), sine, items);
            }
            let all = [(to_coefficients, before)].into_iter().chain(middle);
            return Ok(all.chain([(Stage::ModularReduction, reduction)]).collect());
        }
        match self.is_packed() {
            true => halves(&mut back, self.output_level()),
            false => complex(&mut back),
        }
        let [(first, mut raise), to_slots] = middle;
        raise.extend(&before);
        let all = [(first, raise), to_slots, (Stage::ModularReduction, reduction)];
        Ok(all.into_iter().chain([(to_coefficients, back)]).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

    use super::*;
    use crate::{
        arith::Complex,
        backend::null::Null,
        circuit::{
            bootstrap::{BootstrapSpec, Preset, SeededBootstrapKeys, insecure_presets, presets},
            work::counted::Sums,
        },
        ckks::Ckks,
        rlwe::{Context, KeyNeeds, SecretKey},
    };

    /// Every stage of a bootstrap on the counting backend, beside what it is said to consist of.
    fn check(preset: &Preset, spec: &BootstrapSpec, items: usize, expanded: bool) {
        let null = Null::new();
        let ctx = Context::new(null.clone(), preset.params().unwrap()).unwrap();
        let ckks = Ckks::new(&ctx);
        let mut b = Bootstrapper::new(&ckks, spec).unwrap();
        if expanded {
            b = b.expanded().unwrap();
        }
        let secret = SecretKey::generate(&ctx).unwrap();
        let needs = KeyNeeds::new(ctx.params());
        let seeded = SeededBootstrapKeys::generate(&secret, &b, needs, |_, _| ()).unwrap();
        let keys = seeded.into_keys(&ctx).unwrap();
        let values = vec![Complex::default(); items * spec.slots];
        let ct = ckks.encrypt(&secret, &values, items, spec.input_level()).unwrap();
        let ct = ct.expand(&ctx).unwrap();
        let mut counted = Vec::new();
        null.reset();
        b.bootstrap_with(&keys, &ct, |stage| {
            counted.push((stage, Sums::taken(&null)));
            Ok(())
        })
        .unwrap();

        let work = b.work(items).unwrap();
        let mut all = WorkList::default();
        work.iter().for_each(|(_, list)| all.extend(list));
        let meter = Meter::new(&ckks, b.matrices().collect(), &all).unwrap();
        let what = format!(
            "{}, {} slots, {items} items, expanded: {expanded}",
            preset.name, spec.slots
        );
        assert_eq!(work.len(), counted.len(), "{what}");
        for ((stage, list), (at, want)) in work.iter().zip(&counted) {
            let have = Sums::listed(&null, &meter, list);
            assert_ne!(have, Sums::default());
            assert_eq!((stage, &have), (at, want), "{what}");
        }
    }

    #[test]
    fn what_is_timed_is_what_a_bootstrap_does() {
        for preset in insecure_presets() {
            for (items, expanded) in [(1, false), (3, true)] {
                check(&preset, &preset.spec, items, expanded);
            }
            let few = BootstrapSpec {
                slots: 16,
                ..preset.spec.clone()
            };
            check(&preset, &few, 2, false);
            if preset.spec.order == Order::RaiseFirst {
                let masked = BootstrapSpec {
                    mask: true,
                    ..preset.spec.clone()
                };
                check(&preset, &masked, 1, false);
            }
        }
        for preset in presets() {
            check(&preset, &preset.spec, 1, preset.name == "throughput");
        }
    }

    /// On the counting backend nothing takes long: every stage has its parts, each of which was measured.
    #[test]
    fn every_stage_has_its_time() {
        for preset in insecure_presets() {
            let ctx = Context::new(Null::new(), preset.params().unwrap()).unwrap();
            let b = Bootstrapper::new(&Ckks::new(&ctx), &preset.spec).unwrap();
            let time = b.time(1).unwrap();
            assert_eq!(time.stages.len(), 4);
            for StageTime { stage, parts } in &time.stages {
                assert!(!parts.is_empty(), "{stage:?}");
                for Part { name, count, each_us } in parts {
                    assert!(*count >= 1.0 && *each_us > 0.0, "{stage:?}, {name}");
                }
            }
            let sum: f64 = time.stages.iter().map(StageTime::seconds).sum();
            assert_eq!(time.seconds(), sum);
        }
    }
}
