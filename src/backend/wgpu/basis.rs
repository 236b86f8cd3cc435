//! Base conversion, and what is made of it: digits (ModUp), rescaling and ModDown. Kernel: `shaders/basis.wgsl`.

use super::{
    Wgpu,
    elementwise::Constants,
    memory::Buffer,
    ntt::{Added, Tables},
    operands::{Operand, Part},
    queue::Launch,
};
use crate::{
    backend::{BackendError, BasisStep, DigitStep, Mut, Ref, Result, Row, Span, derived, prime::montgomery},
    ring::Conversion,
};

/// Coefficients of a workgroup.
const COEFFICIENTS: u32 = 64;
/// Sources of a conversion: as many as the scaled rows of a workgroup fit 16 KiB.
const MAX_SOURCES: usize = 64;
/// Targets that a thread takes at a time, and those of a workgroup.
const GROUP: usize = 4;
const TARGETS_A_BLOCK: usize = 16;

/// A conversion on the device: factors and fractions, then weights by groups of targets.
pub struct Prepared {
    constants: Buffer,
    sources: Vec<u32>,
}

impl Wgpu {
    pub(super) fn new_conversion(&self, t: &Tables, c: &Conversion) -> Result<Prepared> {
        let count = c.sources.len();
        if count > MAX_SOURCES {
            let need = "conversions from more than 64 primes on wgpu";
            return Err(BackendError::Unsupported { need });
        }
        let form = |prime: u32, x: u32| montgomery(t.modulus(prime), x);
        let mut words = Vec::new();
        for ((q, factor), fraction) in c.sources.iter().zip(&c.source_factor).zip(&c.fraction) {
            words.extend([form(*q, *factor), *fraction as u32, (fraction >> 32) as u32]);
        }
        for first in (0..c.targets.len()).step_by(GROUP) {
            for source in 0..=count {
                let weight = |target: usize| {
                    let Some(r) = c.targets.get(target) else {
                        return 0;
                    };
                    let weights = &c.weights[target * count..][..count];
                    form(*r, weights.get(source).copied().unwrap_or(c.overflow[target]))
                };
                words.extend((first..first + GROUP).map(weight));
            }
        }
        Ok(Prepared {
            constants: self.constants(&words)?,
            sources: c.sources.clone(),
        })
    }

    pub(super) fn convert_rows(
        &self,
        t: &Tables,
        dst: &Mut<Self>,
        src: &Ref<Self>,
        c: &Prepared,
    ) -> Result<()> {
        let (to, from) = (Operand::write(dst), Operand::read(src));
        // Targets are taken by groups, so that a part begins where a group does.
        let groups = dst.span.rows.len().div_ceil(GROUP);
        let targets = |part: &Part| Part {
            rows: GROUP * part.rows.start..(GROUP * part.rows.end).min(dst.span.rows.len()),
            ..part.clone()
        };
        let sources = |part: &Part| Part {
            rows: 0..src.span.rows.len(),
            ..part.clone()
        };
        let fits = |part: &Part| {
            to.part(&targets(part)).fits(&self.device) && from.part(&sources(part)).fits(&self.device)
        };
        let whole = Part {
            rows: 0..groups,
            ..Part::whole(&dst.span)
        };
        let constants = [Row { at: 0, prime: 0 }];
        whole.each(&fits, &mut |part| {
            let dst = to.part(&targets(part));
            let rows = dst.span.rows;
            self.device.launch(&Launch {
                kernel: "convert_rows",
                log_n: t.log_n,
                polys: part.polys.len(),
                rows,
                primes: Some(t.primes()),
                dst,
                left: Some(from.part(&sources(part))),
                right: None,
                table: Some(Operand::new(&c.constants, Span::dense(1, 1, &constants))),
                numbers: [
                    c.sources.len() as u32,
                    rows.len() as u32,
                    0,
                    part.rows.start as u32,
                ],
                list: Some((2, &c.sources)),
                grid: [
                    (1u32 << t.log_n).div_ceil(COEFFICIENTS),
                    rows.len().div_ceil(TARGETS_A_BLOCK) as u32,
                    (part.items.len() * part.polys.len()) as u32,
                ],
            })
        })
    }

    /// ModUp: one inverse transform, a conversion for each digit, one forward transform of all that was converted.
    pub(super) fn extend_digits(
        &self,
        t: &Tables,
        mut dst: Mut<Self>,
        src: Ref<Self>,
        digits: &[DigitStep<Self>],
    ) -> Result<()> {
        if dst.span.items > 1 && dst.span.item_stride < dst.span.poly_stride {
            return derived::mod_up(self, t, dst, src, digits);
        }
        let (coefficients, rows) = self.coefficients(t, src)?;
        let span = Span::dense(src.span.items, 1, &rows);
        // Rows of all digits as those of one polynomial: what is to be transformed, and what is copied from where.
        let (mut targets, mut own, mut from) = (Vec::new(), Vec::new(), Vec::new());
        for (j, digit) in digits.iter().enumerate() {
            let mut poly = dst.part(|s| s.slice_polys(j, 1));
            let to = derived::select(poly.span.rows, &digit.targets);
            let sources = derived::select(&rows, &digit.sources);
            let scaled = Ref::new(&coefficients, span.with_rows(&sources));
            self.convert_rows(t, &poly.part(|s| s.with_rows(&to)), &scaled, &digit.conversion)?;
            let shift = (j * dst.span.poly_stride) as u32;
            let shifted = |r: Row| Row {
                at: r.at + shift,
                ..r
            };
            targets.extend(to.into_iter().map(shifted));
            let held = derived::select(dst.span.rows, &digit.sources);
            own.extend(held.into_iter().map(shifted));
            from.extend(derived::select(src.span.rows, &digit.sources));
        }
        self.forward(t, &dst.part(|s| s.slice_polys(0, 1).with_rows(&targets)), None)?;
        let dst = dst.part(|s| s.slice_polys(0, 1).with_rows(&own));
        let src = src.map(|s| s.with_rows(&from));
        self.pointwise("copy_rows", None, &dst, Some(&src), None, Constants::None)
    }

    /// A step of the basis: what is removed is converted, transformed, and what is kept added in the transform's last pass.
    pub(super) fn divide(
        &self,
        t: &Tables,
        mut dst: Mut<Self>,
        src: Ref<Self>,
        s: &BasisStep<Self>,
    ) -> Result<()> {
        let removed = derived::select(src.span.rows, &s.step.removed);
        let (coefficients, rows) = self.coefficients(t, src.map(|s| s.with_rows(&removed)))?;
        let span = Span::dense(src.span.items, src.span.polys, &rows);
        let scaled = Ref::new(&coefficients, span);
        self.convert_rows(t, &dst.again(), &scaled, &s.conversion)?;
        let kept = |prime: u32| s.step.kept.iter().position(|p| *p == prime);
        let factor = |prime| kept(prime).map(|k| s.step.kept_factor[k]);
        let added = Added::new(t, &dst.span, src.span.rows, factor);
        let addend = added.as_ref().map(|a| a.of(&src));
        self.forward(t, &dst, addend)
    }
}
