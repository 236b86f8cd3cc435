//! Base conversions, alone and with the outer pass of their targets; digits (ModUp) and divisions (ModDown, rescaling).

use super::{
    Cuda,
    device::{Argument, Cost, Grid, rows},
    memory::Buffer,
    ntt::{ByStages, Tables},
    operands::{
        Addend, ConversionConstants, Conversions, MAX_CONVERSIONS, MAX_ROWS, MAX_TARGETS, Shape, narrow,
    },
};
use crate::{
    backend::{BackendError, BasisStep, DigitStep, Mut, Ref, Result, Row, Span, derived, prime::montgomery},
    ring::Conversion,
};

/// Threads and coefficients of a block of a conversion alone, and its targets.
const COEFFICIENTS: u32 = 128;
const TARGETS_A_BLOCK: u32 = 16;
/// Sources of a conversion alone: as many as the scaled rows of a block fit 48 KiB of shared memory.
const MAX_SOURCES: usize = 96;

/// log2 of the coefficients of a block that transforms its targets, its threads, and its targets.
const LOG_TILE: u32 = 10;
const WORKERS: u32 = 512;
const GROUP: usize = 24;
/// Targets that are formed together, and words of shared memory of as many.
const AT_ONCE: usize = 4;
const TILES: usize = AT_ONCE * ((1 << LOG_TILE) + (1 << LOG_TILE) / 16);
/// Sources that a block keeps in shared memory: two blocks then fit the 164 KiB of a multiprocessor. Those beyond are read again for every
/// four targets.
const KEPT_SOURCES: usize = 15;
/// Sources with whose weights two blocks still fit.
const MAX_SOURCES_WITH_TRANSFORM: usize = 35;
const CONVERT_OUTER: ByStages = [
    "convert_outer_3",
    "convert_outer_4",
    "convert_outer_5",
    "convert_outer_6",
    "convert_outer_7",
    "convert_outer_8",
];

/// A conversion on the device: fractions, factors, weights.
pub struct Prepared {
    constants: Buffer,
    sources: usize,
    targets: usize,
    /// What the inverse transform of each source ends with, so that it is scaled.
    pub(super) ends: Vec<[u32; 2]>,
}

impl Prepared {
    pub(super) fn new(cuda: &Cuda, t: &Tables, c: &Conversion) -> Result<Self> {
        if c.sources.len() > MAX_SOURCES || c.targets.len() > MAX_ROWS {
            let need = "conversions from more than 96 or to more than 192 primes on CUDA";
            return Err(BackendError::Unsupported { need });
        }
        let form = |prime: &u32, x: u32| montgomery(t.moduli[*prime as usize], x);
        let mut words: Vec<u32> = bytemuck::cast_slice(&c.fraction).to_vec();
        words.extend(c.sources.iter().zip(&c.source_factor).map(|(q, f)| form(q, *f)));
        let weights = c.weights.chunks(c.sources.len().max(1));
        for ((r, weights), overflow) in c.targets.iter().zip(weights).zip(&c.overflow) {
            words.extend(weights.iter().chain([overflow]).map(|w| form(r, *w)));
        }
        let ends = c.sources.iter().zip(&c.source_factor);
        Ok(Self {
            constants: cuda.device.constants(&words)?,
            sources: c.sources.len(),
            targets: c.targets.len(),
            ends: ends.map(|(q, f)| t.last_times(*q, *f)).collect(),
        })
    }

    fn constants(&self) -> ConversionConstants {
        let fractions = self.constants.address();
        let factors = fractions + 8 * self.sources as u64;
        ConversionConstants {
            factors,
            fractions,
            weights: factors + 4 * self.sources as u64,
            sources: self.sources as u32,
            targets: self.targets as u32,
        }
    }

    /// Whether it can be done with the outer pass of its targets.
    pub(super) fn takes_transform(&self, t: &Tables) -> bool {
        let fits = (1..=MAX_SOURCES_WITH_TRANSFORM).contains(&self.sources);
        fits && t.outer(CONVERT_OUTER).is_some()
    }
}

/// One of several conversions: its first source among the rows that are converted, and the rows of its targets.
pub(super) struct Part<'a> {
    pub(super) conversion: &'a Prepared,
    pub(super) source: usize,
    pub(super) targets: Vec<Row>,
}

