//! What computations on ciphertexts consist of: operations by kind, level and number of ciphertexts, each counted; and their time.
//!
//! A [`Forecast`](super::Forecast) lists what a circuit does, a transform what its application does. [`Times`] measures each kind once on the
//! backend at hand, on operands of its own size that hold zeros, and multiplies.

#[cfg(test)]
pub(in crate::circuit) mod counted;
mod meter;
mod times;

use std::collections::BTreeMap;

pub(in crate::circuit) use meter::Meter;
pub(in crate::circuit) use times::Times;

use crate::rlwe::Level;

/// A kind of operation. Numbers of components are those of the operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::circuit) enum Kind {
    /// From level 0 to the top, through a sparse secret; stated at the top.
    Raise,
    /// An automorphism and its division.
    Rotation,
    /// P times a ciphertext.
    Extension,
    /// The extended digits of a second component.
    ModUp,
    /// So many rotations of one set of digits, undivided.
    BabyRotations(usize),
    /// Sums of products of a transform, by its place in a list: all giant steps of all ciphertexts.
    ProductSums(usize),
    /// Extended ciphertexts of zero.
    ExtendedZero,
    /// The sum of undivided ciphertexts.
    ExtendedSum,
    /// A rotation of an undivided ciphertext, added to a sum.
    GiantRotation,
    /// The division by P and to the level below.
    Division,
    /// The sum of two ciphertexts in memory of its own.
    Sum([usize; 2]),
    /// Their difference.
    Difference([usize; 2]),
    /// A sum in the memory of the first operand.
    SumInPlace,
    /// -a.
    Negation(usize),
    /// i a.
    TimesI(usize),
    /// A real constant added.
    PlusConstant(usize),
    /// One number a slot added, encoding included: components and slots.
    PlusSlots(usize, usize),
    /// A product with a constant.
    TimesConstant(usize),
    /// A product with a constant, added to a sum: components of sum and operand.
    TimesConstantOnto([usize; 2]),
    /// A product with one number a slot, encoding included: components and slots.
    TimesSlots(usize, usize),
    /// The same, added to a sum: components of sum and operand, and slots.
    TimesSlotsOnto([usize; 2], usize),
    /// A product of ciphertexts.
    Product,
    /// From three components to two, and to the level below.
    Relinearisation,
    /// To the level below.
    Rescale(usize),
    /// So many batches of equal size, one after the other: components of each.
    Concatenation(usize, usize),
    /// The sum of all items.
    ItemsSum(usize),
}

impl Kind {
    /// What the part of a computation is called.
    fn name(self) -> &'static str {
        match self {
            Self::Raise => "raise",
            Self::Rotation => "rotation",
            Self::Extension => "extension",
            Self::ModUp => "ModUp",
            Self::BabyRotations(_) => "baby rotations",
            Self::ProductSums(_) => "sums of products",
            Self::ExtendedZero | Self::ExtendedSum => "extended sum",
            Self::GiantRotation => "giant rotation",
            Self::Division => "division",
            Self::Sum(_) | Self::Difference(_) | Self::SumInPlace | Self::ItemsSum(_) => "sum",
            Self::Negation(_) | Self::TimesI(_) => "unit",
            Self::PlusConstant(_) => "constant added",
            Self::PlusSlots(..) => "plaintext added",
            Self::TimesConstant(_) | Self::TimesConstantOnto(_) => "product with a constant",
            Self::TimesSlots(..) | Self::TimesSlotsOnto(..) => "product with a plaintext",
            Self::Product => "product",
            Self::Relinearisation => "relinearisation and rescale",
            Self::Rescale(_) => "rescale",
            Self::Concatenation(..) => "copy",
        }
    }

    /// Whether it works on the rows of the level and of P, in digits.
    fn is_extended(self) -> bool {
        matches!(
            self,
            Self::Raise
                | Self::Rotation
                | Self::Extension
                | Self::ModUp
                | Self::BabyRotations(_)
                | Self::ProductSums(_)
                | Self::ExtendedZero
                | Self::ExtendedSum
                | Self::GiantRotation
                | Self::Division
                | Self::Relinearisation
        )
    }

    /// Whether it takes a key of an automorphism.
    fn rotates(self) -> bool {
        matches!(
            self,
            Self::Rotation | Self::BabyRotations(_) | Self::GiantRotation
        )
    }
}

/// An operation on some ciphertexts of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::circuit) struct Work {
    pub(in crate::circuit) kind: Kind,
    pub(in crate::circuit) level: Level,
    /// Ciphertexts; of the results for a concatenation, of the operands otherwise.
    pub(in crate::circuit) items: usize,
}

/// Operations with their counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::circuit) struct WorkList(BTreeMap<Work, usize>);

impl WorkList {
    /// One more.
    pub(in crate::circuit) fn add(&mut self, kind: Kind, level: Level, items: usize) {
        self.add_many(Work { kind, level, items }, 1);
    }

    /// `count` more.
    pub(in crate::circuit) fn add_many(&mut self, work: Work, count: usize) {
        *self.0.entry(work).or_default() += count;
    }

    /// All of another list.
    pub(in crate::circuit) fn extend(&mut self, other: &Self) {
        other.iter().for_each(|(work, count)| self.add_many(*work, count));
    }

    /// Every operation and its count.
    pub(in crate::circuit) fn iter(&self) -> impl Iterator<Item = (&Work, usize)> {
        self.0.iter().map(|(work, count)| (work, *count))
    }

    /// Ciphertexts on which operations of some kinds work.
    pub(in crate::circuit) fn items_of(&self, kinds: impl Fn(Kind) -> bool) -> usize {
        let chosen = self.iter().filter(|(work, _)| kinds(work.kind));
        chosen.map(|(work, count)| work.items * count).sum()
    }
}
