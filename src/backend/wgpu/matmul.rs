//! Small integers times residues. Kernel: `shaders/matmul.wgsl`.

use super::{
    Wgpu,
    elementwise::Constants,
    ntt::Tables,
    operands::{Operand, Part},
    queue::Launch,
};
use crate::backend::{Matrix, Mut, Ref, Result, Row, Span};

/// Coefficients and outputs of a workgroup.
const COLUMNS: u32 = 128;
const OUTPUTS: usize = 16;
/// Inputs of a launch: as many products as a 64-bit sum holds.
const MOST_INPUTS: usize = 1 << 18;

impl Wgpu {
    pub(super) fn matrix_product(
        &self,
        t: &Tables,
        dst: &Mut<Self>,
        src: &Ref<Self>,
        weights: Matrix,
    ) -> Result<()> {
        if weights.inputs == 0 {
            return self.pointwise("zero_rows", None, dst, None, None, Constants::None);
        }
        let (to, from) = (Operand::write(dst), Operand::read(src));
        // Outputs that one binding holds, then the inputs of each part.
        let outputs_fit = |part: &Part| to.part(part).fits(&self.device);
        Part::whole(&dst.span).each(&outputs_fit, &mut |outputs| {
            let inputs_fit = |part: &Part| {
                let weights = part.items.len() * outputs.items.len();
                part.items.len() <= MOST_INPUTS
                    && weights <= self.device.binding_words
                    && from.part(part).fits(&self.device)
            };
            let inputs = Part {
                items: 0..weights.inputs,
                ..outputs.clone()
            };
            inputs.each(&inputs_fit, &mut |inputs| {
                let outputs = Part {
                    items: outputs.items.clone(),
                    ..inputs.clone()
                };
                self.product_of(
                    t,
                    to.part(&outputs),
                    from.part(inputs),
                    &weights,
                    [&outputs, inputs],
                )
            })
        })
    }

    fn product_of(
        &self,
        t: &Tables,
        dst: Operand,
        src: Operand,
        weights: &Matrix,
        [outputs, inputs]: [&Part; 2],
    ) -> Result<()> {
        let count = inputs.items.len();
        let mut words = Vec::with_capacity(outputs.items.len() * count.div_ceil(2));
        // Weights as w + 2^15, two a word.
        let shifted = |w: i16| u32::from((i32::from(w) + (1 << 15)) as u16);
        for output in outputs.items.clone() {
            let at = |input| shifted(weights.entries.get(output * weights.inputs + input));
            for input in inputs.items.clone().step_by(2) {
                let second = if input + 1 < inputs.items.end {
                    at(input + 1)
                } else {
                    0
                };
                words.push(at(input) | second << 16);
            }
        }
        let table = self.constants(&words)?;
        let whole = [Row { at: 0, prime: 0 }];
        self.device.launch(&Launch {
            kernel: "gemm_rows",
            log_n: t.log_n,
            polys: inputs.polys.len(),
            rows: dst.span.rows,
            primes: Some(t.primes()),
            dst,
            left: Some(src),
            right: None,
            table: Some(Operand::new(&table, Span::dense(1, 1, &whole))),
            numbers: [
                outputs.items.len() as u32,
                count as u32,
                u32::from(inputs.items.start > 0),
                0,
            ],
            list: None,
            grid: [
                (1u32 << t.log_n).div_ceil(COLUMNS),
                inputs.rows.len() as u32,
                (inputs.polys.len() * outputs.items.len().div_ceil(OUTPUTS)) as u32,
            ],
        })
    }
}
