//! The chains that come with the crate: their specifications, and the committed tables made from them.
//!
//! Names: `n{log2 N}_{kind}{scale bits}_l{levels}_d{digits}`; chains for tests on small rings, without any security, start
//! with `insecure_`. The tables are written by `cargo xtask chains`; `cargo xtask chains --check` and the tests build
//! them again and compare.

use super::{
    chain::{ChainKind, ChainSpec, ChainTable, LevelTable},
    tables,
};

/// A table as it is committed.
pub(super) struct Stored {
    pub(super) name: &'static str,
    pub(super) log_n: u32,
    pub(super) kind: ChainKind,
    pub(super) primes: &'static [u32],
    pub(super) special: &'static [u32],
    pub(super) digit_of: &'static [u8],
    /// S_l, nominal bits, absorbed bits.
    pub(super) levels: &'static [(&'static [u16], f64, i32)],
}

impl Stored {
    fn table(&self) -> ChainTable {
        ChainTable {
            log_n: self.log_n,
            kind: self.kind,
            primes: self.primes.to_vec(),
            special: self.special.to_vec(),
            digit_of: self.digit_of.to_vec(),
            levels: (self.levels.iter())
                .map(|(primes, nominal_bits, absorbed_bits)| LevelTable {
                    primes: primes.to_vec(),
                    nominal_bits: *nominal_bits,
                    absorbed_bits: *absorbed_bits,
                })
                .collect(),
        }
    }
}

/// The chain of this name, at least 128 bits secure; `None` for an unknown name. [`chains`] lists them.
pub fn chain(name: &str) -> Option<ChainTable> {
    tables::CHAINS.iter().find(|c| c.name == name).map(Stored::table)
}

/// All shipped chains of at least 128 bits, with their names.
pub fn chains() -> impl Iterator<Item = (&'static str, ChainTable)> {
    tables::CHAINS.iter().map(|c| (c.name, c.table()))
}

/// The chain for tests of this name (`insecure_...`), on a ring too small for any security; `None` for an unknown name.
pub fn insecure_chain(name: &str) -> Option<ChainTable> {
    tables::INSECURE
        .iter()
        .find(|c| c.name == name)
        .map(Stored::table)
}

/// All chains for tests, with their names. [`ChainTable::check`] refuses every one of them; `check_insecure` passes.
pub fn insecure_chains() -> impl Iterator<Item = (&'static str, ChainTable)> {
    tables::INSECURE.iter().map(|c| (c.name, c.table()))
}

/// The same scale at every level.
fn uniform(
    log_n: u32,
    kind: ChainKind,
    scale: u32,
    levels: usize,
    digits: usize,
    base_bits: f64,
) -> ChainSpec {
    ChainSpec {
        log_n,
        kind,
        scale_bits: vec![f64::from(scale); levels + 1],
        absorbed_bits: vec![0; levels],
        base_bits,
        digits,
        special_margin_bits: 2.0,
        max_log2_qp: None,
    }
}

fn name(spec: &ChainSpec) -> String {
    let (log_n, kind, digits) = (spec.log_n, spec.kind, spec.digits);
    let levels = spec.scale_bits.len().saturating_sub(1);
    format!("n{log_n}_{kind}{}_l{levels}_d{digits}", spec.scale(levels))
}

/// The specifications of [`chains`], in the order of the tables.
pub fn specs() -> Vec<(String, ChainSpec)> {
    use ChainKind::{Pair, Rational, Single};
    let mut all: Vec<(String, ChainSpec)> = [
        (12, Single, 28, 0, 2, 56.0),
        (12, Single, 28, 1, 3, 40.0),
        (13, Single, 28, 4, 3, 40.0),
        (13, Rational, 40, 2, 3, 50.0),
        (14, Rational, 35, 6, 3, 55.0),
        (14, Rational, 40, 5, 3, 60.0),
        (14, Rational, 45, 5, 3, 65.0),
        (15, Rational, 40, 13, 3, 60.0),
        (16, Rational, 40, 28, 3, 60.0),
        (14, Pair, 55, 4, 2, 60.0),
        (15, Pair, 55, 10, 3, 60.0),
        (16, Pair, 55, 21, 3, 60.0),
        (16, Pair, 55, 22, 3, 60.0),
    ]
    .map(|(log_n, kind, scale, levels, digits, base)| uniform(log_n, kind, scale, levels, digits, base))
    .map(|spec| (name(&spec), spec))
    .into();
    all.push(("langid".to_owned(), langid()));
    all.extend(bootstrapping().iter().map(|b| (b.name(), b.spec())));
    all
}

