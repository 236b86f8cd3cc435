//! The CUDA backend: the kernels of `kernels/`, on one queue of one NVIDIA GPU.
//!
//! Builds need no CUDA: the kernels' PTX is part of the crate, and the driver is opened at run time ([`Cuda::open`] says why where it
//! cannot be). Every operation is one launch or a few; nothing waits for the device but `download` and `wait`. On a
//! machine without a GPU the same kernels and the same host code run on the CPU, through `cargo xtask emu`.

mod device;
mod memory;
mod operands;

use std::sync::Arc;

pub use device::CudaError;
pub use memory::Buffer;

use device::{Argument, Device, THREADS};
use operands::{
    Addend, ConversionConstants, Keys, MAX_DIGITS, MAX_KEYS, MAX_ROWS, Shape, montgomery, narrow,
};

use crate::{
    arith::Modulus,
    backend::{
        Backend, BackendError, BasisStep, Capabilities, DigitStep, Entries, Integers, Matrix, Mut, Ref,
        Result, Row, Span, compact, derived,
    },
    ring::{Basis, Conversion, Galois},
    sample::PublicSeed,
};

/// Words that a thread of a pointwise kernel handles.
const PER_THREAD: u32 = 4;
/// log2 of the words of a block of a transform.
const LOG_TILE: u32 = 12;
/// Threads and coefficients of a block of a conversion, and its targets.
const COEFFICIENTS: u32 = 128;
const TARGETS_A_BLOCK: u32 = 16;
/// Sources of a conversion: as many as the scaled rows of a block fit 48 KiB of shared memory.
const MAX_SOURCES: usize = 96;
/// Columns and outputs of a block of a matrix product.
const COLUMNS: u32 = 128;
const OUTPUTS: u32 = 16;

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

    /// Launches a pointwise kernel on the rows of `dst`.
    fn pointwise(
        &self,
        kernel: &'static str,
        dst: &Mut<Self>,
        arguments: impl IntoIterator<Item = Result<Argument>>,
    ) -> Result<()> {
        let blocks = (1u32 << dst.buffer.log_n).div_ceil(THREADS * PER_THREAD);
        self.over_rows(kernel, dst, [blocks, THREADS], arguments)
    }

    /// Launches a kernel with `[blocks, threads]` along each row of `dst`, which is its first argument.
    fn over_rows(
        &self,
        kernel: &'static str,
        dst: &Mut<Self>,
        [blocks, threads]: [u32; 2],
        arguments: impl IntoIterator<Item = Result<Argument>>,
    ) -> Result<()> {
        let shape = Shape::new(dst.buffer.log_n, &dst.span)?;
        let first = std::iter::once(Argument::write(dst));
        let arguments: Vec<Argument> = first.chain(arguments).collect::<Result<_>>()?;
        let layers = (dst.span.items * dst.span.polys) as u32;
        // SAFETY: callers pass what the kernel of that name takes; operands were checked to lie within their buffers, which live
        // until the queue has passed this launch, since the pool gives memory out in the order of the queue.
        unsafe {
            let grid = [blocks, threads, layers];
            self.device.launch(kernel, &shape, grid, 0, &arguments)
        }
    }

    /// dst in evaluation order, in place; `addend`, if any, is added to it.
    fn forward(&self, t: &Tables, dst: &Mut<Self>, addend: Option<Addend>) -> Result<()> {
        let twiddles = Argument::Address(t.forward.address());
        let last = |kernels: [&'static str; 2], blocks| match addend {
            None => self.over_rows(kernels[0], dst, [blocks, THREADS], [t.primes(), Ok(twiddles)]),
            Some(addend) => {
                let addend = Argument::Addend(Box::new(addend));
                let arguments = [Ok(addend), t.primes(), Ok(twiddles)];
                self.over_rows(kernels[1], dst, [blocks, THREADS], arguments)
            }
        };
        match t.outer("ntt") {
            None => last(["ntt_small", "ntt_small_add"], 1),
            Some(outer) => {
                let (blocks, twiddles) = (t.tiles(), Argument::Address(t.forward.address()));
                self.over_rows(outer, dst, [blocks, THREADS], [t.primes(), Ok(twiddles)])?;
                last(["ntt_inner", "ntt_inner_add"], blocks)
            }
        }
    }

    /// dst = the coefficients of src; `src` may be the rows of `dst`.
    fn inverse(&self, t: &Tables, dst: &Mut<Self>, src: Result<Argument>) -> Result<()> {
        let twiddles = || Ok(Argument::Address(t.inverse.address()));
        match t.outer("intt") {
            None => self.over_rows("intt_small", dst, [1, THREADS], [src, t.primes(), twiddles()]),
            Some(outer) => {
                let grid = [t.tiles(), THREADS];
                self.over_rows("intt_inner", dst, grid, [src, t.primes(), twiddles()])?;
                self.over_rows(outer, dst, grid, [t.primes(), twiddles()])
            }
        }
    }

    /// The rows of `src` as coefficients, in memory of their own.
    fn coefficients(&self, t: &Tables, src: Ref<Self>) -> Result<(Buffer, Vec<Row>)> {
        let rows = compact(&primes_of(&src.span));
        let mut own = self.alloc(t.log_n, src.span.count())?;
        let span = Span::dense(src.span.items, src.span.polys, &rows);
        self.inverse(t, &Mut::new(&mut own, span), Argument::read(&src))?;
        Ok((own, rows))
    }

    /// A constant a row, for all items or for each in turn, as `form` of it.
    fn factors(&self, dst: &Span, c: &[u32], form: impl Fn(Row, u32) -> u32) -> Result<Constants> {
        let rows = dst.rows.len();
        let word = |(i, c): (usize, &u32)| form(dst.rows[i % rows], *c);
        let words: Vec<u32> = c.iter().enumerate().map(word).collect();
        let item_step = if c.len() == rows { 0 } else { rows as u32 };
        Ok(Constants {
            words: self.device.constants(&words)?,
            item_step,
        })
    }

    /// Galois elements, one for all items or one an item.
    fn elements(&self, g: &[Galois]) -> Result<Constants> {
        let words: Vec<u32> = g.iter().map(|g| g.element()).collect();
        Ok(Constants {
            words: self.device.constants(&words)?,
            item_step: u32::from(g.len() > 1),
        })
    }
}

