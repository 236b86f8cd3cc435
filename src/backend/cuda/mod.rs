//! The CUDA backend: the kernels of `kernels/`, on one queue of one NVIDIA GPU.
//!
//! Builds need no CUDA: the kernels' PTX is part of the crate, and the driver is opened at run time ([`Cuda::open`] says why where it
//! cannot be). Every operation is one launch or a few; nothing waits for the device but `download`, `decode` and `wait`, and recordings for
//! their constants and memory. On a machine without a GPU the same kernels and the same host code run on the CPU, through `cargo xtask emu`.

mod basis;
mod device;
mod elementwise;
mod encode;
mod graph;
mod image;
mod keyswitch;
mod lift;
mod light;
mod matmul;
mod memory;
#[cfg(any(test, feature = "cuda-native"))]
#[cfg_attr(
    not(feature = "cuda-native"),
    expect(dead_code, reason = "its tests are built without the feature too")
)]
mod native;
mod ntt;
mod operands;
mod sums;
mod traffic;

use std::sync::Arc;

pub use basis::Prepared;
pub use device::CudaError;
pub use graph::Graph;
pub use keyswitch::Key;
pub use memory::Buffer;
pub use ntt::Tables;
pub use traffic::Launch;

use device::{Argument, Cost, Device, Queue, THREADS};
use lift::Placed;
use operands::Shape;
use sums::along;

use crate::{
    arith::{Complex, Double, Embedding},
    backend::{
        Backend, BasisStep, Capabilities, DigitStep, EncodeError, Integers, KeySwitch, Light, Matrix, Moved,
        Mut, Onto, Product, Ref, Result, Row, Span, compact, derived, prime::montgomery, primes_of,
    },
    ring::{Basis, Conversion, Crt, Galois, Scale},
    sample::PublicSeed,
};

/// The CUDA backend. Cheap to clone; clones share the queue and the memory.
#[derive(Clone)]
pub struct Cuda {
    device: Arc<Device>,
}

impl Cuda {
    /// The device `ordinal`, with nearly all of its free memory.
    ///
    /// Errors when there is no driver, no such device, or one that is too old.
    pub fn open(ordinal: usize) -> std::result::Result<Self, CudaError> {
        Self::with_budget(ordinal, None)
    }

    /// The device `ordinal`, holding at most `bytes` of its memory.
    pub fn with_budget(
        ordinal: usize,
        bytes: impl Into<Option<usize>>,
    ) -> std::result::Result<Self, CudaError> {
        let device = Arc::new(Device::open(ordinal, bytes.into())?);
        Ok(Self { device })
    }

    /// What the image of the kernels is, and why: the PTX of the crate, or machine code for this device (feature `cuda-native`).
    pub fn kernels(&self) -> &str {
        &self.device.kernels
    }

    /// No device: what would be launched is counted, with the bytes that it moves ([`Cuda::launches`]). Results are zeros.
    pub fn counting() -> Self {
        Self {
            device: Arc::new(Device::counting()),
        }
    }

    /// What [`Cuda::counting`] has counted since the last call; nothing for a device.
    pub fn launches(&self) -> Vec<Launch> {
        match self.device.pool.queue() {
            Queue::Counted(log) => log.take(),
            Queue::Driver { .. } => Vec::new(),
        }
    }
}

