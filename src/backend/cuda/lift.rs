//! Integers to rows: as coefficients, or with the first coefficients given to evaluations. Kernels: `lift_*` of `kernels/encode.cu`.

use super::{
    Cuda,
    device::{Argument, Cost, THREADS},
    ntt::{INNER_STAGES, Tables},
};
use crate::backend::{Integers, Mut, Result};

/// Which coefficients integers are.
#[derive(Clone, Copy)]
pub(super) enum Placed {
    /// Those N / length apart, from the first.
    Apart,
    /// The first ones of every so many: a power of two not below the length.
    First(usize),
}

impl Cuda {
    /// Integers to residues, equally many for each polynomial; coefficients that have none are zero.
    pub(super) fn lift_integers(
        &self,
        t: &Tables,
        dst: &Mut<Self>,
        values: Integers,
        placed: Placed,
    ) -> Result<()> {
        let (kernel, words): (_, &[u32]) = match values {
            Integers::I32(v) => ("lift_32", bytemuck::cast_slice(v)),
            Integers::I64(v) => ("lift_64", bytemuck::cast_slice(v)),
            Integers::I128(v) => ("lift_128", bytemuck::cast_slice(v)),
        };
        let period = match placed {
            Placed::Apart => 0,
            Placed::First(period) => period,
        };
        let length = values.len() / (dst.span.items * dst.span.polys).max(1);
        let values = self.device.constants(words)?;
        self.lift_words(t, dst, kernel, values.address(), [length, period])
    }

    /// The same of integers at an address of the device, `length` of them a polynomial: apart for a period of 0.
    pub(super) fn lift_words(
        &self,
        t: &Tables,
        dst: &Mut<Self>,
        kernel: &'static str,
        values: u64,
        [length, period]: [usize; 2],
    ) -> Result<()> {
        let bytes = match kernel {
            "lift_32" => 4,
            "lift_64" => 8,
            _ => 16,
        };
        let cost = Cost {
            read: (bytes * length * dst.span.count()) as u64,
            ..Cost::rows(t.log_n, 0, dst.span.count())
        };
        let arguments = [
            Ok(Argument::Address(values)),
            Ok(Argument::Number(length as u32)),
            Ok(Argument::Number(period as u32)),
            t.primes(),
        ];
        let blocks = (1u32 << t.log_n).div_ceil(THREADS);
        self.over_rows(kernel, dst, [blocks, THREADS], cost, arguments)
    }

    /// See [`Backend::evaluate`](crate::backend::Backend::evaluate).
    ///
    /// A butterfly of x and 0 gives x twice. Where only the first coefficients of a polynomial are not zero, and no more than the inner
    /// pass takes, the stages of the outer pass repeat them once for every block of the inner one: they are lifted to where they then are.
    pub(super) fn evaluate_rows(&self, t: &Tables, dst: Mut<Self>, values: Integers) -> Result<()> {
        let length = values.len() / (dst.span.items * dst.span.polys).max(1);
        let block = 1usize << INNER_STAGES;
        if t.has_two_passes() && length <= block {
            self.lift_integers(t, &dst, values, Placed::First(block))?;
            return self.forward_inner(t, &dst, None);
        }
        self.lift_integers(t, &dst, values, Placed::First(1 << t.log_n))?;
        self.forward(t, &dst)
    }
}