impl Cuda {
    /// See [`Backend::convert`](crate::backend::Backend::convert).
    pub(super) fn convert_rows(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        src: Ref<Self>,
        c: &Prepared,
    ) -> Result<()> {
        let blocks = (c.targets as u32).div_ceil(TARGETS_A_BLOCK);
        let shape = Shape::new(t.log_n, &dst.span)?;
        let arguments = [
            Argument::Shape(Shape::new(t.log_n, &src.span)?),
            Argument::write(&dst)?,
            Argument::read(&src)?,
            Argument::Conversion(c.constants()),
            t.primes()?,
        ];
        let grid = Grid {
            shared: COEFFICIENTS * 4 * c.sources as u32,
            ..Grid::new(
                (1u32 << t.log_n).div_ceil(COEFFICIENTS),
                COEFFICIENTS,
                dst.span.items * dst.span.polys,
            )
        };
        let cost = Cost::rows(t.log_n, src.span.count() * blocks as usize, dst.span.count());
        // SAFETY: the arguments of `convert_rows`; a conversion has as many sources and targets as src and dst have rows.
        unsafe {
            self.device
                .launch_rows("convert_rows", &shape, blocks, grid, cost, &arguments)
        }
    }

    /// Conversions of scaled rows, each with the outer pass of its targets, to rows of `dst`.
    pub(super) fn convert_outer(
        &self,
        t: &Tables,
        dst: &Mut<Self>,
        src: Ref<Self>,
        parts: &[Part],
    ) -> Result<()> {
        let Some(kernel) = t.outer(CONVERT_OUTER) else {
            return Err(BackendError::Unsupported { need: "this ring" });
        };
        let mut parts = parts;
        while !parts.is_empty() {
            // As many as fit one launch, which is at least one.
            let fits = |count: &usize| {
                let targets = parts[..*count].iter().map(|p| p.targets.len()).sum::<usize>();
                *count == 1 || targets <= MAX_TARGETS
            };
            let most = parts.len().min(MAX_CONVERSIONS);
            let count = (1..=most).take_while(fits).last().unwrap_or(1);
            let (now, later) = parts.split_at(count);
            self.convert_outer_once(t, kernel, dst, src, now)?;
            parts = later;
        }
        Ok(())
    }

    fn convert_outer_once(
        &self,
        t: &Tables,
        kernel: &'static str,
        dst: &Mut<Self>,
        src: Ref<Self>,
        parts: &[Part],
    ) -> Result<()> {
        let targets: Vec<Row> = parts.iter().flat_map(|p| p.targets.iter().copied()).collect();
        let span = Span {
            rows: &targets,
            ..dst.span
        };
        assert!(span.is_disjoint(), "rows to write coincide");
        assert!(
            span.end() << t.log_n <= dst.buffer.words(),
            "rows beyond the buffer"
        );
        let mut table = Conversions {
            words: dst.buffer.address() + ((span.offset as u64) << (t.log_n + 2)),
            item_stride: span.item_stride as u32,
            poly_stride: span.poly_stride as u32,
            count: parts.len() as u32,
            part: [ConversionConstants::default(); MAX_CONVERSIONS],
            source: [0; MAX_CONVERSIONS],
            target: [0; MAX_CONVERSIONS],
            at: [0; MAX_TARGETS],
            prime: [0; MAX_TARGETS],
        };
        let (mut first, mut groups, mut read, mut sources) = (0, 0, 0, 0);
        for (i, part) in parts.iter().enumerate() {
            let (own, blocks) = (part.conversion, part.targets.len().div_ceil(GROUP));
            assert!(own.targets == part.targets.len(), "targets of a conversion");
            assert!(
                part.source + own.sources <= src.span.rows.len(),
                "sources of a conversion"
            );
            table.part[i] = own.constants();
            (table.source[i], table.target[i]) = (narrow(part.source as u32)?, narrow(first)?);
            first += own.targets as u32;
            groups += blocks;
            read += own.sources * blocks
                + own.sources.saturating_sub(KEPT_SOURCES) * own.targets.div_ceil(AT_ONCE);
            sources = sources.max(own.sources);
        }
        for (i, row) in targets.iter().enumerate() {
            (table.at[i], table.prime[i]) = (narrow(row.at)?, narrow(row.prime)?);
        }
        let shape = Shape::new(t.log_n, &src.span)?;
        let layers = src.span.items * src.span.polys;
        let grid = Grid {
            shared: 4 * (TILES + GROUP * (sources + 1) + (sources.min(KEPT_SOURCES) << LOG_TILE)) as u32,
            ..Grid::new((1 << t.log_n) >> LOG_TILE, WORKERS, layers)
        };
        let arguments = [
            Argument::read(&src)?,
            Argument::Conversions(Box::new(table)),
            t.primes()?,
            t.twiddles(),
        ];
        let cost = Cost::rows(t.log_n, read * layers, targets.len() * layers)
            .tables(targets.len() * t.outer_twiddles());
        // SAFETY: the arguments of `convert_outer_S`; sources and targets were checked to lie within their buffers.
        unsafe {
            self.device
                .launch_rows(kernel, &shape, groups as u32, grid, cost, &arguments)
        }
    }

