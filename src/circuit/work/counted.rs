//! Lists of operations beside what the counting backend counts.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use std::collections::BTreeMap;

use super::{Meter, WorkList};
use crate::{
    backend::null::{Counts, Null, Operation, Tally},
    circuit::{Arithmetic, Encrypted, Forecast, Result},
    ckks::{Ciphertext, Ckks, Evaluator},
    ring::{Scale, insecure_chain},
    rlwe::{self, Context, KeyNeeds, Level, Params, SecretKey, Spec},
};

/// What was counted, memory apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::circuit) struct Sums {
    operations: BTreeMap<Operation, Tally>,
    key_switches: u64,
    products: u64,
}

impl Sums {
    fn add(&mut self, counts: &Counts) {
        for (operation, tally) in &counts.operations {
            let sum = self.operations.entry(*operation).or_default();
            sum.calls += tally.calls;
            sum.rows += tally.rows;
            sum.read_bytes += tally.read_bytes;
            sum.written_bytes += tally.written_bytes;
        }
        self.key_switches += counts.key_switches;
        self.products += counts.products;
    }

    /// Since the last reset, which it does again.
    pub(in crate::circuit) fn taken(null: &Null) -> Self {
        let mut sums = Self::default();
        sums.add(&null.counts());
        null.reset();
        sums
    }

    /// Of all operations of a list, each run as often as it is listed.
    pub(in crate::circuit) fn listed(null: &Null, meter: &Meter<Null>, list: &WorkList) -> Self {
        let mut sums = Self::default();
        for (work, count) in list.iter() {
            let mut run = meter.ready(work).unwrap();
            null.reset();
            (0..count).for_each(|_| run().unwrap());
            sums.add(&null.counts());
        }
        null.reset();
        sums
    }
}

/// Every operation of circuits, on values of one component more and less.
fn all<A: Arithmetic>(m: &mut A, x: &A::Value) -> Result<()> {
    let c = vec![0.25.into(); m.slots(x)];
    let sum = m.add(x, x)?;
    m.sub(&sum, x)?;
    m.neg(x)?;
    m.mul_i(x)?;
    m.add_const(x, 0.5.into())?;
    m.add_const(x, crate::arith::Complex::new(0.5, 0.25))?;
    m.add_slots(x, &c)?;
    let mut product = m.mul(x, &sum)?;
    let scale = m.scale(&product).div(&m.scale(x))?;
    m.mul_const_add(&mut product, x, 0.5, &scale)?;
    m.mul_slots_add(&mut product, x, &c, &scale)?;
    let two = m.mul_const(x, 0.5, &scale)?;
    let three = m.add(&product, &two)?;
    m.sub(&two, &three)?;
    let low = m.relinearise_rescale(&three)?;
    m.mul(&low, &low)?;
    let plain = m.mul_slots(x, &c, &Scale::pow2(30))?;
    m.relinearise_rescale(&plain)?;
    let below = Level(m.level(&low).0 - 1);
    m.lower(&low, below)?;
    let canonical = m.params().level("test", below)?.scale.clone();
    m.adjust_below(&low, &canonical)?;
    let many = m.concat(&[x.clone(), x.clone(), x.clone()])?;
    m.sum_items(&many)?;
    let one = m.every(&many, 1, 0, 2)?;
    m.at_scale(&one, Scale::pow2(31))?;
    Ok(())
}

#[test]
fn operations_of_circuits_are_listed_as_they_are_counted() {
    let null = Null::new();
    let chain = insecure_chain("insecure_n8_rational45_l3_d1").unwrap();
    let ctx = Context::new(null.clone(), Params::insecure(Spec { chain }).unwrap()).unwrap();
    let (ckks, top) = (Ckks::new(&ctx), ctx.params().top());
    let needs = KeyNeeds::new(ctx.params()).relinearise();
    let keys = SecretKey::generate(&ctx)
        .unwrap()
        .evaluation_keys(&needs)
        .unwrap();
    let keys = keys.into_keys(&ctx).unwrap();
    for (items, slots) in [(1, 128), (3, 16)] {
        let inner = rlwe::Ciphertext::zero(&ctx, top, items, 2).unwrap();
        let x = Ciphertext::from_parts(inner, ckks.scale(top).unwrap().clone(), slots);
        let ev = Evaluator::new(&ckks, &keys);
        null.reset();
        all(&mut Encrypted::new(&ev), &x).unwrap();
        let want = Sums::taken(&null);
        let mut forecast = Forecast::dry(ctx.params());
        let shape = forecast.like(&x);
        all(&mut forecast, &shape).unwrap();
        let meter = Meter::new(&ckks, Vec::new(), forecast.work()).unwrap();
        assert_eq!(
            Sums::listed(&null, &meter, forecast.work()),
            want,
            "{items} items"
        );
        // A list of other operations has no keys for these.
        let none = Meter::new(&ckks, Vec::new(), &WorkList::default()).unwrap();
        let relinearisations = forecast.work().iter().map(|(work, _)| none.ready(work));
        assert!(relinearisations.map(|run| run?()).any(|done| done.is_err()));
    }
}
