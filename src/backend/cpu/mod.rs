//! The CPU backend: portable kernels, rows shared out over rayon's threads.
//!
//! It defines no number of its own: `backend/contract.md` does. The thread count is the caller's (rayon's pool).

mod automorphism;
mod basis;
mod block;
mod decode;
mod elementwise;
mod embed;
mod encode;
mod keyswitch;
mod lanes;
mod light;
mod matmul;
mod memory;
mod ntt;
mod number;
mod pages;
mod products;
mod scratch;
mod sums;
mod switch;
mod tensor;
mod threads;

use std::sync::{Arc, atomic::Ordering};

pub use basis::Conversion;
pub use keyswitch::Key;
pub use lanes::Instructions;
pub use memory::Buffer;
pub use ntt::Tables;
pub use products::products;

use memory::{Pool, Reader, Writer};

use crate::{
    arith::{Complex, Double, Embedding},
    backend::{
        Backend, BasisStep, Capabilities, DigitStep, EncodeError, Integers, KeySwitch, Light, Matrix, Moved,
        Mut, Onto, Product, Ref, Result, Row, Span, derived,
    },
    ring::{self, Basis, Crt, Galois, Scale},
    sample::PublicSeed,
};

/// The CPU backend. Cheap to clone; clones share the pool of buffers.
#[derive(Clone)]
pub struct Cpu {
    pool: Arc<Pool>,
    instructions: Instructions,
}

impl Default for Cpu {
    fn default() -> Self {
        Self {
            pool: Arc::default(),
            instructions: Instructions::best(),
        }
    }
}

impl Cpu {
    /// A backend with an empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// A backend whose fresh memory is filled with 0xA5, for tests of what reads memory that it never wrote.
    pub fn poisoned() -> Self {
        Self {
            pool: Arc::new(Pool {
                poison: Some(0xa5a5_a5a5),
                ..Pool::default()
            }),
            ..Self::default()
        }
    }

    /// A backend that uses these instructions, if the processor has them, instead of the best: results are the same.
    pub fn with_instructions(instructions: Instructions) -> Option<Self> {
        let backend = Self {
            instructions,
            ..Self::default()
        };
        instructions.is_available().then_some(backend)
    }

    /// Bytes of large buffers that were mapped from the system, which no global allocator sees. The pool keeps what it has.
    pub fn mapped_bytes(&self) -> usize {
        self.pool.mapped.load(Ordering::Relaxed)
    }

    /// Bytes of all buffers: those in use, and those that are kept for the next.
    pub fn pool_bytes(&self) -> usize {
        self.pool.held.load(Ordering::Relaxed)
    }

    /// The instructions that kernels use.
    pub fn instructions(&self) -> Instructions {
        self.instructions
    }
}

impl Backend for Cpu {
    type Buffer = Buffer;
    type Tables = Tables;
    type Conversion = Conversion;
    type Key = Key;

    fn capabilities(&self) -> Capabilities {
        let threads = rayon::current_num_threads();
        Capabilities {
            name: "cpu",
            device: format!("CPU, {}, {threads} threads", self.instructions.name()),
            computes: true,
        }
    }

    fn alloc(&self, log_n: u32, rows: usize) -> Result<Buffer> {
        Ok(self.pool.take(rows, 1 << log_n))
    }

    fn upload(&self, dst: Mut<Self>, words: &[u32]) -> Result<()> {
        let dst = Writer::new(dst);
        let (polys, rows, n) = (dst.span.polys, dst.span.rows.len(), dst.n);
        dst.for_each(|item, poly, row, out| {
            let at = ((item * polys + poly) * rows + row) * n;
            out.copy_from_slice(&words[at..at + n]);
        });
        Ok(())
    }

    fn download(&self, src: Ref<Self>, words: &mut [u32]) -> Result<()> {
        let src = Reader::new(src);
        let (polys, rows) = (src.span.polys, src.span.rows.len());
        for (i, out) in words.chunks_exact_mut(words_per_row(&src)).enumerate() {
            out.copy_from_slice(src.row(i / (polys * rows), i / rows % polys, i % rows));
        }
        Ok(())
    }