/// Constants on the device, and the words from one item's to the next.
struct Constants {
    words: Buffer,
    item_step: u32,
}

impl Constants {
    fn arguments(&self) -> [Result<Argument>; 2] {
        let address = Argument::Address(self.words.address());
        [Ok(address), Ok(Argument::Number(self.item_step))]
    }
}

/// The primes of a basis on the device, with their twiddles.
pub struct Tables {
    log_n: u32,
    moduli: Vec<Modulus>,
    primes: Buffer,
    forward: Buffer,
    inverse: Buffer,
}

impl Tables {
    /// The kernel of the outer pass of a transform; none where the ring is so small that one pass does it all.
    fn outer(&self, direction: &str) -> Option<&'static str> {
        const OUTER: [[&str; 2]; 6] = [
            ["ntt_outer_4", "intt_outer_4"],
            ["ntt_outer_5", "intt_outer_5"],
            ["ntt_outer_6", "intt_outer_6"],
            ["ntt_outer_7", "intt_outer_7"],
            ["ntt_outer_8", "intt_outer_8"],
            ["ntt_outer_9", "intt_outer_9"],
        ];
        let larger = self.log_n.checked_sub(LOG_TILE)?;
        OUTER
            .get(larger as usize)
            .map(|o| o[usize::from(direction == "intt")])
    }

    /// Blocks of a transform along a row.
    fn tiles(&self) -> u32 {
        (1 << self.log_n) >> LOG_TILE
    }

    fn primes(&self) -> Result<Argument> {
        Ok(Argument::Address(self.primes.address()))
    }

    fn modulus(&self, row: Row) -> Modulus {
        self.moduli[row.prime as usize]
    }
}

