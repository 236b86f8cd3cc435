//! The null backend: computes nothing and counts everything, for planners and for tests of what an operation costs.
//!
//! Derived operations are counted once under their own name (calls and rows), and their parts as the required operations
//! that the derived bodies consist of; sums over many terms as the one pass that every backend makes of them. `download` writes
//! zeros.

mod counts;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use counts::{Counts, Operation, Tally};

use super::{
    Backend, BasisStep, Capabilities, DigitStep, EncodeError, Integers, KeySwitch, Light, Matrix, Moved, Mut,
    Onto, Product, Ref, Result, derived,
};
use crate::{
    arith::{Complex, Double, Embedding},
    ring::{Basis, Conversion, Galois},
    sample::PublicSeed,
};

/// The counting backend. Clones share their counts.
#[derive(Clone, Default)]
pub struct Null {
    counts: Arc<Mutex<Counts>>,
}

/// Memory that exists in the counts only.
pub struct Buffer {
    counts: Arc<Mutex<Counts>>,
    row_bytes: u64,
    bytes: u64,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        lock(&self.counts).release(self.bytes);
    }
}

/// A basis: its ring degree alone.
pub struct Tables {
    log_n: u32,
}

/// A key: what it takes to read one row of one digit of it, and its memory.
pub struct Key {
    row_bytes: u64,
    _memory: Buffer,
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes and rows of one call.
#[derive(Default)]
struct Traffic {
    rows: u64,
    read: u64,
    written: u64,
}

impl Traffic {
    /// Rows that are written.
    fn write(dst: &Mut<Null>) -> Self {
        let rows = dst.span.count() as u64;
        Self {
            rows,
            read: 0,
            written: rows * dst.buffer.row_bytes,
        }
    }

    /// Rows that are read and written.
    fn update(dst: &Mut<Null>) -> Self {
        let traffic = Self::write(dst);
        Self {
            read: traffic.written,
            ..traffic
        }
    }

    /// Rows that a sum is written to, read before unless it begins at zero.
    fn sum(dst: &Mut<Null>, onto: Onto) -> Self {
        match onto {
            Onto::Zero => Self::write(dst),
            Onto::Destination => Self::update(dst),
        }
    }

    /// And rows that are read, repeats counted.
    fn reads(self, src: &Ref<Null>) -> Self {
        Self {
            read: self.read + src.span.count() as u64 * src.buffer.row_bytes,
            ..self
        }
    }

    /// And other bytes that are read.
    fn reads_bytes(self, bytes: u64) -> Self {
        Self {
            read: self.read + bytes,
            ..self
        }
    }
}

impl Null {
    /// A backend that has counted nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was counted since the start or the last `reset`.
    pub fn counts(&self) -> Counts {
        lock(&self.counts).clone()
    }

    /// Forgets everything but the memory that is in use, from which the peak starts again.
    pub fn reset(&self) {
        lock(&self.counts).reset();
    }

    fn count(&self, operation: Operation, traffic: Traffic) -> Result<()> {
        let Traffic { rows, read, written } = traffic;
        lock(&self.counts).add(operation, rows, read, written);
        Ok(())
    }

    /// Products of words in rows of `t`.
    fn multiply(&self, t: &Tables, rows: usize, per_coefficient: usize) {
        lock(&self.counts).products += ((rows * per_coefficient) as u64) << t.log_n;
    }

    /// Three products in each of N/2 log2 N butterflies of a row.
    fn transform(&self, t: &Tables, rows: usize) {
        let butterflies = u64::from(t.log_n) << (t.log_n - 1);
        lock(&self.counts).products += 3 * butterflies * rows as u64;
    }

    /// A derived operation: its parts count the bytes.
    fn count_whole(&self, operation: Operation, dst: &Mut<Self>) {
        lock(&self.counts).add(operation, dst.span.count() as u64, 0, 0);
    }

