//! Times of listed operations.
//!
//! Each kind is measured at the highest level where it occurs with a number of digits, and taken in proportion to its rows at others: those of
//! the level and of P for what is extended, those of the level otherwise. Where rows of the lowest such level are a tenth fewer, it is measured
//! there too, and others lie on the line between. More baby rotations than there are keys to take in turn grow by what
//! one more takes.

use std::collections::BTreeMap;

use super::{Kind, Meter, Work, WorkList, meter::KEYS};
use crate::{
    backend::{Backend, Part, part::extrapolated},
    circuit::Result,
    rlwe::Level,
};

/// Levels with this share of the rows of another are measured there.
const NEAR: f64 = 0.9;

/// What is measured together: kind, ciphertexts, digits.
type Group = (Kind, usize, usize);

/// Times of the operations of a list.
pub(in crate::circuit) struct Times<'m, 'a, B: Backend> {
    meter: &'m Meter<'a, B>,
    /// The lowest and the highest level of every group, and how many operations it has.
    groups: BTreeMap<Group, (Level, Level, usize)>,
    measured: BTreeMap<Work, f64>,
}

impl<'m, 'a, B: Backend> Times<'m, 'a, B> {
    /// Of all that is in a list; nothing is measured yet.
    pub(in crate::circuit) fn new(meter: &'m Meter<'a, B>, all: &WorkList) -> Result<Self> {
        let mut times = Self {
            meter,
            groups: BTreeMap::new(),
            measured: BTreeMap::new(),
        };
        for (work, count) in all.iter() {
            let group = times.group(work)?;
            let all = times.groups.entry(group).or_insert((work.level, work.level, 0));
            *all = (all.0.min(work.level), all.1.max(work.level), all.2 + count);
        }
        Ok(times)
    }

    fn group(&self, work: &Work) -> Result<Group> {
        let kind = match work.kind {
            Kind::BabyRotations(_) => Kind::BabyRotations(0),
            kind => kind,
        };
        let level = self.meter.ckks().context().level("time", work.level)?;
        let digits = if kind.is_extended() { level.digits.len() } else { 0 };
        Ok((kind, work.items, digits))
    }

    /// Rows to which the time of an operation is in proportion.
    fn rows(&self, work: &Work) -> Result<f64> {
        let level = self.meter.ckks().context().level("time", work.level)?;
        let rows = match work.kind.is_extended() {
            true => level.extended.len(),
            false => level.rows.len(),
        };
        Ok(rows as f64)
    }

    /// Microseconds of an operation of the list.
    fn each_us(&mut self, work: &Work) -> Result<f64> {
        if let Kind::BabyRotations(count) = work.kind
            && count > KEYS
        {
            return extrapolated(count, KEYS, |count| {
                let kind = Kind::BabyRotations(count);
                self.each_us(&Work { kind, ..*work })
            });
        }
        let group = self.groups.get(&self.group(work)?).copied();
        let (lowest, highest, count) = group.unwrap_or((work.level, work.level, 1));
        let at = |level: Level| Work { level, ..*work };
        let (low, here, high) = (
            self.rows(&at(lowest))?,
            self.rows(work)?,
            self.rows(&at(highest))?,
        );
        let most = self.measured_us(&at(highest), count)?;
        if low >= NEAR * high {
            return Ok(most * here / high);
        }
        let least = self.measured_us(&at(lowest), count)?;
        Ok(least + (most - least) * (here - low) / (high - low))
    }

    /// Measures an operation, of which `count` come in a row, the first time.
    fn measured_us(&mut self, work: &Work, count: usize) -> Result<f64> {
        if let Some(us) = self.measured.get(work) {
            return Ok(*us);
        }
        let us = self.meter.usual_us(work, count)?;
        // Buffers of its size are not kept beside those of the next.
        self.meter.ckks().context().backend().trim();
        self.measured.insert(*work, us);
        Ok(us)
    }

    /// The parts of a list: operations of one name together, each with the mean of their times.
    pub(in crate::circuit) fn parts(&mut self, work: &WorkList) -> Result<Vec<Part>> {
        let mut parts: Vec<Part> = Vec::new();
        for (work, count) in work.iter() {
            let (name, us) = (work.kind.name(), self.each_us(work)?);
            let count = count as f64;
            match parts.iter_mut().find(|part| part.name == name) {
                Some(part) => {
                    let all = part.count * part.each_us + count * us;
                    part.count += count;
                    part.each_us = all / part.count;
                }
                None => parts.push(Part::new(name, count, us)),
            }
        }
        Ok(parts)
    }
}