    fn copy(&self, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        let (dst, src) = (Writer::new(dst), Reader::new(src));
        dst.for_each(|item, poly, row, out| out.copy_from_slice(src.row(item, poly, row)));
        Ok(())
    }

    fn zero(&self, dst: Mut<Self>) -> Result<()> {
        Writer::new(dst).for_each(|_, _, _, out| out.fill(0));
        Ok(())
    }

    fn tables(&self, basis: &Basis) -> Result<Tables> {
        Tables::new(basis, self.instructions)
    }

    fn log_n(&self, t: &Tables) -> u32 {
        t.log_n
    }

    fn conversion(&self, t: &Tables, constants: &ring::Conversion) -> Result<Conversion> {
        Ok(Conversion::new(t, constants))
    }

    fn wait(&self) -> Result<()> {
        Ok(())
    }

    fn trim(&self) {
        self.pool.trim();
    }

    fn add(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        elementwise::add(t, Writer::new(dst), Reader::new(src));
        Ok(())
    }

    fn sub(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        elementwise::sub(t, Writer::new(dst), Reader::new(src));
        Ok(())
    }

    fn neg(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        elementwise::neg(t, Writer::new(dst));
        Ok(())
    }

    fn mul(&self, t: &Tables, dst: Mut<Self>, a: Ref<Self>, b: Ref<Self>) -> Result<()> {
        elementwise::mul(t, Writer::new(dst), Reader::new(a), Reader::new(b));
        Ok(())
    }

    fn mul_add(&self, t: &Tables, dst: Mut<Self>, a: Ref<Self>, b: Ref<Self>) -> Result<()> {
        elementwise::mul_add(t, Writer::new(dst), Reader::new(a), Reader::new(b));
        Ok(())
    }

    fn mul_const(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, c: &[u32]) -> Result<()> {
        elementwise::mul_const(t, Writer::new(dst), Reader::new(src), c);
        Ok(())
    }

    fn mul_const_add(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, c: &[u32]) -> Result<()> {
        elementwise::mul_const_add(t, Writer::new(dst), Reader::new(src), c);
        Ok(())
    }

    fn add_const(&self, t: &Tables, dst: Mut<Self>, c: &[u32]) -> Result<()> {
        elementwise::add_const(t, Writer::new(dst), c);
        Ok(())
    }

    fn mul_i(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        elementwise::mul_i(t, Writer::new(dst));
        Ok(())
    }

    fn permute(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, g: &[Galois]) -> Result<()> {
        automorphism::permute(t, Writer::new(dst), Reader::new(src), g);
        Ok(())
    }

    fn permute_add(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, g: &[Galois]) -> Result<()> {
        automorphism::permute_add(t, Writer::new(dst), Reader::new(src), g);
        Ok(())
    }

    fn mul_accumulate(&self, t: &Tables, dst: Mut<Self>, onto: Onto, terms: &[Product<Self>]) -> Result<()> {
        sums::mul_accumulate(t, &Writer::new(dst), onto, terms);
        Ok(())
    }

    fn permute_accumulate(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        onto: Onto,
        terms: &[Moved<Self>],
    ) -> Result<()> {
        automorphism::permute_accumulate(t, &Writer::new(dst), onto, terms);
        Ok(())
    }

    fn ntt(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        ntt::forward(t, Writer::new(dst));
        Ok(())
    }

    fn intt(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        ntt::inverse(t, Writer::new(dst));
        Ok(())
    }

    fn lift(&self, t: &Tables, dst: Mut<Self>, values: Integers) -> Result<()> {
        encode::lift(t, Writer::new(dst), values);
        Ok(())
    }

    fn convert(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, c: &Conversion) -> Result<()> {
        switch::convert(t, &self.pool, Writer::new(dst), Reader::new(src), c);
        Ok(())
    }

    fn expand(&self, t: &Tables, dst: Mut<Self>, seeds: &[PublicSeed], label: u64) -> Result<()> {
        encode::expand(t, Writer::new(dst), seeds, label);
        Ok(())
    }

    fn prepare(&self, t: &Tables, key: Ref<Self>) -> Result<Key> {
        Ok(Key::new(t, Reader::new(key)))
    }