    fn memory(&self, row_bytes: u64, rows: u64) -> Buffer {
        let bytes = row_bytes * rows;
        lock(&self.counts).allocate(bytes);
        Buffer {
            counts: Arc::clone(&self.counts),
            row_bytes,
            bytes,
        }
    }
}

impl Backend for Null {
    type Buffer = Buffer;
    type Tables = Tables;
    type Conversion = ();
    type Key = Key;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "null",
            device: String::from("counts only"),
            computes: false,
        }
    }

    fn alloc(&self, log_n: u32, rows: usize) -> Result<Buffer> {
        Ok(self.memory(4 << log_n, rows as u64))
    }

    fn upload(&self, dst: Mut<Self>, _: &[u32]) -> Result<()> {
        self.count(Operation::Upload, Traffic::update(&dst))
    }

    fn download(&self, src: Ref<Self>, words: &mut [u32]) -> Result<()> {
        words.fill(0);
        let rows = src.span.count() as u64;
        let bytes = rows * src.buffer.row_bytes;
        self.count(
            Operation::Download,
            Traffic {
                rows,
                read: bytes,
                written: bytes,
            },
        )
    }

    fn copy(&self, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        self.count(Operation::Copy, Traffic::write(&dst).reads(&src))
    }

    fn zero(&self, dst: Mut<Self>) -> Result<()> {
        self.count(Operation::Zero, Traffic::write(&dst))
    }

    fn tables(&self, basis: &Basis) -> Result<Tables> {
        Ok(Tables { log_n: basis.log_n() })
    }

    fn log_n(&self, t: &Tables) -> u32 {
        t.log_n
    }

    fn conversion(&self, _: &Tables, _: &Conversion) -> Result<()> {
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        self.count(Operation::Wait, Traffic::default())
    }

    fn add(&self, _: &Tables, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        self.count(Operation::Add, Traffic::update(&dst).reads(&src))
    }

    fn sub(&self, _: &Tables, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        self.count(Operation::Sub, Traffic::update(&dst).reads(&src))
    }

    fn neg(&self, _: &Tables, dst: Mut<Self>) -> Result<()> {
        self.count(Operation::Neg, Traffic::update(&dst))
    }

    fn mul(&self, t: &Tables, dst: Mut<Self>, a: Ref<Self>, b: Ref<Self>) -> Result<()> {
        self.multiply(t, dst.span.count(), 3);
        self.count(Operation::Mul, Traffic::write(&dst).reads(&a).reads(&b))
    }

    fn mul_add(&self, t: &Tables, dst: Mut<Self>, a: Ref<Self>, b: Ref<Self>) -> Result<()> {
        self.multiply(t, dst.span.count(), 3);
        self.count(Operation::MulAdd, Traffic::update(&dst).reads(&a).reads(&b))
    }

    fn mul_const(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, _: &[u32]) -> Result<()> {
        self.multiply(t, dst.span.count(), 3);
        self.count(Operation::MulConst, Traffic::write(&dst).reads(&src))
    }

    fn mul_const_add(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, _: &[u32]) -> Result<()> {
        self.multiply(t, dst.span.count(), 3);
        self.count(Operation::MulConstAdd, Traffic::update(&dst).reads(&src))
    }

    fn add_const(&self, _: &Tables, dst: Mut<Self>, _: &[u32]) -> Result<()> {
        self.count(Operation::AddConst, Traffic::update(&dst))
    }

    fn mul_i(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        self.multiply(t, dst.span.count(), 3);
        self.count(Operation::MulI, Traffic::update(&dst))
    }

    fn permute(&self, _: &Tables, dst: Mut<Self>, src: Ref<Self>, _: &[Galois]) -> Result<()> {
        self.count(Operation::Permute, Traffic::write(&dst).reads(&src))
    }

    fn ntt(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        self.transform(t, dst.span.count());
        self.count(Operation::Ntt, Traffic::update(&dst))
    }

    fn intt(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        self.transform(t, dst.span.count());
        self.count(Operation::Intt, Traffic::update(&dst))
    }

    fn lift(&self, _: &Tables, dst: Mut<Self>, values: Integers) -> Result<()> {
        let width = match values {
            Integers::I32(_) => 4,
            Integers::I64(_) => 8,
            Integers::I128(_) => 16,
        };
        let bytes = values.len() as u64 * width;
        self.count(Operation::Lift, Traffic::write(&dst).reads_bytes(bytes))
    }

    fn convert(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, (): &()) -> Result<()> {
        let (s, r) = (src.span.rows.len(), dst.span.rows.len());
        self.multiply(t, dst.span.items * dst.span.polys, 3 * s + s * r + 2 * r);
        self.count(Operation::Convert, Traffic::write(&dst).reads(&src))
    }

    fn expand(&self, _: &Tables, dst: Mut<Self>, seeds: &[PublicSeed], _: u64) -> Result<()> {
        let bytes = 32 * seeds.len() as u64;
        self.count(Operation::Expand, Traffic::write(&dst).reads_bytes(bytes))
    }

    fn prepare(&self, _: &Tables, key: Ref<Self>) -> Result<Key> {
        let (rows, row_bytes) = (key.span.count() as u64, key.buffer.row_bytes);
        let bytes = rows * row_bytes;
        let traffic = Traffic {
            rows,
            read: bytes,
            written: bytes,
        };
        self.count(Operation::Prepare, traffic)?;
        Ok(Key {
            row_bytes,
            _memory: self.memory(row_bytes, rows),
        })
    }

    fn key_inner_product(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        src: Ref<Self>,
        digits: &[u32],
        keys: &[&Key],
    ) -> Result<()> {
        let key_rows = 2 * (digits.len() * dst.span.rows.len()) as u64;
        let key_bytes = keys.iter().map(|k| key_rows * k.row_bytes).sum();
        self.multiply(t, dst.span.count(), digits.len() + 2);
        lock(&self.counts).key_switches += dst.span.items as u64;
        let traffic = Traffic::write(&dst).reads(&src).reads_bytes(key_bytes);
        self.count(Operation::KeyInnerProduct, traffic)
    }

    fn gemm(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, weights: Matrix) -> Result<()> {
        self.multiply(t, dst.span.count(), weights.inputs + 2);
        let width = match weights.entries {
            super::Entries::I8(_) => 1,
            super::Entries::I16(_) => 2,
        };
        let bytes = (weights.outputs * weights.inputs * width) as u64;
        self.count(
            Operation::Gemm,
            Traffic::write(&dst).reads(&src).reads_bytes(bytes),
        )
    }

    fn tensor(&self, t: &Tables, dst: Mut<Self>, a: Ref<Self>, b: Ref<Self>, terms: usize) -> Result<()> {
        self.count_whole(Operation::Tensor, &dst);
        derived::tensor(self, t, dst, a, b, terms)
    }

    fn block_product(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        a: Ref<Self>,
        b: Ref<Self>,
        terms: usize,
    ) -> Result<()> {
        // A sum stays where it is until its last term: it is written once.
        self.multiply(t, dst.span.count(), terms + 2);
        let columns = b.span.items / terms.max(1);
        let reads = (a.span.count() + b.span.count() * dst.span.items / columns.max(1)) as u64;
        let bytes = reads * dst.buffer.row_bytes;
        self.count(Operation::BlockProduct, Traffic::write(&dst).reads_bytes(bytes))
    }

    fn light(&self, count: usize, length: usize, values: &[i32]) -> Result<Buffer> {
        derived::light_words(self, count, length, values)
    }

    fn light_product(&self, t: &Tables, dst: Mut<Self>, a: &[Ref<Self>], b: Light<Self>) -> Result<()> {
        // Each plaintext is transformed once for every row, and goes nowhere.
        let plaintexts = a.len() * dst.span.rows.len();
        self.multiply(t, plaintexts, 2);
        self.transform(t, plaintexts);
        self.multiply(t, dst.span.count(), a.len() + 2);
        let traffic = a.iter().fold(Traffic::write(&dst), Traffic::reads);
        let integers = (a.len() as u64) * b.buffer.row_bytes;
        self.count(Operation::LightProduct, traffic.reads_bytes(integers))
    }

    fn evaluate(&self, t: &Tables, dst: Mut<Self>, values: Integers) -> Result<()> {
        self.count_whole(Operation::Evaluate, &dst);
        derived::evaluate(self, t, dst, values)
    }

    fn permute_add(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, g: &[Galois]) -> Result<()> {
        self.count_whole(Operation::PermuteAdd, &dst);
        derived::permute_add(self, t, dst, src, g)
    }

    fn mul_accumulate(&self, t: &Tables, dst: Mut<Self>, onto: Onto, terms: &[Product<Self>]) -> Result<()> {
        self.multiply(t, dst.span.count(), terms.len() + 2);
        let traffic = (terms.iter()).fold(Traffic::sum(&dst, onto), |all, term| {
            all.reads(&term.a).reads(&term.b)
        });
        self.count(Operation::MulAccumulate, traffic)
    }

    fn permute_accumulate(
        &self,
        _: &Tables,
        dst: Mut<Self>,
        onto: Onto,
        terms: &[Moved<Self>],
    ) -> Result<()> {
        let traffic = (terms.iter()).fold(Traffic::sum(&dst, onto), |all, term| all.reads(&term.src));
        self.count(Operation::PermuteAccumulate, traffic)
    }

    fn mod_up(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, digits: &[DigitStep<Self>]) -> Result<()> {
        self.count_whole(Operation::ModUp, &dst);
        derived::mod_up(self, t, dst, src, digits)
    }

    fn step(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, s: &BasisStep<Self>) -> Result<()> {
        self.count_whole(Operation::Step, &dst);
        derived::step(self, t, dst, src, s)
    }

    fn key_switch(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        src: Ref<Self>,
        addend: Ref<Self>,
        k: &KeySwitch<Self>,
    ) -> Result<()> {
        self.count_whole(Operation::KeySwitch, &dst);
        derived::key_switch(self, t, dst, src, addend, k)
    }

    fn switch_digits(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        digits: Ref<Self>,
        addend: Ref<Self>,
        k: &KeySwitch<Self>,
    ) -> Result<()> {
        self.count_whole(Operation::SwitchDigits, &dst);
        derived::switch_digits(self, t, dst, digits, addend, k)
    }

    /// Values are not looked at: an encoding that would fail elsewhere is counted all the same.
    fn embed(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        _: &Embedding,
        slots: &[Complex],
        _: Double,
    ) -> std::result::Result<(), EncodeError> {
        // Four products in each of N/4 butterflies of log2 (N/2) stages.
        self.multiply(t, dst.span.items, t.log_n as usize - 1);
        let traffic = Traffic::write(&dst).reads_bytes(16 * slots.len() as u64);
        Ok(self.count(Operation::Embed, traffic)?)
    }
}