/// The chain of the language identifier: 8-bit weights; the steps of its layers absorb 16, 0, 8 and 32 bits of weight
/// scale from the top. Level 0 keeps 16 bits of them and 12 bits of message above its scale: 5 for the sum over 32 tokens, a
/// sign, and 6 for logits up to 64. Scales of 37 bits at levels 2 and 0 keep it within 430 bits with two digits.
fn langid() -> ChainSpec {
    ChainSpec {
        scale_bits: vec![37.0, 38.0, 37.0, 38.0, 38.0],
        absorbed_bits: vec![32, 8, 0, 16],
        ..uniform(14, ChainKind::Rational, 38, 4, 2, 37.0 + 16.0 + 12.0)
    }
}

/// One level of a bootstrapping chain: log2 of its scale, and the bits that the step down from it removes.
type Rung = (u32, u32);

/// What a bootstrapping chain consists of, from the top: the levels of CoeffsToSlots, EvalMod and SlotsToCoeffs, then
/// `levels` levels at the working scale that are left to the user, then the base.
///
/// The transforms multiply by plaintexts, whose scales are free: their steps need not be those that canonical scales ask for, and
/// negative absorbed bits make up for the difference.
struct Bootstrapping {
    log_n: u32,
    to_slots: Vec<Rung>,
    modular: Vec<Rung>,
    to_coefficients: Vec<Rung>,
    levels: usize,
    scale: u32,
    base: u32,
    digits: usize,
    /// Bits by which P exceeds every digit: those beyond 3 lower the noise of key switches below that of a rescale.
    margin: f64,
}

impl Bootstrapping {
    fn name(&self) -> String {
        let Self {
            log_n,
            scale,
            levels,
            digits,
            ..
        } = self;
        format!("n{log_n}_boot{scale}_l{levels}_d{digits}")
    }

    fn spec(&self) -> ChainSpec {
        let working = vec![(self.scale, self.scale); self.levels + 1];
        let rungs = [&self.to_slots, &self.modular, &self.to_coefficients, &working];
        let mut rungs: Vec<Rung> = rungs.into_iter().flatten().copied().collect();
        rungs.reverse();
        let absorbed = |pair: &[Rung]| match pair {
            [(below, _), (scale, step)] => step.cast_signed() + below.cast_signed() - 2 * scale.cast_signed(),
            _ => 0,
        };
        ChainSpec {
            log_n: self.log_n,
            kind: ChainKind::Mixed,
            scale_bits: rungs.iter().map(|(scale, _)| f64::from(*scale)).collect(),
            absorbed_bits: rungs.windows(2).map(absorbed).collect(),
            base_bits: f64::from(self.base),
            digits: self.digits,
            special_margin_bits: self.margin,
            max_log2_qp: None,
        }
    }
}