    fn key_inner_product(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        src: Ref<Self>,
        digits: &[u32],
        keys: &[&Key],
    ) -> Result<()> {
        keyswitch::key_inner_product(t, Writer::new(dst), Reader::new(src), digits, keys);
        Ok(())
    }

    fn gemm(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, weights: Matrix) -> Result<()> {
        matmul::gemm(t, &self.pool, Writer::new(dst), Reader::new(src), weights);
        Ok(())
    }

    fn tensor(&self, t: &Tables, dst: Mut<Self>, a: Ref<Self>, b: Ref<Self>, terms: usize) -> Result<()> {
        tensor::tensor(t, Writer::new(dst), Reader::new(a), Reader::new(b), terms);
        Ok(())
    }

    fn block_product(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        a: Ref<Self>,
        b: Ref<Self>,
        terms: usize,
    ) -> Result<()> {
        if block::fits(t, terms) {
            block::product(
                t,
                &self.pool,
                Writer::new(dst),
                Reader::new(a),
                Reader::new(b),
                terms,
            );
            return Ok(());
        }
        derived::block_product(self, t, dst, a, b, terms)
    }

    /// Rows of N / gap words where a vector has one evaluation of b at most.
    fn sparse_log_n(&self, t: &Tables, length: usize) -> u32 {
        match length.checked_ilog2() {
            Some(log) if log > 0 && length * lanes::LANES <= 1 << t.log_n => log,
            _ => t.log_n,
        }
    }

    fn sparse(&self, t: &Tables, rows: &[Row], items: usize, values: Integers) -> Result<Buffer> {
        let log_n = self.sparse_log_n(t, values.len() / items.max(1));
        if log_n == t.log_n {
            return derived::sparse(self, t, rows, items, values);
        }
        let (short, span) = (t.sparse(log_n)?, Span::dense(items, 1, rows));
        let mut buffer = self.alloc(log_n, span.count())?;
        encode::lift(t, Writer::new(Mut::new(&mut buffer, span)), values);
        Writer::new(Mut::new(&mut buffer, span)).for_each(|_, _, row, out| {
            short[rows[row].prime as usize].forward(t.instructions, out);
        });
        Ok(buffer)
    }

    fn light(&self, count: usize, length: usize, values: &[i32]) -> Result<Buffer> {
        derived::light_words(self, count, length, values)
    }

    fn light_product(&self, t: &Tables, dst: Mut<Self>, a: &[Ref<Self>], b: Light<Self>) -> Result<()> {
        light::product(t, &self.pool, Writer::new(dst), a, b)
    }

    fn evaluate(&self, t: &Tables, dst: Mut<Self>, values: Integers) -> Result<()> {
        encode::evaluate(t, Writer::new(dst), values);
        Ok(())
    }

    fn mod_up(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, digits: &[DigitStep<Self>]) -> Result<()> {
        switch::mod_up(t, &self.pool, Writer::new(dst), Reader::new(src), digits);
        Ok(())
    }

    fn step(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, s: &BasisStep<Self>) -> Result<()> {
        switch::step(t, &self.pool, Writer::new(dst), Reader::new(src), s);
        Ok(())
    }

    fn key_switch(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        src: Ref<Self>,
        addend: Ref<Self>,
        k: &KeySwitch<Self>,
    ) -> Result<()> {
        let (src, addend) = (Reader::new(src), Reader::new(addend));
        switch::key_switch(t, &self.pool, Writer::new(dst), src, addend, k);
        Ok(())
    }

    fn switch_digits(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        digits: Ref<Self>,
        addend: Ref<Self>,
        k: &KeySwitch<Self>,
    ) -> Result<()> {
        let (digits, addend) = (Reader::new(digits), Reader::new(addend));
        switch::switch_digits(t, &self.pool, Writer::new(dst), digits, addend, k);
        Ok(())
    }

    fn embed(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        embedding: &Embedding,
        slots: &[Complex],
        scale: Double,
    ) -> std::result::Result<(), EncodeError> {
        embed::embed(self, t, dst, embedding, slots, scale)
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
        decode::decode(self, t, src, embedding, crt, scale, slots)
    }
}

fn words_per_row(src: &Reader) -> usize {
    src.span.rows.first().map_or(1, |_| src.row(0, 0, 0).len())
}
