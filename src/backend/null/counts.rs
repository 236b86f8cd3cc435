//! What the null backend counts.

use std::collections::BTreeMap;

use serde::Serialize;

/// A kind of backend operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the method of `Backend` of the same name")]
pub enum Operation {
    Upload,
    Download,
    Copy,
    Zero,
    Wait,
    Add,
    Sub,
    Neg,
    Mul,
    MulAdd,
    MulConst,
    MulConstAdd,
    AddConst,
    MulI,
    Permute,
    Ntt,
    Intt,
    Lift,
    Convert,
    Expand,
    Prepare,
    KeyInnerProduct,
    Gemm,
    Tensor,
    BlockProduct,
    LightProduct,
    Evaluate,
    PermuteAdd,
    MulAccumulate,
    PermuteAccumulate,
    ModUp,
    Step,
    KeySwitch,
    SwitchDigits,
    Embed,
}

impl Operation {
    /// The name of the method.
    pub fn name(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
            Self::Copy => "copy",
            Self::Zero => "zero",
            Self::Wait => "wait",
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Neg => "neg",
            Self::Mul => "mul",
            Self::MulAdd => "mul_add",
            Self::MulConst => "mul_const",
            Self::MulConstAdd => "mul_const_add",
            Self::AddConst => "add_const",
            Self::MulI => "mul_i",
            Self::Permute => "permute",
            Self::Ntt => "ntt",
            Self::Intt => "intt",
            Self::Lift => "lift",
            Self::Convert => "convert",
            Self::Expand => "expand",
            Self::Prepare => "prepare",
            Self::KeyInnerProduct => "key_inner_product",
            Self::Gemm => "gemm",
            Self::Tensor => "tensor",
            Self::BlockProduct => "block_product",
            Self::LightProduct => "light_product",
            Self::Evaluate => "evaluate",
            Self::PermuteAdd => "permute_add",
            Self::MulAccumulate => "mul_accumulate",
            Self::PermuteAccumulate => "permute_accumulate",
            Self::ModUp => "mod_up",
            Self::Step => "step",
            Self::KeySwitch => "key_switch",
            Self::SwitchDigits => "switch_digits",
            Self::Embed => "embed",
        }
    }
}

/// The calls of one kind of operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Number of calls.
    pub calls: u64,
    /// Rows of the destination (of the source for downloads and keys).
    pub rows: u64,
    /// Bytes read, repeats counted; nothing for derived operations, whose parts are counted.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
}

/// Everything that was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// By operation; those that never ran are absent.
    pub operations: BTreeMap<Operation, Tally>,
    /// Items of key inner products.
    pub key_switches: u64,
    /// Products of 32-bit words: three a butterfly and a product by a constant, one a term of a sum and two for its reduction.
    /// Those of encoding are f64.
    pub products: u64,
    /// Number of allocations, prepared keys included.
    pub allocations: u64,
    /// Bytes in use.
    pub live_bytes: u64,
    /// The most bytes that were in use at one time.
    pub peak_bytes: u64,
}

impl Counts {
    /// The calls of one operation.
    pub fn of(&self, operation: Operation) -> Tally {
        self.operations.get(&operation).copied().unwrap_or_default()
    }

    /// Rows transformed, forwards and backwards.
    pub fn ntts(&self) -> u64 {
        self.of(Operation::Ntt).rows + self.of(Operation::Intt).rows
    }

    /// Bytes read and written by all operations.
    pub fn traffic_bytes(&self) -> u64 {
        self.operations
            .values()
            .map(|t| t.read_bytes + t.written_bytes)
            .sum()
    }

    pub(super) fn add(&mut self, operation: Operation, rows: u64, read_bytes: u64, written_bytes: u64) {
        let tally = self.operations.entry(operation).or_default();
        tally.calls += 1;
        tally.rows += rows;
        tally.read_bytes += read_bytes;
        tally.written_bytes += written_bytes;
    }

    pub(super) fn allocate(&mut self, bytes: u64) {
        self.allocations += 1;
        self.live_bytes += bytes;
        self.peak_bytes = self.peak_bytes.max(self.live_bytes);
    }

    pub(super) fn release(&mut self, bytes: u64) {
        self.live_bytes = self.live_bytes.saturating_sub(bytes);
    }

    pub(super) fn reset(&mut self) {
        *self = Self {
            live_bytes: self.live_bytes,
            peak_bytes: self.live_bytes,
            ..Self::default()
        };
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "{:<18} {:>10} {:>12} {:>16} {:>16}",
            "operation", "calls", "rows", "bytes read", "bytes written"
        )?;
        for (operation, t) in &self.operations {
            writeln!(
                f,
                "{:<18} {:>10} {:>12} {:>16} {:>16}",
                operation.name(),
                t.calls,
                t.rows,
                t.read_bytes,
                t.written_bytes
            )?;
        }
        writeln!(
            f,
            "key switches {}, transforms {}",
            self.key_switches,
            self.ntts()
        )?;
        write!(
            f,
            "allocations {}, peak {} bytes, in use {} bytes",
            self.allocations, self.peak_bytes, self.live_bytes
        )
    }
}