/// A conversion on the device: fractions, factors, weights.
pub struct Prepared {
    constants: Buffer,
    sources: usize,
    targets: usize,
}

/// Rows of a key on the device, in Montgomery's form.
pub struct Key {
    rows: Buffer,
    primes: Vec<u32>,
    digits: usize,
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
            computes: true,
        }
    }

    fn alloc(&self, log_n: u32, rows: usize) -> Result<Buffer> {
        self.device.pool.take(log_n, rows)
    }

    fn upload(&self, dst: Mut<Self>, words: &[u32]) -> Result<()> {
        let mut staged = self.alloc(dst.buffer.log_n, dst.span.count())?;
        staged.write(words)?;
        let rows = compact(&primes_of(&dst.span));
        let dense = Span::dense(dst.span.items, dst.span.polys, &rows);
        self.copy(dst, Ref::new(&staged, dense))
    }

    fn download(&self, src: Ref<Self>, words: &mut [u32]) -> Result<()> {
        let mut staged = self.alloc(src.buffer.log_n, src.span.count())?;
        let rows = compact(&primes_of(&src.span));
        let dense = Span::dense(src.span.items, src.span.polys, &rows);
        self.copy(Mut::new(&mut staged, dense), src)?;
        staged.read(words)
    }

    fn copy(&self, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        self.pointwise("copy_rows", &dst, [Argument::read(&src)])
    }

    fn zero(&self, dst: Mut<Self>) -> Result<()> {
        self.pointwise("zero_rows", &dst, [])
    }

    fn tables(&self, basis: &Basis) -> Result<Tables> {
        let log_n = basis.log_n();
        let (mut primes, mut forward, mut inverse) = (Vec::new(), Vec::new(), Vec::new());
        for m in basis.primes() {
            let (prime, down, up) = operands::prime(*m, log_n)?;
            primes.push(prime);
            forward.extend(down);
            inverse.extend(up);
        }
        Ok(Tables {
            log_n,
            moduli: basis.primes().to_vec(),
            primes: self.device.constants(bytemuck::cast_slice(&primes))?,
            forward: self.device.constants(&forward)?,
            inverse: self.device.constants(&inverse)?,
        })
    }

    fn log_n(&self, t: &Tables) -> u32 {
        t.log_n
    }

    fn conversion(&self, t: &Tables, c: &Conversion) -> Result<Prepared> {
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
        Ok(Prepared {
            constants: self.device.constants(&words)?,
            sources: c.sources.len(),
            targets: c.targets.len(),
        })
    }

    fn wait(&self) -> Result<()> {
        self.device.wait()
    }

    fn add(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        self.pointwise("add_rows", &dst, [Argument::read(&src), t.primes()])
    }

    fn sub(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        self.pointwise("sub_rows", &dst, [Argument::read(&src), t.primes()])
    }

    fn neg(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        self.pointwise("neg_rows", &dst, [t.primes()])
    }

    fn mul(&self, t: &Tables, dst: Mut<Self>, a: Ref<Self>, b: Ref<Self>) -> Result<()> {
        let operands = [Argument::read(&a), Argument::read(&b), t.primes()];
        self.pointwise("mul_rows", &dst, operands)
    }

    fn mul_add(&self, t: &Tables, dst: Mut<Self>, a: Ref<Self>, b: Ref<Self>) -> Result<()> {
        let operands = [Argument::read(&a), Argument::read(&b), t.primes()];
        self.pointwise("mul_add_rows", &dst, operands)
    }

    fn mul_const(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, c: &[u32]) -> Result<()> {
        let factors = self.factors(&dst.span, c, |row, c| montgomery(t.modulus(row), c))?;
        let [constants, step] = factors.arguments();
        let arguments = [Argument::read(&src), constants, step, t.primes()];
        self.pointwise("mul_const_rows", &dst, arguments)
    }

    fn mul_const_add(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, c: &[u32]) -> Result<()> {
        let factors = self.factors(&dst.span, c, |row, c| montgomery(t.modulus(row), c))?;
        let [constants, step] = factors.arguments();
        let arguments = [Argument::read(&src), constants, step, t.primes()];
        self.pointwise("mul_const_add_rows", &dst, arguments)
    }

    fn add_const(&self, t: &Tables, dst: Mut<Self>, c: &[u32]) -> Result<()> {
        let terms = self.factors(&dst.span, c, |_, c| c)?;
        let [constants, step] = terms.arguments();
        self.pointwise("add_const_rows", &dst, [constants, step, t.primes()])
    }

    fn mul_i(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        self.pointwise("mul_i_rows", &dst, [t.primes()])
    }

    fn permute(&self, _: &Tables, dst: Mut<Self>, src: Ref<Self>, g: &[Galois]) -> Result<()> {
        let elements = self.elements(g)?;
        let [constants, step] = elements.arguments();
        self.pointwise("permute_rows", &dst, [Argument::read(&src), constants, step])
    }

    fn permute_add(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, g: &[Galois]) -> Result<()> {
        let elements = self.elements(g)?;
        let [constants, step] = elements.arguments();
        let arguments = [Argument::read(&src), constants, step, t.primes()];
        self.pointwise("permute_add_rows", &dst, arguments)
    }

    fn ntt(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        self.forward(t, &dst, None)
    }

    fn intt(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        self.inverse(t, &dst, Argument::write(&dst))
    }

    fn lift(&self, t: &Tables, dst: Mut<Self>, values: Integers) -> Result<()> {
        let (kernel, words): (_, &[u32]) = match values {
            Integers::I32(v) => ("lift_32", bytemuck::cast_slice(v)),
            Integers::I64(v) => ("lift_64", bytemuck::cast_slice(v)),
            Integers::I128(v) => ("lift_128", bytemuck::cast_slice(v)),
        };
        let length = values.len() / (dst.span.items * dst.span.polys).max(1);
        let values = self.device.constants(words)?;
        let address = Argument::Address(values.address());
        let arguments = [Ok(address), Ok(Argument::Number(length as u32)), t.primes()];
        let blocks = (1u32 << t.log_n).div_ceil(THREADS);
        self.over_rows(kernel, &dst, [blocks, THREADS], arguments)
    }

    fn convert(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, c: &Prepared) -> Result<()> {
        let shape = Shape {
            rows: (c.targets as u32).div_ceil(TARGETS_A_BLOCK),
            ..Shape::new(t.log_n, &dst.span)?
        };
        let fractions = c.constants.address();
        let factors = fractions + 8 * c.sources as u64;
        let constants = ConversionConstants {
            factors,
            fractions,
            weights: factors + 4 * c.sources as u64,
            sources: c.sources as u32,
            targets: c.targets as u32,
        };
        let arguments = [
            Argument::Shape(Shape::new(t.log_n, &src.span)?),
            Argument::write(&dst)?,
            Argument::read(&src)?,
            Argument::Conversion(constants),
            t.primes()?,
        ];
        let blocks = (1u32 << t.log_n).div_ceil(COEFFICIENTS);
        let layers = (dst.span.items * dst.span.polys) as u32;
        let shared_bytes = 4 * COEFFICIENTS * c.sources as u32;
        // SAFETY: the arguments of `convert_rows`; operands lie within their buffers, constants were sized with the counts.
        unsafe {
            let grid = [blocks, COEFFICIENTS, layers];
            self.device
                .launch("convert_rows", &shape, grid, shared_bytes, &arguments)
        }
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
        self.over_rows("expand_rows", &dst, [blocks, THREADS], arguments)
    }

    fn prepare(&self, t: &Tables, key: Ref<Self>) -> Result<Key> {
        let primes = primes_of(&key.span);
        let mut rows = self.alloc(t.log_n, key.span.count())?;
        let own = compact(&primes);
        let dense = Span::dense(key.span.items, key.span.polys, &own);
        let by: Vec<u32> = own.iter().map(|r| montgomery(t.modulus(*r), 1)).collect();
        self.mul_const(t, Mut::new(&mut rows, dense), key, &by)?;
        Ok(Key {
            rows,
            primes,
            digits: key.span.items,
        })
    }

    fn key_inner_product(
        &self,
        t: &Tables,
        mut dst: Mut<Self>,
        src: Ref<Self>,
        digits: &[u32],
        keys: &[&Key],
    ) -> Result<()> {
        // Keys of one launch have equal rows; one key serves all items.
        let mut first = 0;
        while first < dst.span.items {
            let own = &keys[if keys.len() == 1 { 0 } else { first }..];
            let alike = own
                .iter()
                .take(MAX_KEYS)
                .take_while(|k| k.primes == own[0].primes);
            let (count, step) = match keys.len() {
                1 => (dst.span.items, 0),
                _ => (alike.count(), 1),
            };
            let (to, from) = (
                dst.part(|s| s.slice_items(first, count)),
                src.map(|s| s.slice_items(first, count)),
            );
            let shape = Shape {
                polys: 1,
                ..Shape::new(t.log_n, &to.span)?
            };
            let table = key_table(&own[..if step == 0 { 1 } else { count }], &to.span, digits, step)?;
            let arguments = [
                Argument::write(&to)?,
                Argument::read(&from)?,
                Argument::Keys(Box::new(table)),
                t.primes()?,
            ];
            let grid = [(1u32 << t.log_n).div_ceil(THREADS), THREADS, count as u32];
            // SAFETY: the arguments of `key_inner_product`; `key_table` checked that the keys have the rows and digits.
            unsafe {
                self.device
                    .launch("key_inner_product", &shape, grid, 0, &arguments)
            }?;
            first += count;
        }
        Ok(())
    }

    fn gemm(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, weights: Matrix) -> Result<()> {
        let count = weights.outputs * weights.inputs;
        let mut entries: Vec<i16> = match weights.entries {
            Entries::I8(w) => w[..count].iter().map(|w| i16::from(*w)).collect(),
            Entries::I16(w) => w[..count].to_vec(),
        };
        entries.resize(count.next_multiple_of(2), 0);
        let entries = self.device.constants(bytemuck::cast_slice(&entries))?;
        let shape = Shape::new(t.log_n, &dst.span)?;
        let arguments = [
            Argument::write(&dst)?,
            Argument::read(&src)?,
            Argument::Address(entries.address()),
            Argument::Number(weights.outputs as u32),
            Argument::Number(weights.inputs as u32),
            t.primes()?,
        ];
        let layers = dst.span.polys as u32 * (weights.outputs as u32).div_ceil(OUTPUTS);
        let grid = [(1u32 << t.log_n).div_ceil(COLUMNS), COLUMNS, layers];
        // SAFETY: the arguments of `gemm_rows`; the entries are as many as outputs and inputs say.
        unsafe { self.device.launch("gemm_rows", &shape, grid, 0, &arguments) }
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
        let blocks = (1u32 << t.log_n).div_ceil(THREADS * PER_THREAD);
        let grid = [blocks, THREADS, dst.span.items as u32];
        // SAFETY: the arguments of `tensor_rows`; a and b have `terms` items for each of dst.
        unsafe { self.device.launch("tensor_rows", &shape, grid, 0, &arguments) }
    }

    fn mod_up(
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
            let (to, sources) = (
                derived::select(poly.span.rows, &digit.targets),
                derived::select(&rows, &digit.sources),
            );
            let scaled = Ref::new(&coefficients, span.with_rows(&sources));
            self.convert(t, poly.part(|s| s.with_rows(&to)), scaled, &digit.conversion)?;
            let shift = (j * dst.span.poly_stride) as u32;
            let shifted = |r: Row| Row {
                at: r.at + shift,
                ..r
            };
            targets.extend(to.into_iter().map(shifted));
            own.extend(
                derived::select(dst.span.rows, &digit.sources)
                    .into_iter()
                    .map(shifted),
            );
            from.extend(derived::select(src.span.rows, &digit.sources));
        }
        for rows in targets.chunks(MAX_ROWS) {
            self.forward(t, &dst.part(|s| s.slice_polys(0, 1).with_rows(rows)), None)?;
        }
        for (own, from) in own.chunks(MAX_ROWS).zip(from.chunks(MAX_ROWS)) {
            let src = Ref::new(src.buffer, src.span.with_rows(from));
            self.copy(dst.part(|s| s.slice_polys(0, 1).with_rows(own)), src)?;
        }
        Ok(())
    }

    fn step(&self, t: &Tables, mut dst: Mut<Self>, src: Ref<Self>, s: &BasisStep<Self>) -> Result<()> {
        let removed = derived::select(src.span.rows, &s.step.removed);
        let (coefficients, rows) = self.coefficients(t, src.map(|s| s.with_rows(&removed)))?;
        let span = Span::dense(src.span.items, src.span.polys, &rows);
        self.convert(t, dst.again(), Ref::new(&coefficients, span), &s.conversion)?;
        let held = |row: &Row| s.step.kept.iter().position(|p| *p == row.prime);
        let at = |row: &Row| {
            let kept = src.span.rows.iter().find(|r| r.prime == row.prime);
            held(row).and(kept).map(|r| r.at)
        };
        let factor = |row: &Row| held(row).map_or(0, |k| montgomery(t.modulus(*row), s.step.kept_factor[k]));
        let factors: Vec<u32> = dst.span.rows.iter().map(factor).collect();
        let factors = self.device.constants(&factors)?;
        let at: Vec<Option<u32>> = dst.span.rows.iter().map(at).collect();
        let addend = Addend::new(device::rows(src.buffer, &src.span)?, &at, factors.address())?;
        self.forward(t, &dst, Some(addend))
    }
}