/// The chains of the bootstraps that come with the crate: throughput, precision by an arcsine and slots to coefficients first, a mask, slots to
/// coefficients first (whose rung below the reduction is the way to the working scale), and a small ring.
fn bootstrapping() -> Vec<Bootstrapping> {
    let throughput = Bootstrapping {
        log_n: 16,
        to_slots: vec![(58, 58); 3],
        modular: vec![(58, 58); 8],
        to_coefficients: vec![(48, 44), (45, 44), (44, 44)],
        levels: 12,
        scale: 40,
        base: 50,
        digits: 3,
        margin: 2.0,
    };
    let precision = Bootstrapping {
        to_slots: vec![(59, 57); 3],
        modular: vec![(59, 59); 11],
        to_coefficients: vec![(52, 48)],
        levels: 10,
        scale: 45,
        base: 48,
        digits: 4,
        margin: 8.0,
        ..throughput
    };
    let masked = Bootstrapping {
        to_slots: vec![(59, 59); 3],
        modular: vec![(59, 59); 8],
        to_coefficients: vec![(50, 48), (48, 48), (48, 48)],
        levels: 9,
        scale: 48,
        base: 55,
        ..throughput
    };
    let coefficients_first = Bootstrapping {
        to_slots: vec![(58, 58); 3],
        modular: vec![(58, 58); 8],
        to_coefficients: vec![(48, 40)],
        levels: 13,
        ..throughput
    };
    let small = Bootstrapping {
        log_n: 15,
        to_slots: vec![(54, 54); 3],
        modular: vec![(54, 54); 8],
        to_coefficients: vec![(46, 38), (42, 38)],
        levels: 1,
        scale: 38,
        base: 45,
        digits: 8,
        margin: 2.0,
    };
    vec![throughput, precision, masked, coefficients_first, small]
}

/// For tests of the bootstrap: two matrices each way, few levels left.
fn insecure_bootstrapping() -> Vec<Bootstrapping> {
    let usual = Bootstrapping {
        log_n: 10,
        to_slots: vec![(58, 58); 2],
        modular: vec![(58, 58); 8],
        to_coefficients: vec![(48, 42), (44, 42)],
        levels: 3,
        scale: 40,
        base: 50,
        digits: 3,
        margin: 2.0,
    };
    let arcsine = Bootstrapping {
        to_slots: vec![(59, 59); 2],
        modular: vec![(59, 59); 11],
        to_coefficients: vec![(54, 54); 2],
        levels: 2,
        scale: 54,
        base: 59,
        digits: 4,
        ..usual
    };
    let coefficients_first = Bootstrapping {
        to_slots: vec![(58, 58); 2],
        modular: vec![(58, 58); 8],
        to_coefficients: vec![(48, 48)],
        levels: 4,
        ..usual
    };
    vec![usual, arcsine, coefficients_first]
}

/// The specifications of [`insecure_chains`], in the order of the tables.
pub fn insecure_specs() -> Vec<(String, ChainSpec)> {
    use ChainKind::{Pair, Rational, Single};
    let mut all: Vec<(String, ChainSpec)> = [
        (4, Single, 28, 3, 1, 40.0),
        (4, Rational, 40, 3, 2, 60.0),
        (4, Pair, 55, 3, 9, 60.0),
        (5, Rational, 40, 4, 3, 60.0),
        (6, Single, 25, 4, 6, 40.0),
        (6, Pair, 55, 3, 2, 60.0),
        (8, Single, 28, 3, 4, 40.0),
        (8, Rational, 45, 3, 1, 60.0),
        (9, Pair, 50, 3, 3, 60.0),
        (10, Single, 28, 3, 2, 40.0),
        (10, Rational, 35, 4, 4, 55.0),
        (10, Pair, 55, 3, 1, 60.0),
        (12, Single, 28, 4, 3, 40.0),
        (12, Rational, 40, 4, 2, 60.0),
        (12, Pair, 55, 3, 3, 60.0),
    ]
    .map(|(log_n, kind, scale, levels, digits, base)| uniform(log_n, kind, scale, levels, digits, base))
    .map(|spec| (name(&spec), spec))
    .into();
    all.extend(insecure_bootstrapping().iter().map(|b| (b.name(), b.spec())));
    // The shape of `langid`, small.
    let langid = ChainSpec { log_n: 7, ..langid() };
    all.push((name(&langid), langid));
    let unbounded = |spec| ChainSpec {
        max_log2_qp: Some(4000.0),
        ..spec
    };
    all.into_iter()
        .map(|(name, spec)| (format!("insecure_{name}"), unbounded(spec)))
        .collect()
}
