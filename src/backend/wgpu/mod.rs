//! The wgpu backend: the shaders of `shaders/`, on one queue of one adapter, through Vulkan, Metal or Direct3D 12.
//!
//! The kernels are core WGSL: 32-bit words, at most 16 KiB of workgroup memory and 256 threads, six storage buffers. Where shaders
//! have 64-bit integers, products and sums are taken in them; the bits are the same. Operands beyond what one binding can hold are
//! taken in parts. Launches are gathered, and nothing waits for the device but `download`, `decode` and `wait`. Slots are embedded on
//! the host, since WGSL has no double precision.

mod basis;
mod device;
mod elementwise;
mod encode;
mod kernels;
mod keyswitch;
mod light;
mod matmul;
mod memory;
mod ntt;
mod operands;
mod queue;
mod sums;
mod transfer;

use std::sync::Arc;

pub use basis::Prepared;
pub use device::{Adapter, AdapterKind, Options, WgpuError};
pub use kernels::modules;
pub use keyswitch::Key;
pub use memory::Buffer;
pub use ntt::Tables;

use device::{Device, Which};
use elementwise::Constants;

use crate::{
    backend::{
        Backend, BasisStep, Capabilities, DigitStep, Integers, KeySwitch, Light, Matrix, Moved, Mut, Onto,
        Product, Ref, Result, Row, Span, derived,
    },
    ring::{Basis, Conversion, Galois},
    sample::PublicSeed,
};

/// The wgpu backend. Cheap to clone; clones share the queue and the memory.
#[derive(Clone)]
pub struct Wgpu {
    device: Arc<Device>,
}

impl Wgpu {
    /// The adapters of this machine, GPUs with memory of their own first and software last.
    pub fn adapters() -> Vec<Adapter> {
        device::adapters()
    }

    /// The adapter `ordinal` of [`adapters`](Self::adapters), with what memory its driver gives.
    ///
    /// Errors when there is no driver, no such adapter, or one that is too small.
    pub fn open(ordinal: usize) -> std::result::Result<Self, WgpuError> {
        Self::with_budget(ordinal, None)
    }

    /// The first adapter with `name` in its name, whatever the case.
    pub fn open_named(name: &str) -> std::result::Result<Self, WgpuError> {
        Self::new(Which::Name(name), None, Options::default())
    }

    /// The adapter `ordinal`, holding at most `bytes` of its memory.
    pub fn with_budget(
        ordinal: usize,
        bytes: impl Into<Option<usize>>,
    ) -> std::result::Result<Self, WgpuError> {
        Self::new(Which::Ordinal(ordinal), bytes.into(), Options::default())
    }

    /// The adapter `ordinal` as a test wants it.
    #[doc(hidden)]
    pub fn with_options(ordinal: usize, options: Options) -> std::result::Result<Self, WgpuError> {
        Self::new(Which::Ordinal(ordinal), None, options)
    }

    /// Loses the device, for tests of what happens then.
    #[doc(hidden)]
    pub fn lose(&self) {
        self.device.gpu.destroy();
    }

    /// Gives released memory back, and lets all allocations fail after so many further ones, for tests of what happens then; none of them
    /// without a number.
    #[doc(hidden)]
    pub fn fail_allocations(&self, after: Option<u64>) -> Result<()> {
        self.device.give_back()?;
        self.device.pool.refuse_after(after);
        Ok(())
    }

    /// Allocations, submissions and waits so far, for tests of what needs none.
    #[doc(hidden)]
    pub fn counts(&self) -> [u64; 3] {
        let state = self.device.state();
        let [submissions, waits] = [state.submissions, state.waits].map(|n| n as u64);
        [self.device.pool.allocations(), submissions, waits]
    }

    fn new(
        which: Which<'_>,
        budget: Option<usize>,
        options: Options,
    ) -> std::result::Result<Self, WgpuError> {
        let device = Arc::new(Device::open(which, budget, options)?);
        Ok(Self { device })
    }