impl Backend for Cuda {
    type Buffer = Buffer;
    type Tables = Tables;
    type Conversion = Prepared;
    type Key = Key;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "cuda",
            device: self.device.name.clone(),
            computes: matches!(self.device.pool.queue(), Queue::Driver { .. }),
        }
    }

    fn alloc(&self, log_n: u32, rows: usize) -> Result<Buffer> {
        self.device.pool.take(log_n, rows)
    }

    fn upload(&self, dst: Mut<Self>, words: &[u32]) -> Result<()> {
        let count = dst.span.count() << dst.buffer.log_n;
        let staged = self.device.pool.with_words(dst.buffer.log_n, &words[..count])?;
        let rows = compact(&primes_of(dst.span.rows));
        let dense = Span::dense(dst.span.items, dst.span.polys, &rows);
        self.copy(dst, Ref::new(&staged, dense))
    }

    fn download(&self, src: Ref<Self>, words: &mut [u32]) -> Result<()> {
        let mut staged = self.alloc(src.buffer.log_n, src.span.count())?;
        let rows = compact(&primes_of(src.span.rows));
        let dense = Span::dense(src.span.items, src.span.polys, &rows);
        self.copy(Mut::new(&mut staged, dense), src)?;
        staged.read(words)
    }

    fn copy(&self, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        self.copy_rows(dst, src)
    }

    fn zero(&self, dst: Mut<Self>) -> Result<()> {
        self.pointwise("zero_rows", &dst, 0, [])
    }

    fn tables(&self, basis: &Basis) -> Result<Tables> {
        Tables::new(self, basis.log_n(), basis.primes())
    }

    fn log_n(&self, t: &Tables) -> u32 {
        t.log_n
    }

    fn conversion(&self, t: &Tables, c: &Conversion) -> Result<Prepared> {
        Prepared::new(self, t, c)
    }

    fn wait(&self) -> Result<()> {
        self.device.wait()
    }

    fn is_recording(&self) -> bool {
        self.device.pool.recording()
    }

    fn add(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        self.pointwise("add_rows", &dst, 2, [Argument::read(&src), t.primes()])
    }

    fn sub(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        self.pointwise("sub_rows", &dst, 2, [Argument::read(&src), t.primes()])
    }

    fn neg(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        self.pointwise("neg_rows", &dst, 1, [t.primes()])
    }

    fn mul(&self, t: &Tables, dst: Mut<Self>, a: Ref<Self>, b: Ref<Self>) -> Result<()> {
        let operands = [Argument::read(&a), Argument::read(&b), t.primes()];
        self.pointwise("mul_rows", &dst, 2, operands)
    }

    fn mul_add(&self, t: &Tables, dst: Mut<Self>, a: Ref<Self>, b: Ref<Self>) -> Result<()> {
        let operands = [Argument::read(&a), Argument::read(&b), t.primes()];
        self.pointwise("mul_add_rows", &dst, 3, operands)
    }

    fn mul_const(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, c: &[u32]) -> Result<()> {
        let factors = self.factors(&dst.span, c, |row, c| montgomery(t.modulus(row), c))?;
        let [constants, step] = factors.arguments();
        let arguments = [Argument::read(&src), constants, step, t.primes()];
        self.pointwise("mul_const_rows", &dst, 1, arguments)
    }

    fn mul_const_add(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, c: &[u32]) -> Result<()> {
        let factors = self.factors(&dst.span, c, |row, c| montgomery(t.modulus(row), c))?;
        let [constants, step] = factors.arguments();
        let arguments = [Argument::read(&src), constants, step, t.primes()];
        self.pointwise("mul_const_add_rows", &dst, 2, arguments)
    }

    fn add_const(&self, t: &Tables, dst: Mut<Self>, c: &[u32]) -> Result<()> {
        let terms = self.factors(&dst.span, c, |_, c| c)?;
        let [constants, step] = terms.arguments();
        self.pointwise("add_const_rows", &dst, 1, [constants, step, t.primes()])
    }

    fn mul_i(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        self.pointwise("mul_i_rows", &dst, 1, [t.primes()])
    }

    fn permute(&self, _: &Tables, dst: Mut<Self>, src: Ref<Self>, g: &[Galois]) -> Result<()> {
        let elements = self.elements(g)?;
        let [constants, step] = elements.arguments();
        self.pointwise("permute_rows", &dst, 1, [Argument::read(&src), constants, step])
    }

    fn permute_add(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, g: &[Galois]) -> Result<()> {
        let elements = self.elements(g)?;
        let [constants, step] = elements.arguments();
        let arguments = [Argument::read(&src), constants, step, t.primes()];
        self.pointwise("permute_add_rows", &dst, 2, arguments)
    }

    fn ntt(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        self.forward(t, &dst)
    }

    fn intt(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        self.inverse(t, &dst, Argument::write(&dst), None)
    }

    fn lift(&self, t: &Tables, dst: Mut<Self>, values: Integers) -> Result<()> {
        self.lift_integers(t, &dst, values, Placed::Apart)
    }

    fn convert(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, c: &Prepared) -> Result<()> {
        self.convert_rows(t, dst, src, c)
    }

    fn expand(&self, t: &Tables, dst: Mut<Self>, seeds: &[PublicSeed], label: u64) -> Result<()> {
        let word = |b: &[u8; 4]| u32::from_le_bytes(*b);
        let words: Vec<u32> = seeds
            .iter()
            .flat_map(|s| s.0.as_chunks().0.iter().map(word))
            .collect();
        let seeds = self.device.constants(&words)?;
        let address = Argument::Address(seeds.address());
        let blocks = (1u32 << t.log_n).div_ceil(4 * THREADS);
        let arguments = [Ok(address), Ok(Argument::Wide(label)), t.primes()];
        let cost = Cost::rows(t.log_n, 0, dst.span.count());
        self.over_rows("expand_rows", &dst, [blocks, THREADS], cost, arguments)
    }

    fn prepare(&self, t: &Tables, key: Ref<Self>) -> Result<Key> {
        self.prepare_key(t, key)
    }

    fn key_inner_product(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        src: Ref<Self>,
        digits: &[u32],
        keys: &[&Key],
    ) -> Result<()> {
        self.inner_product(t, dst, src, digits, keys)
    }

    fn gemm(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, weights: Matrix) -> Result<()> {
        self.matrix_product(t, dst, src, weights)
    }

    fn tensor(&self, t: &Tables, dst: Mut<Self>, a: Ref<Self>, b: Ref<Self>, terms: usize) -> Result<()> {
        let shape = Shape::new(t.log_n, &dst.span)?;
        let arguments = [
            Argument::write(&dst)?,
            Argument::read(&a)?,
            Argument::read(&b)?,
            Argument::Number(terms as u32),
            t.primes()?,
        ];
        let grid = along(t, dst.span.items);
        let read = [a, b]
            .iter()
            .map(|x| 2 * x.span.items * dst.span.rows.len())
            .sum();
        let cost = Cost::rows(t.log_n, read, dst.span.count());
        // SAFETY: the arguments of `tensor_rows`; a and b have `terms` items for each of dst.
        unsafe { self.device.launch("tensor_rows", &shape, grid, cost, &arguments) }
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
        self.evaluate_rows(t, dst, values)
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
        let fits = digits.iter().all(|d| d.conversion.takes_transform(t));
        if !fits || dst.span.items > 1 && dst.span.item_stride < dst.span.poly_stride {
            return derived::mod_up(self, t, dst, src, digits);
        }
        self.extend(t, dst, src, digits)
    }

    fn step(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, s: &BasisStep<Self>) -> Result<()> {
        match s.conversion.takes_transform(t) {
            true => self.divide(t, dst, src, s),
            false => derived::step(self, t, dst, src, s),
        }
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

    fn embed(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        embedding: &Embedding,
        slots: &[Complex],
        scale: Double,
    ) -> std::result::Result<(), EncodeError> {
        self.embed_slots(t, dst, embedding, slots, scale)
    }

    fn decode(
        &self,
        t: &Tables,
        src: Ref<Self>,
        embedding: &Embedding,
        crt: &Crt,
        scale: &Scale,
        slots: &mut [Complex],
    ) -> std::result::Result<(), EncodeError> {
        self.decode_slots(t, src, embedding, crt, scale, slots)
    }
}