    /// The sources of all digits among the rows of `src`, as scaled coefficients, one digit after the other.
    pub(super) fn scaled_sources(
        &self,
        t: &Tables,
        src: Ref<Self>,
        conversions: &[(&Prepared, &[u32])],
    ) -> Result<(Buffer, Vec<Row>)> {
        let primes: Vec<u32> = conversions
            .iter()
            .flat_map(|(_, sources)| sources.iter().copied())
            .collect();
        let rows = derived::select(src.span.rows, &primes);
        assert!(rows.len() == primes.len(), "sources of a conversion are missing");
        let ends: Vec<[u32; 2]> = conversions
            .iter()
            .flat_map(|(c, _)| c.ends.iter().copied())
            .collect();
        self.coefficients(t, src.map(|s| s.with_rows(&rows)), Some(&ends))
    }

    /// See [`derived::mod_up`].
    pub(super) fn extend(
        &self,
        t: &Tables,
        mut dst: Mut<Self>,
        src: Ref<Self>,
        digits: &[DigitStep<Self>],
    ) -> Result<()> {
        let conversions: Vec<(&Prepared, &[u32])> = digits
            .iter()
            .map(|d| (&d.conversion, d.sources.as_slice()))
            .collect();
        let (coefficients, rows) = self.scaled_sources(t, src, &conversions)?;
        let scaled = Ref::new(&coefficients, Span::dense(src.span.items, 1, &rows));
        // Rows of all digits as those of one polynomial: what is transformed, and what is copied from where.
        let (mut parts, mut own, mut from, mut source) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for (j, digit) in digits.iter().enumerate() {
            let shift = (j * dst.span.poly_stride) as u32;
            let shifted = |r: Row| Row {
                at: r.at + shift,
                ..r
            };
            let held = |primes: &[u32]| derived::select(dst.span.rows, primes).into_iter().map(shifted);
            parts.push(Part {
                conversion: &digit.conversion,
                source,
                targets: held(&digit.targets).collect(),
            });
            own.extend(held(&digit.sources));
            from.extend(derived::select(src.span.rows, &digit.sources));
            source += digit.sources.len();
        }
        let one = dst.span.slice_polys(0, 1);
        self.convert_outer(t, &dst.part(|_| one), scaled, &parts)?;
        let targets: Vec<Row> = parts.iter().flat_map(|p| p.targets.iter().copied()).collect();
        for rows in targets.chunks(MAX_ROWS) {
            self.forward_inner(t, &dst.part(|_| one.with_rows(rows)), None)?;
        }
        for (own, from) in own.chunks(MAX_ROWS).zip(from.chunks(MAX_ROWS)) {
            let src = Ref::new(src.buffer, src.span.with_rows(from));
            self.copy_rows(dst.part(|_| one.with_rows(own)), src)?;
        }
        Ok(())
    }

    /// See [`derived::step`].
    pub(super) fn divide(
        &self,
        t: &Tables,
        mut dst: Mut<Self>,
        src: Ref<Self>,
        s: &BasisStep<Self>,
    ) -> Result<()> {
        let (coefficients, rows) = self.scaled_sources(t, src, &[(&s.conversion, &s.step.removed)])?;
        let scaled = Ref::new(&coefficients, Span::dense(src.span.items, src.span.polys, &rows));
        let part = Part {
            conversion: &s.conversion,
            source: 0,
            targets: dst.span.rows.to_vec(),
        };
        self.convert_outer(t, &dst.again(), scaled, &[part])?;
        let held = |row: &Row| s.step.kept.iter().position(|p| *p == row.prime);
        let at = |row: &Row| {
            let kept = src.span.rows.iter().find(|r| r.prime == row.prime);
            held(row).and(kept).map(|r| r.at)
        };
        let factor = |row: &Row| held(row).map_or(0, |k| montgomery(t.modulus(*row), s.step.kept_factor[k]));
        let factors: Vec<u32> = dst.span.rows.iter().map(factor).collect();
        let at: Vec<Option<u32>> = dst.span.rows.iter().map(at).collect();
        let added = at.iter().flatten().count() * src.span.items * src.span.polys;
        let addend = Addend::new(rows_of(&src)?, &at, &factors)?;
        self.forward_inner(t, &dst, Some((addend, added)))
    }
}

fn rows_of(src: &Ref<Cuda>) -> Result<super::operands::Rows> {
    rows(src.buffer, &src.span)
}