    /// Memory with these words.
    fn constants(&self, words: &[u32]) -> Result<Buffer> {
        let buffer = self.device.take(0, words.len())?;
        self.device.write(&buffer, &[(0, words.len())], words)?;
        Ok(buffer)
    }
}

/// The words of a span in its order: runs of (first word in the buffer, words).
fn runs(span: &Span, log_n: u32) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let n = 1usize << log_n;
    for item in 0..span.items {
        for poly in 0..span.polys {
            for row in 0..span.rows.len() {
                let first = span.position(item, poly, row) << log_n;
                match runs.last_mut() {
                    Some((begin, count)) if *begin + *count == first => *count += n,
                    _ => runs.push((first, n)),
                }
            }
        }
    }
    runs
}

impl Backend for Wgpu {
    type Buffer = Buffer;
    type Tables = Tables;
    type Conversion = Prepared;
    type Key = Key;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "wgpu",
            device: self.device.label.clone(),
            computes: true,
        }
    }

    fn alloc(&self, log_n: u32, rows: usize) -> Result<Buffer> {
        self.device.take(log_n, rows)
    }

    fn upload(&self, dst: Mut<Self>, words: &[u32]) -> Result<()> {
        let runs = runs(&operands::Operand::write(&dst).span, dst.buffer.log_n);
        self.device.write(dst.buffer, &runs, words)
    }

    fn download(&self, src: Ref<Self>, words: &mut [u32]) -> Result<()> {
        let runs = runs(&operands::Operand::read(&src).span, src.buffer.log_n);
        self.device.read(src.buffer, &runs, words)
    }

    fn copy(&self, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        self.pointwise("copy_rows", None, &dst, Some(&src), None, Constants::None)
    }

    fn zero(&self, dst: Mut<Self>) -> Result<()> {
        self.pointwise("zero_rows", None, &dst, None, None, Constants::None)
    }

    fn tables(&self, basis: &Basis) -> Result<Tables> {
        self.new_tables([basis.log_n(); 2], basis.primes())
    }

    fn log_n(&self, t: &Tables) -> u32 {
        t.log_n
    }

    fn conversion(&self, t: &Tables, c: &Conversion) -> Result<Prepared> {
        self.new_conversion(t, c)
    }

    fn wait(&self) -> Result<()> {
        self.device.wait()
    }

    fn add(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        self.pointwise("add_rows", Some(t), &dst, Some(&src), None, Constants::None)
    }

    fn sub(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        self.pointwise("sub_rows", Some(t), &dst, Some(&src), None, Constants::None)
    }

    fn neg(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        self.pointwise("neg_rows", Some(t), &dst, None, None, Constants::None)
    }

    fn mul(&self, t: &Tables, dst: Mut<Self>, a: Ref<Self>, b: Ref<Self>) -> Result<()> {
        self.pointwise("mul_rows", Some(t), &dst, Some(&a), Some(&b), Constants::None)
    }

    fn mul_add(&self, t: &Tables, dst: Mut<Self>, a: Ref<Self>, b: Ref<Self>) -> Result<()> {
        self.pointwise("mul_add_rows", Some(t), &dst, Some(&a), Some(&b), Constants::None)
    }

    fn mul_const(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, c: &[u32]) -> Result<()> {
        let factors = t.montgomery(&dst.span, c);
        let constants = Constants::OfRows(&factors);
        self.pointwise("mul_const_rows", Some(t), &dst, Some(&src), None, constants)
    }

    fn mul_const_add(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, c: &[u32]) -> Result<()> {
        let factors = t.montgomery(&dst.span, c);
        let constants = Constants::OfRows(&factors);
        self.pointwise("mul_const_add_rows", Some(t), &dst, Some(&src), None, constants)
    }

    fn add_const(&self, t: &Tables, dst: Mut<Self>, c: &[u32]) -> Result<()> {
        self.pointwise("add_const_rows", Some(t), &dst, None, None, Constants::OfRows(c))
    }

    fn mul_i(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        self.pointwise("mul_i_rows", Some(t), &dst, None, None, Constants::None)
    }

    fn permute(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, g: &[Galois]) -> Result<()> {
        self.automorphism("permute_rows", t, &dst, &src, g)
    }

    fn permute_add(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, g: &[Galois]) -> Result<()> {
        self.automorphism("permute_add_rows", t, &dst, &src, g)
    }

    fn ntt(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        self.forward(t, &dst, None)
    }

    fn intt(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        self.inverse(t, &dst, None)
    }

    fn lift(&self, t: &Tables, dst: Mut<Self>, values: Integers) -> Result<()> {
        self.lift_rows(t, &dst, values, 0)
    }

    fn convert(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, c: &Prepared) -> Result<()> {
        self.convert_rows(t, &dst, &src, c)
    }

    fn expand(&self, t: &Tables, dst: Mut<Self>, seeds: &[PublicSeed], label: u64) -> Result<()> {
        self.expand_rows(t, &dst, seeds, label)
    }

    fn prepare(&self, t: &Tables, key: Ref<Self>) -> Result<Key> {
        self.new_key(t, key)
    }

    fn key_inner_product(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        src: Ref<Self>,
        digits: &[u32],
        keys: &[&Key],
    ) -> Result<()> {
        self.inner_product(t, &dst, &src, digits, keys)
    }

    fn gemm(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, weights: Matrix) -> Result<()> {
        self.matrix_product(t, &dst, &src, weights)
    }

    fn tensor(&self, t: &Tables, dst: Mut<Self>, a: Ref<Self>, b: Ref<Self>, terms: usize) -> Result<()> {
        self.tensor_product(t, dst, a, b, terms)
    }

    fn block_product(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        a: Ref<Self>,
        b: Ref<Self>,
        terms: usize,
    ) -> Result<()> {
        self.rows_times_columns(t, dst, a, b, terms)
    }

    fn sparse_log_n(&self, t: &Tables, length: usize) -> u32 {
        derived::shortest_log_n(t.log_n, length)
    }

    fn sparse(&self, t: &Tables, rows: &[Row], items: usize, values: Integers) -> Result<Buffer> {
        derived::sparse_in_subring(self, t, rows, items, values, |log_n| t.sparse(self, log_n))
    }

    fn sparse_product(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        a: Ref<Self>,
        b: Ref<Self>,
        terms: usize,
    ) -> Result<()> {
        self.rows_times_columns(t, dst, a, b, terms)
    }

    fn light(&self, count: usize, length: usize, values: &[i32]) -> Result<Buffer> {
        derived::light_words(self, count, length, values)
    }

    fn light_product(&self, t: &Tables, dst: Mut<Self>, a: &[Ref<Self>], b: Light<Self>) -> Result<()> {
        self.multiply_light(t, dst, a, b)
    }

    fn evaluate(&self, t: &Tables, dst: Mut<Self>, values: Integers) -> Result<()> {
        self.evaluate_rows(t, &dst, values)
    }

    fn mul_accumulate(&self, t: &Tables, dst: Mut<Self>, onto: Onto, terms: &[Product<Self>]) -> Result<()> {
        self.sum_products(t, dst, onto, terms)
    }

    fn permute_accumulate(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        onto: Onto,
        terms: &[Moved<Self>],
    ) -> Result<()> {
        self.sum_moved(t, dst, onto, terms)
    }

    fn mod_up(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, digits: &[DigitStep<Self>]) -> Result<()> {
        self.extend_digits(t, dst, src, digits)
    }

    fn step(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, s: &BasisStep<Self>) -> Result<()> {
        self.divide(t, dst, src, s)
    }

    fn key_switch(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        src: Ref<Self>,
        addend: Ref<Self>,
        k: &KeySwitch<Self>,
    ) -> Result<()> {
        self.switch(t, dst, src, addend, k)
    }

    fn switch_digits(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        digits: Ref<Self>,
        addend: Ref<Self>,
        k: &KeySwitch<Self>,
    ) -> Result<()> {
        self.switch_ready(t, dst, digits, addend, k)
    }
}
