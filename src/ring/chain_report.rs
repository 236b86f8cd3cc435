//! What a checked chain amounts to: exact scales, rows, bits and security, as data and as a table to read.

use std::fmt;

use super::{
    chain::{ChainKind, ChainTable},
    crt,
    scale::Scale,
    security,
};

/// One level of a [`ChainReport`].
#[derive(Clone, Debug, PartialEq)]
pub struct LevelReport {
    /// Residue rows, |S_l|.
    pub rows: usize,
    /// log2(Q_l).
    pub log2_q: f64,
    /// Nominal log2 of the scale.
    pub nominal_bits: f64,
    /// The exact scale.
    pub scale: Scale,
    /// Weight bits absorbed by the step down.
    pub absorbed_bits: i32,
    /// Bits of the primes removed by the step down; empty at level 0.
    pub removed_bits: Vec<f64>,
    /// Bits of the primes added by the step down.
    pub added_bits: Vec<f64>,
    /// Digits with a prime at this level.
    pub digits: usize,
}

/// The result of [`ChainTable::check`]; its `Display` is a table.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainReport {
    /// log2 of the ring degree.
    pub log_n: u32,
    /// What steps may do.
    pub kind: ChainKind,
    /// The levels, level 0 first.
    pub levels: Vec<LevelReport>,
    /// Primes of U.
    pub primes: usize,
    /// Primes of P.
    pub special: usize,
    /// log2 of every digit's product.
    pub digit_bits: Vec<f64>,
    /// log2(prod(U)).
    pub log2_u: f64,
    /// log2(prod(P)).
    pub log2_p: f64,
    /// Largest |log2(scale) - nominal|.
    pub worst_deviation_bits: f64,
    /// Security tier (256, 192, 128; 0 is insecure) of eprint 2024/463 for log2(UP).
    pub security_bits: u32,
}

impl ChainReport {
    pub(super) fn new(table: &ChainTable, scales: Vec<Scale>) -> Self {
        let bits = |indices: Vec<u16>| -> Vec<f64> {
            let primes = indices.iter().filter_map(|i| table.primes.get(usize::from(*i)));
            primes.map(|p| f64::from(*p).log2()).collect()
        };
        let levels: Vec<LevelReport> = (table.levels.iter().zip(scales).enumerate())
            .map(|(level, (at, scale))| {
                let (added, removed) = table.step(level);
                let mut digits: Vec<_> = at
                    .primes
                    .iter()
                    .map(|i| table.digit_of.get(usize::from(*i)))
                    .collect();
                digits.dedup();
                LevelReport {
                    rows: at.primes.len(),
                    log2_q: table.log2_q(level),
                    nominal_bits: at.nominal_bits,
                    scale,
                    absorbed_bits: at.absorbed_bits,
                    removed_bits: bits(removed),
                    added_bits: bits(added),
                    digits: digits.len(),
                }
            })
            .collect();
        let deviation = |l: &LevelReport| (l.scale.log2() - l.nominal_bits).abs();
        let count = u8::try_from(table.digits()).unwrap_or(u8::MAX);
        Self {
            log_n: table.log_n,
            kind: table.kind,
            primes: table.primes.len(),
            special: table.special.len(),
            digit_bits: (0..count)
                .map(|d| crt::log2_product(&table.digit_primes(d)))
                .collect(),
            log2_u: crt::log2_product(&table.primes),
            log2_p: crt::log2_product(&table.special),
            worst_deviation_bits: levels.iter().map(deviation).fold(0.0, f64::max),
            security_bits: security::classical_bits(table.log_n, crt::log2_product(&table.all_primes())),
            levels,
        }
    }

    /// log2(prod(U) prod(P)), what security is judged on.
    pub fn log2_up(&self) -> f64 {
        self.log2_u + self.log2_p
    }

    /// Residue rows of all levels together.
    pub fn total_rows(&self) -> usize {
        self.levels.iter().map(|l| l.rows).sum()
    }

    /// One line: levels, rows from the top, digits, special primes, bits and security.
    pub fn summary(&self) -> String {
        let rows: Vec<String> = self.levels.iter().rev().map(|l| l.rows.to_string()).collect();
        format!(
            "N=2^{} {} levels {} rows {} of {} primes, {} digits, P {} primes, log2 U {:.1} P {:.1} UP {:.1}, deviation {:.1e}, {}",
            self.log_n,
            self.kind,
            self.levels.len().saturating_sub(1),
            rows.join(","),
            self.primes,
            self.digit_bits.len(),
            self.special,
            self.log2_u,
            self.log2_p,
            self.log2_up(),
            self.worst_deviation_bits,
            self.security()
        )
    }

    fn security(&self) -> String {
        match (
            self.security_bits,
            security::interpolated_bits(self.log_n, self.log2_up()),
        ) {
            (0, _) => "INSECURE".to_owned(),
            (bits, Some(about)) => format!(">= {bits} bits (about {about:.0})"),
            (bits, None) => format!(">= {bits} bits"),
        }
    }
}

impl fmt::Display for ChainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |bits: &[f64]| {
            let texts: Vec<String> = bits.iter().map(|b| format!("{b:.2}")).collect();
            texts.join(" ")
        };
        writeln!(f, "{} chain, N = 2^{}", self.kind, self.log_n)?;
        writeln!(
            f,
            "level  rows  digits  log2 Q   scale     off nominal  absorbs  step down: removes / adds (bits)"
        )?;
        for (level, l) in self.levels.iter().enumerate().rev() {
            let mut step = join(&l.removed_bits);
            if !l.added_bits.is_empty() {
                step = format!("{step} / {}", join(&l.added_bits));
            }
            let line = format!(
                "{level:>5}  {:>4}  {:>6}  {:>7.2}  {:<9} {:>+11.1e}  {:>7}  {step}",
                l.rows,
                l.digits,
                l.log2_q,
                l.scale.to_string(),
                l.scale.log2() - l.nominal_bits,
                if l.absorbed_bits == 0 {
                    "-".to_owned()
                } else {
                    l.absorbed_bits.to_string()
                },
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        writeln!(
            f,
            "U {} primes, {:.2} bits; digits {}",
            self.primes,
            self.log2_u,
            join(&self.digit_bits)
        )?;
        writeln!(f, "P {} primes, {:.2} bits", self.special, self.log2_p)?;
        match security::max_log2_qp(self.log_n, 128) {
            Some(bound) => write!(
                f,
                "UP {:.2} of {bound} bits; security {}",
                self.log2_up(),
                self.security()
            ),
            None => write!(f, "UP {:.2} bits; security {}", self.log2_up(), self.security()),
        }
    }
}
