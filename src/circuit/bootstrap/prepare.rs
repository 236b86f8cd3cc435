//! What a bootstrap prepares: matrices there and back at their levels and scales, and the polynomials between them.

use super::{
    BootstrapSpec, Order, sine,
    vectors::{halves, mask},
};
use crate::{
    arith::Complex,
    backend::Backend,
    circuit::{Polynomial, Result, dft, linear::Transform, polynomial::depth_of},
    ckks::{Ckks, step_ratio},
    ring::Scale,
    rlwe::{Level, Params},
};

/// The canonical scale of a level.
pub(super) fn canonical(params: &Params, level: Level) -> Result<Scale> {
    Ok(params.level("bootstrap", level)?.scale.clone())
}

/// The level so many below the top.
fn below_top(params: &Params, down: u32) -> Level {
    Level(params.top().0.saturating_sub(down))
}

/// The matrices of coefficients to slots from the top down, for what was raised at a scale.
pub(super) fn to_slots<B: Backend>(
    ckks: &Ckks<B>,
    spec: &BootstrapSpec,
    mut scale: Scale,
) -> Result<Vec<Transform<B>>> {
    let params = ckks.context().params();
    let (slots, most) = (spec.slots, ckks.max_slots());
    // 1/n of the transform, 1/2 of the parts, what the trace multiplies by, and the interval.
    let constant = spec.unit() / (slots as f64 * 2.0 * (most / slots) as f64);
    let matrices = dft::to_coefficients_of(ckks.embedding(), slots, spec.to_slots)?;
    let share = constant.powf(1.0 / matrices.len() as f64);
    let mut all = Vec::with_capacity(matrices.len());
    let last = matrices.len() - 1;
    for (i, matrix) in (0u32..).zip(matrices) {
        let mut matrix = matrix.times(share);
        if slots < most && i as usize == last {
            // (w, -i w): with their conjugates, real parts in the first half and imaginary ones in the second.
            matrix = matrix
                .repeated(2 * slots)
                .times_rows(&halves(slots, Complex::new(0.0, -1.0)));
        }
        let output = canonical(params, below_top(params, i + 1))?;
        all.push(Transform::new(
            ckks,
            &matrix,
            below_top(params, i),
            &scale,
            &output,
        )?);
        scale = output;
    }
    Ok(all)
}

/// The matrices of slots to coefficients from a level down, for what is read there at a scale.
pub(super) fn to_coefficients<B: Backend>(
    ckks: &Ckks<B>,
    spec: &BootstrapSpec,
    (mut scale, mut level): (Scale, Level),
) -> Result<Vec<Transform<B>>> {
    let slots = spec.slots;
    let matrices = dft::to_slots_of(ckks.embedding(), slots, spec.to_coefficients)?;
    let mut all = Vec::with_capacity(matrices.len());
    let last = matrices.len() - 1;
    for (i, mut matrix) in matrices.into_iter().enumerate() {
        if i == 0 {
            matrix = matrix.times(1.0 / std::f64::consts::TAU);
        }
        if slots < ckks.max_slots() && spec.order == Order::RaiseFirst {
            matrix = matrix.repeated(2 * slots);
            if i == 0 {
                matrix = matrix.times_columns(&halves(slots, Complex::new(0.0, 1.0)));
            }
        }
        if i == last && spec.mask {
            matrix = matrix.times_rows(&mask(slots));
        }
        let below = Level(level.0.saturating_sub(1));
        let output = canonical(ckks.context().params(), below)?;
        all.push(Transform::new(ckks, &matrix, level, &scale, &output)?);
        (scale, level) = (output, below);
    }
    Ok(all)
}

/// The modular reduction, which follows coefficients to slots.
pub(super) struct Reduction {
    pub(super) cosine: Polynomial,
    pub(super) arcsine: Option<Polynomial>,
    /// Largest error of the cosine, and of the arcsine relative to its argument.
    pub(super) errors: [f64; 2],
    /// Where it ends, and the scale that it has there.
    pub(super) end: Level,
    pub(super) scale: Scale,
}

impl Reduction {
    /// Modulo q_0, which is `base`.
    pub(super) fn new(params: &Params, spec: &BootstrapSpec, base: &Scale) -> Result<Self> {
        let (cosine, cosine_error) = sine::cosine(spec.bound(), spec.double_angles, spec.degree)?;
        let at = |down| below_top(params, down);
        let mut down = spec.to_slots as u32 + 1 + depth_of(spec.degree);
        let mut scale = canonical(params, at(down))?;
        for _ in 0..spec.double_angles {
            down += 1;
            scale = squared(params, &scale, at(down))?;
        }
        let (mut arcsine, mut arcsine_error) = (None, 0.0);
        if let Some(degree) = spec.arcsine {
            // Slots became coefficients divided by 2 pi already, if the matrices back come first.
            let most = (canonical(params, Level(0))?.log2() - base.log2()).exp2()
                * match spec.order {
                    Order::RaiseFirst => std::f64::consts::TAU,
                    Order::CoefficientsFirst => 1.0,
                };
            let (p, error) = sine::arcsine(most.min(1.0), degree)?;
            (arcsine, arcsine_error) = (Some(p), error);
            down += depth_of(degree);
            let above = canonical(params, Level(at(down).0 + 1))?;
            scale = squared(params, &above, at(down))?;
        }
        Ok(Self {
            cosine,
            arcsine,
            errors: [cosine_error, arcsine_error],
            end: at(down),
            scale,
        })
    }
}

/// The scale of a square of `scale` after the rescale to `below`.
fn squared(params: &Params, scale: &Scale, below: Level) -> Result<Scale> {
    Ok(scale.mul(scale)?.mul(step_ratio(params, "bootstrap", below)?)?)
}