/// The primes of the rows of a span.
fn primes_of(span: &Span) -> Vec<u32> {
    span.rows.iter().map(|r| r.prime).collect()
}

/// What the kernel is told of keys with equal rows.
fn key_table(keys: &[&Key], dst: &Span, digits: &[u32], item_step: u32) -> Result<Keys> {
    if digits.len() > MAX_DIGITS {
        let need = "keys of more than 64 digits on CUDA";
        return Err(BackendError::Unsupported { need });
    }
    let held = |row: &Row| keys[0].primes.iter().position(|p| *p == row.prime);
    let most = digits.iter().max().map_or(0, |d| *d as usize);
    assert!(
        keys.iter().all(|k| most < k.digits),
        "the key has no digit {most}"
    );
    let mut table = Keys {
        words: [0; MAX_KEYS],
        rows: keys[0].primes.len() as u32,
        item_step,
        at: [0; MAX_ROWS],
        digit: [0; MAX_DIGITS],
        digits: digits.len() as u32,
    };
    for (word, key) in table.words.iter_mut().zip(keys) {
        *word = key.rows.address();
    }
    for (at, row) in table.at.iter_mut().zip(dst.rows) {
        let held = held(row);
        assert!(held.is_some(), "the key has no row of prime {}", row.prime);
        *at = held.unwrap_or_default() as u16;
    }
    for (to, digit) in table.digit.iter_mut().zip(digits) {
        *to = narrow(*digit)?;
    }
    Ok(table)
}
